/*
 * Removing images for good. First what makes an image recognisable is written over or deleted, vectors and thumbnail,
 * then one transaction takes out the rows. A kill between the two leaves images whose vector is zeros, which the same
 * call removes; after them all is gone but a graph and a classifier, derived and made of numbers, which the next start
 * or resample makes anew.
 */
#include "engine/internal.h"
#include "engine/state.h"

#include "common/clock.h"
#include "common/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct leaving {
    int64_t image_id, project_id, vector_row, batch_id;
    uint8_t sha256[32];
    bool elsewhere; /* another project has the same photo: its thumbnail stays */
};

struct removal {
    gln_engine *engine;
    int64_t project_id;
    struct leaving *item; /* [n], ascending by id */
    int64_t *id;          /* [n] the same ids */
    size_t n;
    gln_store *reader;
};

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static gln_status copy_image(void *context, const gln_image_row *row)
{
    struct leaving *item = context;
    item->image_id = row->id;
    item->project_id = row->project_id;
    item->vector_row = row->vector_row;
    item->batch_id = row->leased_batch_id;
    memcpy(item->sha256, row->sha256, sizeof item->sha256);
    return GLN_OK;
}

static gln_status look_elsewhere(void *context, const gln_project_row *row)
{
    struct removal *r = context;
    gln_status st = GLN_OK;
    for (size_t i = 0; st == GLN_OK && row->id != r->project_id && i < r->n; i++) {
        int64_t there = 0;
        st = gln_store_image_find(r->reader, row->id, r->item[i].sha256, &there);
        if (there != 0) r->item[i].elsewhere = true;
    }
    return st;
}

/* Each id once, in order; and what is asked for must be possible. */
static gln_status look_up(struct removal *r, const int64_t *image_ids, size_t n)
{
    gln_status st = gln_alloc(&r->item, n, sizeof *r->item, "images to remove");
    if (st == GLN_OK) st = gln_alloc(&r->id, n, sizeof *r->id, "images to remove");
    if (st != GLN_OK || n == 0) return st;
    memcpy(r->id, image_ids, n * sizeof *r->id);
    qsort(r->id, n, sizeof *r->id, compare_ids);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || r->id[i] != r->id[i - 1]) r->id[r->n++] = r->id[i];
    if ((st = gln_engine_reader_take(r->engine, &r->reader)) != GLN_OK) return st;
    for (size_t i = 0; st == GLN_OK && i < r->n; i++) {
        struct leaving *item = &r->item[i];
        st = gln_store_image_get(r->reader, r->id[i], copy_image, item);
        if (st == GLN_E_NOT_FOUND || (st == GLN_OK && item->project_id != r->project_id))
            st = gln_fail(GLN_E_NOT_FOUND, "this project has no image %lld", (long long)r->id[i]);
        if (st == GLN_OK && item->batch_id != 0)
            st = gln_fail(GLN_E_CONFLICT,
                          "image %lld is leased to batch %lld; label it, or give the batch back, before it is removed",
                          (long long)r->id[i], (long long)item->batch_id);
    }
    if (st == GLN_OK) st = gln_store_projects(r->reader, 0, SIZE_MAX, look_elsewhere, r);
    return st;
}

static gln_status erase_vectors(const struct removal *r, const gln_project_backbones *backbones)
{
    gln_room *room = NULL;
    gln_status st = gln_engine_room(r->engine, r->project_id, &room);
    for (size_t b = 0; st == GLN_OK && b < backbones->n; b++) {
        gln_vectors *vectors = gln_room_vectors(r->engine, room, backbones->item[b].name);
        for (size_t i = 0; st == GLN_OK && vectors != NULL && i < r->n;
             i++) /* a backbone that lags behind has no row yet */
            if ((size_t)r->item[i].vector_row < gln_vectors_count(vectors))
                st = gln_vectors_erase(vectors, (size_t)r->item[i].vector_row);
    }
    return st;
}

static gln_status unlink_thumbnails(const struct removal *r)
{
    char path[GLN_PATH_MAX];
    gln_status st = GLN_OK;
    for (size_t i = 0; st == GLN_OK && i < r->n; i++) {
        if (r->item[i].elsewhere) continue;
        st = gln_engine_thumbnail_path(r->engine, r->item[i].sha256, path);
        if (st == GLN_OK && unlink(path) != 0 && errno != ENOENT) st = gln_fail_errno(errno, "%s", path);
    }
    return st;
}

static gln_status delete_rows(const struct removal *r)
{
    gln_store *store = NULL;
    int64_t now_ms = gln_clock_ms();
    gln_status st = gln_engine_write_begin(r->engine, &store);
    if (st != GLN_OK) return st;
    for (size_t i = 0; st == GLN_OK && i < r->n; i++) st = gln_store_image_delete(store, r->id[i], now_ms);
    return gln_engine_write_end(r->engine, st);
}

/* A classifier holds vectors of the images that it learned from. */
static void unlink_classifiers(const struct removal *r, const gln_project_backbones *backbones)
{
    char path[GLN_PATH_MAX];
    for (size_t b = 0; b < backbones->n; b++)
        if (gln_engine_kept_path(r->engine, r->project_id, backbones->item[b].name, "classifier", path) == GLN_OK)
            unlink(path);
}

gln_status gln_engine_images_remove(gln_engine *engine, int64_t project_id, const int64_t *image_ids, size_t n)
{
    struct removal r = {.engine = engine, .project_id = project_id};
    gln_project_backbones backbones = {0};
    gln_state *state = NULL;
    gln_status st = gln_leases_expire(engine);
    if (st != GLN_OK) return st;
    if (pthread_mutex_trylock(&engine->run) != 0)
        return gln_fail(GLN_E_BUSY, "a run is in progress; stop it, or wait for its end, before removing images");
    pthread_mutex_lock(&engine->batch); /* a batch that is being chosen may want one of them */
    st = look_up(&r, image_ids, n);
    if (st == GLN_OK && r.n != 0) st = gln_project_backbones_read(r.reader, project_id, &backbones);
    gln_engine_reader_give(engine, r.reader);
    /* With its graph, which is of the rows as they are now. */
    if (st == GLN_OK && r.n != 0) st = gln_state_take(engine, project_id, &state);
    if (st == GLN_OK && r.n != 0) {
        unlink_classifiers(&r, &backbones);
        st = erase_vectors(&r, &backbones);
        if (st == GLN_OK) st = unlink_thumbnails(&r);
        if (st == GLN_OK) st = delete_rows(&r);
        if (st == GLN_OK) st = unlink_thumbnails(&r); /* of who looked meanwhile */
        if (st == GLN_OK && state != NULL) st = gln_state_drop(engine, state, r.id, r.n);
    }
    if (state != NULL) gln_state_give(engine, state);
    pthread_mutex_unlock(&engine->batch);
    pthread_mutex_unlock(&engine->run);
    gln_free(r.item);
    gln_free(r.id);
    return st;
}
