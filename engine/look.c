/* Looking at images: thumbnails, originals, neighbours; and at the balance of the labelled set. */
#include "common/hash.h"
#include "common/log.h"
#include "common/memory.h"
#include "embed/image.h"
#include "engine/internal.h"
#include "index/neighbours.h"
#include "kernels/kernels.h"
#include "sampler/select.h"

#include <stdio.h>
#include <string.h>

enum { MAX_SIMILAR = 1000, THUMBNAIL_SIDE = 256, THUMBNAIL_QUALITY = 85 };
static const size_t max_original_bytes = 64u * 1024 * 1024;

/* ---- files ------------------------------------------------------------------------------------------------------- */

gln_status gln_engine_thumbnail_path(const gln_engine *engine, const uint8_t sha256[32], char out[GLN_PATH_MAX])
{
    char hex[GLN_SHA256_HEX], name[GLN_SHA256_HEX + 16];
    gln_hex(hex, sha256, GLN_SHA256_BYTES);
    snprintf(name, sizeof name, "thumbs/%.2s/%s.jpg", hex, hex);
    return gln_path_join(out, engine->data, name);
}

struct picture {
    int64_t project_id, vector_row;
    uint8_t sha256[32];
    char format[16], backbone[101]; /* the project's active one */
};

static gln_status copy_picture(void *context, const gln_image_row *row)
{
    struct picture *picture = context;
    picture->project_id = row->project_id;
    picture->vector_row = row->vector_row;
    memcpy(picture->sha256, row->sha256, sizeof picture->sha256);
    snprintf(picture->format, sizeof picture->format, "%s", row->format);
    return GLN_OK;
}

static gln_status read_picture(gln_engine *engine, int64_t image_id, struct picture *picture)
{
    gln_store *reader = NULL;
    gln_status st = gln_engine_reader_take(engine, &reader);
    if (st != GLN_OK) return st;
    gln_project project = {0};
    st = gln_store_image_get(reader, image_id, copy_picture, picture);
    if (st == GLN_OK) st = gln_project_read(reader, picture->project_id, &project);
    snprintf(picture->backbone, sizeof picture->backbone, "%s", project.backbone);
    gln_engine_reader_give(engine, reader);
    return st;
}

/* The first of the image's names whose file still has its bytes. */
struct search {
    const uint8_t *sha256;
    unsigned char *bytes;
    size_t n_bytes;
};

static gln_status try_name(void *context, const char *path, int64_t image_id)
{
    struct search *search = context;
    uint8_t sha256[32];
    (void)image_id;
    if (search->bytes != NULL) return GLN_OK;
    if (gln_file_read(&search->bytes, &search->n_bytes, path, max_original_bytes) != GLN_OK) return GLN_OK;
    gln_sha256(sha256, search->bytes, search->n_bytes);
    if (memcmp(sha256, search->sha256, sizeof sha256) == 0) return GLN_OK;
    gln_free(search->bytes);
    search->bytes = NULL;
    return GLN_OK;
}

gln_status gln_engine_original(gln_engine *engine, int64_t image_id, unsigned char **out, size_t *out_bytes,
                               char *out_format, size_t capacity)
{
    struct picture picture;
    gln_store *reader = NULL;
    *out = NULL;
    gln_status st = read_picture(engine, image_id, &picture);
    if (st != GLN_OK || (st = gln_engine_reader_take(engine, &reader)) != GLN_OK) return st;
    struct search search = {.sha256 = picture.sha256};
    st = gln_store_names(reader, image_id, try_name, &search);
    gln_engine_reader_give(engine, reader);
    if (st == GLN_OK && search.bytes == NULL)
        st = gln_fail(GLN_E_NOT_FOUND,
                      "image %lld: none of its files has these bytes any more; it was moved, changed or "
                      "deleted",
                      (long long)image_id);
    if (st != GLN_OK) {
        gln_free(search.bytes);
        return st;
    }
    *out = search.bytes;
    *out_bytes = search.n_bytes;
    snprintf(out_format, capacity, "%s", picture.format);
    return GLN_OK;
}

/* A power cut can leave an empty or torn file: a JPEG begins with FF D8 and ends with FF D9. */
static bool is_whole_jpeg(const unsigned char *bytes, size_t n)
{
    return n > 4 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[n - 2] == 0xff && bytes[n - 1] == 0xd9;
}

