/*
 * ONNX's own conformance cases (Debian's libonnx-testdata): a small model, its inputs and its outputs in each folder. A
 * case is claimed when the table of operators.c holds every operator in it. Every claimed case must give what ONNX
 * says, in each of these ways, or stand in the list of exclusions below with the reason:
 *
 *   fixed       all inputs are initialisers: the plain code at load;
 *   first       the first input of floats is the network's, the others are initialisers: packed weights on the backend;
 *   computed    all inputs are computed, as slices of one image: the backend, with nothing known. Inputs that
 *               gleaner needs fixed (shapes, axes) are initialisers again.
 *
 * An excluded case that passes is a failure as well, so that the list stays true.
 */
#include "common/memory.h"
#include "embed/backend.h"
#include "embed/onnx.h"
#include "embed/onnx_tensor.h"
#include "tests/embed/net_backend.h"
#include "tests/embed/onnx_builder.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ROOT "/usr/share/libonnx-testdata/data"

typedef struct exclusion {
    const char *name; /* of the case; a star at the end stands for anything */
    const char *reason;
} exclusion;

static const exclusion exclusions[] = {
    {"test_cast_FLOAT_to_STRING", "strings"},
    {"test_cast_STRING_to_FLOAT", "strings"},
    {"test_castlike_FLOAT_to_STRING*", "strings"},
    {"test_castlike_STRING_to_FLOAT*", "strings"},
    {"test_identity_sequence", "sequences"},
    {"test_identity_opt", "optionals"},
    {"test_cast_BFLOAT16_to_FLOAT", "the case stores bfloat16 as uint16"},
    {"test_cast_FLOAT_to_BFLOAT16", "the case stores bfloat16 as uint16"},
    {"test_castlike_BFLOAT16_to_FLOAT*", "the case stores bfloat16 as uint16"},
    {"test_castlike_FLOAT_to_BFLOAT16*", "the case stores bfloat16 as uint16"},
    {"test_min_uint64", "uint64"},
    {"test_max_uint64", "uint64"},
    {"test_mod_uint64", "uint64"},
    {"test_pow_types_float32_uint64", "uint64"},
    {"test_maxpool_2d_uint8", "pooling of integers"},
    {"test_maxpool_with_argmax_2d_precomputed_pads", "the indices of MaxPool"},
    {"test_maxpool_with_argmax_2d_precomputed_strides", "the indices of MaxPool"},
    {"test_dropout_default_mask*", "the mask of Dropout"},
    {"test_training_dropout*", "training"},
    {"test_batchnorm_epsilon_training_mode", "training"},
    {"test_batchnorm_example_training_mode", "training"},
    {"test_hannwindow*", "the case was computed with pi = 3.1415"},
    {"test_hammingwindow*", "the case was computed with pi = 3.1415"},
    {"test_blackmanwindow*", "the case was computed with pi = 3.1415"},
    {"test_operator_add_broadcast", "the axis of broadcasts, which operators had up to version 6"},
    {"test_operator_add_size1_*", "the axis of broadcasts, which operators had up to version 6"},
    {"test_PReLU_1d_multiparam", "slopes along axis 1 without saying so, up to version 6"},
    {"test_PReLU_2d_multiparam", "slopes along axis 1 without saying so, up to version 6"},
    {"test_PReLU_3d_multiparam", "slopes along axis 1 without saying so, up to version 6"},
};

#define MAX_TENSORS 16

/* One case: the model and its tensors. */
typedef struct test_case {
    char folder[GLN_PATH_MAX];
    Onnx__ModelProto *model;
    size_t n_inputs, n_outputs;
    Onnx__TensorProto *inputs[MAX_TENSORS], *outputs[MAX_TENSORS]; /* NULL: left out, or not a tensor */
    const char *input_names[MAX_TENSORS];
} test_case;

static unsigned char *read_file(const char *folder, const char *name, size_t *n_bytes)
{
    char path[GLN_PATH_MAX];
    unsigned char *bytes = NULL;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return NULL;
    return gln_file_read(&bytes, n_bytes, path, 1 << 26) == GLN_OK ? bytes : NULL;
}

static Onnx__TensorProto *read_tensor(const char *folder, const char *kind, size_t i)
{
    char name[64];
    size_t n_bytes = 0;
    snprintf(name, sizeof name, "test_data_set_0/%s_%zu.pb", kind, i);
    unsigned char *bytes = read_file(folder, name, &n_bytes);
    if (bytes == NULL) return NULL;
    Onnx__TensorProto *tensor = onnx__tensor_proto__unpack(NULL, n_bytes, bytes);
    gln_free(bytes);
    return tensor;
}

