/* What a backbone computes in, where its embedding is taken from, and that neither batches nor threads show in it. */
#include "common/hash.h"
#include "common/memory.h"
#include "common/rng.h"
#include "embed/backbone.h"
#include "embed/onnx.h"
#include "embed/precision.h"
#include "embed/runner.h"
#include "embed/selftest.h"
#include "tests/embed/onnx_builder.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 24, C = 32, PLACES = SIDE * SIDE, IMAGE = 3 * SIDE * SIDE, N = 16 };

static char folder[GLN_PATH_MAX], manifest[GLN_PATH_MAX];
static float input[N * IMAGE];

static void write_manifest(const char *output, size_t d, const char *more, const char *sha256)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"name\": \"twice\", \"model\": \"twice.onnx\", \"sha256\": \"%s\", \"input\": {\"side\": %d, \"resize\": {\"filter\": "
             "\"bilinear\", \"mode\": \"stretch\", \"scale\": 1}, \"mean\": [0, 0, 0], \"std\": [1, 1, 1]}, \"output\": \"%s\", "
             "\"dimension\": %zu, \"licence\": \"CC0-1.0\", \"source\": \"a test\"%s}",
             sha256, SIDE, output, d, more);
    gln_ok(gln_file_write(manifest, text, strlen(text)));
}

static char sha256_hex[GLN_SHA256_HEX];

static float *random_floats(onnx_builder *b, gln_rng *rng, size_t n, double scale)
{
    float *values = onnx_memory(b, n * sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = (float)(scale * gln_rng_normal(rng));
    return values;
}

/* Two 3 x 3 convolutions, the second wide enough for Winograd's algorithm; then a mean, and the map as a sequence beside it. */
static void setup(void)
{
    gln_rng rng;
    char path[GLN_PATH_MAX];
    uint8_t sha256[GLN_SHA256_BYTES];
    size_t n_bytes = 0;
    gln_test_folder(folder);
    gln_ok(gln_path_join(manifest, folder, "twice.json"));
    onnx_builder *b = onnx_builder_create();
    gln_rng_seed(&rng, 5);
    onnx_input(b, "input", 4, (size_t[]){0, 3, SIDE, SIDE});
    onnx_floats(b, "w1", 4, (size_t[]){C, 3, 3, 3}, random_floats(b, &rng, C * 27, 0.2));
    onnx_floats(b, "w2", 4, (size_t[]){C, C, 3, 3}, random_floats(b, &rng, C * C * 9, 0.06));
    onnx_floats(b, "b2", 1, (size_t[]){C}, random_floats(b, &rng, C, 0.1));
    onnx_ints_attribute(b, onnx_node(b, "Conv", "conv1", "input,w1", "c1"), "pads", 4, (int64_t[]){1, 1, 1, 1});
    onnx_node(b, "Relu", "relu1", "c1", "a1");
    onnx_ints_attribute(b, onnx_node(b, "Conv", "conv2", "a1,w2,b2", "map"), "pads", 4, (int64_t[]){1, 1, 1, 1});
    onnx_node(b, "GlobalAveragePool", "pool", "map", "p");
    onnx_node(b, "Flatten", "flat", "p", "embedding");
    onnx_ints(b, "shape", 3, (int64_t[]){0, C, PLACES});
    onnx_node(b, "Reshape", "reshape", "map,shape", "sequence");
    const unsigned char *bytes = onnx_pack(b, &n_bytes);
    gln_ok(gln_path_join(path, folder, "twice.onnx"));
    gln_ok(gln_file_write(path, bytes, n_bytes));
    gln_sha256(sha256, bytes, n_bytes);
    gln_hex(sha256_hex, sha256, sizeof sha256);
    onnx_builder_free(b);
    write_manifest("embedding", C, "", sha256_hex);
    gln_rng_seed(&rng, 9);
    for (size_t i = 0; i < N * IMAGE; i++) input[i] = (float)gln_rng_normal(&rng);
}

/* Embeddings [N, d] in batches of `batch`; the caller frees them. */
static float *embed(const gln_backbone_options *options, size_t batch, gln_backbone_info *out_info)
{
    gln_backbone *backbone = NULL;
    float *out = NULL;
    gln_ok(gln_backbone_load(&backbone, manifest, options));
    *out_info = *gln_backbone_info_of(backbone);
    gln_ok(gln_alloc(&out, N * out_info->d, sizeof *out, "test"));
    for (size_t i = 0; i < N; i += batch) {
        gln_ok(gln_backbone_run(backbone, input + i * IMAGE, N - i < batch ? N - i : batch, out + i * out_info->d));
    }
    gln_backbone_free(backbone);
    return out;
}

START_TEST(batch__neither_its_size_nor_the_threads_show_in_an_embedding)
{
    static const size_t batches[] = {1, 2, 3, 5, 8, 16}, threads[] = {1, 2, 3};
    for (gln_precision precision = GLN_PRECISION_F32; precision <= GLN_PRECISION_BF16; precision++) {
        gln_backbone_info info;
        gln_backbone *backbone = NULL;
        gln_backbone_options options = {.max_batch = 1, .n_threads = 1, .precision = precision};
        if (gln_backbone_load(&backbone, manifest, &options) == GLN_E_UNSUPPORTED) continue; /* no bf16 here */
        gln_backbone_free(backbone);
        float *first = embed(&options, 1, &info);
        for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
            for (size_t j = 0; j < sizeof threads / sizeof threads[0]; j++) {
                options.max_batch = batches[i];
                options.n_threads = threads[j];
                float *other = embed(&options, batches[i], &info);
                ck_assert_msg(memcmp(first, other, N * info.d * sizeof *first) == 0, "%s, batches of %zu on %zu threads",
                              gln_precision_name(precision), batches[i], threads[j]);
                gln_free(other);
            }
        }
        gln_free(first);
    }
}
END_TEST

