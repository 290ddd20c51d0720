#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

static const gln_usage usage = {
    "ingest", "PATH...",
    "Embeds the photos at or below PATH. Files that were taken before and did not change are passed over; a bad file\n"
    "is refused by name and the rest goes on. Ctrl-C stops it; the next ingest goes on from there.",
    "  gleaner ingest ~/photos\n",
};

/* ---- refusals, by reason ----------------------------------------------------------------------------------------- */

enum { MAX_SHOWN = 20, MAX_REASONS = 12 };

/* Refused files of one run: each by name while they are few, counted by reason beyond that. */
struct refusals {
    int64_t run_id;
    bool by_name;
    size_t n_reasons, n_others;
    struct {
        char words[128], example[GLN_PATH_MAX];
        size_t n;
    } reason[MAX_REASONS];
};

static gln_status note_refusal(void *context, const gln_refusal_row *row)
{
    struct refusals *r = context;
    if (row->run_id != r->run_id) return GLN_OK;
    if (r->by_name) {
        printf("  refused: %s\n", row->reason);
        return GLN_OK;
    }
    /* The sentence begins with the path; the reason is what follows. */
    size_t length = strlen(row->path);
    bool prefixed = strncmp(row->reason, row->path, length) == 0 && strncmp(row->reason + length, ": ", 2) == 0;
    const char *words = prefixed ? row->reason + length + 2 : row->reason;
    for (size_t i = 0; i < r->n_reasons; i++) {
        if (strncmp(r->reason[i].words, words, sizeof r->reason[i].words - 1) != 0) continue;
        r->reason[i].n++;
        return GLN_OK;
    }
    if (r->n_reasons == MAX_REASONS) {
        r->n_others++;
        return GLN_OK;
    }
    snprintf(r->reason[r->n_reasons].words, sizeof r->reason[0].words, "%s", words);
    snprintf(r->reason[r->n_reasons].example, sizeof r->reason[0].example, "%s", row->path);
    r->reason[r->n_reasons++].n = 1;
    return GLN_OK;
}

static void print_refusals(gln_session *session, const gln_ingest_summary *s)
{
    static struct refusals r;
    gln_store *reader = NULL;
    char n[32];
    r = (struct refusals){.run_id = s->run_id, .by_name = s->n_refused <= MAX_SHOWN};
    if (s->n_refused == 0 || gln_engine_reader_take(session->engine, &reader) != GLN_OK) return;
    gln_store_refusals(reader, session->project_id, NULL, SIZE_MAX, note_refusal, &r);
    gln_engine_reader_give(session->engine, reader);
    for (size_t i = 0; i < r.n_reasons; i++)
        printf("  refused %s: %s, such as %s\n", gln_thousands(n, (long long)r.reason[i].n), r.reason[i].words,
               r.reason[i].example);
    if (r.n_others != 0) printf("  refused %s: for other reasons\n", gln_thousands(n, (long long)r.n_others));
    if (!r.by_name) printf("  each by name: GET /v1/projects/%s/refusals\n", session->project);
}

/* ---- the summary ------------------------------------------------------------------------------------------------- */

static void print_text(gln_session *session, const gln_ingest_summary *s)
{
    char found[32], added[32], duplicates[32], unchanged[32], refused[32];
    printf("%s files found: %s new images, %s more names of known images, %s unchanged, %s refused\n",
           gln_thousands(found, (long long)s->n_found), gln_thousands(added, (long long)s->n_added),
           gln_thousands(duplicates, (long long)s->n_duplicates), gln_thousands(unchanged, (long long)s->n_unchanged),
           gln_thousands(refused, (long long)s->n_refused));
    if (s->n_unreadable != 0) printf("%zu folders or links could not be read\n", s->n_unreadable);
    if (s->n_backfilled != 0) printf("%zu vectors made for backbones that lagged behind\n", s->n_backfilled);
    if (s->n_added != 0)
        printf("%.1f images a second, %.1f s in all; %s on %s\n", s->images_per_second, s->seconds,
               gln_precision_name(s->precision), s->device);
    print_refusals(session, s);
}

static void print_json(const gln_session *session, const gln_ingest_summary *s)
{
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "project", session->project);
    gln_json_set_number(json, "run", (double)s->run_id);
    gln_json_set_number(json, "found", (double)s->n_found);
    gln_json_set_number(json, "unchanged", (double)s->n_unchanged);
    gln_json_set_number(json, "added", (double)s->n_added);
    gln_json_set_number(json, "duplicates", (double)s->n_duplicates);
    gln_json_set_number(json, "refused", (double)s->n_refused);
    gln_json_set_number(json, "unreadable", (double)s->n_unreadable);
    gln_json_set_number(json, "backfilled", (double)s->n_backfilled);
    gln_json_set_number(json, "seconds", s->seconds);
    gln_json_set_number(json, "images_per_second", s->images_per_second);
    if (s->device[0] != 0) {
        gln_json_set_string(json, "precision", gln_precision_name(s->precision));
        gln_json_set_string(json, "device", s->device);
    }
    gln_print_json(json);
}

int gln_command_ingest(int argc, char **argv)
{
    gln_common_options o = {.over_http = "POST /v1/projects/{project}/images with {\"paths\": [...]}"};
    bool strict = false, quiet = false;
    const char *precision = NULL;
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        GLN_PROJECT_OPTION(o),
        GLN_PRECISION_OPTION(precision),
        GLN_DEVICE_OPTION(o),
        {"strict", 0, GLN_OPTION_FLAG, &strict, NULL, "exit with 3 when a file was refused"},
        {"quiet", 'q', GLN_OPTION_FLAG, &quiet, NULL, "no progress"},
        GLN_JSON_OPTION(o),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest == 0) return gln_usage_error(&usage, "name at least one folder or file");
    if (!gln_take_precision(&o.precision, precision) || !gln_take_device(&o))
        return gln_usage_error(&usage, "%s", gln_message());

    gln_session session;
    gln_ingest_summary summary;
    gln_status st = gln_session_open(&session, &o, true);
    if (st != GLN_OK) return gln_failed("ingest", st);
    gln_ingest_request request = {
        .project_id = session.project_id, .roots = (const char *const *)rest, .n_roots = n_rest};
    gln_watch watch = gln_session_watch();
    st = gln_engine_ingest(session.engine, &request, quiet ? NULL : &watch, &summary);
    if (st == GLN_OK && o.json) print_json(&session, &summary);
    else if (st == GLN_OK) print_text(&session, &summary);
    code = st != GLN_OK ? gln_failed("ingest", st) : strict && summary.n_refused != 0 ? GLN_EXIT_PARTIAL : GLN_EXIT_OK;
    if (st == GLN_E_CANCELLED)
        fprintf(stderr, "%zu new images are in; the same command goes on from there\n", summary.n_added);
    gln_session_close(&session);
    return code;
}
