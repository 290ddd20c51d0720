/*
 * The reader, shape inference, folding, fusing and the plain operators on bytes that libFuzzer makes up:
 *
 *     make fuzz [FUZZ_SECONDS=60]
 *
 * A crash, a leak or undefined behaviour ends the run and leaves the input in build/fuzz; put it into
 * tests/data/onnx_crashes, where an ordinary test runs all of them through the backend too, and mend the code. Limits
 * on work are lower here (FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION, see fold.c), so that an input takes no seconds.
 */
#include "embed/onnx.h"

#include "common/memory.h"

#include <string.h>

#define MAX_ITEMS ((size_t)1 << 16)
#define MAX_SIDE 16

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n_bytes);

/* Open dims of the input become small ones; false where there is nothing sensible to feed. */
static bool fix_input(gln_net *net)
{
    gln_shape *shape = &net->values[net->input].tensor.shape;
    if (shape->rank == 0) *shape = (gln_shape){4, {1, 3, MAX_SIDE, MAX_SIDE}};
    for (size_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] == 0) shape->dims[i] = i == 0 ? 1 : i == 1 ? 3 : MAX_SIDE;
    }
    return gln_shape_check(shape, "input") == GLN_OK && gln_shape_items(shape) <= MAX_ITEMS;
}

/* Every node by the plain code, on an image of small numbers; stops at whatever is large or refused. */
static void run(const gln_net *net)
{
    void **computed = NULL;
    gln_tensor *inputs = NULL;
    size_t longest = 1;
    for (size_t i = 0; i < net->n_nodes; i++) {
        if (net->nodes[i].n_inputs > longest) longest = net->nodes[i].n_inputs;
    }
    if (gln_alloc(&computed, net->n_values, sizeof *computed, "values") != GLN_OK) return;
    if (gln_alloc(&inputs, longest, sizeof *inputs, "inputs") != GLN_OK) goto cleanup;
    size_t n = gln_shape_items(&net->values[net->input].tensor.shape);
    if (gln_alloc(&computed[net->input], n, sizeof(float), "image") != GLN_OK) goto cleanup;
    for (size_t i = 0; i < n; i++) ((float *)computed[net->input])[i] = (float)(i % 7) - 3;
    for (size_t i = 0; i < net->n_nodes; i++) {
        const gln_node *node = &net->nodes[i];
        gln_tensor out = net->values[node->output].tensor;
        size_t n_read = 0;
        for (size_t j = 0; j < node->n_inputs; j++) {
            inputs[j] = (gln_tensor){0};
            if (node->inputs[j] == GLN_NO_VALUE) continue;
            inputs[j] = net->values[node->inputs[j]].tensor;
            if (inputs[j].data == NULL) inputs[j].data = computed[node->inputs[j]];
            if (inputs[j].data == NULL) goto cleanup;
            n_read += gln_shape_items(&inputs[j].shape);
        }
        if (gln_shape_items(&out.shape) > MAX_ITEMS || n_read > MAX_ITEMS) goto cleanup;
        if (gln_shape_items(&out.shape) * (n_read + 1) > MAX_ITEMS * 64)
            goto cleanup; /* a bound for products and windows */
        if (gln_alloc(&out.data, gln_shape_items(&out.shape), gln_item_bytes(out.dtype), "result") != GLN_OK)
            goto cleanup;
        computed[node->output] = out.data;
        if (gln_reference_run(net, node, inputs, &out) != GLN_OK) goto cleanup;
    }

cleanup:
    for (size_t i = 0; i < net->n_values; i++) gln_free(computed[i]);
    gln_free(computed);
    gln_free(inputs);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n_bytes)
{
    gln_net *net = NULL, *instance = NULL;
    if (gln_onnx_read(&net, bytes, n_bytes, "gln.output", NULL) == GLN_OK && fix_input(net) &&
        gln_net_fold(net) == GLN_OK &&
        gln_net_instantiate(&instance, net, net->values[net->input].tensor.shape.dims[0]) == GLN_OK) {
        run(instance);
        gln_net_fuse(instance);
    }
    gln_net_free(instance);
    gln_net_free(net);
    return 0;
}
