/*
 * Reference window of drift: the images up to one that is kept with the project. The first resample sets it to the last
 * image that it saw (a project that was published before: the last image of that state), and only a person's acceptance
 * moves it on. A window that follows every night would take in a slow change as fast as it comes and never show it. The
 * price: the nights' looks are not independent of one another, and alpha is the rate of one look.
 *
 * The stop set of the agreement between models (Bloodgood and Vijay-Shanker 2009): unlabelled images with the lowest
 * hashes of their ids, so that it stays the same from night to night but for those labelled meanwhile.
 */
#include "engine/insight_stage.h"

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STOP_SET = 2000, KAPPAS_KEPT = 10 };

/* The labelled images of the state, by their position among them. */
struct labelled {
    size_t n;
    uint32_t *image; /* [n] view indices, ascending */
    float *x;        /* [n, d] */
    int32_t *y;
    uint32_t *group;
};

static gln_status gather(struct labelled *l, const gln_insight_input *input)
{
    const gln_state *state = input->state;
    size_t row_bytes = 0;
    gln_status st;
    if (!gln_mul_size(&row_bytes, state->embeddings.d, sizeof *l->x))
        return gln_fail(GLN_E_LIMIT, "embeddings of %zu numbers", state->embeddings.d);
    if ((st = gln_alloc(&l->image, input->n_labelled, sizeof *l->image, "labelled images")) != GLN_OK ||
        (st = gln_alloc_raw(&l->x, input->n_labelled, row_bytes, "labelled embeddings")) != GLN_OK ||
        (st = gln_alloc(&l->y, input->n_labelled, sizeof *l->y, "labels")) != GLN_OK ||
        (st = gln_alloc(&l->group, input->n_labelled, sizeof *l->group, "duplicate groups")) != GLN_OK)
        return st;
    for (size_t i = 0; i < state->n && l->n < input->n_labelled; i++) {
        if (input->label[i] == GLN_NO_CLASS) continue;
        l->image[l->n] = (uint32_t)i;
        l->group[l->n] = state->representative[i];
        l->y[l->n++] = input->label[i];
    }
    gln_kernels()->gather_f32(l->x, &state->embeddings, l->image, l->n);
    return GLN_OK;
}

static void labelled_dispose(struct labelled *l)
{
    gln_free(l->image);
    gln_free(l->x);
    gln_free(l->y);
    gln_free(l->group);
}

/* What cannot be judged becomes words; everything else goes on as a failure. */
static gln_status words_of(gln_status st, char *words, size_t capacity)
{
    if (st != GLN_E_ARGUMENT && st != GLN_E_LIMIT) return st;
    snprintf(words, capacity, "Could not be judged: %s.", gln_message());
    return GLN_OK;
}

/* ---- label checks, forecast -------------------------------------------------------------------------------------- */

static gln_status check_labels(gln_insight *insight, const gln_insight_input *input, const struct labelled *l)
{
    gln_label_input labels = {.n = l->n,
                              .d = input->state->embeddings.d,
                              .n_classes = input->classes->n,
                              .x = l->x,
                              .label = l->y,
                              .group = l->group,
                              .probability = input->svm != NULL ? gln_svm_card_of(input->svm)->out_of_fold : NULL};
    gln_status st = gln_label_check(&insight->labels, &labels);
    if (st != GLN_OK) return words_of(st, insight->labels_words, sizeof insight->labels_words);
    st = gln_alloc(&insight->suspect_image, insight->labels.n_suspects, sizeof *insight->suspect_image, "suspects");
    for (size_t s = 0; st == GLN_OK && s < insight->labels.n_suspects; s++)
        insight->suspect_image[s] = input->state->image_id[l->image[insight->labels.suspect[s].row]];
    return st;
}

static gln_status fit_forecast(gln_insight *insight, const gln_insight_input *input, const struct labelled *l)
{
    gln_forecast_input labels = {.n = l->n,
                                 .d = input->state->embeddings.d,
                                 .n_classes = input->classes->n,
                                 .x = l->x,
                                 .label = l->y,
                                 .group = l->group};
    gln_forecast_options options = GLN_FORECAST_OPTIONS_INIT;
    options.seed = input->seed;
    /* Without a classifier there are too few labels anyway, and the fit says so before it looks at the point. */
    if (input->svm != NULL) labels.point = gln_svm_card_of(input->svm)->chosen;
    gln_status st = gln_forecast_fit(&insight->forecast, &labels, &options, input->engine->threads, input->progress);
    return words_of(st, insight->forecast_words, sizeof insight->forecast_words);
}

/* ---- the audit arm ----------------------------------------------------------------------------------------------- */

