#include "cli/label_source.h"

#include "common/json.h"
#include "common/memory.h"

#include <csv.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t max_file_bytes = (size_t)1 << 30;

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static gln_status add_item(gln_label_list *list, size_t line, int64_t image_id, const char *path,
                           const char *class_name, const char *annotator, double seconds)
{
    gln_status st = gln_grow(&list->items, &list->capacity, list->n + 1, sizeof *list->items, "labels");
    if (st == GLN_OK) st = gln_grow(&list->line, &list->line_capacity, list->n + 1, sizeof *list->line, "labels");
    if (st != GLN_OK) return st;
    gln_label_item item = {.image_id = image_id, .seconds = seconds};
    list->line[list->n] = line;
    if (path != NULL) item.path = gln_strdup(path);
    if (class_name != NULL) item.class_name = gln_strdup(class_name);
    if (annotator != NULL) item.annotator = gln_strdup(annotator);
    list->items[list->n++] = item;
    bool lost = (path != NULL && item.path == NULL) || (class_name != NULL && item.class_name == NULL) ||
                (annotator != NULL && item.annotator == NULL);
    return lost ? GLN_E_MEMORY : GLN_OK;
}

void gln_label_list_dispose(gln_label_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        gln_free((char *)list->items[i].path);
        gln_free((char *)list->items[i].class_name);
        gln_free((char *)list->items[i].annotator);
    }
    gln_free(list->items);
    gln_free(list->line);
    *list = (gln_label_list){0};
}

