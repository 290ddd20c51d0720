/* Twins of the instructions in kernels/cuda/mma.cuh for the host device: fragments as the PTX manual lays them out,
   products exact in double and added once in f32. Copies arrive as late as the waiting allows. */
#ifndef GLN_HOST_MMA_H
#define GLN_HOST_MMA_H

#include <cstdio>
#include <cstdlib>

GLN_HOST_UNWATCHED static inline float gln_host_widen_f16(uint32_t bits) { return __half2float(__ushort_as_half((unsigned short)bits)); }
GLN_HOST_UNWATCHED static inline float gln_host_widen_bf16(uint32_t bits) { return __uint_as_float(bits << 16); }

template <typename Widen>
GLN_HOST_UNWATCHED static inline void gln_host_mma(float c[4], const uint32_t a[4], const uint32_t b[2], Widen widen)
{
    struct {
        float a[8], b[4]; /* this lane's numbers, widened: two a register */
    } mine;
    for (int i = 0; i < 4; i++) {
        mine.a[2 * i] = widen(a[i] & 0xffffu);
        mine.a[2 * i + 1] = widen(a[i] >> 16);
    }
    for (int i = 0; i < 2; i++) {
        mine.b[2 * i] = widen(b[i] & 0xffffu);
        mine.b[2 * i + 1] = widen(b[i] >> 16);
    }
    unsigned arrived = 0, group = gln_host_self->lane / 4, t = gln_host_self->lane % 4;
    const float *all = reinterpret_cast<const float *>(gln_host_exchange(0xffffffffu, &mine, sizeof mine, &arrived));
    for (unsigned i = 0; i < 4; i++) { /* c[i]: row group (+8 for 2 and 3), column 2t (+1 for odd i) */
        unsigned column = 2 * t + i % 2, high = i / 2;
        double sum = 0;
        for (unsigned k = 0; k < 16; k++) {
            unsigned holder = k % 8 / 2, odd = k % 2, upper = k / 8;
            float left = all[(group * 4 + holder) * 16 + (upper * 2 + high) * 2 + odd];
            float right = all[(column * 4 + holder) * 16 + 8 + upper * 2 + odd];
            sum += (double)left * (double)right;
        }
        c[i] = (float)((double)c[i] + sum);
    }
}
static inline void gln_mma_f16(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    gln_host_mma(c, a, b, gln_host_widen_f16);
}
static inline void gln_mma_bf16(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    gln_host_mma(c, a, b, gln_host_widen_bf16);
}

static inline void gln_host_check_aligned(const void *p, const char *what, unsigned to = 16)
{
    if (reinterpret_cast<uintptr_t>(p) % to == 0) return;
    std::fprintf(stderr, "host device: %s at an address that is no multiple of %u\n", what, to);
    std::abort();
}
GLN_HOST_UNWATCHED static inline void gln_host_load_matrix(uint32_t r[4], const void *shared, bool transposed)
{
    unsigned arrived = 0, group = gln_host_self->lane / 4, t = gln_host_self->lane % 4;
    gln_host_check_aligned(shared, "ldmatrix");
    unsigned char row[16];
    gln_host_races_access(shared, sizeof row, gln_host_access::read);
    std::memcpy(row, shared, sizeof row);
    const uint32_t *all = gln_host_exchange(0xffffffffu, row, sizeof row, &arrived);
    for (unsigned i = 0; i < 4; i++) {
        uint16_t pair[2];
        for (unsigned j = 0; j < 2; j++) {
            unsigned in_row = transposed ? 2 * t + j : group, in_column = transposed ? group : 2 * t + j;
            std::memcpy(&pair[j], reinterpret_cast<const unsigned char *>(all + (8 * i + in_row) * 16) + 2 * in_column,
                        2);
        }
        r[i] = (uint32_t)pair[0] | (uint32_t)pair[1] << 16;
    }
}
static inline void gln_load_matrix_x4(uint32_t r[4], const void *shared) { gln_host_load_matrix(r, shared, false); }
static inline void gln_load_matrix_x4_transposed(uint32_t r[4], const void *shared)
{
    gln_host_load_matrix(r, shared, true);
}

static inline void gln_host_copy_async_checked(void *shared, const void *global, bool in_range, unsigned n_bytes)
{
    gln_host_check_aligned(shared, "cp.async to", n_bytes);
    if (in_range) gln_host_check_aligned(global, "cp.async from", n_bytes);
    gln_host_copy_async(shared, global, in_range, n_bytes);
}
static inline void gln_copy_async_16(void *shared, const void *global, bool in_range) { gln_host_copy_async_checked(shared, global, in_range, 16); }
static inline void gln_copy_async_8(void *shared, const void *global, bool in_range) { gln_host_copy_async_checked(shared, global, in_range, 8); }
static inline void gln_copy_async_commit() { gln_host_copy_commit(); }
template <int N> static inline void gln_copy_async_wait() { gln_host_copy_wait(N); }

#endif
