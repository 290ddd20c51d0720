/*
 * Snapshots: the current labels, frozen.
 *
 * The manifest's SHA-256 is the identity: taking a snapshot of labels that were frozen before gives the earlier one. Its rows keep
 * the hash of each image and the names of the classes as they were, so the manifest can be written again after an image was
 * deleted or a class renamed.
 */
#include "store/statement.h"

#include "common/hash.h"
#include "common/strbuf.h"

/* About ten million labels. */
#define MANIFEST_MAX_BYTES ((size_t)1 << 30)

static gln_status hash_current(gln_store *store, int64_t project_id, uint8_t out[32], int64_t *out_n)
{
    gln_statement s;
    gln_strbuf manifest;
    uint8_t sha256[GLN_SHA256_BYTES];
    char hex[GLN_SHA256_HEX];
    *out_n = 0;
    gln_strbuf_init(&manifest, MANIFEST_MAX_BYTES);
    gln_statement_open(&s, store,
                       "SELECT i.sha256, c.name, l.source = 'proposed' FROM label l CROSS JOIN image i ON i.id = l.image_id JOIN class c ON c.id = l.class_id"
                       " WHERE l.project_id = ? AND l.ended_ms IS NULL ORDER BY i.sha256",
                       "taking a snapshot");
    gln_bind_int(&s, project_id);
    while (gln_statement_next(&s)) {
        gln_column_bytes(&s, 0, sha256, sizeof sha256);
        gln_hex(hex, sha256, sizeof sha256);
        gln_strbuf_append(&manifest, hex);
        gln_strbuf_append(&manifest, " ");
        gln_strbuf_append(&manifest, gln_column_text(&s, 1));
        if (gln_column_int(&s, 2) != 0) gln_strbuf_append(&manifest, "\tproposed");
        gln_strbuf_append(&manifest, "\n");
        ++*out_n;
    }
    gln_status st = gln_statement_close(&s, GLN_OK);
    if (st == GLN_OK && (st = gln_strbuf_status(&manifest, "manifest of a snapshot")) == GLN_OK)
        gln_sha256(out, manifest.data, manifest.length);
    gln_strbuf_dispose(&manifest);
    return st;
}

/* The snapshot with this manifest, 0 when there is none. An unnamed one takes the name; a name once given stays. */
static gln_status reuse(gln_store *store, int64_t project_id, const uint8_t sha256[32], const char *name, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT id FROM snapshot WHERE project_id = ? AND manifest_sha256 = ?", "taking a snapshot");
    gln_bind_int(&s, project_id);
    gln_bind_blob(&s, sha256, GLN_SHA256_BYTES);
    gln_status st = gln_statement_int(&s, out_id);
    if (st != GLN_OK || *out_id == 0 || name[0] == 0) return st;
    gln_statement_open(&s, store, "UPDATE snapshot SET name = ? WHERE id = ? AND name = ''", "taking a snapshot");
    gln_bind_text(&s, name);
    gln_bind_int(&s, *out_id);
    return gln_statement_run(&s);
}

static gln_status copy_labels(gln_store *store, int64_t project_id, int64_t snapshot_id)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "INSERT INTO snapshot_label (snapshot_id, sha256, image_id, class_id, proposed)"
                       " SELECT ?, i.sha256, i.id, l.class_id, l.source = 'proposed' FROM label l CROSS JOIN image i ON i.id = l.image_id"
                       " WHERE l.project_id = ? AND l.ended_ms IS NULL ORDER BY i.sha256",
                       "taking a snapshot");
    gln_bind_int(&s, snapshot_id);
    gln_bind_int(&s, project_id);
    gln_status st = gln_statement_run(&s);
    if (st != GLN_OK) return st;
    gln_statement_open(&s, store,
                       "INSERT INTO snapshot_class (snapshot_id, class_id, name)"
                       " SELECT ?, c.id, c.name FROM class c WHERE c.project_id = ?",
                       "taking a snapshot");
    gln_bind_int(&s, snapshot_id);
    gln_bind_int(&s, project_id);
    return gln_statement_run(&s);
}