START_TEST(precision__bf16_is_another_identity_and_means_the_same)
{
    gln_backbone *exact = NULL, *fast = NULL;
    gln_self_test test;
    double cosine = 0;
    gln_backbone_options options = {.max_batch = 2, .n_threads = 1, .precision = GLN_PRECISION_BF16};
    gln_status st = gln_backbone_load(&fast, manifest, &options);
    if (st == GLN_E_UNSUPPORTED) {
        gln_message_has("precision f32");
        gln_test_skip("bf16 (this processor has none)");
        return;
    }
    gln_ok(st);
    options.precision = GLN_PRECISION_F32;
    gln_ok(gln_backbone_load(&exact, manifest, &options));
    const gln_backbone_info *a = gln_backbone_info_of(exact), *b = gln_backbone_info_of(fast);
    ck_assert_int_eq(a->precision, GLN_PRECISION_F32);
    ck_assert_int_eq(b->precision, GLN_PRECISION_BF16);
    ck_assert(memcmp(a->identity, b->identity, sizeof a->identity) != 0);
    ck_assert_uint_lt(b->weights_bytes, a->weights_bytes);
    gln_ok(gln_backbone_self_test(fast, &test));
    ck_assert_float_gt(test.embedding_norm, 0);
    gln_ok(gln_backbone_agreement(exact, fast, &cosine));
    ck_assert_double_gt(cosine, 0.999);
    ck_assert_double_lt(cosine, 1); /* it does compute in something else */
    gln_backbone_free(exact);
    gln_backbone_free(fast);
}
END_TEST