static bool is_initialiser(const Onnx__GraphProto *graph, const char *name)
{
    for (size_t i = 0; i < graph->n_initializer; i++) {
        if (strcmp(graph->initializer[i]->name, name) == 0) return true;
    }
    return false;
}

static bool open_case(test_case *t, const char *folder)
{
    size_t n_bytes = 0;
    memset(t, 0, sizeof *t);
    snprintf(t->folder, sizeof t->folder, "%s", folder);
    unsigned char *bytes = read_file(folder, "model.onnx", &n_bytes);
    if (bytes == NULL) return false;
    t->model = onnx__model_proto__unpack(NULL, n_bytes, bytes);
    gln_free(bytes);
    ck_assert_ptr_nonnull(t->model);
    for (size_t i = 0; i < t->model->graph->n_input && t->n_inputs < MAX_TENSORS; i++) {
        const char *name = t->model->graph->input[i]->name;
        if (is_initialiser(t->model->graph, name)) continue;
        t->input_names[t->n_inputs] = name;
        t->inputs[t->n_inputs] = read_tensor(folder, "input", t->n_inputs);
        t->n_inputs++;
    }
    for (size_t i = 0; i < t->model->graph->n_output && i < MAX_TENSORS; i++)
        t->outputs[i] = read_tensor(folder, "output", i);
    t->n_outputs = t->model->graph->n_output < MAX_TENSORS ? t->model->graph->n_output : MAX_TENSORS;
    return true;
}

static void close_case(test_case *t)
{
    for (size_t i = 0; i < MAX_TENSORS; i++) {
        if (t->inputs[i] != NULL) onnx__tensor_proto__free_unpacked(t->inputs[i], NULL);
        if (t->outputs[i] != NULL) onnx__tensor_proto__free_unpacked(t->outputs[i], NULL);
    }
    if (t->model != NULL) onnx__model_proto__free_unpacked(t->model, NULL);
}

static bool is_claimed(const test_case *t)
{
    for (size_t i = 0; i < t->model->graph->n_node; i++) {
        const Onnx__NodeProto *node = t->model->graph->node[i];
        bool own = node->domain == NULL || node->domain[0] == 0;
        if (!own || (!gln_operator_known(node->op_type) && strcmp(node->op_type, "Constant") != 0)) return false;
    }
    return true;
}

/* ---- A model around the case, in one of the three ways ---- */

typedef enum way { FIXED, FIRST, COMPUTED, COMPUTED_FLOATS } way;
static const char *const way_names[] = {"fixed", "first", "computed", "computed floats"};

typedef struct question {
    onnx_builder *b;    /* owns what is added */
    gln_net *tensors;   /* owns the inputs as gleaner reads them */
    gln_tensor input[MAX_TENSORS], expected;
    bool computed[MAX_TENSORS];
    float *image;
    gln_shape image_shape;
} question;

static gln_status take_tensor(question *q, gln_tensor *out, const Onnx__TensorProto *from)
{
    size_t value = 0, n_bytes = onnx__tensor_proto__get_packed_size(from);
    gln_onnx_file *file = NULL;
    unsigned char *bytes = onnx_memory(q->b, n_bytes);
    onnx__tensor_proto__pack(from, bytes);
    gln_status st = gln_net_add_value(q->tensors, &value, from->name != NULL ? from->name : "tensor");
    if (st == GLN_OK) st = gln_onnx_parse_tensor(&file, bytes, n_bytes);
    if (st == GLN_OK) st = gln_onnx_tensor(q->tensors, value, &file->tensor, NULL);
    gln_onnx_file_free(file);
    if (st == GLN_OK) *out = q->tensors->values[value].tensor;
    return st;
}

/* Which inputs are computed; false when the way makes no sense for this case. */
static bool choose_computed(const test_case *t, question *q, way how)
{
    bool any = false;
    for (size_t i = 0; i < t->n_inputs; i++) {
        if (t->inputs[i] == NULL || gln_shape_items(&q->input[i].shape) == 0) continue;
        bool floats = q->input[i].dtype == GLN_F32;
        q->computed[i] = how == COMPUTED || (how == COMPUTED_FLOATS && floats) ||
                         (how == FIRST && floats && !any && q->input[i].shape.rank != 0);
        any = any || q->computed[i];
    }
    return any || how == FIXED;
}

