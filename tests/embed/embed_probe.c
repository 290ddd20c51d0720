/*
 * Runs a backbone on raw tensors, so that a peer can be asked the same question:
 *
 *     embed_probe manifest.json input.f32 output.f32 [batch [threads [rounds [precision]]]]
 *
 * input.f32 holds [n, 3, side, side], output.f32 gets [n, d], both little-endian f32 without a header. With `rounds` it runs
 * all images that often and prints images a second of the best round.
 */
#include "common/clock.h"
#include "common/files.h"
#include "common/memory.h"
#include "embed/backbone.h"

#include <stdio.h>
#include <stdlib.h>

static size_t number(int argc, char **argv, int i, size_t otherwise)
{
    return argc > i ? (size_t)strtoul(argv[i], NULL, 10) : otherwise;
}

static gln_status run_all(gln_backbone *backbone, const float *input, size_t n, size_t batch, float *output)
{
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    size_t image = 3 * info->preprocess.side * info->preprocess.side;
    gln_status st = GLN_OK;
    for (size_t i = 0; st == GLN_OK && i < n; i += batch) {
        st = gln_backbone_run(backbone, input + i * image, n - i < batch ? n - i : batch, output + i * info->d);
    }
    return st;
}

int main(int argc, char **argv)
{
    gln_backbone *backbone = NULL;
    unsigned char *input = NULL;
    float *output = NULL;
    size_t n_bytes = 0, batch = number(argc, argv, 4, 16), rounds = number(argc, argv, 6, 0);
    gln_backbone_options options = {.max_batch = batch, .n_threads = number(argc, argv, 5, 0), .precision = GLN_PRECISION_F32};
    if (argc < 4) {
        fprintf(stderr, "embed_probe manifest.json input.f32 output.f32 [batch [threads [rounds [precision]]]]\n");
        return 2;
    }
    gln_status st = argc > 7 ? gln_precision_parse(&options.precision, argv[7]) : GLN_OK;
    if (st == GLN_OK) st = gln_backbone_load(&backbone, argv[1], &options);
    if (st == GLN_OK) st = gln_file_read(&input, &n_bytes, argv[2], (size_t)1 << 32);
    if (st != GLN_OK) goto cleanup;
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    size_t n = n_bytes / (3 * info->preprocess.side * info->preprocess.side * sizeof(float));
    if ((st = gln_alloc(&output, n, info->d * sizeof *output, "embeddings")) != GLN_OK) goto cleanup;
    if ((st = run_all(backbone, (const float *)input, n, batch, output)) != GLN_OK) goto cleanup;
    double best = 0;
    for (size_t i = 0; st == GLN_OK && i < rounds; i++) {
        double start = gln_clock_monotonic_s();
        st = run_all(backbone, (const float *)input, n, batch, output);
        double rate = (double)n / (gln_clock_monotonic_s() - start);
        if (rate > best) best = rate;
    }
    if (st != GLN_OK) goto cleanup;
    if (rounds != 0) printf("%.2f\n", best);
    fprintf(stderr, "%s: %zu parameters, %.1f MB weights, %.1f MB activations, %.0f M multiply-adds\n", info->name,
            info->n_parameters, (double)info->weights_bytes / 1e6, (double)info->activations_bytes / 1e6,
            info->multiply_adds / 1e6);
    st = gln_file_write_derived(argv[3], output, n * info->d * sizeof *output);

cleanup:
    if (st != GLN_OK) fprintf(stderr, "embed_probe: %s: %s\n", gln_status_name(st), gln_message());
    gln_backbone_free(backbone);
    gln_free(input);
    gln_free(output);
    return st == GLN_OK ? 0 : 1;
}
