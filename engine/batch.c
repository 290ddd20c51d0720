/*
 * Taking a batch: the published state, the labels and leases of this moment, and a request go into gln_select(); what
 * comes out is written with its reasons, leased, and its money reserved, in one transaction.
 *
 * Batches are chosen one at a time (the batch lock), so that two takers never see the same leases; the database
 * would refuse the second one anyhow (a unique index on leased images).
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/strbuf.h"
#include "engine/internal.h"
#include "sampler/select.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const int64_t default_lease_ms = (int64_t)24 * 3600 * 1000;
static const int64_t max_lease_ms = (int64_t)30 * 24 * 3600 * 1000;

enum { MAX_SIZE = 100000 };

/* What a selection needs, gathered from state, labels and leases. */
struct taking {
    gln_engine *engine;
    const gln_batch_request *request;
    gln_project project;
    gln_classes classes;
    gln_state *state;
    gln_store *reader;
    int32_t *label;          /* [n] */
    uint8_t *unavailable;    /* [n] */
    float *probability;      /* [n, classes.n], owned only when classes were added since the resample */
    double *hit_rate;        /* [classes.n] */
    double *seconds_factor;  /* [state->n_clusters] */
    double *share;           /* [classes.n] */
    const float *known_probability;
    gln_selection selection;
    gln_select_request select;
};

static void dispose(struct taking *t)
{
    gln_selection_dispose(&t->selection);
    gln_engine_reader_give(t->engine, t->reader);
    if (t->state != NULL) gln_state_give(t->engine, t->state);
    gln_classes_dispose(&t->classes);
    gln_free(t->label);
    gln_free(t->unavailable);
    gln_free(t->probability);
    gln_free(t->hit_rate);
    gln_free(t->seconds_factor);
    gln_free(t->share);
}

/* ---- the request ------------------------------------------------------------------------------------------------------ */

static gln_status check_limits(const gln_batch_request *request)
{
    if (request->size == 0 && isnan(request->max_price) && isnan(request->max_minutes))
        return gln_fail(GLN_E_ARGUMENT, "size: say how many images, or a limit: max_price or max_minutes");
    if (request->size > MAX_SIZE)
        return gln_fail(GLN_E_ARGUMENT, "size: %zu images; at most %d in one batch", request->size, MAX_SIZE);
    if (!isnan(request->max_price) && !(request->max_price > 0.0 && request->max_price <= 1e9))
        return gln_fail(GLN_E_ARGUMENT, "max_price: %g is not above 0 and at most a thousand million", request->max_price);
    if (!isnan(request->max_minutes) && !(request->max_minutes > 0.0 && request->max_minutes <= 1e7))
        return gln_fail(GLN_E_ARGUMENT, "max_minutes: %g is not above 0 and at most ten million", request->max_minutes);
    if (!isnan(request->explore_share) && !(request->explore_share >= 0.0 && request->explore_share <= 1.0))
        return gln_fail(GLN_E_ARGUMENT, "explore_share: %g is not between 0 and 1", request->explore_share);
    if (!isnan(request->audit_share) && !(request->audit_share >= 0.0 && request->audit_share <= 1.0))
        return gln_fail(GLN_E_ARGUMENT, "audit_share: %g is not between 0 and 1", request->audit_share);
    if (request->lease_ms < 0 || request->lease_ms > max_lease_ms)
        return gln_fail(GLN_E_ARGUMENT, "lease_hours: a lease lasts at most 720 hours (30 days)");
    if (request->holder != NULL && strlen(request->holder) > 200)
        return gln_fail(GLN_E_ARGUMENT, "holder: at most 200 bytes");
    if (request->idempotency_key != NULL &&
        (request->idempotency_key[0] == 0 || strlen(request->idempotency_key) > 200))
        return gln_fail(GLN_E_ARGUMENT, "Idempotency-Key: 1 to 200 bytes");
    return GLN_OK;
}

