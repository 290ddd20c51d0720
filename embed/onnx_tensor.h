/* Tensors of ONNX files into constants of a graph. Internal to the ONNX reader. */
#ifndef GLN_EMBED_ONNX_TENSOR_H
#define GLN_EMBED_ONNX_TENSOR_H

#include "embed/graph.h"
#include "embed/onnx_wire.h"

/* Makes `value` the constant that `from` holds: float types as f32, integer types and booleans as i64. External data is
   read from below `folder` (NULL: refused). Errors name the value: GLN_E_FORMAT (items that are not what dims and type
   say), GLN_E_UNSUPPORTED (type), GLN_E_LIMIT, GLN_E_NOT_FOUND and the like for external files. */
gln_status gln_onnx_tensor(gln_net *graph, size_t value, const gln_onnx_tensor_proto *from, const char *folder);

/* onnx_external.c: the `wanted` bytes of the tensor, freed with gln_free. */
gln_status gln_onnx_external(unsigned char **out, size_t *out_bytes, const gln_onnx_tensor_proto *from,
                             const char *name, const char *folder, size_t wanted);

#endif
