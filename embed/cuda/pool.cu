/* Pooling over one to three axes of places: a thread makes eight channels, or one, of one place. */
#include "embed/cuda/numbers.cuh"

static constexpr int block = 256;

template <int N> static __global__ void __launch_bounds__(block) pool(const gln_pool p, void *y, const void *x)
{
    const uint32_t out_places = p.out[0] * p.out[1] * p.out[2], pieces = p.c / N;
    const int64_t n = (int64_t)p.n * out_places * pieces;
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < n; i += (int64_t)gridDim.x * block) {
        uint32_t c = (uint32_t)(i % pieces) * N, place = (uint32_t)(i / pieces % out_places);
        int64_t image = i / pieces / out_places;
        uint32_t to[3] = {place / p.out[2] / p.out[1], place / p.out[2] % p.out[1], place % p.out[2]};
        float found[N];
        uint32_t counted = 0;
#pragma unroll
        for (int q = 0; q < N; q++) found[q] = p.most ? -INFINITY : 0;
        for (uint32_t k0 = 0; k0 < p.kernel[0]; k0++) {
            for (uint32_t k1 = 0; k1 < p.kernel[1]; k1++) {
                for (uint32_t k2 = 0; k2 < p.kernel[2]; k2++) {
                    const uint32_t k[3] = {k0, k1, k2};
                    int64_t from = image * p.x_n + (int64_t)c * p.x_c;
                    bool inside = true, counts = true;
#pragma unroll
                    for (int a = 0; a < 3; a++) {
                        int64_t padded = (int64_t)to[a] * p.stride[a] + (int64_t)k[a] * p.dilation[a],
                                at = padded - p.pad[a];
                        inside = inside && at >= 0 && at < p.in[a];
                        counts = counts && padded < (int64_t)p.pad[a] + p.in[a] + p.pad_high[a] - p.beyond[a];
                        from += at * p.x_place[a];
                    }
                    counted += inside || (p.count_pad && counts);
                    if (!inside) continue;
                    float v[N];
                    if (N == 8) {
                        gln_eight_at(v, x, p.type, from);
                    } else {
                        v[0] = gln_float_at(x, p.type, from);
                    }
#pragma unroll
                    for (int q = 0; q < N; q++) found[q] = p.most ? fmaxf(found[q], v[q]) : found[q] + v[q];
                }
            }
        }
#pragma unroll
        for (int q = 0; q < N; q++) found[q] = p.most ? found[q] : found[q] / (float)counted;
        int64_t at = (image * out_places + place) * p.c + c;
        if (N == 8) {
            gln_put_eight_at(y, p.type, at, found);
        } else {
            gln_put_float(y, p.type, at, found[0]);
        }
    }
}

extern "C" gln_status gln_pool_run(const gln_pool *p, void *const *at, gln_cuda_stream stream)
{
    size_t n = (size_t)p->n * p->out[0] * p->out[1] * p->out[2] * p->c;
    return gln_cuda_check(
        (int)(p->vector ? GLN_LAUNCH((pool<8>), gln_blocks(n / 8, block), block, 0, stream, *p, at[0], at[1])
                        : GLN_LAUNCH((pool<1>), gln_blocks(n, block), block, 0, stream, *p, at[0], at[1])),
        "a pooling");
}
