#include "tests/embed/onnx_builder.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

void *onnx_memory(onnx_builder *b, size_t n_bytes)
{
    void *memory = calloc(1, n_bytes == 0 ? 1 : n_bytes), **owned = realloc(b->owned, (b->n_owned + 1) * sizeof *owned);
    ck_assert(memory != NULL && owned != NULL);
    b->owned = owned;
    b->owned[b->n_owned++] = memory;
    return memory;
}

static char *text(onnx_builder *b, const char *from)
{
    char *copy = onnx_memory(b, strlen(from) + 1);
    memcpy(copy, from, strlen(from));
    return copy;
}

/* A list of pointers with one more at its end; the old list stays with the builder. */
static void *append(onnx_builder *b, void *list, size_t *n, void *item)
{
    void **longer = onnx_memory(b, (*n + 1) * sizeof *longer);
    if (list != NULL) memcpy(longer, list, *n * sizeof *longer);
    longer[(*n)++] = item;
    return longer;
}

onnx_builder *onnx_builder_create(void)
{
    onnx_builder *b = calloc(1, sizeof *b);
    ck_assert(b != NULL);
    b->model = onnx_memory(b, sizeof *b->model);
    b->graph = onnx_memory(b, sizeof *b->graph);
    Onnx__OperatorSetIdProto *opset = onnx_memory(b, sizeof *opset);
    onnx__model_proto__init(b->model);
    onnx__graph_proto__init(b->graph);
    onnx__operator_set_id_proto__init(opset);
    opset->has_version = 1;
    opset->version = 17;
    b->model->has_ir_version = 1;
    b->model->ir_version = 8;
    b->model->graph = b->graph;
    b->model->opset_import = append(b, NULL, &b->model->n_opset_import, opset);
    return b;
}

void onnx_builder_free(onnx_builder *b)
{
    for (size_t i = 0; i < b->n_owned; i++) free(b->owned[i]);
    free(b->owned);
    free(b);
}

void onnx_input(onnx_builder *b, const char *name, size_t rank, const size_t *dims)
{
    Onnx__ValueInfoProto *info = onnx_memory(b, sizeof *info);
    Onnx__TypeProto *type = onnx_memory(b, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = onnx_memory(b, sizeof *tensor);
    Onnx__TensorShapeProto *shape = onnx_memory(b, sizeof *shape);
    onnx__value_info_proto__init(info);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    onnx__tensor_shape_proto__init(shape);
    for (size_t i = 0; i < rank; i++) {
        Onnx__TensorShapeProto__Dimension *dim = onnx_memory(b, sizeof *dim);
        onnx__tensor_shape_proto__dimension__init(dim);
        if (dims[i] == 0) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim->dim_param = text(b, "N");
        } else {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = (int64_t)dims[i];
        }
        shape->dim = append(b, shape->dim, &shape->n_dim, dim);
    }
    tensor->has_elem_type = 1;
    tensor->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->shape = shape;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    info->name = text(b, name);
    info->type = type;
    b->graph->input = append(b, b->graph->input, &b->graph->n_input, info);
}

void onnx_initialiser(onnx_builder *b, Onnx__TensorProto *tensor)
{
    b->graph->initializer = append(b, b->graph->initializer, &b->graph->n_initializer, tensor);
}

static Onnx__TensorProto *tensor_of(onnx_builder *b, const char *name, size_t rank, const size_t *dims, int32_t type)
{
    Onnx__TensorProto *tensor = onnx_memory(b, sizeof *tensor);
    onnx__tensor_proto__init(tensor);
    tensor->name = text(b, name);
    tensor->has_data_type = 1;
    tensor->data_type = type;
    tensor->dims = onnx_memory(b, rank * sizeof *tensor->dims);
    tensor->n_dims = rank;
    for (size_t i = 0; i < rank; i++) tensor->dims[i] = (int64_t)dims[i];
    onnx_initialiser(b, tensor);
    return tensor;
}

