/*
 * The trial: a few made-up images go through the network in f32 and in bf16. A processor with AVX512-BF16 but without
 * tile units (AMX) is slower in bf16 than in f32 through oneDNN 2.6 (measured: 110 GFLOP/s instead of 190 a core, 2000
 * with tile units), so having the instructions is not enough: times decide.
 *
 * A busy machine and a quiet one must come to the same, since vectors of two precisions never mix. So one thread
 * computes, as each does in a batch, and what counts is its time on a processor, not on the wall; runs alternate, so
 * that a slow spell meets both; and the shortest of each is compared (gln_precision_settled).
 */
#include "embed/precision.h"

#include "common/clock.h"
#include "common/memory.h"
#include "embed/trial_images.h"

#include <math.h>
#include <string.h>

enum { N_IMAGES = 2 };

/* What bf16 must reach: embeddings that mean the same, and time worth having two kinds of them. */
static const double least_agreement = 0.999, least_speed_up = 1.2;

static const char *const names[] = {"f32", "bf16", "auto", "f16"};

const char *gln_precision_name(gln_precision precision)
{
    return (size_t)precision < sizeof names / sizeof names[0] ? names[precision] : "unknown";
}

gln_status gln_precision_parse(gln_precision *out, const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (gln_precision)i;
        return GLN_OK;
    }
    return gln_fail(GLN_E_ARGUMENT, "precision %.40s: auto, f32, bf16 or f16 is possible", name);
}

bool gln_precision_settled(double *out_speed_up, const double *exact_s, const double *fast_s, size_t n)
{
    static const double clear = 1.15;
    double exact = INFINITY, fast = INFINITY;
    for (size_t i = 0; i < n; i++) {
        exact = fmin(exact, exact_s[i]);
        fast = fmin(fast, fast_s[i]);
    }
    double speed_up = *out_speed_up = exact / fast;
    bool is_clear = speed_up >= least_speed_up * clear || speed_up <= least_speed_up / clear;
    return n >= GLN_PRECISION_MAX_PAIRS || (n >= 3 && is_clear);
}

/* One image through the runner; the seconds that it took this thread. */
static gln_status time_run(gln_runner *runner, const float *input, float *output, double *out_s)
{
    double start = gln_clock_thread_s();
    gln_status st = gln_runner_run(runner, input, 1, output);
    *out_s = gln_clock_thread_s() - start;
    return st;
}

/* Both runners on two images in turn, until times are settled. */
static gln_status compare(gln_runner *exact, gln_runner *fast, gln_precision_trial *trial)
{
    float *input = NULL, *outputs[2] = {NULL, NULL};
    double exact_s[GLN_PRECISION_MAX_PAIRS], fast_s[GLN_PRECISION_MAX_PAIRS];
    const gln_shape *shape = gln_runner_input_shape(exact);
    size_t input_items = gln_shape_items(shape), output_items = gln_shape_items(gln_runner_output_shape(exact));
    gln_status st = gln_alloc(&input, N_IMAGES, input_items * sizeof *input, "trial");
    for (size_t i = 0; st == GLN_OK && i < 2; i++)
        st = gln_alloc(&outputs[i], output_items, sizeof *outputs[i], "trial");
    if (st != GLN_OK) goto cleanup;
    gln_trial_images(input, shape, N_IMAGES, GLN_TRIAL_SMOOTH);
    trial->agreement = 1;
    bool settled = false;
    for (size_t n = 0; !settled; n++) {
        const float *image = input + n % N_IMAGES * input_items;
        if ((st = time_run(exact, image, outputs[0], &exact_s[n])) != GLN_OK) goto cleanup;
        if ((st = time_run(fast, image, outputs[1], &fast_s[n])) != GLN_OK) goto cleanup;
        double same = gln_cosine(outputs[0], outputs[1], output_items);
        if (!isfinite(same)) same = -1; /* a network that bf16 overflows */
        if (same < trial->agreement) trial->agreement = same;
        settled = gln_precision_settled(&trial->speed_up, exact_s, fast_s, n + 1);
    }
    if (trial->agreement >= least_agreement && trial->speed_up >= least_speed_up) trial->chosen = GLN_PRECISION_BF16;

cleanup:
    gln_free(input);
    for (size_t i = 0; i < 2; i++) gln_free(outputs[i]);
    return st;
}

double gln_cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : aa == bb ? 1 : 0;
}

static gln_status create(gln_runner **out, const gln_net *graph, size_t max_batch, size_t n_threads,
                         gln_precision precision)
{
    gln_runner_options options = {max_batch, {.kind = GLN_BACKEND_CPU, .n_threads = n_threads, .precision = precision}};
    return gln_runner_create(out, graph, &options);
}

gln_status gln_precision_choose(gln_runner **out, gln_precision_trial *trial, const gln_net *graph, size_t max_batch,
                                size_t n_threads)
{
    gln_runner *exact = NULL, *fast = NULL;
    *trial = (gln_precision_trial){.chosen = GLN_PRECISION_F32, .agreement = NAN, .speed_up = NAN};
    if (!gln_backend_computes_in(GLN_BACKEND_CPU, GLN_PRECISION_BF16))
        return create(out, graph, max_batch, n_threads, GLN_PRECISION_F32);
    gln_status st = create(&exact, graph, 1, 1, GLN_PRECISION_F32);
    if (st == GLN_OK) st = create(&fast, graph, 1, 1, GLN_PRECISION_BF16);
    if (st == GLN_OK) st = compare(exact, fast, trial);
    gln_runner_free(exact);
    gln_runner_free(fast);
    if (st == GLN_E_UNSUPPORTED) st = GLN_OK; /* an operator that oneDNN lacks in bf16 */
    return st == GLN_OK ? create(out, graph, max_batch, n_threads, trial->chosen) : st;
}
