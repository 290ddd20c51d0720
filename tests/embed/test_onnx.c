/* The ONNX reader: what it makes of good files, and the sentence it has for each kind of bad one. */
#include "common/rng.h"
#include "embed/onnx.h"
#include "embed/onnx_wire.h"
#include "tests/embed/onnx_builder.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

static const size_t input_dims[] = {0, 3, 8, 8};

/* input -> Conv -> BatchNormalization -> Relu -> GlobalAveragePool -> Flatten "embedding" -> Gemm "logits" */
static onnx_builder *small_network(void)
{
    static const float weights[4 * 3 * 3 * 3] = {0.5f, -0.25f, 1}, ones[40] = {1, 1, 1, 1}, gemm[5 * 4] = {1};
    onnx_builder *b = onnx_builder_create();
    onnx_input(b, "input", 4, input_dims);
    onnx_floats(b, "w", 4, (size_t[]){4, 3, 3, 3}, weights);
    onnx_floats(b, "scale", 1, (size_t[]){4}, ones);
    onnx_floats(b, "gemm", 2, (size_t[]){5, 4}, gemm);
    onnx_node(b, "Conv", "conv", "input,w", "a");
    onnx_node(b, "BatchNormalization", "norm", "a,scale,scale,scale,scale", "b");
    onnx_node(b, "Relu", "act", "b", "c");
    onnx_node(b, "GlobalAveragePool", "pool", "c", "d");
    onnx_node(b, "Flatten", "flat", "d", "embedding");
    onnx_int_attribute(b, onnx_node(b, "Gemm", "head", "embedding,gemm", "logits"), "transB", 1);
    return b;
}

static gln_status read(onnx_builder *b, const char *output, gln_net **out)
{
    size_t n_bytes = 0;
    unsigned char *bytes = onnx_pack(b, &n_bytes);
    return gln_onnx_read(out, bytes, n_bytes, output, NULL);
}

/* Reading fails so, and the sentence has both words. */
static void refuses(onnx_builder *b, const char *output, gln_status status, const char *word, const char *other)
{
    gln_net *net = NULL;
    gln_fails(read(b, output, &net), status);
    gln_message_has(word);
    gln_message_has(other);
    ck_assert_ptr_null(net);
    onnx_builder_free(b);
}

START_TEST(onnx__reads_the_part_that_the_output_needs)
{
    gln_net *net = NULL;
    onnx_builder *b = small_network();
    gln_ok(read(b, "embedding", &net));
    ck_assert_uint_eq(net->n_nodes, 5);
    ck_assert_str_eq(net->values[net->input].name, "input");
    ck_assert_uint_eq(net->values[net->input].tensor.shape.dims[0], 0);
    ck_assert_uint_eq(net->values[net->input].tensor.shape.dims[3], 8);
    ck_assert_str_eq(net->values[net->output].name, "embedding");
    gln_net_free(net);
    gln_ok(read(b, "logits", &net));
    ck_assert_uint_eq(net->n_nodes, 6);
    gln_net_free(net);
    onnx_builder_free(b);
}
END_TEST

START_TEST(onnx__nodes_in_any_order_are_sorted)
{
    gln_net *net = NULL;
    onnx_builder *b = small_network();
    for (size_t i = 0; i < b->graph->n_node / 2; i++) {
        Onnx__NodeProto *node = b->graph->node[i];
        b->graph->node[i] = b->graph->node[b->graph->n_node - 1 - i];
        b->graph->node[b->graph->n_node - 1 - i] = node;
    }
    gln_ok(read(b, "embedding", &net));
    ck_assert_int_eq(net->nodes[0].op, GLN_OP_CONV);
    ck_assert_int_eq(net->nodes[4].op, GLN_OP_FLATTEN);
    gln_net_free(net);
    onnx_builder_free(b);
}
END_TEST