/* Slice, Reshape and, for integers, Cast: input `i` out of the image. */
static void add_computed_input(const test_case *t, question *q, size_t i, size_t at, size_t n)
{
    char text[512], part[32], shaped[32], from[32], to[32], axis[32], dims[32];
    int64_t shape[GLN_MAX_RANK] = {0};
    const gln_tensor *tensor = &q->input[i];
    snprintf(part, sizeof part, "gln.part%zu", i);
    snprintf(shaped, sizeof shaped, "gln.shaped%zu", i);
    snprintf(from, sizeof from, "gln.from%zu", i);
    snprintf(to, sizeof to, "gln.to%zu", i);
    snprintf(axis, sizeof axis, "gln.axis%zu", i);
    snprintf(dims, sizeof dims, "gln.dims%zu", i);
    onnx_ints(q->b, from, 1, (int64_t[]){(int64_t)at});
    onnx_ints(q->b, to, 1, (int64_t[]){(int64_t)(at + n)});
    onnx_ints(q->b, axis, 1, (int64_t[]){1});
    for (size_t j = 0; j < tensor->shape.rank; j++) shape[j] = (int64_t)tensor->shape.dims[j];
    onnx_ints(q->b, dims, tensor->shape.rank, shape);
    bool integers = tensor->dtype == GLN_I64, old = q->b->model->opset_import[0]->version < 10;
    snprintf(text, sizeof text, old ? "gln.image" : "gln.image,%s,%s,%s", from, to, axis);
    Onnx__NodeProto *slice = onnx_node(q->b, "Slice", part, text, part);
    if (old) {
        onnx_ints_attribute(q->b, slice, "starts", 1, (int64_t[]){(int64_t)at});
        onnx_ints_attribute(q->b, slice, "ends", 1, (int64_t[]){(int64_t)(at + n)});
        onnx_ints_attribute(q->b, slice, "axes", 1, (int64_t[]){1});
    }
    snprintf(text, sizeof text, "%s,%s", part, dims);
    onnx_node(q->b, "Reshape", shaped, text, integers ? shaped : t->input_names[i]);
    if (integers) onnx_int_attribute(q->b, onnx_node(q->b, "Cast", "cast", shaped, t->input_names[i]), "to", 7);
}

static gln_status build(const test_case *t, question *q, way how, size_t output)
{
    const Onnx__GraphProto *graph = t->model->graph;
    onnx_builder *b = q->b;
    size_t total = 0, at = 0;
    for (size_t i = 0; i < t->model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = t->model->opset_import[i];
        if (set->domain == NULL || set->domain[0] == 0) b->model->opset_import[0]->version = set->version;
    }
    for (size_t i = 0; i < t->n_inputs; i++) total += q->computed[i] ? gln_shape_items(&q->input[i].shape) : 0;
    q->image_shape = (gln_shape){2, {1, total == 0 ? 1 : total}};
    q->image = onnx_memory(b, q->image_shape.dims[1] * sizeof(float));
    for (size_t i = 0; i < graph->n_initializer; i++) onnx_initialiser(b, graph->initializer[i]);
    for (size_t i = 0; i < t->n_inputs; i++) {
        if (t->inputs[i] == NULL) continue;
        size_t n = gln_shape_items(&q->input[i].shape);
        if (!q->computed[i]) {
            free(t->inputs[i]->name);
            t->inputs[i]->name = strdup(t->input_names[i]);
            onnx_initialiser(b, t->inputs[i]);
            continue;
        }
        for (size_t j = 0; j < n; j++) {
            double item = q->input[i].dtype == GLN_F32 ? (double)((const float *)q->input[i].data)[j]
                                                       : (double)((const int64_t *)q->input[i].data)[j];
            q->image[at + j] = (float)item;
            if (q->input[i].dtype == GLN_I64 && fabs(item) > 1 << 24)
                return gln_fail(GLN_E_UNSUPPORTED, "gleaner needs it fixed: large");
        }
        if (how == FIRST) {
            q->image_shape = q->input[i].shape;
            onnx_input(b, t->input_names[i], q->image_shape.rank, q->image_shape.dims);
        } else {
            add_computed_input(t, q, i, at, n);
        }
        at += n;
    }
    if (how != FIRST) onnx_input(b, "gln.image", 2, q->image_shape.dims);
    for (size_t i = 0; i < graph->n_node; i++) onnx_copy_node(b, graph->node[i]);
    /* Integers leave a running network as floats. */
    bool cast = how != FIXED && q->expected.dtype == GLN_I64;
    Onnx__NodeProto *last =
        onnx_node(b, cast ? "Cast" : "Identity", "gln.last", graph->output[output]->name, "gln.output");
    if (cast) onnx_int_attribute(b, last, "to", 1);
    return GLN_OK;
}

