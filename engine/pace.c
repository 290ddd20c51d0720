#include "engine/pace.h"

#include "common/memory.h"
#include "sampler/clusters.h" /* GLN_NO_CLASS */
#include "sampler/seconds.h"

gln_status gln_pace_add(gln_pace *pace, const gln_label_row *row, int32_t class, uint32_t cluster)
{
    static const char what[] = "times of labels";
    if (!(row->seconds > 0.0) || class == GLN_NO_CLASS) return GLN_OK;
    size_t n = pace->n + 1;
    gln_status st = gln_grow(&pace->seconds, &pace->seconds_capacity, n, sizeof *pace->seconds, what);
    if (st == GLN_OK) st = gln_grow(&pace->class, &pace->class_capacity, n, sizeof *pace->class, what);
    if (st == GLN_OK) st = gln_grow(&pace->cluster, &pace->cluster_capacity, n, sizeof *pace->cluster, what);
    if (st != GLN_OK) return st;
    pace->cluster[pace->n] = cluster;
    pace->seconds[pace->n] = row->seconds;
    pace->class[pace->n++] = class;
    return GLN_OK;
}

gln_status gln_pace_learn(const gln_pace *pace, gln_classes *classes, size_t n_clusters, double *of_cluster)
{
    double *learned = NULL;
    gln_seconds_work told = {.n = pace->n,
                             .n_classes = classes->n,
                             .n_clusters = n_clusters,
                             .seconds = pace->seconds,
                             .class = pace->class,
                             .cluster = pace->cluster,
                             .configured = classes->seconds};
    for (size_t k = 0; of_cluster != NULL && k < n_clusters; k++) of_cluster[k] = 1.0;
    if (pace->n == 0) return GLN_OK;
    gln_status st = gln_alloc(&learned, classes->n, sizeof *learned, "seconds of classes");
    if (st == GLN_OK) st = gln_seconds_learn(learned, of_cluster, &told);
    for (size_t c = 0; st == GLN_OK && c < classes->n; c++) classes->seconds[c] = learned[c];
    gln_free(learned);
    return st;
}

void gln_pace_dispose(gln_pace *pace)
{
    gln_free(pace->seconds);
    gln_free(pace->class);
    gln_free(pace->cluster);
    *pace = (gln_pace){0};
}

struct reading {
    gln_pace pace;
    const gln_classes *classes;
};

static gln_status add_label(void *context, const gln_label_row *row)
{
    struct reading *reading = context;
    int32_t class = gln_classes_find(reading->classes, row->class_id);
    return gln_pace_add(&reading->pace, row, class, GLN_SECONDS_NO_CLUSTER);
}

gln_status gln_classes_pace(gln_store *store, int64_t project_id, gln_classes *classes)
{
    struct reading reading = {.classes = classes};
    gln_status st = gln_store_labels(store, project_id, 0, SIZE_MAX, add_label, &reading);
    if (st == GLN_OK) st = gln_pace_learn(&reading.pace, classes, 0, NULL);
    gln_pace_dispose(&reading.pace);
    return st;
}
