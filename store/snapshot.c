/*
 * Snapshots: the current labels, frozen.
 *
 * The manifest's SHA-256 is the identity: taking a snapshot of labels that were frozen before gives the earlier one.
 * Its rows keep the hash of each image and the names of the classes as they were, so the manifest can be written again
 * after an image was deleted or a class renamed.
 *
 * Many labels take long to write, and whoever writes meanwhile must not wait for them. So they are read from one view,
 * and written piece by piece under a snapshot that is not there yet: it counts -1 labels, and its manifest is a random
 * number. The last step gives it its manifest. What a kill leaves before that is found by its -1 and removed at the
 * next start.
 */
#include "store/statement.h"

#include "common/hash.h"
#include "common/memory.h"
#include "common/strbuf.h"

#include <string.h>

/* About ten million labels. */
#define MANIFEST_MAX_BYTES ((size_t)1 << 30)

/* Labels on their way into a snapshot. */
struct frozen {
    uint8_t sha256[GLN_SHA256_BYTES];
    int64_t image_id, class_id;
    bool proposed;
};

enum { PIECE = 8192 };

struct freezing {
    const gln_snapshot_pen *pen;
    int64_t id;
    struct frozen *piece; /* [PIECE] */
    size_t n;
};

static gln_status put_piece(gln_store *store, const struct freezing *f)
{
    gln_statement s;
    gln_status st = GLN_OK;
    for (size_t i = 0; st == GLN_OK && i < f->n; i++) {
        gln_statement_open(&s, store,
                           "INSERT INTO snapshot_label (snapshot_id, sha256, image_id, class_id, proposed)"
                           " VALUES (?, ?, ?, ?, ?)",
                           "taking a snapshot");
        gln_bind_int(&s, f->id);
        gln_bind_blob(&s, f->piece[i].sha256, GLN_SHA256_BYTES);
        gln_bind_int(&s, f->piece[i].image_id);
        gln_bind_int(&s, f->piece[i].class_id);
        gln_bind_int(&s, f->piece[i].proposed);
        st = gln_statement_run(&s);
    }
    return st;
}

static gln_status write_piece(struct freezing *f)
{
    gln_store *store = NULL;
    gln_status st = f->n == 0 ? GLN_OK : f->pen->begin(f->pen->context, &store);
    if (st == GLN_OK && f->n != 0) st = f->pen->end(f->pen->context, put_piece(store, f));
    f->n = 0;
    return st;
}

/* The manifest of the current labels and how many they are; with `f`, which may be NULL, they go into its snapshot. */
static gln_status read_current(gln_store *reader, int64_t project_id, uint8_t out[32], int64_t *out_n,
                               struct freezing *f)
{
    gln_statement s;
    gln_strbuf manifest;
    struct frozen label;
    char hex[GLN_SHA256_HEX];
    gln_status st = GLN_OK;
    *out_n = 0;
    gln_strbuf_init(&manifest, MANIFEST_MAX_BYTES);
    gln_statement_open(&s, reader,
                       "SELECT i.sha256, c.name, l.source = 'proposed', i.id, c.id FROM label l"
                       " CROSS JOIN image i ON i.id = l.image_id JOIN class c ON c.id = l.class_id"
                       " WHERE l.project_id = ? AND l.ended_ms IS NULL ORDER BY i.sha256",
                       "taking a snapshot");
    gln_bind_int(&s, project_id);
    while (st == GLN_OK && gln_statement_next(&s)) {
        gln_column_bytes(&s, 0, label.sha256, sizeof label.sha256);
        label.proposed = gln_column_int(&s, 2) != 0;
        label.image_id = gln_column_int(&s, 3);
        label.class_id = gln_column_int(&s, 4);
        gln_hex(hex, label.sha256, sizeof label.sha256);
        gln_strbuf_append(&manifest, hex);
        gln_strbuf_append(&manifest, " ");
        gln_strbuf_append(&manifest, gln_column_text(&s, 1));
        if (label.proposed) gln_strbuf_append(&manifest, "\tproposed");
        gln_strbuf_append(&manifest, "\n");
        ++*out_n;
        if (f == NULL) continue;
        f->piece[f->n++] = label;
        if (f->n == PIECE) st = write_piece(f);
    }
    st = gln_statement_close(&s, st);
    if (st == GLN_OK && f != NULL) st = write_piece(f);
    if (st == GLN_OK && (st = gln_strbuf_status(&manifest, "manifest of a snapshot")) == GLN_OK)
        gln_sha256(out, manifest.data, manifest.length);
    gln_strbuf_dispose(&manifest);
    return st;
}

/* The snapshot with this manifest, 0 when there is none. An unnamed one takes the name; a name once given stays. */
static gln_status reuse(gln_store *store, int64_t project_id, const uint8_t sha256[32], const char *name,
                        int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT id FROM snapshot WHERE project_id = ? AND manifest_sha256 = ?",
                       "taking a snapshot");
    gln_bind_int(&s, project_id);
    gln_bind_blob(&s, sha256, GLN_SHA256_BYTES);
    gln_status st = gln_statement_int(&s, out_id);
    if (st != GLN_OK || *out_id == 0 || name[0] == 0) return st;
    gln_statement_open(&s, store, "UPDATE snapshot SET name = ? WHERE id = ? AND name = ''", "taking a snapshot");
    gln_bind_text(&s, name);
    gln_bind_int(&s, *out_id);
    return gln_statement_run(&s);
}

