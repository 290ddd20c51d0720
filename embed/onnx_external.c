/*
 * External data: models above protobuf's 2 GiB, and whatever PyTorch writes beside a model by default, keep the items
 * of tensors in other files and say in the model which, where, and how many bytes. A model from outside must not make
 * gleaner read what is none of its business, so a file has to lie in the model's own folder or below: no absolute
 * path, no "..", and no symbolic link that leads elsewhere.
 */
#include "embed/onnx_tensor.h"

#include "common/files.h"
#include "common/memory.h"
#include "embed/backbone.h"
#include "embed/onnx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES 256

/* Where the items lie. `location` belongs to the parsed file. */
typedef struct external {
    const char *location;
    size_t offset, length;
    bool has_length;
} external;

static gln_status read_number(size_t *out, const char *text, const char *key, const char *name)
{
    char *end = NULL;
    bool digits = text[0] >= '0' && text[0] <= '9';
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!digits || errno != 0 || *end != 0 || value > SIZE_MAX / 2) {
        return gln_fail(GLN_E_FORMAT, "the tensor %s: the %s of its external data is no sensible number", name, key);
    }
    *out = (size_t)value;
    return GLN_OK;
}

static gln_status read_entries(external *out, const gln_onnx_tensor_proto *from, const char *name)
{
    gln_status st = GLN_OK;
    *out = (external){0};
    const gln_onnx_entry *entries = from->external_data.items;
    for (size_t i = 0; st == GLN_OK && i < from->external_data.n; i++) {
        const char *key = entries[i].key, *value = entries[i].value;
        if (key == NULL || value == NULL) continue;
        if (strcmp(key, "location") == 0) out->location = value;
        if (strcmp(key, "offset") == 0) st = read_number(&out->offset, value, key, name);
        if (strcmp(key, "length") == 0) {
            st = read_number(&out->length, value, key, name);
            out->has_length = true;
        }
    }
    if (st == GLN_OK && out->location == NULL) {
        st = gln_fail(GLN_E_FORMAT, "the tensor %s has external data, but not in which file", name);
    }
    return st;
}

static bool is_plain(const char *text)
{
    for (const char *c = text; *c != 0; c++) {
        if ((unsigned char)*c < 32 || *c == 127) return false;
    }
    return true;
}

/* A path that stays in the folder by its looks. */
static bool stays_inside(const char *location)
{
    if (location[0] == 0 || location[0] == '/' || strlen(location) >= 512) return false;
    for (const char *part = location; part != NULL; part = strchr(part, '/')) {
        if (*part == '/') part++;
        size_t length = strcspn(part, "/");
        if (length == 0 || (length == 2 && part[0] == '.' && part[1] == '.')) return false;
    }
    return strchr(location, '\\') == NULL && is_plain(location);
}

static gln_status outside(const char *location)
{
    return gln_fail(GLN_E_FORMAT,
                    "its external data should lie outside of the model's folder, which gleaner does not read (%.200s)",
                    is_plain(location) ? location : "a name with control characters");
}

gln_status gln_onnx_external_path(char out[GLN_PATH_MAX], const char *folder, const char *location)
{
    char real[GLN_PATH_MAX], joined[GLN_PATH_MAX];
    if (!stays_inside(location)) return outside(location);
    gln_status st = gln_path_resolve(real, folder);
    if (st == GLN_OK) st = gln_path_join(joined, folder, location);
    if (st == GLN_OK) st = gln_path_resolve(out, joined);
    if (st != GLN_OK) return st;
    size_t length = strlen(real);
    if (length == 1) return GLN_OK; /* the root */
    return strncmp(out, real, length) == 0 && out[length] == '/' ? GLN_OK : outside(location);
}

/* What failed, with the tensor that needs it. */
static gln_status of_tensor(gln_status status, const char *name)
{
    char why[GLN_MESSAGE_MAX];
    gln_message_copy(why, sizeof why);
    return gln_fail(status, "the tensor %s: %.400s", name, why);
}

