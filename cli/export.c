#include "cli/commands.h"
#include "common/clock.h"
#include "common/memory.h"
#include "engine/proposals.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const gln_usage usage = {
    "export", "",
    "Writes the current labels of a project, or with --batch the images of a batch, as CSV or JSON lines. Labels that\n"
    "no person gave have the source \"proposed\", with the audit that they were accepted after and the share of its\n"
    "labels that may be wrong; --people leaves them out (not with --batch). Takes no lock: works beside a running\n"
    "server.",
    "  gleaner export --format csv --output labels.csv\n"
    "  gleaner export --batch 3 --format jsonl\n",
};

struct exporting {
    FILE *out;
    gln_store *store;
    bool csv, people;
    size_t n;
    int64_t project_id, audit_id; /* the audit that `bound` is of: labels of one lie together */
    double bound;
    const gln_label_row *label;   /* while its image is looked up */
};

/* The error bound of the acceptance that wrote a label, as it stands now; NaN for others. */
static gln_status find_bound(struct exporting *e, int64_t audit_id)
{
    gln_json *audit = NULL;
    if (audit_id == e->audit_id) return GLN_OK;
    gln_status st = audit_id == 0 ? GLN_OK : gln_audit_json(&audit, e->store, e->project_id, audit_id);
    e->audit_id = audit_id;
    e->bound = gln_json_number(gln_json_get(audit, "error_bound"), NAN);
    gln_json_free(audit);
    return st;
}

/* A CSV field, quoted where RFC 4180 wants it. A leading =, +, - or @ is left alone: the file is for programs. */
static void put_field(FILE *out, const char *text, bool last)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
    } else {
        putc('"', out);
        for (const char *c = text; *c != 0; c++) {
            if (*c == '"') putc('"', out);
            putc(*c, out);
        }
        putc('"', out);
    }
    putc(last ? '\n' : ',', out);
}

static void put_json_line(FILE *out, gln_json *json)
{
    char *text = gln_json_print(json, false);
    if (text != NULL) fprintf(out, "%s\n", text);
    gln_free(text);
    gln_json_free(json);
}

static gln_status export_label(void *context, const gln_image_row *image)
{
    struct exporting *e = context;
    const gln_label_row *label = e->label;
    char at[GLN_ISO_TIME_MAX], id[24], seconds[32] = "", audit[24] = "", bound[32] = "";
    gln_status st = find_bound(e, label->audit_id);
    if (st != GLN_OK) return st;
    gln_clock_format(at, label->created_ms);
    e->n++;
    if (e->csv) {
        snprintf(id, sizeof id, "%lld", (long long)image->id);
        if (!isnan(label->seconds)) snprintf(seconds, sizeof seconds, "%g", label->seconds);
        put_field(e->out, id, false);
        put_field(e->out, image->path, false);
        put_field(e->out, label->class_name, false);
        put_field(e->out, label->annotator, false);
        put_field(e->out, seconds, false);
        put_field(e->out, label->source, false);
        if (label->audit_id != 0) {
            snprintf(audit, sizeof audit, "%lld", (long long)label->audit_id);
            snprintf(bound, sizeof bound, "%.4g", e->bound);
        }
        put_field(e->out, at, false);
        put_field(e->out, audit, false);
        put_field(e->out, bound, true);
        return GLN_OK;
    }
    gln_json *json = gln_json_object();
    gln_json_set_number(json, "image", (double)image->id);
    gln_json_set_string(json, "path", image->path);
    gln_json_set_string(json, "class", label->class_name);
    gln_json_set_string(json, "annotator", label->annotator);
    gln_json_set_number(json, "seconds", label->seconds);
    gln_json_set_string(json, "source", label->source);
    gln_json_set_string(json, "at", at);
    gln_json_set_number(json, "audit", label->audit_id == 0 ? (double)NAN : (double)label->audit_id);
    gln_json_set_number(json, "error_bound", e->bound);
    put_json_line(e->out, json);
    return GLN_OK;
}