struct auditing {
    const gln_insight_input *input;
    const struct labelled *labelled;
    const float *out_of_fold;
    uint8_t *right;
    double *inclusion;
    size_t n;
};

/* Position in an ascending array, SIZE_MAX when it is not there. */
static size_t find_u32(const uint32_t *array, size_t n, size_t value)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (array[middle] < value) low = middle + 1;
        else high = middle;
    }
    return low < n && array[low] == value ? low : SIZE_MAX;
}

static size_t largest(const float *p, size_t n)
{
    size_t best = 0;
    for (size_t c = 1; c < n; c++)
        if (p[c] > p[best]) best = c;
    return best;
}

static gln_status add_audited(void *context, int64_t image_id, int64_t class_id, double inclusion)
{
    struct auditing *a = context;
    size_t n_classes = a->input->classes->n, image = gln_state_find(a->input->state, image_id);
    if (image == SIZE_MAX || a->n == a->labelled->n) return GLN_OK; /* labelled since this run read the pool */
    size_t row = find_u32(a->labelled->image, a->labelled->n, image);
    if (row == SIZE_MAX) return GLN_OK;
    a->right[a->n] =
        (int32_t)largest(a->out_of_fold + row * n_classes, n_classes) == gln_classes_find(a->input->classes, class_id);
    a->inclusion[a->n++] = inclusion;
    return GLN_OK;
}

static gln_status estimate_accuracy(gln_insight *insight, const gln_insight_input *input, const struct labelled *l,
                                    gln_store *reader)
{
    struct auditing a = {.input = input, .labelled = l};
    insight->audit = gln_audit_accuracy(NULL, NULL, 0);
    if (input->svm == NULL || (a.out_of_fold = gln_svm_card_of(input->svm)->out_of_fold) == NULL) return GLN_OK;
    gln_status st = gln_alloc(&a.right, l->n, 1, "audit");
    if (st == GLN_OK) st = gln_alloc(&a.inclusion, l->n, sizeof *a.inclusion, "audit");
    if (st == GLN_OK) st = gln_store_audited(reader, input->state->project_id, add_audited, &a);
    if (st == GLN_OK) insight->audit = gln_audit_accuracy(a.right, a.inclusion, a.n);
    gln_free(a.right);
    gln_free(a.inclusion);
    return st;
}

/* ---- agreement with the model before ----------------------------------------------------------------------------- */

/* What the report before this one said. */
struct earlier {
    gln_json *kappas;
    double n_labels;
    int64_t *class_id; /* [n_classes] of the probabilities that the database has */
    size_t n_classes;
};

struct stop_set {
    const gln_insight_input *input;
    const struct earlier *earlier;
    size_t n_unlabelled, n;
    int32_t *before, *now; /* [STOP_SET] */
};

static gln_status add_to_stop_set(void *context, const gln_pool_row *row)
{
    struct stop_set *set = context;
    const gln_state *state = set->input->state;
    if (row->n_probability == 0 || row->n_probability != set->earlier->n_classes) return GLN_OK;
    size_t i = gln_state_find(state, row->image_id);
    if (i == SIZE_MAX || set->input->label[i] != GLN_NO_CLASS || set->n == STOP_SET) return GLN_OK;
    double place = (double)(gln_rng_mix(0x570b5e7, (uint64_t)row->image_id) >> 11) * 0x1p-53;
    if (set->n_unlabelled > STOP_SET && place * (double)set->n_unlabelled > STOP_SET) return GLN_OK;
    int32_t before = gln_classes_find(set->input->classes,
                                      set->earlier->class_id[largest(row->probability, row->n_probability)]);
    if (before == GLN_NO_CLASS) return GLN_OK; /* deleted since */
    set->before[set->n] = before;
    set->now[set->n++] = (int32_t)largest(state->probability + i * state->n_classes, state->n_classes);
    return GLN_OK;
}

static gln_status take_earlier(void *context, const gln_insight_row *row)
{
    struct earlier *before = context;
    gln_json *report = NULL;
    if (gln_json_parse(&report, row->report, strlen(row->report), "forecast") != GLN_OK)
        return GLN_OK; /* it is replaced anyway */
    const gln_json *earlier = gln_json_get(report, "agreements");
    size_t n = gln_json_count(earlier);
    for (size_t i = n < KAPPAS_KEPT ? 0 : n - KAPPAS_KEPT + 1; i < n; i++)
        gln_json_push(before->kappas, gln_json_copy(gln_json_at(earlier, i)));
    before->n_labels = gln_json_number(gln_json_get(report, "labels"), 0.0);
    const gln_json *ids = gln_json_get(report, "class_ids");
    before->n_classes = gln_json_count(ids);
    gln_status st = gln_alloc(&before->class_id, before->n_classes, sizeof *before->class_id, "classes before");
    for (size_t c = 0; st == GLN_OK && c < before->n_classes; c++)
        before->class_id[c] = (int64_t)gln_json_number(gln_json_at(ids, c), 0.0);
    gln_json_free(report);
    return st;
}