START_TEST(onnx__unknown_operator_in_an_unused_head_does_no_harm)
{
    gln_net *net = NULL;
    onnx_builder *b = small_network();
    onnx_node(b, "Teleport", "odd", "embedding", "elsewhere");
    gln_ok(read(b, "embedding", &net));
    gln_net_free(net);
    refuses(b, "elsewhere", GLN_E_UNSUPPORTED, "Teleport", "odd");
}
END_TEST

START_TEST(onnx__operator_of_a_foreign_domain_is_refused_by_name)
{
    onnx_builder *b = small_network();
    b->graph->node[2]->domain = (char *)onnx_memory(b, 16);
    memcpy(b->graph->node[2]->domain, "com.example", 11);
    refuses(b, "embedding", GLN_E_UNSUPPORTED, "com.example.Relu", "act");
}
END_TEST

START_TEST(onnx__unknown_attribute_is_refused_by_name)
{
    onnx_builder *b = small_network();
    onnx_int_attribute(b, b->graph->node[0], "mirrored", 1);
    refuses(b, "embedding", GLN_E_UNSUPPORTED, "mirrored", "conv");
}
END_TEST

START_TEST(onnx__second_output_is_refused_when_read)
{
    onnx_builder *b = small_network();
    onnx_node(b, "MaxPool", "pool2", "a", "pooled,indices");
    onnx_node(b, "Relu", "after", "indices", "late");
    refuses(b, "late", GLN_E_UNSUPPORTED, "(MaxPool) should compute its output 2", "pool2");
}
END_TEST

START_TEST(onnx__missing_initialiser_is_named)
{
    onnx_builder *b = small_network();
    b->graph->n_initializer--; /* "gemm" */
    refuses(b, "logits", GLN_E_FORMAT, "gemm", "head");
}
END_TEST

START_TEST(onnx__cycle_is_named)
{
    onnx_builder *b = small_network();
    onnx_node(b, "Add", "forth", "embedding,y", "x");
    onnx_node(b, "Relu", "back", "x", "y");
    refuses(b, "y", GLN_E_FORMAT, "depends on its own result", "y");
}
END_TEST

START_TEST(onnx__node_that_reads_itself_is_a_cycle)
{
    onnx_builder *b = small_network();
    onnx_node(b, "Add", "ouroboros", "embedding,x", "x");
    refuses(b, "x", GLN_E_FORMAT, "ouroboros", "own result");
}
END_TEST

START_TEST(onnx__tensor_provided_twice_is_named)
{
    onnx_builder *b = small_network();
    onnx_node(b, "Relu", "again", "a", "c");
    refuses(b, "embedding", GLN_E_FORMAT, "c", "provided twice");
}
END_TEST

START_TEST(onnx__output_that_is_not_there_is_not_found)
{
    refuses(small_network(), "embeddings", GLN_E_NOT_FOUND, "embeddings", "no tensor");
}
END_TEST

START_TEST(onnx__two_inputs_are_refused_by_name)
{
    onnx_builder *b = small_network();
    onnx_input(b, "mask", 4, input_dims);
    refuses(b, "embedding", GLN_E_UNSUPPORTED, "mask", "input");
}
END_TEST

START_TEST(onnx__initialisers_may_be_listed_as_inputs)
{
    gln_net *net = NULL;
    onnx_builder *b = small_network();
    onnx_input(b, "w", 4, (size_t[]){4, 3, 3, 3});
    gln_ok(read(b, "embedding", &net));
    gln_net_free(net);
    onnx_builder_free(b);
}
END_TEST

START_TEST(onnx__operators_too_old_or_too_new_are_refused)
{
    static const int64_t versions[] = {0, -1, 99, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        onnx_builder *b = small_network();
        b->model->opset_import[0]->version = versions[i];
        refuses(b, "embedding", GLN_E_UNSUPPORTED, "version", "1 to");
    }
}
END_TEST

START_TEST(onnx__tensor_with_fewer_items_than_its_dims_is_named)
{
    onnx_builder *b = small_network();
    b->graph->initializer[0]->dims[0] = 5;
    refuses(b, "embedding", GLN_E_FORMAT, "tensor w", "135 items, but the file has 108");
}
END_TEST

