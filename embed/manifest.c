/*
 * A manifest is checked field by field and may hold nothing else: a misspelt "mean" that is silently ignored would
 * give embeddings that look fine and mean little.
 *
 * The identity is a hash over a text that lists what decides an embedding, floats in hexadecimal. Name, licence and
 * source are not in it: renaming a backbone does not make its vectors another kind.
 */
#include "embed/manifest.h"

#include "common/files.h"
#include "common/json.h"
#include "common/memory.h"
#include "embed/onnx.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MANIFEST_BYTES (64 * 1024)
#define MAX_SIDE 4096
#define MAX_FILES 256

/* Where the reader is, for sentences. */
typedef struct place {
    const char *path;
    const char *object; /* "", "input." or "input.resize." */
} place;

static gln_status bad(const place *at, const char *field, const char *why)
{
    return gln_fail(GLN_E_FORMAT, "%s: the field %s%s %s", at->path, at->object, field, why);
}

/* All fields that are known, the first `n_needed` of which must be there, and no other. */
static gln_status only_fields(const gln_json *object, const place *at, const char *const *known, size_t n_known,
                              size_t n_needed)
{
    for (const gln_json *member = gln_json_first(object); member != NULL; member = gln_json_next(member)) {
        bool found = false;
        for (size_t i = 0; i < n_known; i++) found = found || strcmp(gln_json_name(member), known[i]) == 0;
        if (!found) return bad(at, gln_json_name(member), "is not one that a manifest has");
    }
    for (size_t i = 0; i < n_needed; i++) {
        if (gln_json_get(object, known[i]) == NULL) return bad(at, known[i], "is missing");
    }
    return GLN_OK;
}

static gln_status read_text(char out[GLN_MANIFEST_TEXT_MAX], const gln_json *object, const place *at, const char *field)
{
    const char *text = gln_json_string(gln_json_get(object, field));
    if (text == NULL || text[0] == 0) return bad(at, field, "should be a text that is not empty");
    if (strlen(text) >= GLN_MANIFEST_TEXT_MAX) return bad(at, field, "is longer than 255 bytes");
    for (const char *c = text; *c != 0; c++) {
        if ((unsigned char)*c < 32 || *c == 127) return bad(at, field, "holds a control character");
    }
    snprintf(out, GLN_MANIFEST_TEXT_MAX, "%s", text);
    return GLN_OK;
}

static gln_status read_count(size_t *out, const gln_json *object, const place *at, const char *field, size_t most)
{
    double number = gln_json_number(gln_json_get(object, field), -1);
    if (!(number >= 1 && number <= (double)most) || number != floor(number)) {
        return gln_fail(GLN_E_FORMAT, "%s: the field %s%s should be a whole number from 1 to %zu", at->path, at->object,
                        field, most);
    }
    *out = (size_t)number;
    return GLN_OK;
}

static gln_status read_channels(float out[3], const gln_json *object, const place *at, const char *field, bool positive)
{
    const gln_json *list = gln_json_get(object, field);
    if (!gln_json_is_array(list) || gln_json_count(list) != 3)
        return bad(at, field, "should be a list of three numbers");
    for (size_t i = 0; i < 3; i++) {
        double number = gln_json_number(gln_json_at(list, i), NAN);
        if (!(fabs(number) <= 1000) || (positive && !(number > 1e-6))) {
            return bad(at, field, positive ? "should hold numbers above 0" : "should hold numbers");
        }
        out[i] = (float)number;
    }
    return GLN_OK;
}

/* Which of two words a field holds. */
static gln_status read_choice(bool *out_second, const gln_json *object, const place *at, const char *field,
                              const char *first, const char *second)
{
    const char *text = gln_json_string(gln_json_get(object, field));
    *out_second = text != NULL && strcmp(text, second) == 0;
    if (*out_second || (text != NULL && strcmp(text, first) == 0)) return GLN_OK;
    return gln_fail(GLN_E_FORMAT, "%s: the field %s%s should be \"%s\" or \"%s\"", at->path, at->object, field, first,
                    second);
}

