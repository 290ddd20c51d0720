/* gleaner propose: labels for many images at once, by an audit of a random sample. */
#include "cli/commands.h"
#include "engine/proposals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const gln_usage usage = {
    "propose", "",
    "Lists groups of images that a label could be given to all at once: what the classifier calls one class inside\n"
    "one cluster, the surest of all clusters together, and near-duplicates of labelled images. --audit leases a\n"
    "random sample of one group as a batch; once its labels are back (`gleaner label --batch`, or over HTTP) --accept\n"
    "gives the rest the proposed label, if the sample shows that few enough are wrong. --undo takes all of them back,\n"
    "at any time. --audits lists what was asked for. Listing and --show work beside a running server.",
    "  gleaner propose --bound 0.05\n"
    "  gleaner propose --audit --cluster 17 --class print\n"
    "  gleaner propose --audit --clusters\n"
    "  gleaner propose --accept 3\n",
};

static double number(const gln_json *json, const char *name)
{
    return gln_json_number(gln_json_get(json, name), NAN);
}

static const char *text(const gln_json *json, const char *name, const char *otherwise)
{
    const char *value = gln_json_string(gln_json_get(json, name));
    return value != NULL ? value : otherwise;
}

static void print_proposals(const gln_json *json, size_t limit)
{
    const gln_json *items = gln_json_get(json, "items");
    size_t n = 0;
    printf("%s\n", text(json, "words", ""));
    for (const gln_json *p = gln_json_first(items); p != NULL && n < limit; p = gln_json_next(p), n++) {
        if (n == 0)
            printf("\n  %-10s %7s  %-20s %7s %7s %8s %7s  %s\n", "kind", "cluster", "class", "images", "audit",
                   "may differ", "saves", "passes");
        bool cluster = strcmp(text(p, "kind", ""), "cluster") == 0;
        char id[24] = "";
        if (cluster) snprintf(id, sizeof id, "%.0f", number(p, "cluster"));
        printf("  %-10s %7s  %-20.20s %7.0f %7.0f %10.0f %7.0f  %.0f%%\n", text(p, "kind", ""), id,
               text(p, "class", "each its own"), number(p, "images"), number(p, "sample"), number(p, "allowed"),
               number(p, "saves"), 100.0 * number(p, "p_pass"));
    }
    if (gln_json_count(items) > limit) printf("  ... and %zu more: --all\n", gln_json_count(items) - limit);
    if (gln_json_count(items) != 0) printf("\n%s\n", text(gln_json_first(items), "words", ""));
}

static void print_audit(const gln_json *json)
{
    bool cluster = strcmp(text(json, "kind", ""), "cluster") == 0;
    printf("audit %.0f: ", number(json, "id"));
    if (cluster) printf("cluster %.0f, %s, ", number(json, "cluster"), text(json, "class", "a class that was deleted"));
    else printf("%s, ", strcmp(text(json, "kind", ""), "clusters") == 0 ? "all clusters" : "near-duplicates");
    printf("%.0f images, batch %.0f with %.0f of them: %s\n  %s\n", number(json, "images"), number(json, "batch"),
           number(json, "sample"), text(json, "state", ""), text(json, "words", ""));
}

static void print_audits(const gln_json *json)
{
    const gln_json *items = gln_json_get(json, "items");
    if (gln_json_count(items) == 0) printf("No audit was asked for yet.\n");
    for (const gln_json *a = gln_json_first(items); a != NULL; a = gln_json_next(a)) print_audit(a);
}

/* What the options ask for; exactly one. */
struct asked {
    bool audit, clusters, duplicates, audits, all;
    size_t cluster, size, seed, accept, undo, show;
    double bound, confidence, lease_hours;
    const char *class_name, *holder, *key;
};

static gln_status do_it(gln_json **out, gln_session *session, const struct asked *a)
{
    gln_engine *engine = session->engine;
    gln_store *reader = NULL;
    int64_t id = (int64_t)(a->accept + a->undo + a->show);
    gln_status st = GLN_OK;
    gln_json *mine = NULL;
    if (a->audit) {
        gln_audit_request request = {
            .project_id = session->project_id,
            .kind = a->duplicates ? "duplicates"
                    : a->clusters ? "clusters"
                                  : "cluster",
            .cluster_id = (int64_t)a->cluster,
            .class_name = a->class_name,
            .bound = a->bound,
            .confidence = a->confidence,
            .size = a->size,
            .seed = a->seed,
            .lease_ms = llround(fmin(fmax(a->lease_hours, -1.0), 1e6) * 3600000.0),
            .holder = a->holder,
            .idempotency_key = a->key,
        };
        st = gln_engine_audit_take(engine, &request, &id);
    } else if (!a->audits && id == 0) {
        return gln_engine_proposals(out, engine, session->project_id, a->bound, a->confidence);
    }
    if (st == GLN_OK) st = gln_engine_reader_take(engine, &reader);
    if (st != GLN_OK) return st;
    /* An id of another project is none of this one. */
    if (id != 0 && (st = gln_audit_json(&mine, reader, session->project_id, id)) == GLN_OK) {
        gln_json_free(mine);
        if (a->accept != 0) st = gln_engine_audit_accept(engine, id, "");
        if (a->undo != 0) st = gln_engine_audit_undo(engine, id);
    }
    if (st == GLN_OK) st = a->audits ? gln_audits_json(out, reader, session->project_id, 0, a->all ? 1000000 : 20)
                                     : gln_audit_json(out, reader, session->project_id, id);
    gln_engine_reader_give(engine, reader);
    return st;
}

