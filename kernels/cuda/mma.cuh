/*
 * Tensor-core products of one warp, and what feeds them: the three instructions that kernels of compute capability 8.0
 * and above are made of (mma.sync, ldmatrix, cp.async), behind functions that the host device of the tests has twins
 * of.
 *
 *     gln_copy_async_16(tile + offset, global, in_range);   // a thread: 16 bytes to shared memory, or zeros
 *     gln_copy_async_commit();                              // a group of copies
 *     gln_copy_async_wait<1>();                             // this thread's groups are there, but for the last one
 *     __syncthreads();                                      // so are the other threads'
 *     gln_load_matrix_x4(a, row_address_of_this_lane);      // four 8x8 matrices of 16-bit numbers
 *     gln_mma_f16(c, a, b);                                 // c [16, 8] += a [16, 16] b [16, 8]
 *
 * Fragments, for lane l, group g = l / 4, t = l % 4 (each register two neighbouring numbers, the lower index in the
 * lower half):
 *     a[0]: row g,   columns 2t, 2t+1        a[1]: row g+8, the same columns
 *     a[2]: row g,   columns 2t+8, 2t+9      a[3]: row g+8, the same columns
 *     b[0]: rows (k) 2t, 2t+1 of column g    b[1]: rows 2t+8, 2t+9 of column g
 *     c[0], c[1]: row g, columns 2t, 2t+1    c[2], c[3]: row g+8
 * gln_load_matrix_x4: lane l gives the address of row l % 8 of matrix l / 8 (16 bytes, aligned to 16), and gets of
 * matrix i in r[i] the two numbers 2t, 2t+1 of row g. With k contiguous in both operands neither needs a transpose: a's
 * matrices are (rows 0-7, k 0-7), (rows 8-15, k 0-7), (rows 0-7, k 8-15), (rows 8-15, k 8-15); b's are (columns, k
 * 0-7), (columns, k 8-15). _transposed: r[i] has numbers g of rows 2t and 2t+1, for an operand with k along the rows.
 *
 * Sums are f32; the order within one instruction is the hardware's own.
 *
 * Source: PTX ISA 9.0, "Matrix Fragments for mma.m16n8k16 with floating point type", "ldmatrix", "cp.async".
 */
#ifndef GLN_KERNELS_CUDA_MMA_CUH
#define GLN_KERNELS_CUDA_MMA_CUH

#include "kernels/cuda/launch.cuh"

#if defined(__CUDACC__)

static __device__ __forceinline__ void gln_mma_f16(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

static __device__ __forceinline__ void gln_mma_bf16(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

static __device__ __forceinline__ void gln_load_matrix_x4(uint32_t r[4], const void *shared)
{
    unsigned at = (unsigned)__cvta_generic_to_shared(shared);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

static __device__ __forceinline__ void gln_load_matrix_x4_transposed(uint32_t r[4], const void *shared)
{
    unsigned at = (unsigned)__cvta_generic_to_shared(shared);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

static __device__ __forceinline__ void gln_copy_async_16(void *shared, const void *global, bool in_range)
{
    unsigned at = (unsigned)__cvta_generic_to_shared(shared);
    int n_bytes = in_range ? 16 : 0; /* the rest of the 16 is filled with zeros; nothing is read when 0 */
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(at), "l"(global), "r"(n_bytes) : "memory");
}

/* The same with 8 bytes, aligned to 8. */
static __device__ __forceinline__ void gln_copy_async_8(void *shared, const void *global, bool in_range)
{
    unsigned at = (unsigned)__cvta_generic_to_shared(shared);
    int n_bytes = in_range ? 8 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;\n" ::"r"(at), "l"(global), "r"(n_bytes) : "memory");
}

static __device__ __forceinline__ void gln_copy_async_commit()
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

template <int N> static __device__ __forceinline__ void gln_copy_async_wait()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
}

#else
#include <gln_host_mma.h>
#endif
#endif
