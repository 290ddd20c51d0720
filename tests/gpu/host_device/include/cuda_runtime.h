/*
 * CUDA's C++ for the host device: what a kernel may say beyond C++, as functions and macros that a C++ compiler understands. Stands
 * where <cuda_runtime.h> of the toolkit would. Warp and block operations are in engine.h.
 */
#ifndef GLN_HOST_CUDA_RUNTIME_H
#define GLN_HOST_CUDA_RUNTIME_H

#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#define __global__
#define __device__
#define __host__
/* Blocks run one after another, launches too. Where races are looked for, it lies where races.cpp finds it. */
#if defined(GLN_HOST_RACES)
#define __shared__ static __attribute__((section("gln_shared")))
#else
#define __shared__ static
#endif
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct uint3 { unsigned x, y, z; };

#define GLN_HOST_VECTOR(type, name, n_align2, n_align4)                                                                \
    struct __align__(n_align2) name##2 { type x, y; };                                                                 \
    struct name##3 { type x, y, z; };                                                                                  \
    struct __align__(n_align4) name##4 { type x, y, z, w; };                                                           \
    static inline name##2 make_##name##2(type x, type y) { return name##2{x, y}; }                                     \
    static inline name##3 make_##name##3(type x, type y, type z) { return name##3{x, y, z}; }                          \
    static inline name##4 make_##name##4(type x, type y, type z, type w) { return name##4{x, y, z, w}; }
GLN_HOST_VECTOR(float, float, 8, 16)
GLN_HOST_VECTOR(int, int, 8, 16)
GLN_HOST_VECTOR(unsigned char, uchar, 2, 4)
GLN_HOST_VECTOR(unsigned short, ushort, 4, 8)
#undef GLN_HOST_VECTOR
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
struct __align__(16) double2 { double x, y; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return uint2{x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return uint4{x, y, z, w}; }

/* ---- arithmetic ----------------------------------------------------------------------------------------------------- */

template <typename To, typename From> static inline To gln_host_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
static inline int __float_as_int(float v) { return gln_host_bits<int>(v); }
static inline unsigned __float_as_uint(float v) { return gln_host_bits<unsigned>(v); }
static inline float __int_as_float(int v) { return gln_host_bits<float>(v); }
static inline float __uint_as_float(unsigned v) { return gln_host_bits<float>(v); }
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz((unsigned)v); }
static inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
#define __expf(v) std::exp((float)(v)) /* glibc has functions of these names */
#define __logf(v) std::log((float)(v))
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __frcp_rn(float v) { return 1.0f / v; }
static inline float __fsqrt_rn(float v) { return std::sqrt(v); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
static inline float __saturatef(float v) { return v > 0 ? (v < 1 ? v : 1) : 0; }
static inline int __float2int_rn(float v) { return (int)std::nearbyint(v); }
static inline float __int2float_rn(int v) { return (float)v; }
template <typename A, typename B> static inline typename std::common_type<A, B>::type min(A a, B b)
{
    using T = typename std::common_type<A, B>::type;
    return (T)b < (T)a ? (T)b : (T)a;
}
template <typename A, typename B> static inline typename std::common_type<A, B>::type max(A a, B b)
{
    using T = typename std::common_type<A, B>::type;
    return (T)a < (T)b ? (T)b : (T)a;
}
template <typename T> static inline T __ldg(const T *p) { return *p; }
template <typename T> static inline T __ldcs(const T *p) { return *p; }
template <typename T> static inline T __ldcg(const T *p) { return *p; }
template <typename T> static inline void __stcs(T *p, T v) { *p = v; }
static inline void __threadfence() {}
static inline void __threadfence_block() {}

#include "tests/gpu/host_device/engine.h"

/* Threads change places only where they wait for each other, so plain statements are atomic. */
#define GLN_HOST_ATOMICALLY(name, change)                                                                              \
    template <typename T, typename V> GLN_HOST_ATOMIC T name(T *p, V v)                                                \
    {                                                                                                                  \
        gln_host_races_access(p, sizeof *p, gln_host_access::atomic);                                                  \
        T old = *p;                                                                                                    \
        change;                                                                                                        \
        return old;                                                                                                    \
    }
GLN_HOST_ATOMICALLY(atomicAdd, *p = (T)(old + (T)v))
GLN_HOST_ATOMICALLY(atomicSub, *p = (T)(old - (T)v))
GLN_HOST_ATOMICALLY(atomicMin, if ((T)v < old) *p = (T)v)
GLN_HOST_ATOMICALLY(atomicMax, if (old < (T)v) *p = (T)v)
GLN_HOST_ATOMICALLY(atomicExch, *p = (T)v)
GLN_HOST_ATOMICALLY(atomicOr, *p = (T)(old | (T)v))
GLN_HOST_ATOMICALLY(atomicAnd, *p = (T)(old & (T)v))
#undef GLN_HOST_ATOMICALLY
template <typename T> GLN_HOST_ATOMIC T atomicCAS(T *p, T compare, T v)
{
    gln_host_races_access(p, sizeof *p, gln_host_access::atomic);
    T old = *p;
    if (old == compare) *p = v;
    return old;
}

#define threadIdx (gln_host_self->index)
#define blockIdx (gln_host_block.index)
#define blockDim (gln_host_block.block)
#define gridDim (gln_host_block.grid)
static const int warpSize = 32;

#define GLN_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                                     \
    gln_host_launch(#kernel, (kernel), dim3(grid), dim3(block), (shared_bytes), (stream), gln_host_call((kernel), __VA_ARGS__))
#define GLN_DYNAMIC_SHARED(type, name) type *name = static_cast<type *>(gln_host_block.dynamic_shared)

/* Arguments are taken when a kernel is launched, whenever it runs. */
template <typename... Parameters>
static inline auto gln_host_call(void (*kernel)(Parameters...), typename std::decay<Parameters>::type... arguments)
{
    return [=] { kernel(arguments...); };
}

template <typename Kernel, typename Body>
static inline cudaError_t gln_host_launch(const char *name, Kernel *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                                          cudaStream_t stream, Body body)
{
    return gln_host_launch_body(name, reinterpret_cast<const void *>(kernel), grid, block, shared_bytes, stream,
                                std::function<void()>(body));
}

#endif
