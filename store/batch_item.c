/* The images of a batch: why each was chosen, what it costs, and whether it is still leased. */
#include "store/statement.h"

#include <math.h>

gln_status gln_store_batch_item_add(gln_store *store, const gln_batch_item_row *row)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT INTO batch_item (batch_id, position, image_id, state, arm, quota_class_id, predicted_class_id,"
        " p_predicted, runner_up_class_id, p_runner_up, cluster_id, nearest_image_id, nearest_similarity, represents,"
        " gain, price_micros, seconds, inclusion_probability, reason, checked_class_id, p_wrong)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "adding an image to a batch");
    gln_bind_int(&s, row->batch_id);
    gln_bind_int(&s, row->position);
    gln_bind_int(&s, row->image_id);
    gln_bind_text(&s, gln_text_or(row->state, "leased"));
    gln_bind_text(&s, row->arm);
    gln_bind_id(&s, row->quota_class_id);
    gln_bind_id(&s, row->predicted_class_id);
    gln_bind_real(&s, row->p_predicted);
    gln_bind_id(&s, row->runner_up_class_id);
    gln_bind_real(&s, row->p_runner_up);
    gln_bind_id(&s, row->cluster_id);
    gln_bind_id(&s, row->nearest_image_id);
    gln_bind_real(&s, row->nearest_similarity);
    gln_bind_int(&s, row->represents);
    gln_bind_real(&s, row->gain);
    gln_bind_int(&s, row->price_micros);
    gln_bind_real(&s, row->seconds);
    gln_bind_real(&s, row->inclusion_probability);
    gln_bind_text(&s, gln_text_or(row->reason, ""));
    gln_bind_id(&s, row->checked_class_id);
    gln_bind_real(&s, row->checked_class_id == 0 ? (double)NAN : row->p_wrong);
    gln_status st = gln_statement_insert(&s, NULL);
    if (s.rc == SQLITE_CONSTRAINT_UNIQUE)
        return gln_fail(GLN_E_CONFLICT, "image %lld is leased to another batch already", (long long)row->image_id);
    if (s.rc == SQLITE_CONSTRAINT_PRIMARYKEY)
        return gln_fail(GLN_E_CONFLICT, "batch %lld has an image at position %lld already", (long long)row->batch_id,
                        (long long)row->position);
    return st;
}

#define SELECT_ITEM                                                                                                   \
    "SELECT b.batch_id, b.position, b.image_id, b.state, b.arm, b.reason, b.quota_class_id, b.predicted_class_id,"    \
    " b.runner_up_class_id, b.cluster_id, b.nearest_image_id, b.represents, b.p_predicted, b.p_runner_up,"            \
    " b.nearest_similarity, b.gain, b.seconds, b.inclusion_probability, b.price_micros,"                              \
    " (SELECT n.path FROM image_name n JOIN image i ON i.id = n.image_id AND i.project_id = n.project_id"             \
    "  WHERE n.image_id = b.image_id ORDER BY n.path LIMIT 1), l.class_id,"                                           \
    " b.checked_class_id, b.p_wrong"                                                                                  \
    " FROM batch_item b LEFT JOIN label l ON l.image_id = b.image_id AND l.ended_ms IS NULL "

static gln_status each_item(gln_statement *s, gln_batch_item_fn fn, void *context, size_t *out_n)
{
    gln_status st = GLN_OK;
    *out_n = 0;
    while (st == GLN_OK && gln_statement_next(s)) {
        gln_batch_item_row row = {
            .batch_id = gln_column_int(s, 0),
            .position = gln_column_int(s, 1),
            .image_id = gln_column_int(s, 2),
            .state = gln_column_text(s, 3),
            .arm = gln_column_text(s, 4),
            .reason = gln_column_text(s, 5),
            .quota_class_id = gln_column_int(s, 6),
            .predicted_class_id = gln_column_int(s, 7),
            .runner_up_class_id = gln_column_int(s, 8),
            .cluster_id = gln_column_int(s, 9),
            .nearest_image_id = gln_column_int(s, 10),
            .represents = gln_column_int(s, 11),
            .p_predicted = gln_column_real(s, 12, NAN),
            .p_runner_up = gln_column_real(s, 13, NAN),
            .nearest_similarity = gln_column_real(s, 14, NAN),
            .gain = gln_column_real(s, 15, NAN),
            .seconds = gln_column_real(s, 16, NAN),
            .inclusion_probability = gln_column_real(s, 17, NAN),
            .price_micros = gln_column_int(s, 18),
            .path = gln_column_text(s, 19),
            .label_class_id = gln_column_int(s, 20),
            .checked_class_id = gln_column_int(s, 21),
            .p_wrong = gln_column_real(s, 22, NAN),
        };
        ++*out_n;
        st = fn(context, &row);
    }
    return gln_statement_close(s, st);
}

gln_status gln_store_batch_items(gln_store *store, int64_t batch_id, gln_batch_item_fn fn, void *context)
{
    gln_statement s;
    size_t n;
    gln_statement_open(&s, store, SELECT_ITEM "WHERE b.batch_id = ? ORDER BY b.position",
                       "listing the images of a batch");
    gln_bind_int(&s, batch_id);
    return each_item(&s, fn, context, &n);
}

gln_status gln_store_batch_item_find(gln_store *store, int64_t batch_id, int64_t image_id, gln_batch_item_fn fn,
                                     void *context)
{
    gln_statement s;
    size_t n;
    gln_statement_open(&s, store, SELECT_ITEM "WHERE b.image_id = ? AND b.state = 'leased' AND b.batch_id = ?",
                       "finding an image in a batch");
    gln_bind_int(&s, image_id);
    gln_bind_int(&s, batch_id);
    gln_status st = each_item(&s, fn, context, &n);
    if (st == GLN_OK && n == 0)
        return gln_fail(GLN_E_NOT_FOUND, "image %lld is not leased to batch %lld", (long long)image_id,
                        (long long)batch_id);
    return st;
}

gln_status gln_store_batch_item_set(gln_store *store, int64_t batch_id, int64_t position, const char *state)
{
    gln_statement s;
    int64_t n = 0;
    gln_statement_open(&s, store, "UPDATE batch_item SET state = ? WHERE batch_id = ? AND position = ?",
                       "changing an image of a batch");
    gln_bind_text(&s, state);
    gln_bind_int(&s, batch_id);
    gln_bind_int(&s, position);
    gln_status st = gln_statement_change(&s, &n);
    if (s.rc == SQLITE_CONSTRAINT_UNIQUE)
        return gln_fail(GLN_E_CONFLICT, "the image at position %lld of batch %lld is leased to another batch by now",
                        (long long)position, (long long)batch_id);
    if (st == GLN_OK && n == 0)
        return gln_fail(GLN_E_NOT_FOUND, "batch %lld has no position %lld", (long long)batch_id, (long long)position);
    return st;
}

gln_status gln_store_leased_images(gln_store *store, int64_t project_id, gln_id_fn fn, void *context)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "SELECT i.image_id FROM batch_item i CROSS JOIN batch b ON b.id = i.batch_id"
                       " WHERE i.state = 'leased' AND b.project_id = ? ORDER BY i.image_id",
                       "listing leased images");
    gln_bind_int(&s, project_id);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) st = fn(context, gln_column_int(&s, 0));
    return gln_statement_close(&s, st);
}