static gln_status read_preprocess(gln_preprocess *out, const gln_json *input, const char *path)
{
    static const char *const fields[] = {"side", "resize", "mean", "std"};
    static const char *const resize_fields[] = {"filter", "mode", "scale"};
    place at = {path, "input."}, in_resize = {path, "input.resize."};
    const gln_json *resize = gln_json_get(input, "resize");
    bool bicubic = false, stretch = false;
    if (!gln_json_is_object(input)) return gln_fail(GLN_E_FORMAT, "%s: the field input should be an object", path);
    gln_status st = only_fields(input, &at, fields, 4, 4);
    if (st != GLN_OK) return st;
    if (!gln_json_is_object(resize)) return bad(&at, "resize", "should be an object");
    if ((st = only_fields(resize, &in_resize, resize_fields, 3, 3)) != GLN_OK) return st;
    st = read_count(&out->side, input, &at, "side", MAX_SIDE);
    if (st == GLN_OK) st = read_channels(out->mean, input, &at, "mean", false);
    if (st == GLN_OK) st = read_channels(out->std, input, &at, "std", true);
    if (st == GLN_OK) st = read_choice(&bicubic, resize, &in_resize, "filter", "bilinear", "bicubic");
    if (st == GLN_OK) st = read_choice(&stretch, resize, &in_resize, "mode", "crop", "stretch");
    if (st != GLN_OK) return st;
    out->filter = bicubic ? GLN_FILTER_BICUBIC : GLN_FILTER_BILINEAR;
    out->fit = stretch ? GLN_FIT_STRETCH : GLN_FIT_CROP;
    out->crop_share = gln_json_number(gln_json_get(resize, "scale"), -1);
    if (!(out->crop_share >= 0.1 && out->crop_share <= 1))
        return bad(&in_resize, "scale", "should be a number from 0.1 to 1");
    return GLN_OK;
}

