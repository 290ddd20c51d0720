/* Backbones: manifests field by field, the model behind one, and that an embedding depends on its image alone. */
#include "common/hash.h"
#include "common/memory.h"
#include "common/rng.h"
#include "embed/backbone.h"
#include "tests/embed/onnx_builder.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char manifest_text[] =
    "{\"name\": \"small\", \"model\": \"small.onnx\", \"sha256\": \"%s\", \"input\": {\"side\": 16, \"resize\": {\"filter\": "
    "\"bilinear\", \"mode\": \"crop\", \"scale\": 0.875}, \"mean\": [0.5, 0.25, 0.125], \"std\": [1, 0.5, 0.25]}, \"output\": "
    "\"embedding\", \"dimension\": 24, \"licence\": \"CC0-1.0\", \"source\": \"a test\"}";

enum { SIDE = 16, D = 24, IMAGE = 3 * SIDE * SIDE };

static char folder[GLN_PATH_MAX], manifest[GLN_PATH_MAX];
static char sha256_hex[GLN_SHA256_HEX];

static void write_text(const char *text)
{
    gln_ok(gln_file_write(manifest, text, strlen(text)));
}

/* A convolution, an activation, a pooling; its weights scaled by `scale`. */
static void write_model(double scale)
{
    gln_rng rng;
    char path[GLN_PATH_MAX];
    uint8_t sha256[GLN_SHA256_BYTES];
    float weights[D * 27], bias[D];
    size_t n_bytes = 0;
    onnx_builder *b = onnx_builder_create();
    gln_rng_seed(&rng, 5);
    for (size_t i = 0; i < D * 27; i++) weights[i] = (float)(scale * gln_rng_normal(&rng));
    for (size_t i = 0; i < D; i++) bias[i] = (float)gln_rng_normal(&rng);
    onnx_input(b, "input", 4, (size_t[]){0, 3, SIDE, SIDE});
    onnx_floats(b, "w", 4, (size_t[]){D, 3, 3, 3}, weights);
    onnx_floats(b, "b", 1, (size_t[]){D}, bias);
    onnx_ints_attribute(b, onnx_node(b, "Conv", "conv", "input,w,b", "c"), "strides", 2, (int64_t[]){2, 2});
    onnx_node(b, "HardSwish", "act", "c", "a");
    onnx_node(b, "GlobalAveragePool", "pool", "a", "p");
    onnx_node(b, "Flatten", "flat", "p", "embedding");
    const unsigned char *bytes = onnx_pack(b, &n_bytes);
    gln_ok(gln_path_join(path, folder, "small.onnx"));
    gln_ok(gln_file_write(path, bytes, n_bytes));
    gln_sha256(sha256, bytes, n_bytes);
    gln_hex(sha256_hex, sha256, sizeof sha256);
    onnx_builder_free(b);
}

static void setup(void)
{
    char text[1024];
    gln_test_folder(folder);
    gln_ok(gln_path_join(manifest, folder, "small.json"));
    write_model(0.2);
    snprintf(text, sizeof text, manifest_text, sha256_hex);
    write_text(text);
}

/* The manifest with the first `from` in it replaced by `to`. */
static void write_changed(const char *from, const char *to)
{
    char text[2048], changed[4096];
    snprintf(text, sizeof text, manifest_text, sha256_hex);
    const char *at = strstr(text, from);
    ck_assert_msg(at != NULL, "the manifest lacks %s", from);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    write_text(changed);
}

static gln_status load(gln_backbone **out, size_t max_batch, size_t n_threads)
{
    gln_backbone_options options = {.max_batch = max_batch, .n_threads = n_threads};
    return gln_backbone_load(out, manifest, &options);
}

