/*
 * From a proposal to labels: an audit draws a random sample of the lot and leases it as a batch of its own; acceptance
 * writes the rest; undoing takes it back.
 *
 * The lot is frozen when the audit is asked for, in audit_image. A resample may move images to other clusters
 * meanwhile: what the sample says is about the images that it was drawn from. Items of the batch do not say what is
 * proposed, so that whoever labels them is not led.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/memory.h"
#include "common/rng.h"
#include "engine/audit.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct taking {
    const gln_audit_request *request;
    gln_proposal_options options;
    gln_moment now;
    gln_proposal_view view;
    gln_proposal proposal;
    uint32_t *image;   /* [n] the lot, the drawn ones first, in the order drawn */
    int32_t *class;    /* [n] */
    size_t n;
    uint64_t seed;
};

static void dispose(struct taking *t)
{
    gln_proposal_view_dispose(&t->view);
    gln_moment_give(&t->now);
    gln_free(t->image);
    gln_free(t->class);
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static gln_status check_request(struct taking *t)
{
    const gln_audit_request *request = t->request;
    bool cluster = request->kind != NULL && strcmp(request->kind, "cluster") == 0;
    if (request->kind == NULL ||
        (!cluster && strcmp(request->kind, "clusters") != 0 && strcmp(request->kind, "duplicates") != 0))
        return gln_fail(GLN_E_ARGUMENT, "kind: \"%.40s\" is not cluster, clusters or duplicates",
                        request->kind == NULL ? "" : request->kind);
    if (cluster && (request->cluster_id <= 0 || request->class_name == NULL))
        return gln_fail(GLN_E_ARGUMENT, "cluster and class: both are needed to name a proposal of kind cluster");
    if (!cluster && (request->cluster_id != 0 || request->class_name != NULL))
        return gln_fail(GLN_E_ARGUMENT, "cluster and class: only a proposal of kind cluster is named by them");
    if (request->size > MAX_BATCH)
        return gln_fail(GLN_E_ARGUMENT, "size: %zu images; at most %d in one batch", request->size, MAX_BATCH);
    gln_status st = gln_lease_terms_check(request->lease_ms, request->holder, request->idempotency_key);
    return st == GLN_OK ? gln_proposal_options_read(&t->options, request->bound, request->confidence) : st;
}

/* The proposal that the request names, among those of this moment. */
static gln_status find_proposal(struct taking *t)
{
    const gln_audit_request *request = t->request;
    bool cluster = strcmp(request->kind, "cluster") == 0;
    gln_proposals proposals = {0};
    size_t position = SIZE_MAX, found = SIZE_MAX;
    int32_t class = GLN_NO_CLASS;
    if (cluster) {
        if ((position = gln_moment_cluster(&t->now, request->cluster_id)) == SIZE_MAX)
            return gln_fail(GLN_E_NOT_FOUND, "cluster: there is no cluster %lld in project %s now",
                            (long long)request->cluster_id, t->now.project.name);
        if ((class = gln_classes_find_name(&t->now.classes, request->class_name)) == GLN_NO_CLASS)
            return gln_fail(GLN_E_NOT_FOUND, "class: project %s has no class \"%.100s\"", t->now.project.name,
                            request->class_name);
    }
    gln_status st = gln_proposal_view_make(&t->view, &t->now);
    if (st == GLN_OK) st = gln_proposals_find(&proposals, &t->view.pool, &t->options);
    for (size_t i = 0; st == GLN_OK && i < proposals.n; i++)
        if (strcmp(gln_proposal_kind_name(proposals.item[i].kind), request->kind) == 0 &&
            (!cluster || (proposals.item[i].cluster == position && proposals.item[i].class == class)))
            found = i;
    if (st == GLN_OK && found == SIZE_MAX)
        st = cluster ? gln_fail(GLN_E_CONFLICT, "nothing is proposed for cluster %lld and %.100s now",
                                (long long)request->cluster_id, request->class_name)
                     : gln_fail(GLN_E_CONFLICT, "nothing is proposed of kind %s now", request->kind);
    if (st == GLN_OK) t->proposal = proposals.item[found];
    gln_proposals_dispose(&proposals);
    return st;
}

/* How many to draw, and how many of them may disagree. */
static gln_status plan(struct taking *t)
{
    gln_proposal *p = &t->proposal;
    size_t attempt = 0;
    gln_status st = gln_proposal_attempt(p, &attempt, &t->now);
    if (st != GLN_OK) return st;
    size_t size = t->request->size;
    if (size != 0 && size >= p->n_images)
        return gln_fail(GLN_E_ARGUMENT, "size: %zu of %zu images leave nothing to accept", size, p->n_images);
    if (size != 0 && !gln_proposal_resize(p, &t->options, attempt, size))
        return gln_fail(GLN_E_ARGUMENT, "size: %zu of %zu cannot show that at most %.3g%% are wrong, even if all agree",
                        size, p->n_images, 100.0 * t->options.bound);
    if (size == 0 && !gln_proposal_replan(p, &t->options, attempt))
        return gln_fail(GLN_E_CONFLICT,
                        "after %zu audits of this group another one would cost about as much as it saves", attempt - 1);
    return p->plan.sample <= MAX_BATCH
               ? GLN_OK
               : gln_fail(GLN_E_LIMIT, "an audit of %zu images: at most %d", p->plan.sample, MAX_BATCH);
}

/* Simple random sampling without replacement: the first steps of a shuffle. */
static gln_status draw(struct taking *t)
{
    gln_rng rng;
    gln_status st = GLN_OK;
    t->seed = t->request->seed;
    if (t->seed == 0) st = gln_moment_seed(&t->seed);
    if (st == GLN_OK) st = gln_proposal_images(&t->image, &t->class, &t->n, &t->view.pool, &t->proposal);
    if (st != GLN_OK) return st;
    if (t->n != t->proposal.n_images)
        return gln_fail(GLN_E_INTERNAL, "a lot of %zu images has %zu", t->proposal.n_images, t->n);
    gln_rng_seed(&rng, t->seed);
    for (size_t i = 0; i < t->proposal.plan.sample; i++) {
        size_t j = i + gln_rng_below(&rng, t->n - i);
        uint32_t image = t->image[j];
        int32_t class = t->class[j];
        t->image[j] = t->image[i];
        t->class[j] = t->class[i];
        t->image[i] = image;
        t->class[i] = class;
    }
    return GLN_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static gln_status write_items(const struct taking *t, gln_store *store, int64_t batch_id, int64_t now_ms)
{
    const gln_state *state = t->now.state;
    size_t n = t->proposal.plan.sample;
    gln_ledger_row reserve = {.project_id = t->now.project.id, .batch_id = batch_id, .kind = "reserve", .note = "",
                              .created_ms = now_ms};
    gln_status st = GLN_OK;
    for (size_t i = 0; i < n && st == GLN_OK; i++) {
        char reason[128];
        snprintf(reason, sizeof reason, "random check of a group, %zu of %zu: label it as any other", n, t->n);
        gln_batch_item_row item = {
            .batch_id = batch_id,
            .position = (int64_t)i,
            .image_id = state->image_id[t->image[i]],
            .state = "leased",
            .arm = "proposal",
            .reason = reason,
            .cluster_id = state->cluster_id[state->cluster[t->image[i]]],
            .represents = 1,
            .p_predicted = NAN,
            .p_runner_up = NAN,
            .nearest_similarity = NAN,
            .gain = NAN,
            .seconds = gln_moment_seconds(&t->now, t->image[i], t->class[i]),
            .inclusion_probability = (double)n / (double)t->n,
            .price_micros = llround(t->now.classes.price[t->class[i]] * 1e6),
            .p_wrong = NAN,
        };
        reserve.amount_micros += item.price_micros;
        reserve.seconds += item.seconds;
        st = gln_store_batch_item_add(store, &item);
    }
    return st == GLN_OK ? gln_store_ledger_add(store, &reserve) : st;
}

static char *evidence_text(const struct taking *t)
{
    double price = 0.0, seconds = 0.0;
    for (size_t i = 0; i < t->proposal.plan.sample; i++) {
        price += t->now.classes.price[t->class[i]];
        seconds += gln_moment_seconds(&t->now, t->image[i], t->class[i]);
    }
    gln_json *json = gln_proposal_json(&t->proposal, &t->now, &t->options, price, seconds);
    char *text = gln_json_print(json, false);
    gln_json_free(json);
    return text;
}

/* What a batch says about itself, for one that chooses nothing. */
static char *feasibility_text(const struct taking *t)
{
    char words[160];
    gln_json *json = gln_json_object();
    snprintf(words, sizeof words, "a random sample of a group of %zu images that a label is proposed for", t->n);
    gln_json_set_string(json, "words", words);
    gln_json_set_number(json, "available", (double)t->n);
    gln_json_set_null(json, "coverage");
    gln_json_set(json, "classes", gln_json_array());
    gln_json_set_null(json, "drift");
    gln_json_set_null(json, "relabel");
    char *text = gln_json_print(json, false);
    gln_json_free(json);
    return text;
}

static gln_status write(struct taking *t, gln_store *store, const char *request, const uint8_t sha256[32],
                        gln_batch_row *batch, const char *evidence, int64_t *out_id)
{
    const gln_audit_request *asked = t->request;
    const gln_proposal *p = &t->proposal;
    gln_audit_row row = {
        .project_id = t->now.project.id,
        .kind = gln_proposal_kind_name(p->kind),
        .cluster_id = asked->cluster_id,
        .class_id = p->class == GLN_NO_CLASS ? 0 : t->now.classes.id[p->class],
        .attempt = (int64_t)t->proposal.attempt,
        .bound = t->options.bound,
        .confidence = t->options.confidence,
        .confidence_used = gln_lot_confidence(t->options.confidence, t->proposal.attempt),
        .n_images = (int64_t)t->n,
        .n_drawn = (int64_t)p->plan.sample,
        .n_allowed = (int64_t)p->plan.allowed,
        .evidence = evidence,
        .seed = (int64_t)t->seed,
        .run_id = t->now.state->run_id,
        .requested_by = asked->requested_by,
        .idempotency_key = asked->idempotency_key,
        .created_ms = batch->created_ms,
    };
    memcpy(row.request_sha256, sha256, sizeof row.request_sha256);
    batch->request = request;
    gln_status st = gln_store_batch_add(store, batch, &row.batch_id);
    if (st == GLN_OK) st = write_items(t, store, row.batch_id, batch->created_ms);
    if (st == GLN_OK) st = gln_store_audit_add(store, &row, out_id);
    for (size_t i = 0; st == GLN_OK && i < t->n; i++)
        st = gln_store_audit_image_add(store, *out_id, t->now.state->image_id[t->image[i]],
                                       t->now.classes.id[t->class[i]], i < p->plan.sample);
    return st;
}

static gln_status write_audit(struct taking *t, const char *request, const uint8_t sha256[32], int64_t *out_id)
{
    gln_store *store = NULL;
    int64_t now_ms = gln_clock_ms();
    char *feasibility = feasibility_text(t), *evidence = evidence_text(t);
    gln_batch_row batch = {
        .project_id = t->now.project.id,
        .state = "leased",
        .holder = t->request->holder == NULL ? "" : t->request->holder,
        .feasibility = feasibility,
        .seed = (int64_t)t->seed,
        .run_id = t->now.state->run_id,
        .created_ms = now_ms,
        .expires_ms = now_ms + (t->request->lease_ms != 0 ? t->request->lease_ms : GLN_LEASE_DEFAULT_MS),
    };
    gln_status st = feasibility == NULL || evidence == NULL ? GLN_E_MEMORY : GLN_OK;
    if (st == GLN_OK) st = gln_moment_manifest(&t->now, t->image, t->proposal.plan.sample, batch.manifest_sha256);
    if (st == GLN_OK && (st = gln_engine_write_begin(t->now.engine, &store)) == GLN_OK)
        st = gln_engine_write_end(t->now.engine, write(t, store, request, sha256, &batch, evidence, out_id));
    gln_free(feasibility);
    gln_free(evidence);
    return st;
}

/* The request as JSON, for callers that did not come with a JSON text. */
static char *request_text(const gln_audit_request *request)
{
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "kind", request->kind);
    if (request->cluster_id != 0) gln_json_set_number(json, "cluster", (double)request->cluster_id);
    if (request->class_name != NULL) gln_json_set_string(json, "class", request->class_name);
    if (!isnan(request->bound)) gln_json_set_number(json, "bound", request->bound);
    if (!isnan(request->confidence)) gln_json_set_number(json, "confidence", request->confidence);
    if (request->size != 0) gln_json_set_number(json, "size", (double)request->size);
    if (request->seed != 0) gln_json_set_number(json, "seed", (double)request->seed);
    if (request->lease_ms != 0) gln_json_set_number(json, "lease_hours", (double)request->lease_ms / 3600000.0);
    if (request->holder != NULL) gln_json_set_string(json, "holder", request->holder);
    char *text = gln_json_print(json, false);
    gln_json_free(json);
    return text;
}

struct same_request {
    const uint8_t *sha256;
    bool same;
};

static gln_status compare_request(void *context, const gln_audit_row *row)
{
    struct same_request *same = context;
    same->same = memcmp(row->request_sha256, same->sha256, sizeof row->request_sha256) == 0;
    return GLN_OK;
}

/* *out_id: the audit that this key gave before, 0 when it is new. */
static gln_status find_repeated(gln_engine *engine, const gln_audit_request *request, const uint8_t sha256[32],
                                int64_t *out_id)
{
    gln_store *reader = NULL;
    struct same_request same = {.sha256 = sha256};
    *out_id = 0;
    if (request->idempotency_key == NULL) return GLN_OK;
    gln_status st = gln_engine_reader_take(engine, &reader);
    if (st != GLN_OK) return st;
    st = gln_store_audit_by_key(reader, request->project_id, request->idempotency_key, out_id);
    if (st == GLN_OK && *out_id != 0) st = gln_store_audit_get(reader, *out_id, compare_request, &same);
    gln_engine_reader_give(engine, reader);
    if (st == GLN_OK && *out_id != 0 && !same.same)
        st = gln_fail(GLN_E_ARGUMENT, "Idempotency-Key: this key was used before, with another request");
    return st;
}

gln_status gln_engine_audit_take(gln_engine *engine, const gln_audit_request *request, int64_t *out_audit_id)
{
    struct taking t = {.request = request, .now = {.engine = engine}};
    uint8_t sha256[GLN_SHA256_BYTES];
    char *made = NULL;
    *out_audit_id = 0;
    gln_status st = check_request(&t);
    if (st != GLN_OK) return st;
    const char *text = request->request_text;
    if (text == NULL && (text = made = request_text(request)) == NULL) return GLN_E_MEMORY;
    gln_sha256(sha256, text, strlen(text));

    pthread_mutex_lock(&engine->batch);
    st = find_repeated(engine, request, sha256, out_audit_id);
    if (st == GLN_OK && *out_audit_id == 0) {
        st = gln_leases_expire(engine);
        if (st == GLN_OK) st = gln_moment_take(&t.now, engine, request->project_id);
        if (st == GLN_OK) st = find_proposal(&t);
        if (st == GLN_OK) st = plan(&t);
        if (st == GLN_OK) st = draw(&t);
        if (st == GLN_OK) st = write_audit(&t, text, sha256, out_audit_id);
    }
    pthread_mutex_unlock(&engine->batch);
    dispose(&t);
    gln_free(made);
    return st;
}

/* ---- acceptance -------------------------------------------------------------------------------------------------- */

struct standing {
    gln_store *store;
    gln_audit_standing now;
    int64_t n_images, n_drawn, n_allowed;
};

static gln_status stand(void *context, const gln_audit_row *row)
{
    struct standing *s = context;
    s->n_images = row->n_images;
    s->n_drawn = row->n_drawn;
    s->n_allowed = row->n_allowed;
    return gln_audit_stand(&s->now, s->store, row);
}

static bool is_accepted(const struct standing *s)
{
    return strcmp(s->now.state, "accepted") == 0 || strcmp(s->now.state, "broken") == 0;
}

static gln_status refuse(int64_t id, const struct standing *s)
{
    if (strcmp(s->now.state, "undone") == 0)
        return gln_fail(GLN_E_CONFLICT, "audit %lld was accepted and undone; ask for a new one", (long long)id);
    if (strcmp(s->now.state, "auditing") == 0)
        return gln_fail(GLN_E_CONFLICT,
                        "audit %lld is not done: %lld of its %lld images are without a label by a person",
                        (long long)id, (long long)s->now.n_missing, (long long)s->n_drawn);
    return gln_fail(GLN_E_CONFLICT, "audit %lld failed: %lld of %lld disagree, at most %lld may", (long long)id,
                    (long long)s->now.counts.n_disagree, (long long)s->n_drawn, (long long)s->n_allowed);
}

gln_status gln_engine_audit_accept(gln_engine *engine, int64_t audit_id, const char *who)
{
    struct standing s = {0};
    int64_t n = 0;
    gln_status st = gln_engine_write_begin(engine, &s.store);
    if (st != GLN_OK) return st;
    st = gln_store_audit_get(s.store, audit_id, stand, &s);
    if (st == GLN_OK && !is_accepted(&s)) {
        if (strcmp(s.now.state, "passed") != 0) st = refuse(audit_id, &s);
        else st = gln_store_audit_accept(s.store, audit_id, who, s.now.error_bound, gln_clock_ms(), &n);
    }
    return gln_engine_write_end(engine, st);
}

gln_status gln_engine_audit_undo(gln_engine *engine, int64_t audit_id)
{
    struct standing s = {0};
    int64_t n = 0;
    gln_status st = gln_engine_write_begin(engine, &s.store);
    if (st != GLN_OK) return st;
    st = gln_store_audit_get(s.store, audit_id, stand, &s);
    if (st == GLN_OK && is_accepted(&s)) st = gln_store_audit_undo(s.store, audit_id, gln_clock_ms(), &n);
    else if (st == GLN_OK && strcmp(s.now.state, "undone") != 0)
        st = gln_fail(GLN_E_CONFLICT, "audit %lld was never accepted: there is nothing to undo", (long long)audit_id);
    return gln_engine_write_end(engine, st);
}
