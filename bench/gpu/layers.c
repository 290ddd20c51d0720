/*
 * Where a network's time goes on a GPU: one plan, its input and output on the device, step by step.
 *
 *     bench_gpu_layers MODEL OUTPUT BATCH [--layers] [--type f16|bf16|f32] [--tuning FILE] [--quick]
 *
 * A line of JSON: images a second of the whole forward as one CUDA graph (median of 7 rounds of half a second, with the
 * range), its share of the ceiling (a large product through cuBLASLt, measured in the same run), memory. With --layers
 * a table follows: each step alone, between two events, median of 20; its arithmetic against the ceiling, its least
 * traffic in GB/s. Steps timed alone add up to more than the graph takes, by the launches between them. --quick is a
 * look at whether it runs: one short round, the likeliest ways instead of the fastest, no ceiling. 77: no GPU.
 */
#include "common/clock.h"
#include "common/files.h"
#include "common/memory.h"
#include "embed/cuda/gpu.h"
#include "embed/onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7, STEP_RUNS = 20 };
static const double round_s = 0.5;

typedef struct settings {
    const char *model, *output, *tuning;
    size_t batch;
    gln_precision precision;
    bool layers, quick;
} settings;

static bool parse(settings *s, int argc, char **argv)
{
    if (argc < 4) return false;
    *s = (settings){
        .model = argv[1], .output = argv[2], .batch = strtoul(argv[3], NULL, 10), .precision = GLN_PRECISION_F16};
    for (int i = 4; i < argc; i++) {
        if (strcmp(argv[i], "--layers") == 0) {
            s->layers = true;
        } else if (strcmp(argv[i], "--quick") == 0) {
            s->quick = true;
        } else if (strcmp(argv[i], "--type") == 0 && i + 1 < argc) {
            if (gln_precision_parse(&s->precision, argv[++i]) != GLN_OK) return false;
        } else if (strcmp(argv[i], "--tuning") == 0 && i + 1 < argc) {
            s->tuning = argv[++i];
        } else {
            return false;
        }
    }
    return s->batch > 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Images a second of each round, sorted. */
static gln_status measure(double *rates, int n_rounds, gln_backend *backend, gln_plan *plan, size_t batch)
{
    int a_time = n_rounds == 1 ? 1 : 4;
    gln_status st = GLN_OK;
    for (int i = 0; i < 3 && st == GLN_OK; i++)
        st = plan->class->plan_launch(plan); /* step by step, recorded, as a graph */
    if (st == GLN_OK) st = gln_cuda_wait(backend->stream);
    for (int r = 0; r < n_rounds && st == GLN_OK; r++) {
        double start = gln_clock_monotonic_s(), took = 0, n = 0;
        while (st == GLN_OK && took < (n_rounds == 1 ? 1e-9 : round_s)) {
            for (int i = 0; i < a_time && st == GLN_OK; i++) st = plan->class->plan_launch(plan);
            if (st == GLN_OK) st = gln_cuda_wait(backend->stream);
            n += a_time;
            took = gln_clock_monotonic_s() - start;
        }
        rates[r] = n * (double)batch / took;
    }
    qsort(rates, (size_t)n_rounds, sizeof *rates, by_value);
    return st;
}

static gln_status print_layers(gln_plan *plan, double ceiling, size_t n_runs)
{
    size_t n = gln_gpu_steps(plan);
    float *ms = NULL;
    double total = 0;
    gln_status st = gln_alloc(&ms, n, sizeof *ms, "times");
    if (st == GLN_OK) st = gln_gpu_time_steps(plan, ms, n_runs);
    for (size_t i = 0; i < n && st == GLN_OK; i++) total += (double)ms[i];
    if (st == GLN_OK)
        printf("%8s %6s %8s %8s  %-12s %-24s %s\n", "us", "share", "ceiling", "GB/s", "kernel", "way", "node");
    for (size_t i = 0; i < n && st == GLN_OK; i++) {
        const char *node, *type, *kernel, *way;
        double multiply_adds, bytes, seconds = (double)ms[i] / 1000;
        gln_gpu_step_words(plan, i, &node, &type, &kernel, &way);
        gln_gpu_step_work(plan, i, &multiply_adds, &bytes);
        printf("%8.1f %5.1f%% %7.1f%% %8.0f  %-12s %-24s %s (%s)\n", (double)ms[i] * 1000, 100 * (double)ms[i] / total,
               ceiling > 0 && seconds > 0 ? 100 * 2 * multiply_adds / seconds / ceiling : 0,
               seconds > 0 ? bytes / seconds / 1e9 : 0, kernel, way, node, type);
    }
    if (st == GLN_OK) printf("%8.1f us in %zu steps, each alone\n", total * 1000, n);
    gln_free(ms);
    return st;
}

int main(int argc, char **argv)
{
    settings s;
    gln_backend *backend = NULL;
    gln_plan *plan = NULL;
    gln_net *net = NULL, *instance = NULL;
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    double rates[ROUNDS], ceiling = 0;
    gln_cuda_device device;
    if (!parse(&s, argc, argv)) {
        fprintf(stderr, "usage: %s MODEL OUTPUT BATCH [--layers] [--type f16|bf16|f32] [--tuning FILE] [--quick]\n",
                argv[0]);
        return 2;
    }
    if (gln_cuda_probe_once()->state != GLN_CUDA_READY) {
        fprintf(stderr, "skipped: %s\n", gln_cuda_probe_once()->why);
        return 77;
    }
    gln_status st =
        gln_backend_create(&backend, &(gln_backend_options){.kind = GLN_BACKEND_CUDA, .precision = s.precision});
    if (st == GLN_OK) ((gln_gpu *)backend)->measures = !s.quick;
    if (st == GLN_OK && s.tuning != NULL) st = gln_gpu_keep_tuning(backend, s.tuning);
    if (st == GLN_OK) st = gln_cuda_describe(&device, 0);
    if (st == GLN_OK) st = gln_file_read(&bytes, &n_bytes, s.model, (size_t)1 << 32);
    if (st == GLN_OK) st = gln_onnx_read(&net, bytes, n_bytes, s.output, NULL);
    if (st == GLN_OK) st = gln_net_fold(net);
    if (st == GLN_OK) st = gln_net_instantiate(&instance, net, s.batch);
    if (st == GLN_OK) st = gln_net_fuse(instance);
    double start = gln_clock_monotonic_s();
    if (st == GLN_OK) st = gln_plan_create(&plan, backend, instance, false);
    double made_s = gln_clock_monotonic_s() - start;
    if (st == GLN_OK && !s.quick && gln_gpu_ceiling(backend, &ceiling) != GLN_OK) ceiling = 0;
    int n_rounds = s.quick ? 1 : ROUNDS;
    if (st == GLN_OK) st = measure(rates, n_rounds, backend, plan, s.batch);
    if (st == GLN_OK) {
        double rate = rates[n_rounds / 2], flops = 2 * plan->multiply_adds / (double)s.batch * rate;
        printf("{\"model\": \"%s\", \"device\": \"%s\", \"type\": \"%s\", \"batch\": %zu, \"images_per_s\": %.1f, "
               "\"least\": %.1f, \"most\": %.1f, "
               "\"tflops\": %.1f, \"ceiling_tflops\": %.1f, \"share\": %.3f, \"multiply_adds\": %.4g, \"memory_mib\": "
               "%.0f, \"steps\": %zu, "
               "\"load_s\": %.2f}\n",
               s.model, device.name, gln_precision_name(s.precision), s.batch, rate, rates[0], rates[n_rounds - 1],
               flops / 1e12, ceiling / 1e12, ceiling > 0 ? flops / ceiling : 0, plan->multiply_adds / (double)s.batch,
               (double)plan->memory_bytes / (1 << 20), gln_gpu_steps(plan), made_s);
        if (s.layers) st = print_layers(plan, ceiling, s.quick ? 1 : STEP_RUNS);
    }
    if (st != GLN_OK) fprintf(stderr, "%s\n", gln_message());
    gln_plan_free(plan);
    gln_backend_free(backend);
    gln_net_free(instance);
    gln_net_free(net);
    gln_free(bytes);
    return st == GLN_OK ? 0 : 1;
}
