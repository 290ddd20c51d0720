/*
 * Protobuf's wire format, for the messages of onnx_wire.h: a table a message says which field goes where, and one loop
 * reads them all. Instead of protobuf-c, because a library and generated code for twelve messages are more than this,
 * copy every weight once more, and guard against nothing that a hostile file may hold: depth, numbers of parts.
 *
 * A message is walked twice: first counting, so that every list gets its memory at once, then filling. The tables nest
 * six deep and refer to nothing above themselves, so does the walk: subgraphs, functions and all that has no table are
 * stepped over whole.
 *
 * A field that is no list and comes twice: the last one counts, as protobuf says; of messages, which protobuf would
 * merge, two are refused. No writer makes such files.
 */
#include "embed/onnx_wire.h"

#include "common/memory.h"

#include <stdbool.h>
#include <string.h>

#define MAX_PARTS ((size_t)4 << 20)
#define BLOCK_BYTES ((size_t)64 << 10)
#define MAX_TABLE 12

typedef enum kind {
    ONE_INT,
    ONE_FLOAT,
    ONE_TEXT,
    ONE_BYTES,
    ONE_MESSAGE,
    COUNTED, /* how often it is there */
    INTS,
    FLOATS,
    DOUBLES,
    TEXTS,
    MESSAGES
} kind;

typedef struct field {
    uint32_t number;
    kind kind;
    size_t offset; /* in the struct */
    const struct message *inner;
} field;

typedef struct message {
    size_t bytes; /* of the struct */
    size_t n_fields;
    const field *fields;
} message;

#define MESSAGE(name, type, table) static const message name = {sizeof(type), sizeof(table) / sizeof((table)[0]), table}

static const field entry_fields[] = {{1, ONE_TEXT, offsetof(gln_onnx_entry, key), NULL},
                                     {2, ONE_TEXT, offsetof(gln_onnx_entry, value), NULL}};
MESSAGE(entry, gln_onnx_entry, entry_fields);

static const field tensor_fields[] = {{1, INTS, offsetof(gln_onnx_tensor_proto, dims), NULL},
                                      {2, ONE_INT, offsetof(gln_onnx_tensor_proto, data_type), NULL},
                                      {3, COUNTED, offsetof(gln_onnx_tensor_proto, n_segment), NULL},
                                      {4, FLOATS, offsetof(gln_onnx_tensor_proto, float_data), NULL},
                                      {5, INTS, offsetof(gln_onnx_tensor_proto, int32_data), NULL},
                                      {7, INTS, offsetof(gln_onnx_tensor_proto, int64_data), NULL},
                                      {8, ONE_TEXT, offsetof(gln_onnx_tensor_proto, name), NULL},
                                      {9, ONE_BYTES, offsetof(gln_onnx_tensor_proto, raw_data), NULL},
                                      {10, DOUBLES, offsetof(gln_onnx_tensor_proto, double_data), NULL},
                                      {11, INTS, offsetof(gln_onnx_tensor_proto, uint64_data), NULL},
                                      {13, MESSAGES, offsetof(gln_onnx_tensor_proto, external_data), &entry},
                                      {14, ONE_INT, offsetof(gln_onnx_tensor_proto, data_location), NULL}};
MESSAGE(tensor, gln_onnx_tensor_proto, tensor_fields);
_Static_assert(sizeof tensor_fields / sizeof tensor_fields[0] <= MAX_TABLE, "the longest table");

static const field attribute_fields[] = {{1, ONE_TEXT, offsetof(gln_onnx_attribute, name), NULL},
                                         {2, ONE_FLOAT, offsetof(gln_onnx_attribute, f), NULL},
                                         {3, ONE_INT, offsetof(gln_onnx_attribute, i), NULL},
                                         {4, ONE_BYTES, offsetof(gln_onnx_attribute, s), NULL},
                                         {5, ONE_MESSAGE, offsetof(gln_onnx_attribute, t), &tensor},
                                         {7, FLOATS, offsetof(gln_onnx_attribute, floats), NULL},
                                         {8, INTS, offsetof(gln_onnx_attribute, ints), NULL},
                                         {20, ONE_INT, offsetof(gln_onnx_attribute, type), NULL}};
MESSAGE(attribute, gln_onnx_attribute, attribute_fields);