/* share [classes]: those named keep what they ask, the others divide the rest equally. */
static gln_status fill_shares(struct taking *t)
{
    const gln_batch_request *request = t->request;
    size_t n = t->classes.n, n_open = 0;
    double named = 0.0;
    gln_status st = gln_alloc(&t->share, n, sizeof *t->share, "target shares");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < n; i++) t->share[i] = request->n_targets == 0 ? t->classes.target_share[i] : NAN;
    for (size_t i = 0; i < request->n_targets; i++) {
        const gln_target *target = &request->targets[i];
        int32_t c = gln_classes_find_name(&t->classes, target->class_name);
        if (c == GLN_NO_CLASS)
            return gln_fail(GLN_E_NOT_FOUND, "targets/%.100s: project %s has no such class", target->class_name, t->project.name);
        if (!(target->share >= 0.0 && target->share <= 1.0))
            return gln_fail(GLN_E_ARGUMENT, "targets/%.100s: %g is not between 0 and 1", target->class_name, target->share);
        t->share[c] = target->share;
    }
    for (size_t i = 0; i < n; i++) {
        if (isnan(t->share[i])) n_open++;
        else named += t->share[i];
    }
    if (named > 1.0 + 1e-6) return gln_fail(GLN_E_ARGUMENT, "targets: the shares add up to %.4g, more than 1", named);
    if (n != 0 && n_open == 0 && named < 1.0 - 1e-6) {
        return gln_fail(GLN_E_ARGUMENT, "targets: every class has a share, yet they add up to %.4g instead of 1", named);
    }
    for (size_t i = 0; i < n; i++)
        if (isnan(t->share[i])) t->share[i] = named < 1.0 ? (1.0 - named) / (double)n_open : 0.0;
    return GLN_OK;
}

/* ---- labels and leases of this moment ---------------------------------------------------------------------------------- */

static gln_status mark_label(void *context, const gln_label_row *row)
{
    struct taking *t = context;
    size_t i = gln_state_find(t->state, row->image_id);
    if (i != SIZE_MAX) t->label[i] = gln_classes_find(&t->classes, row->class_id);
    return GLN_OK;
}

static gln_status mark_leased(void *context, int64_t image_id)
{
    struct taking *t = context;
    size_t i = gln_state_find(t->state, image_id);
    if (i != SIZE_MAX) t->unavailable[i] = GLN_LEASED;
    return GLN_OK;
}

/* Probabilities and hit rates by today's classes: those added since the resample have none yet. */
static gln_status fill_probability(struct taking *t)
{
    const gln_state *state = t->state;
    size_t n = t->classes.n, row_bytes = 0;
    gln_status st = gln_alloc(&t->hit_rate, n, sizeof *t->hit_rate, "hit rates");
    if (st != GLN_OK) return st;
    bool same = n == state->n_classes;
    for (size_t c = 0; c < n; c++) {
        t->hit_rate[c] = 1.0;
        for (size_t k = 0; k < state->n_classes; k++)
            if (state->class_id[k] == t->classes.id[c]) t->hit_rate[c] = state->hit_rate[k];
        same = same && state->class_id[c] == t->classes.id[c];
    }
    if (state->probability == NULL || same) {
        t->known_probability = state->probability;
        return GLN_OK;
    }
    if (!gln_mul_size(&row_bytes, n, sizeof *t->probability)) return gln_fail(GLN_E_LIMIT, "too many classes");
    if ((st = gln_alloc(&t->probability, state->n, row_bytes, "probabilities")) != GLN_OK) return st;
    for (size_t k = 0; k < state->n_classes; k++) {
        int32_t c = gln_classes_find(&t->classes, state->class_id[k]);
        if (c == GLN_NO_CLASS) continue;
        for (size_t i = 0; i < state->n; i++)
            t->probability[i * n + (size_t)c] = state->probability[i * state->n_classes + k];
    }
    t->known_probability = t->probability;
    return GLN_OK;
}

static gln_status filter_cluster(struct taking *t)
{
    int64_t wanted = t->request->cluster_id;
    if (wanted == 0) return GLN_OK;
    size_t found = SIZE_MAX;
    for (size_t c = 0; c < t->state->n_clusters; c++)
        if (t->state->cluster_id[c] == wanted) found = c;
    if (found == SIZE_MAX)
        return gln_fail(GLN_E_NOT_FOUND, "cluster: there is no cluster %lld in project %s now", (long long)wanted, t->project.name);
    for (size_t i = 0; i < t->state->n; i++)
        if (t->state->cluster[i] != found && t->unavailable[i] == 0) t->unavailable[i] = GLN_FILTERED_OUT;
    return GLN_OK;
}

