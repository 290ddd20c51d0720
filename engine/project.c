/* Projects, their classes, and the names that people give. */
#include "common/clock.h"
#include "common/memory.h"
#include "common/strbuf.h"
#include "engine/internal.h"
#include "engine/resample_kept.h"
#include "sampler/clusters.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_CLASSES = 1000 };

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static gln_status copy_project(void *context, const gln_project_row *row)
{
    gln_project *project = context;
    project->id = row->id;
    project->published_run_id = row->published_run_id;
    project->duplicate_threshold = row->duplicate_threshold;
    snprintf(project->name, sizeof project->name, "%s", row->name);
    snprintf(project->backbone, sizeof project->backbone, "%s", row->backbone);
    snprintf(project->published_backbone, sizeof project->published_backbone, "%s", row->published_backbone);
    snprintf(project->currency, sizeof project->currency, "%s", row->currency);
    return GLN_OK;
}

gln_status gln_project_read(gln_store *store, int64_t project_id, gln_project *out)
{
    memset(out, 0, sizeof *out);
    return gln_store_project_get(store, project_id, copy_project, out);
}

struct reading_classes {
    gln_classes *classes;
    size_t capacity[6];
};

static gln_status add_class(void *context, const gln_class_row *row)
{
    struct reading_classes *reading = context;
    gln_classes *c = reading->classes;
    gln_status st = GLN_OK;
    size_t n = c->n + 1;
    if (st == GLN_OK) st = gln_grow(&c->id, &reading->capacity[0], n, sizeof *c->id, "classes");
    if (st == GLN_OK) st = gln_grow(&c->name, &reading->capacity[1], n, sizeof *c->name, "classes");
    if (st == GLN_OK) st = gln_grow(&c->target_share, &reading->capacity[2], n, sizeof *c->target_share, "classes");
    if (st == GLN_OK) st = gln_grow(&c->price, &reading->capacity[3], n, sizeof *c->price, "classes");
    if (st == GLN_OK) st = gln_grow(&c->seconds, &reading->capacity[4], n, sizeof *c->seconds, "classes");
    if (st == GLN_OK) st = gln_grow(&c->n_labels, &reading->capacity[5], n, sizeof *c->n_labels, "classes");
    if (st != GLN_OK) return st;
    c->id[c->n] = row->id;
    snprintf(c->name[c->n], sizeof c->name[c->n], "%s", row->name);
    c->target_share[c->n] = row->target_share;
    c->price[c->n] = (double)row->price_micros * 1e-6;
    c->seconds[c->n] = row->seconds;
    c->n_labels[c->n] = row->n_labels;
    c->n++;
    return GLN_OK;
}

gln_status gln_classes_read(gln_store *store, int64_t project_id, gln_classes *out)
{
    *out = (gln_classes){0};
    struct reading_classes reading = {.classes = out};
    return gln_store_classes(store, project_id, add_class, &reading);
}

void gln_classes_dispose(gln_classes *classes)
{
    gln_free(classes->id);
    gln_free(classes->name);
    gln_free(classes->target_share);
    gln_free(classes->price);
    gln_free(classes->seconds);
    gln_free(classes->n_labels);
    *classes = (gln_classes){0};
}

int32_t gln_classes_find(const gln_classes *classes, int64_t class_id)
{
    for (size_t i = 0; i < classes->n; i++)
        if (classes->id[i] == class_id) return (int32_t)i;
    return GLN_NO_CLASS;
}