struct naming {
    gln_store *store;
    int64_t id;
};

static gln_status put_class(void *context, const gln_class_row *row)
{
    const struct naming *naming = context;
    gln_statement s;
    gln_statement_open(&s, naming->store, "INSERT INTO snapshot_class (snapshot_id, class_id, name) VALUES (?, ?, ?)",
                       "taking a snapshot");
    gln_bind_int(&s, naming->id);
    gln_bind_int(&s, row->id);
    gln_bind_text(&s, row->name);
    return gln_statement_run(&s);
}

/* One that is not there yet, with the classes as the view has them. */
static gln_status begin(gln_store *store, gln_store *reader, int64_t project_id, int64_t now_ms, int64_t *out_id)
{
    gln_statement s;
    uint8_t nothing[GLN_SHA256_BYTES];
    gln_status st = gln_random_bytes(nothing, sizeof nothing);
    if (st != GLN_OK) return st;
    gln_statement_open(&s, store,
                       "INSERT INTO snapshot (project_id, manifest_sha256, n_labels, created_ms) VALUES (?, ?, -1, ?)",
                       "taking a snapshot");
    gln_bind_int(&s, project_id);
    gln_bind_blob(&s, nothing, sizeof nothing);
    gln_bind_int(&s, now_ms);
    if ((st = gln_statement_insert(&s, out_id)) != GLN_OK) return st;
    struct naming naming = {.store = store, .id = *out_id};
    return gln_store_classes(reader, project_id, put_class, &naming);
}

static gln_status drop(gln_store *store, int64_t id)
{
    gln_statement s;
    gln_statement_open(&s, store, "DELETE FROM snapshot WHERE id = ?", "dropping a snapshot");
    gln_bind_int(&s, id);
    return gln_statement_run(&s);
}

/* There it is; or, where another one of the same labels was taken meanwhile, it is that one. */
static gln_status finish(gln_store *store, int64_t project_id, const uint8_t sha256[32], int64_t n_labels,
                         const char *name, int64_t *id)
{
    gln_statement s;
    int64_t there = 0;
    gln_status st = reuse(store, project_id, sha256, name, &there);
    if (st != GLN_OK) return st;
    if (there != 0) {
        st = drop(store, *id);
        *id = there;
        return st;
    }
    gln_statement_open(&s, store, "UPDATE snapshot SET name = ?, manifest_sha256 = ?, n_labels = ? WHERE id = ?",
                       "taking a snapshot");
    gln_bind_text(&s, name);
    gln_bind_blob(&s, sha256, GLN_SHA256_BYTES);
    gln_bind_int(&s, n_labels);
    gln_bind_int(&s, *id);
    return gln_statement_run(&s);
}

gln_status gln_store_snapshot_take(gln_store *reader, const gln_snapshot_pen *pen, int64_t project_id, const char *name,
                                   int64_t now_ms, int64_t *out_id)
{
    struct freezing f = {.pen = pen};
    gln_store *store = NULL;
    uint8_t sha256[GLN_SHA256_BYTES];
    char message[GLN_MESSAGE_MAX];
    int64_t n_labels = 0;
    name = gln_text_or(name, "");
    gln_status st = gln_alloc(&f.piece, PIECE, sizeof *f.piece, "labels to freeze");
    if (st != GLN_OK) return st;
    if ((st = pen->begin(pen->context, &store)) == GLN_OK)
        st = pen->end(pen->context, begin(store, reader, project_id, now_ms, &f.id));
    if (st != GLN_OK) f.id = 0;
    if (st == GLN_OK) st = read_current(reader, project_id, sha256, &n_labels, &f);
    if (st == GLN_OK && (st = pen->begin(pen->context, &store)) == GLN_OK)
        st = pen->end(pen->context, finish(store, project_id, sha256, n_labels, name, &f.id));
    if (st != GLN_OK && f.id != 0) {
        gln_message_copy(message, sizeof message);
        if (pen->begin(pen->context, &store) == GLN_OK) (void)pen->end(pen->context, drop(store, f.id));
        gln_fail(st, "%s", message);
    }
    if (st == GLN_OK && out_id != NULL) *out_id = f.id;
    gln_free(f.piece);
    return st;
}

gln_status gln_store_snapshots_forget_unfinished(gln_store *store)
{
    gln_statement s;
    gln_statement_open(&s, store, "DELETE FROM snapshot WHERE n_labels < 0",
                       "dropping snapshots that were not finished");
    return gln_statement_run(&s);
}

gln_status gln_store_snapshot_find(gln_store *store, int64_t project_id, int64_t *out_id)
{
    uint8_t sha256[GLN_SHA256_BYTES];
    int64_t n_labels = 0;
    *out_id = 0;
    gln_status st = read_current(store, project_id, sha256, &n_labels, NULL);
    return st != GLN_OK ? st : reuse(store, project_id, sha256, "", out_id);
}

gln_status gln_store_snapshots(gln_store *store, int64_t project_id, int64_t before_id, size_t limit,
                               gln_snapshot_fn fn, void *context)
{
    gln_statement s;
    gln_snapshot_row row;
    gln_statement_open(&s, store,
                       "SELECT id, project_id, n_labels, created_ms, name, manifest_sha256 FROM snapshot"
                       " WHERE project_id = ? AND id < ? AND n_labels >= 0 ORDER BY id DESC LIMIT ?",
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
