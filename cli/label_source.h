/*
 * Where labels come from on a command line: a CSV with a header, JSON lines, or the names of folders. Each gives a list
 * of items for gln_engine_label(). A bad line is told with its number and left out; the rest goes on.
 */
#ifndef GLN_CLI_LABEL_SOURCE_H
#define GLN_CLI_LABEL_SOURCE_H

#include "engine/engine.h"

#include <stddef.h>

typedef struct gln_label_list {
    gln_label_item *items; /* strings owned by the list */
    size_t *line;          /* [n] line of the file, 0 for folders */
    size_t n, n_bad;
    size_t capacity, line_capacity;
} gln_label_list;

/* Told for each line that is left out. */
typedef void (*gln_bad_line_fn)(void *context, size_t line, const char *message);

/*
 * CSV (RFC 4180) with a header line. Columns by name: `path` or `image` (an id), `class` (or `label`), and if present
 * `annotator`, `seconds`. JSON lines: objects with the same names. Errors: GLN_E_NOT_FOUND, GLN_E_FORMAT (no header, a
 * missing column), GLN_E_LIMIT.
 */
gln_status gln_labels_from_csv(gln_label_list *list, const char *path, gln_bad_line_fn bad, void *context);
gln_status gln_labels_from_jsonl(gln_label_list *list, const char *path, gln_bad_line_fn bad, void *context);

/*
 * One item an image of the project: its class is the first folder below `root` on its path, or with root NULL the
 * folder that it lies in. batch_id > 0: only the leased images of that batch.
 */
gln_status gln_labels_from_folders(gln_label_list *list, gln_store *store, int64_t project_id, const char *root,
                                   int64_t batch_id);

void gln_label_list_dispose(gln_label_list *list);

#endif
