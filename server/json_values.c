/* The values that the shapes are made of: ids, times, hashes, money, text of any bytes. */
#include "server/shapes.h"

#include "common/clock.h"
#include "common/hash.h"
#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void gln_shape_set_id(gln_json *object, const char *name, int64_t id)
{
    if (id == 0) gln_json_set_null(object, name);
    else gln_json_set_number(object, name, (double)id);
}

void gln_shape_set_time(gln_json *object, const char *name, int64_t time_ms)
{
    char text[GLN_ISO_TIME_MAX];
    if (time_ms != 0) gln_clock_format(text, time_ms);
    gln_json_set_string(object, name, time_ms == 0 ? NULL : text);
}

void gln_shape_set_hash(gln_json *object, const char *name, const uint8_t sha256[32])
{
    char text[GLN_SHA256_HEX];
    gln_hex(text, sha256, GLN_SHA256_BYTES);
    gln_json_set_string(object, name, text);
}

void gln_shape_set_money(gln_json *object, const char *name, int64_t micros)
{
    gln_json_set_number(object, name, (double)micros / 1e6);
}

void gln_shape_set_text(gln_json *object, const char *name, const char *text)
{
    size_t length = strlen(text);
    if (gln_utf8_valid(text, length)) {
        gln_json_set_string(object, name, text);
        return;
    }
    /* Each byte that belongs to no character becomes U+FFFD, three bytes long. */
    char *clean = NULL;
    if (length > SIZE_MAX / 4 || gln_alloc_raw(&clean, 3 * length + 1, 1, "text") != GLN_OK) return;
    size_t to = 0;
    for (size_t from = 0; from < length;) {
        size_t n = 1;
        while (n <= 4 && from + n <= length && !gln_utf8_valid(text + from, n)) n++;
        if (n <= 4 && from + n <= length) {
            memcpy(clean + to, text + from, n);
            to += n;
            from += n;
        } else {
            memcpy(clean + to, "\xef\xbf\xbd", 3);
            to += 3;
            from++;
        }
    }
    clean[to] = 0;
    gln_json_set_string(object, name, clean);
    gln_free(clean);
}

void gln_shape_set_prediction(gln_json *object, const gln_class_map *classes, int64_t class_id, double p,
                              int64_t runner_up_id, double p_runner_up)
{
    const char *name = gln_class_map_name(classes, class_id), *runner_up = gln_class_map_name(classes, runner_up_id);
    if (name == NULL) {
        gln_json_set_null(object, "predicted");
        return;
    }
    gln_json *predicted = gln_json_set(object, "predicted", gln_json_object());
    gln_json_set_string(predicted, "class", name);
    gln_json_set_number(predicted, "p", p);
    gln_json_set_string(predicted, "runner_up", runner_up);
    gln_json_set_number(predicted, "p_runner_up", runner_up == NULL ? NAN : p_runner_up);
}

gln_status gln_shape_set_parsed(gln_json *object, const char *name, const char *text)
{
    gln_json *value = NULL;
    if (text[0] == 0) value = gln_json_object();
    else if (gln_json_parse(&value, text, strlen(text), name) != GLN_OK)
        return gln_fail(GLN_E_CORRUPT, "what the database keeps as %s is not JSON", name);
    gln_json_set(object, name, value);
    return GLN_OK;
}

gln_json *gln_shape_list(gln_json *items, const char *next)
{
    gln_json *list = gln_json_object();
    gln_json_set(list, "items", items);
    gln_json_set_string(list, "next", next != NULL && next[0] != 0 ? next : NULL);
    return list;
}

/* ---- classes ----------------------------------------------------------------------------------------------------- */

static gln_status add_class(void *context, const gln_class_row *row)
{
    gln_class_map *map = context;
    gln_status st = gln_grow(&map->items, &map->capacity, map->n + 1, sizeof *map->items, "classes");
    if (st != GLN_OK) return st;
    char *name = gln_strdup(row->name);
    if (name == NULL) return GLN_E_MEMORY;
    map->items[map->n++] = (struct gln_class_entry){
        .id = row->id,
        .name = name,
        .target_share = row->target_share,
        .price_micros = row->price_micros,
        .seconds = row->seconds,
        .n_labels = row->n_labels,
    };
    return GLN_OK;
}

gln_status gln_class_map_read(gln_class_map *map, gln_store *store, int64_t project_id)
{
    *map = (gln_class_map){0};
    return gln_store_classes(store, project_id, add_class, map);
}

void gln_class_map_dispose(gln_class_map *map)
{
    for (size_t i = 0; i < map->n; i++) gln_free(map->items[i].name);
    gln_free(map->items);
    *map = (gln_class_map){0};
}

const char *gln_class_map_name(const gln_class_map *map, int64_t id)
{
    for (size_t low = 0, high = map->n; id != 0 && low < high;) {
        size_t middle = low + (high - low) / 2;
        if (map->items[middle].id == id) return map->items[middle].name;
        if (map->items[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

const struct gln_class_entry *gln_class_map_find(const gln_class_map *map, const char *name)
{
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->items[i].name, name) == 0) return &map->items[i];
    return NULL;
}