int gln_command_propose(int argc, char **argv)
{
    gln_common_options o = {0};
    struct asked a = {.bound = NAN, .confidence = NAN};
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        GLN_PROJECT_OPTION(o),
        {"bound", 'b', GLN_OPTION_NUMBER, &a.bound, "X",
         "share of the accepted labels that may be wrong (default: 0.05)"},
        {"confidence", 0, GLN_OPTION_NUMBER, &a.confidence, "X", "with which an audit has to show it (default: 0.95)"},
        {"audit", 0, GLN_OPTION_FLAG, &a.audit, NULL,
         "lease a random sample; --cluster and --class, --clusters or --duplicates say of what"},
        {"cluster", 0, GLN_OPTION_SIZE, &a.cluster, "ID", "the cluster of a proposal"},
        {"class", 'c', GLN_OPTION_TEXT, &a.class_name, "NAME", "its class"},
        {"clusters", 0, GLN_OPTION_FLAG, &a.clusters, NULL,
         "the surest of all clusters, each image as it is predicted"},
        {"duplicates", 0, GLN_OPTION_FLAG, &a.duplicates, NULL, "near-duplicates of labelled images"},
        {"size", 'n', GLN_OPTION_SIZE, &a.size, "N", "images to look at (default: as planned)"},
        {"seed", 's', GLN_OPTION_SIZE, &a.seed, "N", "of the sample (default: picked)"},
        {"lease-hours", 0, GLN_OPTION_NUMBER, &a.lease_hours, "X", "how long it is reserved (default: 24)"},
        {"holder", 0, GLN_OPTION_TEXT, &a.holder, "NAME", "who labels it"},
        {"key", 0, GLN_OPTION_TEXT, &a.key, "TEXT", "idempotency key: the same key and request give the same audit"},
        {"audits", 0, GLN_OPTION_FLAG, &a.audits, NULL, "list audits, newest first"},
        {"show", 0, GLN_OPTION_SIZE, &a.show, "ID", "print an audit"},
        {"accept", 0, GLN_OPTION_SIZE, &a.accept, "ID", "write the proposed labels of an audit that passed"},
        {"undo", 0, GLN_OPTION_SIZE, &a.undo, "ID", "take back the labels of an acceptance"},
        {"all", 'a', GLN_OPTION_FLAG, &a.all, NULL, "print all, not the first 20"},
        GLN_JSON_OPTION(o),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest != 0) return gln_usage_error(&usage, "unexpected argument %s", rest[0]);
    if ((a.audit ? 1 : 0) + (a.audits ? 1 : 0) + (a.show != 0) + (a.accept != 0) + (a.undo != 0) > 1)
        return gln_usage_error(&usage, "one of --audit, --audits, --show, --accept and --undo at a time");
    if (!a.audit && (a.clusters || a.duplicates || a.cluster != 0 || a.class_name != NULL || a.size != 0))
        return gln_usage_error(&usage, "--cluster, --class, --clusters, --duplicates and --size go with --audit");
    if (a.audit && (a.clusters ? 1 : 0) + (a.duplicates ? 1 : 0) + (a.cluster != 0 && a.class_name != NULL) != 1)
        return gln_usage_error(&usage, "--audit: say of what: --cluster and --class, --clusters, or --duplicates");
    gln_session session;
    gln_json *json = NULL;
    bool writes = a.audit || a.accept != 0 || a.undo != 0;
    o.over_http = a.audit         ? "POST /v1/projects/{project}/audits"
                  : a.accept != 0 ? "POST /v1/projects/{project}/audits/{id}/accept"
                                  : "POST /v1/projects/{project}/audits/{id}/undo";
    gln_status st = writes ? gln_session_open(&session, &o, true) : gln_session_open_reading(&session, &o, true);
    if (st != GLN_OK) return gln_failed("propose", st);
    st = do_it(&json, &session, &a);
    gln_session_close(&session);
    if (st != GLN_OK) return gln_failed("propose", st);
    if (o.json) {
        gln_print_json(json);
        return GLN_EXIT_OK;
    }
    if (a.audits) print_audits(json);
    else if (a.audit || a.show != 0 || a.accept != 0 || a.undo != 0) print_audit(json);
    else print_proposals(json, a.all ? SIZE_MAX : 20);
    gln_json_free(json);
    return GLN_EXIT_OK;
}
