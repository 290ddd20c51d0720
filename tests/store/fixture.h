/* A scratch database with a project in it, and short ways to fill it. */
#ifndef GLN_TESTS_STORE_FIXTURE_H
#define GLN_TESTS_STORE_FIXTURE_H

#include "store/store.h"
#include "tests/support/support.h"

/* "<new scratch folder>/gleaner.db" */
void fixture_path(char out[GLN_PATH_MAX]);

gln_store *fixture_open(const char *path, gln_store_mode mode);
/* A new database in a new folder. */
gln_store *fixture_store(void);

int64_t fixture_project(gln_store *store, const char *name);
int64_t fixture_class(gln_store *store, int64_t project_id, const char *name);
/* The n-th image of a project: its hash and vector row follow from n. */
int64_t fixture_image(gln_store *store, int64_t project_id, int64_t n);
int64_t fixture_label(gln_store *store, int64_t project_id, int64_t image_id, int64_t class_id, int64_t now_ms);
int64_t fixture_cluster(gln_store *store, int64_t project_id, const char *name);
void fixture_sampling(gln_store *store, int64_t project_id, int64_t image_id, int64_t cluster_id, int64_t predicted_class_id);
int64_t fixture_batch(gln_store *store, int64_t project_id, const char *idempotency_key, int64_t expires_ms);
gln_batch_item_row fixture_item(int64_t batch_id, int64_t position, int64_t image_id);

/* gln_store_snapshot_take with one connection for both sides. */
gln_status fixture_snapshot(gln_store *store, int64_t project_id, const char *name, int64_t now_ms, int64_t *out_id);

/* A listing as a list of ids. */
enum { FIXTURE_IDS_MAX = 4096 };
typedef struct fixture_ids {
    size_t n;
    int64_t id[FIXTURE_IDS_MAX];
} fixture_ids;
void fixture_ids_add(fixture_ids *ids, int64_t id);
gln_status fixture_collect_id(void *context, int64_t id);
gln_status fixture_collect_image(void *context, const gln_image_row *row);

/* Fails the test unless the ids are exactly these, in this order. */
#define fixture_ids_are(ids, ...)                                                                                     \
    do {                                                                                                              \
        int64_t wanted[] = { __VA_ARGS__ };                                                                           \
        ck_assert_uint_eq((ids)->n, sizeof wanted / sizeof wanted[0]);                                                \
        for (size_t at = 0; at < (ids)->n; at++) ck_assert_int_eq((ids)->id[at], wanted[at]);                         \
    } while (0)

#endif
