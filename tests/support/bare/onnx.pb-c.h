/*
 * As much of what protobuf-c makes of onnx.proto as tests/embed/onnx_builder.c uses, for slim builds on machines without it: the same
 * names and fields, and a writer. The full build uses protobuf-c itself.
 */
#ifndef GLN_TESTS_BARE_ONNX_H
#define GLN_TESTS_BARE_ONNX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT = 1, ONNX__TENSOR_PROTO__DATA_TYPE__INT64 = 7 };
enum { ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE = 1, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM = 2 };
enum { ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE = 1 };
typedef enum {
    ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT = 1,
    ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT = 2,
    ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING = 3,
    ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS = 7
} Onnx__AttributeProto__AttributeType;

typedef struct Onnx__OperatorSetIdProto {
    int has_version;
    int64_t version;
} Onnx__OperatorSetIdProto;
typedef struct Onnx__TensorShapeProto__Dimension {
    int value_case;
    int64_t dim_value;
    char *dim_param;
} Onnx__TensorShapeProto__Dimension;
typedef struct Onnx__TensorShapeProto {
    size_t n_dim;
    Onnx__TensorShapeProto__Dimension **dim;
} Onnx__TensorShapeProto;
typedef struct Onnx__TypeProto__Tensor {
    int has_elem_type;
    int32_t elem_type;
    Onnx__TensorShapeProto *shape;
} Onnx__TypeProto__Tensor;
typedef struct Onnx__TypeProto {
    int value_case;
    Onnx__TypeProto__Tensor *tensor_type;
} Onnx__TypeProto;
typedef struct Onnx__ValueInfoProto {
    char *name;
    Onnx__TypeProto *type;
} Onnx__ValueInfoProto;
typedef struct Onnx__TensorProto {
    char *name;
    int has_data_type;
    int32_t data_type;
    size_t n_dims, n_float_data, n_int64_data;
    int64_t *dims, *int64_data;
    float *float_data;
} Onnx__TensorProto;
typedef struct Onnx__AttributeProto {
    char *name;
    int has_type, has_i, has_f, has_s;
    Onnx__AttributeProto__AttributeType type;
    int64_t i;
    float f;
    struct {
        size_t len;
        uint8_t *data;
    } s;
    size_t n_ints;
    int64_t *ints;
} Onnx__AttributeProto;
typedef struct Onnx__NodeProto {
    char *name, *op_type;
    size_t n_input, n_output, n_attribute;
    char **input, **output;
    Onnx__AttributeProto **attribute;
} Onnx__NodeProto;
typedef struct Onnx__GraphProto {
    size_t n_node, n_initializer, n_input;
    Onnx__NodeProto **node;
    Onnx__TensorProto **initializer;
    Onnx__ValueInfoProto **input;
} Onnx__GraphProto;
typedef struct Onnx__ModelProto {
    int has_ir_version;
    int64_t ir_version;
    Onnx__GraphProto *graph;
    size_t n_opset_import;
    Onnx__OperatorSetIdProto **opset_import;
} Onnx__ModelProto;

#define BARE_ONNX_INIT(type, name)                                                                                     \
    static inline void onnx__##name##__init(type *message)                                                             \
    {                                                                                                                  \
        memset(message, 0, sizeof *message);                                                                           \
    }
BARE_ONNX_INIT(Onnx__OperatorSetIdProto, operator_set_id_proto)
BARE_ONNX_INIT(Onnx__TensorShapeProto__Dimension, tensor_shape_proto__dimension)
BARE_ONNX_INIT(Onnx__TensorShapeProto, tensor_shape_proto)
BARE_ONNX_INIT(Onnx__TypeProto__Tensor, type_proto__tensor)
BARE_ONNX_INIT(Onnx__TypeProto, type_proto)
BARE_ONNX_INIT(Onnx__ValueInfoProto, value_info_proto)
BARE_ONNX_INIT(Onnx__TensorProto, tensor_proto)
BARE_ONNX_INIT(Onnx__AttributeProto, attribute_proto)
BARE_ONNX_INIT(Onnx__NodeProto, node_proto)
BARE_ONNX_INIT(Onnx__GraphProto, graph_proto)
BARE_ONNX_INIT(Onnx__ModelProto, model_proto)

/* ---- Writing: bytes go to `to`, or are counted only where that is NULL ---- */

typedef struct bare_writer {
    unsigned char *to;
    size_t n;
} bare_writer;

static inline void bare_bytes(bare_writer *w, const void *bytes, size_t n)
{
    if (w->to != NULL && n != 0) memcpy(w->to + w->n, bytes, n);
    w->n += n;
}

static inline void bare_varint(bare_writer *w, uint64_t value)
{
    do {
        unsigned char byte = (unsigned char)((value & 0x7f) | (value >= 0x80 ? 0x80 : 0));
        bare_bytes(w, &byte, 1);
        value >>= 7;
    } while (value != 0);
}

static inline void bare_int(bare_writer *w, unsigned field, int64_t value)
{
    bare_varint(w, field << 3);
    bare_varint(w, (uint64_t)value);
}

