/*
 * Building a graph, putting it in order, and copying it for one batch size.
 *
 * Order comes from a depth-first walk back from the requested output with a stack of its own (a file can chain a
 * million nodes, which no call stack should follow). The walk visits exactly what the output needs, so that pruning,
 * the search for cycles and for tensors that nothing provides, and sorting are one pass; a head that the output does
 * not need may hold operators that gleaner has never heard of.
 */
#include "embed/graph.h"

#include "common/memory.h"

#include <string.h>

/* The largest published networks have a few thousand nodes; passes may be quadratic in this. */
#define MAX_NODES 20000

gln_status gln_net_create(gln_net **out)
{
    gln_status st = gln_alloc(out, 1, sizeof **out, "graph");
    if (st == GLN_OK) (*out)->input = (*out)->output = GLN_NO_VALUE;
    return st;
}

void gln_net_free(gln_net *graph)
{
    if (graph == NULL) return;
    for (size_t i = 0; i < graph->n_owned; i++) gln_free(graph->owned[i]);
    gln_free(graph->owned);
    gln_free(graph->values);
    gln_free(graph->nodes);
    gln_free(graph);
}

gln_status gln_net_alloc(gln_net *graph, void *out_pointer, size_t count, size_t item_bytes, const char *what)
{
    gln_status st = gln_grow(&graph->owned, &graph->owned_capacity, graph->n_owned + 1, sizeof *graph->owned, "graph");
    if (st != GLN_OK) return st;
    void *memory = NULL;
    if ((st = gln_alloc(&memory, count, item_bytes, what)) != GLN_OK) return st;
    graph->owned[graph->n_owned++] = memory;
    memcpy(out_pointer, &memory, sizeof memory);
    return GLN_OK;
}

gln_status gln_net_strdup(gln_net *graph, const char **out, const char *text, size_t length)
{
    char *copy = NULL;
    gln_status st = gln_net_alloc(graph, &copy, length + 1, 1, "name");
    if (st != GLN_OK) return st;
    if (length != 0) memcpy(copy, text, length);
    *out = copy;
    return GLN_OK;
}

gln_status gln_net_add_value(gln_net *graph, size_t *out, const char *name)
{
    gln_status st =
        gln_grow(&graph->values, &graph->values_capacity, graph->n_values + 1, sizeof *graph->values, "tensors");
    if (st != GLN_OK) return st;
    *out = graph->n_values++;
    return gln_net_strdup(graph, &graph->values[*out].name, name, strlen(name));
}

gln_status gln_net_set_constant(gln_net *graph, size_t value, gln_dtype dtype, const gln_shape *shape)
{
    gln_value *v = &graph->values[value];
    gln_status st = gln_shape_check(shape, v->name);
    if (st != GLN_OK) return st;
    size_t item_bytes = dtype == GLN_F32 ? sizeof(float) : sizeof(int64_t);
    if ((st = gln_net_alloc(graph, &v->tensor.data, gln_shape_items(shape), item_bytes, v->name)) != GLN_OK) return st;
    v->tensor.dtype = dtype;
    v->tensor.shape = *shape;
    v->shaped = true;
    return GLN_OK;
}

gln_status gln_net_add_node(gln_net *graph, gln_node **out, size_t n_inputs)
{
    size_t *inputs = NULL;
    gln_status st = gln_net_alloc(graph, &inputs, n_inputs, sizeof *inputs, "node inputs");
    if (st != GLN_OK) return st;
    st = gln_grow(&graph->nodes, &graph->nodes_capacity, graph->n_nodes + 1, sizeof *graph->nodes, "nodes");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < n_inputs; i++) inputs[i] = GLN_NO_VALUE;
    *out = &graph->nodes[graph->n_nodes++];
    (*out)->inputs = inputs;
    (*out)->n_inputs = n_inputs;
    (*out)->output = GLN_NO_VALUE;
    return GLN_OK;
}

static void mark(bool *needed, size_t value)
{
    if (value != GLN_NO_VALUE) needed[value] = true;
}

