/*
 * The published sampling state of a project: what the last resample found out, as arrays ready for gln_select().
 * Immutable and counted: a batch reads the state it took while a resample publishes the next one.
 *
 * Kept on disk as rows of `sampling` plus the neighbour graph's derived file; loaded on first use after a start.
 */
#ifndef GLN_ENGINE_STATE_H
#define GLN_ENGINE_STATE_H

#include "common/status.h"
#include "kernels/embeddings.h"
#include "kernels/graph.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gln_engine;

typedef struct gln_state {
    int64_t project_id, run_id;
    char backbone[101];         /* whose vectors these are */
    size_t n;                   /* images, by view index */
    int64_t *image_id;          /* [n], ascending: view index i is image_id[i] */
    uint32_t *row;              /* [n] rows of the vectors file */
    /* over `row`; the vectors stay open as long as the engine. Empty in one open for reading */
    gln_embeddings embeddings;
    gln_graph *graph;           /* owned; NULL in an engine that is open for reading */
    size_t n_clusters;
    int64_t *cluster_id;        /* [n_clusters], ascending */
    uint32_t *cluster;          /* [n] positions in cluster_id */
    uint32_t *representative;   /* [n] view indices */
    size_t n_classes;           /* classes that the classifier knew */
    int64_t *class_id;          /* [n_classes] */
    double *hit_rate;           /* [n_classes] */
    float *probability;         /* [n, n_classes]; NULL: no classifier */
    size_t n_users;             /* guarded by the engine's rooms lock */
} gln_state;

/* The project's published state, counted up; *out is NULL with GLN_OK when nothing was published yet. Give it back. */
gln_status gln_state_take(struct gln_engine *engine, int64_t project_id, gln_state **out);
void gln_state_give(struct gln_engine *engine, gln_state *state);

/* Makes `state` the published one of its project (takes it over, whole); the old one is freed once nobody uses it. */
gln_status gln_state_publish(struct gln_engine *engine, gln_state *state);

/* The state `from`, as taken, without these images [n], ascending, becomes the published one; where it knows none of
   them nothing changes. Its graph loses them as neighbours, and is kept. The caller sees to it that no batch is chosen
   meanwhile. */
gln_status gln_state_drop(struct gln_engine *engine, const gln_state *from, const int64_t *image_ids, size_t n);

/* While held, nobody loads the project's state from the database, whose rows are about to change; those that want one
   wait. */
gln_status gln_state_hold(struct gln_engine *engine, int64_t project_id, bool held);

/* An empty one, and the end of one that was never published. */
gln_status gln_state_create(gln_state **out, size_t n, size_t n_clusters, size_t n_classes, int has_classifier);
void gln_state_free(gln_state *state);

/* View index of an image, SIZE_MAX when the state does not know it (ingested later). */
size_t gln_state_find(const gln_state *state, int64_t image_id);

/* What ties a graph file to the rows it was made from. */
void gln_state_key(uint8_t key[32], const int64_t *image_id, const uint32_t *row, size_t n);

#endif
