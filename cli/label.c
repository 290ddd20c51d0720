#include "cli/commands.h"
#include "cli/label_source.h"
#include "common/memory.h"

#include <stdio.h>

static const gln_usage usage = {
    "label", "",
    "Takes labels for images of a project: from a CSV file with a header (path or image, class, annotator, seconds),\n"
    "from JSON lines with the same names, or from the names of the folders that the photos lie in. With --batch the\n"
    "labels are returned to that leased batch. An image or class that is not known is told by line, and the rest goes\n"
    "on.",
    "  gleaner label --csv labels.csv --add-classes\n"
    "  gleaner label --folders --root /srv/photos\n"
    "  gleaner label --batch 3 --folders --root /srv/photos --source simulated\n",
};

enum { MAX_SHOWN = 20 };

struct told {
    const char *file;
    const gln_label_list *list;
    size_t n;
    bool json;
};

static void tell(struct told *told, size_t line, const char *message)
{
    if (++told->n > MAX_SHOWN) return;
    if (line != 0) fprintf(stderr, "%s:%zu: %s\n", told->file, line, message);
    else fprintf(stderr, "%s\n", message);
    if (told->n == MAX_SHOWN) fprintf(stderr, "... (more like these are only counted)\n");
}

static void on_bad_line(void *context, size_t line, const char *message)
{
    tell(context, line, message);
}

static void on_rejected(void *context, size_t index, gln_status status, const char *message)
{
    struct told *told = context;
    (void)status;
    tell(told, told->list->line[index], message);
}

int gln_command_label(int argc, char **argv)
{
    gln_common_options o = {0};
    const char *csv = NULL, *jsonl = NULL, *root = NULL, *source = NULL;
    bool folders = false, add_classes = false, strict = false;
    size_t batch = 0;
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        GLN_PROJECT_OPTION(o),
        {"csv", 0, GLN_OPTION_TEXT, &csv, "FILE", "labels from a CSV file"},
        {"jsonl", 0, GLN_OPTION_TEXT, &jsonl, "FILE", "labels from JSON lines"},
        {"folders", 0, GLN_OPTION_FLAG, &folders, NULL, "labels from folder names"},
        {"root", 0, GLN_OPTION_TEXT, &root, "DIR", "with --folders: the class is the first folder below DIR"},
        {"batch", 'b', GLN_OPTION_SIZE, &batch, "ID", "return them to this batch"},
        {"add-classes", 0, GLN_OPTION_FLAG, &add_classes, NULL, "classes not known yet are added"},
        {"source", 0, GLN_OPTION_TEXT, &source, "WORD",
         "human, imported, proposed or simulated (default: imported; human with --batch)"},
        {"strict", 0, GLN_OPTION_FLAG, &strict, NULL, "exit with 3 when something was rejected"},
        GLN_JSON_OPTION(o),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest != 0) return gln_usage_error(&usage, "unexpected argument %s", rest[0]);
    if ((csv != NULL) + (jsonl != NULL) + folders != 1)
        return gln_usage_error(&usage, "give one of --csv, --jsonl, --folders");
    if (source == NULL) source = batch != 0 ? "human" : "imported";

    gln_session session;
    gln_label_list list = {0};
    gln_label_summary summary = {0};
    gln_store *reader = NULL;
    struct told told = {.file = csv != NULL ? csv : jsonl, .list = &list};
    o.over_http = batch != 0 ? "POST /v1/projects/{project}/batches/{id}/labels" : "POST /v1/projects/{project}/labels";
    gln_status st = gln_session_open(&session, &o, true);
    if (st != GLN_OK) return gln_failed("label", st);
    if (csv != NULL) st = gln_labels_from_csv(&list, csv, on_bad_line, &told);
    else if (jsonl != NULL) st = gln_labels_from_jsonl(&list, jsonl, on_bad_line, &told);
    else if ((st = gln_engine_reader_take(session.engine, &reader)) == GLN_OK) {
        st = gln_labels_from_folders(&list, reader, session.project_id, root, (int64_t)batch);
        gln_engine_reader_give(session.engine, reader);
    }
    if (st == GLN_OK && batch != 0)
        st = gln_engine_batch_return(session.engine, (int64_t)batch, list.items, list.n, source, on_rejected, &told,
                                     &summary);
    else if (st == GLN_OK)
        st = gln_engine_label(session.engine, session.project_id, list.items, list.n, source, add_classes, on_rejected,
                              &told, &summary);
    size_t n_rejected = summary.n_rejected + list.n_bad;
    if (st == GLN_OK && o.json) {
        gln_json *json = gln_json_object();
        gln_json_set_number(json, "taken", (double)summary.n_taken);
        gln_json_set_number(json, "unchanged", (double)summary.n_unchanged);
        gln_json_set_number(json, "rejected", (double)n_rejected);
        gln_print_json(json);
    } else if (st == GLN_OK) {
        printf("%zu labels taken, %zu were there already, %zu rejected\n", summary.n_taken, summary.n_unchanged,
               n_rejected);
    }
    code = st != GLN_OK ? gln_failed("label", st) : strict && n_rejected != 0 ? GLN_EXIT_PARTIAL : GLN_EXIT_OK;
    gln_label_list_dispose(&list);
    gln_session_close(&session);
    return code;
}