static const field node_fields[] = {{1, TEXTS, offsetof(gln_onnx_node, input), NULL},
                                    {2, TEXTS, offsetof(gln_onnx_node, output), NULL},
                                    {3, ONE_TEXT, offsetof(gln_onnx_node, name), NULL},
                                    {4, ONE_TEXT, offsetof(gln_onnx_node, op_type), NULL},
                                    {5, MESSAGES, offsetof(gln_onnx_node, attribute), &attribute},
                                    {7, ONE_TEXT, offsetof(gln_onnx_node, domain), NULL}};
MESSAGE(node, gln_onnx_node, node_fields);

static const field dimension_fields[] = {{1, ONE_INT, offsetof(gln_onnx_dimension, dim_value), NULL}};
MESSAGE(dimension, gln_onnx_dimension, dimension_fields);
static const field shape_fields[] = {{1, MESSAGES, offsetof(gln_onnx_shape, dim), &dimension}};
MESSAGE(shape, gln_onnx_shape, shape_fields);
static const field tensor_type_fields[] = {{1, ONE_INT, offsetof(gln_onnx_tensor_type, elem_type), NULL},
                                           {2, ONE_MESSAGE, offsetof(gln_onnx_tensor_type, shape), &shape}};
MESSAGE(tensor_type, gln_onnx_tensor_type, tensor_type_fields);
static const field type_fields[] = {{1, ONE_MESSAGE, offsetof(gln_onnx_type, tensor_type), &tensor_type}};
MESSAGE(type, gln_onnx_type, type_fields);
static const field value_info_fields[] = {{1, ONE_TEXT, offsetof(gln_onnx_value_info, name), NULL},
                                          {2, ONE_MESSAGE, offsetof(gln_onnx_value_info, type), &type}};
MESSAGE(value_info, gln_onnx_value_info, value_info_fields);

static const field graph_fields[] = {{1, MESSAGES, offsetof(gln_onnx_graph, node), &node},
                                     {5, MESSAGES, offsetof(gln_onnx_graph, initializer), &tensor},
                                     {11, MESSAGES, offsetof(gln_onnx_graph, input), &value_info},
                                     {15, COUNTED, offsetof(gln_onnx_graph, n_sparse_initializer), NULL}};
MESSAGE(graph, gln_onnx_graph, graph_fields);

static const field opset_fields[] = {{1, ONE_TEXT, offsetof(gln_onnx_opset, domain), NULL},
                                     {2, ONE_INT, offsetof(gln_onnx_opset, version), NULL}};
MESSAGE(opset, gln_onnx_opset, opset_fields);
static const field model_fields[] = {{7, ONE_MESSAGE, offsetof(gln_onnx_model, graph), &graph},
                                     {8, MESSAGES, offsetof(gln_onnx_model, opset_import), &opset}};
MESSAGE(model, gln_onnx_model, model_fields);

/* ---- Memory: blocks, freed together ---- */

typedef struct gln_onnx_block {
    struct gln_onnx_block *next;
    size_t used, capacity;
    _Alignas(16) unsigned char memory[];
} gln_onnx_block;

typedef struct reader {
    gln_onnx_file *file;
    size_t n_parts;
} reader;

/* Zeroed; aligned for any of the structs. */
static gln_status take(reader *r, void *out_pointer, size_t count, size_t item_bytes)
{
    size_t bytes = 0;
    gln_onnx_block *block = r->file->blocks;
    if (!gln_mul_size(&bytes, count, item_bytes) || !gln_add_size(&bytes, bytes, 16)) {
        return gln_fail(GLN_E_LIMIT, "the model file needs more memory than there can be");
    }
    bytes = bytes / 16 * 16;
    if (block == NULL || block->capacity - block->used < bytes) {
        size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        gln_status st = gln_alloc(&block, 1, sizeof *block + capacity, "the model file's parts");
        if (st != GLN_OK) return st;
        block->capacity = capacity;
        block->next = r->file->blocks;
        r->file->blocks = block;
    }
    void *memory = block->memory + block->used;
    block->used += bytes;
    memcpy(out_pointer, &memory, sizeof memory);
    return GLN_OK;
}

/* ---- The wire ---- */

