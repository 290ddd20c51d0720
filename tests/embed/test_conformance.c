/*
 * ONNX's own conformance cases, one a folder: a model of one node, its inputs, its outputs. The first input becomes the
 * network's, the others become initialisers. Every case of ONNX must agree or be refused with a sentence; those that backbones
 * are made of must agree.
 */
#include "common/memory.h"
#include "embed/backend.h"
#include "embed/onnx.h"
#include "tests/embed/onnx_builder.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Onnx__TensorProto *read_tensor(const char *folder, const char *name)
{
    char path[GLN_PATH_MAX];
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    snprintf(path, sizeof path, "%.3000s/test_data_set_0/%s", folder, name);
    if (gln_file_read(&bytes, &n_bytes, path, 1 << 26) != GLN_OK) return NULL;
    Onnx__TensorProto *tensor = onnx__tensor_proto__unpack(NULL, n_bytes, bytes);
    gln_free(bytes);
    return tensor;
}

/* Reads tensor `name` as a graph's constant, by making a network of it. */
static bool tensor_floats(gln_net *net, const Onnx__TensorProto *tensor, const gln_tensor **out)
{
    onnx_builder *b = onnx_builder_create();
    gln_net *made = NULL;
    size_t n_bytes = 0, value = 0;
    Onnx__TensorProto renamed = *tensor;
    char name[] = "tensor";
    renamed.name = name;
    onnx_input(b, "input", 4, (size_t[]){1, 1, 1, 1});
    onnx_initialiser(b, &renamed);
    onnx_node(b, "Add", "add", "input,tensor", "output");
    unsigned char *bytes = onnx_pack(b, &n_bytes);
    bool fine = gln_onnx_read(&made, bytes, n_bytes, "output") == GLN_OK;
    for (size_t i = 0; fine && i < made->n_values; i++) {
        const gln_tensor *from = &made->values[i].tensor;
        if (strcmp(made->values[i].name, "tensor") != 0) continue;
        fine = from->dtype == GLN_F32 && gln_net_add_value(net, &value, "copy") == GLN_OK &&
               gln_net_set_constant(net, value, GLN_F32, &from->shape) == GLN_OK;
        if (fine) memcpy(net->values[value].tensor.data, from->data, gln_shape_items(&from->shape) * sizeof(float));
    }
    if (fine) *out = &net->values[value].tensor;
    gln_net_free(made);
    onnx_builder_free(b);
    return fine;
}

/* 1: agrees, 0: refused with a sentence, -1: wrong. */
static int run_case(const char *folder)
{
    char path[GLN_PATH_MAX];
    unsigned char *bytes = NULL;
    Onnx__TensorProto *inputs[8] = {NULL}, *expected = read_tensor(folder, "output_0.pb");
    gln_net *net = NULL, *instance = NULL, *tensors = NULL;
    gln_backend *backend = NULL;
    gln_plan *plan = NULL;
    const gln_tensor *in = NULL, *want = NULL;
    size_t n_bytes = 0;
    int outcome = 0;
    onnx_builder *b = onnx_builder_create();
    gln_ok(gln_net_create(&tensors));
    gln_ok(gln_path_join(path, folder, "model.onnx"));
    gln_ok(gln_file_read(&bytes, &n_bytes, path, 1 << 26));
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, n_bytes, bytes);
    ck_assert_ptr_nonnull(model);
    /* Half floats are computed in single precision, which is not what a case about half floats expects. */
    bool single = expected != NULL && expected->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    if (!single || model->graph->n_output == 0 || model->graph->n_input == 0 || model->graph->n_input > 8) goto cleanup;

    /* The first input stays one; the others become initialisers. */
    Onnx__GraphProto edited = *model->graph;
    Onnx__ModelProto shell = *model;
    Onnx__TensorProto *constants[8];
    shell.graph = &edited;
    edited.initializer = constants;
    edited.n_initializer = 0;
    for (size_t i = 0; i < model->graph->n_input; i++) {
        char name[32];
        snprintf(name, sizeof name, "input_%zu.pb", i);
        if ((inputs[i] = read_tensor(folder, name)) == NULL) goto cleanup;
        free(inputs[i]->name);
        inputs[i]->name = strdup(model->graph->input[i]->name);
        if (i > 0) constants[edited.n_initializer++] = inputs[i];
    }
    size_t n_edited = onnx__model_proto__get_packed_size(&shell);
    unsigned char *packed = onnx_memory(b, n_edited);
    onnx__model_proto__pack(&shell, packed);

    if (gln_onnx_read(&net, packed, n_edited, model->graph->output[0]->name) != GLN_OK) goto cleanup;
    if (!tensor_floats(tensors, inputs[0], &in)) goto cleanup;
    gln_shape in_shape = in->shape;
    const float *in_data = in->data;
    if (!tensor_floats(tensors, expected, &want) || in_shape.rank == 0) goto cleanup;
    net->values[net->input].tensor.shape = in_shape;
    if (gln_net_fold(net) != GLN_OK || gln_net_instantiate(&instance, net, in_shape.dims[0]) != GLN_OK) goto cleanup;
    if (gln_net_fuse(instance) != GLN_OK) goto cleanup;
    gln_ok(gln_backend_create(&backend, 1));
    if (instance->n_nodes == 0 || gln_plan_create(&plan, backend, instance) != GLN_OK) goto cleanup;
    float *output = onnx_memory(b, gln_plan_output_items(plan) * sizeof *output);
    if (gln_plan_run(plan, in_data, 1, output) != GLN_OK) goto cleanup;
    outcome = gln_plan_output_items(plan) == gln_shape_items(&want->shape) ? 1 : -1;
    double most = 0;
    for (size_t i = 0; i < gln_shape_items(&want->shape); i++) {
        double value = fabs((double)((const float *)want->data)[i]);
        if (isfinite(value)) most = fmax(most, value);
    }
    for (size_t i = 0; outcome == 1 && i < gln_shape_items(&want->shape); i++) {
        double a = output[i], e = ((const float *)want->data)[i];
        bool same = isfinite(e) ? fabs(a - e) <= 1e-5 * most + 1e-6 : (isnan(e) ? isnan(a) : a == e);
        if (!same) outcome = -1;
    }

