#include "engine/news.h"

#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What a shift of everything asks for, when no cluster explains it. */
static const double surplus_of_all = 0.15;

struct report {
    gln_news *news;
    const gln_moment *m;
    double reference; /* last image of the window; NaN: nothing to do */
};

static gln_status read_report(void *context, const gln_insight_row *row)
{
    struct report *r = context;
    gln_news *news = r->news;
    gln_json *json = NULL;
    if (gln_json_parse(&json, row->report, strlen(row->report), "drift") != GLN_OK)
        return gln_fail(GLN_E_CORRUPT, "what the database keeps as drift is not JSON");
    const char *verdict = gln_json_string(gln_json_get(json, "verdict"));
    if (verdict != NULL && strcmp(verdict, "found") == 0) {
        r->reference = gln_json_number(gln_json_get(json, "reference_image"), NAN);
        const gln_json *clusters = gln_json_get(json, "clusters");
        for (const gln_json *c = gln_json_first(clusters); c != NULL && news->n_regions < GLN_DRIFT_MAX_CLUSTERS;
             c = gln_json_next(c)) {
            size_t position = gln_moment_cluster(r->m, (int64_t)gln_json_number(gln_json_get(c, "cluster"), 0.0));
            if (position == SIZE_MAX) continue;
            news->cluster[news->n_regions] = (uint32_t)position;
            news->region[news->n_regions++] =
                (gln_drift_region){.share_reference = gln_json_number(gln_json_get(c, "share_reference"), 0.0),
                                   .share_arrivals = gln_json_number(gln_json_get(c, "share_arrivals"), 0.0)};
        }
        if (news->n_regions == 0) {
            news->cluster[0] = UINT32_MAX;
            news->region[0] = (gln_drift_region){.share_arrivals = surplus_of_all};
            news->n_regions = 1;
        }
    }
    gln_json_free(json);
    return GLN_OK;
}

static size_t region_of(const gln_news *news, const gln_state *state, size_t image)
{
    for (size_t r = 0; r < news->n_regions; r++)
        if (news->cluster[r] == UINT32_MAX || news->cluster[r] == state->cluster[image]) return r;
    return SIZE_MAX;
}

gln_status gln_news_read(gln_news *news, const gln_moment *m)
{
    const gln_state *state = m->state;
    struct report report = {.news = news, .m = m, .reference = NAN};
    int64_t accepted = 0;
    *news = (gln_news){0};
    gln_status st = gln_store_insight_get(m->reader, m->project.id, "drift", read_report, &report);
    if (st == GLN_OK) st = gln_store_drift_reference(m->reader, m->project.id, &accepted);
    /* A window that has moved since is an acceptance. */
    if (st != GLN_OK || isnan(report.reference) || (double)accepted > report.reference) {
        news->n_regions = 0;
        return st;
    }
    for (size_t i = 0; i < state->n; i++) {
        size_t r = (double)state->image_id[i] > report.reference ? region_of(news, state, i) : SIZE_MAX;
        if (r != SIZE_MAX && m->label[i] != GLN_NO_CLASS && !m->proposed[i]) news->region[r].n_labels++;
    }
    news->share = gln_drift_quota(news->region, news->n_regions);
    if (news->share == 0.0) {
        news->n_regions = 0;
        return GLN_OK;
    }
    st = gln_alloc(&news->weight, state->n, sizeof *news->weight, "drift");
    for (size_t i = 0; st == GLN_OK && i < state->n; i++) {
        size_t r = (double)state->image_id[i] > report.reference ? region_of(news, state, i) : SIZE_MAX;
        if (r != SIZE_MAX) news->weight[i] = (float)news->region[r].weight;
    }
    return st;
}

void gln_news_dispose(gln_news *news)
{
    gln_free(news->weight);
    *news = (gln_news){0};
}

/* "cluster 12 holds 21.0% of the new images, 1.0% of those before" */
static void say_region(char *out, size_t capacity, const gln_news *news, const gln_moment *m, size_t r)
{
    const gln_drift_region *region = &news->region[r];
    if (news->cluster[r] == UINT32_MAX) snprintf(out, capacity, "the new images differ from those before");
    else
        snprintf(out, capacity, "cluster %lld holds %.1f%% of the new images, %.1f%% of those before",
                 (long long)m->state->cluster_id[news->cluster[r]], 100.0 * region->share_arrivals,
                 100.0 * region->share_reference);
}

void gln_news_reason(char *out, size_t capacity, const gln_news *news, const gln_moment *m, uint32_t image)
{
    size_t r = region_of(news, m->state, image);
    if (r == SIZE_MAX) snprintf(out, capacity, "drift");
    else say_region(out, capacity, news, m, r);
}

gln_json *gln_news_json(const gln_news *news, const gln_moment *m, size_t n_images)
{
    char words[256], region_words[160];
    if (news->weight == NULL) return NULL;
    size_t first = 0;
    for (size_t r = 1; r < news->n_regions; r++)
        if (news->region[r].weight > news->region[first].weight) first = r;
    say_region(region_words, sizeof region_words, news, m, first);
    snprintf(words, sizeof words, "drift was found and not accepted: %s; %zu image%s of the batch look%s there",
             region_words, n_images, n_images == 1 ? "" : "s", n_images == 1 ? "s" : "");
    gln_json *json = gln_json_object();
    gln_json_set_number(json, "share", news->share);
    gln_json_set_number(json, "images", (double)n_images);
    gln_json_set_string(json, "words", words);
    gln_json *regions = gln_json_set(json, "regions", gln_json_array());
    for (size_t r = 0; r < news->n_regions; r++) {
        gln_json *item = gln_json_push(regions, gln_json_object());
        bool cluster = news->cluster[r] != UINT32_MAX;
        gln_json_set_number(item, "cluster", cluster ? (double)m->state->cluster_id[news->cluster[r]] : (double)NAN);
        gln_json_set_number(item, "share_reference", news->region[r].share_reference);
        gln_json_set_number(item, "share_arrivals", news->region[r].share_arrivals);
        gln_json_set_number(item, "labels", (double)news->region[r].n_labels);
        gln_json_set_number(item, "wanted", GLN_DRIFT_LABELS);
    }
    return json;
}
