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
        known = gln_reference_run(instance, node, in, &out) == GLN_OK;
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
