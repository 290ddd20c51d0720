/*
 * What a resample keeps for the next one, so that a night with 1% new images does not cost a night from scratch: the
 * neighbour graph, the centroids of the last full k-means, the classifier. All derived, in data/index/; each with the
 * identity of what it was made from, and saved as soon as it is made, so a run that is killed later does not make it
 * again. Of each backbone separately: after a switch and back, what was kept is there. Not for use outside this folder.
 *
 * Each function does its stage from what is kept where that is as good, else from scratch, and keeps the result.
 */
#ifndef GLN_ENGINE_RESAMPLE_KEPT_H
#define GLN_ENGINE_RESAMPLE_KEPT_H

#include "engine/internal.h"
#include "index/kmeans.h"
#include "sampler/svm.h"

/* state->graph of state->embeddings. The graph that batches still use stays until gln_kept_publish. */
gln_status gln_kept_graph(gln_engine *engine, gln_state *state, bool from_scratch, gln_progress *progress);

/* The new graph becomes the one that a later start loads. */
gln_status gln_kept_publish(gln_engine *engine, int64_t project_id, const char *backbone);
/* What was kept before there were several backbones has names without any: it is of this one. */
void gln_kept_rename(gln_engine *engine, int64_t project_id, const char *backbone);
/* Removes all of it, with the project or the backbone. */
void gln_kept_remove(gln_engine *engine, int64_t project_id, const char *backbone);

/* Two clusterings by seed and by another one derived from it; n_clusters 0: as many as suit the pool. */
gln_status gln_kept_clusters(gln_kmeans_result out[2], gln_engine *engine, int64_t project_id, const char *backbone,
                             const gln_embeddings *pool, size_t n_clusters, uint64_t seed, bool from_scratch,
                             gln_progress *progress);

/* The hash of all that a classifier depends on: label [n] of image_id [n], GLN_NO_CLASS for none. */
void gln_kept_classifier_key(uint8_t key[32], const gln_classes *classes, const int64_t *image_id, const int32_t *label,
                             size_t n, size_t d, uint64_t seed);
/* GLN_E_NOT_FOUND and the like when it has to be trained. */
gln_status gln_kept_classifier(gln_svm **out, gln_engine *engine, int64_t project_id, const char *backbone,
                               const uint8_t key[32]);
gln_status gln_kept_classifier_save(const gln_svm *svm, gln_engine *engine, int64_t project_id, const char *backbone,
                                    const uint8_t key[32]);

/* Scores the images with scored [n] 0 into state->probability [n, n_classes]; the others keep theirs. */
gln_status gln_kept_score(const gln_svm *svm, gln_state *state, const uint8_t *scored, gln_pool *threads,
                          gln_progress *progress);

#endif
