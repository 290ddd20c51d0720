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
#include "engine/looks.h"
#include "engine/moment.h"
#include "engine/news.h"
#include "sampler/select.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct taking {
    const gln_batch_request *request;
    gln_moment now;
    gln_news news;
    gln_looks looks;
    double *share;           /* [classes.n] */
    gln_selection selection;
    gln_select_request select;
};

static void dispose(struct taking *t)
{
    gln_selection_dispose(&t->selection);
    gln_news_dispose(&t->news);
    gln_looks_dispose(&t->looks);
    gln_moment_give(&t->now);
    gln_free(t->share);
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static gln_status check_limits(const gln_batch_request *request)
{
    if (request->size == 0 && isnan(request->max_price) && isnan(request->max_minutes))
        return gln_fail(GLN_E_ARGUMENT, "size: say how many images, or a limit: max_price or max_minutes");
    if (request->size > MAX_BATCH)
        return gln_fail(GLN_E_ARGUMENT, "size: %zu images; at most %d in one batch", request->size, MAX_BATCH);
    if (!isnan(request->max_price) && !(request->max_price > 0.0 && request->max_price <= 1e9))
        return gln_fail(GLN_E_ARGUMENT, "max_price: %g is not above 0 and at most a thousand million",
                        request->max_price);
    if (!isnan(request->max_minutes) && !(request->max_minutes > 0.0 && request->max_minutes <= 1e7))
        return gln_fail(GLN_E_ARGUMENT, "max_minutes: %g is not above 0 and at most ten million", request->max_minutes);
    if (!isnan(request->explore_share) && !(request->explore_share >= 0.0 && request->explore_share <= 1.0))
        return gln_fail(GLN_E_ARGUMENT, "explore_share: %g is not between 0 and 1", request->explore_share);
    if (!isnan(request->audit_share) && !(request->audit_share >= 0.0 && request->audit_share <= 1.0))
        return gln_fail(GLN_E_ARGUMENT, "audit_share: %g is not between 0 and 1", request->audit_share);
    if (request->relabel != GLN_RELABEL_AUTO && !(request->relabel >= 0.0 && request->relabel <= 1.0))
        return gln_fail(GLN_E_ARGUMENT, "relabel: %g is not between 0 and 1", request->relabel);
    return gln_lease_terms_check(request->lease_ms, request->holder, request->idempotency_key);
}

/* share [classes]: those named keep what they ask, the others divide the rest equally. */
static gln_status fill_shares(struct taking *t)
{
    const gln_batch_request *request = t->request;
    size_t n = t->now.classes.n, n_open = 0;
    double named = 0.0;
    gln_status st = gln_alloc(&t->share, n, sizeof *t->share, "target shares");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < n; i++) t->share[i] = request->n_targets == 0 ? t->now.classes.target_share[i] : NAN;
    for (size_t i = 0; i < request->n_targets; i++) {
        const gln_target *target = &request->targets[i];
        int32_t c = gln_classes_find_name(&t->now.classes, target->class_name);
        if (c == GLN_NO_CLASS)
            return gln_fail(GLN_E_NOT_FOUND, "targets/%.100s: project %s has no such class", target->class_name,
                            t->now.project.name);
        if (!(target->share >= 0.0 && target->share <= 1.0))
            return gln_fail(GLN_E_ARGUMENT, "targets/%.100s: %g is not between 0 and 1", target->class_name,
                            target->share);
        t->share[c] = target->share;
    }
    for (size_t i = 0; i < n; i++) {
        if (isnan(t->share[i])) n_open++;
        else named += t->share[i];
    }
    if (named > 1.0 + 1e-6) return gln_fail(GLN_E_ARGUMENT, "targets: the shares add up to %.4g, more than 1", named);
    if (n != 0 && n_open == 0 && named < 1.0 - 1e-6) {
        return gln_fail(GLN_E_ARGUMENT, "targets: every class has a share, yet they add up to %.4g instead of 1",
                        named);
    }
    for (size_t i = 0; i < n; i++)
        if (isnan(t->share[i])) t->share[i] = named < 1.0 ? (1.0 - named) / (double)n_open : 0.0;
    return GLN_OK;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static gln_status filter_cluster(struct taking *t)
{
    int64_t wanted = t->request->cluster_id;
    if (wanted == 0) return GLN_OK;
    size_t found = gln_moment_cluster(&t->now, wanted);
    if (found == SIZE_MAX)
        return gln_fail(GLN_E_NOT_FOUND, "cluster: there is no cluster %lld in project %s now", (long long)wanted,
                        t->now.project.name);
    for (size_t i = 0; i < t->now.state->n; i++)
        if (t->now.state->cluster[i] != found && t->now.unavailable[i] == 0) t->now.unavailable[i] = GLN_FILTERED_OUT;
    return GLN_OK;
}

static gln_status choose(struct taking *t)
{
    const gln_batch_request *request = t->request;
    const gln_state *state = t->now.state;
    gln_select_pool pool = {
        .n = state->n,
        .n_classes = t->now.classes.n,
        .n_clusters = state->n_clusters,
        .embeddings = &state->embeddings,
        .cluster = state->cluster,
        .representative = state->representative,
        .label = t->now.label,
        .unavailable = t->now.unavailable,
        .probability = t->now.probability,
        .hit_rate = t->now.hit_rate,
        .price = t->now.classes.price,
        .seconds = t->now.classes.seconds,
        .seconds_factor = t->now.seconds_factor,
        .news = t->news.weight,
    };
    gln_select_request select = GLN_SELECT_REQUEST_INIT;
    select.size = (request->size != 0 ? request->size : MAX_BATCH) - t->looks.n;
    if (!isnan(request->max_price)) select.max_price = fmax(0.0, request->max_price - t->looks.price);
    if (!isnan(request->max_minutes)) select.max_seconds = fmax(0.0, 60.0 * request->max_minutes - t->looks.seconds);
    select.explore_share = request->explore_share;
    if (!isnan(request->audit_share)) select.audit_share = request->audit_share;
    select.news_share = t->news.share;
    select.target_share = t->now.classes.n != 0 ? t->share : NULL;
    select.seed = request->seed;
    gln_status st = select.seed == 0 ? gln_moment_seed(&select.seed) : GLN_OK;
    if (st != GLN_OK) return st;
    t->select = select;
    if (select.size != 0) st = gln_select(&t->selection, &pool, &select, t->now.engine->threads);
    /* With nothing new to be had, or to be paid for, second looks are a batch as well. */
    return st == GLN_E_CONFLICT && t->looks.n != 0 ? GLN_OK : st;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static const char *class_name(const struct taking *t, int32_t c)
{
    return c == GLN_NO_CLASS ? NULL : t->now.classes.name[c];
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
    size_t n_news = 0;
    for (size_t i = 0; i < s->n; i++) n_news += s->candidate[i].news;
    gln_json *drift = gln_news_json(&t->news, &t->now, n_news);
    if (drift != NULL) gln_json_set(json, "drift", drift);
    else gln_json_set_null(json, "drift");
    gln_json *relabel = gln_looks_json(&t->looks, t->request);
    if (relabel != NULL) gln_json_set(json, "relabel", relabel);
    else gln_json_set_null(json, "relabel");
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
    if (request->relabel == GLN_RELABEL_AUTO) gln_json_set_string(json, "relabel", "auto");
    else if (request->relabel > 0.0) gln_json_set_number(json, "relabel", request->relabel);
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

/* What stands at a position: second looks are spread evenly, so that any prefix is a good smaller batch. *out_look is
   SIZE_MAX for a candidate of the selection, whose number is returned. */
static size_t place(const struct taking *t, size_t position, size_t *out_look)
{
    size_t n = t->selection.n + t->looks.n, before = position * t->looks.n / n, after = (position + 1) * t->looks.n / n;
    *out_look = after > before ? before : SIZE_MAX;
    return position - before;
}

/* The same pool, request and seed give the same. */
static gln_status hash_manifest(const struct taking *t, uint8_t out[GLN_SHA256_BYTES])
{
    uint32_t *image = NULL;
    size_t n = t->selection.n + t->looks.n;
    gln_status st = gln_alloc(&image, n, sizeof *image, "batch");
    for (size_t i = 0; st == GLN_OK && i < n; i++) {
        size_t look, candidate = place(t, i, &look);
        image[i] = look != SIZE_MAX ? t->looks.look[look].image : t->selection.candidate[candidate].image;
    }
    if (st == GLN_OK) st = gln_moment_manifest(&t->now, image, n, out);
    gln_free(image);
    return st;
}

static int64_t class_id(const struct taking *t, int32_t c)
{
    return c == GLN_NO_CLASS ? 0 : t->now.classes.id[c];
}

static gln_status write_look(const struct taking *t, gln_store *store, int64_t batch_id, int64_t position,
                             const gln_look *look, gln_ledger_row *reserve)
{
    const gln_state *state = t->now.state;
    gln_batch_item_row item = {
        .batch_id = batch_id,
        .position = position,
        .image_id = state->image_id[look->image],
        .state = "leased",
        .arm = "check",
        .reason = look->reason,
        .cluster_id = state->cluster_id[state->cluster[look->image]],
        .represents = 1,
        .p_predicted = NAN,
        .p_runner_up = NAN,
        .nearest_similarity = NAN,
        .gain = look->gain,
        .seconds = look->seconds,
        .inclusion_probability = NAN,
        .price_micros = llround(look->price * 1e6),
        .checked_class_id = class_id(t, look->given),
        .p_wrong = look->p_wrong,
    };
    reserve->amount_micros += item.price_micros;
    reserve->seconds += item.seconds;
    return gln_store_batch_item_add(store, &item);
}

/* Which drift: the sampler knows that it is new, not what the report said of it. */
static void add_news(char *reason, size_t capacity, const struct taking *t, uint32_t image)
{
    char why[160];
    size_t length = strlen(reason);
    gln_news_reason(why, sizeof why, &t->news, &t->now, image);
    snprintf(reason + length, capacity - length, "; %s", why);
}

static gln_status write_items(const struct taking *t, gln_store *store, int64_t batch_id, int64_t now_ms)
{
    gln_status st = GLN_OK;
    const char **names = NULL;
    gln_ledger_row reserve = {.project_id = t->now.project.id, .batch_id = batch_id, .kind = "reserve", .note = "",
                              .created_ms = now_ms};
    if ((st = gln_alloc(&names, t->now.classes.n, sizeof *names, "class names")) != GLN_OK) return st;
    for (size_t c = 0; c < t->now.classes.n; c++) names[c] = t->now.classes.name[c];
    for (size_t i = 0; i < t->selection.n + t->looks.n && st == GLN_OK; i++) {
        size_t look, candidate = place(t, i, &look);
        if (look != SIZE_MAX) {
            st = write_look(t, store, batch_id, (int64_t)i, &t->looks.look[look], &reserve);
            continue;
        }
        const gln_candidate *c = &t->selection.candidate[candidate];
        char reason[768];
        gln_candidate_reason(reason, sizeof reason, c, names);
        if (c->news) add_news(reason, sizeof reason, t, c->image);
        gln_batch_item_row item = {
            .batch_id = batch_id,
            .position = (int64_t)i,
            .image_id = t->now.state->image_id[c->image],
            .state = "leased",
            .arm = gln_arm_name(c->arm),
            .reason = reason,
            .quota_class_id = class_id(t, c->quota_class),
            .predicted_class_id = class_id(t, c->predicted),
            .runner_up_class_id = class_id(t, c->runner_up),
            .cluster_id = t->now.state->cluster_id[c->cluster],
            .nearest_image_id = c->nearest_labelled == GLN_NO_NEIGHBOUR ? 0
                                                                        : t->now.state->image_id[c->nearest_labelled],
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
        .project_id = t->now.project.id,
        .state = "leased",
        .holder = t->request->holder == NULL ? "" : t->request->holder,
        .request = request,
        .feasibility = feasibility,
        .seed = (int64_t)t->select.seed,
        .run_id = t->now.state->run_id,
        .idempotency_key = t->request->idempotency_key,
        .created_ms = now_ms,
        .expires_ms = now_ms + (t->request->lease_ms != 0 ? t->request->lease_ms : GLN_LEASE_DEFAULT_MS),
    };
    memcpy(row.request_sha256, request_sha256, sizeof row.request_sha256);
    gln_status st = feasibility == NULL ? GLN_E_MEMORY : hash_manifest(t, row.manifest_sha256);
    if (st == GLN_OK && (st = gln_engine_write_begin(t->now.engine, &store)) == GLN_OK) {
        st = gln_store_batch_add(store, &row, out_id);
        if (st == GLN_OK) st = write_items(t, store, *out_id, now_ms);
        st = gln_engine_write_end(t->now.engine, st);
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
    struct taking t = {.request = request, .now = {.engine = engine}};
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
        if (st == GLN_OK) st = gln_moment_take(&t.now, engine, request->project_id);
        if (st == GLN_OK) st = filter_cluster(&t);
        if (st == GLN_OK) st = fill_shares(&t);
        if (st == GLN_OK) st = gln_news_read(&t.news, &t.now);
        if (st == GLN_OK) st = gln_looks_choose(&t.looks, &t.now, request, t.share);
        if (st == GLN_OK) st = choose(&t);
        if (st == GLN_OK) st = write_batch(&t, text, sha256, out_batch_id);
    }
    pthread_mutex_unlock(&engine->batch);
    dispose(&t);
    gln_free(made);
    return st;
}