static int compare_names(const void *a, const void *b)
{
    const gln_manifest_file *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Names of files with their hashes. Where a name may lead is the reader's to say (onnx_external.c). */
static gln_status read_files(gln_manifest *out, const gln_json *files, const char *path)
{
    place at = {path, "files."};
    size_t n = gln_json_count(files);
    if (!gln_json_is_object(files) || n == 0 || n > MAX_FILES) {
        return gln_fail(GLN_E_FORMAT, "%s: the field files should be an object of 1 to %d files with their SHA-256",
                        path, MAX_FILES);
    }
    gln_status st = gln_alloc(&out->files, n, sizeof *out->files, "files of weights");
    for (const gln_json *file = gln_json_first(files); st == GLN_OK && file != NULL; file = gln_json_next(file)) {
        const char *hex = gln_json_string(file);
        gln_manifest_file *entry = &out->files[out->n_files];
        int length = snprintf(entry->name, sizeof entry->name, "%s", gln_json_name(file));
        if (length <= 0 || (size_t)length >= sizeof entry->name)
            return bad(&at, "", "should hold names of 1 to 255 bytes");
        if (hex == NULL || !gln_unhex(entry->sha256, GLN_SHA256_BYTES, hex))
            return bad(&at, entry->name, "should be 64 hexadecimal digits");
        out->n_files++;
    }
    if (st == GLN_OK)
        qsort(out->files, out->n_files, sizeof *out->files, compare_names); /* one identity, whatever their order */
    return st;
}

static gln_status read_fields(gln_manifest *out, const gln_json *root, const char *path)
{
    static const char *const fields[] = {"name",      "model",   "sha256", "input",   "output",
                                         "dimension", "licence", "source", "pooling", "files"};
    char hex[GLN_MANIFEST_TEXT_MAX], source[GLN_MANIFEST_TEXT_MAX], pooling[GLN_MANIFEST_TEXT_MAX] = "none";
    place at = {path, ""};
    if (!gln_json_is_object(root)) return gln_fail(GLN_E_FORMAT, "%s: a manifest is a JSON object", path);
    gln_status st = only_fields(root, &at, fields, sizeof fields / sizeof fields[0],
                                sizeof fields / sizeof fields[0] - 2);
    if (st == GLN_OK) st = read_text(out->name, root, &at, "name");
    if (st == GLN_OK) st = read_text(out->model, root, &at, "model");
    if (st == GLN_OK) st = read_text(out->output, root, &at, "output");
    if (st == GLN_OK) st = read_text(out->licence, root, &at, "licence");
    if (st == GLN_OK) st = read_text(source, root, &at, "source");
    if (st == GLN_OK) st = read_text(hex, root, &at, "sha256");
    if (st == GLN_OK) st = read_count(&out->dimension, root, &at, "dimension", GLN_MAX_DIMENSION);
    if (st == GLN_OK && gln_json_get(root, "pooling") != NULL) st = read_text(pooling, root, &at, "pooling");
    if (st == GLN_OK && gln_pooling_parse(&out->pooling, pooling) != GLN_OK) {
        st = bad(&at, "pooling", "should be none, average, cls, gem or gem:P with P from 1 to 100");
    }
    if (st == GLN_OK) st = read_preprocess(&out->preprocess, gln_json_get(root, "input"), path);
    if (st == GLN_OK && gln_json_get(root, "files") != NULL) st = read_files(out, gln_json_get(root, "files"), path);
    if (st != GLN_OK) return st;
    if (strchr(out->model, '/') != NULL || out->model[0] == '.') {
        return bad(&at, "model", "should name a file beside the manifest, without a folder");
    }
    if (!gln_unhex(out->sha256, GLN_SHA256_BYTES, hex)) return bad(&at, "sha256", "should be 64 hexadecimal digits");
    return GLN_OK;
}

gln_status gln_manifest_read(gln_manifest *out, const char *path)
{
    unsigned char *text = NULL;
    gln_json *root = NULL;
    size_t n_bytes = 0;
    gln_status st = gln_file_read(&text, &n_bytes, path, MAX_MANIFEST_BYTES);
    if (st != GLN_OK) return st;
    memset(out, 0, sizeof *out);
    st = gln_json_parse(&root, (const char *)text, n_bytes, path);
    if (st == GLN_OK) st = read_fields(out, root, path);
    gln_json_free(root);
    gln_free(text);
    return st;
}

void gln_manifest_dispose(gln_manifest *manifest)
{
    gln_free(manifest->files);
    *manifest = (gln_manifest){0};
}

/* ---- files of weights ---- */

typedef struct file_check {
    const gln_manifest *manifest;
    const char *folder;
    size_t n_found;
} file_check;

static gln_status check_file(void *context, const char *name)
{
    file_check *check = context;
    char path[GLN_PATH_MAX], hex[GLN_SHA256_HEX];
    uint8_t sha256[GLN_SHA256_BYTES];
    const gln_manifest_file *entry = NULL;
    for (size_t i = 0; entry == NULL && i < check->manifest->n_files; i++) {
        if (strcmp(check->manifest->files[i].name, name) == 0) entry = &check->manifest->files[i];
    }
    gln_status st = gln_onnx_external_path(path, check->folder, name);
    if (st == GLN_OK) st = gln_sha256_file(sha256, path);
    if (st != GLN_OK) return st;
    gln_hex(hex, sha256, sizeof sha256);
    if (entry == NULL) {
        return gln_fail(
            GLN_E_FORMAT,
            "the model %s keeps weights in %s, which its manifest does not have under \"files\"; its SHA-256 is "
            "now %s",
            check->manifest->name, name, hex);
    }
    check->n_found++;
    if (memcmp(sha256, entry->sha256, sizeof sha256) == 0) return GLN_OK;
    return gln_fail(GLN_E_CORRUPT,
                    "%s is not the file of weights that the manifest of %s names: the SHA-256 differs; import it again",
                    path, check->manifest->name);
}

gln_status gln_manifest_check_files(const gln_manifest *manifest, const unsigned char *model, size_t n_bytes,
                                    const char *folder)
{
    file_check check = {.manifest = manifest, .folder = folder};
    gln_status st = gln_backbone_data_files(model, n_bytes, check_file, &check);
    if (st == GLN_OK && check.n_found != manifest->n_files) {
        st = gln_fail(GLN_E_FORMAT, "the manifest of %s has %zu files of weights, but its model reads %zu of them",
                      manifest->name, manifest->n_files, check.n_found);
    }
    return st;
}

/* ---- identity ---- */

void gln_manifest_identity(uint8_t out[GLN_SHA256_BYTES], const gln_manifest *manifest, gln_precision precision)
{
    char text[2048], hex[GLN_SHA256_HEX], pooling[64] = "", files[GLN_SHA256_HEX + 16] = "";
    const gln_preprocess *p = &manifest->preprocess;
    gln_hex(hex, manifest->sha256, GLN_SHA256_BYTES);
    if (manifest->pooling.kind != GLN_POOLING_NONE) {
        snprintf(pooling, sizeof pooling, "pooling %s %a\n", gln_pooling_name(manifest->pooling.kind),
                 manifest->pooling.kind == GLN_POOLING_GEM ? manifest->pooling.p : 0.0);
    }
    if (manifest->n_files != 0) { /* names are filled up with zeros */
        uint8_t all[GLN_SHA256_BYTES];
        char all_hex[GLN_SHA256_HEX];
        gln_sha256(all, manifest->files, manifest->n_files * sizeof *manifest->files);
        gln_hex(all_hex, all, sizeof all);
        snprintf(files, sizeof files, "files %s\n", all_hex);
    }
    int length = snprintf(
        text, sizeof text,
        "gleaner backbone 1\nmodel %s\nside %zu\nfit %s\nshare %a\nfilter %s\nmean %a %a %a\nstd %a %a %a\n"
        "output %s\nprecision %s\n%s%s",
        hex, p->side, p->fit == GLN_FIT_CROP ? "crop" : "stretch", p->crop_share,
        p->filter == GLN_FILTER_BICUBIC ? "bicubic" : "bilinear", (double)p->mean[0], (double)p->mean[1],
        (double)p->mean[2], (double)p->std[0], (double)p->std[1], (double)p->std[2], manifest->output,
        gln_precision_name(precision), pooling, files);
    gln_sha256(out, text, (size_t)length); /* fits: every part is bounded */
}
