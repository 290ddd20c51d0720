/* Reading what the insight stage of a resample stored, as the JSON of docs/api.md. */
#include "engine/insight.h"

#include "common/memory.h"
#include "engine/internal.h"
#include "engine/pace.h"
#include "sampler/clusters.h" /* GLN_NO_CLASS */
#include "sampler/forecast.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LABELS = 1000000, KAPPAS_ASKED = 3 };
static const double stable_kappa = 0.99; /* Bloodgood and Vijay-Shanker 2009 */

struct stored {
    gln_json *report;
    int64_t run_id;
    float *curves; /* of a forecast, copied */
    size_t n_curves;
};

static gln_status take_stored(void *context, const gln_insight_row *row)
{
    struct stored *stored = context;
    stored->run_id = row->run_id;
    gln_status st = gln_json_parse(&stored->report, row->report, strlen(row->report), row->kind);
    if (st != GLN_OK) return gln_fail(GLN_E_CORRUPT, "what the database keeps as %s is not JSON", row->kind);
    stored->n_curves = row->n_bytes / sizeof(gln_forecast_curve);
    st = gln_alloc(&stored->curves, stored->n_curves, sizeof(gln_forecast_curve), "learning curves");
    if (st == GLN_OK && stored->n_curves != 0)
        memcpy(stored->curves, row->data, stored->n_curves * sizeof(gln_forecast_curve));
    return st;
}

static void stored_dispose(struct stored *stored)
{
    gln_json_free(stored->report);
    gln_free(stored->curves);
}

/* Project and report; `report` stays NULL when nothing was resampled yet. */
static gln_status read_stored(struct stored *stored, gln_project *project, gln_store *store, int64_t project_id,
                              const char *kind)
{
    gln_status st = gln_project_read(store, project_id, project);
    return st == GLN_OK ? gln_store_insight_get(store, project_id, kind, take_stored, stored) : st;
}

static const char nothing_yet[] =
    "Nothing was resampled since this version looks for it; `gleaner resample --force` does.";

static void copy_member(gln_json *to, const char *name, const gln_json *from)
{
    const gln_json *value = gln_json_get(from, name);
    if (value != NULL) gln_json_set(to, name, gln_json_copy(value));
    else gln_json_set_null(to, name);
}

/* ---- forecast ---------------------------------------------------------------------------------------------------- */

static void set_gain(gln_json *json, const gln_forecast_gain *gain)
{
    gln_json_set_number(json, "accuracy", gain->accuracy);
    gln_json_set_number(json, "gain", gain->gain);
    gln_json_set_number(json, "low", gain->low);
    gln_json_set_number(json, "high", gain->high);
}

/* The mean kappa of the last few models; NaN before there are so many. */
static double recent_kappa(const gln_json *agreements)
{
    size_t n = gln_json_count(agreements);
    double sum = 0.0;
    if (n < KAPPAS_ASKED) return NAN;
    for (size_t i = n - KAPPAS_ASKED; i < n; i++)
        sum += gln_json_number(gln_json_get(gln_json_at(agreements, i), "kappa"), NAN) / KAPPAS_ASKED;
    return sum;
}

/* The verdict: "worth-it", "not-worth-it", "open" (nobody said what a point is worth), "unknown" (not enough labels).
   */
static const char *say_forecast(char *words, size_t capacity, const gln_forecast_gain *gain,
                                const gln_forecast_request *request, double price, const char *currency, double kappa)
{
    const char *verdict = isnan(gain->p_worth) ? "open" : gain->p_worth >= 0.5 ? "worth-it" : "not-worth-it";
    size_t at = 0;
    int n = snprintf(
        words, capacity,
        "The next %zu labels are expected to bring %+.1f points of balanced accuracy (in 8 of 10 cases %+.1f to "
        "%+.1f), from about %.1f%%.",
        request->n_labels, 100.0 * gain->gain, 100.0 * gain->low, 100.0 * gain->high, 100.0 * gain->accuracy);
    at += n > 0 && (size_t)n < capacity ? (size_t)n : 0;
    if (!isnan(gain->p_worth))
        n = snprintf(words + at, capacity - at, " They cost %.2f %s: the chance that this is worth it is %.0f%%.",
                     price, currency, 100.0 * gain->p_worth);
    else if (price > 0.0 && gain->gain > 0.0005)
        n = snprintf(words + at, capacity - at, " They cost %.2f %s: worth it if a point is worth more than %.2f.",
                     price, currency, price / (100.0 * gain->gain));
    else
        n = 0;
    at += n > 0 && (size_t)n < capacity - at ? (size_t)n : 0;
    if (kappa >= stable_kappa)
        snprintf(words + at, capacity - at,
                 " The last models agree with one another almost everywhere: more of the same labels change little.");
    return verdict;
}