static gln_status compare_models(gln_insight *insight, const gln_insight_input *input, gln_store *reader)
{
    const gln_state *state = input->state;
    struct earlier before = {.kappas = gln_json_array()};
    struct stop_set set = {.input = input, .earlier = &before};
    gln_status st = GLN_OK;
    insight->kappa = NAN;
    for (size_t i = 0; i < state->n; i++) set.n_unlabelled += input->label[i] == GLN_NO_CLASS;
    if ((st = gln_alloc(&set.before, STOP_SET, sizeof *set.before, "stop set")) != GLN_OK ||
        (st = gln_alloc(&set.now, STOP_SET, sizeof *set.now, "stop set")) != GLN_OK ||
        (st = gln_store_insight_get(reader, state->project_id, "forecast", take_earlier, &before)) != GLN_OK)
        goto cleanup;
    if (state->probability != NULL && (st = gln_store_pool(reader, state->project_id, add_to_stop_set, &set)) != GLN_OK)
        goto cleanup;
    insight->n_stop = set.n;
    if ((st = gln_cohen_kappa(&insight->kappa, set.before, set.now, set.n, state->n_classes)) != GLN_OK) goto cleanup;
    /* Without new labels it is the same model again, whose agreement with itself says nothing. */
    bool same = insight->kappa >= 1.0 - 1e-9 && before.n_labels == (double)input->n_labelled;
    if (!isnan(insight->kappa) && !same) {
        gln_json *entry = gln_json_push(before.kappas, gln_json_object());
        gln_json_set_number(entry, "labels", (double)input->n_labelled);
        gln_json_set_number(entry, "images", (double)set.n);
        gln_json_set_number(entry, "kappa", insight->kappa);
    }
    if ((insight->kappas = gln_json_print(before.kappas, false)) == NULL) st = GLN_E_MEMORY;

cleanup:
    gln_json_free(before.kappas);
    gln_free(before.class_id);
    gln_free(set.before);
    gln_free(set.now);
    return st;
}

/* ---- drift ------------------------------------------------------------------------------------------------------- */

