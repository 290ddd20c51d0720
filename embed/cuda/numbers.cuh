/*
 * What the kernels of this folder share: numbers of the four types as f32, eight at a time where they lie side by side,
 * and the unary operators, item for item those of embed/reference_pointwise.c.
 */
#ifndef GLN_EMBED_CUDA_NUMBERS_CUH
#define GLN_EMBED_CUDA_NUMBERS_CUH

#include "kernels/cuda/launch.cuh"

#include "embed/cuda/kernels.h"

#include <math.h>

static __device__ __forceinline__ float gln_float_at(const void *p, int type, int64_t i)
{
    switch (type) {
    case GLN_ITEM_F16: return __half2float(static_cast<const __half *>(p)[i]);
    case GLN_ITEM_BF16: return __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
    case GLN_ITEM_F32: return static_cast<const float *>(p)[i];
    default: return (float)static_cast<const int64_t *>(p)[i];
    }
}

/* As embed/reference_pointwise.c makes an integer of a number; 0 for what has none. */
static __device__ __forceinline__ int64_t gln_to_integer(double x)
{
    return x > -9.2e18 && x < 9.2e18 ? (int64_t)x : 0;
}

static __device__ __forceinline__ void gln_put_float(void *p, int type, int64_t i, float x)
{
    switch (type) {
    case GLN_ITEM_F16: static_cast<__half *>(p)[i] = __float2half_rn(x); break;
    case GLN_ITEM_BF16: static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn(x); break;
    case GLN_ITEM_F32: static_cast<float *>(p)[i] = x; break;
    default: static_cast<int64_t *>(p)[i] = gln_to_integer((double)x); break;
    }
}

/* 16-bit numbers by type, for kernels that are made for one. */
static __device__ __forceinline__ float gln_wide(__half x)
{
    return __half2float(x);
}

static __device__ __forceinline__ float gln_wide(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}

static __device__ __forceinline__ void gln_narrow(__half *out, float x)
{
    *out = __float2half_rn(x);
}

static __device__ __forceinline__ void gln_narrow(__nv_bfloat16 *out, float x)
{
    *out = __float2bfloat16_rn(x);
}

/* Eight neighbours in 16 bytes. */
template <typename T> struct __align__(16) gln_octet
{
    T item[8];
};

template <typename T> static __device__ __forceinline__ void gln_eight_of(float v[8], const T *p)
{
    gln_octet<T> o = *reinterpret_cast<const gln_octet<T> *>(p);
#pragma unroll
    for (int i = 0; i < 8; i++) v[i] = gln_wide(o.item[i]);
}

template <typename T> static __device__ __forceinline__ void gln_put_eight(T *p, const float v[8])
{
    gln_octet<T> o;
#pragma unroll
    for (int i = 0; i < 8; i++) gln_narrow(&o.item[i], v[i]);
    *reinterpret_cast<gln_octet<T> *>(p) = o;
}

/* Items i to i + 7 of any type of float; i and p on boundaries of 16 bytes. */
static __device__ __forceinline__ void gln_eight_at(float v[8], const void *p, int type, int64_t i)
{
    if (type == GLN_ITEM_F16) {
        gln_eight_of(v, static_cast<const __half *>(p) + i);
    } else if (type == GLN_ITEM_BF16) {
        gln_eight_of(v, static_cast<const __nv_bfloat16 *>(p) + i);
    } else {
        const float4 *f = reinterpret_cast<const float4 *>(static_cast<const float *>(p) + i);
        float4 a = f[0], b = f[1];
        v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
        v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
    }
}

static __device__ __forceinline__ void gln_put_eight_at(void *p, int type, int64_t i, const float v[8])
{
    if (type == GLN_ITEM_F16) {
        gln_put_eight(static_cast<__half *>(p) + i, v);
    } else if (type == GLN_ITEM_BF16) {
        gln_put_eight(static_cast<__nv_bfloat16 *>(p) + i, v);
    } else {
        float4 *f = reinterpret_cast<float4 *>(static_cast<float *>(p) + i);
        f[0] = make_float4(v[0], v[1], v[2], v[3]);
        f[1] = make_float4(v[4], v[5], v[6], v[7]);
    }
}

#define GLN_EACH(expression)                                                                                           \
    do {                                                                                                               \
        _Pragma("unroll") for (int i = 0; i < N; i++)                                                                  \
        {                                                                                                              \
            float x = v[i];                                                                                            \
            v[i] = (expression);                                                                                       \
        }                                                                                                              \
    } while (0)

/* N numbers through one unary operator: the choice is made once for all of them. Of these, those that follow
   convolutions. */
