/*
 * Small ONNX models made in memory, for the tests of the reader and the backend.
 *
 *     onnx_builder *b = onnx_builder_create();
 *     onnx_input(b, "input", 4, (size_t[]){0, 3, 8, 8});                  // 0: left open
 *     onnx_floats(b, "w", 4, (size_t[]){4, 3, 3, 3}, weights);
 *     onnx_ints_attribute(b, onnx_node(b, "Conv", "conv", "input,w", "y"), "pads", 4, (int64_t[]){1, 1, 1, 1});
 *     bytes = onnx_pack(b, &n_bytes);                                     // lives as long as the builder
 *     onnx_builder_free(b);
 */
#ifndef GLN_TESTS_ONNX_BUILDER_H
#define GLN_TESTS_ONNX_BUILDER_H

#include "onnx.pb-c.h"

#include <stddef.h>
#include <stdint.h>

typedef struct onnx_builder {
    Onnx__ModelProto *model;
    Onnx__GraphProto *graph;
    void **owned;
    size_t n_owned;
} onnx_builder;

/* Operator set 17. */
onnx_builder *onnx_builder_create(void);
void onnx_builder_free(onnx_builder *b);
/* Zeroed memory that goes with the builder. */
void *onnx_memory(onnx_builder *b, size_t n_bytes);

void onnx_input(onnx_builder *b, const char *name, size_t rank, const size_t *dims);
/* `values` NULL: none are stored, whatever the dims say. */
Onnx__TensorProto *onnx_floats(onnx_builder *b, const char *name, size_t rank, const size_t *dims, const float *values);
Onnx__TensorProto *onnx_ints(onnx_builder *b, const char *name, size_t n, const int64_t *values);
/* Adds an initialiser made elsewhere. */
void onnx_initialiser(onnx_builder *b, Onnx__TensorProto *tensor);
/* `inputs` and `outputs` are names with commas between. */
Onnx__NodeProto *onnx_node(onnx_builder *b, const char *type, const char *name, const char *inputs, const char *outputs);
/* Adds a node made elsewhere, which must live as long. */
void onnx_copy_node(onnx_builder *b, Onnx__NodeProto *node);
void onnx_int_attribute(onnx_builder *b, Onnx__NodeProto *node, const char *name, int64_t value);
void onnx_float_attribute(onnx_builder *b, Onnx__NodeProto *node, const char *name, float value);
void onnx_ints_attribute(onnx_builder *b, Onnx__NodeProto *node, const char *name, size_t n, const int64_t *values);
void onnx_string_attribute(onnx_builder *b, Onnx__NodeProto *node, const char *name, const char *value);

unsigned char *onnx_pack(onnx_builder *b, size_t *out_bytes);

#endif