static inline void bare_block(bare_writer *w, unsigned field, const void *bytes, size_t n)
{
    bare_varint(w, field << 3 | 2);
    bare_varint(w, n);
    bare_bytes(w, bytes, n);
}

static inline void bare_text(bare_writer *w, unsigned field, const char *text)
{
    if (text != NULL) bare_block(w, field, text, strlen(text));
}

typedef void (*bare_message)(bare_writer *w, const void *message);

static inline void bare_inner(bare_writer *w, unsigned field, bare_message write, const void *message)
{
    bare_writer size = {NULL, 0};
    write(&size, message);
    bare_varint(w, field << 3 | 2);
    bare_varint(w, size.n);
    write(w, message);
}

static inline void bare_write_opset(bare_writer *w, const void *message)
{
    bare_int(w, 2, ((const Onnx__OperatorSetIdProto *)message)->version);
}

static inline void bare_write_dimension(bare_writer *w, const void *message)
{
    const Onnx__TensorShapeProto__Dimension *dim = message;
    if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) bare_int(w, 1, dim->dim_value);
    else bare_text(w, 2, dim->dim_param);
}

static inline void bare_write_shape(bare_writer *w, const void *message)
{
    const Onnx__TensorShapeProto *shape = message;
    for (size_t i = 0; i < shape->n_dim; i++) bare_inner(w, 1, bare_write_dimension, shape->dim[i]);
}

static inline void bare_write_tensor_type(bare_writer *w, const void *message)
{
    const Onnx__TypeProto__Tensor *type = message;
    bare_int(w, 1, type->elem_type);
    bare_inner(w, 2, bare_write_shape, type->shape);
}

static inline void bare_write_type(bare_writer *w, const void *message)
{
    bare_inner(w, 1, bare_write_tensor_type, ((const Onnx__TypeProto *)message)->tensor_type);
}

static inline void bare_write_value(bare_writer *w, const void *message)
{
    const Onnx__ValueInfoProto *value = message;
    bare_text(w, 1, value->name);
    bare_inner(w, 2, bare_write_type, value->type);
}

static inline void bare_write_tensor(bare_writer *w, const void *message)
{
    const Onnx__TensorProto *tensor = message;
    for (size_t i = 0; i < tensor->n_dims; i++) bare_int(w, 1, tensor->dims[i]);
    bare_int(w, 2, tensor->data_type);
    if (tensor->n_float_data != 0) bare_block(w, 4, tensor->float_data, tensor->n_float_data * sizeof(float));
    for (size_t i = 0; i < tensor->n_int64_data; i++) bare_int(w, 7, tensor->int64_data[i]);
    bare_text(w, 8, tensor->name);
}

static inline void bare_write_attribute(bare_writer *w, const void *message)
{
    const Onnx__AttributeProto *a = message;
    bare_text(w, 1, a->name);
    if (a->has_f) {
        bare_varint(w, 2 << 3 | 5);
        bare_bytes(w, &a->f, sizeof a->f);
    }
    if (a->has_i) bare_int(w, 3, a->i);
    if (a->has_s) bare_block(w, 4, a->s.data, a->s.len);
    for (size_t i = 0; i < a->n_ints; i++) bare_int(w, 8, a->ints[i]);
    bare_int(w, 20, a->type);
}

static inline void bare_write_node(bare_writer *w, const void *message)
{
    const Onnx__NodeProto *node = message;
    for (size_t i = 0; i < node->n_input; i++) bare_text(w, 1, node->input[i]);
    for (size_t i = 0; i < node->n_output; i++) bare_text(w, 2, node->output[i]);
    bare_text(w, 3, node->name);
    bare_text(w, 4, node->op_type);
    for (size_t i = 0; i < node->n_attribute; i++) bare_inner(w, 5, bare_write_attribute, node->attribute[i]);
}

static inline void bare_write_graph(bare_writer *w, const void *message)
{
    const Onnx__GraphProto *graph = message;
    for (size_t i = 0; i < graph->n_node; i++) bare_inner(w, 1, bare_write_node, graph->node[i]);
    for (size_t i = 0; i < graph->n_initializer; i++) bare_inner(w, 5, bare_write_tensor, graph->initializer[i]);
    for (size_t i = 0; i < graph->n_input; i++) bare_inner(w, 11, bare_write_value, graph->input[i]);
}

static inline void bare_write_model(bare_writer *w, const void *message)
{
    const Onnx__ModelProto *model = message;
    bare_int(w, 1, model->ir_version);
    bare_inner(w, 7, bare_write_graph, model->graph);
    for (size_t i = 0; i < model->n_opset_import; i++) bare_inner(w, 8, bare_write_opset, model->opset_import[i]);
}

static inline size_t onnx__model_proto__get_packed_size(const Onnx__ModelProto *model)
{
    bare_writer w = {NULL, 0};
    bare_write_model(&w, model);
    return w.n;
}

static inline size_t onnx__model_proto__pack(const Onnx__ModelProto *model, uint8_t *out)
{
    bare_writer w = {out, 0};
    bare_write_model(&w, model);
    return w.n;
}

#endif
