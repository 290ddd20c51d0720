#include "tests/embed/net_twin.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const gln_tensor *input_of(const gln_net *net, const gln_node *node, size_t i)
{
    const gln_value *value = gln_node_input(net, node, i);
    return value == NULL ? NULL : &value->tensor;
}

static void conv(const gln_net *net, const gln_node *node, const gln_tensor *in, gln_tensor *out)
{
    gln_window v;
    ck_assert_int_eq(gln_window_of(&v, net, node), GLN_OK);
    const float *x = in[0].data, *w = in[1].data, *bias = node->n_inputs > 2 ? in[2].data : NULL;
    const size_t *xs = in[0].shape.dims, *ws = in[1].shape.dims, *ys = out->shape.dims;
    for (size_t n = 0; n < ys[0]; n++)
        for (size_t o = 0; o < ys[1]; o++)
            for (size_t y = 0; y < ys[2]; y++)
                for (size_t z = 0; z < ys[3]; z++) {
                    double sum = bias != NULL ? bias[o] : 0;
                    for (size_t c = 0; c < ws[1]; c++)
                        for (size_t i = 0; i < ws[2]; i++)
                            for (size_t j = 0; j < ws[3]; j++) {
                                size_t r = y * v.stride[0] + i * v.dilation[0], s = z * v.stride[1] + j * v.dilation[1];
                                size_t from = o / (ys[1] / v.group) * ws[1] + c;
                                if (r < v.pad_low[0] || s < v.pad_low[1]) continue;
                                if (r - v.pad_low[0] >= xs[2] || s - v.pad_low[1] >= xs[3]) continue;
                                sum += (double)x[((n * xs[1] + from) * xs[2] + r - v.pad_low[0]) * xs[3] + s - v.pad_low[1]] *
                                       w[((o * ws[1] + c) * ws[2] + i) * ws[3] + j];
                            }
                    ((float *)out->data)[((n * ys[1] + o) * ys[2] + y) * ys[3] + z] = (float)sum;
                }
}

static void pool(const gln_net *net, const gln_node *node, const gln_tensor *in, gln_tensor *out)
{
    gln_window v = {.n_axes = 2, .stride = {1, 1}, .dilation = {1, 1}};
    int64_t include_pad = 0;
    const size_t *xs = in[0].shape.dims, *ys = out->shape.dims;
    if (node->op == GLN_OP_GLOBAL_AVERAGE_POOL) {
        v.kernel[0] = xs[2];
        v.kernel[1] = xs[3];
    } else {
        ck_assert_int_eq(gln_window_of(&v, net, node), GLN_OK);
        ck_assert_int_eq(gln_node_int(&include_pad, node, "count_include_pad", 0), GLN_OK);
    }
    for (size_t p = 0; p < ys[0] * ys[1]; p++)
        for (size_t y = 0; y < ys[2]; y++)
            for (size_t z = 0; z < ys[3]; z++) {
                double sum = 0, most = -INFINITY;
                size_t n = 0;
                for (size_t i = 0; i < v.kernel[0]; i++)
                    for (size_t j = 0; j < v.kernel[1]; j++) {
                        size_t r = y * v.stride[0] + i * v.dilation[0], s = z * v.stride[1] + j * v.dilation[1];
                        if (r < v.pad_low[0] || s < v.pad_low[1]) continue;
                        if (r - v.pad_low[0] >= xs[2] || s - v.pad_low[1] >= xs[3]) continue;
                        double x = ((const float *)in[0].data)[(p * xs[2] + r - v.pad_low[0]) * xs[3] + s - v.pad_low[1]];
                        sum += x;
                        most = fmax(most, x);
                        n++;
                    }
                if (include_pad != 0) n = v.kernel[0] * v.kernel[1];
                ((float *)out->data)[(p * ys[2] + y) * ys[3] + z] = (float)(node->op == GLN_OP_MAX_POOL ? most : sum / (double)n);
            }
}

