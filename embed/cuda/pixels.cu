/*
 * Two kernels, a thread a pixel: across, then down and, for a batch, to the network's scale. Products and sums are
 * those of resize.c, 32-bit integers, so nothing depends on their order. A photo of 680 pixels to 224 takes some 3
 * million multiply-adds a channel: a GPU does ten thousand photos a second of that in a few per cent of its time, and
 * plain loads are fast enough.
 */
#include "kernels/cuda/launch.cuh"

#include "embed/cuda/pixels.h"

static const unsigned block = 256;
static const int precision_bits = 22; /* GLN_RESIZE_PRECISION_BITS */

struct axis {
    const uint32_t *first, *count;
    const int32_t *weight;
};

static __device__ axis axis_at(const unsigned char *memory, size_t at, uint32_t side)
{
    const uint32_t *words = reinterpret_cast<const uint32_t *>(memory + at);
    axis a = {words, words + side, reinterpret_cast<const int32_t *>(words + 2 * (size_t)side)};
    return a;
}

static __device__ unsigned char clipped(int32_t sum)
{
    sum >>= precision_bits;
    return (unsigned char)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* Item (y, x) of [height, side] between the passes. */
static __global__ void shrink_across(unsigned char *memory, const gln_pixels *photos, uint32_t side)
{
    const gln_pixels p = photos[blockIdx.y];
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)p.height * side) return;
    uint32_t y = (uint32_t)(i / side), x = (uint32_t)(i % side);
    axis columns = axis_at(memory, p.at, side);
    const unsigned char *pixel = memory + p.at + gln_pixels_pixels_at(&p) + ((size_t)y * p.width + columns.first[x]) * 3;
    const int32_t *weight = columns.weight + (size_t)x * p.column_stride;
    int32_t red = 1 << (precision_bits - 1), green = red, blue = red;
    for (uint32_t k = 0; k < columns.count[x]; k++, pixel += 3) {
        red += weight[k] * pixel[0];
        green += weight[k] * pixel[1];
        blue += weight[k] * pixel[2];
    }
    unsigned char *out = memory + p.between + i * 3;
    out[0] = clipped(red);
    out[1] = clipped(green);
    out[2] = clipped(blue);
}

/* Pixel (y, x) of [side, side]. */
static __device__ void down(unsigned char to[3], const unsigned char *memory, const gln_pixels &p, uint32_t side,
                            uint32_t y, uint32_t x)
{
    axis rows = axis_at(memory, p.at + gln_pixels_rows_at(&p), side);
    const unsigned char *pixel = memory + p.between + ((size_t)rows.first[y] * side + x) * 3;
    const int32_t *weight = rows.weight + (size_t)y * p.row_stride;
    int32_t red = 1 << (precision_bits - 1), green = red, blue = red;
    for (uint32_t k = 0; k < rows.count[y]; k++, pixel += (size_t)side * 3) {
        red += weight[k] * pixel[0];
        green += weight[k] * pixel[1];
        blue += weight[k] * pixel[2];
    }
    to[0] = clipped(red);
    to[1] = clipped(green);
    to[2] = clipped(blue);
}

/* [side, side], three planes. */
static __global__ void shrink_down(float *input, const unsigned char *memory, const gln_pixels *photos, uint32_t side,
                                   gln_pixels_scale to)
{
    const gln_pixels p = photos[blockIdx.y];
    size_t plane = (size_t)side * side, i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= plane) return;
    unsigned char rgb[3];
    down(rgb, memory, p, side, (uint32_t)(i / side), (uint32_t)(i % side));
    float *out = input + blockIdx.y * 3 * plane + i;
    for (unsigned c = 0; c < 3; c++) out[c * plane] = rgb[c] * to.scale[c] + to.offset[c];
}

/* [side, side, 3]. */
static __global__ void shrink_down_to_bytes(unsigned char *out, const unsigned char *memory, const gln_pixels *photo,
                                            uint32_t side)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (size_t)side * side) return;
    down(out + 3 * i, memory, *photo, side, (uint32_t)(i / side), (uint32_t)(i % side));
}

extern "C" gln_status gln_pixels_to_input(float *input, unsigned char *memory, const gln_pixels *photos, size_t first, size_t n,
                                          uint32_t side, uint32_t most_rows, const gln_pixels_scale *scale, gln_cuda_stream stream)
{
    gln_status st = GLN_OK;
    if (n == 0) return GLN_OK;
    dim3 across(gln_blocks((size_t)most_rows * side, block), (unsigned)n), down(gln_blocks((size_t)side * side, block), (unsigned)n);
    GLN_CUDA(GLN_LAUNCH(shrink_across, across, block, 0, stream, memory, photos + first, side), "resizing photos");
    GLN_CUDA(GLN_LAUNCH(shrink_down, down, block, 0, stream, input, memory, photos + first, side, *scale), "resizing photos");
cleanup:
    return st;
}

extern "C" gln_status gln_pixels_resize(unsigned char *rgb, unsigned char *memory, const gln_pixels *photo,
                                        uint32_t side, uint32_t rows, gln_cuda_stream stream)
{
    gln_status st = GLN_OK;
    GLN_CUDA(GLN_LAUNCH(shrink_across, dim3(gln_blocks((size_t)rows * side, block)), block, 0, stream, memory, photo,
                        side),
             "resizing a photo");
    GLN_CUDA(GLN_LAUNCH(shrink_down_to_bytes, dim3(gln_blocks((size_t)side * side, block)), block, 0, stream, rgb,
                        memory, photo, side),
             "resizing a photo");
cleanup:
    return st;
}
