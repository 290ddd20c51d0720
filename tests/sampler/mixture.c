#include "tests/sampler/mixture.h"

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/kernels.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void neighbours_of(gln_mixture *m, const float *rows, size_t i)
{
    uint32_t *near = m->graph.neighbour + i * m->graph.k;
    float *similarity = m->graph.similarity + i * m->graph.k;
    size_t found = 0;
    for (size_t j = 0; j < m->graph.k; j++) {
        near[j] = GLN_NO_NEIGHBOUR;
        similarity[j] = -1.0f;
    }
    for (size_t j = 0; j < m->n; j++) {
        if (j == i) continue;
        float s = gln_kernels()->dot(rows + i * m->d, rows + j * m->d, m->d);
        size_t at = found < m->graph.k ? found : m->graph.k;
        while (at > 0 && s > similarity[at - 1]) {
            if (at < m->graph.k) {
                near[at] = near[at - 1];
                similarity[at] = similarity[at - 1];
            }
            at--;
        }
        if (at >= m->graph.k) continue;
        near[at] = (uint32_t)j;
        similarity[at] = s;
        if (found < m->graph.k) found++;
    }
}

void gln_mixture_make(gln_mixture *m, const size_t *size, size_t n_blobs, size_t d, double spread, size_t k, uint64_t seed)
{
    gln_rng rng;
    float *centre = NULL, *rows = NULL;
    *m = (gln_mixture){.d = d, .n_blobs = n_blobs};
    for (size_t b = 0; b < n_blobs; b++) m->n += size[b];
    gln_rng_seed(&rng, seed);
    gln_ok(gln_alloc(&centre, d, sizeof *centre, "centre"));
    gln_ok(gln_alloc(&rows, m->n * d, sizeof *rows, "rows"));
    gln_ok(gln_alloc(&m->rows, m->n * d, sizeof *m->rows, "rows"));
    gln_ok(gln_alloc(&m->truth, m->n, sizeof *m->truth, "truth"));
    gln_ok(gln_alloc(&m->label, m->n, sizeof *m->label, "labels"));
    gln_ok(gln_alloc(&m->unavailable, m->n, 1, "leases"));
    gln_ok(gln_alloc(&m->cluster, m->n, sizeof *m->cluster, "clusters"));
    gln_ok(gln_alloc(&m->representative, m->n, sizeof *m->representative, "groups"));
    size_t i = 0;
    for (size_t b = 0; b < n_blobs; b++) {
        for (size_t c = 0; c < d; c++) centre[c] = (float)gln_rng_normal(&rng) / sqrtf((float)d);
        for (size_t s = 0; s < size[b]; s++, i++) {
            for (size_t c = 0; c < d; c++) rows[i * d + c] = centre[c] + (float)(spread * gln_rng_normal(&rng)) / sqrtf((float)d);
            m->truth[i] = (int32_t)b;
            m->cluster[i] = (uint32_t)b;
            m->label[i] = GLN_NO_CLASS;
            m->representative[i] = (uint32_t)i;
        }
    }
    gln_kernels()->l2_normalise(rows, m->n, d);
    gln_kernels()->f32_to_f16(m->rows, rows, m->n * d);
    m->graph = (gln_graph){.n = m->n, .k = k, .recall = 1.0};
    gln_ok(gln_alloc(&m->graph.neighbour, m->n * k, sizeof(uint32_t), "graph"));
    gln_ok(gln_alloc(&m->graph.similarity, m->n * k, sizeof(float), "graph"));
    for (i = 0; i < m->n && k > 0; i++) neighbours_of(m, rows, i);
    m->embeddings = (gln_embeddings){.data = (const unsigned char *)m->rows, .stride_bytes = d * 2, .n = m->n, .d = d};
    m->pool = (gln_select_pool){.n = m->n, .n_classes = n_blobs, .n_clusters = n_blobs, .embeddings = &m->embeddings,
                                .cluster = m->cluster, .representative = m->representative,
                                .label = m->label, .unavailable = m->unavailable};
    gln_free(centre);
    gln_free(rows);
}

void gln_mixture_free(gln_mixture *m)
{
    gln_free(m->rows);
    gln_free(m->truth);
    gln_free(m->label);
    gln_free(m->unavailable);
    gln_free(m->cluster);
    gln_free(m->representative);
    gln_free(m->graph.neighbour);
    gln_free(m->graph.similarity);
}
