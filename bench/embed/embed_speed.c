/*
 * How fast a backbone runs here, on inputs of noise, as one line of JSON:
 *
 *     embed_speed MANIFEST BATCH THREADS SECONDS [PRECISION]
 *
 *     embed_speed --ceiling THREADS      floating-point operations a second of a matrix product, {"f32": .., "bf16": ..}
 *
 * {"images_per_second": [one for each round of a fifth of SECONDS], "cpu_ms_per_image": .., "load_s": .., "weights_bytes": ..,
 *  "activations_bytes": .., "peak_bytes": .., "multiply_adds": .., "precision": ".."}
 */
#include "common/clock.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/rng.h"
#include "embed/backbone.h"
#include "embed/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { N_ROUNDS = 5 };

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           1e-6 * ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec);
}

/* Rounds of `seconds` each after one image to warm up; *out_n images in all. */
static gln_status measure(gln_backbone *backbone, const float *input, size_t batch, double seconds, float *output, gln_json *rates,
                          size_t *out_n)
{
    gln_status st = GLN_OK;
    *out_n = 0;
    for (size_t round = 0; round < N_ROUNDS && st == GLN_OK; round++) {
        double start = gln_clock_monotonic_s(), now = start;
        size_t n = 0;
        while (st == GLN_OK && now - start < seconds) {
            st = gln_backbone_run(backbone, input, batch, output);
            now = gln_clock_monotonic_s();
            n += batch;
        }
        gln_json_push(rates, gln_json_new_number((double)n / (now - start)));
        *out_n += n;
    }
    return st;
}

static int print_ceiling(size_t n_threads)
{
    gln_json *json = gln_json_object();
    gln_status st = GLN_OK;
    for (gln_precision precision = GLN_PRECISION_F32; st == GLN_OK && precision <= GLN_PRECISION_BF16; precision++) {
        gln_backend *backend = NULL;
        double flops = 0;
        if (precision == GLN_PRECISION_BF16 && !gln_backend_computes_in(GLN_BACKEND_CPU, precision)) continue;
        st = gln_backend_create(&backend, &(gln_backend_options){.n_threads = n_threads, .precision = precision});
        if (st == GLN_OK) st = gln_backend_ceiling(backend, &flops);
        gln_backend_free(backend);
        gln_json_set_number(json, gln_precision_name(precision), flops);
    }
    char *text = gln_json_print(json, false);
    if (st != GLN_OK) fprintf(stderr, "embed_speed: %s\n", gln_message());
    else if (text != NULL) puts(text);
    gln_free(text);
    gln_json_free(json);
    return st == GLN_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--ceiling") == 0) return print_ceiling((size_t)strtoul(argv[2], NULL, 10));
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "embed_speed MANIFEST BATCH THREADS SECONDS [PRECISION]\n");
        return 2;
    }
    size_t batch = (size_t)strtoul(argv[2], NULL, 10), n = 0;
    gln_backbone_options options = {.max_batch = batch, .n_threads = (size_t)strtoul(argv[3], NULL, 10), .precision = GLN_PRECISION_F32};
    gln_backbone *backbone = NULL;
    float *input = NULL, *output = NULL;
    gln_rng rng;
    double start = gln_clock_monotonic_s();
    gln_status st = argc == 6 ? gln_precision_parse(&options.precision, argv[5]) : GLN_OK;
    if (st == GLN_OK) st = gln_backbone_load(&backbone, argv[1], &options);
    if (st != GLN_OK) goto cleanup;
    double load_s = gln_clock_monotonic_s() - start;
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    size_t image = 3 * info->preprocess.side * info->preprocess.side;
    if ((st = gln_alloc(&input, batch, image * sizeof *input, "input")) != GLN_OK) goto cleanup;
    if ((st = gln_alloc(&output, batch, info->d * sizeof *output, "output")) != GLN_OK) goto cleanup;
    gln_rng_seed(&rng, 1);
    for (size_t i = 0; i < batch * image; i++) input[i] = (float)gln_rng_normal(&rng);

    if ((st = gln_backbone_run(backbone, input, batch, output)) != GLN_OK) goto cleanup;
    gln_json *json = gln_json_object(), *rates = gln_json_array();
    double cpu = cpu_s();
    st = measure(backbone, input, batch, strtod(argv[4], NULL) / N_ROUNDS, output, rates, &n);
    cpu = cpu_s() - cpu;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    gln_json_set(json, "images_per_second", rates);
    gln_json_set_number(json, "cpu_ms_per_image", 1e3 * cpu / (double)n);
    gln_json_set_number(json, "load_s", load_s);
    gln_json_set_number(json, "weights_bytes", (double)info->weights_bytes);
    gln_json_set_number(json, "activations_bytes", (double)info->activations_bytes);
    gln_json_set_number(json, "peak_bytes", 1024.0 * (double)usage.ru_maxrss);
    gln_json_set_string(json, "precision", gln_precision_name(info->precision));
    gln_json_set_number(json, "agreement", info->agreement);
    gln_json_set_number(json, "multiply_adds", info->multiply_adds);
    char *text = gln_json_print(json, false);
    if (text != NULL) puts(text);
    gln_free(text);
    gln_json_free(json);

cleanup:
    if (st != GLN_OK) fprintf(stderr, "embed_speed: %s: %s\n", argv[1], gln_message());
    gln_backbone_free(backbone);
    gln_free(input);
    gln_free(output);
    return st == GLN_OK ? 0 : 1;
}
