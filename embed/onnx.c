/*
 * ONNX files, https://onnx.ai: a protobuf message that holds nodes, initialisers (weights) and the names that connect
 * them. Parsed by protobuf-c with code made from the schema at build time.
 *
 * What a hostile file could do, and what stops it:
 * - nest messages until the parser's stack ends: a walk over the wire format with the schema's descriptors goes first
 *   and refuses depth beyond MAX_DEPTH (protobuf-c itself has no limit);
 * - hold so many empty messages that the parsed form is a hundred times the file: the same walk counts them;
 * - claim a large tensor in a small file: dims are multiplied with care and held against the payload before anything of
 *   that size is allocated;
 * - name things in ways that break a log or a reply: names are matched as they are and kept with odd bytes replaced.
 *
 * Names become indices here; each output of a node becomes a node of its own, so that one which gleaner does not
 * compute is refused by name if anything needs it and vanishes if nothing does.
 */
#include "embed/onnx.h"

#include "common/hash.h"
#include "common/json.h"
#include "common/memory.h"
#include "embed/onnx_tensor.h"

#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 64
#define MAX_FIELDS ((size_t)4 << 20)
#define MIN_OPSET 1
#define MAX_OPSET 22
#define MAX_INPUTS 8

/* ---- The walk before parsing ---- */

static bool read_varint(uint64_t *out, const unsigned char **at, const unsigned char *end)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        unsigned char byte = *(*at)++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) return true;
    }
    return false;
}

static gln_status walk(const ProtobufCMessageDescriptor *descriptor, const unsigned char *at, const unsigned char *end,
                       int depth, size_t *n_fields)
{
    static const char broken[] = "the model file is cut short or is not ONNX";
    if (depth > MAX_DEPTH) return gln_fail(GLN_E_LIMIT, "the model file nests deeper than %d messages", MAX_DEPTH);
    while (at < end) {
        uint64_t tag = 0, size = 0;
        if (!read_varint(&tag, &at, end)) return gln_fail(GLN_E_FORMAT, broken);
        switch (tag & 7) {
        case 0:
            if (!read_varint(&size, &at, end)) return gln_fail(GLN_E_FORMAT, broken);
            continue;
        case 1: size = 8; break;
        case 5: size = 4; break;
        case 2:
            if (!read_varint(&size, &at, end)) return gln_fail(GLN_E_FORMAT, broken);
            break;
        default: return gln_fail(GLN_E_FORMAT, broken);
        }
        if (size > (uint64_t)(end - at)) return gln_fail(GLN_E_FORMAT, broken);
        if ((tag & 7) == 2) {
            if (++*n_fields > MAX_FIELDS)
                return gln_fail(GLN_E_LIMIT, "the model file holds more than %zu parts", MAX_FIELDS);
            const ProtobufCFieldDescriptor *field =
                tag >> 3 > UINT32_MAX ? NULL
                                      : protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
            if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE) {
                gln_status st = walk(field->descriptor, at, at + size, depth + 1, n_fields);
                if (st != GLN_OK) return st;
            }
        }
        at += size;
    }
    return GLN_OK;
}

/* ---- Names to values ---- */