static gln_status test_drift(gln_insight *insight, const gln_insight_input *input, gln_store *reader)
{
    const gln_state *state = input->state;
    uint8_t *arrival = NULL;
    gln_status st = gln_store_drift_reference(reader, state->project_id, &insight->reference_id);
    if (st == GLN_OK) st = gln_alloc(&arrival, state->n, 1, "sides of drift");
    if (st != GLN_OK) goto cleanup;
    if (insight->reference_id == 0) {
        for (size_t i = 0; i < state->n; i++)
            if (input->old_cluster_id[i] != 0) insight->reference_id = state->image_id[i];
        if (insight->reference_id == 0 && state->n != 0) insight->reference_id = state->image_id[state->n - 1];
    }
    for (size_t i = 0; i < state->n; i++) arrival[i] = state->image_id[i] > insight->reference_id;
    gln_drift_input drift = {.embeddings = &state->embeddings,
                             .arrival = arrival,
                             .group = state->representative,
                             .graph = state->graph,
                             .cluster = state->cluster,
                             .n_clusters = input->n_clusters,
                             .probability = state->probability,
                             .n_classes = state->n_classes,
                             .label = input->label};
    gln_drift_options options = GLN_DRIFT_OPTIONS_INIT;
    options.seed = input->seed;
    st = words_of(gln_drift_test(&insight->drift, &drift, &options), insight->drift_words, sizeof insight->drift_words);

cleanup:
    gln_free(arrival);
    return st;
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

gln_status gln_insight_compute(gln_insight *insight, const gln_insight_input *input)
{
    struct labelled l = {0};
    gln_store *reader = NULL;
    *insight = (gln_insight){0};
    gln_status st = gather(&l, input);
    if (st == GLN_OK) st = check_labels(insight, input, &l);
    if (st == GLN_OK) st = fit_forecast(insight, input, &l);
    if (st == GLN_OK) st = gln_engine_reader_take(input->engine, &reader);
    if (st != GLN_OK) goto cleanup;
    if ((st = gln_store_begin_read(reader)) == GLN_OK) st = estimate_accuracy(insight, input, &l, reader);
    if (st == GLN_OK) st = compare_models(insight, input, reader);
    if (st == GLN_OK) st = test_drift(insight, input, reader);
    gln_engine_reader_give(input->engine, reader);

cleanup:
    labelled_dispose(&l);
    return st;
}

void gln_insight_dispose(gln_insight *insight)
{
    gln_label_report_dispose(&insight->labels);
    gln_forecast_dispose(&insight->forecast);
    gln_drift_report_dispose(&insight->drift);
    gln_free(insight->suspect_image);
    gln_free(insight->kappas);
    *insight = (gln_insight){0};
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static gln_status put(gln_store *store, int64_t project_id, int64_t run_id, const char *kind, gln_json *report,
                      const void *data, size_t n_bytes)
{
    char *text = gln_json_print(report, false);
    gln_insight_row row = {
        .project_id = project_id, .run_id = run_id, .kind = kind, .report = text, .data = data, .n_bytes = n_bytes};
    gln_status st =
        text == NULL ? gln_fail(GLN_E_MEMORY, "no memory for a report") : gln_store_insight_put(store, &row);
    gln_free(text);
    gln_json_free(report);
    return st;
}

static gln_status write_labels(const gln_insight *insight, const gln_insight_input *input, gln_store *store,
                               int64_t run_id, const char *const *names)
{
    const gln_label_report *report = &insight->labels;
    gln_json *json = gln_json_object();
    gln_json_set_number(json, "labels", (double)report->n_labels);
    gln_json_set_number(json, "checked", (double)report->n_checked);
    gln_json_set_number(json, "suspects", (double)report->n_suspects);
    gln_json_set_number(json, "noise_rate", report->words[0] == 0 ? (double)NAN : report->noise_rate);
    gln_json_set_string(json, "words", insight->labels_words[0] != 0 ? insight->labels_words : report->words);
    gln_json *classes = gln_json_set(json, "classes", gln_json_array());
    for (size_t c = 0; c < report->n_classes; c++) {
        gln_json *entry = gln_json_push(classes, gln_json_object());
        gln_json_set_string(entry, "class", names[c]);
        gln_json_set_number(entry, "labels", (double)report->of_class[c].n_labels);
        gln_json_set_number(entry, "suspects", (double)report->of_class[c].n_suspects);
        gln_json_set_bool(entry, "checked", !isnan(report->of_class[c].threshold));
    }
    gln_status st = put(store, input->state->project_id, run_id, "label-checks", json, NULL, 0);
    if (st == GLN_OK) st = gln_store_label_checks_clear(store, input->state->project_id);
    for (size_t s = 0; s < report->n_suspects && st == GLN_OK; s++) {
        const gln_label_suspect *suspect = &report->suspect[s];
        char words[512];
        gln_label_suspect_words(words, sizeof words, suspect, names);
        gln_label_check_row row = {.image_id = insight->suspect_image[s],
                                   .project_id = input->state->project_id,
                                   .rank = (int64_t)s + 1,
                                   .given_class_id = input->classes->id[suspect->given],
                                   .suggested_class_id = input->classes->id[suspect->suggested],
                                   .p_given = (double)suspect->p_given,
                                   .p_suggested = (double)suspect->p_suggested,
                                   .votes_given = suspect->votes_given,
                                   .votes_suggested = suspect->votes_suggested,
                                   .n_votes = suspect->n_votes,
                                   .twin = suspect->twin,
                                   .words = words};
        st = gln_store_label_check_put(store, &row);
        if (st == GLN_E_NOT_FOUND) st = GLN_OK; /* the image was deleted meanwhile */
    }
    return st;
}

static gln_status write_forecast(const gln_insight *insight, const gln_insight_input *input, gln_store *store,
                                 int64_t run_id)
{
    const gln_forecast *forecast = &insight->forecast;
    gln_json *json = gln_json_object(), *earlier = NULL;
    gln_json_set_number(json, "labels", (double)input->n_labelled);
    gln_json_set_string(json, "words", insight->forecast_words[0] != 0 ? insight->forecast_words : forecast->words);
    gln_json_set_number(json, "luck", forecast->luck);
    gln_json_set_number(json, "draws", (double)forecast->n_draws);
    gln_json *ids = gln_json_set(json, "class_ids", gln_json_array());
    for (size_t c = 0; c < input->classes->n; c++)
        gln_json_push(ids, gln_json_new_number((double)input->classes->id[c]));
    gln_json *curve = gln_json_set(json, "curve", gln_json_array());
    for (size_t s = 0; s < forecast->n_sizes; s++) {
        gln_json *point = gln_json_push(curve, gln_json_object());
        gln_json_set_number(point, "labels", (double)forecast->size[s]);
        gln_json_set_number(point, "accuracy", 1.0 - forecast->error[s]);
    }
    if (insight->audit.n == 0) {
        gln_json_set_null(json, "audit");
    } else {
        gln_json *audit = gln_json_set(json, "audit", gln_json_object());
        gln_json_set_number(audit, "images", (double)insight->audit.n);
        gln_json_set_number(audit, "accuracy", insight->audit.accuracy);
        gln_json_set_number(audit, "low", insight->audit.low);
        gln_json_set_number(audit, "high", insight->audit.high);
    }
    if (insight->kappas != NULL &&
        gln_json_parse(&earlier, insight->kappas, strlen(insight->kappas), "agreements") != GLN_OK)
        earlier = NULL;
    gln_json_set(json, "agreements", earlier != NULL ? earlier : gln_json_array());
    size_t n_curves = forecast->n_draws == 0 ? 0 : forecast->n_draws * (1 + forecast->n_classes);
    return put(store, input->state->project_id, run_id, "forecast", json, n_curves == 0 ? NULL : forecast->draw,
               n_curves * sizeof *forecast->draw);
}

static gln_json *drift_test(const gln_drift_test_result *test, const char *const *names)
{
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "kind", gln_drift_kind_name(test->kind));
    if (test->kind == GLN_DRIFT_COMPONENT) gln_json_set_number(json, "component", (double)test->which + 1.0);
    if (test->kind == GLN_DRIFT_SCORE) gln_json_set_string(json, "class", names[test->which]);
    gln_json_set_number(json, "statistic", test->statistic);
    gln_json_set_number(json, "p", test->p);
    gln_json_set_number(json, "p_corrected", test->p_corrected);
    gln_json_set_number(json, "effect", test->effect);
    return json;
}

static gln_status write_drift(const gln_insight *insight, const gln_insight_input *input, gln_store *store,
                              int64_t run_id, const char *const *names, const int64_t *cluster_id)
{
    const gln_drift_report *report = &insight->drift;
    char words[1024];
    gln_drift_words(words, sizeof words, report, names, cluster_id);
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "verdict", gln_drift_verdict_name(report->verdict));
    gln_json_set_string(json, "words", insight->drift_words[0] != 0 ? insight->drift_words : words);
    gln_json_set_number(json, "reference", (double)report->n_reference);
    gln_json_set_number(json, "arrivals", (double)report->n_arrivals);
    gln_json_set_number(json, "reference_image", (double)insight->reference_id);
    gln_json_set_number(json, "alpha", report->alpha);
    gln_json *tests = gln_json_set(json, "tests", gln_json_array());
    for (size_t t = 0; t < report->n_tests; t++) gln_json_push(tests, drift_test(&report->test[t], names));
    gln_json *clusters = gln_json_set(json, "clusters", gln_json_array());
    for (size_t c = 0; c < report->n_clusters; c++) {
        gln_json *entry = gln_json_push(clusters, gln_json_object());
        gln_json_set_number(entry, "cluster", (double)cluster_id[report->cluster[c].cluster]);
        gln_json_set_number(entry, "arrivals", (double)report->cluster[c].n_arrivals);
        gln_json_set_number(entry, "share_reference", report->cluster[c].share_reference);
        gln_json_set_number(entry, "share_arrivals", report->cluster[c].share_arrivals);
        gln_json_set_number(entry, "z", report->cluster[c].z);
    }
    gln_status st = put(store, input->state->project_id, run_id, "drift", json, NULL, 0);
    int64_t kept = 0;
    /* Someone may have accepted a later window while this run went on: theirs stays. */
    if (st == GLN_OK) st = gln_store_drift_reference(store, input->state->project_id, &kept);
    if (st == GLN_OK && kept == 0)
        st = gln_store_set_drift_reference(store, input->state->project_id, insight->reference_id);
    return st;
}

gln_status gln_insight_write(const gln_insight *insight, const gln_insight_input *input, gln_store *store,
                             int64_t run_id, const int64_t *cluster_id)
{
    const char **names = NULL;
    gln_status st = gln_alloc(&names, input->classes->n, sizeof *names, "class names");
    for (size_t c = 0; st == GLN_OK && c < input->classes->n; c++) names[c] = input->classes->name[c];
    if (st == GLN_OK) st = write_labels(insight, input, store, run_id, names);
    if (st == GLN_OK) st = write_forecast(insight, input, store, run_id);
    if (st == GLN_OK) st = write_drift(insight, input, store, run_id, names, cluster_id);
    gln_free(names);
    return st;
}