/* The model again, its input with the channels last, as TensorFlow writes it. */
static void write_channels_last(void)
{
    char path[GLN_PATH_MAX], text[1024];
    uint8_t sha256[GLN_SHA256_BYTES];
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    onnx_builder *b = onnx_builder_create();
    gln_ok(gln_path_join(path, folder, "small.onnx"));
    gln_ok(gln_file_read(&bytes, &n_bytes, path, 1 << 20));
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, n_bytes, bytes);
    ck_assert_ptr_nonnull(model);
    gln_free(bytes);
    onnx_input(b, "images", 4, (size_t[]){0, SIDE, SIDE, 3});
    onnx_ints_attribute(b, onnx_node(b, "Transpose", "first", "images", "input"), "perm", 4, (int64_t[]){0, 3, 1, 2});
    for (size_t i = 0; i < model->graph->n_initializer; i++) onnx_initialiser(b, model->graph->initializer[i]);
    for (size_t i = 0; i < model->graph->n_node; i++) onnx_copy_node(b, model->graph->node[i]);
    const unsigned char *packed = onnx_pack(b, &n_bytes);
    gln_ok(gln_file_write(path, packed, n_bytes));
    gln_sha256(sha256, packed, n_bytes);
    gln_hex(sha256_hex, sha256, sizeof sha256);
    snprintf(text, sizeof text, manifest_text, sha256_hex);
    write_text(text);
    onnx__model_proto__free_unpacked(model, NULL);
    onnx_builder_free(b);
}

START_TEST(backbone__channels_last_give_the_same_embedding)
{
    gln_backbone *backbone = NULL;
    gln_rng rng;
    float input[IMAGE], first[D], last[D];
    gln_rng_seed(&rng, 3);
    for (size_t i = 0; i < IMAGE; i++) input[i] = (float)gln_rng_normal(&rng);
    gln_ok(load(&backbone, 1, 1));
    gln_ok(gln_backbone_run(backbone, input, 1, first));
    gln_backbone_free(backbone);
    write_channels_last();
    gln_ok(load(&backbone, 1, 1));
    gln_ok(gln_backbone_run(backbone, input, 1, last));
    gln_backbone_free(backbone);
    for (size_t i = 0; i < D; i++) ck_assert_float_eq_tol(first[i], last[i], 1e-6f);
}
END_TEST

START_TEST(backbone__threads_share_the_packed_weights)
{
    gln_backbone *one = NULL, *four = NULL;
    gln_ok(load(&one, 4, 1));
    gln_ok(load(&four, 4, 4));
    ck_assert_uint_eq(gln_backbone_info_of(one)->weights_bytes, gln_backbone_info_of(four)->weights_bytes);
    gln_backbone_free(one);
    gln_backbone_free(four);
}
END_TEST

START_TEST(manifest__every_field_reaches_the_backbone)
{
    gln_backbone *backbone = NULL;
    gln_ok(load(&backbone, 4, 1));
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    ck_assert_str_eq(info->name, "small");
    ck_assert_str_eq(info->licence, "CC0-1.0");
    ck_assert_uint_eq(info->d, D);
    ck_assert_uint_eq(info->preprocess.side, SIDE);
    ck_assert_int_eq(info->preprocess.fit, GLN_FIT_CROP);
    ck_assert_int_eq(info->preprocess.filter, GLN_FILTER_BILINEAR);
    ck_assert_double_eq(info->preprocess.crop_share, 0.875);
    ck_assert_float_eq(info->preprocess.mean[2], 0.125f);
    ck_assert_float_eq(info->preprocess.std[2], 0.25f);
    ck_assert_uint_eq(info->n_parameters, D * 27 + D);
    ck_assert_double_eq(info->multiply_adds, 7.0 * 7 * D * 27);
    ck_assert_uint_gt(info->weights_bytes, 0);
    ck_assert_uint_gt(info->activations_bytes, 0);
    gln_backbone_free(backbone);
}
END_TEST

typedef struct change {
    const char *from, *to;
    gln_status status;
    const char *word;
} change;

