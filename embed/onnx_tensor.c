/*
 * The items of an ONNX tensor lie either in raw_data, little-endian and as wide as the type says, or in the typed list
 * of its type (float_data, int64_data, ...; int32_data also carries the narrower types and half floats as bit
 * patterns). Either way there must be exactly as many as the dims say.
 */
#include "embed/onnx_tensor.h"

#include "common/memory.h"

#include <string.h>

/* Bytes of an item in raw_data; 0 for a type that is not read. */
static size_t raw_item_bytes(int32_t type)
{
    switch (type) {
    case GLN_ONNX_BOOL:
    case GLN_ONNX_UINT8:
    case GLN_ONNX_INT8: return 1;
    case GLN_ONNX_UINT16:
    case GLN_ONNX_INT16:
    case GLN_ONNX_FLOAT16:
    case GLN_ONNX_BFLOAT16: return 2;
    case GLN_ONNX_FLOAT:
    case GLN_ONNX_INT32:
    case GLN_ONNX_UINT32: return 4;
    case GLN_ONNX_DOUBLE:
    case GLN_ONNX_INT64: return 8;
    default: return 0;
    }
}

static bool is_float(int32_t type)
{
    return type == GLN_ONNX_FLOAT || type == GLN_ONNX_DOUBLE ||
           type == GLN_ONNX_FLOAT16 || type == GLN_ONNX_BFLOAT16;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, mantissa = half & 1023;
    if (exponent == 31) return from_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent != 0) return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float small = (float)mantissa * 0x1p-24f; /* subnormal, or zero */
    return sign != 0 ? -small : small;
}

/* Items that are floats, from their bit patterns. */
static float float_of(int32_t type, uint64_t bits)
{
    double wide;
    switch (type) {
    case GLN_ONNX_FLOAT: return from_bits((uint32_t)bits);
    case GLN_ONNX_FLOAT16: return from_half((uint16_t)bits);
    case GLN_ONNX_BFLOAT16: return from_bits((uint32_t)(bits & 0xffff) << 16);
    default: memcpy(&wide, &bits, sizeof wide); return (float)wide;
    }
}

static int64_t integer_of(int32_t type, uint64_t bits)
{
    switch (type) {
    case GLN_ONNX_INT8: return (int8_t)bits;
    case GLN_ONNX_INT16: return (int16_t)bits;
    case GLN_ONNX_INT32: return (int32_t)bits;
    default: return (int64_t)bits;
    }
}

static uint64_t little_endian(const uint8_t *bytes, size_t n)
{
    uint64_t value = 0;
    for (size_t i = n; i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

static gln_status wrong_count(const gln_net *graph, size_t value, size_t has, size_t wants)
{
    return gln_fail(GLN_E_FORMAT, "the tensor %s should hold %zu items, but the file has %zu",
                    graph->values[value].name, wants, has);
}

/* Items as the file has them: little-endian, as wide as the type says. */
static gln_status copy_raw(gln_net *graph, size_t value, int32_t type, const unsigned char *raw, size_t n_raw,
                           const gln_shape *shape)
{
    size_t bytes = raw_item_bytes(type), n_items = gln_shape_items(shape);
    if (n_raw % bytes != 0 || n_raw / bytes != n_items) return wrong_count(graph, value, n_raw / bytes, n_items);
    bool floats = is_float(type);
    gln_status st = gln_net_set_constant(graph, value, floats ? GLN_F32 : GLN_I64, shape);
    if (st != GLN_OK) return st;
    void *to = graph->values[value].tensor.data;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (type == GLN_ONNX_FLOAT || type == GLN_ONNX_INT64) {
        if (n_raw != 0) memcpy(to, raw, n_raw);
        return GLN_OK;
    }
#endif
    for (size_t i = 0; i < n_items; i++) {
        uint64_t bits = little_endian(raw + i * bytes, bytes);
        if (floats) {
            ((float *)to)[i] = float_of(type, bits);
        } else {
            ((int64_t *)to)[i] = integer_of(type, bits);
        }
    }
    return GLN_OK;
}

static gln_status copy_external(gln_net *graph, size_t value, const gln_onnx_tensor_proto *from, const gln_shape *shape,
                                const char *folder)
{
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    const char *name = graph->values[value].name;
    gln_status st = gln_onnx_external(&bytes, &n_bytes, from, name, folder,
                                      gln_shape_items(shape) * raw_item_bytes((int32_t)from->data_type));
    if (st == GLN_OK) st = copy_raw(graph, value, (int32_t)from->data_type, bytes, n_bytes, shape);
    gln_free(bytes);
    return st;
}

static gln_status copy_list(gln_net *graph, size_t value, const gln_onnx_tensor_proto *from, const gln_shape *shape)
{
    size_t n_items = gln_shape_items(shape);
    int32_t type = (int32_t)from->data_type;
    const gln_onnx_list *list = type == GLN_ONNX_FLOAT    ? &from->float_data
                                : type == GLN_ONNX_DOUBLE ? &from->double_data
                                : type == GLN_ONNX_INT64  ? &from->int64_data
                                : type == GLN_ONNX_UINT32 ? &from->uint64_data
                                                          : &from->int32_data;
    if (list->n != n_items) return wrong_count(graph, value, list->n, n_items);
    const int64_t *integers = list->items;
    bool floats = is_float(type);
    gln_status st = gln_net_set_constant(graph, value, floats ? GLN_F32 : GLN_I64, shape);
    void *to = graph->values[value].tensor.data;
    for (size_t i = 0; st == GLN_OK && i < n_items; i++) {
        if (type == GLN_ONNX_FLOAT) {
            ((float *)to)[i] = ((const float *)list->items)[i];
        } else if (type == GLN_ONNX_DOUBLE) {
            ((float *)to)[i] = (float)((const double *)list->items)[i];
        } else if (floats) {
            ((float *)to)[i] = float_of(type, (uint32_t)integers[i]);
        } else if (type == GLN_ONNX_INT64 || type == GLN_ONNX_UINT32) {
            ((int64_t *)to)[i] = integers[i];
        } else {
            ((int64_t *)to)[i] = (int32_t)integers[i];
        }
    }
    return st;
}

gln_status gln_onnx_tensor(gln_net *graph, size_t value, const gln_onnx_tensor_proto *from, const char *folder)
{
    const char *name = graph->values[value].name;
    const int64_t *dims = from->dims.items;
    gln_shape shape = {.rank = from->dims.n};
    if (shape.rank > GLN_MAX_RANK) return gln_fail(GLN_E_LIMIT, "the tensor %s has %zu axes", name, shape.rank);
    for (size_t i = 0; i < shape.rank; i++) {
        if (dims[i] < 0) return gln_fail(GLN_E_FORMAT, "the tensor %s has a negative dimension", name);
        shape.dims[i] = (size_t)dims[i];
    }
    int32_t type = (int32_t)from->data_type;
    gln_status st = gln_shape_check(&shape, name);
    if (st != GLN_OK) return st;
    if (raw_item_bytes(type) == 0 || from->n_segment != 0) {
        return gln_fail(GLN_E_UNSUPPORTED, "the tensor %s has elements of type %d, which gleaner does not read", name,
                        (int)type);
    }
    if (from->external_data.n != 0 || from->data_location == GLN_ONNX_EXTERNAL) {
        return copy_external(graph, value, from, &shape, folder);
    }
    if (from->raw_data.data == NULL) return copy_list(graph, value, from, &shape);
    return copy_raw(graph, value, type, from->raw_data.data, from->raw_data.n, &shape);
}
