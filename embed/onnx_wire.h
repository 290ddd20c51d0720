/*
 * The messages of an ONNX file, as far as gleaner reads them, out of protobuf's wire format. Internal to the ONNX
 * reader.
 *
 *     gln_onnx_file *file = NULL;
 *     if ((st = gln_onnx_parse(&file, bytes, n_bytes)) != GLN_OK) return st;
 *     const gln_onnx_node *nodes = file->model.graph->nodes.items;
 *     gln_onnx_file_free(file);
 *
 * Names as in onnx.proto, of which fields that nobody reads are left out. Text is copied and ends with 0, never NULL
 * where the list or comment says so; bytes are borrowed from the file, which must outlive what was parsed. What is
 * absent is zero.
 *
 * Source: https://protobuf.dev/programming-guides/encoding, onnx/onnx.proto of ONNX 1.12.
 */
#ifndef GLN_EMBED_ONNX_WIRE_H
#define GLN_EMBED_ONNX_WIRE_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* Of whatever the comment beside it says. */
typedef struct gln_onnx_list {
    void *items;
    size_t n;
} gln_onnx_list;

typedef struct gln_onnx_bytes {
    const unsigned char *data; /* NULL: absent */
    size_t n;
} gln_onnx_bytes;

typedef struct gln_onnx_entry {
    const char *key, *value; /* NULL: absent */
} gln_onnx_entry;

/* Numbers of TensorProto.DataType that are read. */
enum {
    GLN_ONNX_FLOAT = 1,
    GLN_ONNX_UINT8 = 2,
    GLN_ONNX_INT8 = 3,
    GLN_ONNX_UINT16 = 4,
    GLN_ONNX_INT16 = 5,
    GLN_ONNX_INT32 = 6,
    GLN_ONNX_INT64 = 7,
    GLN_ONNX_BOOL = 9,
    GLN_ONNX_FLOAT16 = 10,
    GLN_ONNX_DOUBLE = 11,
    GLN_ONNX_UINT32 = 12,
    GLN_ONNX_BFLOAT16 = 16
};
#define GLN_ONNX_EXTERNAL 1 /* of data_location */

typedef struct gln_onnx_tensor_proto {
    const char *name; /* NULL: absent */
    int64_t data_type, data_location;
    gln_onnx_list dims;                                        /* int64_t */
    gln_onnx_list int32_data, int64_data, uint64_data;         /* int64_t; of uint64_data the same bits */
    gln_onnx_list float_data, double_data;                     /* float, double */
    gln_onnx_bytes raw_data;
    gln_onnx_list external_data; /* gln_onnx_entry */
    size_t n_segment;            /* how often it is there */
} gln_onnx_tensor_proto;

/* AttributeProto.AttributeType */
enum {
    GLN_ONNX_A_FLOAT = 1,
    GLN_ONNX_AN_INT = 2,
    GLN_ONNX_A_STRING = 3,
    GLN_ONNX_A_TENSOR = 4,
    GLN_ONNX_SOME_FLOATS = 6,
    GLN_ONNX_SOME_INTS = 7
};

typedef struct gln_onnx_attribute {
    const char *name; /* NULL: absent */
    int64_t type, i;
    float f;
    gln_onnx_bytes s;
    gln_onnx_tensor_proto *t; /* NULL: absent */
    gln_onnx_list floats, ints; /* float, int64_t */
} gln_onnx_attribute;

typedef struct gln_onnx_node {
    gln_onnx_list input, output; /* const char *, never NULL */
    const char *name, *op_type, *domain; /* NULL: absent */
    gln_onnx_list attribute; /* gln_onnx_attribute */
} gln_onnx_node;

typedef struct gln_onnx_dimension {
    int64_t dim_value; /* 0: open */
} gln_onnx_dimension;

typedef struct gln_onnx_shape {
    gln_onnx_list dim; /* gln_onnx_dimension */
} gln_onnx_shape;

typedef struct gln_onnx_tensor_type {
    int64_t elem_type;
    gln_onnx_shape *shape;
} gln_onnx_tensor_type;

typedef struct gln_onnx_type {
    gln_onnx_tensor_type *tensor_type; /* NULL: not a tensor */
} gln_onnx_type;

typedef struct gln_onnx_value_info {
    const char *name;
    gln_onnx_type *type;
} gln_onnx_value_info;

typedef struct gln_onnx_graph {
    gln_onnx_list node;        /* gln_onnx_node */
    gln_onnx_list initializer; /* gln_onnx_tensor_proto */
    gln_onnx_list input;       /* gln_onnx_value_info */
    size_t n_sparse_initializer;
} gln_onnx_graph;

typedef struct gln_onnx_opset {
    const char *domain;
    int64_t version;
} gln_onnx_opset;

typedef struct gln_onnx_model {
    gln_onnx_graph *graph; /* NULL: absent */
    gln_onnx_list opset_import; /* gln_onnx_opset */
} gln_onnx_model;

typedef struct gln_onnx_file {
    gln_onnx_model model;
    gln_onnx_tensor_proto tensor; /* of gln_onnx_parse_tensor */
    struct gln_onnx_block *blocks; /* what all of it lies in */
} gln_onnx_file;

/*
 * A model, or a lone TensorProto into `tensor`. Hostile bytes: lengths are held against what is there; memory stays
 * within some hundred bytes a part of the file, of which MAX_PARTS are read; nothing recurses by what the file says.
 * Errors: GLN_E_FORMAT, GLN_E_LIMIT, GLN_E_MEMORY.
 */
gln_status gln_onnx_parse(gln_onnx_file **out, const unsigned char *bytes, size_t n_bytes);
gln_status gln_onnx_parse_tensor(gln_onnx_file **out, const unsigned char *bytes, size_t n_bytes);
void gln_onnx_file_free(gln_onnx_file *file);

#endif
