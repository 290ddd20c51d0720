/* gleaner embed: photos to vectors, with neither project nor data directory. */
#include "cli/commands.h"
#include "cli/vector_file.h"
#include "common/clock.h"
#include "common/memory.h"
#include "engine/photo_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const gln_usage usage = {
    "embed", "PATH...",
    "Writes one vector (float32, length 1) for each photo at or below PATH: folders in the order of the names, a row\n"
    "each. A bad file is refused by name and has no row; --names says which file a row belongs to. Needs no project.",
    "  gleaner embed ~/photos --backbone efficientnet-lite0.json --output vectors.npy --names names.txt\n"
    "  gleaner embed a.jpg b.png -o out.f32 --format raw --names rows.jsonl --refused refused.jsonl\n",
};

enum { MAX_SHOWN = 20, MODEL_BATCH = 16 };

struct embed {
    gln_photo_list photos; /* first: the extractor's source takes a pointer to it */
    bool json, strict, quiet;
    const char *backbone, *output, *format, *names_path, *refused_path;
    const char *precision_text, *tensor, *pooling_text;
    size_t threads;
    gln_precision precision;
    gln_device_choice devices;
    gln_backbone_device device; /* what computed, as it was in the end */
    gln_pooling pooling;

    gln_vector_file *vectors;
    FILE *names, *refused;
    bool names_are_json;
    size_t d, n_rows, n_refused;
    uint8_t identity[GLN_SHA256_BYTES];
};

/* ---- what becomes of a photo ------------------------------------------------------------------------------------ */

static gln_status put_line(FILE *out, const char *path, gln_json *json)
{
    char *text = gln_json_print(json, false);
    errno = 0;
    gln_status st = text == NULL                     ? GLN_E_MEMORY
                    : fprintf(out, "%s\n", text) < 0 ? gln_fail_errno(errno, "%s", path)
                                                     : GLN_OK;
    gln_free(text);
    gln_json_free(json);
    return st;
}

static gln_status note_name(struct embed *e, const gln_extract_result *result)
{
    errno = 0;
    if (!e->names_are_json) {
        if (strpbrk(result->path, "\r\n") != NULL)
            return gln_fail(GLN_E_FORMAT, "%s: a name with a line break in it; write the names to a .jsonl file",
                            result->path);
        return fprintf(e->names, "%s\n", result->path) < 0 ? gln_fail_errno(errno, "%s", e->names_path) : GLN_OK;
    }
    char hex[GLN_SHA256_HEX];
    gln_hex(hex, result->sha256, GLN_SHA256_BYTES);
    gln_json *json = gln_json_object();
    gln_json_set_number(json, "row", (double)e->n_rows);
    gln_json_set_string(json, "path", result->path);
    gln_json_set_string(json, "sha256", hex);
    gln_json_set_string(json, "format", gln_image_format_name(result->format));
    gln_json_set_number(json, "width", (double)result->width);
    gln_json_set_number(json, "height", (double)result->height);
    return put_line(e->names, e->names_path, json);
}

/* The sentence without the path that it begins with. */
static const char *reason_of(const gln_extract_result *result)
{
    size_t length = strlen(result->path);
    bool prefixed = strncmp(result->message, result->path, length) == 0 &&
                    strncmp(result->message + length, ": ", 2) == 0;
    return prefixed ? result->message + length + 2 : result->message;
}

static gln_status note_refusal(struct embed *e, const gln_extract_result *result)
{
    e->n_refused++;
    if (e->refused == NULL) {
        if (e->n_refused <= MAX_SHOWN) fprintf(stderr, "refused: %s: %s\n", result->path, reason_of(result));
        if (e->n_refused == MAX_SHOWN + 1) fprintf(stderr, "refused: more of them; --refused FILE lists all\n");
        return GLN_OK;
    }
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "path", result->path);
    gln_json_set_string(json, "status", gln_status_name(result->status));
    gln_json_set_string(json, "reason", reason_of(result));
    return put_line(e->refused, e->refused_path, json);
}

