/* The tilings of conv_tile.cuh in f16; a file of its own, so that the two types compile side by side. */
#define GLN_CONV_TYPE __half
#include "embed/cuda/conv_tile.cuh"

gln_status gln_conv_tile_f16(const gln_conv *p, size_t tile, const conv_places *at, gln_cuda_stream stream)
{
    switch (tile) {
        GLN_CONV_TILES(GLN_CONV_CASE)
    default: return gln_fail(GLN_E_INTERNAL, "a convolution has no tiling %zu", tile);
    }
}