static gln_status gather(struct taking *t)
{
    gln_status st = GLN_OK;
    if ((st = gln_engine_reader_take(t->engine, &t->reader)) != GLN_OK) return st;
    if ((st = gln_project_read(t->reader, t->request->project_id, &t->project)) != GLN_OK) return st;
    if ((st = gln_classes_read(t->reader, t->project.id, &t->classes)) != GLN_OK) return st;
    if ((st = gln_state_take(t->engine, t->project.id, &t->state)) != GLN_OK) return st;
    if (t->state == NULL)
        return gln_fail(GLN_E_CONFLICT, "project %s has not been resampled yet; run `gleaner resample` (or POST a run) "
                        "after its images are in", t->project.name);
    if ((st = gln_alloc(&t->seconds_factor, t->state->n_clusters, sizeof *t->seconds_factor, "seconds of clusters")) != GLN_OK) return st;
    if ((st = gln_classes_pace(t->reader, t->project.id, &t->classes, t->state, t->seconds_factor)) != GLN_OK) return st;
    size_t n = t->state->n;
    if ((st = gln_alloc_raw(&t->label, n, sizeof *t->label, "labels")) != GLN_OK) return st;
    if ((st = gln_alloc(&t->unavailable, n, 1, "leases")) != GLN_OK) return st;
    for (size_t i = 0; i < n; i++) t->label[i] = GLN_NO_CLASS;
    if ((st = gln_store_labels(t->reader, t->project.id, 0, SIZE_MAX, mark_label, t)) != GLN_OK) return st;
    if ((st = gln_store_leased_images(t->reader, t->project.id, mark_leased, t)) != GLN_OK) return st;
    if ((st = filter_cluster(t)) != GLN_OK) return st;
    if ((st = fill_shares(t)) != GLN_OK) return st;
    return fill_probability(t);
}

static gln_status choose(struct taking *t)
{
    const gln_batch_request *request = t->request;
    const gln_state *state = t->state;
    gln_select_pool pool = {
        .n = state->n,
        .n_classes = t->classes.n,
        .n_clusters = state->n_clusters,
        .embeddings = &state->embeddings,
        .cluster = state->cluster,
        .representative = state->representative,
        .label = t->label,
        .unavailable = t->unavailable,
        .probability = t->known_probability,
        .hit_rate = t->hit_rate,
        .price = t->classes.price,
        .seconds = t->classes.seconds,
        .seconds_factor = t->seconds_factor,
    };
    gln_select_request select = GLN_SELECT_REQUEST_INIT;
    select.size = request->size != 0 ? request->size : MAX_SIZE;
    if (!isnan(request->max_price)) select.max_price = request->max_price;
    if (!isnan(request->max_minutes)) select.max_seconds = 60.0 * request->max_minutes;
    select.explore_share = request->explore_share;
    if (!isnan(request->audit_share)) select.audit_share = request->audit_share;
    select.target_share = t->classes.n != 0 ? t->share : NULL;
    select.seed = request->seed;
    if (select.seed == 0) {
        /* Kept to 49 bits: fifteen digits, which every JSON writer prints as they are. */
        uint8_t bytes[8];
        gln_status st = gln_random_bytes(bytes, sizeof bytes);
        if (st != GLN_OK) return st;
        memcpy(&select.seed, bytes, sizeof bytes);
        select.seed >>= 15;
    }
    t->select = select;
    return gln_select(&t->selection, &pool, &select, t->engine->threads);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

static const char *class_name(const struct taking *t, int32_t c)
{
    return c == GLN_NO_CLASS ? NULL : t->classes.name[c];
}

static char *feasibility_text(const struct taking *t)
{
    const gln_selection *s = &t->selection;
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "words", s->words);
    gln_json_set_number(json, "available", (double)s->n_available);
    gln_json_set_number(json, "coverage", s->coverage);
    gln_json *classes = gln_json_set(json, "classes", gln_json_array());
    for (size_t c = 0; c < s->n_classes; c++) {
        const gln_feasibility *f = &s->feasibility[c];
        gln_json *item = gln_json_push(classes, gln_json_object());
        gln_json_set_string(item, "class", class_name(t, (int32_t)c));
        gln_json_set_number(item, "target_share", f->target_share);
        gln_json_set_number(item, "labelled", (double)f->n_labelled);
        gln_json_set_number(item, "wanted", (double)f->n_wanted);
        gln_json_set_number(item, "expected", round(f->expected * 100.0) / 100.0);
        gln_json_set_number(item, "available", (double)f->n_available);
        gln_json_set_bool(item, "met", f->met != 0);
        gln_json_set_string(item, "words", f->words);
    }
    char *text = gln_json_print(json, false);
    gln_json_free(json);
    return text;
}