/* Of one label when the classes share them equally: of price or seconds [n]. */
static double mean_of(const double *value, size_t n)
{
    double sum = 0.0;
    for (size_t c = 0; c < n; c++) sum += value[c] / (double)n;
    return sum;
}

static gln_status check_request(const gln_forecast_request *request)
{
    if (request->n_labels < 1 || request->n_labels > MAX_LABELS)
        return gln_fail(GLN_E_ARGUMENT, "labels: %zu is not from 1 to %d", request->n_labels, MAX_LABELS);
    if (!isnan(request->point_value) && !(request->point_value > 0.0 && request->point_value <= 1e12))
        return gln_fail(GLN_E_ARGUMENT, "point_value: %g is not above 0 and at most 1e12", request->point_value);
    if (!isnan(request->price) && !(request->price >= 0.0 && request->price <= 1e12))
        return gln_fail(GLN_E_ARGUMENT, "price: %g is not from 0 to 1e12", request->price);
    return GLN_OK;
}

/* The stored curves as the sampler knows them; false when they do not fit the report. */
static bool revive(gln_forecast *forecast, const struct stored *stored)
{
    size_t n_classes = gln_json_count(gln_json_get(stored->report, "class_ids"));
    double draws = gln_json_number(gln_json_get(stored->report, "draws"), 0.0);
    *forecast = (gln_forecast){.n_labels = (size_t)gln_json_number(gln_json_get(stored->report, "labels"), 0.0),
                               .n_classes = n_classes,
                               .luck = gln_json_number(gln_json_get(stored->report, "luck"), 0.0),
                               .draw = (gln_forecast_curve *)(void *)stored->curves};
    if (!(draws >= 1.0) || (size_t)draws > stored->n_curves / (1 + n_classes)) return false;
    forecast->n_draws = (size_t)draws;
    return true;
}

gln_status gln_insight_forecast(gln_json **out, gln_store *store, int64_t project_id,
                                const gln_forecast_request *request)
{
    struct stored stored = {0};
    gln_project project;
    gln_classes classes = {0};
    gln_forecast forecast = {0};
    char words[640] = "";
    *out = NULL;
    gln_status st = check_request(request);
    if (st == GLN_OK) st = read_stored(&stored, &project, store, project_id, "forecast");
    if (st == GLN_OK) st = gln_classes_read(store, project_id, &classes);
    if (st == GLN_OK) st = gln_classes_pace(store, project_id, &classes);
    if (st != GLN_OK) goto cleanup;
    bool known = stored.report != NULL && revive(&forecast, &stored);
    double price =
        isnan(request->price) ? mean_of(classes.price, classes.n) * (double)request->n_labels : request->price;
    gln_forecast_gain gain = gln_forecast_of(&forecast, 0, request->n_labels, price / request->point_value / 100.0);
    const gln_json *agreements = gln_json_get(stored.report, "agreements");
    const char *verdict = "unknown", *why = gln_json_string(gln_json_get(stored.report, "words"));
    if (known)
        verdict = say_forecast(words, sizeof words, &gain, request, price, project.currency, recent_kappa(agreements));
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "verdict", verdict);
    gln_json_set_string(json, "words", known ? words : why != NULL ? why : nothing_yet);
    gln_json_set_number(json, "run", stored.report == NULL ? (double)NAN : (double)stored.run_id);
    gln_json_set_number(json, "labels_now", (double)forecast.n_labels);
    gln_json_set_number(json, "labels_more", (double)request->n_labels);
    gln_json_set_number(json, "price", price);
    gln_json_set_number(json, "minutes", mean_of(classes.seconds, classes.n) * (double)request->n_labels / 60.0);
    gln_json_set_number(json, "point_value", request->point_value);
    set_gain(json, &gain);
    gln_json_set_number(json, "p_worth", gain.p_worth);
    gln_json *list = gln_json_set(json, "classes", gln_json_array());
    for (size_t c = 0; c < forecast.n_classes && known; c++) {
        int64_t id = (int64_t)gln_json_number(gln_json_at(gln_json_get(stored.report, "class_ids"), c), 0.0);
        int32_t position = gln_classes_find(&classes, id);
        gln_forecast_gain of_class = gln_forecast_of(&forecast, 1 + c, request->n_labels, NAN);
        if (position == GLN_NO_CLASS) continue; /* deleted since */
        gln_json *entry = gln_json_push(list, gln_json_object());
        gln_json_set_string(entry, "class", classes.name[position]);
        set_gain(entry, &of_class);
        gln_json_set_number(entry, "seconds", classes.seconds[position]);
    }
    if (stored.report == NULL) gln_json_set(json, "curve", gln_json_array());
    else copy_member(json, "curve", stored.report);
    copy_member(json, "audit", stored.report);
    if (stored.report == NULL) gln_json_set(json, "agreements", gln_json_array());
    else copy_member(json, "agreements", stored.report);
    *out = json;

