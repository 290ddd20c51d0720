/*
 * One table of cases for every operation of kernels/kernels.h, used twice: `check` compares each table that this
 * machine can run with the reference, `perf` times the production shape. Adding an operation means adding one row to
 * cases.c.
 */
#ifndef GLN_TESTS_KERNELS_CASES_H
#define GLN_TESTS_KERNELS_CASES_H

#include "kernels/kernels.h"

#include <stddef.h>

typedef struct shape {
    size_t n, m, d;
} shape;

/* Inputs of one case, each allocated to exactly its size, so that AddressSanitizer sees a read beyond it. */
typedef struct inputs {
    shape s;
    float *x, *y;           /* [n, d], [m, d], normal numbers */
    float *weight;          /* [d], positive */
    float *x_sq, *y_sq;     /* [n], [m], positive */
    uint16_t *half;         /* [n * d] finite binary16 */
    uint8_t *bytes;         /* [3 n] */
    uint32_t *indices;      /* [n] below n */
    gln_embeddings view;    /* of a padded copy of `half`, n rows of d */
    unsigned char *padded;
} inputs;

typedef struct operation {
    const char *name;
    void (*run)(const gln_kernel_table *table, const inputs *in, float *out);
    size_t (*n_out)(shape s);
    double (*n_bytes)(shape s); /* read and written, for the rates of perf mode */
    int matrix;                 /* 0: cases vary n only; 1: n and d; 2: n, m and d */
    int in_place;               /* `out` holds the input before the call */
    double atol, rtol;
    const char *tolerance_reason;
    shape production;
} operation;

extern const operation operations[];
extern const size_t n_operations;

/* Random inputs of one shape, from a seed; the caller disposes. Ends the program when there is no memory. */
void inputs_init(inputs *in, shape s, uint64_t seed);
void inputs_dispose(inputs *in);

/* Times every operation on every table and prints a table. */
int perf(void);

#endif
