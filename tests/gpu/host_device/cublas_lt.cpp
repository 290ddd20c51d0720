/*
 * cuBLASLt of the host device, and the table of functions that kernels/cuda/cublas_open.c would have found:
 * column-major, as the library's documentation states it, sums in double. Sizes that do not fit together are refused as
 * the library does.
 */
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <vector>

extern "C" {
#include "kernels/cuda/cublas_lt.h"
}

cudaError_t gln_host_put(cudaStream_t stream, std::function<void()> item);

struct gln_host_matmul {
    cublasOperation_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    const void *bias = nullptr;
};
struct gln_host_layout {
    cudaDataType type;
    uint64_t rows, columns;
    int64_t ld, batch_stride = 0;
    int32_t n_batch = 1;
};
struct gln_host_preference {
    uint32_t alignment[4] = {256, 256, 256, 256};
    uint64_t workspace_bytes = 0;
};
struct cublasLtContext {
    int unused;
};

namespace {

double read(const void *p, cudaDataType type, int64_t at)
{
    if (type == CUDA_R_32F) return static_cast<const float *>(p)[at];
    if (type == CUDA_R_16F) return __half2float(static_cast<const __half *>(p)[at]);
    return __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[at]);
}
void write(void *p, cudaDataType type, int64_t at, float value)
{
    if (type == CUDA_R_32F)
        static_cast<float *>(p)[at] = value;
    else if (type == CUDA_R_16F)
        static_cast<__half *>(p)[at] = __float2half(value);
    else
        static_cast<__nv_bfloat16 *>(p)[at] = __float2bfloat16(value);
}
bool fit(const gln_host_matmul &d, const gln_host_layout &a, const gln_host_layout &b, const gln_host_layout &c)
{
    bool ta = d.transpose_a == CUBLAS_OP_T, tb = d.transpose_b == CUBLAS_OP_T;
    return (ta ? a.columns : a.rows) == c.rows && (tb ? b.rows : b.columns) == c.columns &&
           (ta ? a.rows : a.columns) == (tb ? b.columns : b.rows) && a.ld >= (int64_t)a.rows &&
           b.ld >= (int64_t)b.rows && c.ld >= (int64_t)c.rows && a.n_batch == c.n_batch && b.n_batch == c.n_batch;
}
float activate(float v, int epilogue)
{
    if ((epilogue & CUBLASLT_EPILOGUE_RELU) != 0) return v > 0 || std::isnan(v) ? v : 0;
    if ((epilogue & CUBLASLT_EPILOGUE_GELU) != 0)
        return 0.5f * v * (1 + std::tanh(0.7978845608f * (v + 0.044715f * v * v * v)));
    return v;
}

} // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out) { *out = new cublasLtContext{0}; return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { delete handle; return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t, cudaDataType)
{
    *out = new gln_host_matmul;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) { delete d; return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name,
                                              const void *value, size_t n)
{
    void *field = name == CUBLASLT_MATMUL_DESC_TRANSA   ? static_cast<void *>(&d->transpose_a)
                  : name == CUBLASLT_MATMUL_DESC_TRANSB ? static_cast<void *>(&d->transpose_b)
                  : name == CUBLASLT_MATMUL_DESC_EPILOGUE ? static_cast<void *>(&d->epilogue)
                                                          : static_cast<void *>(&d->bias);
    if (n != (name == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? sizeof(void *) : 4)) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(field, value, n);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t ld)
{
    *out = new gln_host_layout{type, rows, columns, ld};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t name,
                                                const void *value, size_t n)
{
    bool count = name == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
    if (n != (count ? 4u : 8u)) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(count ? static_cast<void *>(&l->n_batch) : static_cast<void *>(&l->batch_stride), value, n);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = new gln_host_preference;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) { delete p; return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t name, const void *value,
                                                    size_t n)
{
    bool workspace = name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    if (n != (workspace ? 8u : 4u)) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(workspace ? static_cast<void *>(&p->workspace_bytes)
                          : static_cast<void *>(&p->alignment[name - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES]),
                value, n);
    return CUBLAS_STATUS_SUCCESS;
}

