#include "engine/looks.h"

#include "common/memory.h"
#include "engine/insight.h"
#include "sampler/second_looks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of a batch whose share nobody named. */
static const double most_by_itself = 0.5;
/* Labels that the forecast is asked about: one is within its noise. */
enum { FORECAST_LABELS = 100 };

struct choosing {
    gln_looks *looks;
    const gln_moment *m;
    const gln_batch_request *request;
    double noise_rate, factor, gain; /* gain: of one new label; NaN unknown */
    double new_price, new_seconds;
};

static gln_status read_noise(void *context, const gln_insight_row *row)
{
    double *noise = context;
    gln_json *json = NULL;
    if (gln_json_parse(&json, row->report, strlen(row->report), "label checks") != GLN_OK)
        return GLN_OK; /* then the usual rate */
    *noise = gln_json_number(gln_json_get(json, "noise_rate"), NAN);
    gln_json_free(json);
    return GLN_OK;
}

/* What of the batch's limits a label takes: the largest share; 1 of `size` where there is no other limit. */
static double cost_of(const gln_batch_request *request, double price, double seconds)
{
    double cost = 0.0;
    if (!isnan(request->max_price)) cost = fmax(cost, price / request->max_price);
    if (!isnan(request->max_minutes)) cost = fmax(cost, seconds / (60.0 * request->max_minutes));
    return cost > 0.0 ? cost : 1.0;
}

static gln_status consider(void *context, const gln_label_check_row *row)
{
    struct choosing *c = context;
    const gln_moment *m = c->m;
    size_t i = gln_state_find(m->state, row->image_id);
    int32_t given = gln_classes_find(&m->classes, row->given_class_id);
    c->looks->n_suspects++;
    if (i == SIZE_MAX || given == GLN_NO_CLASS || m->unavailable[i] != 0 || m->proposed[i]) return GLN_OK;
    double p = fmin(1.0, c->factor * gln_label_p_wrong(row->p_given, row->p_suggested, (size_t)row->votes_given,
                                                       (size_t)row->votes_suggested, c->noise_rate));
    double price = m->classes.price[given], seconds = gln_moment_seconds(m, i, given), labels = p * c->looks->worth;
    bool by_itself = c->request->relabel == GLN_RELABEL_AUTO;
    if (by_itself &&
        labels / cost_of(c->request, price, seconds) <= 1.0 / cost_of(c->request, c->new_price, c->new_seconds))
        return GLN_OK;
    gln_status st = gln_grow(&c->looks->look, &c->looks->capacity, c->looks->n + 1, sizeof *c->looks->look,
                             "second looks");
    if (st != GLN_OK) return st;
    gln_look *look = &c->looks->look[c->looks->n++];
    *look = (gln_look){.image = (uint32_t)i,
                       .given = given,
                       .p_wrong = p,
                       .gain = labels * c->gain,
                       .price = price,
                       .seconds = seconds};
    snprintf(look->reason, sizeof look->reason,
             "second look: %.300s; wrong with probability %.2f, so worth %.1f new labels", row->words, p, labels);
    return GLN_OK;
}

/* As many as the share of the batch and its limits allow, most probably wrong first. */
static void cut(gln_looks *looks, const gln_batch_request *request)
{
    double share = request->relabel == GLN_RELABEL_AUTO ? most_by_itself : request->relabel;
    size_t n = 0;
    for (size_t k = 1; k < looks->n; k++) { /* nearly in order already: the ranks of the checks */
        gln_look look = looks->look[k];
        size_t at = k;
        for (; at > 0 && looks->look[at - 1].p_wrong < look.p_wrong; at--) looks->look[at] = looks->look[at - 1];
        looks->look[at] = look;
    }
    for (; n < looks->n; n++) {
        const gln_look *look = &looks->look[n];
        if (request->size != 0 && (double)(n + 1) > share * (double)request->size + 1e-9) break;
        if (!isnan(request->max_price) && looks->price + look->price > share * request->max_price + 1e-9) break;
        if (!isnan(request->max_minutes) && looks->seconds + look->seconds > share * 60.0 * request->max_minutes + 1e-9)
            break;
        if (n == MAX_BATCH) break;
        looks->price += look->price;
        looks->seconds += look->seconds;
        looks->p_wrong += look->p_wrong;
    }
    looks->n = n;
}

gln_status gln_looks_choose(gln_looks *looks, const gln_moment *m, const gln_batch_request *request,
                            const double *share)
{
    struct choosing c = {.looks = looks, .m = m, .request = request, .noise_rate = NAN, .gain = NAN};
    gln_forecast_request forecast = {.n_labels = FORECAST_LABELS, .point_value = NAN, .price = NAN};
    gln_json *json = NULL;
    int64_t n_corrected = 0;
    double sum_p_wrong = 0.0;
    *looks = (gln_looks){0};
    if (request->relabel == 0.0) return GLN_OK;
    gln_status st = gln_store_insight_get(m->reader, m->project.id, "label-checks", read_noise, &c.noise_rate);
    if (st == GLN_OK) st = gln_store_looks_done(m->reader, m->project.id, &sum_p_wrong, &n_corrected);
    if (st == GLN_OK) st = gln_insight_forecast(&json, m->reader, m->project.id, &forecast);
    if (st != GLN_OK) return st;
    c.gain = fmax(0.0, gln_json_number(gln_json_get(json, "gain"), NAN) / FORECAST_LABELS);
    if (gln_json_is_null(gln_json_get(json, "gain"))) c.gain = NAN;
    gln_json_free(json);
    c.factor = gln_second_looks_factor(sum_p_wrong, (size_t)n_corrected);
    looks->worth = gln_corrected_label_worth(m->classes.n, c.noise_rate);
    for (size_t k = 0; k < m->classes.n; k++) {
        c.new_price += share[k] * m->classes.price[k];
        c.new_seconds += share[k] * m->classes.seconds[k];
    }
    st = gln_store_label_checks(m->reader, m->project.id, 0, SIZE_MAX, consider, &c);
    if (st == GLN_OK) cut(looks, request);
    return st;
}

void gln_looks_dispose(gln_looks *looks)
{
    gln_free(looks->look);
    *looks = (gln_looks){0};
}

gln_json *gln_looks_json(const gln_looks *looks, const gln_batch_request *request)
{
    char words[256];
    if (request->relabel == 0.0) return NULL;
    if (looks->n == 0)
        snprintf(words, sizeof words,
                 looks->n_suspects == 0 ? "no label looks wrong" : "none of %zu suspects is worth a second look now",
                 looks->n_suspects);
    else
        snprintf(
            words, sizeof words,
            "%zu second look%s at labels that look wrong, about %.1f of them rightly; a corrected label is worth %.1f "
            "new ones",
            looks->n, looks->n == 1 ? "" : "s", looks->p_wrong, looks->worth);
    gln_json *json = gln_json_object();
    gln_json_set_number(json, "images", (double)looks->n);
    gln_json_set_number(json, "suspects", (double)looks->n_suspects);
    gln_json_set_number(json, "expected_wrong", looks->p_wrong);
    gln_json_set_number(json, "worth", looks->worth);
    gln_json_set_string(json, "words", words);
    return json;
}