cleanup:
    gln_plan_free(plan);
    gln_backend_free(backend);
    gln_net_free(instance);
    gln_net_free(net);
    gln_net_free(tensors);
    for (size_t i = 0; i < 8; i++) {
        if (inputs[i] != NULL) onnx__tensor_proto__free_unpacked(inputs[i], NULL);
    }
    if (expected != NULL) onnx__tensor_proto__free_unpacked(expected, NULL);
    onnx__model_proto__free_unpacked(model, NULL);
    gln_free(bytes);
    onnx_builder_free(b);
    return outcome;
}

START_TEST(conformance__every_case_agrees_or_is_refused)
{
    static const char folder[] = "/usr/share/libonnx-testdata/data/node";
    static const char *const required[] = {
        "test_add", "test_add_bcast", "test_averagepool_2d_default", "test_averagepool_2d_pads",
        "test_averagepool_2d_pads_count_include_pad", "test_averagepool_2d_ceil", "test_averagepool_2d_same_upper",
        "test_batchnorm_epsilon", "test_clip", "test_concat_2d_axis_1", "test_conv_with_autopad_same",
        "test_conv_with_strides_and_asymmetric_padding", "test_conv_with_strides_padding", "test_gather_1", "test_gemm_transposeA",
        "test_gemm_all_attributes", "test_hardswish", "test_layer_normalization_4d_axis_negative_1",
        "test_matmul_3d", "test_matmul_4d", "test_maxpool_2d_ceil", "test_maxpool_2d_dilations", "test_maxpool_2d_pads",
        "test_reduce_mean_keepdims_example", "test_relu", "test_sigmoid", "test_slice", "test_slice_neg_steps",
        "test_softmax_axis_1", "test_softmax_large_number", "test_transpose_all_permutations_3", "test_unsqueeze_axis_1",
        "test_squeeze", "test_reshape_negative_dim", "test_flatten_axis2", "test_expand_dim_changed", "test_constant_pad", "test_pow"};
    DIR *dir = opendir(folder);
    struct dirent *entry;
    size_t n_agree = 0, n_required = 0;
    if (dir == NULL) {
        gln_test_skip("ONNX's conformance cases (libonnx-testdata)");
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        char path[GLN_PATH_MAX];
        if (strncmp(entry->d_name, "test_", 5) != 0) continue;
        gln_ok(gln_path_join(path, folder, entry->d_name));
        int outcome = run_case(path);
        ck_assert_msg(outcome >= 0, "%s: another result than ONNX says", entry->d_name);
        n_agree += outcome == 1;
        for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
            if (strcmp(required[i], entry->d_name) != 0) continue;
            ck_assert_msg(outcome == 1, "%s is refused: %s", entry->d_name, gln_message());
            n_required++;
        }
    }
    closedir(dir);
    ck_assert_uint_eq(n_required, sizeof required / sizeof required[0]);
    ck_assert_uint_ge(n_agree, 190);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conformance");
    TCase *cases = tcase_create("conformance");
    tcase_set_timeout(cases, 600);
    tcase_add_test(cases, conformance__every_case_agrees_or_is_refused);
    suite_add_tcase(suite, cases);
    return gln_test_main(suite);
}