START_TEST(onnx__raw_data_of_a_wrong_size_is_named)
{
    onnx_builder *b = small_network();
    Onnx__TensorProto *w = b->graph->initializer[0];
    w->n_float_data = 0;
    w->has_raw_data = 1;
    w->raw_data.data = onnx_memory(b, 431);
    w->raw_data.len = 431;
    refuses(b, "embedding", GLN_E_FORMAT, "tensor w", "items");
}
END_TEST

START_TEST(onnx__two_gigabytes_claimed_in_a_small_file_are_refused)
{
    static const size_t huge[][4] = {{1u << 29, 1, 1, 1}, {1u << 15, 1u << 14, 1, 1}};
    for (size_t i = 0; i < 2; i++) {
        onnx_builder *b = small_network();
        onnx_floats(b, "claim", 4, huge[i], NULL);
        refuses(b, "embedding", GLN_E_FORMAT, "claim", "536870912 items, but the file has 0");
    }
}
END_TEST

START_TEST(onnx__dims_whose_product_overflows_are_refused)
{
    static const size_t huge[][4] = {
        {(size_t)1 << 62, 4, 1, 1}, {(size_t)1 << 32, (size_t)1 << 32, 1, 1}, {0, (size_t)1 << 62, (size_t)1 << 62, 1}};
    for (size_t i = 0; i < 3; i++) {
        onnx_builder *b = small_network();
        onnx_floats(b, "claim", 4, huge[i], NULL);
        refuses(b, "embedding", GLN_E_LIMIT, "claim", "more than");
    }
}
END_TEST

START_TEST(onnx__negative_and_many_dims_are_refused)
{
    onnx_builder *b = small_network();
    b->graph->initializer[0]->dims[1] = -3;
    refuses(b, "embedding", GLN_E_FORMAT, "tensor w", "negative");
    b = small_network();
    onnx_floats(b, "deep", 9, (size_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, (float[]){1});
    refuses(b, "embedding", GLN_E_LIMIT, "deep", "9 axes");
}
END_TEST

START_TEST(onnx__external_data_is_refused_by_name)
{
    onnx_builder *b = small_network();
    b->graph->initializer[0]->has_data_location = 1;
    b->graph->initializer[0]->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    Onnx__StringStringEntryProto entry = ONNX__STRING_STRING_ENTRY_PROTO__INIT, *entries[1] = {&entry};
    char key[] = "location", value[] = "model.data";
    entry.key = key;
    entry.value = value;
    b->graph->initializer[0]->external_data = entries;
    b->graph->initializer[0]->n_external_data = 1;
    refuses(b, "embedding", GLN_E_UNSUPPORTED, "tensor w", "model.data");
}
END_TEST

START_TEST(onnx__element_types_that_are_not_read_are_refused_by_name)
{
    static const int32_t types[] = {0, 8, 13, 14, 15, 17, -1, INT32_MAX};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        onnx_builder *b = small_network();
        b->graph->initializer[0]->data_type = types[i];
        refuses(b, "embedding", GLN_E_UNSUPPORTED, "tensor w", "elements of type");
    }
}
END_TEST

/* One constant of every kind, read back. */
static void reads_as(int32_t type, const unsigned char *raw, size_t n_raw, double expected)
{
    gln_net *net = NULL;
    onnx_builder *b = small_network();
    Onnx__TensorProto *tensor = onnx_floats(b, "x", 1, (size_t[]){1}, NULL);
    tensor->data_type = type;
    tensor->has_raw_data = 1;
    tensor->raw_data.data = onnx_memory(b, n_raw);
    tensor->raw_data.len = n_raw;
    memcpy(tensor->raw_data.data, raw, n_raw);
    gln_ok(read(b, "embedding", &net));
    bool found = false;
    for (size_t i = 0; i < net->n_values; i++) {
        if (strcmp(net->values[i].name, "x") != 0) continue;
        const gln_tensor *t = &net->values[i].tensor;
        double value = t->dtype == GLN_F32 ? (double)*(const float *)t->data : (double)*(const int64_t *)t->data;
        ck_assert_double_eq(value, expected);
        found = true;
    }
    ck_assert(found);
    gln_net_free(net);
    onnx_builder_free(b);
}

