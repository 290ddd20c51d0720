/*
 * Inside kernels/cuda/ only: the functions of cuBLASLt that cublas.c calls, found at run time. Only its headers are
 * needed to build.
 */
#ifndef GLN_KERNELS_CUDA_CUBLAS_LT_H
#define GLN_KERNELS_CUDA_CUBLAS_LT_H

#include "common/status.h"

#include <cublasLt.h>

typedef struct gln_cublas_lt {
    __typeof__(cublasLtCreate) *create;
    __typeof__(cublasLtDestroy) *destroy;
    __typeof__(cublasLtMatmulDescCreate) *desc_create;
    __typeof__(cublasLtMatmulDescDestroy) *desc_destroy;
    __typeof__(cublasLtMatmulDescSetAttribute) *desc_set;
    __typeof__(cublasLtMatrixLayoutCreate) *layout_create;
    __typeof__(cublasLtMatrixLayoutDestroy) *layout_destroy;
    __typeof__(cublasLtMatrixLayoutSetAttribute) *layout_set;
    __typeof__(cublasLtMatmulPreferenceCreate) *preference_create;
    __typeof__(cublasLtMatmulPreferenceDestroy) *preference_destroy;
    __typeof__(cublasLtMatmulPreferenceSetAttribute) *preference_set;
    __typeof__(cublasLtMatmulAlgoGetHeuristic) *heuristic;
    __typeof__(cublasLtMatmul) *matmul;
} gln_cublas_lt;

/* The library, opened once; GLN_E_UNSUPPORTED with where it was looked for. Stays open until the process ends. */
gln_status gln_cublas_lt_open(const gln_cublas_lt **out);

#endif
