/*
 * ONNX files, https://onnx.ai: a protobuf message that holds nodes, initialisers (weights) and the names that connect
 * them. onnx_wire.c reads the messages.
 *
 * What a hostile file could do, and what stops it:
 * - nest messages until the parser's stack ends: what may nest is stepped over (onnx_wire.c);
 * - hold so many empty messages that the parsed form is a hundred times the file: they are counted there;
 * - have names that all fall into one place of a hash table: the hash has a key that the file's author cannot know;
 * - claim a large tensor in a small file: dims are multiplied with care and held against the payload before anything of
 *   that size is allocated;
 * - name things in ways that break a log or a reply: names are matched as they are and kept with odd bytes replaced.
 *
 * Names become indices here; each output of a node becomes a node of its own, so that one which gleaner does not
 * compute is refused by name if anything needs it and vanishes if nothing does.
 */
#include "embed/onnx.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/strbuf.h"
#include "embed/onnx_tensor.h"

#include <stdio.h>
#include <string.h>

#define MIN_OPSET 1
#define MAX_OPSET 22
#define MAX_INPUTS 8

/* ---- Names to values ---- */

typedef struct reader {
    gln_net *graph;
    const gln_onnx_graph *from;
    uint64_t key; /* of the hash */
    const char *folder; /* of external data; NULL: there is none */
    size_t *slots; /* open addressing: value + 1, 0 for free */
    size_t n_slots;
    const char **names; /* of each value, as in the file */
    size_t names_capacity;
    bool *defined; /* something provides the value */
    size_t defined_capacity;
} reader;

/* A copy that any log or reply can hold. */
static void printable(char *out, size_t capacity, const char *name)
{
    size_t length = strlen(name);
    bool fine = length < capacity && gln_utf8_valid(name, length);
    size_t n = length < capacity ? length : capacity - 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)name[i];
        out[i] = byte < 32 || byte == 127 || (!fine && byte > 127) ? '?' : name[i];
    }
    out[n] = 0;
}

/*
 * The name as a polynomial over the integers modulo 2^61 - 1, seven bytes a coefficient, at a random point: two names
 * of n bytes meet with a probability of n / 2^63 (Carter and Wegman 1979), whatever they are.
 */
static uint64_t hash_name(const char *name, uint64_t key)
{
    __extension__ typedef unsigned __int128 wide;
    const uint64_t prime = ((uint64_t)1 << 61) - 1;
    size_t length = strlen(name);
    uint64_t hash = length + 1;
    for (size_t i = 0; i < length; i += 7) {
        uint64_t seven = 0;
        memcpy(&seven, name + i, length - i < 7 ? length - i : 7);
        hash = (uint64_t)(((wide)hash * key + seven) % prime);
    }
    return hash ^ hash >> 29;
}

static gln_status find_value(reader *r, size_t *out, const char *name)
{
    size_t mask = r->n_slots - 1, at = (size_t)hash_name(name, r->key) & mask;
    for (; r->slots[at] != 0; at = (at + 1) & mask) {
        if (strcmp(r->names[r->slots[at] - 1], name) == 0) {
            *out = r->slots[at] - 1;
            return GLN_OK;
        }
    }
    char shown[128];
    printable(shown, sizeof shown, name);
    gln_status st = gln_net_add_value(r->graph, out, shown);
    if (st == GLN_OK) st = gln_grow(&r->names, &r->names_capacity, *out + 1, sizeof *r->names, "names");
    if (st == GLN_OK) st = gln_grow(&r->defined, &r->defined_capacity, *out + 1, sizeof *r->defined, "names");
    if (st != GLN_OK) return st;
    r->names[*out] = name;
    r->slots[at] = *out + 1;
    return GLN_OK;
}

/* A value without a name in the file: the tensor inside an attribute. */
static gln_status add_unnamed(reader *r, size_t *out, const char *shown)
{
    gln_status st = gln_net_add_value(r->graph, out, shown);
    if (st == GLN_OK) st = gln_grow(&r->names, &r->names_capacity, *out + 1, sizeof *r->names, "names");
    if (st == GLN_OK) st = gln_grow(&r->defined, &r->defined_capacity, *out + 1, sizeof *r->defined, "names");
    return st;
}

static gln_status define(reader *r, size_t *out, const char *name)
{
    gln_status st = find_value(r, out, name);
    if (st != GLN_OK) return st;
    if (r->defined[*out]) {
        return gln_fail(GLN_E_FORMAT, "the tensor %s is provided twice", r->graph->values[*out].name);
    }
    r->defined[*out] = true;
    return GLN_OK;
}

