/*
 * Which tables this machine can run. Five exist: the scalar reference; "portable", the same with the BLAS for matrix
 * products; and AVX2, AVX-512 and AMX, each built on the one before. The processor is asked once (and the operating
 * system, which must save the wide registers: __builtin_cpu_supports checks both). There is no -march=native: only
 * avx2.c, avx512.c and amx.c are compiled for more than the base x86-64.
 */
#include "common/threads.h"
#include "kernels/tables.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TABLES 5

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

static void panel_gram(float *out, const void *left, size_t n, const void *right, size_t m, size_t d)
{
    gln_blas_gram_f32(out, left, n, right, m, d);
}

static void detect(void)
{
    add_table(gln_kernels_reference(), "reference");
    gln_kernel_table *table = add_table(&tables[0], "portable");
    gln_blas_use_one_thread();
    table->gram_f32 = gln_blas_gram_f32;
    table->panel_gram = panel_gram;
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
    gln_kernel_table with_tiles = *table;
    if (gln_table_use_amx(&with_tiles))
        add_table(&with_tiles, "amx");
#endif
}

const gln_kernel_table *gln_kernels_at(size_t i)
{
    pthread_once(&detected, detect);
    return i < n_tables ? &tables[i] : NULL;
}

static const gln_kernel_table *picked;

static void pick(void)
{
    const char *wanted = getenv("GLN_KERNELS");
    pthread_once(&detected, detect);
    picked = &tables[n_tables - 1];
    for (size_t i = 0; wanted != NULL && i < n_tables; i++)
        if (strcmp(tables[i].name, wanted) == 0)
            picked = &tables[i];
}

const gln_kernel_table *gln_kernels(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, pick);
    return picked;
}