START_TEST(precision__auto_goes_on_in_the_one_that_is_there)
{
    gln_backbone *backbone = NULL;
    for (gln_precision there = GLN_PRECISION_F32; there <= GLN_PRECISION_BF16; there++) {
        uint8_t identity[32];
        gln_backbone_options options = {.max_batch = 1, .n_threads = 1, .precision = there};
        if (gln_backbone_load(&backbone, manifest, &options) == GLN_E_UNSUPPORTED) continue;
        memcpy(identity, gln_backbone_info_of(backbone)->identity, sizeof identity);
        gln_backbone_free(backbone);
        options.precision = GLN_PRECISION_AUTO;
        options.identity = identity;
        gln_ok(gln_backbone_load(&backbone, manifest, &options));
        ck_assert_int_eq(gln_backbone_info_of(backbone)->precision, there);
        ck_assert(isnan(gln_backbone_info_of(backbone)->speed_up)); /* nothing was measured */
        gln_backbone_free(backbone);
    }
    /* Measured, it is one of the two, and says which. */
    gln_backbone_options options = {.max_batch = 1, .n_threads = 1, .precision = GLN_PRECISION_AUTO};
    gln_ok(gln_backbone_load(&backbone, manifest, &options));
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    ck_assert(info->precision != GLN_PRECISION_AUTO);
    if (info->precision == GLN_PRECISION_BF16) ck_assert(info->speed_up >= 1 && info->agreement >= 0.999);
    gln_backbone_free(backbone);
}
END_TEST

static void near(const float *a, const float *b, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(fabsf(a[i] - b[i]) <= 1e-5f + 1e-4f * fabsf(b[i]), "%s: %g at %zu, not %g", what, (double)a[i], i, (double)b[i]);
    }
}

START_TEST(tensor__any_inside_the_network_pooled_as_asked)
{
    gln_backbone_info info;
    gln_pooling pooling;
    gln_backbone_options options = {.max_batch = 4, .n_threads = 2};
    float *embedding = embed(&options, 4, &info);
    uint8_t plain_identity[32];
    memcpy(plain_identity, info.identity, sizeof plain_identity);
    options.tensor = "map";
    float *map = embed(&options, 4, &info);
    ck_assert_uint_eq(info.d, C * PLACES);

    options.pooling = &pooling;
    gln_ok(gln_pooling_parse(&pooling, "average"));
    float *average = embed(&options, 4, &info);
    ck_assert_uint_eq(info.d, C);
    ck_assert(memcmp(info.identity, plain_identity, sizeof plain_identity) != 0);
    near(average, embedding, N * C, "the mean of the map");

    gln_ok(gln_pooling_parse(&pooling, "gem:2.5"));
    float *gem = embed(&options, 3, &info), expected[C];
    for (size_t i = 0; i < N; i++) {
        for (size_t c = 0; c < C; c++) {
            double sum = 0;
            for (size_t j = 0; j < PLACES; j++) sum += pow(fmax((double)map[(i * C + c) * PLACES + j], 1e-6), 2.5);
            expected[c] = (float)pow(sum / PLACES, 1 / 2.5);
        }
        near(gem + i * C, expected, C, "GeM");
    }

    options.tensor = "sequence"; /* the map's channels as tokens */
    gln_ok(gln_pooling_parse(&pooling, "cls"));
    float *cls = embed(&options, 4, &info);
    ck_assert_uint_eq(info.d, PLACES);
    for (size_t i = 0; i < N; i++) near(cls + i * PLACES, map + i * C * PLACES, PLACES, "the first token");
    gln_ok(gln_pooling_parse(&pooling, "average"));
    float *tokens = embed(&options, 4, &info), column[PLACES];
    for (size_t j = 0; j < PLACES; j++) {
        double sum = 0;
        for (size_t c = 0; c < C; c++) sum += (double)map[c * PLACES + j];
        column[j] = (float)(sum / C);
    }
    near(tokens, column, PLACES, "the mean of the tokens");
    float *all[] = {embedding, map, average, gem, cls, tokens};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) gln_free(all[i]);
}
END_TEST

START_TEST(tensor__the_manifest_says_it_as_well)
{
    gln_backbone_info by_option, by_manifest;
    gln_pooling pooling;
    gln_ok(gln_pooling_parse(&pooling, "gem"));
    gln_backbone_options options = {.max_batch = 4, .n_threads = 1, .tensor = "map", .pooling = &pooling};
    float *one = embed(&options, 4, &by_option);
    write_manifest("map", C, ", \"pooling\": \"gem:3\"", sha256_hex);
    options = (gln_backbone_options){.max_batch = 4, .n_threads = 1};
    float *other = embed(&options, 4, &by_manifest);
    ck_assert(memcmp(by_option.identity, by_manifest.identity, sizeof by_option.identity) == 0);
    ck_assert(memcmp(one, other, N * C * sizeof *one) == 0);
    gln_free(one);
    gln_free(other);
}
END_TEST