static gln_status on_label(void *context, const gln_label_row *label)
{
    struct exporting *e = context;
    e->label = label;
    if (e->people && strcmp(label->source, "proposed") == 0) return GLN_OK;
    return gln_store_image_get(e->store, label->image_id, export_label, e);
}

static gln_status on_item(void *context, const gln_batch_item_row *item)
{
    struct exporting *e = context;
    char id[24];
    e->n++;
    if (e->csv) {
        snprintf(id, sizeof id, "%lld", (long long)item->image_id);
        put_field(e->out, id, false);
        put_field(e->out, item->path, false);
        put_field(e->out, item->state, false);
        put_field(e->out, item->arm, false);
        put_field(e->out, item->reason, true);
        return GLN_OK;
    }
    gln_json *json = gln_json_object();
    gln_json_set_number(json, "image", (double)item->image_id);
    gln_json_set_string(json, "path", item->path);
    gln_json_set_string(json, "state", item->state);
    gln_json_set_string(json, "arm", item->arm);
    gln_json_set_string(json, "reason", item->reason);
    put_json_line(e->out, json);
    return GLN_OK;
}

static gln_status check_batch(void *context, const gln_batch_row *row)
{
    int64_t project_id = *(int64_t *)context;
    if (row->project_id == project_id) return GLN_OK;
    return gln_fail(GLN_E_NOT_FOUND, "there is no batch %lld in this project", (long long)row->id);
}

int gln_command_export(int argc, char **argv)
{
    gln_common_options o = {0};
    const char *format = "csv", *output = NULL;
    size_t batch = 0;
    struct exporting e = {.out = stdout, .bound = NAN};
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        GLN_PROJECT_OPTION(o),
        {"format", 'f', GLN_OPTION_TEXT, &format, "WORD", "csv or jsonl (default: csv)"},
        {"batch", 'b', GLN_OPTION_SIZE, &batch, "ID", "the images of a batch instead of the labels"},
        {"people", 0, GLN_OPTION_FLAG, &e.people, NULL, "leave out labels that no person gave"},
        {"output", 'o', GLN_OPTION_TEXT, &output, "FILE", "instead of standard output"},
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest != 0) return gln_usage_error(&usage, "unexpected argument %s", rest[0]);
    if (batch != 0 && e.people)
        return gln_usage_error(
            &usage, "--people goes with labels: --batch writes the images of a batch, whoever labelled them");
    e.csv = strcmp(format, "csv") == 0;
    if (!e.csv && strcmp(format, "jsonl") != 0) return gln_usage_error(&usage, "--format %s: csv or jsonl", format);

    int64_t project_id = 0;
    gln_status st = gln_reader_open(&e.store, &o, &project_id);
    e.project_id = project_id;
    if (st == GLN_OK && output != NULL && (e.out = fopen(output, "w")) == NULL)
        st = gln_fail_errno(errno, "%s", output);
    if (st == GLN_OK) st = gln_store_begin_read(e.store);
    if (st == GLN_OK && e.csv)
        fputs(batch != 0 ? "image,path,state,arm,reason\n"
                         : "image,path,class,annotator,seconds,source,at,audit,error_bound\n",
              e.out);
    if (st == GLN_OK && batch != 0) {
        st = gln_store_batch_get(e.store, (int64_t)batch, check_batch, &project_id);
        if (st == GLN_OK) st = gln_store_batch_items(e.store, (int64_t)batch, on_item, &e);
    } else if (st == GLN_OK) {
        st = gln_store_labels(e.store, project_id, 0, SIZE_MAX, on_label, &e);
    }
    if (e.out != NULL && (fflush(e.out) != 0 || ferror(e.out)) && st == GLN_OK)
        st = gln_fail_errno(errno, "%s", output != NULL ? output : "standard output");
    if (output != NULL && e.out != NULL) fclose(e.out);
    gln_store_close(e.store);
    if (st == GLN_OK && output != NULL) fprintf(stderr, "%zu lines written to %s\n", e.n, output);
    return st == GLN_OK ? GLN_EXIT_OK : gln_failed("export", st);
}
