/* Images one at a time: adding, finding, deleting; and the pool, every image of a project in one pass. */
#include "store/image_row.h"

#include "common/memory.h"

#include <string.h>

static gln_status missing(int64_t id)
{
    return gln_fail(GLN_E_NOT_FOUND, "there is no image %lld", (long long)id);
}

gln_status gln_store_image_add(gln_store *store, const gln_image_row *row, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT INTO image (id, project_id, sha256, format, width, height, n_bytes, vector_row, created_ms, run_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "adding an image");
    gln_bind_id(&s, row->id);
    gln_bind_int(&s, row->project_id);
    gln_bind_blob(&s, row->sha256, sizeof row->sha256);
    gln_bind_text(&s, row->format);
    gln_bind_int(&s, row->width);
    gln_bind_int(&s, row->height);
    gln_bind_int(&s, row->n_bytes);
    gln_bind_int(&s, row->vector_row);
    gln_bind_int(&s, row->created_ms);
    gln_bind_id(&s, row->run_id);
    gln_status st = gln_statement_insert(&s, out_id);
    if (s.rc == SQLITE_CONSTRAINT_PRIMARYKEY)
        return gln_fail(GLN_E_CONFLICT, "there is an image %lld already", (long long)row->id);
    if (s.rc == SQLITE_CONSTRAINT_UNIQUE)
        return gln_fail(GLN_E_CONFLICT, "the project has this image already, or another one with vector row %lld",
                        (long long)row->vector_row);
    return st;
}

gln_status gln_store_image_next_id(gln_store *store, int64_t *out_id)
{
    gln_statement s;
    /* sqlite_sequence remembers ids of rows that are gone: none is given out twice. */
    gln_statement_open(&s, store, "SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'image'), 0) + 1",
                       "choosing an image id");
    return gln_statement_int(&s, out_id);
}

gln_status gln_store_image_find(gln_store *store, int64_t project_id, const uint8_t sha256[32], int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT id FROM image WHERE project_id = ? AND sha256 = ?", "finding an image");
    gln_bind_int(&s, project_id);
    gln_bind_blob(&s, sha256, 32);
    return gln_statement_int(&s, out_id);
}

void gln_image_row_read(gln_statement *s, gln_image_row *row)
{
    *row = (gln_image_row){
        .id = gln_column_int(s, 0),
        .project_id = gln_column_int(s, 1),
        .format = gln_column_text(s, 3),
        .width = gln_column_int(s, 4),
        .height = gln_column_int(s, 5),
        .n_bytes = gln_column_int(s, 6),
        .vector_row = gln_column_int(s, 7),
        .created_ms = gln_column_int(s, 8),
        .run_id = gln_column_int(s, 9),
        .path = gln_column_text(s, 10),
        .n_names = gln_column_int(s, 11),
        .label_class_id = gln_column_int(s, 12),
        .cluster_id = gln_column_int(s, 13),
        .representative_id = gln_column_int(s, 14),
        .predicted_class_id = gln_column_int(s, 15),
        .runner_up_class_id = gln_column_int(s, 16),
        .p_predicted = gln_column_real(s, 17, 0),
        .p_runner_up = gln_column_real(s, 18, 0),
        .leased_batch_id = gln_column_int(s, 19),
        .label_source = gln_column_text_or_null(s, 20),
    };
    gln_column_bytes(s, 2, row->sha256, sizeof row->sha256);
}

gln_status gln_store_image_get(gln_store *store, int64_t id, gln_image_fn fn, void *context)
{
    gln_statement s;
    gln_image_row row;
    gln_statement_open(&s, store,
                       "SELECT " GLN_IMAGE_COLUMNS " FROM image i" GLN_IMAGE_LEFT_JOINS " WHERE i.id = ?",
                       "reading an image");
    gln_bind_int(&s, id);
    gln_status st = GLN_OK;
    if (gln_statement_next(&s)) {
        gln_image_row_read(&s, &row);
        if (s.rc == SQLITE_OK) st = fn(context, &row);
    } else if (s.rc == SQLITE_OK) {
        st = missing(id);
    }
    return gln_statement_close(&s, st);
}