/* The request as JSON, for callers that did not come with a JSON text. */
static char *request_text(const gln_batch_request *request)
{
    gln_json *json = gln_json_object();
    if (request->size != 0) gln_json_set_number(json, "size", (double)request->size);
    if (!isnan(request->max_price)) gln_json_set_number(json, "max_price", request->max_price);
    if (!isnan(request->max_minutes)) gln_json_set_number(json, "max_minutes", request->max_minutes);
    if (!isnan(request->explore_share)) gln_json_set_number(json, "explore_share", request->explore_share);
    if (!isnan(request->audit_share)) gln_json_set_number(json, "audit_share", request->audit_share);
    if (request->cluster_id != 0) gln_json_set_number(json, "cluster", (double)request->cluster_id);
    if (request->seed != 0) gln_json_set_number(json, "seed", (double)request->seed);
    if (request->lease_ms != 0) gln_json_set_number(json, "lease_hours", (double)request->lease_ms / 3600000.0);
    if (request->holder != NULL) gln_json_set_string(json, "holder", request->holder);
    if (request->n_targets != 0) {
        gln_json *targets = gln_json_set(json, "targets", gln_json_object());
        for (size_t i = 0; i < request->n_targets; i++)
            gln_json_set_number(targets, request->targets[i].class_name, request->targets[i].share);
    }
    char *text = gln_json_print(json, false);
    gln_json_free(json);
    return text;
}

struct hash_of {
    char hex[GLN_SHA256_HEX];
};

static gln_status copy_hash(void *context, const gln_image_row *row)
{
    gln_hex(((struct hash_of *)context)->hex, row->sha256, sizeof row->sha256);
    return GLN_OK;
}

/* SHA-256 over the images' hashes in the order chosen, a line each: the same pool, request and seed give the same. */
static gln_status hash_manifest(const struct taking *t, uint8_t out[GLN_SHA256_BYTES])
{
    gln_strbuf manifest;
    gln_strbuf_init(&manifest, (size_t)MAX_SIZE * GLN_SHA256_HEX + 1);
    gln_status st = GLN_OK;
    for (size_t i = 0; i < t->selection.n && st == GLN_OK; i++) {
        struct hash_of hash = {""};
        st = gln_store_image_get(t->reader, t->state->image_id[t->selection.candidate[i].image], copy_hash, &hash);
        gln_strbuf_printf(&manifest, "%s\n", hash.hex);
    }
    if (st == GLN_OK) st = gln_strbuf_status(&manifest, "manifest of the batch");
    if (st == GLN_OK) gln_sha256(out, manifest.data, manifest.length);
    gln_strbuf_dispose(&manifest);
    return st;
}

static int64_t class_id(const struct taking *t, int32_t c)
{
    return c == GLN_NO_CLASS ? 0 : t->classes.id[c];
}

static gln_status write_items(const struct taking *t, gln_store *store, int64_t batch_id, int64_t now_ms)
{
    gln_status st = GLN_OK;
    const char **names = NULL;
    gln_ledger_row reserve = {.project_id = t->project.id, .batch_id = batch_id, .kind = "reserve", .note = "",
                              .created_ms = now_ms};
    if ((st = gln_alloc(&names, t->classes.n, sizeof *names, "class names")) != GLN_OK) return st;
    for (size_t c = 0; c < t->classes.n; c++) names[c] = t->classes.name[c];
    for (size_t i = 0; i < t->selection.n && st == GLN_OK; i++) {
        const gln_candidate *c = &t->selection.candidate[i];
        char reason[512];
        gln_candidate_reason(reason, sizeof reason, c, names);
        gln_batch_item_row item = {
            .batch_id = batch_id,
            .position = (int64_t)i,
            .image_id = t->state->image_id[c->image],
            .state = "leased",
            .arm = gln_arm_name(c->arm),
            .reason = reason,
            .quota_class_id = class_id(t, c->quota_class),
            .predicted_class_id = class_id(t, c->predicted),
            .runner_up_class_id = class_id(t, c->runner_up),
            .cluster_id = t->state->cluster_id[c->cluster],
            .nearest_image_id = c->nearest_labelled == GLN_NO_NEIGHBOUR ? 0 : t->state->image_id[c->nearest_labelled],
            .represents = c->represents,
            .p_predicted = c->predicted == GLN_NO_CLASS ? NAN : (double)c->p_predicted,
            .p_runner_up = c->runner_up == GLN_NO_CLASS ? NAN : (double)c->p_runner_up,
            .nearest_similarity = c->nearest_labelled == GLN_NO_NEIGHBOUR ? NAN : (double)c->nearest_similarity,
            .gain = c->gain,
            .seconds = c->seconds,
            .inclusion_probability = c->inclusion_probability,
            .price_micros = llround(c->price * 1e6),
        };
        reserve.amount_micros += item.price_micros;
        reserve.seconds += item.seconds;
        st = gln_store_batch_item_add(store, &item);
    }
    if (st == GLN_OK) st = gln_store_ledger_add(store, &reserve);
    gln_free(names);
    return st;
}