int32_t gln_classes_find_name(const gln_classes *classes, const char *name)
{
    for (size_t i = 0; i < classes->n; i++)
        if (strcmp(classes->name[i], name) == 0) return (int32_t)i;
    return GLN_NO_CLASS;
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

static gln_status check_project_name(const char *name)
{
    static const char *const inner = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = name == NULL ? 0 : strlen(name);
    if (length == 0 || length > 100 || strspn(name, inner) != length || strchr("._-", name[0]) != NULL)
        return gln_fail(GLN_E_ARGUMENT,
                        "name: a project's name has 1 to 100 letters, digits, '.', '_' or '-' and begins "
                        "with a letter or digit; \"%.40s\" does not",
                        name == NULL ? "" : name);
    return GLN_OK;
}

bool gln_name_is_plain(const char *name)
{
    for (const char *c = name; *c != 0; c++)
        if ((unsigned char)*c < 32 || *c == 127) return false;
    return gln_utf8_valid(name, strlen(name));
}

static gln_status check_class(const gln_class_spec *spec, size_t index)
{
    size_t length = spec->name == NULL ? 0 : strlen(spec->name);
    if (length == 0 || length > 200)
        return gln_fail(GLN_E_ARGUMENT, "classes/%zu/name: a class has a name of 1 to 200 bytes", index);
    if (!gln_name_is_plain(spec->name))
        return gln_fail(GLN_E_ARGUMENT, "classes/%zu/name: not valid UTF-8, or control characters in it", index);
    if (!isnan(spec->target_share) && !(spec->target_share >= 0.0 && spec->target_share <= 1.0))
        return gln_fail(GLN_E_ARGUMENT, "classes/%zu/target_share: %g is not between 0 and 1", index,
                        spec->target_share);
    if (!(spec->price >= 0.0 && spec->price <= 1e9))
        return gln_fail(GLN_E_ARGUMENT, "classes/%zu/price: %g is not between 0 and a thousand million", index,
                        spec->price);
    if (!(spec->seconds >= 0.0 && spec->seconds <= 1e6))
        return gln_fail(GLN_E_ARGUMENT, "classes/%zu/seconds: %g is not between 0 and a million", index, spec->seconds);
    return GLN_OK;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* Adds or changes classes inside a write transaction and checks the sum of shares afterwards. */
static gln_status set_classes(gln_store *store, int64_t project_id, const gln_class_spec *specs, size_t n)
{
    gln_status st = GLN_OK;
    gln_classes classes = {0};
    for (size_t i = 0; i < n && st == GLN_OK; i++) {
        if ((st = check_class(&specs[i], i)) != GLN_OK) break;
        gln_class_row row = {
            .project_id = project_id,
            .name = specs[i].name,
            .target_share = specs[i].target_share,
            .price_micros = llround(specs[i].price * 1e6),
            .seconds = specs[i].seconds,
        };
        if ((st = gln_store_class_find(store, project_id, row.name, &row.id)) != GLN_OK) break;
        st = row.id != 0 ? gln_store_class_update(store, &row) : gln_store_class_add(store, &row, &row.id);
    }
    if (st == GLN_OK) st = gln_classes_read(store, project_id, &classes);
    double sum = 0.0;
    for (size_t i = 0; i < classes.n; i++)
        if (!isnan(classes.target_share[i])) sum += classes.target_share[i];
    if (st == GLN_OK && sum > 1.0 + 1e-6)
        st = gln_fail(GLN_E_ARGUMENT, "classes: the target shares add up to %.4g; at most 1 is possible", sum);
    if (st == GLN_OK && classes.n > MAX_CLASSES)
        st = gln_fail(GLN_E_LIMIT, "classes: %zu are too many; at most %d", classes.n, MAX_CLASSES);
    gln_classes_dispose(&classes);
    return st;
}

gln_status gln_engine_project_create(gln_engine *engine, const gln_project_spec *spec, int64_t *out_id)
{
    *out_id = 0;
    char backbone[101];
    gln_status st = check_project_name(spec->name);
    if (st != GLN_OK) return st;
    const char *currency = spec->currency == NULL ? "EUR" : spec->currency;
    if (strlen(currency) != 3 || strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
        return gln_fail(GLN_E_ARGUMENT, "currency: \"%.10s\" is not a code of three capital letters", currency);
    if ((st = gln_backbone_find(engine, spec->backbone, backbone)) != GLN_OK) return st;

    gln_store *store = NULL;
    if ((st = gln_engine_write_begin(engine, &store)) != GLN_OK) return st;
    gln_project_row row = {
        .name = spec->name,
        .backbone = backbone,
        .currency = currency,
        .duplicate_threshold = NAN,
        .created_ms = gln_clock_ms(),
    };
    int64_t id = 0, backbone_id = 0;
    st = gln_store_project_find(store, spec->name, &id);
    if (st == GLN_OK && id != 0) st = gln_fail(GLN_E_CONFLICT, "name: there is a project %s already", spec->name);
    if (st == GLN_OK) st = gln_store_project_add(store, &row, &id);
    gln_project_backbone_row first = {
        .project_id = id, .name = backbone, .precision = spec->precision, .created_ms = row.created_ms};
    if (st == GLN_OK) st = gln_store_backbone_add(store, &first, &backbone_id);
    if (st == GLN_OK) st = set_classes(store, id, spec->classes, spec->n_classes);
    if ((st = gln_engine_write_end(engine, st)) == GLN_OK) *out_id = id;
    return st;
}

gln_status gln_engine_project_rename(gln_engine *engine, int64_t project_id, const char *name)
{
    gln_store *store = NULL;
    int64_t id = 0;
    gln_status st = check_project_name(name);
    if (st != GLN_OK || (st = gln_engine_write_begin(engine, &store)) != GLN_OK) return st;
    st = gln_store_project_find(store, name, &id);
    if (st == GLN_OK && id != 0 && id != project_id)
        st = gln_fail(GLN_E_CONFLICT, "name: there is a project %s already", name);
    if (st == GLN_OK) st = gln_store_project_rename(store, project_id, name);
    return gln_engine_write_end(engine, st);
}

gln_status gln_engine_project_delete(gln_engine *engine, int64_t project_id)
{
    char vectors_path[GLN_PATH_MAX];
    gln_project_backbones backbones = {0};
    gln_store *store = NULL;
    gln_room *room = NULL;
    /* Not while a run writes to it. */
    if (pthread_mutex_trylock(&engine->run) != 0)
        return gln_fail(GLN_E_BUSY, "a run is in progress; stop it, or wait for its end, before deleting a project");
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st == GLN_OK) {
        gln_project project;
        st = gln_project_read(store, project_id, &project);
        if (st == GLN_OK) st = gln_project_backbones_read(store, project_id, &backbones);
        if (st == GLN_OK) st = gln_store_project_delete(store, project_id);
        st = gln_engine_write_end(engine, st);
    }
    if (st == GLN_OK && (st = gln_engine_room(engine, project_id, &room)) == GLN_OK) {
        /* The mapping stays until the engine closes: a batch that is being chosen may still read it. */
        pthread_mutex_lock(&engine->rooms_lock);
        gln_state *dead = room->state != NULL && --room->state->n_users == 0 ? room->state : NULL;
        room->state = NULL;
        pthread_mutex_unlock(&engine->rooms_lock);
        gln_state_free(dead);
        for (size_t i = 0; i < backbones.n; i++) {
            gln_room_forget_vectors(engine, room, backbones.item[i].name);
            if (gln_engine_vectors_path(engine, project_id, backbones.item[i].name, vectors_path) == GLN_OK)
                unlink(vectors_path);
            gln_kept_remove(engine, project_id, backbones.item[i].name);
        }
    }
    pthread_mutex_unlock(&engine->run);
    return st;
}

gln_status gln_engine_classes_set(gln_engine *engine, int64_t project_id, const gln_class_spec *classes,
                                  size_t n_classes)
{
    gln_store *store = NULL;
    gln_project project;
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st != GLN_OK) return st;
    st = gln_project_read(store, project_id, &project);
    if (st == GLN_OK) st = set_classes(store, project_id, classes, n_classes);
    return gln_engine_write_end(engine, st);
}

gln_status gln_engine_classes_remove(gln_engine *engine, int64_t project_id, const char *const *names, size_t n_names)
{
    gln_store *store = NULL;
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < n_names && st == GLN_OK; i++) {
        int64_t id = 0;
        st = gln_store_class_find(store, project_id, names[i], &id);
        if (st == GLN_OK && id == 0)
            st = gln_fail(GLN_E_NOT_FOUND, "remove_classes: there is no class \"%.100s\"", names[i]);
        if (st == GLN_OK) st = gln_store_class_delete(store, id);
        if (st == GLN_E_CONFLICT)
            st = gln_fail(
                GLN_E_CONFLICT,
                "remove_classes: class \"%.100s\" has labels, current ones or in the history of an image, and stays",
                names[i]);
    }
    return gln_engine_write_end(engine, st);
}

gln_status gln_engine_cluster_describe(gln_engine *engine, int64_t cluster_id, const char *name, const char *notes)
{
    if (name != NULL && strlen(name) > 200) return gln_fail(GLN_E_ARGUMENT, "name: at most 200 bytes");
    if (notes != NULL && strlen(notes) > 10000) return gln_fail(GLN_E_ARGUMENT, "notes: at most 10,000 bytes");
    gln_store *store = NULL;
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st != GLN_OK) return st;
    return gln_engine_write_end(engine, gln_store_cluster_describe(store, cluster_id, name, notes));
}
