/*
 * Inner products of many rows on the threads of a pool. The sampler's use; index/ cuts its blocks itself.
 *
 *     st = gln_gram_f32(threads, g, x, n, y, m, d);     // g [n, m] = x [n, d] times the transpose of y [m, d]
 *
 * Threads: as gln_pool_for; a body of a loop must not call it with its own pool. NULL: computes here.
 */
#ifndef GLN_KERNELS_GRAM_H
#define GLN_KERNELS_GRAM_H

#include "common/status.h"
#include "common/threads.h"

#include <stddef.h>

/* The table's gram_f32, blocks of x's rows at a time. Memory is the caller's; no errors of its own. */
gln_status gln_gram_f32(gln_pool *threads, float *out, const float *x, size_t n, const float *y, size_t m, size_t d);

#endif