typedef struct reader {
    gln_net *graph;
    const Onnx__GraphProto *from;
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

static gln_status find_value(reader *r, size_t *out, const char *name)
{
    size_t mask = r->n_slots - 1, at = (size_t)gln_xxh3(name, strlen(name)) & mask;
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
    size_t n_names = r->from->n_initializer + r->from->n_input;
    for (size_t i = 0; i < r->from->n_node; i++) n_names += r->from->node[i]->n_input + r->from->node[i]->n_output;
    r->n_slots = 64;
    while (r->n_slots < 2 * n_names) r->n_slots *= 2; /* at most 2 * 2 * MAX_FIELDS */
    return gln_alloc(&r->slots, r->n_slots, sizeof *r->slots, "names");
}

/* ---- Parts of the graph ---- */

static gln_status read_initialisers(reader *r)
{
    if (r->from->n_sparse_initializer != 0) {
        return gln_fail(GLN_E_UNSUPPORTED, "the model holds sparse initialisers, which gleaner does not read");
    }
    for (size_t i = 0; i < r->from->n_initializer; i++) {
        const Onnx__TensorProto *tensor = r->from->initializer[i];
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
    for (size_t i = 0; i < r->from->n_input; i++) {
        const Onnx__ValueInfoProto *info = r->from->input[i];
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
        const Onnx__TypeProto *type = info->type;
        if (type == NULL || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) continue;
        if (type->tensor_type->elem_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT) {
            return gln_fail(GLN_E_UNSUPPORTED, "the input %s does not hold 32-bit floats", v->name);
        }
        const Onnx__TensorShapeProto *shape = type->tensor_type->shape;
        if (shape == NULL) continue;
        if (shape->n_dim > GLN_MAX_RANK)
            return gln_fail(GLN_E_FORMAT, "the input %s has %zu axes", v->name, shape->n_dim);
        v->tensor.shape.rank = shape->n_dim;
        for (size_t j = 0; j < shape->n_dim; j++) {
            const Onnx__TensorShapeProto__Dimension *dim = shape->dim[j];
            bool fixed = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && dim->dim_value > 0;
            v->tensor.shape.dims[j] = fixed ? (size_t)dim->dim_value : 0;
        }
    }
    return graph->input == GLN_NO_VALUE ? gln_fail(GLN_E_FORMAT, "the model has no input") : GLN_OK;
}

static gln_status read_attribute(reader *r, const char *node_name, gln_attribute *out, const Onnx__AttributeProto *from)
{
    char shown[128];
    printable(shown, sizeof shown, from->name != NULL ? from->name : "");
    gln_status st = gln_net_strdup(r->graph, &out->name, shown, strlen(shown));
    out->kind = GLN_ATTRIBUTE_OTHER;
    if (st != GLN_OK || !from->has_type) return st;
    switch (from->type) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        out->kind = GLN_ATTRIBUTE_INT;
        out->i = from->has_i ? from->i : 0;
        return GLN_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        out->kind = GLN_ATTRIBUTE_FLOAT;
        out->f = from->has_f ? from->f : 0;
        return GLN_OK;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        out->kind = GLN_ATTRIBUTE_STRING;
        return gln_net_strdup(r->graph, &out->s, from->has_s ? (const char *)from->s.data : "",
                              from->has_s ? from->s.len : 0);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS: {
        int64_t *ints = NULL;
        out->kind = GLN_ATTRIBUTE_INTS;
        if ((st = gln_net_alloc(r->graph, &ints, from->n_ints, sizeof *ints, "attribute")) != GLN_OK) return st;
        if (from->n_ints != 0) memcpy(ints, from->ints, from->n_ints * sizeof *ints);
        out->ints = ints;
        out->n_ints = from->n_ints;
        return GLN_OK;
    }
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS: {
        float *floats = NULL;
        out->kind = GLN_ATTRIBUTE_FLOATS;
        if ((st = gln_net_alloc(r->graph, &floats, from->n_floats, sizeof *floats, "attribute")) != GLN_OK) return st;
        if (from->n_floats != 0) memcpy(floats, from->floats, from->n_floats * sizeof *floats);
        out->floats = floats;
        out->n_floats = from->n_floats;
        return GLN_OK;
    }
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
        if (from->t == NULL) return gln_fail(GLN_E_FORMAT, "node %s: the attribute %s is empty", node_name, shown);
        out->kind = GLN_ATTRIBUTE_TENSOR;
        if ((st = add_unnamed(r, &out->value, node_name)) != GLN_OK) return st;
        return gln_onnx_tensor(r->graph, out->value, from->t, r->folder);
    default: return GLN_OK;
    }
}

/* Constant: its attribute is the value. */
static gln_status read_constant(reader *r, const char *node_name, const Onnx__NodeProto *from,
                                const gln_attribute *attributes)
{
    size_t value = 0;
    if (from->n_output != 1 || from->n_attribute != 1)
        return gln_fail(GLN_E_FORMAT, "node %s (Constant) is malformed", node_name);
    gln_status st = define(r, &value, from->output[0]);
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
static gln_status operator_name(reader *r, const char **out, const Onnx__NodeProto *from)
{
    char type[128], domain[64], full[224];
    printable(type, sizeof type, from->op_type != NULL ? from->op_type : "");
    printable(domain, sizeof domain, from->domain != NULL ? from->domain : "");
    bool own = domain[0] == 0 || strcmp(domain, "ai.onnx") == 0;
    snprintf(full, sizeof full, "%s%s%s", own ? "" : domain, own ? "" : ".", type);
    return gln_net_strdup(r->graph, out, full, strlen(full));
}

static gln_status read_node(reader *r, const Onnx__NodeProto *from)
{
    gln_net *graph = r->graph;
    gln_attribute *attributes = NULL;
    const char *name = NULL;
    char shown[128];
    bool has_name = from->name != NULL && from->name[0] != 0;
    printable(shown, sizeof shown, has_name ? from->name : from->n_output != 0 ? from->output[0] : "(without name)");
    gln_status st = gln_net_strdup(graph, &name, shown, strlen(shown));
    if (st == GLN_OK) st = gln_net_alloc(graph, &attributes, from->n_attribute, sizeof *attributes, "attributes");
    for (size_t i = 0; st == GLN_OK && i < from->n_attribute; i++) {
        st = read_attribute(r, name, &attributes[i], from->attribute[i]);
    }
    if (st != GLN_OK) return st;
    if (from->op_type != NULL && strcmp(from->op_type, "Constant") == 0)
        return read_constant(r, name, from, attributes);

    const char *type = NULL;
    if ((st = operator_name(r, &type, from)) != GLN_OK) return st;
    for (size_t k = 0; k < from->n_output; k++) {
        gln_node *node = NULL;
        /* No operator with several outputs has more inputs; a node of a million by a million stays small. */
        size_t output = 0, n_inputs = k == 0 || from->n_input < MAX_INPUTS ? from->n_input : MAX_INPUTS;
        if (from->output[k][0] == 0) continue; /* an output left out */
        if ((st = define(r, &output, from->output[k])) != GLN_OK) return st;
        if ((st = gln_net_add_node(graph, &node, n_inputs)) != GLN_OK) return st;
        node->name = name;
        node->type = type;
        node->output = output;
        node->which = k;
        node->n_outputs = from->n_output;
        node->attributes = attributes;
        node->n_attributes = from->n_attribute;
        for (size_t i = 0; i < n_inputs; i++) {
            if (from->input[i][0] == 0) continue; /* an input left out */
            if ((st = find_value(r, &node->inputs[i], from->input[i])) != GLN_OK) return st;
        }
    }
    return GLN_OK;
}

static gln_status read_opset(gln_net *graph, const Onnx__ModelProto *model)
{
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = model->opset_import[i];
        if (set->domain != NULL && set->domain[0] != 0 && strcmp(set->domain, "ai.onnx") != 0) continue;
        graph->opset = set->has_version ? set->version : 0;
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
    gln_status st = make_slots(r);
    if (st == GLN_OK) st = read_initialisers(r);
    if (st == GLN_OK) st = read_input(r);
    for (size_t i = 0; st == GLN_OK && i < r->from->n_node; i++) st = read_node(r, r->from->node[i]);
    if (st == GLN_OK) st = find_value(r, &wanted, output);
    if (st != GLN_OK) return st;
    if (!r->defined[wanted]) return gln_fail(GLN_E_NOT_FOUND, "the model has no tensor named %s", output);
    return gln_net_finish(r->graph, wanted);
}

gln_status gln_onnx_check(const unsigned char *bytes, size_t n_bytes)
{
    size_t n_fields = 0;
    if (n_bytes > GLN_ONNX_MAX_BYTES)
        return gln_fail(GLN_E_LIMIT, "the model file has more than %zu bytes", GLN_ONNX_MAX_BYTES);
    return walk(&onnx__model_proto__descriptor, bytes, bytes + n_bytes, 0, &n_fields);
}

gln_status gln_onnx_read(gln_net **out, const unsigned char *bytes, size_t n_bytes, const char *output,
                         const char *folder)
{
    Onnx__ModelProto *model = NULL;
    reader r = {.folder = folder};
    gln_status st = gln_onnx_check(bytes, n_bytes);
    if (st != GLN_OK) return st;
    model = onnx__model_proto__unpack(NULL, n_bytes, bytes);
    if (model == NULL) return gln_fail(GLN_E_FORMAT, "the model file is not ONNX, or there is no memory to read it");
    if (model->graph == NULL) {
        st = gln_fail(GLN_E_FORMAT, "the model file holds no graph");
        goto cleanup;
    }
    r.from = model->graph;
    if ((st = gln_net_create(&r.graph)) != GLN_OK) goto cleanup;
    if ((st = read_opset(r.graph, model)) != GLN_OK) goto cleanup;
    if ((st = read_graph(&r, output)) != GLN_OK) goto cleanup;
    *out = r.graph;
    r.graph = NULL;

cleanup:
    gln_net_free(r.graph);
    gln_free(r.slots);
    gln_free(r.names);
    gln_free(r.defined);
    if (model != NULL) onnx__model_proto__free_unpacked(model, NULL);
    return st;
}
