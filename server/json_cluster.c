/* Cluster, with its medoids and its mix of classes. */
#include "server/shapes.h"

struct cluster {
    gln_json *json, *medoids, *mix;
    const gln_class_map *classes;
    int64_t project_id;
};

static gln_status build(void *context, const gln_cluster_row *row)
{
    struct cluster *cluster = context;
    cluster->project_id = row->project_id;
    gln_json_set_number(cluster->json, "id", (double)row->id);
    gln_json_set_string(cluster->json, "name", row->name);
    gln_json_set_string(cluster->json, "notes", row->notes);
    gln_json_set_number(cluster->json, "size", (double)row->size);
    gln_json_set_number(cluster->json, "labelled", (double)row->n_labelled);
    gln_json_set_number(cluster->json, "mean_distance", row->mean_distance);
    return GLN_OK;
}

static gln_status add_medoid(void *context, int64_t id)
{
    struct cluster *cluster = context;
    gln_json_push(cluster->medoids, gln_json_new_number((double)id));
    return GLN_OK;
}

static gln_status add_count(void *context, int64_t class_id, int64_t n_labelled, int64_t n_predicted)
{
    struct cluster *cluster = context;
    const char *name = gln_class_map_name(cluster->classes, class_id);
    if (name == NULL) return GLN_OK;
    gln_json *entry = gln_json_push(cluster->mix, gln_json_object());
    gln_json_set_string(entry, "class", name);
    gln_json_set_number(entry, "labelled", (double)n_labelled);
    gln_json_set_number(entry, "predicted", (double)n_predicted);
    return GLN_OK;
}

gln_status gln_shape_cluster(gln_json **out, gln_store *store, const gln_class_map *classes, int64_t cluster_id,
                             int64_t project_id)
{
    struct cluster cluster = {.json = gln_json_object(), .classes = classes};
    *out = NULL;
    gln_status st = gln_store_cluster_get(store, cluster_id, build, &cluster);
    if (st == GLN_OK && cluster.project_id != project_id)
        st = gln_fail(GLN_E_NOT_FOUND, "this project has no cluster %lld", (long long)cluster_id);
    cluster.medoids = gln_json_set(cluster.json, "medoids", gln_json_array());
    cluster.mix = gln_json_set(cluster.json, "classes", gln_json_array());
    if (st == GLN_OK) st = gln_store_medoids(store, cluster_id, add_medoid, &cluster);
    if (st == GLN_OK) st = gln_store_cluster_classes(store, cluster_id, add_count, &cluster);
    if (st == GLN_OK) *out = cluster.json;
    else gln_json_free(cluster.json);
    return st;
}
