/* What the files of the plain implementation share. All tensors are row-major; graph and node have passed gln_infer. */
#ifndef GLN_EMBED_REFERENCE_H
#define GLN_EMBED_REFERENCE_H

#include "embed/graph.h"

/* ---- reference.c: walking over tensors ---- */

void gln_row_major(ptrdiff_t strides[GLN_MAX_RANK], const gln_shape *shape);
/* Strides of `shape` seen as the larger `out`: axes of size 1 stand still. */
void gln_broadcast_strides(ptrdiff_t strides[GLN_MAX_RANK], const gln_shape *shape, const gln_shape *out);
/* The next index of the first `rank` axes of `shape` with both offsets following it; the last axis turns fastest. */
void gln_advance(size_t index[GLN_MAX_RANK], const gln_shape *shape, size_t rank, ptrdiff_t *a,
                 const ptrdiff_t *a_strides, ptrdiff_t *b, const ptrdiff_t *b_strides);
/* Copies items of `bytes` bytes, `shape` of them, from one strided place to another. */
void gln_copy_strided(void *dst, ptrdiff_t dst_at, const ptrdiff_t *dst_strides, const void *src, ptrdiff_t src_at,
                      const ptrdiff_t *src_strides, const gln_shape *shape, size_t bytes);

/* ---- One function a kind; each takes the operators of its kind ---- */

gln_status gln_reference_pointwise(const gln_net *graph, const gln_node *node, const gln_tensor *inputs,
                                   gln_tensor *out);
gln_status gln_reference_layout(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out);
gln_status gln_reference_window(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out);
gln_status gln_reference_product(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out);
gln_status gln_reference_norm(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out);
gln_status gln_reference_reduce(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out);

#endif