static gln_status take_result(void *context, const gln_extract_result *result)
{
    struct embed *e = context;
    if (result->status != GLN_OK) return note_refusal(e, result);
    gln_status st = gln_vector_file_append(e->vectors, result->embedding, 1);
    if (st == GLN_OK && e->names != NULL) st = note_name(e, result);
    e->n_rows++;
    return st;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static gln_status open_list(FILE **out, const char *path)
{
    if (path == NULL) return GLN_OK;
    errno = 0;
    *out = fopen(path, "we");
    return *out != NULL ? GLN_OK : gln_fail_errno(errno, "%s", path);
}

static gln_status close_list(FILE *list, const char *path)
{
    errno = 0;
    return list == NULL || fclose(list) == 0 ? GLN_OK : gln_fail_errno(errno, "%s", path);
}

static gln_status run(struct embed *e, gln_vector_format format, char **roots, size_t n_roots, double *out_seconds)
{
    gln_backbone *backbone = NULL;
    gln_progress *progress = NULL;
    gln_backbone_options load = GLN_BACKBONE_OPTIONS_INIT;
    gln_extractor_options extract = GLN_EXTRACTOR_OPTIONS_INIT;
    load.max_batch = extract.batch = MODEL_BATCH;
    load.n_threads = extract.n_decoders = e->threads;
    load.precision = e->precision;
    load.devices = e->devices;
    load.tensor = e->tensor;
    load.pooling = e->pooling_text != NULL ? &e->pooling : NULL;
    gln_status st = GLN_OK;
    for (size_t i = 0; i < n_roots && st == GLN_OK; i++) st = gln_photo_list_add(&e->photos, roots[i]);
    if (st == GLN_OK && e->photos.n == 0) st = gln_fail(GLN_E_NOT_FOUND, "no file at or below %s", roots[0]);
    if (st == GLN_OK) st = gln_backbone_load(&backbone, e->backbone, &load);
    if (st != GLN_OK) goto cleanup;
    e->d = gln_backbone_info_of(backbone)->d;
    e->precision = gln_backbone_info_of(backbone)->precision;
    memcpy(e->identity, gln_backbone_info_of(backbone)->identity, sizeof e->identity);
    if ((st = gln_vector_file_create(&e->vectors, e->output, format, e->d)) != GLN_OK) goto cleanup;
    if ((st = open_list(&e->names, e->names_path)) != GLN_OK) goto cleanup;
    if ((st = open_list(&e->refused, e->refused_path)) != GLN_OK) goto cleanup;
    st = gln_progress_create(&progress, gln_progress_stderr_interval_ms(), e->quiet ? NULL : gln_progress_to_stderr,
                             NULL);
    if (st != GLN_OK) goto cleanup;

    double started_s = gln_clock_monotonic_s();
    gln_cancel_on_signal(progress);
    gln_progress_stage(progress, "embed", e->photos.n);
    st = gln_extractor_run(backbone, &extract, gln_photo_list_next, take_result, e, progress);
    gln_cancel_on_signal(NULL);
    e->device = gln_backbone_info_of(backbone)->device;
    gln_progress_free(progress);
    *out_seconds = gln_clock_monotonic_s() - started_s;
    if (st == GLN_OK && e->n_rows == 0)
        st = gln_fail(GLN_E_FORMAT, "none of %zu files is a photo that can be read", e->photos.n);

cleanup:;
    gln_status closed = close_list(e->names, e->names_path);
    if (st == GLN_OK) st = closed;
    closed = close_list(e->refused, e->refused_path);
    if (st == GLN_OK) st = closed;
    bool keep = st == GLN_OK;
    closed = gln_vector_file_close(e->vectors, keep);
    if (keep) st = closed;
    gln_backbone_free(backbone);
    return st;
}

static void print_summary(const struct embed *e, double seconds)
{
    double rate = seconds > 0 ? (double)e->n_rows / seconds : 0;
    if (e->json) {
        char identity[GLN_SHA256_HEX];
        gln_hex(identity, e->identity, sizeof e->identity);
        gln_json *json = gln_json_object();
        gln_json_set_string(json, "output", e->output);
        gln_json_set_number(json, "files", (double)e->photos.n);
        gln_json_set_number(json, "rows", (double)e->n_rows);
        gln_json_set_number(json, "dimension", (double)e->d);
        gln_json_set_string(json, "precision", gln_precision_name(e->precision));
        gln_json_set_string(json, "device", e->device.name);
        gln_json_set_string(json, "backbone", identity);
        gln_json_set_number(json, "refused", (double)e->n_refused);
        gln_json_set_number(json, "unreadable", (double)e->photos.n_unreadable);
        gln_json_set_number(json, "seconds", seconds);
        gln_json_set_number(json, "images_per_second", rate);
        gln_print_json(json);
        return;
    }
    char rows[32], refused[32];
    printf("%s: %s vectors of %zu numbers (%s on %s), %s files refused; %.1f images a second, %.1f s in all\n",
           e->output, gln_thousands(rows, (long long)e->n_rows), e->d, gln_precision_name(e->precision), e->device.name,
           gln_thousands(refused, (long long)e->n_refused), rate, seconds);
    if (e->photos.n_unreadable != 0) printf("%zu folders or links could not be read\n", e->photos.n_unreadable);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

int gln_command_embed(int argc, char **argv)
{
    struct embed e = {.backbone = gln_default_backbone()};
    gln_common_options common = {0};
    const gln_option options[] = {
        {"backbone", 'b', GLN_OPTION_TEXT, &e.backbone, "FILE",
         "manifest of the backbone (default: $GLEANER_BACKBONE)"},
        {"output", 'o', GLN_OPTION_TEXT, &e.output, "FILE", "where the vectors go"},
        {"format", 'f', GLN_OPTION_TEXT, &e.format, "F",
         "npy, or raw: bare float32 (default: npy if FILE ends in .npy)"},
        {"names", 0, GLN_OPTION_TEXT, &e.names_path, "FILE",
         "the file of each row: a line each, with .jsonl also hash and size"},
        {"refused", 0, GLN_OPTION_TEXT, &e.refused_path, "FILE",
         "JSON lines of what was refused (default: on standard error)"},
        {"tensor", 0, GLN_OPTION_TEXT, &e.tensor, "NAME",
         "a tensor inside the network instead of the manifest's output"},
        {"pooling", 0, GLN_OPTION_TEXT, &e.pooling_text, "P", "of that tensor: none, average, cls, gem or gem:P"},
        GLN_PRECISION_OPTION(e.precision_text),
        GLN_DEVICE_OPTION(common),
        {"threads", 't', GLN_OPTION_SIZE, &e.threads, "N", "threads (default: one a processor)"},
        {"strict", 0, GLN_OPTION_FLAG, &e.strict, NULL, "exit with 3 when a file was refused"},
        {"quiet", 'q', GLN_OPTION_FLAG, &e.quiet, NULL, "no progress"},
        GLN_JSON_OPTION(e),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest == 0) return gln_usage_error(&usage, "name at least one folder or file");
    if (e.output == NULL) return gln_usage_error(&usage, "say where the vectors go: --output FILE");
    if (e.backbone == NULL)
        return gln_usage_error(&usage, "name a backbone's manifest with --backbone, or set GLEANER_BACKBONE");
    bool raw = e.format != NULL && strcmp(e.format, "raw") == 0;
    if (e.format != NULL && !raw && strcmp(e.format, "npy") != 0)
        return gln_usage_error(&usage, "--format %s: npy or raw is expected", e.format);
    if (e.format == NULL && !ends_with(e.output, ".npy"))
        return gln_usage_error(&usage, "%s does not end in .npy: say --format npy or --format raw", e.output);
    if (!gln_take_precision(&e.precision, e.precision_text) || !gln_take_device(&common) ||
        (e.pooling_text != NULL && gln_pooling_parse(&e.pooling, e.pooling_text) != GLN_OK))
        return gln_usage_error(&usage, "%s", gln_message());
    e.devices = common.devices;
    e.names_are_json = e.names_path != NULL && ends_with(e.names_path, ".jsonl");

    double seconds = 0;
    gln_status st = run(&e, raw ? GLN_VECTORS_RAW : GLN_VECTORS_NPY, rest, n_rest, &seconds);
    if (st == GLN_OK) print_summary(&e, seconds);
    code = st != GLN_OK ? gln_failed("embed", st) : e.strict && e.n_refused != 0 ? GLN_EXIT_PARTIAL : GLN_EXIT_OK;
    gln_photo_list_dispose(&e.photos);
    return code;
}