/* Two proposals, so that there is something to measure. Operands in 16 bits have to be aligned to their numbers only.
 */
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int n_wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *n_results)
{
    *n_results = 0;
    if (!fit(*d, *a, *b, *c)) return CUBLAS_STATUS_INVALID_VALUE;
    for (; *n_results < n_wanted && *n_results < 2; ++*n_results)
        results[*n_results] = cublasLtMatmulHeuristicResult_t{};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t d_, const void *alpha_, const void *A,
                              cublasLtMatrixLayout_t a_, const void *B, cublasLtMatrixLayout_t b_, const void *beta_,
                              const void *C, cublasLtMatrixLayout_t c_, void *D, cublasLtMatrixLayout_t out_,
                              const cublasLtMatmulAlgo_t *, void *, size_t, cudaStream_t stream)
{
    gln_host_matmul d = *d_;
    gln_host_layout a = *a_, b = *b_, c = *c_, out = *out_;
    float alpha = *static_cast<const float *>(alpha_), beta = *static_cast<const float *>(beta_);
    if (!fit(d, a, b, c) || out.rows != c.rows || out.columns != c.columns) return CUBLAS_STATUS_INVALID_VALUE;
    bool ta = d.transpose_a == CUBLAS_OP_T, tb = d.transpose_b == CUBLAS_OP_T;
    int64_t n_k = (int64_t)(ta ? a.rows : a.columns);
    cudaError_t error = gln_host_put(stream, [=] {
        std::vector<double> left(out.rows * (size_t)n_k), right(out.columns * (size_t)n_k); /* k side by side */
        for (int32_t batch = 0; batch < out.n_batch; batch++) {
            for (int64_t i = 0; i < (int64_t)out.rows; i++)
                for (int64_t k = 0; k < n_k; k++)
                    left[(size_t)(i * n_k + k)] =
                        read(A, a.type, batch * a.batch_stride + (ta ? k + i * a.ld : i + k * a.ld));
            for (int64_t j = 0; j < (int64_t)out.columns; j++)
                for (int64_t k = 0; k < n_k; k++)
                    right[(size_t)(j * n_k + k)] =
                        read(B, b.type, batch * b.batch_stride + (tb ? j + k * b.ld : k + j * b.ld));
            for (int64_t j = 0; j < (int64_t)out.columns; j++)
                for (int64_t i = 0; i < (int64_t)out.rows; i++) {
                    double sum = 0;
                    for (int64_t k = 0; k < n_k; k++) sum += left[(size_t)(i * n_k + k)] * right[(size_t)(j * n_k + k)];
                    float value = (float)(alpha * sum);
                    if (beta != 0) value += beta * (float)read(C, c.type, batch * c.batch_stride + i + j * c.ld);
                    if ((d.epilogue & CUBLASLT_EPILOGUE_BIAS) != 0) value += (float)read(d.bias, out.type, i);
                    write(D, out.type, batch * out.batch_stride + i + j * out.ld, activate(value, d.epilogue));
                }
        }
    });
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

gln_status gln_cublas_lt_open(const gln_cublas_lt **out)
{
    static const gln_cublas_lt table = {cublasLtCreate,
                                        cublasLtDestroy,
                                        cublasLtMatmulDescCreate,
                                        cublasLtMatmulDescDestroy,
                                        cublasLtMatmulDescSetAttribute,
                                        cublasLtMatrixLayoutCreate,
                                        cublasLtMatrixLayoutDestroy,
                                        cublasLtMatrixLayoutSetAttribute,
                                        cublasLtMatmulPreferenceCreate,
                                        cublasLtMatmulPreferenceDestroy,
                                        cublasLtMatmulPreferenceSetAttribute,
                                        cublasLtMatmulAlgoGetHeuristic,
                                        cublasLtMatmul};
    *out = &table;
    return GLN_OK;
}

} // extern "C"
