/* Matrix products and sums over products: plain loops, sums in double. */
#include "embed/reference.h"

/* One matrix: a with row and column steps, b likewise, y dense. */
typedef struct product {
    size_t m, n, k;
    ptrdiff_t a_row, a_column, b_row, b_column;
} product;

static void multiply(const product *p, const float *a, const float *b, float *y)
{
    for (size_t i = 0; i < p->m; i++) {
        for (size_t j = 0; j < p->n; j++) {
            double sum = 0;
            const float *pa = a + (ptrdiff_t)i * p->a_row, *pb = b + (ptrdiff_t)j * p->b_column;
            for (size_t l = 0; l < p->k; l++)
                sum += (double)pa[(ptrdiff_t)l * p->a_column] * (double)pb[(ptrdiff_t)l * p->b_row];
            y[i * p->n + j] = (float)sum;
        }
    }
}

/* MatMul; fuse.c may have given it a third input, a row that is added. */
static gln_status run_matmul(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    gln_shape a = inputs[0].shape, b = inputs[1].shape, batches = {0};
    ptrdiff_t sa[GLN_MAX_RANK], sb[GLN_MAX_RANK], at_a = 0, at_b = 0;
    size_t index[GLN_MAX_RANK] = {0};
    product p = {.m = 1, .n = 1, .k = a.dims[a.rank - 1]};
    p.a_column = 1;
    p.a_row = (ptrdiff_t)p.k;
    if (a.rank > 1) p.m = a.dims[a.rank - 2];
    if (b.rank > 1) p.n = b.dims[b.rank - 1];
    p.b_row = (ptrdiff_t)p.n;
    p.b_column = 1;
    a.rank -= a.rank > 1 ? 2 : 1;
    b.rank -= b.rank > 1 ? 2 : 1;
    batches.rank = a.rank > b.rank ? a.rank : b.rank;
    for (size_t i = 0; i < batches.rank; i++) batches.dims[i] = out->shape.dims[i];
    gln_broadcast_strides(sa, &a, &batches);
    gln_broadcast_strides(sb, &b, &batches);
    for (size_t i = 0; i < gln_shape_items(&batches); i++) {
        multiply(&p, (const float *)inputs[0].data + at_a * (ptrdiff_t)(p.m * p.k),
                 (const float *)inputs[1].data + at_b * (ptrdiff_t)(p.k * p.n), (float *)out->data + i * p.m * p.n);
        gln_advance(index, &batches, batches.rank, &at_a, sa, &at_b, sb);
    }
    if (node->n_inputs < 3) return GLN_OK;
    for (size_t i = 0; i < gln_shape_items(&out->shape); i++)
        ((float *)out->data)[i] += ((const float *)inputs[2].data)[i % p.n];
    return GLN_OK;
}

static gln_status run_gemm(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    int64_t trans_a = 0, trans_b = 0;
    float alpha = 1, beta = 1;
    ptrdiff_t sc[GLN_MAX_RANK];
    gln_status st = gln_node_int(&trans_a, node, "transA", 0);
    if (st == GLN_OK) st = gln_node_int(&trans_b, node, "transB", 0);
    if (st == GLN_OK) st = gln_node_float(&alpha, node, "alpha", 1);
    if (st == GLN_OK) st = gln_node_float(&beta, node, "beta", 1);
    if (st != GLN_OK) return st;
    size_t m = out->shape.dims[0], n = out->shape.dims[1], k = inputs[0].shape.dims[trans_a != 0 ? 0 : 1];
    product p = {m,
                 n,
                 k,
                 trans_a != 0 ? 1 : (ptrdiff_t)k,
                 trans_a != 0 ? (ptrdiff_t)m : 1,
                 trans_b != 0 ? 1 : (ptrdiff_t)n,
                 trans_b != 0 ? (ptrdiff_t)k : 1};
    multiply(&p, inputs[0].data, inputs[1].data, out->data);
    const float *c = node->n_inputs > 2 ? inputs[2].data : NULL;
    if (c != NULL) gln_broadcast_strides(sc, &inputs[2].shape, &out->shape);
    for (size_t i = 0; i < m * n; i++) {
        float *y = (float *)out->data + i;
        double sum = (double)*y * (double)alpha;
        if (c != NULL) sum += (double)beta * (double)c[(ptrdiff_t)(i / n) * sc[0] + (ptrdiff_t)(i % n) * sc[1]];
        *y = (float)sum;
    }
    return GLN_OK;
}

/* Every label an axis: an outer walk over those of the result, an inner one over those that are summed. */
static gln_status run_einsum(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    gln_einsum e;
    size_t index[GLN_EINSUM_LABELS] = {0}, n_inner = 1;
    gln_status st = gln_einsum_of(&e, graph, node);
    if (st != GLN_OK) return st;
    for (size_t i = e.n_out; i < e.n_labels; i++) n_inner *= e.dim[i];
    for (size_t o = 0; o < gln_shape_items(&out->shape); o++) {
        double sum = 0;
        for (size_t s = 0; s < n_inner; s++) {
            double term = 1;
            for (size_t i = 0; i < node->n_inputs; i++) {
                ptrdiff_t at = 0;
                for (size_t l = 0; l < e.n_labels; l++) at += (ptrdiff_t)index[l] * e.stride[i][l];
                term *= (double)((const float *)inputs[i].data)[at];
            }
            sum += term;
            for (size_t l = e.n_labels; l-- > e.n_out && ++index[l] == e.dim[l];) index[l] = 0;
        }
        ((float *)out->data)[o] = (float)sum;
        for (size_t l = e.n_out; l-- > 0 && ++index[l] == e.dim[l];) index[l] = 0;
    }
    return GLN_OK;
}

gln_status gln_reference_product(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    switch (node->op) {
    case GLN_OP_GEMM: return run_gemm(node, inputs, out);
    case GLN_OP_MATMUL: return run_matmul(node, inputs, out);
    default: return run_einsum(graph, node, inputs, out);
    }
}