static gln_status refuse_names(gln_store *store, int64_t id, int64_t now_ms)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT OR REPLACE INTO refusal (project_id, path, status, reason, n_bytes, mtime_ns, run_id, created_ms)"
        " SELECT project_id, path, ?, 'removed on request', n_bytes, mtime_ns, NULL, ? FROM image_name WHERE image_id "
        "= ?",
        "deleting an image");
    gln_bind_int(&s, GLN_E_PERMISSION);
    gln_bind_int(&s, now_ms);
    gln_bind_int(&s, id);
    return gln_statement_run(&s);
}

gln_status gln_store_image_delete(gln_store *store, int64_t id, int64_t now_ms)
{
    gln_scope scope;
    gln_statement s;
    int64_t n = 0;
    gln_status st = gln_scope_begin(&scope, store, "deleting an image");
    if (st != GLN_OK) return st;
    if ((st = refuse_names(store, id, now_ms)) != GLN_OK) goto cleanup;
    gln_statement_open(
        &s, store, "UPDATE cluster SET size = size - 1 WHERE id = (SELECT cluster_id FROM sampling WHERE image_id = ?)",
        "deleting an image");
    gln_bind_int(&s, id);
    if ((st = gln_statement_run(&s)) != GLN_OK) goto cleanup;
    gln_statement_open(&s, store, "DELETE FROM image WHERE id = ?", "deleting an image");
    gln_bind_int(&s, id);
    st = gln_statement_change(&s, &n);
    if (st == GLN_OK && n == 0) st = missing(id);
cleanup:
    return gln_scope_end(&scope, st);
}

/* Probabilities lie in the database as the processor holds them. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "probabilities are stored as little-endian float32");

/*
 * The image's index (project_id, vector_row) drives, and every join is one probe of a primary key or of a small partial
 * index, so a million images take seconds. The table `image` itself is never read.
 */
gln_status gln_store_pool(gln_store *store, int64_t project_id, gln_pool_row_fn fn, void *context)
{
    gln_statement s;
    gln_pool_row row;
    float *probability = NULL; /* SQLite's blobs lie in any alignment */
    size_t capacity = 0, n_bytes = 0;
    gln_statement_open(
        &s, store,
        "SELECT i.id, i.vector_row, l.class_id, s.cluster_id, s.representative_id, b.batch_id, s.probability,"
        " l.source = 'proposed'"
        " FROM image i" GLN_IMAGE_LEFT_JOINS
        " WHERE i.project_id = ?1 AND NOT EXISTS (SELECT 1 FROM vector_gap g WHERE g.image_id = i.id"
        " AND g.backbone_id = (SELECT a.id FROM project_backbone a JOIN project p ON p.id = a.project_id"
        " AND p.backbone = a.name WHERE p.id = ?1)) ORDER BY i.vector_row",
        "reading the pool");
    gln_bind_int(&s, project_id);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        const void *blob = gln_column_blob(&s, 6, &n_bytes);
        row = (gln_pool_row){
            .image_id = gln_column_int(&s, 0),
            .vector_row = gln_column_int(&s, 1),
            .label_class_id = gln_column_int(&s, 2),
            .cluster_id = gln_column_int(&s, 3),
            .representative_id = gln_column_int(&s, 4),
            .leased_batch_id = gln_column_int(&s, 5),
            .proposed = gln_column_int(&s, 7) != 0,
            .n_probability = n_bytes / sizeof *probability,
        };
        if (n_bytes % sizeof *probability != 0) {
            st = gln_fail(GLN_E_CORRUPT, "reading the pool: the probabilities of image %lld are %zu bytes",
                          (long long)row.image_id, n_bytes);
            break;
        }
        if (n_bytes != 0) {
            st = gln_grow(&probability, &capacity, row.n_probability, sizeof *probability, "class probabilities");
            if (st != GLN_OK) break;
            memcpy(probability, blob, n_bytes);
            row.probability = probability;
        }
        st = fn(context, &row);
    }
    gln_free(probability);
    return gln_statement_close(&s, st);
}
