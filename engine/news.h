/*
 * Drift that was found and that nobody has accepted, as it concerns the next batch: which images lie where the new ones
 * differ from those before, and what share of the batch is for them (sampler/drift_quota.h). Not for use outside this
 * folder.
 *
 *     gln_news news = {0};
 *     st = gln_news_read(&news, &moment);
 *     ... news.weight, news.share ...
 *     gln_news_dispose(&news);
 */
#ifndef GLN_ENGINE_NEWS_H
#define GLN_ENGINE_NEWS_H

#include "common/json.h"
#include "engine/moment.h"
#include "sampler/drift.h"
#include "sampler/drift_quota.h"

typedef struct gln_news {
    float *weight; /* [n] of arrivals in drifted regions, 0 elsewhere; NULL: no drift, accepted, or known well enough */
    double share;     /* of the batch */
    size_t n_regions;
    gln_drift_region region[GLN_DRIFT_MAX_CLUSTERS];
    uint32_t cluster[GLN_DRIFT_MAX_CLUSTERS]; /* position in the state; UINT32_MAX: all arrivals, wherever they lie */
} gln_news;

gln_status gln_news_read(gln_news *news, const gln_moment *m);
void gln_news_dispose(gln_news *news);

/* What it says about an image of weight above 0: "cluster 12 holds 21.0% of the new images, 1.0% of those before". */
void gln_news_reason(char *out, size_t capacity, const gln_news *news, const gln_moment *m, uint32_t image);

/* {"share", "images", "words", "regions": [...]}, or null without. n_images: of the batch, for this. */
gln_json *gln_news_json(const gln_news *news, const gln_moment *m, size_t n_images);

#endif