static gln_status make_slots(reader *r)
{
    size_t n_names = r->from->initializer.n + r->from->input.n;
    const gln_onnx_node *nodes = r->from->node.items;
    for (size_t i = 0; i < r->from->node.n; i++) n_names += nodes[i].input.n + nodes[i].output.n;
    r->key = (uint64_t)(gln_clock_monotonic_s() * 1e9) ^ (uint64_t)(uintptr_t)r->graph
                                                             << 16; /* the clock, and where memory lies */
    r->n_slots = 64;
    while (r->n_slots < 2 * n_names) r->n_slots *= 2; /* at most 4 times the parts of a file */
    return gln_alloc(&r->slots, r->n_slots, sizeof *r->slots, "names");
}

/* ---- Parts of the graph ---- */

static gln_status read_initialisers(reader *r)
{
    if (r->from->n_sparse_initializer != 0) {
        return gln_fail(GLN_E_UNSUPPORTED, "the model holds sparse initialisers, which gleaner does not read");
    }
    const gln_onnx_tensor_proto *tensors = r->from->initializer.items;
    for (size_t i = 0; i < r->from->initializer.n; i++) {
        const gln_onnx_tensor_proto *tensor = &tensors[i];
        size_t value = 0;
        gln_status st = define(r, &value, tensor->name != NULL ? tensor->name : "");
        if (st == GLN_OK) st = gln_onnx_tensor(r->graph, value, tensor, r->folder);
        if (st != GLN_OK) return st;
    }
    return GLN_OK;
}

/* The one input that no initialiser provides. Dims that the file leaves open are 0. */
static gln_status read_input(reader *r)
{
    gln_net *graph = r->graph;
    const gln_onnx_value_info *inputs = r->from->input.items;
    for (size_t i = 0; i < r->from->input.n; i++) {
        const gln_onnx_value_info *info = &inputs[i];
        size_t value = 0;
        gln_status st = find_value(r, &value, info->name != NULL ? info->name : "");
        if (st != GLN_OK) return st;
        gln_value *v = &graph->values[value];
        if (v->tensor.data != NULL) continue; /* older files list their initialisers as inputs too */
        if (graph->input != GLN_NO_VALUE) {
            return gln_fail(GLN_E_UNSUPPORTED, "the model takes two inputs, %s and %s; gleaner feeds it images only",
                            graph->values[graph->input].name, v->name);
        }
        graph->input = value;
        r->defined[value] = v->shaped = true;
        const gln_onnx_type *type = info->type;
        if (type == NULL || type->tensor_type == NULL) continue;
        if (type->tensor_type->elem_type != GLN_ONNX_FLOAT) {
            return gln_fail(GLN_E_UNSUPPORTED, "the input %s does not hold 32-bit floats", v->name);
        }
        const gln_onnx_shape *shape = type->tensor_type->shape;
        if (shape == NULL) continue;
        if (shape->dim.n > GLN_MAX_RANK)
            return gln_fail(GLN_E_FORMAT, "the input %s has %zu axes", v->name, shape->dim.n);
        v->tensor.shape.rank = shape->dim.n;
        const gln_onnx_dimension *dims = shape->dim.items;
        for (size_t j = 0; j < shape->dim.n; j++)
            v->tensor.shape.dims[j] = dims[j].dim_value > 0 ? (size_t)dims[j].dim_value : 0;
    }
    return graph->input == GLN_NO_VALUE ? gln_fail(GLN_E_FORMAT, "the model has no input") : GLN_OK;
}

