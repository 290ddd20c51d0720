/*
 * Items by index, on row-major tensors: what views cannot say. Items are copied as bits, so that one kernel serves
 * every type. Indices come from data: one that is out of range is reported through `fault` and read as 0.
 */
#include "embed/cuda/numbers.cuh"

static constexpr int block = 256;

struct move_places {
    void *out;
    const void *x;
    const int64_t *index;
    int32_t *fault;
};

static __device__ int64_t checked(int64_t at, int64_t dim, int32_t node, int32_t *fault)
{
    if (at < -dim || at >= dim) {
        atomicMax(fault, node + 1);
        return 0;
    }
    return at < 0 ? at + dim : at;
}

static __device__ int64_t pad_source(int64_t at, int64_t dim, int mode)
{
    if (at >= 0 && at < dim) return at;
    switch (mode) {
    case 1: return dim == 1 ? 0 : at < 0 ? -at : 2 * (dim - 1) - at;
    case 2: return at < 0 ? 0 : dim - 1;
    case 3: return (at % dim + dim) % dim;
    default: return -1;
    }
}

/* Where item `i` of the result comes from; -1: the fill. */
static __device__ int64_t source_of(const gln_move &p, const move_places &at, int64_t i)
{
    int64_t rest = i, from = 0;
    switch (p.op) {
    case GLN_OP_GATHER: {
        int64_t inner = i % p.inner, index = i / p.inner % p.n_index, outer = i / p.inner / p.n_index;
        return (outer * p.dim + checked(at.index[index], p.dim, p.node, at.fault)) * p.inner + inner;
    }
    case GLN_OP_GATHER_ELEMENTS:
        for (int axis = p.out.rank - 1; axis >= 0; axis--) {
            int64_t here = rest % p.out.dims[axis];
            rest /= p.out.dims[axis];
            from += p.x_stride[axis] * (axis == p.k ? checked(at.index[i], p.dim, p.node, at.fault) : here);
        }
        return from;
    case GLN_OP_GATHER_ND: {
        int64_t tuple = i / p.inner;
        from = tuple / p.batch_tuples * p.per_batch + i % p.inner;
        for (int64_t j = 0; j < p.tuple; j++) {
            from += checked(at.index[tuple * p.tuple + j], p.x_dims[p.k + j], p.node, at.fault) * p.x_stride[p.k + j];
        }
        return from;
    }
    case GLN_OP_TILE:
        for (int axis = p.out.rank - 1; axis >= 0; axis--) {
            from += rest % p.out.dims[axis] % p.x_dims[axis] * p.x_stride[axis];
            rest /= p.out.dims[axis];
        }
        return from;
    case GLN_OP_PAD:
        for (int axis = p.out.rank - 1; axis >= 0; axis--) {
            int64_t here = pad_source(rest % p.out.dims[axis] - p.low[axis], p.x_dims[axis], p.mode);
            rest /= p.out.dims[axis];
            if (here < 0) return -1;
            from += here * p.x_stride[axis];
        }
        return from;
    default: { /* Trilu */
        int64_t columns = p.out.dims[p.out.rank - 1], rows = p.out.dims[p.out.rank - 2],
                k = p.fill_given ? at.index[0] : p.k;
        k = k < -rows ? -rows : k > columns ? columns : k;
        int64_t beside = i % columns - i / columns % rows - k; /* right of the diagonal */
        return (p.mode != 0 ? beside < 0 : beside > 0) ? -1 : i;
    }
    }
}

template <typename T> static __global__ void __launch_bounds__(block) move_items(const gln_move p, const move_places at)
{
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < p.out.n; i += (int64_t)gridDim.x * block) {
        int64_t from = source_of(p, at, i);
        T fill = (T)p.fill;
        if (p.op == GLN_OP_PAD && p.fill_given) fill = *reinterpret_cast<const T *>(at.index);
        static_cast<T *>(at.out)[i] = from < 0 ? fill : static_cast<const T *>(at.x)[from];
    }
}