static double tolerance_of(const Onnx__TensorProto *expected)
{
    switch (expected->data_type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16:
        return 1.0 / 1024; /* computed in f32, compared with what was rounded */
    case ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16: return 1.0 / 128;
    default: return 1e-5;
    }
}

static bool same_numbers(const Onnx__TensorProto *proto, const gln_tensor *want, const float *floats,
                         const gln_tensor *got)
{
    double most = 0;
    size_t n = gln_shape_items(&want->shape);
    for (size_t i = 0; i < n && want->dtype == GLN_F32; i++) {
        double item = fabs((double)((const float *)want->data)[i]);
        if (isfinite(item)) most = fmax(most, item);
    }
    for (size_t i = 0; i < n; i++) {
        double e =
            want->dtype == GLN_F32 ? (double)((const float *)want->data)[i] : (double)((const int64_t *)want->data)[i];
        double a = floats != NULL              ? (double)floats[i]
                   : got->dtype == GLN_F32 ? (double)((const float *)got->data)[i]
                                           : (double)((const int64_t *)got->data)[i];
        bool same = isfinite(e) ? fabs(a - e) <= tolerance_of(proto) * most + 1e-6 : (isnan(e) ? isnan(a) : a == e);
        if (!same) {
            gln_fail(GLN_E_INTERNAL, "item %zu is %.9g, should be %.9g", i, a, e);
            return false;
        }
    }
    return true;
}

/* The models that are asked about are what tests/fuzz starts from. */
static void write_seed(const test_case *t, way how, const unsigned char *bytes, size_t n_bytes)
{
    const char *folder = getenv("GLN_WRITE_SEEDS"), *name = strrchr(t->folder, '/');
    char path[GLN_PATH_MAX];
    if (folder == NULL || n_bytes > 8192) return;
    ck_assert(snprintf(path, sizeof path, "%s/%s-%d", folder, name + 1, (int)how) < (int)sizeof path);
    gln_ok(gln_file_write_derived(path, bytes, n_bytes));
}

/* One output in one way: GLN_OK, an error of gleaner's, or GLN_E_INTERNAL with what differs. */
static gln_status ask(const test_case *t, way how, size_t output, bool *out_asked)
{
    question q = {.b = onnx_builder_create()};
    gln_net *net = NULL, *instance = NULL;
    gln_backend *backend = NULL;
    gln_plan *plan = NULL;
    size_t n_bytes = 0;
    *out_asked = false;
    gln_ok(gln_net_create(&q.tensors));
    gln_status st = GLN_OK;
    if (t->outputs[output] == NULL) st = gln_fail(GLN_E_FORMAT, "the output is no tensor");
    for (size_t i = 0; st == GLN_OK && i < t->n_inputs; i++) {
        if (t->inputs[i] != NULL) st = take_tensor(&q, &q.input[i], t->inputs[i]);
    }
    if (st == GLN_OK) st = take_tensor(&q, &q.expected, t->outputs[output]);
    if (st != GLN_OK || !choose_computed(t, &q, how)) goto cleanup;
    *out_asked = true;
    if ((st = build(t, &q, how, output)) != GLN_OK) goto cleanup;
    unsigned char *bytes = onnx_pack(q.b, &n_bytes);
    write_seed(t, how, bytes, n_bytes);
    if ((st = gln_onnx_read(&net, bytes, n_bytes, "gln.output", NULL)) != GLN_OK) goto cleanup;
    if ((st = gln_net_fold(net)) != GLN_OK) goto cleanup;
    if ((st = gln_net_instantiate(&instance, net, q.image_shape.dims[0])) != GLN_OK) goto cleanup;
    const gln_tensor *got = &instance->values[instance->output].tensor;
    if (!gln_shape_equal(&got->shape, &q.expected.shape)) {
        st = gln_fail(GLN_E_INTERNAL, "another shape, of %zu axes", got->shape.rank);
        goto cleanup;
    }
    if (how == FIXED) {
        if (got->data == NULL) {
            st = gln_fail(GLN_E_INTERNAL, "not computed at load");
        } else if (got->dtype != q.expected.dtype) {
            st = gln_fail(GLN_E_INTERNAL, "another type");
        } else if (!same_numbers(t->outputs[output], &q.expected, NULL, got)) {
            st = GLN_E_INTERNAL;
        }
        goto cleanup;
    }
    if ((st = gln_net_fuse(instance)) != GLN_OK) goto cleanup;
    ck_assert(net_backend(&backend, &net_ways[0]));
    if ((st = gln_plan_create(&plan, backend, instance, false)) != GLN_OK) goto cleanup;
    float *found = onnx_memory(q.b, plan->output_items * sizeof *found);
    if ((st = gln_plan_run(plan, q.image, 1, found)) != GLN_OK) goto cleanup;
    if (!same_numbers(t->outputs[output], &q.expected, found, NULL)) st = GLN_E_INTERNAL;

cleanup:
    gln_plan_free(plan);
    gln_backend_free(backend);
    gln_net_free(instance);
    gln_net_free(net);
    gln_net_free(q.tensors);
    onnx_builder_free(q.b);
    return st;
}

