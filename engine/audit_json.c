/*
 * Where an audit stands, and telling it.
 *
 * Nothing of this is kept: it follows from the lot, frozen when the audit was asked for, and the labels of the moment.
 *
 * The sample alone bounds the rest: at most `n_may_be_wrong` of the lot - sample images are not what was proposed, at
 * the confidence used. Drawn images without a person's label count as wrong, so what an annotator leaves out as too
 * hard cannot make a lot look better; and since a label that comes in can only lower the limit, an audit may be
 * declared passed before the last one is back.
 *
 * Labels that people give to the rest later were not drawn at random (label checks look where something seems wrong),
 * so they cannot narrow the limit or widen it as a sample would. But they are facts: contradictions are errors found,
 * and once more were found than were said to be possible the claim itself is refuted. So the bound is the larger of the
 * two; a label of the sample that is changed later counts as it is now.
 */
#include "engine/audit.h"

#include "common/clock.h"
#include "common/strbuf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double slack = 1e-12;

gln_status gln_audit_stand(gln_audit_standing *standing, gln_store *store, const gln_audit_row *row)
{
    gln_audit_standing s = {0};
    gln_status st = gln_store_audit_count(store, row->id, &s.counts);
    if (st != GLN_OK) return st;
    size_t lot = (size_t)row->n_images, drawn = (size_t)row->n_drawn;
    s.n_missing = row->n_drawn > s.counts.n_answered ? row->n_drawn - s.counts.n_answered : 0;
    size_t disagree = (size_t)s.counts.n_disagree, wrong = disagree + (size_t)s.n_missing;
    if (drawn >= lot || wrong > drawn)
        return gln_fail(GLN_E_CORRUPT, "audit %lld: its lot makes no sense", (long long)row->id);
    double rest = (double)(lot - drawn);
    s.n_may_be_wrong = (int64_t)(gln_lot_upper(lot, drawn, wrong, row->confidence_used) - wrong);
    s.error_bound = fmax((double)s.n_may_be_wrong, (double)s.counts.n_contradicted) / rest;
    bool holds = s.error_bound <= row->bound + slack;
    if (strcmp(row->state, "accepted") == 0) s.state = holds ? "accepted" : "broken";
    else if (strcmp(row->state, "undone") == 0) s.state = "undone";
    else if (holds) s.state = "passed";
    else if (s.n_missing == 0 || gln_lot_bound(lot, drawn, disagree, row->confidence_used) > row->bound + slack ||
             (double)s.counts.n_contradicted > (row->bound + slack) * rest)
        s.state = "failed";
    else s.state = "auditing";
    *standing = s;
    return GLN_OK;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

struct batch {
    char state[16];
    int64_t n_leased, price_micros;
    double seconds;
};

static gln_status copy_batch(void *context, const gln_batch_row *row)
{
    struct batch *batch = context;
    *batch = (struct batch){.n_leased = row->n_leased, .price_micros = row->price_micros, .seconds = row->seconds};
    snprintf(batch->state, sizeof batch->state, "%s", row->state);
    return GLN_OK;
}

static void say(gln_strbuf *text, const gln_audit_row *row, const gln_audit_standing *s, const struct batch *batch)
{
    long long rest = (long long)(row->n_images - row->n_drawn), drawn = (long long)row->n_drawn;
    double confidence = 100.0 * row->confidence;
    if (strcmp(s->state, "auditing") == 0) {
        gln_strbuf_printf(text, "%lld of %lld labels of the sample are back, %lld disagree; at most %lld may.",
                          (long long)s->counts.n_answered, drawn, (long long)s->counts.n_disagree,
                          (long long)row->n_allowed);
        if (batch->n_leased == 0)
            gln_strbuf_printf(
                text, " Its lease has ended: %lld images are without a label and count as wrong until they have one.",
                (long long)s->n_missing);
    } else if (strcmp(s->state, "failed") == 0) {
        gln_strbuf_printf(
            text, "%lld of %lld disagree, more than the %lld that may: up to %.1f%% of the other %lld may be wrong.",
            (long long)s->counts.n_disagree, drawn, (long long)row->n_allowed, 100.0 * s->error_bound, rest);
    } else if (strcmp(s->state, "passed") == 0) {
        gln_strbuf_printf(
            text,
            "%lld of %lld disagree: at most %.1f%% of the other %lld are wrong, with %.3g%% confidence. They can be "
            "accepted.",
            (long long)s->counts.n_disagree, drawn, 100.0 * s->error_bound, rest, confidence);
    } else if (strcmp(s->state, "undone") == 0) {
        gln_strbuf_printf(text, "Undone: the %lld labels of this acceptance are taken back.",
                          (long long)row->n_accepted);
    } else {
        gln_strbuf_printf(
            text,
            "%lld labels accepted, %lld of them stand; at most %lld of %lld were expected wrong, with %.3g%% "
            "confidence.",
            (long long)row->n_accepted, (long long)s->counts.n_standing, (long long)s->n_may_be_wrong, rest,
            confidence);
        if (s->counts.n_reviewed != 0)
            gln_strbuf_printf(text, " People have looked at %lld since: %lld were wrong.",
                              (long long)s->counts.n_reviewed, (long long)s->counts.n_contradicted);
        if (strcmp(s->state, "broken") == 0)
            gln_strbuf_printf(text, " The bound of %.3g%% no longer holds: undo the acceptance, or look at more of it.",
                              100.0 * row->bound);
    }
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

struct telling {
    gln_store *store;
    gln_classes classes;
    gln_json *json, *list;
    int64_t project_id, after;
    size_t n, limit;
    bool more;
};

static void set_time(gln_json *json, const char *name, int64_t time_ms)
{
    char text[GLN_ISO_TIME_MAX];
    gln_clock_format(text, time_ms);
    gln_json_set_string(json, name, time_ms == 0 ? NULL : text);
}

static const char *name_of(const struct telling *t, int64_t class_id)
{
    int32_t c = class_id == 0 ? GLN_NO_CLASS : gln_classes_find(&t->classes, class_id);
    return c == GLN_NO_CLASS ? NULL : t->classes.name[c];
}

static gln_status add_class(void *context, int64_t class_id, int64_t n_drawn, int64_t n_images)
{
    struct telling *t = context;
    if (name_of(t, class_id) == NULL) return GLN_OK; /* deleted since */
    gln_json *item = gln_json_push(t->list, gln_json_object());
    gln_json_set_string(item, "class", name_of(t, class_id));
    gln_json_set_number(item, "images", (double)n_images);
    gln_json_set_number(item, "sample", (double)n_drawn);
    return GLN_OK;
}

static gln_status tell(struct telling *t, gln_json **out, const gln_audit_row *row)
{
    gln_audit_standing s;
    struct batch batch = {0};
    gln_json *evidence = NULL;
    gln_strbuf words;
    gln_strbuf_init(&words, 1024);
    *out = NULL;
    gln_status st = gln_audit_stand(&s, t->store, row);
    if (st == GLN_OK) st = gln_store_batch_get(t->store, row->batch_id, copy_batch, &batch);
    if (st == GLN_OK) st = gln_json_parse(&evidence, row->evidence, strlen(row->evidence), "evidence of an audit");
    if (st != GLN_OK) {
        gln_strbuf_dispose(&words);
        return st;
    }
    bool accepted = row->accepted_ms != 0;
    say(&words, row, &s, &batch);
    gln_json *json = *out = gln_json_object();
    gln_json_set_number(json, "id", (double)row->id);
    gln_json_set_string(json, "kind", row->kind);
    gln_json_set_number(json, "cluster", row->cluster_id == 0 ? (double)NAN : (double)row->cluster_id);
    gln_json_set_string(json, "class", name_of(t, row->class_id));
    gln_json_set_string(json, "state", s.state);
    gln_json_set_string(json, "words", words.data);
    gln_json_set_number(json, "bound", row->bound);
    gln_json_set_number(json, "confidence", row->confidence);
    gln_json_set_number(json, "confidence_used", row->confidence_used);
    gln_json_set_number(json, "attempt", (double)row->attempt);
    gln_json_set_number(json, "images", (double)row->n_images);
    gln_json_set_number(json, "sample", (double)row->n_drawn);
    gln_json_set_number(json, "allowed", (double)row->n_allowed);
    gln_json_set_number(json, "answered", (double)s.counts.n_answered);
    gln_json_set_number(json, "disagree", (double)s.counts.n_disagree);
    gln_json_set_number(json, "may_be_wrong", (double)s.n_may_be_wrong);
    gln_json_set_number(json, "error_bound", s.error_bound);
    gln_json_set_number(json, "accepted_bound", row->accepted_bound);
    gln_json_set_number(json, "labels", (double)row->n_accepted);
    gln_json_set_number(json, "standing", (double)s.counts.n_standing);
    gln_json_set_number(json, "reviewed", (double)s.counts.n_reviewed);
    gln_json_set_number(json, "contradicted", (double)s.counts.n_contradicted);
    gln_json_set_number(json, "batch", (double)row->batch_id);
    gln_json_set_string(json, "batch_state", batch.state);
    gln_json_set_number(json, "price", (double)batch.price_micros / 1e6);
    gln_json_set_number(json, "minutes", batch.seconds / 60.0);
    gln_json_set_number(json, "run", (double)row->run_id);
    gln_json_set_number(json, "seed", (double)row->seed);
    gln_json_set_string(json, "requested_by", row->requested_by);
    gln_json_set_string(json, "accepted_by", accepted ? row->accepted_by : NULL);
    set_time(json, "created", row->created_ms);
    set_time(json, "accepted", row->accepted_ms);
    set_time(json, "undone", row->undone_ms);
    gln_json_set(json, "evidence", evidence);
    t->list = gln_json_set(json, "classes", gln_json_array());
    gln_strbuf_dispose(&words);
    return gln_store_audit_classes(t->store, row->id, add_class, t);
}

static gln_status tell_one(void *context, const gln_audit_row *row)
{
    struct telling *t = context;
    if (row->project_id != t->project_id)
        return gln_fail(GLN_E_NOT_FOUND, "this project has no audit %lld", (long long)row->id);
    return tell(t, &t->json, row);
}

gln_status gln_audit_json(gln_json **out, gln_store *store, int64_t project_id, int64_t audit_id)
{
    struct telling t = {.store = store, .project_id = project_id};
    gln_status st = gln_classes_read(store, project_id, &t.classes);
    if (st == GLN_OK) st = gln_store_audit_get(store, audit_id, tell_one, &t);
    gln_classes_dispose(&t.classes);
    *out = st == GLN_OK ? t.json : NULL;
    if (st != GLN_OK) gln_json_free(t.json);
    return st;
}

static gln_status tell_next(void *context, const gln_audit_row *row)
{
    struct telling *t = context;
    gln_json *json = NULL;
    if (t->n == t->limit) {
        t->more = true;
        return GLN_OK;
    }
    t->n++;
    t->after = row->id;
    gln_json *items = t->json;
    gln_status st = tell(t, &json, row);
    if (json != NULL) gln_json_push(items, json);
    return st;
}

gln_status gln_audits_json(gln_json **out, gln_store *store, int64_t project_id, int64_t before_id, size_t limit)
{
    struct telling t = {.store = store, .project_id = project_id, .limit = limit, .json = gln_json_array()};
    char next[32];
    *out = NULL;
    gln_status st = gln_classes_read(store, project_id, &t.classes);
    if (st == GLN_OK) st = gln_store_audits(store, project_id, before_id, limit + 1, tell_next, &t);
    gln_classes_dispose(&t.classes);
    if (st != GLN_OK) {
        gln_json_free(t.json);
        return st;
    }
    snprintf(next, sizeof next, "%" PRId64, t.after);
    *out = gln_json_object();
    gln_json_set(*out, "items", t.json);
    gln_json_set_string(*out, "next", t.more ? next : NULL);
    return GLN_OK;
}
