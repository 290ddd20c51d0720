/*
 * Row-major products in terms of cuBLASLt's column-major ones. A row-major [r, c] matrix with a stride is column-major [c, r] with the
 * same leading dimension, so out = x y is computed as out^T = y^T x^T: cuBLASLt's A is y, its B is x, its rows are our
 * columns, and its bias, one number a row of D, is ours, one a column.
 *
 * Which algorithm is fastest cannot be told from shapes: cuBLASLt's first proposal is usually good and sometimes half as fast
 * as its fifth. Each proposal runs once to warm up (kernels are loaded lazily) and then N_RUNS times between two events;
 * the fastest is kept. Algorithms depend on shape, types, layout, epilogue and the alignment of the pointers, and so does the key.
 */
#include "kernels/cuda/cublas.h"

#include "common/memory.h"
#include "kernels/cuda/cublas_lt.h"

#include <cuda_runtime_api.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

enum { N_PROPOSALS = 8, N_RUNS = 3 };

/* Compared byte by byte: made by memset and assignments only. */
typedef struct key {
    uint64_t n, m, d, x_stride, y_stride, out_stride, n_batch, x_batch, y_batch, out_batch;
    uint32_t in, out, x_transposed, y_transposed, epilogue, bias, add, tf32;
    uint32_t x_align, y_align, out_align, bias_align;
} key;

typedef struct known {
    key key;
    cublasLtMatmulAlgo_t algorithm;
} known;

struct gln_cublas {
    const gln_cublas_lt *lt;
    cublasLtHandle_t handle;
    void *workspace;
    size_t workspace_bytes;
    gln_cuda_event begin, end;
    known *known; /* a few dozen shapes: looked through in order */
    size_t n_known, known_capacity;
};

/* What cuBLASLt wants to know about one product. */
typedef struct description {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulPreference_t preference;
} description;

static gln_status check(cublasStatus_t status, const char *what)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return GLN_OK;
    case CUBLAS_STATUS_ALLOC_FAILED: return gln_fail(GLN_E_MEMORY, "cuBLASLt: %s: out of memory", what);
    case CUBLAS_STATUS_NOT_SUPPORTED:
    case CUBLAS_STATUS_ARCH_MISMATCH: return gln_fail(GLN_E_UNSUPPORTED, "cuBLASLt: %s: not supported", what);
    default: break;
    }
    /* A sticky error of an earlier kernel may come out here. */
    gln_status st = gln_cuda_check((int)cudaPeekAtLastError(), "cuBLASLt: %s", what);
    return st != GLN_OK ? st : gln_fail(GLN_E_INTERNAL, "cuBLASLt: %s: status %d", what, (int)status);
}

#define LT(call, what)                                                                                                 \
    do {                                                                                                               \
        if ((st = check((call), what)) != GLN_OK) goto cleanup;                                                        \
    } while (0)

gln_status gln_cublas_create(gln_cublas **out, size_t workspace_bytes)
{
    gln_cublas *blas = NULL;
    gln_status st;
    *out = NULL;
    if ((st = gln_alloc(&blas, 1, sizeof *blas, "matrix products on the GPU")) != GLN_OK) return st;
    if ((st = gln_cublas_lt_open(&blas->lt)) != GLN_OK) goto cleanup;
    LT(blas->lt->create(&blas->handle), "opening");
    blas->workspace_bytes = workspace_bytes;
    if ((st = gln_cuda_alloc(&blas->workspace, 1, workspace_bytes, "workspace of cuBLASLt")) != GLN_OK ||
        (st = gln_cuda_event_create(&blas->begin, true)) != GLN_OK || (st = gln_cuda_event_create(&blas->end, true)) != GLN_OK)
        goto cleanup;
    *out = blas;
    return GLN_OK;
cleanup:
    gln_cublas_free(blas);
    return st;
}

