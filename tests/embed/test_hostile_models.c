/*
 * Models that are broken or mean harm, beyond what test_onnx.c does to single fields: external data in and out of the
 * model's folder, weights that are no numbers, and every input that has ever made the fuzzer stop.
 */
#include "common/files.h"
#include "common/memory.h"
#include "embed/backbone.h"
#include "embed/backend.h"
#include "embed/onnx.h"
#include "tests/embed/onnx_builder.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[GLN_PATH_MAX];

static void setup(void)
{
    gln_test_folder(folder);
}

/* A convolution whose weights (four 3x3 kernels over 3 channels) lie in `location`. */
static onnx_builder *external_network(const char *location, const char *offset, const char *length)
{
    onnx_builder *b = onnx_builder_create();
    const char *keys[3] = {"location", "offset", "length"}, *values[3] = {location, offset, length};
    onnx_input(b, "input", 4, (size_t[]){0, 3, 8, 8});
    Onnx__TensorProto *w = onnx_floats(b, "w", 4, (size_t[]){4, 3, 3, 3}, NULL);
    w->has_data_location = 1;
    w->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    w->external_data = onnx_memory(b, 3 * sizeof *w->external_data);
    for (size_t i = 0; i < 3; i++) {
        if (values[i] == NULL) continue;
        Onnx__StringStringEntryProto *entry = onnx_memory(b, sizeof *entry);
        onnx__string_string_entry_proto__init(entry);
        entry->key = onnx_memory(b, strlen(keys[i]) + 1);
        entry->value = onnx_memory(b, strlen(values[i]) + 1);
        memcpy(entry->key, keys[i], strlen(keys[i]));
        memcpy(entry->value, values[i], strlen(values[i]));
        w->external_data[w->n_external_data++] = entry;
    }
    onnx_node(b, "Conv", "conv", "input,w", "output");
    return b;
}

static gln_status read_from(onnx_builder *b, const char *where, gln_net **out)
{
    size_t n_bytes = 0;
    unsigned char *bytes = onnx_pack(b, &n_bytes);
    return gln_onnx_read(out, bytes, n_bytes, "output", where);
}

static void write_in(const char *name, size_t n_floats)
{
    char path[GLN_PATH_MAX];
    float *values = malloc((n_floats + 1) * sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < n_floats; i++) values[i] = (float)i;
    gln_ok(gln_path_join(path, folder, name));
    gln_ok(gln_file_write(path, values, n_floats * sizeof *values));
    free(values);
}

static const gln_tensor *tensor_named(const gln_net *net, const char *name)
{
    for (size_t i = 0; i < net->n_values; i++) {
        if (strcmp(net->values[i].name, name) == 0) return &net->values[i].tensor;
    }
    ck_abort_msg("no tensor %s", name);
    return NULL;
}

START_TEST(external__data_in_the_models_folder_is_read)
{
    gln_net *net = NULL;
    char sub[GLN_PATH_MAX];
    gln_ok(gln_path_join(sub, folder, "weights"));
    gln_ok(gln_folder_create(sub));
    write_in("model.data", 120);
    write_in("weights/model.data", 120);
    const char *locations[] = {"model.data", "weights/model.data", "./model.data"};
    for (size_t i = 0; i < 3; i++) {
        onnx_builder *b = external_network(locations[i], "40", i == 0 ? "432" : NULL);
        gln_ok(read_from(b, folder, &net));
        const float *items = tensor_named(net, "w")->data;
        ck_assert_float_eq(items[0], 10);
        ck_assert_float_eq(items[107], 117);
        gln_net_free(net);
        net = NULL;
        onnx_builder_free(b);
    }
}
END_TEST

static void refuses(const char *location, const char *offset, const char *length, gln_status status, const char *word)
{
    gln_net *net = NULL;
    onnx_builder *b = external_network(location, offset, length);
    gln_fails(read_from(b, folder, &net), status);
    gln_message_has("tensor w");
    gln_message_has(word);
    ck_assert_ptr_null(net);
    onnx_builder_free(b);
}