Onnx__TensorProto *onnx_floats(onnx_builder *b, const char *name, size_t rank, const size_t *dims, const float *values)
{
    Onnx__TensorProto *tensor = tensor_of(b, name, rank, dims, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    size_t n = 1;
    for (size_t i = 0; i < rank; i++) n *= dims[i];
    if (values == NULL) return tensor;
    tensor->float_data = onnx_memory(b, n * sizeof *values);
    tensor->n_float_data = n;
    memcpy(tensor->float_data, values, n * sizeof *values);
    return tensor;
}

Onnx__TensorProto *onnx_ints(onnx_builder *b, const char *name, size_t n, const int64_t *values)
{
    Onnx__TensorProto *tensor = tensor_of(b, name, 1, &n, ONNX__TENSOR_PROTO__DATA_TYPE__INT64);
    tensor->int64_data = onnx_memory(b, n * sizeof *values);
    tensor->n_int64_data = n;
    memcpy(tensor->int64_data, values, n * sizeof *values);
    return tensor;
}

static char **names(onnx_builder *b, const char *list, size_t *out_n)
{
    char **out = NULL;
    for (const char *at = list; *list != 0 && at != NULL;) {
        size_t length = strcspn(at, ",");
        char *name = onnx_memory(b, length + 1);
        memcpy(name, at, length);
        out = append(b, out, out_n, name);
        at = at[length] == ',' ? at + length + 1 : NULL;
    }
    return out;
}

Onnx__NodeProto *onnx_node(onnx_builder *b, const char *type, const char *name, const char *inputs, const char *outputs)
{
    Onnx__NodeProto *node = onnx_memory(b, sizeof *node);
    onnx__node_proto__init(node);
    node->op_type = text(b, type);
    node->name = text(b, name);
    node->input = names(b, inputs, &node->n_input);
    node->output = names(b, outputs, &node->n_output);
    b->graph->node = append(b, b->graph->node, &b->graph->n_node, node);
    return node;
}

void onnx_copy_node(onnx_builder *b, Onnx__NodeProto *node)
{
    b->graph->node = append(b, b->graph->node, &b->graph->n_node, node);
}

static Onnx__AttributeProto *attribute(onnx_builder *b, Onnx__NodeProto *node, const char *name,
                                       Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *made = onnx_memory(b, sizeof *made);
    onnx__attribute_proto__init(made);
    made->name = text(b, name);
    made->has_type = 1;
    made->type = type;
    node->attribute = append(b, node->attribute, &node->n_attribute, made);
    return made;
}

void onnx_int_attribute(onnx_builder *b, Onnx__NodeProto *node, const char *name, int64_t value)
{
    Onnx__AttributeProto *made = attribute(b, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    made->has_i = 1;
    made->i = value;
}

void onnx_float_attribute(onnx_builder *b, Onnx__NodeProto *node, const char *name, float value)
{
    Onnx__AttributeProto *made = attribute(b, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    made->has_f = 1;
    made->f = value;
}

void onnx_ints_attribute(onnx_builder *b, Onnx__NodeProto *node, const char *name, size_t n, const int64_t *values)
{
    Onnx__AttributeProto *made = attribute(b, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    made->ints = onnx_memory(b, n * sizeof *values);
    made->n_ints = n;
    memcpy(made->ints, values, n * sizeof *values);
}

void onnx_string_attribute(onnx_builder *b, Onnx__NodeProto *node, const char *name, const char *value)
{
    Onnx__AttributeProto *made = attribute(b, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    made->has_s = 1;
    made->s.data = (uint8_t *)text(b, value);
    made->s.len = strlen(value);
}

unsigned char *onnx_pack(onnx_builder *b, size_t *out_bytes)
{
    *out_bytes = onnx__model_proto__get_packed_size(b->model);
    unsigned char *bytes = onnx_memory(b, *out_bytes);
    onnx__model_proto__pack(b->model, bytes);
    return bytes;
}