gln_status gln_engine_thumbnail(gln_engine *engine, int64_t image_id, unsigned char **out, size_t *out_bytes)
{
    struct picture picture;
    char path[GLN_PATH_MAX], folder[GLN_PATH_MAX], format[16];
    unsigned char *original = NULL;
    size_t n_original = 0;
    gln_image image = {0};
    *out = NULL;
    gln_status st = read_picture(engine, image_id, &picture);
    if (st == GLN_OK) st = gln_engine_thumbnail_path(engine, picture.sha256, path);
    if (st != GLN_OK) return st;
    if (gln_file_read(out, out_bytes, path, max_original_bytes) == GLN_OK && is_whole_jpeg(*out, *out_bytes))
        return GLN_OK;
    gln_free(*out);
    *out = NULL;

    gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
    options.shorter_side_at_least = THUMBNAIL_SIDE;
    st = gln_engine_original(engine, image_id, &original, &n_original, format, sizeof format);
    if (st == GLN_OK) st = gln_image_decode(&image, original, n_original, &options);
    if (st == GLN_OK) st = gln_image_thumbnail(out, out_bytes, &image, THUMBNAIL_SIDE, THUMBNAIL_QUALITY);
    if (st == GLN_OK) {
        snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
        if (gln_folder_create(folder) != GLN_OK || gln_file_write_derived(path, *out, *out_bytes) != GLN_OK)
            gln_log(GLN_LOG_WARNING, "thumbnail: %s", gln_message());
    }
    gln_image_dispose(&image);
    gln_free(original);
    return st;
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

/* Image ids of the rows found: the trailer of each row of the vectors file has its image's id. */
static gln_status search_vectors(const gln_vectors *vectors, int64_t image_id, size_t row, size_t k, gln_similar *out,
                                 size_t *out_n)
{
    gln_embeddings view = gln_vectors_view(vectors);
    float *query = NULL, *similarity = NULL;
    uint32_t *neighbour = NULL, query_row = (uint32_t)row;
    if (row >= view.n) return gln_fail(GLN_E_CORRUPT, "image %lld has no row in the vectors file", (long long)image_id);
    size_t wanted = k + 1; /* the image itself is among them */
    gln_status st = gln_alloc(&query, view.d, sizeof *query, "query");
    if (st == GLN_OK) st = gln_alloc(&similarity, wanted, sizeof *similarity, "similarities");
    if (st == GLN_OK) st = gln_alloc(&neighbour, wanted, sizeof *neighbour, "neighbours");
    if (st == GLN_OK) {
        gln_kernels()->gather_f32(query, &view, &query_row, 1);
        st = gln_nearest(neighbour, similarity, &view, query, 1, wanted);
    }
    for (size_t i = 0; st == GLN_OK && i < wanted && *out_n < k; i++)
        if (neighbour[i] != GLN_NO_NEIGHBOUR && neighbour[i] != query_row &&
            !gln_vectors_is_empty(vectors, neighbour[i]))
            out[(*out_n)++] = (gln_similar){gln_vectors_image_id(vectors, neighbour[i]), similarity[i]};
    gln_free(query);
    gln_free(similarity);
    gln_free(neighbour);
    return st;
}

gln_status gln_engine_similar(gln_engine *engine, int64_t image_id, size_t k, gln_similar *out, size_t *out_n)
{
    struct picture picture;
    gln_room *room = NULL;
    gln_state *state = NULL;
    *out_n = 0;
    if (k == 0 || k > MAX_SIMILAR) return gln_fail(GLN_E_ARGUMENT, "k: %zu is not between 1 and %d", k, MAX_SIMILAR);
    gln_status st = read_picture(engine, image_id, &picture);
    if (st == GLN_OK) st = gln_engine_room(engine, picture.project_id, &room);
    if (st == GLN_OK) st = gln_state_take(engine, picture.project_id, &state);
    if (st != GLN_OK) return st;
    size_t i = state == NULL ? SIZE_MAX : gln_state_find(state, image_id);
    if (i != SIZE_MAX && state->graph != NULL && k <= state->graph->k) {
        /* The graph of the last resample has the answer already. */
        const uint32_t *near = state->graph->neighbour + i * state->graph->k;
        for (size_t j = 0; j < k && near[j] != GLN_NO_NEIGHBOUR; j++)
            out[(*out_n)++] = (gln_similar){state->image_id[near[j]],
                                            state->graph->similarity[i * state->graph->k + j]};
    } else {
        /* Those of the published state, else of the active backbone; of a new image the active one's, which come
           first. */
        gln_vectors *vectors = state != NULL ? gln_room_vectors(engine, room, state->backbone) : NULL;
        if (vectors == NULL || (size_t)picture.vector_row >= gln_vectors_count(vectors))
            vectors = gln_room_vectors(engine, room, picture.backbone);
        st = vectors == NULL ? gln_fail(GLN_E_CONFLICT, "there are no vectors by %s yet", picture.backbone)
                             : search_vectors(vectors, image_id, (size_t)picture.vector_row, k, out, out_n);
    }
    if (state != NULL) gln_state_give(engine, state);
    return st;
}

/* ---- balance ----------------------------------------------------------------------------------------------------- */

gln_status gln_engine_balance(gln_engine *engine, int64_t project_id, gln_balance *out)
{
    gln_store *reader = NULL;
    gln_classes classes = {0};
    uint32_t *count = NULL;
    *out = (gln_balance){0};
    gln_status st = gln_engine_reader_take(engine, &reader);
    if (st != GLN_OK) return st;
    st = gln_classes_read(reader, project_id, &classes);
    gln_engine_reader_give(engine, reader);
    if (st == GLN_OK) st = gln_alloc(&count, classes.n, sizeof *count, "label counts");
    if (st == GLN_OK) {
        for (size_t c = 0; c < classes.n; c++) {
            count[c] = (uint32_t)classes.n_labels[c];
            out->n_labels += (size_t)classes.n_labels[c];
        }
        out->n_classes = classes.n;
        out->entropy = gln_balance_entropy(count, classes.n);
    }
    gln_free(count);
    gln_classes_dispose(&classes);
    return st;
}
