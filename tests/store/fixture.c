#include "tests/store/fixture.h"

#include <math.h>
#include <string.h>

void fixture_path(char out[GLN_PATH_MAX])
{
    char folder[GLN_PATH_MAX];
    gln_test_folder(folder);
    gln_ok(gln_path_join(out, folder, "gleaner.db"));
}

gln_store *fixture_open(const char *path, gln_store_mode mode)
{
    gln_store *store = NULL;
    gln_ok(gln_store_open(&store, path, mode));
    return store;
}

gln_store *fixture_store(void)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    return fixture_open(path, GLN_STORE_WRITE);
}

int64_t fixture_project(gln_store *store, const char *name)
{
    int64_t id = 0;
    gln_project_row row = { .name = name, .backbone = "test", .currency = "EUR", .duplicate_threshold = NAN, .created_ms = 1000 };
    gln_ok(gln_store_project_add(store, &row, &id));
    ck_assert_int_gt(id, 0);
    return id;
}

int64_t fixture_class(gln_store *store, int64_t project_id, const char *name)
{
    int64_t id = 0;
    gln_class_row row = { .project_id = project_id, .name = name, .target_share = NAN, .price_micros = 50000, .seconds = 2.5 };
    gln_ok(gln_store_class_add(store, &row, &id));
    ck_assert_int_gt(id, 0);
    return id;
}

int64_t fixture_image(gln_store *store, int64_t project_id, int64_t n)
{
    int64_t id = 0;
    gln_image_row row = { .project_id = project_id, .format = "jpeg", .width = 640, .height = 480, .n_bytes = 1000 + n,
                          .vector_row = n, .created_ms = 2000 + n };
    memcpy(row.sha256, &n, sizeof n);
    gln_ok(gln_store_image_add(store, &row, &id));
    ck_assert_int_gt(id, 0);
    return id;
}

int64_t fixture_label(gln_store *store, int64_t project_id, int64_t image_id, int64_t class_id, int64_t now_ms)
{
    int64_t id = 0;
    gln_label_row row = { .project_id = project_id, .image_id = image_id, .class_id = class_id, .annotator = "ann",
                          .source = "human", .seconds = 3.5, .created_ms = now_ms };
    gln_ok(gln_store_label_add(store, &row, &id));
    ck_assert_int_gt(id, 0);
    return id;
}

int64_t fixture_cluster(gln_store *store, int64_t project_id, const char *name)
{
    int64_t id = 0;
    gln_cluster_row row = { .project_id = project_id, .name = name, .notes = "", .size = 3, .mean_distance = 0.25, .born_run_id = 1 };
    gln_ok(gln_store_cluster_add(store, &row, &id));
    ck_assert_int_gt(id, 0);
    return id;
}

void fixture_sampling(gln_store *store, int64_t project_id, int64_t image_id, int64_t cluster_id, int64_t predicted_class_id)
{
    gln_sampling_row row = { .image_id = image_id, .project_id = project_id, .cluster_id = cluster_id, .representative_id = image_id,
                             .predicted_class_id = predicted_class_id, .p_predicted = predicted_class_id != 0 ? 0.75 : NAN,
                             .p_runner_up = NAN };
    gln_ok(gln_store_sampling_put(store, &row));
}

int64_t fixture_batch(gln_store *store, int64_t project_id, const char *idempotency_key, int64_t expires_ms)
{
    int64_t id = 0;
    gln_batch_row row = { .project_id = project_id, .state = "leased", .holder = "ann", .request = "{\"n\":3}", .feasibility = "{}",
                          .seed = 7, .idempotency_key = idempotency_key, .created_ms = 1000, .expires_ms = expires_ms };
    memset(row.manifest_sha256, 0xab, sizeof row.manifest_sha256);
    memset(row.request_sha256, 0xcd, sizeof row.request_sha256);
    gln_ok(gln_store_batch_add(store, &row, &id));
    ck_assert_int_gt(id, 0);
    return id;
}

gln_batch_item_row fixture_item(int64_t batch_id, int64_t position, int64_t image_id)
{
    return (gln_batch_item_row){ .batch_id = batch_id, .position = position, .image_id = image_id, .state = "leased", .arm = "quota",
                                 .reason = "near the boundary", .represents = 1, .p_predicted = NAN, .p_runner_up = NAN,
                                 .nearest_similarity = NAN, .gain = 0.5, .seconds = 2.5, .inclusion_probability = NAN,
                                 .price_micros = 50000 };
}

void fixture_ids_add(fixture_ids *ids, int64_t id)
{
    ck_assert_uint_lt(ids->n, FIXTURE_IDS_MAX);
    ids->id[ids->n++] = id;
}

gln_status fixture_collect_id(void *context, int64_t id)
{
    fixture_ids_add(context, id);
    return GLN_OK;
}

gln_status fixture_collect_image(void *context, const gln_image_row *row)
{
    fixture_ids_add(context, row->id);
    return GLN_OK;
}

static gln_status pen_begin(void *context, gln_store **out)
{
    *out = context;
    return gln_store_begin(*out);
}

static gln_status pen_end(void *context, gln_status status)
{
    if (status == GLN_OK) return gln_store_commit(context);
    gln_store_rollback(context);
    return status;
}

gln_status fixture_snapshot(gln_store *store, int64_t project_id, const char *name, int64_t now_ms, int64_t *out_id)
{
    gln_snapshot_pen pen = { .begin = pen_begin, .end = pen_end, .context = store };
    return gln_store_snapshot_take(store, &pen, project_id, name, now_ms, out_id);
}