template <int N> static __device__ __forceinline__ bool gln_common_unary(float *v, int op, float alpha, float beta)
{
    switch (op) {
    case GLN_OP_IDENTITY: return true;
    case GLN_OP_RELU: GLN_EACH(x < 0 ? 0 : x); return true;
    case GLN_OP_LEAKY_RELU: GLN_EACH(x < 0 ? alpha * x : x); return true;
    case GLN_OP_CLIP:
        GLN_EACH(x < alpha ? alpha : x);
        GLN_EACH(x > beta ? beta : x);
        return true;
    case GLN_OP_SIGMOID: GLN_EACH(1 / (1 + expf(-x))); return true;
    case GLN_OP_TANH: GLN_EACH(tanhf(x)); return true;
    case GLN_OP_HARD_SIGMOID: GLN_EACH(fmaxf(0, fminf(1, alpha * x + beta))); return true;
    case GLN_OP_HARD_SWISH: GLN_EACH(x * fmaxf(0, fminf(1, x / 6 + 0.5f))); return true;
    case GLN_OP_SWISH: GLN_EACH(x / (1 + expf(-alpha * x))); return true;
    case GLN_OP_LINEAR: GLN_EACH(alpha * x + beta); return true;
    case GLN_OP_GELU: GLN_EACH(0.5f * x * (1 + erff(x * 0.70710678f))); return true;
    case GLN_OP_GELU_TANH: GLN_EACH(0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)))); return true;
    default: return false;
    }
}

/* The same list, for the compiler. */
static inline bool gln_is_common(int op)
{
    switch (op) {
    case GLN_OP_IDENTITY:
    case GLN_OP_RELU:
    case GLN_OP_LEAKY_RELU:
    case GLN_OP_CLIP:
    case GLN_OP_SIGMOID:
    case GLN_OP_TANH:
    case GLN_OP_HARD_SIGMOID:
    case GLN_OP_HARD_SWISH:
    case GLN_OP_SWISH:
    case GLN_OP_LINEAR:
    case GLN_OP_GELU:
    case GLN_OP_GELU_TANH: return true;
    default: return false;
    }
}

template <int N> static __device__ __forceinline__ void gln_unary(float *v, int op, float alpha, float beta)
{
    if (gln_common_unary<N>(v, op, alpha, beta)) return;
    switch (op) {
    case GLN_OP_ERF: GLN_EACH(erff(x)); break;
    case GLN_OP_ELU: GLN_EACH(x < 0 ? alpha * expm1f(x) : x); break;
    case GLN_OP_SELU: GLN_EACH(beta * (x < 0 ? alpha * expm1f(x) : x)); break;
    case GLN_OP_CELU: GLN_EACH(x < 0 ? alpha * expm1f(x / alpha) : x); break;
    case GLN_OP_SOFTPLUS: GLN_EACH(x > 20 ? x : log1pf(expf(x))); break;
    case GLN_OP_SOFTSIGN: GLN_EACH(x / (1 + fabsf(x))); break;
    case GLN_OP_MISH: GLN_EACH(x * tanhf(x > 20 ? x : log1pf(expf(x)))); break;
    case GLN_OP_THRESHOLDED_RELU: GLN_EACH(x > alpha ? x : 0); break;
    case GLN_OP_RECIPROCAL: GLN_EACH(1 / x); break;
    case GLN_OP_FLOOR: GLN_EACH(floorf(x)); break;
    case GLN_OP_CEIL: GLN_EACH(ceilf(x)); break;
    case GLN_OP_ROUND: GLN_EACH(rintf(x)); break;
    case GLN_OP_SIGN: GLN_EACH(x > 0 ? 1 : x < 0 ? -1 : x); break;
    case GLN_OP_SIN: GLN_EACH(sinf(x)); break;
    case GLN_OP_COS: GLN_EACH(cosf(x)); break;
    case GLN_OP_SQRT: GLN_EACH(sqrtf(x)); break;
    case GLN_OP_EXP: GLN_EACH(expf(x)); break;
    case GLN_OP_LOG: GLN_EACH(logf(x)); break;
    case GLN_OP_ABS: GLN_EACH(fabsf(x)); break;
    default: GLN_EACH(-x); break;
    }
}
#undef GLN_EACH

template <int N> static __device__ __forceinline__ void gln_do_after(float *v, const gln_after &after)
{
    for (int i = 0; i < after.n; i++) gln_unary<N>(v, after.op[i], after.alpha[i], after.beta[i]);
}

/* The compiler leaves none but common ones here (gln_after_common). */
template <int N> static __device__ __forceinline__ void gln_do_common_after(float *v, const gln_after &after)
{
    for (int i = 0; i < after.n; i++) gln_common_unary<N>(v, after.op[i], after.alpha[i], after.beta[i]);
}

/* Where index `i` of a loop lies under these strides. */
static __device__ __forceinline__ int64_t gln_offset(const gln_loop &loop, const int64_t *stride, uint32_t i)
{
    int64_t at = 0;
#pragma unroll 1
    for (int axis = loop.rank - 1; axis > 0; axis--) {
        uint32_t q = i / loop.dims[axis];
        at += (int64_t)(i - q * loop.dims[axis]) * stride[axis];
        i = q;
    }
    return loop.rank == 0 ? 0 : at + (int64_t)i * stride[0];
}

#endif
