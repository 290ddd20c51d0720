/*
 * Inside kernels/ only: the tables that kernels.c chooses from, and what they share.
 *
 * A vector table starts as a copy of the portable one and replaces what it does faster; whatever it leaves alone is
 * right by construction.
 */
#ifndef GLN_KERNELS_TABLES_H
#define GLN_KERNELS_TABLES_H

#include "kernels/kernels.h"

#include <stdbool.h>

/* One binary16 number, widened exactly; and one float32, rounded to nearest even. The definition of both. */
float gln_half_to_float(uint16_t half);
uint16_t gln_float_to_half(float value);

/* gram_f32 through the BLAS (blas.c): the same function in every table but the reference. */
void gln_blas_gram_f32(float *out, const float *x, size_t n, const float *y, size_t m, size_t d);
/* From now on the BLAS computes on the thread that calls it. */
void gln_blas_use_one_thread(void);

/* A panel that is nothing but the rows, for a table without a layout of its own: panel_gram is then its gram_f32. */
size_t gln_rows_panel_bytes(size_t n, size_t d);
void gln_rows_pack(void *panel, const float *x, size_t n, size_t d);

/* Fill in what the instruction set speeds up; called once, on a processor that has it. x86-64 only. */
void gln_table_use_avx2(gln_kernel_table *table);
void gln_table_use_avx512(gln_kernel_table *table);
/* False, and nothing filled in, when the operating system does not lend this process the tile registers. */
bool gln_table_use_amx(gln_kernel_table *table);

#endif