gln_status gln_store_snapshot_take(gln_store *store, int64_t project_id, const char *name, int64_t now_ms,
                                   int64_t *out_id)
{
    gln_scope scope;
    gln_statement s;
    uint8_t sha256[GLN_SHA256_BYTES];
    int64_t n_labels = 0, id = 0;
    gln_status st = gln_scope_begin(&scope, store, "taking a snapshot");
    if (st != GLN_OK) return st;
    if ((st = hash_current(store, project_id, sha256, &n_labels)) != GLN_OK) goto cleanup;
    if ((st = reuse(store, project_id, sha256, gln_text_or(name, ""), &id)) != GLN_OK || id != 0) goto cleanup;
    gln_statement_open(&s, store,
                       "INSERT INTO snapshot (project_id, name, manifest_sha256, n_labels, created_ms) VALUES (?, ?, ?, ?, ?)",
                       "taking a snapshot");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, gln_text_or(name, ""));
    gln_bind_blob(&s, sha256, sizeof sha256);
    gln_bind_int(&s, n_labels);
    gln_bind_int(&s, now_ms);
    if ((st = gln_statement_insert(&s, &id)) != GLN_OK) goto cleanup;
    st = copy_labels(store, project_id, id);
cleanup:
    st = gln_scope_end(&scope, st);
    if (st == GLN_OK && out_id != NULL) *out_id = id;
    return st;
}

gln_status gln_store_snapshot_find(gln_store *store, int64_t project_id, int64_t *out_id)
{
    uint8_t sha256[GLN_SHA256_BYTES];
    int64_t n_labels = 0;
    *out_id = 0;
    gln_status st = hash_current(store, project_id, sha256, &n_labels);
    return st != GLN_OK ? st : reuse(store, project_id, sha256, "", out_id);
}

gln_status gln_store_snapshots(gln_store *store, int64_t project_id, int64_t before_id, size_t limit,
                               gln_snapshot_fn fn, void *context)
{
    gln_statement s;
    gln_snapshot_row row;
    gln_statement_open(&s, store,
                       "SELECT id, project_id, n_labels, created_ms, name, manifest_sha256 FROM snapshot"
                       " WHERE project_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
                       "listing snapshots");
    gln_bind_int(&s, project_id);
    gln_bind_before(&s, before_id);
    gln_bind_count(&s, limit);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        row = (gln_snapshot_row){
            .id = gln_column_int(&s, 0),
            .project_id = gln_column_int(&s, 1),
            .n_labels = gln_column_int(&s, 2),
            .created_ms = gln_column_int(&s, 3),
            .name = gln_column_text(&s, 4),
        };
        gln_column_bytes(&s, 5, row.manifest_sha256, sizeof row.manifest_sha256);
        if (s.rc == SQLITE_OK) st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_snapshot_labels(gln_store *store, int64_t id, gln_snapshot_label_fn fn, void *context)
{
    gln_statement s;
    uint8_t sha256[GLN_SHA256_BYTES];
    gln_statement_open(&s, store,
                       "SELECT l.sha256, c.name, l.image_id, l.proposed FROM snapshot_label l"
                       " JOIN snapshot_class c ON c.snapshot_id = l.snapshot_id AND c.class_id = l.class_id"
                       " WHERE l.snapshot_id = ? ORDER BY l.sha256",
                       "reading a snapshot");
    gln_bind_int(&s, id);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        gln_column_bytes(&s, 0, sha256, sizeof sha256);
        if (s.rc == SQLITE_OK)
            st = fn(context, sha256, gln_column_text(&s, 1), gln_column_int(&s, 2), gln_column_int(&s, 3) != 0);
    }
    return gln_statement_close(&s, st);
}
