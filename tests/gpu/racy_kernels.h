/* Kernels with mistakes, for test_races.c. x, y: [256] in GPU memory, all 0, x[0] = 1. They return a CUDA error as int. */
#ifndef GLN_TESTS_GPU_RACY_KERNELS_H
#define GLN_TESTS_GPU_RACY_KERNELS_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/cuda/device.h"

typedef enum racy {
    RACY_NO_BARRIER,        /* a number of another warp's, read before a barrier */
    RACY_NO_BARRIER_AFTER,  /* written again while another warp may still read */
    RACY_NO_SYNCWARP,       /* a number of another lane's, after a shuffle only */
    RACY_BLOCKS,            /* two blocks write one number */
    RACY_BLOCK_READS,       /* a block writes what another one has read */
    RACY_BLOCK_READS_FIRST, /* and what it has read itself, after that other one */
    RACY_ATOMIC,            /* one block adds atomically, another one reads */
    RACY_COPY_NOT_WAITED,   /* an asynchronous copy's result, read before it was waited for */
    RACY_COPY_NO_BARRIER,   /* another thread's copy, waited for by that one, without a barrier */
    RACY_COPY_TOO_EARLY,    /* a copy to what other warps may still read */
    RACY_NOT_WRITTEN,       /* static shared memory that nobody has written */
    RACY_NOT_WRITTEN_NOW,   /* nobody but the block before */
    RACY_N
} racy;

/* With `mended` the same work without the mistake. */
int racy_run(racy which, bool mended, float *x, float *y, gln_cuda_stream stream);

#ifdef __cplusplus
}
#endif
#endif