static bool needs_fixed(gln_status st)
{
    return st == GLN_E_UNSUPPORTED &&
           (strstr(gln_message(), "needs it fixed") != NULL || strstr(gln_message(), "fixed number") != NULL);
}

/* The whole case, every output in every way. */
static bool passes(const test_case *t, char why[GLN_MESSAGE_MAX], size_t *n_asked)
{
    for (size_t output = 0; output < t->n_outputs; output++) {
        for (way how = FIXED; how <= COMPUTED_FLOATS; how++) {
            bool asked = false;
            gln_status st = ask(t, how, output, &asked);
            *n_asked += asked;
            if (st == GLN_OK && how == COMPUTED) break; /* the weaker question has its answer */
            if (st == GLN_OK || (how >= COMPUTED && needs_fixed(st))) continue;
            snprintf(why, GLN_MESSAGE_MAX, "output %zu, %s: %.400s", output, way_names[how], gln_message());
            return false;
        }
    }
    return true;
}

static const exclusion *excluded(const char *name, bool *used)
{
    for (size_t i = 0; i < sizeof exclusions / sizeof exclusions[0]; i++) {
        size_t length = strlen(exclusions[i].name);
        bool prefix = exclusions[i].name[length - 1] == '*';
        if (prefix ? strncmp(exclusions[i].name, name, length - 1) != 0 : strcmp(exclusions[i].name, name) != 0)
            continue;
        used[i] = true;
        return &exclusions[i];
    }
    return NULL;
}

START_TEST(conformance__every_claimed_case_agrees_or_is_excluded_with_a_reason)
{
    static const char *const folders[] = {"node", "pytorch-operator", "pytorch-converted", "simple"};
    size_t n_all = 0, n_claimed = 0, n_passed = 0, n_excluded = 0, n_asked = 0, n_wrong = 0;
    bool used[sizeof exclusions / sizeof exclusions[0]] = {false};
    gln_backend *backend = NULL;
    if (!net_backend(&backend, &net_ways[0])) return; /* it has said why */
    gln_backend_free(backend);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[GLN_PATH_MAX], why[GLN_MESSAGE_MAX] = "";
        snprintf(path, sizeof path, ROOT "/%s", folders[i]);
        DIR *dir = opendir(path);
        struct dirent *entry;
        if (dir == NULL) {
            gln_test_skip("ONNX's conformance cases (libonnx-testdata)");
            return;
        }
        while ((entry = readdir(dir)) != NULL) {
            test_case t;
            snprintf(path, sizeof path, ROOT "/%s/%s", folders[i], entry->d_name);
            if (strncmp(entry->d_name, "test_", 5) != 0 || !open_case(&t, path)) continue;
            n_all++;
            if (is_claimed(&t)) {
                const exclusion *listed = excluded(entry->d_name, used);
                bool fine = passes(&t, why, &n_asked);
                n_claimed++;
                n_passed += fine && listed == NULL;
                n_excluded += !fine && listed != NULL;
                if (fine == (listed != NULL)) {
                    n_wrong++;
                    fprintf(stderr, "%s: %s\n", entry->d_name, listed != NULL ? "passes, but is excluded" : why);
                }
            }
            close_case(&t);
        }
        closedir(dir);
    }
    printf("conformance: %zu passed of %zu claimed of %zu cases; %zu excluded; %zu questions\n", n_passed, n_claimed,
           n_all, n_excluded, n_asked);
    fflush(stdout);
    for (size_t i = 0; i < sizeof used / sizeof used[0]; i++)
        ck_assert_msg(used[i], "%s is excluded, but no such case is claimed", exclusions[i].name);
    ck_assert_msg(n_wrong == 0, "%zu cases", n_wrong);
    ck_assert_uint_gt(n_passed, 0);
    ck_assert_uint_eq(n_passed + n_excluded, n_claimed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conformance");
    TCase *cases = tcase_create("conformance");
    tcase_set_timeout(cases, 600);
    tcase_add_test(cases, conformance__every_claimed_case_agrees_or_is_excluded_with_a_reason);
    suite_add_tcase(suite, cases);
    return gln_test_main(suite);
}
