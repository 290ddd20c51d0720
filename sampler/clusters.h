/*
 * What is done with clusters after k-means: medoids to look at, whether the clustering makes sense, and ids that
 * stay the same from night to night. Pure functions over arrays.
 */
#ifndef GLN_SAMPLER_CLUSTERS_H
#define GLN_SAMPLER_CLUSTERS_H

#include "common/status.h"
#include "common/threads.h"
#include "kernels/embeddings.h"
#include "kernels/graph.h"

#include <stddef.h>
#include <stdint.h>

#define GLN_NO_CLASS (-1)

/*
 * medoid [k, n_medoids] view indices: members near the centroid yet not near-duplicates of one another (greedy:
 * closest to the centroid first, then the one whose smallest distance to those chosen is largest among the closest
 * half). Padded with UINT32_MAX in clusters that are smaller. cluster [n] in [0, k), l2_sq [n] to the own centroid.
 */
gln_status gln_clusters_medoids(uint32_t *medoid, size_t n_medoids, const gln_embeddings *pool,
                                const uint32_t *cluster, const float *l2_sq, size_t k);

/*
 * Stable ids. overlap is counted between old and new assignment of the images that are in both: old_cluster [n]
 * (UINT32_MAX for new images) in [0, k_old), new_cluster [n] in [0, k_new). matched [k_new] receives the old cluster
 * whose id each new one takes, UINT32_MAX for a birth; one old id goes to at most one new cluster. Maximum total
 * overlap, by the Hungarian method (Kuhn 1955; Jonker and Volgenant's shortest augmenting paths); a match whose overlap
 * is zero is a birth.
 */
gln_status gln_clusters_match(uint32_t *matched, const uint32_t *old_cluster, size_t k_old,
                              const uint32_t *new_cluster, size_t k_new, size_t n);

typedef enum gln_sanity { GLN_SANITY_NOT_CLUSTERED, GLN_SANITY_WEAK, GLN_SANITY_GOOD } gln_sanity;

typedef struct gln_clusters_report {
    double rand_index;       /* adjusted Rand index between two seeds, Hubert and Arabie 1985 */
    double silhouette;       /* simplified: distances to centroids (Hruschka 2004), mean over the pool */
    double label_agreement;  /* share of labelled neighbour pairs with the same label; NaN below 20 pairs */
    gln_sanity verdict;
    char words[256];         /* one sentence for a labeling lead */
} gln_clusters_report;

/* Judges a clustering before money is spent on it. other_seed [n] is a second run's assignment (k_other clusters),
   centroid [k, d]; label [n] with GLN_NO_CLASS for unlabelled, NULL for none at all; graph may be NULL. */
gln_status gln_clusters_judge(gln_clusters_report *report, const gln_embeddings *pool, const uint32_t *cluster,
                              const float *centroid, size_t k, const uint32_t *other_seed, size_t k_other,
                              const gln_graph *graph, const int32_t *label, gln_pool *threads);

/* "good", "weak", "not-clustered" */
const char *gln_sanity_name(gln_sanity sanity);

#endif
