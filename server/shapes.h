/*
 * The shapes of docs/api.md: rows of the store as JSON. Used by the handlers.
 *
 * Every function makes a new value that the caller owns, NULL without memory. Ids 0 and times 0 become null, numbers
 * that are not finite too. What is not UTF-8 in a path or a sentence is shown as U+FFFD.
 *
 * Threads: as the store they read from.
 */
#ifndef GLN_SERVER_SHAPES_H
#define GLN_SERVER_SHAPES_H

#include "common/json.h"
#include "store/store.h"

/* The classes of a project, so that ids in rows can be named. */
typedef struct gln_class_map {
    struct gln_class_entry {
        int64_t id;
        char *name;
        double target_share; /* NaN: an equal part of what is left */
        int64_t price_micros;
        double seconds;
        int64_t n_labels;
        int64_t n_predicted; /* filled by gln_shape_balance alone */
    } *items; /* [n] by id */
    size_t n, capacity;
} gln_class_map;

gln_status gln_class_map_read(gln_class_map *map, gln_store *store, int64_t project_id);
void gln_class_map_dispose(gln_class_map *map);
const char *gln_class_map_name(const gln_class_map *map, int64_t id);                /* NULL: none */
const struct gln_class_entry *gln_class_map_find(const gln_class_map *map, const char *name); /* NULL: none */

/* ---- json_values.c ---- */
void gln_shape_set_id(gln_json *object, const char *name, int64_t id);
void gln_shape_set_time(gln_json *object, const char *name, int64_t time_ms);
void gln_shape_set_hash(gln_json *object, const char *name, const uint8_t sha256[32]);
/* Text that may hold any bytes (a path, a sentence that was cut). */
void gln_shape_set_text(gln_json *object, const char *name, const char *text);
void gln_shape_set_money(gln_json *object, const char *name, int64_t micros);
/* {"class", "p", "runner_up", "p_runner_up"}, or null without a class. */
void gln_shape_set_prediction(gln_json *object, const gln_class_map *classes, int64_t class_id, double p,
                              int64_t runner_up_id, double p_runner_up);
/* A JSON text that the engine keeps, as a value; GLN_E_CORRUPT when it is none. "" is {}. */
gln_status gln_shape_set_parsed(gln_json *object, const char *name, const char *text);
/* {"items", "next"}: takes `items`; `next` NULL or "" is null. */
gln_json *gln_shape_list(gln_json *items, const char *next);

/* ---- json_project.c ---- */
gln_status gln_shape_project(gln_json **out, gln_store *store, int64_t project_id);
/* `project_id` and the normalised entropy that the engine told. */
gln_status gln_shape_balance(gln_json **out, gln_store *store, int64_t project_id, double entropy);

/* ---- json_image.c ---- */
gln_json *gln_shape_image(const gln_image_row *row, const gln_class_map *classes);
gln_json *gln_shape_label(const gln_label_row *row);
gln_json *gln_shape_refusal(const gln_refusal_row *row);

/* ---- json_cluster.c ---- */
gln_status gln_shape_cluster(gln_json **out, gln_store *store, const gln_class_map *classes, int64_t cluster_id,
                             int64_t project_id);

/* ---- json_batch.c ---- */
/* GLN_E_NOT_FOUND when the project has no such batch. */
gln_status gln_shape_batch(gln_json **out, gln_store *store, int64_t project_id, int64_t batch_id, bool with_items);
gln_status gln_shape_batch_row(gln_json **out, const gln_batch_row *row);
gln_json *gln_shape_ledger(const gln_ledger_row *row);

/* ---- json_run.c ---- */
gln_status gln_shape_run(gln_json **out, const gln_run_row *row);
/* The run of this id; GLN_E_NOT_FOUND when the project has none. */
gln_status gln_shape_run_get(gln_json **out, gln_store *store, int64_t project_id, int64_t run_id);

#endif