void gln_cublas_free(gln_cublas *blas)
{
    if (blas == NULL) return;
    if (blas->handle != NULL) (void)blas->lt->destroy(blas->handle);
    gln_cuda_free(blas->workspace);
    gln_cuda_event_free(blas->begin);
    gln_cuda_event_free(blas->end);
    gln_free(blas->known);
    gln_free(blas);
}

/* ---- describing a product -------------------------------------------------------------------------------------------- */

/* The largest power of two up to 256 that divides an address. */
static uint32_t alignment_of(const void *pointer)
{
    uintptr_t address = (uintptr_t)pointer | 256;
    return (uint32_t)(address & (~address + 1));
}

static cudaDataType type_of(gln_cublas_type type)
{
    return type == GLN_CUBLAS_F16 ? CUDA_R_16F : type == GLN_CUBLAS_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static key key_of(const gln_cublas_product *p, const void *out, const void *x, const void *y)
{
    key k;
    memset(&k, 0, sizeof k);
    k.n = p->n;
    k.m = p->m;
    k.d = p->d;
    k.x_stride = p->x_stride != 0 ? p->x_stride : p->x_is_transposed ? p->n : p->d;
    k.y_stride = p->y_stride != 0 ? p->y_stride : p->y_is_transposed ? p->d : p->m;
    k.out_stride = p->out_stride != 0 ? p->out_stride : p->m;
    k.n_batch = p->n_batch != 0 ? p->n_batch : 1;
    k.x_batch = p->x_batch;
    k.y_batch = p->y_batch;
    k.out_batch = p->out_batch;
    k.in = (uint32_t)p->in;
    k.out = (uint32_t)p->out;
    k.x_transposed = p->x_is_transposed;
    k.y_transposed = p->y_is_transposed;
    k.epilogue = (uint32_t)p->epilogue;
    k.bias = p->bias != NULL;
    k.add = p->add ? 1 : p->addend != NULL ? 2 : 0;
    k.tf32 = p->allow_tf32;
    k.x_align = alignment_of(x);
    k.y_align = alignment_of(y);
    k.out_align = alignment_of(out);
    k.bias_align = alignment_of(p->bias);
    return k;
}

static gln_status check_product(const key *k)
{
    uint64_t most = (uint64_t)INT_MAX; /* algorithms count rows and columns in 32 bits */
    if (k->d == 0 || k->n > most || k->m > most || k->d > most || k->n_batch > most)
        return gln_fail(GLN_E_ARGUMENT, "a product [%zu, %zu] of rows of %zu, %zu of them, is not possible on the GPU", (size_t)k->n,
                        (size_t)k->m, (size_t)k->d, (size_t)k->n_batch);
    if (k->x_stride < (k->x_transposed ? k->n : k->d) || k->y_stride < (k->y_transposed ? k->d : k->m) || k->out_stride < k->m)
        return gln_fail(GLN_E_ARGUMENT, "a product whose rows overlap: strides %zu, %zu, %zu", (size_t)k->x_stride,
                        (size_t)k->y_stride, (size_t)k->out_stride);
    if (k->out != (uint32_t)GLN_CUBLAS_F32 && k->out != k->in)
        return gln_fail(GLN_E_ARGUMENT, "a product whose result is neither f32 nor of its inputs' type");
    return GLN_OK;
}

/* A row-major matrix as stored: `stored_rows` rows of `stored_columns`. */
static gln_status layout(const gln_cublas_lt *lt, cublasLtMatrixLayout_t *out, gln_cublas_type type, uint64_t stored_rows,
                         uint64_t stored_columns, uint64_t stride, uint64_t n_batch, uint64_t batch_stride)
{
    int32_t count = (int32_t)n_batch;
    int64_t offset = (int64_t)batch_stride;
    gln_status st;
    LT(lt->layout_create(out, type_of(type), stored_columns, stored_rows, (int64_t)stride), "layout");
    LT(lt->layout_set(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count), "layout");
    LT(lt->layout_set(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &offset, sizeof offset), "layout");
cleanup:
    return st;
}

static cublasLtEpilogue_t epilogue_of(gln_cublas_epilogue epilogue, bool bias)
{
    switch (epilogue) {
    case GLN_CUBLAS_RELU: return bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
    case GLN_CUBLAS_GELU_TANH: return bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    case GLN_CUBLAS_NONE: break;
    }
    return bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

static gln_status describe(description *out, const gln_cublas *blas, const gln_cublas_product *p, const key *k)
{
    const gln_cublas_lt *lt = blas->lt;
    cublasOperation_t transpose_a = p->y_is_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t transpose_b = p->x_is_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = epilogue_of(p->epilogue, p->bias != NULL);
    gln_status st;
    LT(lt->desc_create(&out->operation, p->allow_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F), "product");
    LT(lt->desc_set(out->operation, CUBLASLT_MATMUL_DESC_TRANSA, &transpose_a, sizeof transpose_a), "product");
    LT(lt->desc_set(out->operation, CUBLASLT_MATMUL_DESC_TRANSB, &transpose_b, sizeof transpose_b), "product");
    LT(lt->desc_set(out->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue), "epilogue");
    if (p->bias != NULL)
        LT(lt->desc_set(out->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias), "bias");
    if ((st = layout(lt, &out->a, p->in, p->y_is_transposed ? k->m : k->d, p->y_is_transposed ? k->d : k->m, k->y_stride,
                     k->n_batch, k->y_batch)) != GLN_OK ||
        (st = layout(lt, &out->b, p->in, p->x_is_transposed ? k->d : k->n, p->x_is_transposed ? k->n : k->d, k->x_stride,
                     k->n_batch, k->x_batch)) != GLN_OK ||
        (st = layout(lt, &out->c, p->out, k->n, k->m, k->out_stride, k->n_batch, k->out_batch)) != GLN_OK)
        goto cleanup;
    LT(lt->preference_create(&out->preference), "preference");
    const struct {
        cublasLtMatmulPreferenceAttributes_t name;
        uint32_t bytes;
    } aligned[] = {{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, k->y_align},
                   {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, k->x_align},
                   {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, k->out_align},
                   {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, k->out_align}};
    for (size_t i = 0; i < sizeof aligned / sizeof *aligned; i++)
        LT(lt->preference_set(out->preference, aligned[i].name, &aligned[i].bytes, sizeof aligned[i].bytes), "alignment");
    LT(lt->preference_set(out->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &blas->workspace_bytes,
                          sizeof blas->workspace_bytes),
       "workspace");
cleanup:
    return st;
}

static void description_dispose(const gln_cublas_lt *lt, description *d)
{
    if (d->preference != NULL) (void)lt->preference_destroy(d->preference);
    if (d->c != NULL) (void)lt->layout_destroy(d->c);
    if (d->b != NULL) (void)lt->layout_destroy(d->b);
    if (d->a != NULL) (void)lt->layout_destroy(d->a);
    if (d->operation != NULL) (void)lt->desc_destroy(d->operation);
}

/* ---- running it ------------------------------------------------------------------------------------------------------- */

typedef struct operands {
    float alpha, beta;
    void *out;
    const void *x, *y, *addend;
    gln_cuda_stream stream;
} operands;

static gln_status run(const gln_cublas *blas, const description *d, const operands *o, const cublasLtMatmulAlgo_t *algorithm)
{
    return check(blas->lt->matmul(blas->handle, d->operation, &o->alpha, o->y, d->a, o->x, d->b, &o->beta, o->addend, d->c, o->out,
                                  d->c, algorithm, blas->workspace, blas->workspace_bytes, o->stream),
                 "product");
}

static gln_status measure(float *out_ms, const gln_cublas *blas, const description *d, const operands *o,
                          const cublasLtMatmulAlgo_t *algorithm)
{
    gln_status st = run(blas, d, o, algorithm);
    if (st == GLN_OK) st = gln_cuda_event_record(blas->begin, o->stream);
    for (int i = 0; st == GLN_OK && i < N_RUNS; i++) st = run(blas, d, o, algorithm);
    if (st == GLN_OK) st = gln_cuda_event_record(blas->end, o->stream);
    if (st == GLN_OK) st = gln_cuda_event_wait(blas->end);
    if (st == GLN_OK) st = gln_cuda_elapsed_ms(out_ms, blas->begin, blas->end);
    return st;
}

/* A proposal that fails when it runs is passed over; a lost GPU is not. */
static gln_status choose(cublasLtMatmulAlgo_t *out, const gln_cublas *blas, const description *d, const operands *o, bool tune)
{
    cublasLtMatmulHeuristicResult_t proposal[N_PROPOSALS];
    int n = 0;
    float best_ms = -1;
    gln_status st = check(blas->lt->heuristic(blas->handle, d->operation, d->a, d->b, d->c, d->c, d->preference,
                                              tune ? N_PROPOSALS : 1, proposal, &n),
                          "algorithms");
    if (st != GLN_OK) return st;
    st = GLN_E_UNSUPPORTED;
    for (int i = 0; i < n; i++) {
        float ms = 0;
        if (proposal[i].state != CUBLAS_STATUS_SUCCESS || proposal[i].workspaceSize > blas->workspace_bytes) continue;
        if (!tune || n == 1) {
            *out = proposal[i].algo;
            return GLN_OK;
        }
        gln_status ran = measure(&ms, blas, d, o, &proposal[i].algo);
        if (ran != GLN_OK) {
            if (gln_cuda_lost()) return ran;
            continue;
        }
        if (best_ms >= 0 && ms >= best_ms) continue;
        best_ms = ms;
        *out = proposal[i].algo;
        st = GLN_OK;
    }
    return st == GLN_OK ? GLN_OK : gln_fail(st, "cuBLASLt: no algorithm for this product");
}

static gln_status is_recording(bool *out, gln_cuda_stream stream)
{
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    gln_status st = gln_cuda_check((int)cudaStreamIsCapturing(stream, &status), "a stream's state");
    *out = status != cudaStreamCaptureStatusNone;
    return st;
}

gln_status gln_cublas_multiply(gln_cublas *blas, const gln_cublas_product *p, void *out, const void *x, const void *y,
                               gln_cuda_stream stream)
{
    description d = {0};
    cublasLtMatmulAlgo_t algorithm;
    key k = key_of(p, out, x, y);
    operands o = {.alpha = p->scale == 0 ? 1 : p->scale, .out = out, .x = x, .y = y, .stream = stream};
    o.beta = p->add || p->addend != NULL ? 1 : 0;
    o.addend = p->addend != NULL ? p->addend : out;
    bool recording = false;
    gln_status st;
    if (k.n == 0 || k.m == 0) return GLN_OK;
    if ((st = check_product(&k)) != GLN_OK || (st = describe(&d, blas, p, &k)) != GLN_OK) goto cleanup;
    const known *found = NULL;
    for (size_t i = 0; i < blas->n_known && found == NULL; i++)
        if (memcmp(&blas->known[i].key, &k, sizeof k) == 0) found = &blas->known[i];
    if (found == NULL) {
        if ((st = is_recording(&recording, stream)) != GLN_OK) goto cleanup;
        bool tune = !recording && !p->untuned && !p->add;
        if ((st = choose(&algorithm, blas, &d, &o, tune)) != GLN_OK) goto cleanup;
        if (tune) {
            if ((st = gln_grow(&blas->known, &blas->known_capacity, blas->n_known + 1, sizeof *blas->known, "algorithms")) != GLN_OK)
                goto cleanup;
            blas->known[blas->n_known++] = (known){.key = k, .algorithm = algorithm};
        }
    } else {
        algorithm = found->algorithm;
    }
    st = run(blas, &d, &o, &algorithm);
cleanup:
    description_dispose(blas->lt, &d);
    return st;
}