static gln_status read_attribute(reader *r, const char *node_name, gln_attribute *out, const gln_onnx_attribute *from)
{
    char shown[128];
    printable(shown, sizeof shown, from->name != NULL ? from->name : "");
    gln_status st = gln_net_strdup(r->graph, &out->name, shown, strlen(shown));
    out->kind = GLN_ATTRIBUTE_OTHER;
    if (st != GLN_OK) return st;
    switch (from->type) {
    case GLN_ONNX_AN_INT:
        out->kind = GLN_ATTRIBUTE_INT;
        out->i = from->i;
        return GLN_OK;
    case GLN_ONNX_A_FLOAT:
        out->kind = GLN_ATTRIBUTE_FLOAT;
        out->f = from->f;
        return GLN_OK;
    case GLN_ONNX_A_STRING:
        out->kind = GLN_ATTRIBUTE_STRING;
        return gln_net_strdup(r->graph, &out->s, from->s.n != 0 ? (const char *)from->s.data : "", from->s.n);
    case GLN_ONNX_SOME_INTS: {
        int64_t *ints = NULL;
        out->kind = GLN_ATTRIBUTE_INTS;
        if ((st = gln_net_alloc(r->graph, &ints, from->ints.n, sizeof *ints, "attribute")) != GLN_OK) return st;
        if (from->ints.n != 0) memcpy(ints, from->ints.items, from->ints.n * sizeof *ints);
        out->ints = ints;
        out->n_ints = from->ints.n;
        return GLN_OK;
    }
    case GLN_ONNX_SOME_FLOATS: {
        float *floats = NULL;
        out->kind = GLN_ATTRIBUTE_FLOATS;
        if ((st = gln_net_alloc(r->graph, &floats, from->floats.n, sizeof *floats, "attribute")) != GLN_OK) return st;
        if (from->floats.n != 0) memcpy(floats, from->floats.items, from->floats.n * sizeof *floats);
        out->floats = floats;
        out->n_floats = from->floats.n;
        return GLN_OK;
    }
    case GLN_ONNX_A_TENSOR:
        if (from->t == NULL) return gln_fail(GLN_E_FORMAT, "node %s: the attribute %s is empty", node_name, shown);
        out->kind = GLN_ATTRIBUTE_TENSOR;
        if ((st = add_unnamed(r, &out->value, node_name)) != GLN_OK) return st;
        return gln_onnx_tensor(r->graph, out->value, from->t, r->folder);
    default: return GLN_OK;
    }
}

/* Constant: its attribute is the value. */
static gln_status read_constant(reader *r, const char *node_name, const gln_onnx_node *from,
                                const gln_attribute *attributes)
{
    size_t value = 0;
    const char *const *outputs = from->output.items;
    if (from->output.n != 1 || from->attribute.n != 1)
        return gln_fail(GLN_E_FORMAT, "node %s (Constant) is malformed", node_name);
    gln_status st = define(r, &value, outputs[0]);
    if (st != GLN_OK) return st;
    const gln_attribute *a = &attributes[0];
    if (a->kind == GLN_ATTRIBUTE_TENSOR) {
        const char *name = r->graph->values[value].name;
        r->graph->values[value] = r->graph->values[a->value];
        r->graph->values[value].name = name;
        return GLN_OK;
    }
    gln_shape one = {0}, row = {1, {a->n_ints}};
    if (a->kind == GLN_ATTRIBUTE_FLOAT && strcmp(a->name, "value_float") == 0) {
        if ((st = gln_net_set_constant(r->graph, value, GLN_F32, &one)) == GLN_OK) {
            *(float *)r->graph->values[value].tensor.data = a->f;
        }
        return st;
    }
    if (a->kind == GLN_ATTRIBUTE_FLOATS && strcmp(a->name, "value_floats") == 0) {
        row.dims[0] = a->n_floats;
        if ((st = gln_net_set_constant(r->graph, value, GLN_F32, &row)) == GLN_OK && a->n_floats != 0) {
            memcpy(r->graph->values[value].tensor.data, a->floats, a->n_floats * sizeof(float));
        }
        return st;
    }
    bool list = a->kind == GLN_ATTRIBUTE_INTS && strcmp(a->name, "value_ints") == 0;
    if (!list && (a->kind != GLN_ATTRIBUTE_INT || strcmp(a->name, "value_int") != 0)) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (Constant) holds %s, which gleaner does not read", node_name,
                        a->name);
    }
    if ((st = gln_net_set_constant(r->graph, value, GLN_I64, list ? &row : &one)) != GLN_OK) return st;
    int64_t *to = r->graph->values[value].tensor.data;
    if (!list) *to = a->i;
    if (list && a->n_ints != 0) memcpy(to, a->ints, a->n_ints * sizeof *to);
    return GLN_OK;
}

/* The operator's name; one of a foreign domain keeps the domain, so that it is not taken for ONNX's own. */
static gln_status operator_name(reader *r, const char **out, const gln_onnx_node *from)
{
    char type[128], domain[64], full[224];
    printable(type, sizeof type, from->op_type != NULL ? from->op_type : "");
    printable(domain, sizeof domain, from->domain != NULL ? from->domain : "");
    bool own = domain[0] == 0 || strcmp(domain, "ai.onnx") == 0;
    snprintf(full, sizeof full, "%s%s%s", own ? "" : domain, own ? "" : ".", type);
    return gln_net_strdup(r->graph, out, full, strlen(full));
}

