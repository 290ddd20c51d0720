/*
 * Reads an ONNX file into a graph. Internal to embed/.
 *
 *     gln_net *graph = NULL;
 *     st = gln_onnx_read(&graph, bytes, n_bytes, "embedding", "folder/of/the/model");
 *
 * Threads: independent calls may run together.
 */
#ifndef GLN_EMBED_ONNX_H
#define GLN_EMBED_ONNX_H

#include "common/files.h"
#include "embed/graph.h"

/* Largest model file; protobuf itself ends at 2 GiB. */
#define GLN_ONNX_MAX_BYTES (((size_t)1 << 31) - 1)

/*
 * The part of the network that the tensor `output` needs, connected, sorted and checked, its one input known. Bytes are
 * hostile: what they claim is held against what is there before anything of that size is allocated. Errors:
 * GLN_E_FORMAT, GLN_E_UNSUPPORTED, GLN_E_LIMIT, GLN_E_NOT_FOUND (no such output, or file of external data),
 * GLN_E_MEMORY; the sentence names the node or tensor. `folder` is where the model lies, for tensors kept in files
 * beside it; NULL refuses those.
 */
gln_status gln_onnx_read(gln_net **out, const unsigned char *bytes, size_t n_bytes, const char *output,
                         const char *folder);

/* The real place of a file that a model in `folder` names for its weights; GLN_E_FORMAT when that is outside of the
   folder. */
gln_status gln_onnx_external_path(char out[GLN_PATH_MAX], const char *folder, const char *location);

#endif