START_TEST(onnx__element_types_are_widened)
{
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, (unsigned char[]){0, 0, 0x20, 0xc1}, 4, -10);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE, (unsigned char[]){0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, 8, 1.5);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, (unsigned char[]){0, 0xc0}, 2, -2);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, (unsigned char[]){1, 0x80}, 2, -0x1p-24);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, (unsigned char[]){0xff, 0x7b}, 2, 65504);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16, (unsigned char[]){0x80, 0x3f}, 2, 1);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__INT8, (unsigned char[]){0xfe}, 1, -2);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, (unsigned char[]){0xfe}, 1, 254);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, (unsigned char[]){1}, 1, 1);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__INT32, (unsigned char[]){0xff, 0xff, 0xff, 0xff}, 4, -1);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__UINT32, (unsigned char[]){0xff, 0xff, 0xff, 0xff}, 4, 4294967295.0);
    reads_as(ONNX__TENSOR_PROTO__DATA_TYPE__INT64, (unsigned char[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 8, -1);
}
END_TEST

START_TEST(onnx__every_truncation_is_an_error_or_a_smaller_model)
{
    onnx_builder *b = small_network();
    size_t n_bytes = 0, n_failed = 0;
    unsigned char *bytes = onnx_pack(b, &n_bytes);
    for (size_t n = 0; n < n_bytes; n++) {
        gln_net *net = NULL;
        unsigned char *part = malloc(n == 0 ? 1 : n); /* exactly as long, so that reading beyond it shows */
        ck_assert_ptr_nonnull(part);
        memcpy(part, bytes, n);
        n_failed += gln_onnx_read(&net, part, n, "embedding", NULL) != GLN_OK;
        gln_net_free(net);
        free(part);
    }
    ck_assert_uint_ge(n_failed, n_bytes - 8); /* the operator set comes last, in a few bytes */
    onnx_builder_free(b);
}
END_TEST

START_TEST(onnx__damaged_bytes_never_crash)
{
    onnx_builder *b = small_network();
    gln_rng rng;
    size_t n_bytes = 0;
    unsigned char *bytes = onnx_pack(b, &n_bytes), *copy = onnx_memory(b, n_bytes);
    gln_rng_seed(&rng, 7);
    for (size_t round = 0; round < 20000; round++) {
        gln_net *net = NULL, *instance = NULL;
        memcpy(copy, bytes, n_bytes);
        for (size_t i = 0; i < 1 + round % 4; i++) copy[gln_rng_below(&rng, n_bytes)] = (unsigned char)gln_rng_next(&rng);
        if (gln_onnx_read(&net, copy, n_bytes, "logits", NULL) != GLN_OK) continue;
        if (net->values[net->input].tensor.shape.rank == 4 && gln_net_fold(net) == GLN_OK &&
            gln_net_instantiate(&instance, net, 1) == GLN_OK) {
            gln_net_fuse(instance);
        }
        gln_net_free(instance);
        gln_net_free(net);
    }
    onnx_builder_free(b);
}
END_TEST

/* The wire format allows numbers of a list one by one and packed, in any mixture, and skips what nobody knows. */
START_TEST(onnx__lists_are_read_packed_and_one_by_one)
{
    static const unsigned char bytes[] = {
        1 << 3 | 2, 2, 3, 2,                    /* dims 3, 2 packed */
        1 << 3, 5,                              /* and 5 alone */
        2 << 3, 1,                              /* data_type float */
        4 << 3 | 5, 0, 0, 0x80, 0x3f,           /* float_data 1 alone */
        4 << 3 | 2, 8, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, /* and 2, 3 packed */
        7 << 3 | 2, 11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 7, /* int64_data -1, 7 */
        10 << 3 | 1, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, /* double_data 1.5 */
        8 << 3 | 2, 1, 'a', 8 << 3 | 2, 1, 'b', /* name: the last one counts */
        0xa2, 0x06, 2, 9, 9, 0xa8, 0x06, 5, 0xb5, 0x06, 1, 2, 3, 4, /* fields 100 to 102, unknown */
        9 << 3 | 2, 0,                          /* raw_data, there and empty */
    };
    gln_onnx_file *file = NULL;
    gln_ok(gln_onnx_parse_tensor(&file, bytes, sizeof bytes));
    const gln_onnx_tensor_proto *t = &file->tensor;
    const int64_t *dims = t->dims.items, *ints = t->int64_data.items;
    const float *floats = t->float_data.items;
    ck_assert_uint_eq(t->dims.n, 3);
    ck_assert(dims[0] == 3 && dims[1] == 2 && dims[2] == 5);
    ck_assert_uint_eq(t->float_data.n, 3);
    ck_assert(floats[0] == 1 && floats[1] == 2 && floats[2] == 3);
    ck_assert_uint_eq(t->int64_data.n, 2);
    ck_assert(ints[0] == -1 && ints[1] == 7);
    ck_assert_uint_eq(t->double_data.n, 1);
    ck_assert_double_eq(*(const double *)t->double_data.items, 1.5);
    ck_assert_str_eq(t->name, "b");
    ck_assert_ptr_nonnull(t->raw_data.data);
    ck_assert_uint_eq(t->raw_data.n, 0);
    gln_onnx_file_free(file);
}
END_TEST

START_TEST(onnx__what_the_wire_format_does_not_allow_is_refused)
{
    static const struct {
        size_t n;
        unsigned char bytes[16];
    } bad[] = {
        {2, {2 << 3 | 2, 0}},                     /* data_type as bytes */
        {3, {4 << 3 | 2, 3, 0}},                  /* shorter than it says */
        {5, {4 << 3 | 2, 3, 0, 0, 0}},            /* floats of three bytes */
        {3, {1 << 3 | 2, 1, 0x80}},               /* a number that does not end in its list */
        {1, {0x80}},                              /* a tag that does not end */
        {12, {1 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}}, /* 11 bytes of a number */
        {2, {1 << 3 | 3, 0}},               /* a group */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        gln_onnx_file *file = NULL;
        ck_assert_msg(gln_onnx_parse_tensor(&file, bad[i].bytes, bad[i].n) == GLN_E_FORMAT, "case %zu", i);
        ck_assert_ptr_null(file);
    }
    static const unsigned char twice[] = {7 << 3 | 2, 0, 7 << 3 | 2, 0};
    gln_onnx_file *file = NULL;
    gln_fails(gln_onnx_parse(&file, twice, sizeof twice), GLN_E_FORMAT);
}
END_TEST

START_TEST(onnx__deep_nesting_is_stepped_over)
{
    /* GraphProto in an attribute of a node of a GraphProto, 100,000 times: fields 7, 1, 5, 6. */
    enum { LEVELS = 100000 };
    unsigned char *bytes = malloc(LEVELS * 24), *at = bytes + LEVELS * 24;
    gln_net *net = NULL;
    static const unsigned char tags[] = {6 << 3 | 2, 5 << 3 | 2, 1 << 3 | 2};
    ck_assert_ptr_nonnull(bytes);
    unsigned char *end = at;
    for (size_t i = 0; i < LEVELS * 3 + 1; i++) {
        uint64_t size = (uint64_t)(end - at);
        unsigned char varint[10];
        size_t n = 0;
        do {
            varint[n++] = (unsigned char)(size & 0x7f) | (size >= 0x80 ? 0x80 : 0);
            size >>= 7;
        } while (size != 0);
        if ((size_t)(at - bytes) < n + 1) break;
        at -= n;
        memcpy(at, varint, n);
        *--at = i == LEVELS * 3 ? 7 << 3 | 2 : tags[i % 3];
    }
    *at = 7 << 3 | 2; /* the outermost is a model's graph */
    gln_fails(gln_onnx_read(&net, at, (size_t)(end - at), "x", NULL), GLN_E_UNSUPPORTED);
    gln_message_has("version 0 of ONNX's operators");
    free(bytes);
}
END_TEST

START_TEST(onnx__names_with_odd_bytes_are_shown_harmlessly)
{
    onnx_builder *b = small_network();
    onnx_node(b, "Relu", "bad\n\x01\xff", "nowhere\xc3", "x");
    gln_net *net = NULL;
    gln_fails(read(b, "x", &net), GLN_E_FORMAT);
    gln_message_has("bad???");
    gln_message_has("nowhere?");
    onnx_builder_free(b);
}
END_TEST

START_TEST(onnx__empty_and_foreign_files_are_refused)
{
    gln_net *net = NULL;
    gln_fails(gln_onnx_read(&net, (const unsigned char *)"", 0, "x", NULL), GLN_E_FORMAT);
    gln_fails(gln_onnx_read(&net, (const unsigned char *)"\x89PNG\r\n\x1a\n", 8, "x", NULL), GLN_E_FORMAT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx");
    TCase *good = tcase_create("good files"), *bad = tcase_create("bad files");
    tcase_set_timeout(bad, 300);
    tcase_add_test(good, onnx__reads_the_part_that_the_output_needs);
    tcase_add_test(good, onnx__nodes_in_any_order_are_sorted);
    tcase_add_test(good, onnx__unknown_operator_in_an_unused_head_does_no_harm);
    tcase_add_test(good, onnx__initialisers_may_be_listed_as_inputs);
    tcase_add_test(good, onnx__element_types_are_widened);
    tcase_add_test(bad, onnx__operator_of_a_foreign_domain_is_refused_by_name);
    tcase_add_test(bad, onnx__unknown_attribute_is_refused_by_name);
    tcase_add_test(bad, onnx__second_output_is_refused_when_read);
    tcase_add_test(bad, onnx__missing_initialiser_is_named);
    tcase_add_test(bad, onnx__cycle_is_named);
    tcase_add_test(bad, onnx__node_that_reads_itself_is_a_cycle);
    tcase_add_test(bad, onnx__tensor_provided_twice_is_named);
    tcase_add_test(bad, onnx__output_that_is_not_there_is_not_found);
    tcase_add_test(bad, onnx__two_inputs_are_refused_by_name);
    tcase_add_test(bad, onnx__operators_too_old_or_too_new_are_refused);
    tcase_add_test(bad, onnx__tensor_with_fewer_items_than_its_dims_is_named);
    tcase_add_test(bad, onnx__raw_data_of_a_wrong_size_is_named);
    tcase_add_test(bad, onnx__two_gigabytes_claimed_in_a_small_file_are_refused);
    tcase_add_test(bad, onnx__dims_whose_product_overflows_are_refused);
    tcase_add_test(bad, onnx__negative_and_many_dims_are_refused);
    tcase_add_test(bad, onnx__external_data_is_refused_by_name);
    tcase_add_test(bad, onnx__element_types_that_are_not_read_are_refused_by_name);
    tcase_add_test(bad, onnx__every_truncation_is_an_error_or_a_smaller_model);
    tcase_add_test(bad, onnx__damaged_bytes_never_crash);
    tcase_add_test(bad, onnx__lists_are_read_packed_and_one_by_one);
    tcase_add_test(bad, onnx__what_the_wire_format_does_not_allow_is_refused);
    tcase_add_test(bad, onnx__deep_nesting_is_stepped_over);
    tcase_add_test(bad, onnx__names_with_odd_bytes_are_shown_harmlessly);
    tcase_add_test(bad, onnx__empty_and_foreign_files_are_refused);
    suite_add_tcase(suite, good);
    suite_add_tcase(suite, bad);
    return gln_test_main(suite);
}