START_TEST(tensor__what_makes_no_sense_is_refused_by_name)
{
    gln_backbone *backbone = NULL;
    gln_pooling pooling;
    static const char *const bad[] = {"", "mean", "gem:", "gem:0", "gem:nan", "gem:3x", "gem:1e9", "GEM"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) gln_fails(gln_pooling_parse(&pooling, bad[i]), GLN_E_ARGUMENT);
    gln_ok(gln_pooling_parse(&pooling, "cls"));
    gln_backbone_options options = {.max_batch = 4, .n_threads = 1, .tensor = "map", .pooling = &pooling};
    gln_fails(gln_backbone_load(&backbone, manifest, &options), GLN_E_FORMAT);
    gln_message_has("map");
    options = (gln_backbone_options){.max_batch = 4, .n_threads = 1, .tensor = "nowhere"};
    gln_fails(gln_backbone_load(&backbone, manifest, &options), GLN_E_NOT_FOUND);
    gln_message_has("nowhere");
    write_manifest("map", C + 1, ", \"pooling\": \"average\"", sha256_hex);
    options = (gln_backbone_options){.max_batch = 4, .n_threads = 1};
    gln_fails(gln_backbone_load(&backbone, manifest, &options), GLN_E_FORMAT);
    gln_message_has("dimension 33");
    write_manifest("map", C, ", \"pooling\": \"mean\"", sha256_hex);
    gln_fails(gln_backbone_load(&backbone, manifest, &options), GLN_E_FORMAT);
    gln_message_has("pooling");
    ck_assert_ptr_null(backbone);
}
END_TEST

/*
 * A convolution whose 64 channels are nearly alike, then their differences, a thousandth of them: whatever the first one's sums are off
 * by is a thousand times as much of the result. `wide`: 5 x 5 with zeros around, the same convolution, which Winograd's algorithm is
 * not for.
 */
static gln_net *amplifying_net(bool wide)
{
    enum { MANY = 64 };
    gln_rng rng;
    gln_net *net = NULL;
    size_t n_bytes = 0, k = wide ? 5 : 3;
    onnx_builder *b = onnx_builder_create();
    gln_rng_seed(&rng, 5);
    float *first = onnx_memory(b, MANY * MANY * k * k * sizeof *first), *second = onnx_memory(b, MANY * MANY * sizeof *second);
    for (size_t i = 0; i < MANY * MANY * 9; i++) {
        size_t at = i / 9 * k * k + (i % 9 / 3 + wide) * k + i % 3 + wide;
        first[at] = (float)(1 + 1e-3 * gln_rng_normal(&rng));
    }
    for (size_t i = 0; i < MANY; i++) {
        second[i * MANY + i] = 1;
        second[i * MANY + (i + 1) % MANY] = -1;
    }
    int64_t pad = wide ? 2 : 1;
    onnx_input(b, "input", 4, (size_t[]){0, MANY, SIDE, SIDE});
    onnx_floats(b, "w", 4, (size_t[]){MANY, MANY, k, k}, first);
    onnx_floats(b, "apart", 4, (size_t[]){MANY, MANY, 1, 1}, second);
    onnx_ints_attribute(b, onnx_node(b, "Conv", "alike", "input,w", "x"), "pads", 4, (int64_t[]){pad, pad, pad, pad});
    onnx_node(b, "Conv", "apart", "x,apart", "y");
    onnx_node(b, "Relu", "relu", "y", "embedding");
    const unsigned char *bytes = onnx_pack(b, &n_bytes);
    gln_ok(gln_onnx_read(&net, bytes, n_bytes, "embedding", NULL));
    onnx_builder_free(b);
    return net;
}

