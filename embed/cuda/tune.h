/*
 * The ways to run one convolution (a 1 x 1 one is a product), and which one to take: measured once at load, kept in a
 * file beside the model.
 *
 *     0 .. gln_conv_tiles() - 1      the tensor-core kernel in one of its tilings
 *     gln_conv_tiles()               cuBLASLt, for places of 1 x 1
 *     gln_conv_tiles() + 1           patches in memory and cuBLASLt: the plain way, for tests
 *
 * The file: a line that names format, device, driver and tilings, a line a kind of convolution, "checksum of its
 * numbers, way", and a checksum of all that. Another first line, or a damaged file, is no error: what it says is
 * forgotten and it is written anew.
 */
#ifndef GLN_EMBED_CUDA_TUNE_H
#define GLN_EMBED_CUDA_TUNE_H

#include "embed/cuda/compiler.h"

bool gln_gpu_way_fits(const gln_gpu *backend, const gln_gpu_step *step, size_t way);
const char *gln_gpu_way_name(size_t way);
/* Bytes of the plan's workspace that it needs. */
size_t gln_gpu_way_workspace(const gln_gpu_step *step, size_t way);
gln_status gln_gpu_run_conv(gln_gpu_plan *plan, const gln_gpu_step *step, size_t way, gln_cuda_stream stream);

/* Fills in the choice of every convolution of a plan that has its memory. Errors: GLN_E_MEMORY, what a kernel gave. */
gln_status gln_gpu_tune(gln_gpu_plan *plan);

#endif