static const change changes[] = {
    {"\"name\": \"small\", ", "", GLN_E_FORMAT, "name is missing"},
    {"\"small\"", "7", GLN_E_FORMAT, "field name"},
    {"\"small\"", "\"\"", GLN_E_FORMAT, "field name"},
    {"\"small\"", "\"a\\nb\"", GLN_E_FORMAT, "control character"},
    {"\"mean\"", "\"Mean\"", GLN_E_FORMAT, "input.Mean is not one"},
    {"\"source\"", "\"sauce\"", GLN_E_FORMAT, "sauce is not one"},
    {"\"scale\"", "\"crop_pct\"", GLN_E_FORMAT, "input.resize.crop_pct is not one"},
    {"small.onnx", "../small.onnx", GLN_E_FORMAT, "without a folder"},
    {"small.onnx", "/etc/passwd", GLN_E_FORMAT, "without a folder"},
    {"small.onnx", "..", GLN_E_FORMAT, "without a folder"},
    {"small.onnx", "absent.onnx", GLN_E_NOT_FOUND, "absent.onnx"},
    {"\"sha256\": \"", "\"sha256\": \"00", GLN_E_FORMAT, "sha256"},
    {"\"side\": 16", "\"side\": 0", GLN_E_FORMAT, "input.side"},
    {"\"side\": 16", "\"side\": 16.5", GLN_E_FORMAT, "input.side"},
    {"\"side\": 16", "\"side\": 1e300", GLN_E_FORMAT, "input.side"},
    {"\"side\": 16", "\"side\": \"16\"", GLN_E_FORMAT, "input.side"},
    {"\"side\": 16", "\"side\": 32", GLN_E_FORMAT, "[n, 3, 32, 32]"},
    {"bilinear", "nearest", GLN_E_FORMAT, "input.resize.filter"},
    {"crop", "squash", GLN_E_FORMAT, "input.resize.mode"},
    {"0.875", "0", GLN_E_FORMAT, "input.resize.scale"},
    {"0.875", "1.5", GLN_E_FORMAT, "input.resize.scale"},
    {"[0.5, 0.25, 0.125]", "[0.5, 0.25]", GLN_E_FORMAT, "input.mean"},
    {"[0.5, 0.25, 0.125]", "0.5", GLN_E_FORMAT, "input.mean"},
    {"[1, 0.5, 0.25]", "[1, 0, 1]", GLN_E_FORMAT, "input.std"},
    {"[1, 0.5, 0.25]", "[1, -1, 1]", GLN_E_FORMAT, "input.std"},
    {"[1, 0.5, 0.25]", "[1, null, 1]", GLN_E_FORMAT, "input.std"},
    {"\"embedding\"", "\"embeddings\"", GLN_E_NOT_FOUND, "embeddings"},
    {"\"embedding\"", "\"a\"", GLN_E_FORMAT, "dimension 24"},
    {"\"embedding\"", "\"input\"", GLN_E_FORMAT, "input"},
    {"\"dimension\": 24", "\"dimension\": 25", GLN_E_FORMAT, "24 numbers"},
    {"\"dimension\": 24", "\"dimension\": -1", GLN_E_FORMAT, "dimension"},
    {"\"dimension\": 24", "\"dimension\": 1000000", GLN_E_FORMAT, "dimension"},
    {"{\"name\"", "[{\"name\"", GLN_E_FORMAT, "small.json"},
    {"\"input\": {", "\"input\": 3, \"x\": {", GLN_E_FORMAT, "x is not one"},
};

START_TEST(manifest__every_bad_field_is_named)
{
    gln_backbone *backbone = NULL;
    write_changed(changes[_i].from, changes[_i].to);
    gln_fails(load(&backbone, 4, 1), changes[_i].status);
    gln_message_has(changes[_i].word);
    ck_assert_ptr_null(backbone);
}
END_TEST