/* How far the processor's fast kernels are from the plain sums, relative. */
static double error_of(gln_net *net)
{
    float *image = NULL, *out[2] = {NULL, NULL};
    const gln_backend_kind kinds[2] = {GLN_BACKEND_PLAIN, GLN_BACKEND_CPU};
    double off_sq = 0, all_sq = 0;
    for (size_t i = 0; i < 2; i++) {
        gln_runner *runner = NULL;
        gln_runner_options options = {1, {.kind = kinds[i], .n_threads = 1}};
        gln_ok(gln_runner_create(&runner, net, &options));
        size_t n_in = gln_shape_items(gln_runner_input_shape(runner)), n = gln_shape_items(gln_runner_output_shape(runner));
        if (image == NULL) gln_ok(gln_alloc(&image, n_in, sizeof *image, "test"));
        for (size_t j = 0; j < n_in; j++) image[j] = input[j % (N * IMAGE)];
        gln_ok(gln_alloc(&out[i], n, sizeof *out[i], "test"));
        gln_ok(gln_runner_run(runner, image, 1, out[i]));
        for (size_t j = 0; i == 1 && j < n; j++) {
            double off = (double)out[1][j] - (double)out[0][j];
            off_sq += off * off;
            all_sq += (double)out[0][j] * (double)out[0][j];
        }
        gln_runner_free(runner);
    }
    gln_free(image);
    for (size_t i = 0; i < 2; i++) gln_free(out[i]);
    gln_net_free(net);
    return sqrt(off_sq / all_sq);
}

START_TEST(winograd__is_given_up_where_a_network_amplifies_its_error)
{
    double direct = error_of(amplifying_net(true)), ours = error_of(amplifying_net(false));
    ck_assert_double_gt(direct, 1e-6); /* it does amplify */
    ck_assert_msg(ours < 2 * direct, "off by %.2g, direct sums by %.2g", ours, direct);
}
END_TEST

/* Times of a network that is `ratio` times as fast in bf16, where the other runs of a busy machine are up to nine times too long. */
static double decide(double ratio, uint64_t seed, size_t *out_n)
{
    double exact_s[GLN_PRECISION_MAX_PAIRS], fast_s[GLN_PRECISION_MAX_PAIRS], speed_up = 0;
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    for (size_t n = 0;; n++) {
        bool quiet = n == 1; /* one undisturbed pair is enough */
        exact_s[n] = ratio * (quiet ? 1 : 1 + 8 * gln_rng_uniform(&rng));
        fast_s[n] = quiet ? 1 : 1 + 8 * gln_rng_uniform(&rng);
        if (!gln_precision_settled(&speed_up, exact_s, fast_s, n + 1)) continue;
        *out_n = n + 1;
        return speed_up;
    }
}

START_TEST(auto__a_busy_machine_decides_as_a_quiet_one)
{
    static const double ratios[] = {0.5, 0.6, 1, 1.19, 1.21, 1.5, 2, 5};
    for (size_t i = 0; i < sizeof ratios / sizeof ratios[0]; i++) {
        for (uint64_t seed = 1; seed <= 50; seed++) {
            size_t n = 0;
            double speed_up = decide(ratios[i], seed, &n);
            ck_assert_double_eq_tol(speed_up, ratios[i], 1e-12);
            bool near = ratios[i] > 1.2 / 1.15 && ratios[i] < 1.2 * 1.15;
            ck_assert_uint_eq(n, near ? GLN_PRECISION_MAX_PAIRS : 3);
        }
    }
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("precision");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, NULL);
    tcase_add_test(cases, batch__neither_its_size_nor_the_threads_show_in_an_embedding);
    tcase_add_test(cases, precision__bf16_is_another_identity_and_means_the_same);
    tcase_add_test(cases, precision__auto_goes_on_in_the_one_that_is_there);
    tcase_add_test(cases, winograd__is_given_up_where_a_network_amplifies_its_error);
    tcase_add_test(cases, auto__a_busy_machine_decides_as_a_quiet_one);
    tcase_add_test(cases, tensor__any_inside_the_network_pooled_as_asked);
    tcase_add_test(cases, tensor__the_manifest_says_it_as_well);
    tcase_add_test(cases, tensor__what_makes_no_sense_is_refused_by_name);
    Suite *suite = suite_create("precision");
    suite_add_tcase(suite, cases);
    return gln_test_main(suite);
}