/* "12" gives 12; -1 for anything that is not a positive whole number. */
static int64_t parse_id(const char *text)
{
    char *end = NULL;
    long long id = strtoll(text, &end, 10);
    return end == text || *end != 0 || id <= 0 ? -1 : (int64_t)id;
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

enum column { COLUMN_PATH, COLUMN_IMAGE, COLUMN_CLASS, COLUMN_ANNOTATOR, COLUMN_SECONDS, N_COLUMNS };
enum { MAX_FIELDS = 64 };

struct csv_reading {
    gln_label_list *list;
    gln_bad_line_fn bad;
    void *context;
    const char *path;
    gln_status status;
    size_t line, n_fields;
    int column_of[N_COLUMNS];          /* field number, -1: not in this file */
    char *field[MAX_FIELDS];           /* of the line being read */
    bool header_read, too_many;
};

static void reject(gln_label_list *list, gln_bad_line_fn bad, void *context, size_t line, const char *message)
{
    list->n_bad++;
    bad(context, line, message);
}

static void on_field(void *text, size_t n_bytes, void *context)
{
    struct csv_reading *r = context;
    if (r->n_fields == MAX_FIELDS) {
        r->too_many = true;
        return;
    }
    char *copy = NULL;
    if (gln_alloc(&copy, n_bytes + 1, 1, "CSV field") != GLN_OK) {
        r->status = GLN_E_MEMORY;
        return;
    }
    if (n_bytes != 0) memcpy(copy, text, n_bytes);
    r->field[r->n_fields++] = copy;
}

static void read_header(struct csv_reading *r)
{
    static const struct {
        const char *name;
        enum column column;
    } names[] = {{"path", COLUMN_PATH},   {"image", COLUMN_IMAGE},         {"class", COLUMN_CLASS},
                 {"label", COLUMN_CLASS}, {"annotator", COLUMN_ANNOTATOR}, {"seconds", COLUMN_SECONDS}};
    for (size_t c = 0; c < N_COLUMNS; c++) r->column_of[c] = -1;
    for (size_t i = 0; i < r->n_fields; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            if (strcmp(r->field[i], names[k].name) == 0) r->column_of[names[k].column] = (int)i;
    if ((r->column_of[COLUMN_PATH] < 0 && r->column_of[COLUMN_IMAGE] < 0) || r->column_of[COLUMN_CLASS] < 0)
        r->status = gln_fail(GLN_E_FORMAT, "%s: the first line must name the columns: path (or image) and class are "
                             "needed, annotator and seconds are known too", r->path);
}

static const char *field_of(const struct csv_reading *r, enum column column)
{
    int i = r->column_of[column];
    return i < 0 || (size_t)i >= r->n_fields || r->field[i][0] == 0 ? NULL : r->field[i];
}

static void read_line(struct csv_reading *r)
{
    const char *path = field_of(r, COLUMN_PATH), *image = field_of(r, COLUMN_IMAGE);
    const char *class_name = field_of(r, COLUMN_CLASS), *seconds_text = field_of(r, COLUMN_SECONDS);
    int64_t image_id = image == NULL ? 0 : parse_id(image);
    double seconds = NAN;
    char *end = NULL;
    if (seconds_text != NULL) seconds = strtod(seconds_text, &end);
    if (image_id < 0) reject(r->list, r->bad, r->context, r->line, "image is not a number");
    else if (image_id == 0 && path == NULL) reject(r->list, r->bad, r->context, r->line, "neither path nor image");
    else if (class_name == NULL) reject(r->list, r->bad, r->context, r->line, "no class");
    else if (!gln_utf8_valid(class_name, strlen(class_name)))
        reject(r->list, r->bad, r->context, r->line, "the class is not valid UTF-8");
    else if (end != NULL && (*end != 0 || !isfinite(seconds)))
        reject(r->list, r->bad, r->context, r->line, "seconds is not a number");
    else r->status = add_item(r->list, r->line, image_id, path, class_name, field_of(r, COLUMN_ANNOTATOR), seconds);
}

static void on_line(int terminator, void *context)
{
    struct csv_reading *r = context;
    (void)terminator;
    r->line++;
    bool empty = r->n_fields == 0 || (r->n_fields == 1 && r->field[0][0] == 0);
    if (r->status == GLN_OK && r->too_many) reject(r->list, r->bad, r->context, r->line, "more than 64 fields");
    else if (r->status == GLN_OK && !empty && !r->header_read) read_header(r);
    else if (r->status == GLN_OK && !empty) read_line(r);
    if (!empty) r->header_read = true;
    for (size_t i = 0; i < r->n_fields; i++) gln_free(r->field[i]);
    r->n_fields = 0;
    r->too_many = false;
}

gln_status gln_labels_from_csv(gln_label_list *list, const char *path, gln_bad_line_fn bad, void *context)
{
    struct csv_reading r = {.list = list, .bad = bad, .context = context, .path = path};
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    struct csv_parser parser;
    gln_status st = gln_file_read(&bytes, &n_bytes, path, max_file_bytes);
    if (st != GLN_OK) return st;
    /* Spreadsheets begin UTF-8 files with a byte order mark. */
    size_t start = n_bytes >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    if (memchr(bytes, 0, n_bytes) != NULL) {
        gln_free(bytes);
        return gln_fail(GLN_E_FORMAT, "%s: not a CSV file: there are zero bytes in it", path);
    }
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        gln_free(bytes);
        return gln_fail(GLN_E_MEMORY, "no memory to read %s", path);
    }
    if (csv_parse(&parser, bytes + start, n_bytes - start, on_field, on_line, &r) != n_bytes - start ||
        csv_fini(&parser, on_field, on_line, &r) != 0) {
        if (r.status == GLN_OK)
            r.status = gln_fail(GLN_E_FORMAT, "%s: line %zu: quotes that do not match", path, r.line + 1);
    }
    if (r.status == GLN_OK && !r.header_read) r.status = gln_fail(GLN_E_FORMAT, "%s: empty", path);
    for (size_t i = 0; i < r.n_fields; i++) gln_free(r.field[i]);
    csv_free(&parser);
    gln_free(bytes);
    return r.status;
}

/* ---- JSON lines -------------------------------------------------------------------------------------------------- */

static gln_status read_object(gln_label_list *list, const gln_json *object, size_t line, const char **out_wrong)
{
    const gln_json *image = gln_json_get(object, "image"), *seconds = gln_json_get(object, "seconds");
    const gln_json *class_value = gln_json_get(object, "class");
    if (class_value == NULL) class_value = gln_json_get(object, "label");
    const char *path = gln_json_string(gln_json_get(object, "path"));
    const char *class_name = gln_json_string(class_value);
    double id = gln_json_number(image, 0);
    *out_wrong = NULL;
    if (!gln_json_is_object(object)) *out_wrong = "not an object";
    else if (image != NULL && !(id >= 1 && id < 9e15 && floor(id) == id)) *out_wrong = "image is not an id";
    else if (image == NULL && path == NULL) *out_wrong = "neither path nor image";
    else if (class_name == NULL && !gln_json_is_null(class_value)) *out_wrong = "no class (null takes a label away)";
    else if (seconds != NULL && !gln_json_is_number(seconds) && !gln_json_is_null(seconds))
        *out_wrong = "seconds is not a number";
    if (*out_wrong != NULL) return GLN_OK;
    return add_item(list, line, (int64_t)id, path, class_name, gln_json_string(gln_json_get(object, "annotator")),
                    gln_json_number(seconds, NAN));
}

gln_status gln_labels_from_jsonl(gln_label_list *list, const char *path, gln_bad_line_fn bad, void *context)
{
    unsigned char *bytes = NULL;
    size_t n_bytes = 0, number = 0;
    gln_status st = gln_file_read(&bytes, &n_bytes, path, max_file_bytes);
    for (size_t at = 0; st == GLN_OK && at < n_bytes;) {
        const char *line = (const char *)bytes + at;
        const char *newline = memchr(line, '\n', n_bytes - at);
        size_t length = newline == NULL ? n_bytes - at : (size_t)(newline - line);
        at += length + 1;
        number++;
        size_t blank = 0;
        while (blank < length && strchr(" \t\r", line[blank]) != NULL) blank++;
        if (blank == length) continue;
        gln_json *object = NULL;
        const char *wrong = NULL;
        if (gln_json_parse(&object, line, length, "line") == GLN_OK) st = read_object(list, object, number, &wrong);
        else wrong = gln_message();
        if (wrong != NULL) reject(list, bad, context, number, wrong);
        gln_json_free(object);
    }
    gln_free(bytes);
    return st;
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

struct folder_reading {
    gln_label_list *list;
    gln_store *store;
    const char *root;
    size_t root_length;
};

static gln_status label_path(struct folder_reading *r, int64_t image_id, const char *path)
{
    char name[256];
    const char *begin = NULL, *end = NULL;
    if (r->root != NULL) {
        if (strncmp(path, r->root, r->root_length) != 0 || path[r->root_length] != '/') return GLN_OK;
        begin = path + r->root_length + 1;
        end = strchr(begin, '/');
    } else {
        end = strrchr(path, '/');
        if (end == NULL) return GLN_OK;
        for (begin = end; begin > path && begin[-1] != '/';) begin--;
    }
    if (end == NULL || end == begin || end - begin > 200) return GLN_OK; /* no folder: no class */
    snprintf(name, sizeof name, "%.*s", (int)(end - begin), begin);
    return add_item(r->list, 0, image_id, NULL, name, NULL, NAN);
}

static gln_status on_name(void *context, const char *path, int64_t image_id)
{
    return label_path(context, image_id, path);
}

/* An image may have several names: the first that lies in a folder says its class. */
static gln_status on_name_of_item(void *context, const char *path, int64_t image_id)
{
    struct folder_reading *r = context;
    bool labelled = r->list->n != 0 && r->list->items[r->list->n - 1].image_id == image_id;
    return labelled ? GLN_OK : label_path(r, image_id, path);
}

static gln_status on_batch_item(void *context, const gln_batch_item_row *row)
{
    struct folder_reading *r = context;
    return strcmp(row->state, "leased") == 0 ? gln_store_names(r->store, row->image_id, on_name_of_item, r) : GLN_OK;
}

gln_status gln_labels_from_folders(gln_label_list *list, gln_store *store, int64_t project_id, const char *root,
                                   int64_t batch_id)
{
    char resolved[GLN_PATH_MAX];
    struct folder_reading r = {.list = list, .store = store};
    gln_status st = GLN_OK;
    if (root != NULL) {
        if ((st = gln_path_resolve(resolved, root)) != GLN_OK) return st;
        r.root = resolved;
        r.root_length = strlen(resolved);
    }
    return batch_id > 0 ? gln_store_batch_items(store, batch_id, on_batch_item, &r)
                        : gln_store_project_names(store, project_id, on_name, &r);
}