START_TEST(manifest__absent_empty_and_huge_files_are_refused)
{
    gln_backbone *backbone = NULL;
    static char large[100 * 1024];
    write_text("");
    gln_fails(load(&backbone, 4, 1), GLN_E_FORMAT);
    memset(large, ' ', sizeof large - 1);
    write_text(large);
    gln_fails(load(&backbone, 4, 1), GLN_E_LIMIT);
    gln_ok(gln_path_join(manifest, folder, "absent.json"));
    gln_fails(load(&backbone, 4, 1), GLN_E_NOT_FOUND);
}
END_TEST

START_TEST(backbone__model_with_another_hash_is_corrupt)
{
    gln_backbone *backbone = NULL;
    write_model(0.3); /* the manifest still has the hash of the first */
    gln_fails(load(&backbone, 4, 1), GLN_E_CORRUPT);
    gln_message_has("small.onnx");
    gln_message_has("SHA-256");
}
END_TEST

START_TEST(backbone__identity_follows_what_makes_an_embedding)
{
    static const struct {
        const char *from, *to;
        bool same;
    } cases[] = {{"\"small\"", "\"renamed\"", true},     {"CC0-1.0", "MIT", true},  {"a test", "elsewhere", true},
                 {"bilinear", "bicubic", false},         {"crop", "stretch", false}, {"0.875", "0.9", false},
                 {"[0.5, 0.25", "[0.5, 0.26", false},    {"[1, 0.5", "[1, 0.51", false}};
    gln_backbone *first = NULL, *other = NULL;
    gln_ok(load(&first, 4, 1));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_changed(cases[i].from, cases[i].to);
        gln_ok(load(&other, 1, 2));
        bool same = memcmp(gln_backbone_info_of(first)->identity, gln_backbone_info_of(other)->identity, 32) == 0;
        ck_assert_msg(same == cases[i].same, "%s for %s", cases[i].to, cases[i].from);
        gln_backbone_free(other);
    }
    write_model(0.3);
    char text[1024];
    snprintf(text, sizeof text, manifest_text, sha256_hex);
    write_text(text);
    gln_ok(load(&other, 4, 1));
    ck_assert(memcmp(gln_backbone_info_of(first)->identity, gln_backbone_info_of(other)->identity, 32) != 0);
    gln_backbone_free(other);
    gln_backbone_free(first);
}
END_TEST

static void fill(float *input, size_t n)
{
    gln_rng rng;
    gln_rng_seed(&rng, 9);
    for (size_t i = 0; i < n * IMAGE; i++) input[i] = (float)gln_rng_normal(&rng);
}

START_TEST(backbone__a_batch_is_its_images_one_by_one_bit_by_bit)
{
    enum { N = 7 };
    static float input[N * IMAGE], together[N * D], alone[D];
    for (size_t n_threads = 1; n_threads <= 3; n_threads++) {
        gln_backbone *backbone = NULL;
        gln_ok(load(&backbone, N, n_threads));
        fill(input, N);
        for (size_t n = 1; n <= N; n++) {
            gln_ok(gln_backbone_run(backbone, input, n, together));
            for (size_t i = 0; i < n; i++) {
                gln_ok(gln_backbone_run(backbone, input + i * IMAGE, 1, alone));
                ck_assert_int_eq(memcmp(alone, together + i * D, sizeof alone), 0);
            }
        }
        gln_backbone_free(backbone);
    }
}
END_TEST

START_TEST(backbone__writes_no_more_than_its_rows)
{
    float input[2 * IMAGE], output[3 * D];
    gln_backbone *backbone = NULL;
    gln_ok(load(&backbone, 8, 2));
    fill(input, 2);
    for (size_t i = 0; i < 3 * D; i++) output[i] = -77;
    gln_ok(gln_backbone_run(backbone, input, 2, output));
    for (size_t i = 0; i < 2 * D; i++) ck_assert(output[i] != -77);
    for (size_t i = 2 * D; i < 3 * D; i++) ck_assert_float_eq(output[i], -77);
    gln_backbone_free(backbone);
}
END_TEST