extern "C" gln_status gln_move_run(const gln_move *p, void *const *at, gln_cuda_stream stream)
{
    move_places places = {at[0], at[1], static_cast<const int64_t *>(at[2]), static_cast<int32_t *>(at[3])};
    unsigned blocks = gln_blocks((size_t)p->out.n, block);
    return gln_cuda_check((int)(p->bytes == 2 ? GLN_LAUNCH((move_items<uint16_t>), blocks, block, 0, stream, *p, places)
                                : p->bytes == 4
                                    ? GLN_LAUNCH((move_items<uint32_t>), blocks, block, 0, stream, *p, places)
                                    : GLN_LAUNCH((move_items<uint64_t>), blocks, block, 0, stream, *p, places)),
                          "a copy by index");
}

/* ---- ScatterND: threads along the piece, one block through the tuples, so that later ones win ---- */

static __global__ void __launch_bounds__(block)
    scatter(const gln_scatter p, void *out, const int64_t *index, const void *updates, int32_t *fault)
{
    for (int64_t i = threadIdx.x; i < p.piece; i += block) {
        for (int64_t t = 0; t < p.n_tuples; t++) {
            int64_t to = i;
            for (int64_t j = 0; j < p.tuple; j++)
                to += checked(index[t * p.tuple + j], p.dims[j], p.node, fault) * p.stride[j];
            int64_t from = t * p.piece + i;
            if (p.type == GLN_ITEM_I64) {
                int64_t *a = static_cast<int64_t *>(out) + to, b = static_cast<const int64_t *>(updates)[from];
                *a = p.how == 0 ? b : (int64_t)(p.how == 1 ? (uint64_t)*a + (uint64_t)b : (uint64_t)*a * (uint64_t)b);
            } else {
                float a = gln_float_at(out, p.type, to), b = gln_float_at(updates, p.type, from);
                gln_put_float(out, p.type, to, p.how == 0 ? b : p.how == 1 ? a + b : a * b);
            }
        }
    }
}

extern "C" gln_status gln_scatter_run(const gln_scatter *p, void *const *at, gln_cuda_stream stream)
{
    return gln_cuda_check((int)GLN_LAUNCH(scatter, 1, block, 0, stream, *p, at[0], static_cast<const int64_t *>(at[1]),
                                          at[2], static_cast<int32_t *>(at[3])),
                          "a scatter");
}

/* ---- A bad index spoils what came of it, so that nobody takes it for a result ---- */

static __global__ void __launch_bounds__(block) give_verdict(const gln_verdict p, float *out, int32_t *fault)
{
    int32_t met = fault[0];
    __syncthreads();
    for (int64_t i = threadIdx.x; met != 0 && i < p.n; i += block) out[i] = NAN;
    if (threadIdx.x == 0 && met != 0) {
        fault[0] = 0;
        fault[1] = met;
    }
}

extern "C" gln_status gln_verdict_run(const gln_verdict *p, void *const *at, gln_cuda_stream stream)
{
    return gln_cuda_check((int)GLN_LAUNCH(give_verdict, 1, block, 0, stream, *p, static_cast<float *>(at[0]),
                                          static_cast<int32_t *>(at[1])),
                          "a verdict");
}

/* ---- Resize along an axis, by tables ---- */

static __global__ void __launch_bounds__(block)
    resample(const gln_resample p, void *out, const void *x, const int32_t *from, const float *weight,
             const uint8_t *outside)
{
    int64_t n = p.outer * p.out * p.inner;
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < n; i += (int64_t)gridDim.x * block) {
        int64_t inner = i % p.inner, at = i / p.inner % p.out, outer = i / p.inner / p.out;
        float sum = 0;
        for (int j = 0; j < p.taps; j++) {
            sum += weight[at * p.taps + j] *
                   gln_float_at(x, p.in_type, (outer * p.in + from[at * p.taps + j]) * p.inner + inner);
        }
        gln_put_float(out, p.out_type, i, outside[at] ? p.extrapolation : sum);
    }
}

extern "C" gln_status gln_resample_run(const gln_resample *p, void *const *at, gln_cuda_stream stream)
{
    size_t n = (size_t)(p->outer * p->out * p->inner);
    return gln_cuda_check((int)GLN_LAUNCH(resample, gln_blocks(n, block), block, 0, stream, *p, at[0], at[1],
                                          static_cast<const int32_t *>(at[2]), static_cast<const float *>(at[3]),
                                          static_cast<const uint8_t *>(at[4])),
                          "a resize");
}
