/* Tensors of ONNX files into constants of a graph. Internal to the ONNX reader. */
#ifndef GLN_EMBED_ONNX_TENSOR_H
#define GLN_EMBED_ONNX_TENSOR_H

#include "embed/graph.h"

#include "onnx.pb-c.h"

/* Makes `value` the constant that `from` holds: float types as f32, integer types and booleans as i64. Errors name the
   value: GLN_E_FORMAT (items that are not what dims and type say), GLN_E_UNSUPPORTED (type, external data), GLN_E_LIMIT. */
gln_status gln_onnx_tensor(gln_net *graph, size_t value, const Onnx__TensorProto *from);

#endif
