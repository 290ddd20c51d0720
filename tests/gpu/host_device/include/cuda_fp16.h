/* binary16 for the host device: storage, conversions and the arithmetic that kernels use, each operation rounded once.
   Stands where the toolkit's header would. */
#ifndef GLN_HOST_CUDA_FP16_H
#define GLN_HOST_CUDA_FP16_H
#ifdef __cplusplus

#include <cuda_runtime.h>

struct __align__(2) __half {
    uint16_t bits;
    __half() = default;
    __half(float v);
    operator float() const;
};
struct __align__(4) __half2 {
    __half x, y;
};
typedef __half half;
typedef __half2 half2;

static inline float __half2float(__half v)
{
    uint32_t magnitude = v.bits & 0x7fffu, sign = (uint32_t)(v.bits & 0x8000u) << 16;
    if (magnitude >= 0x7c00u) return gln_host_bits<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude >= 0x400u) return gln_host_bits<float>(sign | ((magnitude << 13) + (112u << 23)));
    float small = (float)magnitude * 0x1p-24f;
    return sign != 0 ? -small : small;
}
static inline __half __float2half(float v)
{
    uint32_t bits = gln_host_bits<uint32_t>(v), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu, out;
    if (magnitude > 0x7f800000u)
        out = 0x7fffu; /* as the GPU's conversion gives it */
    else if (magnitude >= 0x477ff000u)
        out = 0x7c00u;
    else if (magnitude < 0x38800000u)
        out = gln_host_bits<uint32_t>(gln_host_bits<float>(magnitude) + 0.5f) - 0x3f000000u;
    else
        out = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
    __half h;
    h.bits = (uint16_t)(sign | out);
    return h;
}
inline __half::__half(float v) { *this = __float2half(v); }
inline __half::operator float() const { return __half2float(*this); }
static inline __half __float2half_rn(float v) { return __float2half(v); }
static inline __half2 __floats2half2_rn(float x, float y) { return __half2{__float2half(x), __float2half(y)}; }
static inline __half2 make_half2(__half x, __half y) { return __half2{x, y}; }
static inline __half2 __halves2half2(__half x, __half y) { return __half2{x, y}; }
static inline float2 __half22float2(__half2 v) { return make_float2(__half2float(v.x), __half2float(v.y)); }
static inline __half2 __float22half2_rn(float2 v) { return __floats2half2_rn(v.x, v.y); }
static inline float __low2float(__half2 v) { return __half2float(v.x); }
static inline float __high2float(__half2 v) { return __half2float(v.y); }
static inline unsigned short __half_as_ushort(__half v) { return v.bits; }
static inline __half __ushort_as_half(unsigned short v) { __half h; h.bits = v; return h; }
static inline __half __hadd(__half a, __half b) { return __half((float)a + (float)b); }
static inline __half __hsub(__half a, __half b) { return __half((float)a - (float)b); }
static inline __half __hmul(__half a, __half b) { return __half((float)a * (float)b); }
static inline __half __hmax(__half a, __half b) { return (float)a > (float)b ? a : b; }
static inline __half __hmin(__half a, __half b) { return (float)a < (float)b ? a : b; }
static inline __half2 __hadd2(__half2 a, __half2 b) { return __half2{__hadd(a.x, b.x), __hadd(a.y, b.y)}; }
static inline __half2 __hmul2(__half2 a, __half2 b) { return __half2{__hmul(a.x, b.x), __hmul(a.y, b.y)}; }

#endif
#endif