START_TEST(external__data_outside_the_models_folder_is_refused)
{
    char other[GLN_PATH_MAX], link[GLN_PATH_MAX];
    gln_test_folder(other);
    snprintf(link, sizeof link, "%.4000s/secret", other);
    gln_ok(gln_file_write(link, "secret", 6));
    refuses("../secret", NULL, NULL, GLN_E_FORMAT, "outside");
    refuses("weights/../../secret", NULL, NULL, GLN_E_FORMAT, "outside");
    refuses("/etc/passwd", NULL, NULL, GLN_E_FORMAT, "outside");
    refuses(link, NULL, NULL, GLN_E_FORMAT, "outside");
    refuses("", NULL, NULL, GLN_E_FORMAT, "outside");
    refuses("a//b", NULL, NULL, GLN_E_FORMAT, "outside");
    refuses("a\\..\\b", NULL, NULL, GLN_E_FORMAT, "outside");
    char inside[GLN_PATH_MAX];
    gln_ok(gln_path_join(inside, folder, "innocent"));
    ck_assert_int_eq(symlink(link, inside), 0);
    refuses("innocent", NULL, NULL, GLN_E_FORMAT, "outside");
    gln_ok(gln_path_join(inside, folder, "door"));
    ck_assert_int_eq(symlink(other, inside), 0);
    refuses("door/secret", NULL, NULL, GLN_E_FORMAT, "outside");
}
END_TEST

START_TEST(external__data_that_is_not_as_the_model_says_is_refused)
{
    char path[GLN_PATH_MAX];
    write_in("model.data", 108);
    refuses("missing.data", NULL, NULL, GLN_E_NOT_FOUND, "missing.data");
    refuses("model.data", "4", NULL, GLN_E_FORMAT, "shorter");
    refuses("model.data", "18446744073709551615", NULL, GLN_E_FORMAT, "offset");
    refuses("model.data", "9223372036854775808", NULL, GLN_E_FORMAT, "offset");
    refuses("model.data", "9223372036854775000", NULL, GLN_E_FORMAT, "shorter");
    refuses("model.data", "-1", NULL, GLN_E_FORMAT, "offset");
    refuses("model.data", "0x10", NULL, GLN_E_FORMAT, "offset");
    refuses("model.data", "0", "431", GLN_E_FORMAT, "431 bytes");
    refuses("model.data", "0", "99999999999", GLN_E_FORMAT, "99999999999 bytes");
    refuses(NULL, "0", NULL, GLN_E_FORMAT, "not in which file");
    gln_ok(gln_path_join(path, folder, "pipe"));
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    refuses("pipe", NULL, NULL, GLN_E_FORMAT, "shorter or none");
    refuses(".", NULL, NULL, GLN_E_FORMAT, "");
}
END_TEST

static gln_status count_file(void *context, const char *name)
{
    *(size_t *)context += strcmp(name, "model.data") == 0 ? 1 : 100;
    return GLN_OK;
}

START_TEST(external__files_are_listed_once_each)
{
    size_t n = 0, n_bytes = 0;
    onnx_builder *b = external_network("model.data", "0", NULL);
    Onnx__TensorProto *again = onnx_memory(b, sizeof *again);
    *again = *b->graph->initializer[0];
    onnx_initialiser(b, again);
    unsigned char *bytes = onnx_pack(b, &n_bytes);
    gln_ok(gln_backbone_data_files(bytes, n_bytes, count_file, &n));
    ck_assert_uint_eq(n, 1);
    onnx_builder_free(b);
    b = external_network("../model.data", "0", NULL);
    bytes = onnx_pack(b, &n_bytes);
    gln_fails(gln_backbone_data_files(bytes, n_bytes, count_file, &n), GLN_E_FORMAT);
    onnx_builder_free(b);
}
END_TEST

START_TEST(weights__that_are_no_numbers_name_node_and_tensor)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        gln_net *net = NULL;
        float weights[4 * 27] = {0};
        weights[100] = bad[i];
        onnx_builder *b = onnx_builder_create();
        onnx_input(b, "input", 4, (size_t[]){0, 3, 8, 8});
        onnx_floats(b, "w", 4, (size_t[]){4, 3, 3, 3}, weights);
        onnx_node(b, "Conv", "conv", "input,w", "output");
        gln_ok(read_from(b, NULL, &net));
        gln_fails(gln_net_fold(net), GLN_E_FORMAT);
        gln_message_has("node conv");
        gln_message_has("weights w");
        gln_message_has("item 100");
        gln_net_free(net);
        onnx_builder_free(b);
    }
}
END_TEST

START_TEST(weights__that_folding_breaks_name_the_node)
{
    gln_net *net = NULL;
    float weights[4 * 27] = {1}, ones[4] = {1, 1, 1, 1}, variance[4] = {1, 1, -1, 1};
    onnx_builder *b = onnx_builder_create();
    onnx_input(b, "input", 4, (size_t[]){0, 3, 8, 8});
    onnx_floats(b, "w", 4, (size_t[]){4, 3, 3, 3}, weights);
    onnx_floats(b, "one", 1, (size_t[]){4}, ones);
    onnx_floats(b, "variance", 1, (size_t[]){4}, variance);
    onnx_node(b, "Conv", "conv", "input,w", "c");
    onnx_node(b, "BatchNormalization", "norm", "c,one,one,one,variance", "output");
    gln_ok(read_from(b, NULL, &net));
    gln_fails(gln_net_fold(net), GLN_E_FORMAT);
    gln_message_has("node conv");
    gln_net_free(net);
    onnx_builder_free(b);
}
END_TEST