START_TEST(backbone__batches_outside_its_range_are_refused)
{
    float input[IMAGE] = {0}, output[D];
    gln_backbone *backbone = NULL;
    gln_ok(load(&backbone, 4, 1));
    gln_fails(gln_backbone_run(backbone, input, 0, output), GLN_E_ARGUMENT);
    gln_fails(gln_backbone_run(backbone, input, 5, output), GLN_E_ARGUMENT);
    gln_backbone_free(backbone);
    backbone = NULL;
    gln_fails(load(&backbone, 0, 1), GLN_E_ARGUMENT);
    gln_fails(load(&backbone, SIZE_MAX, 1), GLN_E_ARGUMENT);
}
END_TEST

START_TEST(backbone__numbers_that_are_not_finite_name_their_image)
{
    static float input[3 * IMAGE], output[3 * D];
    gln_backbone *backbone = NULL;
    gln_ok(load(&backbone, 3, 1));
    fill(input, 3);
    input[IMAGE + 40] = NAN;
    gln_fails(gln_backbone_run(backbone, input, 3, output), GLN_E_INTERNAL);
    gln_message_has("image 1 ");
    input[IMAGE + 40] = 0;
    gln_ok(gln_backbone_run(backbone, input, 3, output)); /* and the next batch is fine again */
    gln_backbone_free(backbone);
}
END_TEST

START_TEST(backbone__the_default_one_loads_and_runs)
{
    char path[GLN_PATH_MAX];
    gln_backbone *backbone = NULL;
    gln_backbone_options options = GLN_BACKBONE_OPTIONS_INIT;
    if (!gln_test_find(path, "GLN_DEPS", "backbones/efficientnet-lite0.json")) {
        gln_test_skip("the default backbone (tools/import_backbone.py)");
        return;
    }
    gln_ok(gln_backbone_load(&backbone, path, &options));
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    ck_assert_uint_eq(info->d, 1280);
    ck_assert_double_eq_tol(info->multiply_adds / 1e6, 384, 10); /* without the head; published: 407 with it */
    size_t image = 3 * info->preprocess.side * info->preprocess.side;
    float *input = NULL, *output = NULL;
    gln_ok(gln_alloc(&input, 2 * image, sizeof *input, "input"));
    gln_ok(gln_alloc(&output, 2 * info->d, sizeof *output, "output"));
    for (size_t i = 0; i < image; i++) input[i] = (float)(i % 17) / 8 - 1;
    gln_ok(gln_backbone_run(backbone, input, 2, output));
    double apart = 0;
    for (size_t i = 0; i < info->d; i++) {
        ck_assert(output[i] >= 0 && output[i] <= 6); /* ReLU6, then a mean */
        apart += fabs((double)output[i] - output[info->d + i]);
    }
    ck_assert_double_gt(apart, 1);
    gln_free(input);
    gln_free(output);
    gln_backbone_free(backbone);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backbone");
    TCase *cases = tcase_create("backbone");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, NULL);
    tcase_add_test(cases, manifest__every_field_reaches_the_backbone);
    tcase_add_test(cases, backbone__channels_last_give_the_same_embedding);
    tcase_add_test(cases, backbone__threads_share_the_packed_weights);
    tcase_add_loop_test(cases, manifest__every_bad_field_is_named, 0, (int)(sizeof changes / sizeof changes[0]));
    tcase_add_test(cases, manifest__absent_empty_and_huge_files_are_refused);
    tcase_add_test(cases, backbone__model_with_another_hash_is_corrupt);
    tcase_add_test(cases, backbone__identity_follows_what_makes_an_embedding);
    tcase_add_test(cases, backbone__a_batch_is_its_images_one_by_one_bit_by_bit);
    tcase_add_test(cases, backbone__writes_no_more_than_its_rows);
    tcase_add_test(cases, backbone__batches_outside_its_range_are_refused);
    tcase_add_test(cases, backbone__numbers_that_are_not_finite_name_their_image);
    tcase_add_test(cases, backbone__the_default_one_loads_and_runs);
    suite_add_tcase(suite, cases);
    return gln_test_main(suite);
}