typedef struct part {
    const field *field; /* NULL: one that nobody reads */
    size_t which;       /* its place in the table */
    unsigned wire;      /* 0 varint, 1 eight bytes, 2 bytes with a length, 5 four bytes */
    uint64_t number;    /* of a varint */
    const unsigned char *data;
    size_t n;
} part;

static gln_status broken(void)
{
    return gln_fail(GLN_E_FORMAT, "the model file is cut short or is not ONNX");
}

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

static gln_status read_part(part *out, const message *m, const unsigned char **at, const unsigned char *end)
{
    uint64_t tag = 0, size = 0;
    if (!read_varint(&tag, at, end)) return broken();
    *out = (part){.wire = (unsigned)(tag & 7)};
    for (size_t i = 0; i < m->n_fields; i++) {
        if (m->fields[i].number != tag >> 3) continue;
        out->field = &m->fields[i];
        out->which = i;
    }
    switch (out->wire) {
    case 0: return read_varint(&out->number, at, end) ? GLN_OK : broken();
    case 1: size = 8; break;
    case 5: size = 4; break;
    case 2:
        if (!read_varint(&size, at, end)) return broken();
        break;
    default: return broken();
    }
    if (size > (uint64_t)(end - *at)) return broken();
    out->data = *at;
    out->n = (size_t)size;
    *at += out->n;
    return GLN_OK;
}

static size_t item_bytes(const field *f)
{
    switch (f->kind) {
    case INTS: return sizeof(int64_t);
    case FLOATS: return sizeof(float);
    case DOUBLES: return sizeof(double);
    case TEXTS: return sizeof(char *);
    case MESSAGES: return f->inner->bytes;
    default: return 0;
    }
}

/* How many items of its list a part has, packed or alone; false when its wire type is not one of the field's. */
static bool items_of(size_t *out, const part *p)
{
    *out = 1;
    switch (p->field->kind) {
    case ONE_INT: return p->wire == 0;
    case ONE_FLOAT: return p->wire == 5;
    case INTS:
        if (p->wire == 0) return true;
        *out = 0;
        for (size_t i = 0; i < p->n; i++) *out += p->data[i] < 0x80;
        return p->wire == 2 && (p->n == 0 || p->data[p->n - 1] < 0x80);
    case FLOATS:
    case DOUBLES: {
        size_t width = item_bytes(p->field);
        if (p->wire == (width == 4 ? 5 : 1)) return true;
        *out = p->n / width;
        return p->wire == 2 && p->n % width == 0;
    }
    default: return p->wire == 2;
    }
}

/* Little-endian items of 4 or 8 bytes, as they are in memory. */
static void copy_wide(void *to, const unsigned char *from, size_t n_bytes, size_t width)
{
    if (n_bytes == 0) return;
    memcpy(to, from, n_bytes);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (unsigned char *item = to; n_bytes != 0; n_bytes -= width, item += width) {
        for (size_t i = 0; i < width / 2; i++) {
            unsigned char other = item[i];
            item[i] = item[width - 1 - i];
            item[width - 1 - i] = other;
        }
    }
#else
    (void)width;
#endif
}

static gln_status copy_text(reader *r, const char **out, const part *p)
{
    char *text = NULL;
    gln_status st = take(r, &text, p->n + 1, 1);
    if (st == GLN_OK && p->n != 0) memcpy(text, p->data, p->n);
    *out = text;
    return st;
}

static gln_status read_message(reader *r, void *out, const message *m, const unsigned char *at,
                               const unsigned char *end);