static gln_status read_node(reader *r, const gln_onnx_node *from)
{
    gln_net *graph = r->graph;
    gln_attribute *attributes = NULL;
    const char *name = NULL;
    char shown[128];
    const gln_onnx_attribute *from_attributes = from->attribute.items;
    const char *const *inputs = from->input.items, *const *outputs = from->output.items;
    size_t n_outputs = from->output.n;
    bool has_name = from->name != NULL && from->name[0] != 0;
    printable(shown, sizeof shown, has_name ? from->name : n_outputs != 0 ? outputs[0] : "(without name)");
    gln_status st = gln_net_strdup(graph, &name, shown, strlen(shown));
    if (st == GLN_OK) st = gln_net_alloc(graph, &attributes, from->attribute.n, sizeof *attributes, "attributes");
    for (size_t i = 0; st == GLN_OK && i < from->attribute.n; i++) {
        st = read_attribute(r, name, &attributes[i], &from_attributes[i]);
    }
    if (st != GLN_OK) return st;
    if (from->op_type != NULL && strcmp(from->op_type, "Constant") == 0)
        return read_constant(r, name, from, attributes);

    const char *type = NULL;
    if ((st = operator_name(r, &type, from)) != GLN_OK) return st;
    for (size_t k = 0; k < n_outputs; k++) {
        gln_node *node = NULL;
        /* No operator with several outputs has more inputs; a node of a million by a million stays small. */
        size_t output = 0, n_inputs = k == 0 || from->input.n < MAX_INPUTS ? from->input.n : MAX_INPUTS;
        if (outputs[k][0] == 0) continue; /* an output left out */
        if ((st = define(r, &output, outputs[k])) != GLN_OK) return st;
        if ((st = gln_net_add_node(graph, &node, n_inputs)) != GLN_OK) return st;
        node->name = name;
        node->type = type;
        node->output = output;
        node->which = k;
        node->n_outputs = n_outputs;
        node->attributes = attributes;
        node->n_attributes = from->attribute.n;
        for (size_t i = 0; i < n_inputs; i++) {
            if (inputs[i][0] == 0) continue; /* an input left out */
            if ((st = find_value(r, &node->inputs[i], inputs[i])) != GLN_OK) return st;
        }
    }
    return GLN_OK;
}

static gln_status read_opset(gln_net *graph, const gln_onnx_model *model)
{
    const gln_onnx_opset *sets = model->opset_import.items;
    for (size_t i = 0; i < model->opset_import.n; i++) {
        const gln_onnx_opset *set = &sets[i];
        if (set->domain != NULL && set->domain[0] != 0 && strcmp(set->domain, "ai.onnx") != 0) continue;
        graph->opset = set->version;
    }
    if (graph->opset < MIN_OPSET || graph->opset > MAX_OPSET) {
        return gln_fail(GLN_E_UNSUPPORTED, "the model uses version %lld of ONNX's operators; gleaner knows %d to %d",
                        (long long)graph->opset, MIN_OPSET, MAX_OPSET);
    }
    return GLN_OK;
}

static gln_status read_graph(reader *r, const char *output)
{
    size_t wanted = 0;
    const gln_onnx_node *nodes = r->from->node.items;
    gln_status st = make_slots(r);
    if (st == GLN_OK) st = read_initialisers(r);
    if (st == GLN_OK) st = read_input(r);
    for (size_t i = 0; st == GLN_OK && i < r->from->node.n; i++) st = read_node(r, &nodes[i]);
    if (st == GLN_OK) st = find_value(r, &wanted, output);
    if (st != GLN_OK) return st;
    if (!r->defined[wanted]) return gln_fail(GLN_E_NOT_FOUND, "the model has no tensor named %s", output);
    return gln_net_finish(r->graph, wanted);
}

gln_status gln_onnx_read(gln_net **out, const unsigned char *bytes, size_t n_bytes, const char *output,
                         const char *folder)
{
    gln_onnx_file *file = NULL;
    reader r = {.folder = folder};
    gln_status st = gln_onnx_parse(&file, bytes, n_bytes);
    if (st != GLN_OK) return st;
    if (file->model.graph == NULL) {
        st = gln_fail(GLN_E_FORMAT, "the model file holds no graph");
        goto cleanup;
    }
    r.from = file->model.graph;
    if ((st = gln_net_create(&r.graph)) != GLN_OK) goto cleanup;
    if ((st = read_opset(r.graph, &file->model)) != GLN_OK) goto cleanup;
    if ((st = read_graph(&r, output)) != GLN_OK) goto cleanup;
    *out = r.graph;
    r.graph = NULL;

cleanup:
    gln_net_free(r.graph);
    gln_free(r.slots);
    gln_free(r.names);
    gln_free(r.defined);
    gln_onnx_file_free(file);
    return st;
}