cleanup:
    gln_classes_dispose(&classes);
    stored_dispose(&stored);
    return st;
}

/* ---- label checks ------------------------------------------------------------------------------------------------ */

struct checks {
    gln_json *items;
    const gln_classes *classes;
    size_t n, limit;
    int64_t last;
    bool more;
};

static gln_status take_check(void *context, const gln_label_check_row *row)
{
    struct checks *checks = context;
    int32_t given = gln_classes_find(checks->classes, row->given_class_id),
            suggested = gln_classes_find(checks->classes, row->suggested_class_id);
    if (checks->n == checks->limit) {
        checks->more = true;
        return GLN_OK;
    }
    checks->n++;
    checks->last = row->rank;
    if (given == GLN_NO_CLASS || suggested == GLN_NO_CLASS) return GLN_OK;
    gln_json *json = gln_json_push(checks->items, gln_json_object());
    gln_json_set_number(json, "rank", (double)row->rank);
    gln_json_set_number(json, "image", (double)row->image_id);
    gln_json_set_string(json, "path", gln_utf8_valid(row->path, strlen(row->path)) ? row->path : NULL);
    gln_json_set_string(json, "annotator", row->annotator);
    gln_json_set_string(json, "given", checks->classes->name[given]);
    gln_json_set_string(json, "suggested", checks->classes->name[suggested]);
    gln_json_set_number(json, "p_given", row->p_given);
    gln_json_set_number(json, "p_suggested", row->p_suggested);
    gln_json_set_number(json, "votes_given", (double)row->votes_given);
    gln_json_set_number(json, "votes_suggested", (double)row->votes_suggested);
    gln_json_set_number(json, "votes", (double)row->n_votes);
    gln_json_set_bool(json, "near_duplicate", row->twin);
    gln_json_set_string(json, "words", row->words);
    return GLN_OK;
}

