/*
 * The trial: a few images of noise whose neighbouring pixels are alike, as in photos, go through the network in f32 and in bf16. A
 * processor with AVX512-BF16 but without tile units (AMX) is slower in bf16 than in f32 through oneDNN 2.6 (measured: 110
 * GFLOP/s instead of 190 a core, 2000 with tile units), so having the instructions is not enough: the clock decides.
 */
#include "embed/precision.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/rng.h"
#include "common/threads.h"

#include <math.h>
#include <string.h>

enum { N_IMAGES = 2, N_ROUNDS = 2 };

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

/* Brown noise in both directions, scaled to about what normalised photos hold. */
void gln_precision_trial_images(float *input, const gln_shape *shape, size_t n)
{
    gln_rng rng;
    gln_rng_seed(&rng, 1);
    size_t width = shape->dims[3], height = shape->dims[2], n_planes = n * shape->dims[1];
    for (size_t p = 0; p < n_planes; p++) {
        float *plane = input + p * width * height;
        for (size_t i = 0; i < width * height; i++) {
            double left = i % width != 0 ? (double)plane[i - 1] : 0, above = i >= width ? (double)plane[i - width] : left;
            plane[i] = (float)(0.48 * (left + above) + 0.5 * gln_rng_normal(&rng));
        }
    }
}

/* Output [N_IMAGES, ..] and seconds of the best round, an image at a time. */
static gln_status time_runner(gln_runner *runner, const float *input, size_t input_items, float *output, size_t output_items,
                              double *out_s)
{
    gln_status st = GLN_OK;
    *out_s = INFINITY;
    for (size_t round = 0; round < N_ROUNDS && st == GLN_OK; round++) {
        double start = gln_clock_monotonic_s();
        for (size_t i = 0; i < N_IMAGES && st == GLN_OK; i++) {
            st = gln_runner_run(runner, input + i * input_items, 1, output + i * output_items);
        }
        double seconds = gln_clock_monotonic_s() - start;
        if (seconds < *out_s) *out_s = seconds;
    }
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

static gln_status create(gln_runner **out, const gln_net *graph, size_t max_batch, size_t n_threads, gln_precision precision)
{
    gln_runner_options options = {max_batch, {.kind = GLN_BACKEND_CPU, .n_threads = n_threads, .precision = precision}};
    return gln_runner_create(out, graph, &options);
}

gln_status gln_precision_choose(gln_runner **out, gln_precision_trial *trial, const gln_net *graph, size_t max_batch,
                                size_t n_threads)
{
    gln_runner *exact = NULL, *fast = NULL;
    float *input = NULL, *outputs[2] = {NULL, NULL};
    double exact_s = 0, fast_s = 0;
    *trial = (gln_precision_trial){.chosen = GLN_PRECISION_F32, .agreement = NAN, .speed_up = NAN};
    if (!gln_backend_computes_in(GLN_BACKEND_CPU, GLN_PRECISION_BF16)) return create(out, graph, max_batch, n_threads, GLN_PRECISION_F32);
    /* The loser is not made ready for groups of images: that would be half of the time that the trial takes. */
    size_t threads = n_threads != 0 ? n_threads : gln_processors(), trial_batch = max_batch < threads ? max_batch : threads;
    gln_status st = create(&exact, graph, trial_batch, n_threads, GLN_PRECISION_F32);
    if (st != GLN_OK) goto cleanup;
    st = create(&fast, graph, max_batch, n_threads, GLN_PRECISION_BF16);
    if (st == GLN_E_UNSUPPORTED) { /* an operator that oneDNN lacks in bf16 */
        st = GLN_OK;
        goto cleanup;
    }
    if (st != GLN_OK) goto cleanup;
    const gln_shape *shape = gln_runner_input_shape(exact);
    size_t input_items = gln_shape_items(shape), output_items = gln_shape_items(gln_runner_output_shape(exact));
    if ((st = gln_alloc(&input, N_IMAGES, input_items * sizeof *input, "self-test")) != GLN_OK) goto cleanup;
    for (size_t i = 0; i < 2; i++) {
        if ((st = gln_alloc(&outputs[i], N_IMAGES, output_items * sizeof *outputs[i], "self-test")) != GLN_OK) goto cleanup;
    }
    gln_precision_trial_images(input, shape, N_IMAGES);
    if ((st = time_runner(exact, input, input_items, outputs[0], output_items, &exact_s)) != GLN_OK) goto cleanup;
    if ((st = time_runner(fast, input, input_items, outputs[1], output_items, &fast_s)) != GLN_OK) goto cleanup;
    trial->agreement = 1;
    for (size_t i = 0; i < N_IMAGES; i++) {
        double same = gln_cosine(outputs[0] + i * output_items, outputs[1] + i * output_items, output_items);
        if (!isfinite(same)) same = -1; /* a network that bf16 overflows */
        if (same < trial->agreement) trial->agreement = same;
    }
    trial->speed_up = exact_s / fast_s;
    if (trial->agreement >= least_agreement && trial->speed_up >= least_speed_up) trial->chosen = GLN_PRECISION_BF16;

cleanup:
    if (st == GLN_OK && trial->chosen == GLN_PRECISION_BF16) {
        *out = fast;
        fast = NULL;
    } else if (st == GLN_OK && trial_batch == max_batch) {
        *out = exact;
        exact = NULL;
    } else if (st == GLN_OK) {
        st = create(out, graph, max_batch, n_threads, GLN_PRECISION_F32);
    }
    gln_runner_free(exact);
    gln_runner_free(fast);
    gln_free(input);
    for (size_t i = 0; i < 2; i++) gln_free(outputs[i]);
    return st;
}
