/*
 * Products of any strides and types, in f32: 64 by 64 results a block, 4 by 4 a thread. For products of two computed
 * tensors that are no attention, for odd sizes, and for f32; einsums one item a thread.
 */
#include "embed/cuda/numbers.cuh"

static constexpr int side = 64, depth = 16, block = 256, each = 4;

struct product_places {
    void *y;
    const void *a, *b;
    const float *bias;
    const void *residual, *c;
};

static __global__ void __launch_bounds__(block) product(const gln_product p, const product_places at)
{
    __shared__ float left[depth][side + 4], right[depth][side + 4];
    const uint32_t tiles_across = (p.n + side - 1) / side;
    const uint32_t first_row = blockIdx.x / tiles_across * side, first_column = blockIdx.x % tiles_across * side;
    const int thread = (int)threadIdx.x, row = thread / (side / each) * each, column = thread % (side / each) * each;
    for (int64_t batch = blockIdx.y; batch < p.batch.n; batch += gridDim.y) {
        const int64_t a_at = gln_offset(p.batch, p.a_stride, (uint32_t)batch),
                      b_at = gln_offset(p.batch, p.b_stride, (uint32_t)batch);
        const int64_t y_at = gln_offset(p.batch, p.y_stride, (uint32_t)batch);
        float sums[each][each] = {{0}};
        for (uint32_t k = 0; k < p.k; k += depth) {
            for (int i = thread; i < side * depth; i += block) {
                /* Neighbouring threads along whatever is contiguous. */
                int along = p.a_column == 1 ? i % depth : i / side, across = p.a_column == 1 ? i / depth : i % side;
                bool inside = k + along < p.k && first_row + across < p.m;
                left[along][across] = inside ? gln_float_at(at.a, p.a_type,
                                                            a_at + (int64_t)(first_row + across) * p.a_row +
                                                                (int64_t)(k + along) * p.a_column)
                                             : 0;
                along = p.b_row == 1 ? i % depth : i / side;
                across = p.b_row == 1 ? i / depth : i % side;
                inside = k + along < p.k && first_column + across < p.n;
                right[along][across] = inside ? gln_float_at(at.b, p.b_type,
                                                             b_at + (int64_t)(k + along) * p.b_row +
                                                                 (int64_t)(first_column + across) * p.b_column)
                                              : 0;
            }
            __syncthreads();
#pragma unroll
            for (int d = 0; d < depth; d++) {
                float l[each], r[each];
#pragma unroll
                for (int i = 0; i < each; i++) {
                    l[i] = left[d][row + i];
                    r[i] = right[d][column + i];
                }
#pragma unroll
                for (int i = 0; i < each; i++) {
#pragma unroll
                    for (int j = 0; j < each; j++) sums[i][j] += l[i] * r[j];
                }
            }
            __syncthreads();
        }
        for (int i = 0; i < each; i++) {
            for (int j = 0; j < each; j++) {
                uint32_t m = first_row + row + i, n = first_column + column + j;
                if (m >= p.m || n >= p.n) continue;
                int64_t to = y_at + (int64_t)m * p.y_row + (int64_t)n * p.y_column;
                float x = p.alpha * sums[i][j];
                if (at.bias != nullptr) x += at.bias[n];
                if (at.c != nullptr)
                    x += p.beta * gln_float_at(at.c, p.c_type, (int64_t)m * p.c_row + (int64_t)n * p.c_column);
                if (p.after.residual) x += gln_float_at(at.residual, p.type, to);
                gln_do_after<1>(&x, p.after);
                gln_put_float(at.y, p.type, to, x);
            }
        }
    }
}

extern "C" gln_status gln_product_run(const gln_product *p, void *const *at, gln_cuda_stream stream)
{
    product_places places = {at[0], at[1], at[2], static_cast<const float *>(at[3]), at[4], at[5]};
    dim3 grid((p->n + side - 1) / side * ((p->m + side - 1) / side),
              p->batch.n > 65535 ? 65535u : (unsigned)p->batch.n);
    return gln_cuda_check((int)GLN_LAUNCH(product, grid, block, 0, stream, *p, places), "a product");
}

/* ---- Einsums ---- */

static __global__ void __launch_bounds__(block)
    contract(const gln_contract p, void *y, const void *a, const void *b, const void *c)
{
    const void *in[3] = {a, b, c};
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < p.n_out; i += (int64_t)gridDim.x * block) {
        int64_t first[3] = {0, 0, 0}, rest = i;
        for (int axis = p.n_kept - 1; axis >= 0; axis--) {
            int64_t index = rest % p.kept[axis];
            rest /= p.kept[axis];
            for (int o = 0; o < p.n_in; o++) first[o] += index * p.kept_stride[o][axis];
        }
        float sum = 0;
        for (int64_t j = 0; j < p.n_sum; j++) {
            int64_t from[3] = {first[0], first[1], first[2]};
            rest = j;
            for (int axis = p.n_summed - 1; axis >= 0; axis--) {
                int64_t index = rest % p.summed[axis];
                rest /= p.summed[axis];
                for (int o = 0; o < p.n_in; o++) from[o] += index * p.summed_stride[o][axis];
            }
            float term = 1;
            for (int o = 0; o < p.n_in; o++) term *= gln_float_at(in[o], p.in_type[o], from[o]);
            sum += term;
        }
        gln_put_float(y, p.out_type, i, sum);
    }
}

extern "C" gln_status gln_contract_run(const gln_contract *p, void *const *at, gln_cuda_stream stream)
{
    const void *b = p->n_in > 1 ? at[2] : nullptr, *c = p->n_in > 2 ? at[3] : nullptr;
    return gln_cuda_check(
        (int)GLN_LAUNCH(contract, gln_blocks((size_t)p->n_out, block), block, 0, stream, *p, at[0], at[1], b, c),
        "an einsum");
}