/* A part into the struct at `out`, or behind the `done` items that its list has so far. */
static gln_status fill(reader *r, unsigned char *out, const part *p, size_t done)
{
    const field *f = p->field;
    void *place = out + f->offset;
    unsigned char *item = NULL;
    if (item_bytes(f) != 0 && ((gln_onnx_list *)place)->items != NULL) { /* NULL: a packed list of no items */
        item = (unsigned char *)((gln_onnx_list *)place)->items + done * item_bytes(f);
    }
    switch (f->kind) {
    case ONE_INT: *(int64_t *)place = (int64_t)p->number; return GLN_OK;
    case ONE_FLOAT: copy_wide(place, p->data, 4, 4); return GLN_OK;
    case ONE_TEXT: return copy_text(r, place, p);
    case ONE_BYTES: *(gln_onnx_bytes *)place = (gln_onnx_bytes){p->data, p->n}; return GLN_OK;
    case ONE_MESSAGE: {
        void *inner = NULL;
        gln_status st = take(r, &inner, 1, f->inner->bytes);
        if (st == GLN_OK) st = read_message(r, inner, f->inner, p->data, p->data + p->n);
        memcpy(place, &inner, sizeof inner);
        return st;
    }
    case COUNTED: ++*(size_t *)place; return GLN_OK;
    case INTS: {
        if (p->wire == 0) {
            *(int64_t *)(void *)item = (int64_t)p->number;
            return GLN_OK;
        }
        const unsigned char *from = p->data, *end = p->data + p->n;
        for (int64_t *to = (void *)item; from < end; to++) {
            uint64_t number = 0;
            if (!read_varint(&number, &from, end)) return broken();
            *to = (int64_t)number;
        }
        return GLN_OK;
    }
    case FLOATS:
    case DOUBLES: copy_wide(item, p->data, p->n, item_bytes(f)); return GLN_OK;
    case TEXTS: return copy_text(r, (const char **)(void *)item, p);
    case MESSAGES: return read_message(r, item, f->inner, p->data, p->data + p->n);
    }
    return GLN_OK;
}

static gln_status read_message(reader *r, void *out, const message *m, const unsigned char *begin,
                               const unsigned char *end)
{
    size_t count[MAX_TABLE] = {0}, done[MAX_TABLE] = {0}, n = 0;
    part p;
    for (const unsigned char *at = begin; at < end;) {
        gln_status st = read_part(&p, m, &at, end);
        if (st != GLN_OK) return st;
        if (p.wire == 2 && ++r->n_parts > MAX_PARTS) {
            return gln_fail(GLN_E_LIMIT, "the model file holds more than %zu parts", MAX_PARTS);
        }
        if (p.field == NULL) continue;
        if (!items_of(&n, &p)) return broken();
        count[p.which] += n;
        if (p.field->kind == ONE_MESSAGE && count[p.which] > 1) return broken();
    }
    for (size_t i = 0; i < m->n_fields; i++) {
        size_t bytes = item_bytes(&m->fields[i]);
        if (bytes == 0 || count[i] == 0) continue;
        gln_onnx_list *list = (gln_onnx_list *)(void *)((unsigned char *)out + m->fields[i].offset);
        gln_status st = take(r, &list->items, count[i], bytes);
        if (st != GLN_OK) return st;
        list->n = count[i];
    }
    for (const unsigned char *at = begin; at < end;) {
        gln_status st = read_part(&p, m, &at, end);
        if (st == GLN_OK && p.field != NULL) st = fill(r, out, &p, done[p.which]);
        if (st != GLN_OK) return st;
        if (p.field == NULL || !items_of(&n, &p)) continue;
        done[p.which] += n;
    }
    return GLN_OK;
}

static gln_status parse(gln_onnx_file **out, const unsigned char *bytes, size_t n_bytes, bool lone_tensor)
{
    reader r = {0};
    gln_status st = gln_alloc(&r.file, 1, sizeof *r.file, "the model file's parts");
    if (st == GLN_OK) {
        void *to = lone_tensor ? (void *)&r.file->tensor : (void *)&r.file->model;
        st = read_message(&r, to, lone_tensor ? &tensor : &model, bytes, bytes + n_bytes);
    }
    if (st != GLN_OK) {
        gln_onnx_file_free(r.file);
        return st;
    }
    *out = r.file;
    return GLN_OK;
}

gln_status gln_onnx_parse(gln_onnx_file **out, const unsigned char *bytes, size_t n_bytes)
{
    return parse(out, bytes, n_bytes, false);
}

gln_status gln_onnx_parse_tensor(gln_onnx_file **out, const unsigned char *bytes, size_t n_bytes)
{
    return parse(out, bytes, n_bytes, true);
}

void gln_onnx_file_free(gln_onnx_file *file)
{
    if (file == NULL) return;
    for (gln_onnx_block *block = file->blocks, *next; block != NULL; block = next) {
        next = block->next;
        gln_free(block);
    }
    gln_free(file);
}