void gln_net_sweep(gln_net *graph)
{
    bool *needed = NULL;
    if (gln_alloc(&needed, graph->n_values, sizeof *needed, "sweep") != GLN_OK) return; /* dead nodes only cost time */
    mark(needed, graph->output);
    size_t kept = graph->n_nodes;
    for (size_t i = graph->n_nodes; i-- > 0;) {
        gln_node *node = &graph->nodes[i];
        if (!needed[node->output]) continue;
        for (size_t j = 0; j < node->n_inputs; j++) mark(needed, node->inputs[j]);
        for (size_t j = 0; j < node->n_posts; j++) {
            if (node->posts[j].op == GLN_OP_ADD) mark(needed, node->posts[j].value);
        }
        kept--;
        graph->nodes[kept] = *node; /* kept > i always: nothing unread is overwritten */
    }
    if (kept != 0) memmove(graph->nodes, graph->nodes + kept, (graph->n_nodes - kept) * sizeof *graph->nodes);
    graph->n_nodes -= kept;
    gln_free(needed);
}

typedef enum mark_state { UNSEEN, OPEN, DONE } mark_state;

typedef struct visit {
    size_t node, next_input;
} visit;

gln_status gln_net_finish(gln_net *graph, size_t output)
{
    size_t *producer = NULL;
    unsigned char *state = NULL;
    visit *stack = NULL;
    gln_node *sorted = NULL;
    size_t depth = 0, n_sorted = 0;
    gln_status st = gln_alloc(&producer, graph->n_values, sizeof *producer, "graph order");
    if (st == GLN_OK) st = gln_alloc(&state, graph->n_nodes, 1, "graph order");
    if (st == GLN_OK) st = gln_alloc(&stack, graph->n_nodes + 1, sizeof *stack, "graph order");
    if (st == GLN_OK) st = gln_alloc(&sorted, graph->n_nodes, sizeof *sorted, "graph order");
    if (st != GLN_OK) goto cleanup;

    for (size_t i = 0; i < graph->n_values; i++) producer[i] = GLN_NO_VALUE;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i].output != GLN_NO_VALUE) producer[graph->nodes[i].output] = i;
    }
    if (producer[output] == GLN_NO_VALUE) {
        st = gln_fail(GLN_E_FORMAT, "no node of the network computes its output %s", graph->values[output].name);
        goto cleanup;
    }
    state[producer[output]] = OPEN;
    stack[depth++] = (visit){.node = producer[output]};
    while (depth != 0) {
        visit *top = &stack[depth - 1];
        gln_node *node = &graph->nodes[top->node];
        if (top->next_input == node->n_inputs) {
            state[top->node] = DONE;
            sorted[n_sorted++] = *node;
            depth--;
            continue;
        }
        size_t value = node->inputs[top->next_input++];
        if (value == GLN_NO_VALUE || value == graph->input || graph->values[value].tensor.data != NULL) continue;
        size_t from = producer[value];
        if (from == GLN_NO_VALUE) {
            st = gln_fail(GLN_E_FORMAT,
                          "node %s (%s) reads the tensor %s, which no node, input or initialiser provides", node->name,
                          node->type, graph->values[value].name);
            goto cleanup;
        }
        if (state[from] == OPEN) {
            st = gln_fail(GLN_E_FORMAT, "node %s (%s) depends on its own result through the tensor %s", node->name,
                          node->type, graph->values[value].name);
            goto cleanup;
        }
        if (state[from] == UNSEEN) {
            state[from] = OPEN;
            stack[depth++] = (visit){.node = from};
        }
    }
    if (n_sorted > MAX_NODES) {
        st = gln_fail(GLN_E_LIMIT, "the network has %zu nodes, at most %d", n_sorted, MAX_NODES);
        goto cleanup;
    }
    for (size_t i = 0; i < n_sorted; i++) {
        if ((st = gln_operator_resolve(graph, &sorted[i])) != GLN_OK) goto cleanup;
    }
    if (n_sorted != 0) memcpy(graph->nodes, sorted, n_sorted * sizeof *sorted);
    graph->n_nodes = n_sorted;
    graph->output = output;