gln_status gln_insight_label_checks(gln_json **out, gln_store *store, int64_t project_id, int64_t after, size_t limit)
{
    struct stored stored = {0};
    gln_project project;
    gln_classes classes = {0};
    struct checks checks = {.items = gln_json_array(), .classes = &classes, .limit = limit};
    *out = NULL;
    gln_status st = read_stored(&stored, &project, store, project_id, "label-checks");
    if (st == GLN_OK) st = gln_classes_read(store, project_id, &classes);
    if (st == GLN_OK) st = gln_store_label_checks(store, project_id, after, limit + 1, take_check, &checks);
    if (st == GLN_OK) {
        const char *words = gln_json_string(gln_json_get(stored.report, "words"));
        gln_json *json = *out = gln_json_object();
        char next[32];
        snprintf(next, sizeof next, "%" PRId64, checks.last);
        gln_json_set_string(json, "words", words != NULL ? words : nothing_yet);
        gln_json_set_number(json, "run", stored.report == NULL ? (double)NAN : (double)stored.run_id);
        gln_json_set_number(json, "labels", gln_json_number(gln_json_get(stored.report, "labels"), 0.0));
        gln_json_set_number(json, "checked", gln_json_number(gln_json_get(stored.report, "checked"), 0.0));
        gln_json_set_number(json, "suspects", gln_json_number(gln_json_get(stored.report, "suspects"), 0.0));
        copy_member(json, "noise_rate", stored.report);
        if (stored.report == NULL) gln_json_set(json, "classes", gln_json_array());
        else copy_member(json, "classes", stored.report);
        gln_json_set(json, "items", checks.items);
        gln_json_set_string(json, "next", checks.more ? next : NULL);
        checks.items = NULL;
    }
    gln_json_free(checks.items);
    gln_classes_dispose(&classes);
    stored_dispose(&stored);
    return st;
}

/* ---- drift ------------------------------------------------------------------------------------------------------- */

gln_status gln_insight_drift(gln_json **out, gln_store *store, int64_t project_id)
{
    static const char *const members[] = {"reference", "arrivals", "reference_image", "alpha"};
    struct stored stored = {0};
    gln_project project;
    int64_t accepted = 0;
    *out = NULL;
    gln_status st = read_stored(&stored, &project, store, project_id, "drift");
    if (st == GLN_OK) st = gln_store_drift_reference(store, project_id, &accepted);
    if (st == GLN_OK) {
        const char *verdict = gln_json_string(gln_json_get(stored.report, "verdict")),
                   *words = gln_json_string(gln_json_get(stored.report, "words"));
        gln_json *json = *out = gln_json_object();
        gln_json_set_string(json, "verdict", verdict != NULL ? verdict : "unknown");
        gln_json_set_string(json, "words", words != NULL ? words : nothing_yet);
        gln_json_set_number(json, "run", stored.report == NULL ? (double)NAN : (double)stored.run_id);
        for (size_t m = 0; m < sizeof members / sizeof members[0]; m++) copy_member(json, members[m], stored.report);
        double reference = gln_json_number(gln_json_get(stored.report, "reference_image"), 0.0);
        gln_json_set_bool(json, "accepted", stored.report != NULL && (double)accepted > reference);
        if (stored.report == NULL) {
            gln_json_set(json, "tests", gln_json_array());
            gln_json_set(json, "clusters", gln_json_array());
        } else {
            copy_member(json, "tests", stored.report);
            copy_member(json, "clusters", stored.report);
        }
    }
    stored_dispose(&stored);
    return st;
}

gln_status gln_engine_drift_accept(gln_engine *engine, int64_t project_id, int64_t image_id, int64_t *out_image_id)
{
    gln_state *state = NULL;
    gln_store *store = NULL;
    gln_project project;
    *out_image_id = 0;
    gln_status st = gln_state_take(engine, project_id, &state);
    if (st != GLN_OK) return st;
    if ((st = gln_engine_write_begin(engine, &store)) == GLN_OK) {
        st = gln_project_read(store, project_id, &project);
        if (st == GLN_OK && (state == NULL || state->n == 0))
            st = gln_fail(GLN_E_CONFLICT, "project %s was not resampled yet: there is nothing to accept", project.name);
        if (st == GLN_OK && image_id != 0 && gln_state_find(state, image_id) == SIZE_MAX)
            st = gln_fail(GLN_E_ARGUMENT, "reference_image: the pool of the last resample has no image %lld",
                          (long long)image_id);
        if (st == GLN_OK) {
            *out_image_id = image_id != 0 ? image_id : state->image_id[state->n - 1];
            st = gln_store_set_drift_reference(store, project_id, *out_image_id);
        }
        st = gln_engine_write_end(engine, st);
    }
    if (state != NULL) gln_state_give(engine, state);
    return st;
}
