/* bfloat16 for the host device, as cuda_fp16.h. */
#ifndef GLN_HOST_CUDA_BF16_H
#define GLN_HOST_CUDA_BF16_H
#ifdef __cplusplus

#include <cuda_runtime.h>

struct __align__(2) __nv_bfloat16 {
    uint16_t bits;
    __nv_bfloat16() = default;
    __nv_bfloat16(float v);
    operator float() const;
};
struct __align__(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

static inline float __bfloat162float(__nv_bfloat16 v) { return gln_host_bits<float>((uint32_t)v.bits << 16); }
static inline __nv_bfloat16 __float2bfloat16(float v)
{
    uint32_t bits = gln_host_bits<uint32_t>(v);
    __nv_bfloat16 b;
    b.bits =
        (bits & 0x7fffffffu) > 0x7f800000u ? (uint16_t)0x7fff : (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
    return b;
}
inline __nv_bfloat16::__nv_bfloat16(float v) { *this = __float2bfloat16(v); }
inline __nv_bfloat16::operator float() const { return __bfloat162float(*this); }
static inline __nv_bfloat16 __float2bfloat16_rn(float v) { return __float2bfloat16(v); }
static inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y)
{
    return __nv_bfloat162{__float2bfloat16(x), __float2bfloat16(y)};
}
static inline __nv_bfloat162 make_bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return __nv_bfloat162{x, y}; }
static inline float2 __bfloat1622float2(__nv_bfloat162 v)
{
    return make_float2(__bfloat162float(v.x), __bfloat162float(v.y));
}
static inline __nv_bfloat162 __float22bfloat162_rn(float2 v) { return __floats2bfloat162_rn(v.x, v.y); }
static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 v) { return v.bits; }
static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short v) { __nv_bfloat16 b; b.bits = v; return b; }

#endif
#endif