/* An infinity that masks is no weight. */
START_TEST(weights__infinities_elsewhere_are_fine)
{
    gln_net *net = NULL;
    float most = INFINITY;
    onnx_builder *b = onnx_builder_create();
    onnx_input(b, "input", 4, (size_t[]){0, 3, 8, 8});
    onnx_floats(b, "most", 0, NULL, &most);
    onnx_node(b, "Min", "min", "input,most", "output");
    gln_ok(read_from(b, NULL, &net));
    gln_ok(gln_net_fold(net));
    gln_net_free(net);
    onnx_builder_free(b);
}
END_TEST

/* The whole way: read, shaped, fused, compiled, run on a small image. Whatever comes out, nothing breaks. */
static void try_model(const unsigned char *bytes, size_t n_bytes)
{
    gln_net *net = NULL, *instance = NULL;
    gln_backend *backend = NULL;
    gln_plan *plan = NULL;
    float *input = NULL, *output = NULL;
    if (gln_onnx_read(&net, bytes, n_bytes, "gln.output", folder) != GLN_OK) return;
    gln_shape *shape = &net->values[net->input].tensor.shape;
    if (shape->rank == 0) *shape = (gln_shape){4, {1, 3, 16, 16}};
    for (size_t i = 0; i < shape->rank; i++) shape->dims[i] = shape->dims[i] == 0 ? (i == 1 ? 3 : 1) : shape->dims[i];
    if (gln_shape_check(shape, "input") != GLN_OK || gln_shape_items(shape) > 1 << 20) goto cleanup;
    if (gln_net_fold(net) != GLN_OK || gln_net_instantiate(&instance, net, shape->dims[0]) != GLN_OK) goto cleanup;
    if (gln_net_fuse(instance) != GLN_OK) goto cleanup;
    gln_ok(gln_backend_create(&backend, &(gln_backend_options){.kind = GLN_BACKEND_CPU, .n_threads = 1}));
    if (gln_plan_create(&plan, backend, instance, false) != GLN_OK) goto cleanup;
    gln_ok(gln_alloc(&input, gln_shape_items(&instance->values[instance->input].tensor.shape), sizeof *input, "input"));
    gln_ok(gln_alloc(&output, plan->output_items, sizeof *output, "output"));
    gln_status st = gln_plan_run(plan, input, 1, output);
    (void)st; /* an error is as good as a result */

cleanup:
    gln_free(input);
    gln_free(output);
    gln_plan_free(plan);
    gln_backend_free(backend);
    gln_net_free(instance);
    gln_net_free(net);
}

START_TEST(crashes__that_fuzzing_found_stay_mended)
{
    char path[GLN_PATH_MAX], file[GLN_PATH_MAX];
    ck_assert(gln_test_find(path, "GLN_SOURCE_DIR", "tests/data/onnx_crashes"));
    DIR *dir = opendir(path);
    struct dirent *entry;
    size_t n_tried = 0;
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        unsigned char *bytes = NULL;
        size_t n_bytes = 0;
        if (entry->d_name[0] == '.') continue;
        gln_ok(gln_path_join(file, path, entry->d_name));
        gln_ok(gln_file_read(&bytes, &n_bytes, file, 1 << 20));
        try_model(bytes, n_bytes);
        gln_free(bytes);
        n_tried++;
    }
    closedir(dir);
    ck_assert_uint_gt(n_tried, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile_models");
    TCase *cases = tcase_create("hostile models");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, setup, NULL);
    tcase_add_test(cases, external__data_in_the_models_folder_is_read);
    tcase_add_test(cases, external__data_outside_the_models_folder_is_refused);
    tcase_add_test(cases, external__data_that_is_not_as_the_model_says_is_refused);
    tcase_add_test(cases, external__files_are_listed_once_each);
    tcase_add_test(cases, weights__that_are_no_numbers_name_node_and_tensor);
    tcase_add_test(cases, weights__that_folding_breaks_name_the_node);
    tcase_add_test(cases, weights__infinities_elsewhere_are_fine);
    tcase_add_test(cases, crashes__that_fuzzing_found_stay_mended);
    suite_add_tcase(suite, cases);
    return gln_test_main(suite);
}
