/* How long labels take: what is configured, drawn towards what returned work took, by class and by cluster (sampler/seconds.h). */
#include "engine/internal.h"

#include "common/memory.h"
#include "engine/state.h"
#include "sampler/clusters.h" /* GLN_NO_CLASS */
#include "sampler/seconds.h"

struct work {
    const gln_classes *classes;
    const gln_state *state;
    double *seconds;
    int32_t *class;
    uint32_t *cluster;
    size_t n, seconds_capacity, class_capacity, cluster_capacity;
};

static gln_status add_label(void *context, const gln_label_row *row)
{
    struct work *work = context;
    int32_t class = gln_classes_find(work->classes, row->class_id);
    if (!(row->seconds > 0.0) || class == GLN_NO_CLASS) return GLN_OK;
    gln_status st =
        gln_grow(&work->seconds, &work->seconds_capacity, work->n + 1, sizeof *work->seconds, "times of labels");
    if (st == GLN_OK)
        st = gln_grow(&work->class, &work->class_capacity, work->n + 1, sizeof *work->class, "times of labels");
    if (st == GLN_OK)
        st = gln_grow(&work->cluster, &work->cluster_capacity, work->n + 1, sizeof *work->cluster, "times of labels");
    if (st != GLN_OK) return st;
    size_t i = work->state != NULL ? gln_state_find(work->state, row->image_id) : SIZE_MAX;
    work->cluster[work->n] = i != SIZE_MAX ? work->state->cluster[i] : GLN_SECONDS_NO_CLUSTER;
    work->seconds[work->n] = row->seconds;
    work->class[work->n++] = class;
    return GLN_OK;
}

gln_status gln_classes_pace(gln_store *store, int64_t project_id, gln_classes *classes, const gln_state *state, double *of_cluster)
{
    struct work work = {.classes = classes, .state = state};
    double *learned = NULL;
    gln_status st = gln_store_labels(store, project_id, 0, SIZE_MAX, add_label, &work);
    if (st == GLN_OK) st = gln_alloc(&learned, classes->n, sizeof *learned, "seconds of classes");
    gln_seconds_work told = {.n = work.n, .n_classes = classes->n, .n_clusters = state != NULL ? state->n_clusters : 0,
                             .seconds = work.seconds, .class = work.class, .cluster = work.cluster, .configured = classes->seconds};
    for (size_t k = 0; of_cluster != NULL && k < told.n_clusters; k++) of_cluster[k] = 1.0;
    if (st == GLN_OK && work.n != 0 && (st = gln_seconds_learn(learned, of_cluster, &told)) == GLN_OK)
        for (size_t c = 0; c < classes->n; c++) classes->seconds[c] = learned[c];
    gln_free(learned);
    gln_free(work.seconds);
    gln_free(work.class);
    gln_free(work.cluster);
    return st;
}