gln_status gln_onnx_external(unsigned char **out, size_t *out_bytes, const gln_onnx_tensor_proto *from,
                             const char *name, const char *folder, size_t wanted)
{
    char path[GLN_PATH_MAX];
    external where;
    unsigned char *bytes = NULL;
    int file = -1;
    struct stat info;
    gln_status st = read_entries(&where, from, name);
    if (st != GLN_OK) return st;
    if (!stays_inside(where.location)) return of_tensor(outside(where.location), name);
    if (folder == NULL) {
        return gln_fail(GLN_E_UNSUPPORTED,
                        "the tensor %s lies in another file (external data), %.200s, and no manifest has that under "
                        "\"files\" with its SHA-256",
                        name, where.location);
    }
    if ((st = gln_onnx_external_path(path, folder, where.location)) != GLN_OK) return of_tensor(st, name);
    if (where.has_length && where.length != wanted) {
        return gln_fail(GLN_E_FORMAT, "the tensor %s has %zu bytes of external data, but should have %zu", name,
                        where.length, wanted);
    }
    file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return gln_fail_errno(errno, "the tensor %s has its data in %.200s", name, where.location);
    if (fstat(file, &info) != 0) {
        st = gln_fail_errno(errno, "%.200s", where.location);
        goto cleanup;
    }
    if (!S_ISREG(info.st_mode) || info.st_size < 0 || where.offset > (size_t)info.st_size ||
        wanted > (size_t)info.st_size - where.offset) {
        st = gln_fail(
            GLN_E_FORMAT,
            "the tensor %s has its data in %.200s, %zu bytes from byte %zu on, but the file is shorter or none", name,
            where.location, wanted, where.offset);
        goto cleanup;
    }
    if ((st = gln_alloc_raw(&bytes, wanted, 1, name)) != GLN_OK) goto cleanup;
    for (size_t done = 0; done < wanted;) {
        ssize_t n = pread(file, bytes + done, wanted - done, (off_t)(where.offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            st = n < 0 ? gln_fail_errno(errno, "%.200s", where.location)
                       : gln_fail(GLN_E_FORMAT, "the file %.200s became shorter while it was read", where.location);
            goto cleanup;
        }
        done += (size_t)n;
    }
    *out = bytes;
    *out_bytes = wanted;
    bytes = NULL;

cleanup:
    gln_free(bytes);
    close(file);
    return st;
}

static gln_status visit_tensor(const gln_onnx_tensor_proto *tensor, const char **seen, size_t *n_seen,
                               gln_backbone_file_fn visit, void *context)
{
    external where;
    if (tensor->external_data.n == 0) return GLN_OK;
    gln_status st = read_entries(&where, tensor, tensor->name != NULL ? tensor->name : "");
    if (st != GLN_OK) return st;
    if (!stays_inside(where.location))
        return of_tensor(outside(where.location), tensor->name != NULL ? tensor->name : "");
    for (size_t i = 0; i < *n_seen; i++) {
        if (strcmp(seen[i], where.location) == 0) return GLN_OK;
    }
    if (*n_seen == MAX_FILES)
        return gln_fail(GLN_E_LIMIT, "the model keeps its weights in more than %d files", MAX_FILES);
    seen[(*n_seen)++] = where.location;
    return visit(context, where.location);
}

gln_status gln_backbone_data_files(const unsigned char *model, size_t n_bytes, gln_backbone_file_fn visit,
                                   void *context)
{
    gln_onnx_file *file = NULL;
    const char **seen = NULL;
    size_t n_seen = 0;
    gln_status st = gln_onnx_parse(&file, model, n_bytes);
    if (st != GLN_OK) return st;
    if (file->model.graph == NULL) {
        st = gln_fail(GLN_E_FORMAT, "the model file holds no graph");
        goto cleanup;
    }
    if ((st = gln_alloc(&seen, MAX_FILES, sizeof *seen, "names")) != GLN_OK) goto cleanup;
    const gln_onnx_list *tensors = &file->model.graph->initializer, *nodes = &file->model.graph->node;
    for (size_t i = 0; st == GLN_OK && i < tensors->n; i++) {
        st = visit_tensor((const gln_onnx_tensor_proto *)tensors->items + i, seen, &n_seen, visit, context);
    }
    for (size_t i = 0; st == GLN_OK && i < nodes->n; i++) { /* constants that are nodes */
        const gln_onnx_list *attributes = &((const gln_onnx_node *)nodes->items + i)->attribute;
        for (size_t j = 0; st == GLN_OK && j < attributes->n; j++) {
            const gln_onnx_tensor_proto *tensor = ((const gln_onnx_attribute *)attributes->items + j)->t;
            if (tensor != NULL) st = visit_tensor(tensor, seen, &n_seen, visit, context);
        }
    }

cleanup:
    gln_free(seen);
    gln_onnx_file_free(file);
    return st;
}
