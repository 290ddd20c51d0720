/*
 * Which tables this machine can run. Four exist: the scalar reference; "portable", the same with the BLAS for matrix
 * products; and AVX2 and AVX-512, each built on the one before. The processor is asked once (and the operating system,
 * which must save the wide registers: __builtin_cpu_supports checks both). There is no -march=native: only avx2.c and
 * avx512.c are compiled for more than the base x86-64.
 */
#include "common/threads.h"
#include "kernels/tables.h"

#define MAX_TABLES 4

static gln_kernel_table tables[MAX_TABLES];
static size_t n_tables;
static pthread_once_t detected = PTHREAD_ONCE_INIT;

static gln_kernel_table *add_table(const gln_kernel_table *from, const char *name)
{
    gln_kernel_table *table = &tables[n_tables++];
    *table = *from;
    table->name = name;
    return table;
}

static void detect(void)
{
    add_table(gln_kernels_reference(), "reference");
    gln_kernel_table *table = add_table(&tables[0], "portable");
    table->gram_f32 = gln_blas_gram_f32;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
        return;
    table = add_table(table, "avx2");
    gln_table_use_avx2(table);
    if (!__builtin_cpu_supports("avx512f"))
        return;
    table = add_table(table, "avx512");
    gln_table_use_avx512(table);
#endif
}

const gln_kernel_table *gln_kernels_at(size_t i)
{
    pthread_once(&detected, detect);
    return i < n_tables ? &tables[i] : NULL;
}

const gln_kernel_table *gln_kernels(void)
{
    pthread_once(&detected, detect);
    return &tables[n_tables - 1];
}
