#include "engine/moment.h"

#include "common/hash.h"
#include "common/memory.h"
#include "common/strbuf.h"
#include "engine/pace.h"
#include "sampler/seconds.h" /* GLN_SECONDS_NO_CLUSTER */
#include "sampler/select.h"  /* GLN_LEASED */

#include <string.h>

/* Labels of the moment, and how long they took. */
struct labels {
    gln_moment *m;
    gln_pace pace;
};

static gln_status take_label(void *context, const gln_label_row *row)
{
    struct labels *labels = context;
    gln_moment *m = labels->m;
    size_t i = gln_state_find(m->state, row->image_id);
    int32_t class = gln_classes_find(&m->classes, row->class_id);
    if (i != SIZE_MAX) {
        m->label[i] = class;
        m->proposed[i] = strcmp(row->source, "proposed") == 0;
    }
    return gln_pace_add(&labels->pace, row, class, i != SIZE_MAX ? m->state->cluster[i] : GLN_SECONDS_NO_CLUSTER);
}

static gln_status take_labels(gln_moment *m)
{
    struct labels labels = {.m = m};
    gln_status st = gln_store_labels(m->reader, m->project.id, 0, SIZE_MAX, take_label, &labels);
    if (st == GLN_OK) st = gln_pace_learn(&labels.pace, &m->classes, m->state->n_clusters, m->seconds_factor);
    gln_pace_dispose(&labels.pace);
    return st;
}

static gln_status mark_leased(void *context, int64_t image_id)
{
    gln_moment *m = context;
    size_t i = gln_state_find(m->state, image_id);
    if (i != SIZE_MAX) m->unavailable[i] = GLN_LEASED;
    return GLN_OK;
}

/* Probabilities and hit rates by today's classes: those added since the resample have none yet. */
static gln_status fill_probability(gln_moment *m)
{
    const gln_state *state = m->state;
    size_t n = m->classes.n, row_bytes = 0;
    gln_status st = gln_alloc(&m->hit_rate, n, sizeof *m->hit_rate, "hit rates");
    if (st != GLN_OK) return st;
    bool same = n == state->n_classes;
    for (size_t c = 0; c < n; c++) {
        m->hit_rate[c] = 1.0;
        for (size_t k = 0; k < state->n_classes; k++)
            if (state->class_id[k] == m->classes.id[c]) m->hit_rate[c] = state->hit_rate[k];
        same = same && state->class_id[c] == m->classes.id[c];
    }
    if (state->probability == NULL || same) {
        m->probability = state->probability;
        return GLN_OK;
    }
    if (!gln_mul_size(&row_bytes, n, sizeof *m->owned)) return gln_fail(GLN_E_LIMIT, "too many classes");
    if ((st = gln_alloc(&m->owned, state->n, row_bytes, "probabilities")) != GLN_OK) return st;
    for (size_t k = 0; k < state->n_classes; k++) {
        int32_t c = gln_classes_find(&m->classes, state->class_id[k]);
        if (c == GLN_NO_CLASS) continue;
        for (size_t i = 0; i < state->n; i++)
            m->owned[i * n + (size_t)c] = state->probability[i * state->n_classes + k];
    }
    m->probability = m->owned;
    return GLN_OK;
}

gln_status gln_moment_take(gln_moment *m, gln_engine *engine, int64_t project_id)
{
    gln_status st = GLN_OK;
    *m = (gln_moment){.engine = engine};
    if ((st = gln_engine_reader_take(engine, &m->reader)) != GLN_OK) return st;
    if ((st = gln_project_read(m->reader, project_id, &m->project)) != GLN_OK) return st;
    if ((st = gln_classes_read(m->reader, m->project.id, &m->classes)) != GLN_OK) return st;
    if ((st = gln_state_take(engine, m->project.id, &m->state)) != GLN_OK) return st;
    if (m->state == NULL)
        return gln_fail(GLN_E_CONFLICT, "project %s has not been resampled yet; run `gleaner resample` (or POST a run) "
                        "after its images are in", m->project.name);
    if ((st = gln_alloc(&m->seconds_factor, m->state->n_clusters, sizeof *m->seconds_factor, "seconds of clusters")) !=
        GLN_OK)
        return st;
    size_t n = m->state->n;
    if ((st = gln_alloc_raw(&m->label, n, sizeof *m->label, "labels")) != GLN_OK) return st;
    if ((st = gln_alloc(&m->proposed, n, 1, "proposed labels")) != GLN_OK) return st;
    if ((st = gln_alloc(&m->unavailable, n, 1, "leases")) != GLN_OK) return st;
    for (size_t i = 0; i < n; i++) m->label[i] = GLN_NO_CLASS;
    if ((st = take_labels(m)) != GLN_OK) return st;
    if ((st = gln_store_leased_images(m->reader, m->project.id, mark_leased, m)) != GLN_OK) return st;
    return fill_probability(m);
}

void gln_moment_give(gln_moment *m)
{
    gln_engine_reader_give(m->engine, m->reader);
    if (m->state != NULL) gln_state_give(m->engine, m->state);
    gln_classes_dispose(&m->classes);
    gln_free(m->label);
    gln_free(m->proposed);
    gln_free(m->unavailable);
    gln_free(m->hit_rate);
    gln_free(m->seconds_factor);
    gln_free(m->owned);
    *m = (gln_moment){0};
}

size_t gln_moment_cluster(const gln_moment *m, int64_t cluster_id)
{
    for (size_t c = 0; c < m->state->n_clusters; c++)
        if (m->state->cluster_id[c] == cluster_id) return c;
    return SIZE_MAX;
}

double gln_moment_seconds(const gln_moment *m, size_t image, int32_t class)
{
    return m->seconds_factor[m->state->cluster[image]] * m->classes.seconds[class];
}

gln_status gln_moment_seed(uint64_t *seed)
{
    uint8_t bytes[8];
    gln_status st = gln_random_bytes(bytes, sizeof bytes);
    if (st != GLN_OK) return st;
    memcpy(seed, bytes, sizeof bytes);
    *seed >>= 15; /* 49 bits */
    return GLN_OK;
}

struct hash_of {
    char hex[GLN_SHA256_HEX];
};

static gln_status copy_hash(void *context, const gln_image_row *row)
{
    gln_hex(((struct hash_of *)context)->hex, row->sha256, sizeof row->sha256);
    return GLN_OK;
}

gln_status gln_moment_manifest(const gln_moment *m, const uint32_t *image, size_t n, uint8_t out[32])
{
    gln_strbuf manifest;
    gln_strbuf_init(&manifest, (size_t)MAX_BATCH * GLN_SHA256_HEX + 1);
    gln_status st = GLN_OK;
    for (size_t i = 0; i < n && st == GLN_OK; i++) {
        struct hash_of hash = {""};
        st = gln_store_image_get(m->reader, m->state->image_id[image[i]], copy_hash, &hash);
        gln_strbuf_printf(&manifest, "%s\n", hash.hex);
    }
    if (st == GLN_OK) st = gln_strbuf_status(&manifest, "manifest of the batch");
    if (st == GLN_OK) gln_sha256(out, manifest.data, manifest.length);
    gln_strbuf_dispose(&manifest);
    return st;
}