/* Index of the batch `at` of a result, seen by an operand whose batch axes may be 1 or missing. */
static size_t batch_of(size_t at, const gln_shape *result, const gln_shape *operand)
{
    size_t index = 0, step = 1;
    for (size_t i = result->rank - 2; i-- > 0;) {
        size_t here = at % result->dims[i], from_end = result->rank - i;
        at /= result->dims[i];
        if (from_end > operand->rank) continue;
        size_t dim = operand->dims[operand->rank - from_end];
        index += (dim == 1 ? 0 : here) * step;
        step *= dim;
    }
    return index;
}

static void product(const gln_node *node, const gln_tensor *in, gln_tensor *out)
{
    const gln_shape *a = &in[0].shape, *b = &in[1].shape, *y = &out->shape;
    int64_t ta = 0, tb = 0;
    float alpha = 1, beta = 1;
    bool gemm = node->op == GLN_OP_GEMM;
    if (gemm) {
        ck_assert_int_eq(gln_node_int(&ta, node, "transA", 0), GLN_OK);
        ck_assert_int_eq(gln_node_int(&tb, node, "transB", 0), GLN_OK);
        ck_assert_int_eq(gln_node_float(&alpha, node, "alpha", 1), GLN_OK);
        ck_assert_int_eq(gln_node_float(&beta, node, "beta", 1), GLN_OK);
    }
    size_t m = y->dims[y->rank - 2], n = y->dims[y->rank - 1], k = a->dims[a->rank - (ta ? 2 : 1)];
    for (size_t at = 0; at < gln_shape_items(y) / (m * n); at++) {
        const float *pa = (const float *)in[0].data + batch_of(at, y, a) * m * k;
        const float *pb = (const float *)in[1].data + batch_of(at, y, b) * k * n;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t l = 0; l < k; l++) sum += (double)pa[ta ? l * m + i : i * k + l] * pb[tb ? j * k + l : l * n + j];
                if (gemm) sum *= alpha;
                if (gemm && node->n_inputs > 2) {
                    const gln_tensor *c = &in[2];
                    size_t columns = c->shape.rank == 0 ? 1 : c->shape.dims[c->shape.rank - 1];
                    size_t rows = c->shape.rank == 2 ? c->shape.dims[0] : 1;
                    sum += beta * ((const float *)c->data)[(rows == 1 ? 0 : i) * columns + (columns == 1 ? 0 : j)];
                }
                ((float *)out->data)[(at * m + i) * n + j] = (float)sum;
            }
    }
}

float *net_twin(const gln_net *instance, const float *input, size_t *out_items)
{
    void **computed = calloc(instance->n_values, sizeof *computed);
    float *result = NULL;
    bool known = true;
    ck_assert_ptr_nonnull(computed);
    for (size_t i = 0; known && i < instance->n_nodes; i++) {
        const gln_node *node = &instance->nodes[i];
        ck_assert_uint_eq(node->n_posts, 0);
        gln_tensor *in = calloc(node->n_inputs + 1, sizeof *in), out = instance->values[node->output].tensor;
        ck_assert_ptr_nonnull(in);
        for (size_t j = 0; j < node->n_inputs; j++) {
            const gln_tensor *from = input_of(instance, node, j);
            if (from == NULL) continue;
            in[j] = *from;
            if (from->data == NULL) in[j].data = computed[node->inputs[j]];
            if (node->inputs[j] == instance->input) memcpy(&in[j].data, &input, sizeof input);
        }
        out.data = computed[node->output] = calloc(gln_shape_items(&out.shape) + 1, 8);
        ck_assert_ptr_nonnull(out.data);
        if (node->op == GLN_OP_CONV) {
            conv(instance, node, in, &out);
        } else if (node->op == GLN_OP_MAX_POOL || node->op == GLN_OP_AVERAGE_POOL || node->op == GLN_OP_GLOBAL_AVERAGE_POOL) {
            pool(instance, node, in, &out);
        } else if (node->op == GLN_OP_GEMM || node->op == GLN_OP_MATMUL) {
            product(node, in, &out);
        } else {
            known = gln_reference_has(node->op) && gln_reference_run(instance, node, in, &out) == GLN_OK;
        }
        free(in);
    }
    if (known) {
        *out_items = gln_shape_items(&instance->values[instance->output].tensor.shape);
        result = computed[instance->output];
        computed[instance->output] = NULL;
    }
    for (size_t i = 0; i < instance->n_values; i++) free(computed[i]);
    free(computed);
    return result;
}