static gln_status write_batch(const struct taking *t, const char *request, const uint8_t request_sha256[32],
                              int64_t *out_id)
{
    int64_t now_ms = gln_clock_ms();
    char *feasibility = feasibility_text(t);
    gln_store *store = NULL;
    gln_batch_row row = {
        .project_id = t->project.id,
        .state = "leased",
        .holder = t->request->holder == NULL ? "" : t->request->holder,
        .request = request,
        .feasibility = feasibility,
        .seed = (int64_t)t->select.seed,
        .run_id = t->state->run_id,
        .idempotency_key = t->request->idempotency_key,
        .created_ms = now_ms,
        .expires_ms = now_ms + (t->request->lease_ms != 0 ? t->request->lease_ms : default_lease_ms),
    };
    memcpy(row.request_sha256, request_sha256, sizeof row.request_sha256);
    gln_status st = feasibility == NULL ? GLN_E_MEMORY : hash_manifest(t, row.manifest_sha256);
    if (st == GLN_OK && (st = gln_engine_write_begin(t->engine, &store)) == GLN_OK) {
        st = gln_store_batch_add(store, &row, out_id);
        if (st == GLN_OK) st = write_items(t, store, *out_id, now_ms);
        st = gln_engine_write_end(t->engine, st);
    }
    gln_free(feasibility);
    return st;
}

struct same_request {
    const uint8_t *sha256;
    bool same;
};

static gln_status compare_request(void *context, const gln_batch_row *row)
{
    struct same_request *same = context;
    same->same = memcmp(row->request_sha256, same->sha256, sizeof row->request_sha256) == 0;
    return GLN_OK;
}

/* *out_id: the batch that this key gave before, 0 when it is new. */
static gln_status find_repeated(gln_engine *engine, const gln_batch_request *request, const uint8_t sha256[32],
                                int64_t *out_id)
{
    gln_store *reader = NULL;
    struct same_request same = {.sha256 = sha256};
    *out_id = 0;
    if (request->idempotency_key == NULL) return GLN_OK;
    gln_status st = gln_engine_reader_take(engine, &reader);
    if (st != GLN_OK) return st;
    st = gln_store_batch_by_key(reader, request->project_id, request->idempotency_key, out_id);
    if (st == GLN_OK && *out_id != 0) st = gln_store_batch_get(reader, *out_id, compare_request, &same);
    gln_engine_reader_give(engine, reader);
    if (st == GLN_OK && *out_id != 0 && !same.same)
        st = gln_fail(GLN_E_ARGUMENT, "Idempotency-Key: this key was used before, with another request");
    return st;
}

gln_status gln_engine_batch_take(gln_engine *engine, const gln_batch_request *request, int64_t *out_batch_id)
{
    struct taking t = {.engine = engine, .request = request};
    uint8_t sha256[GLN_SHA256_BYTES];
    char *made = NULL;
    *out_batch_id = 0;
    gln_status st = check_limits(request);
    if (st != GLN_OK) return st;
    const char *text = request->request_text;
    if (text == NULL && (text = made = request_text(request)) == NULL) return GLN_E_MEMORY;
    gln_sha256(sha256, text, strlen(text));

    pthread_mutex_lock(&engine->batch);
    st = find_repeated(engine, request, sha256, out_batch_id);
    if (st == GLN_OK && *out_batch_id == 0) {
        st = gln_leases_expire(engine);
        if (st == GLN_OK) st = gather(&t);
        if (st == GLN_OK) st = choose(&t);
        if (st == GLN_OK) st = write_batch(&t, text, sha256, out_batch_id);
    }
    pthread_mutex_unlock(&engine->batch);
    dispose(&t);
    gln_free(made);
    return st;
}