cleanup:
    gln_free(producer);
    gln_free(state);
    gln_free(stack);
    gln_free(sorted);
    return st;
}

gln_status gln_net_feed_channels_first(gln_net *graph)
{
    gln_node *node = NULL;
    gln_attribute *attribute = NULL;
    int64_t *perm = NULL;
    size_t image = 0, last = graph->input;
    gln_status st = gln_net_add_value(graph, &image, "image");
    if (st == GLN_OK) st = gln_net_alloc(graph, &attribute, 1, sizeof *attribute, "attribute");
    if (st == GLN_OK) st = gln_net_alloc(graph, &perm, 4, sizeof *perm, "attribute");
    if (st == GLN_OK) st = gln_net_add_node(graph, &node, 1);
    if (st != GLN_OK) return st;
    gln_value *from = &graph->values[last], *to = &graph->values[image];
    const size_t *dims = from->tensor.shape.dims;
    to->tensor.shape = (gln_shape){4, {dims[0], dims[3], dims[1], dims[2]}};
    to->shaped = true;
    from->shaped = false;
    memcpy(perm, (int64_t[]){0, 2, 3, 1}, 4 * sizeof *perm);
    *attribute = (gln_attribute){.name = "perm", .kind = GLN_ATTRIBUTE_INTS, .ints = perm, .n_ints = 4};
    node->op = GLN_OP_TRANSPOSE;
    node->type = "Transpose";
    node->name = from->name;
    node->inputs[0] = image;
    node->output = last;
    node->n_outputs = 1;
    node->attributes = attribute;
    node->n_attributes = 1;
    gln_node first = *node; /* added at the end, needed at the start */
    memmove(graph->nodes + 1, graph->nodes, (graph->n_nodes - 1) * sizeof *graph->nodes);
    graph->nodes[0] = first;
    graph->input = image;
    return GLN_OK;
}

static gln_status copy_nodes(gln_net *copy, const gln_net *origin)
{
    for (size_t i = 0; i < origin->n_nodes; i++) {
        gln_node *node = NULL;
        gln_status st = gln_net_add_node(copy, &node, origin->nodes[i].n_inputs);
        if (st != GLN_OK) return st;
        size_t *inputs = node->inputs;
        *node = origin->nodes[i];
        node->inputs = inputs;
        for (size_t j = 0; j < node->n_inputs; j++) inputs[j] = origin->nodes[i].inputs[j];
    }
    return GLN_OK;
}

gln_status gln_net_instantiate(gln_net **out, const gln_net *origin, size_t n)
{
    gln_net *copy = NULL;
    gln_status st = gln_net_create(&copy);
    if (st != GLN_OK) return st;
    st = gln_grow(&copy->values, &copy->values_capacity, origin->n_values, sizeof *copy->values, "tensors");
    if (st != GLN_OK) goto cleanup;
    memcpy(copy->values, origin->values, origin->n_values * sizeof *copy->values);
    copy->n_values = origin->n_values;
    copy->input = origin->input;
    copy->output = origin->output;
    copy->opset = origin->opset;
    if ((st = copy_nodes(copy, origin)) != GLN_OK) goto cleanup;

    gln_value *input = &copy->values[copy->input];
    input->tensor.shape.dims[0] = n;
    if ((st = gln_shape_check(&input->tensor.shape, input->name)) != GLN_OK) goto cleanup;
    for (size_t i = 0; i < copy->n_nodes; i++) {
        bool done = false;
        if ((st = gln_infer(copy, &copy->nodes[i])) != GLN_OK) goto cleanup;
        if ((st = gln_net_compute_constant(copy, &copy->nodes[i], &done)) != GLN_OK) goto cleanup;
    }
    /* A node whose result is a constant now has nothing left to do. */
    size_t kept = 0;
    for (size_t i = 0; i < copy->n_nodes; i++) {
        if (copy->values[copy->nodes[i].output].tensor.data == NULL) copy->nodes[kept++] = copy->nodes[i];
    }
    copy->n_nodes = kept;
    gln_net_sweep(copy);
    *out = copy;
    copy = NULL;

cleanup:
    gln_net_free(copy);
    return st;
}
