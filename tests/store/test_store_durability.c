/*
 * What holds when things go wrong: a writer killed in the middle, a disk that fills up, and readers beside a writer.
 */
#include "tests/store/fixture.h"

#include "store/statement.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IMAGES_A_COMMIT = 10 };

/* Adds the images of one transaction: their count is always a multiple of IMAGES_A_COMMIT, or somebody saw half of one. */
static gln_status add_some(gln_store *store, int64_t project_id, int64_t round)
{
    gln_status st = GLN_OK;
    for (int64_t i = 0; i < IMAGES_A_COMMIT && st == GLN_OK; i++) {
        int64_t n = round * IMAGES_A_COMMIT + i, id = 0;
        gln_image_row row = { .project_id = project_id, .format = "png", .vector_row = n };
        char path[64];
        memcpy(row.sha256, &n, sizeof n);
        snprintf(path, sizeof path, "folder/%lld.png", (long long)n);
        if ((st = gln_store_image_add(store, &row, &id)) == GLN_OK) st = gln_store_name_put(store, project_id, path, id, n, n);
    }
    return st;
}

static int64_t count_images(gln_store *store, int64_t project_id)
{
    gln_image_filter filter = { .project_id = project_id };
    int64_t n = -1;
    gln_ok(gln_store_images_count(store, &filter, &n));
    return n;
}

/* ---- killed ---- */

/* The child: commits `n_commits` (0: without end) and tells each; then says 'u' in the middle of one more, and waits. */
static void write_until_killed(const char *path, int64_t project_id, int pipe_fd, int64_t first, int64_t n_commits)
{
    gln_store *store = NULL;
    if (gln_store_open(&store, path, GLN_STORE_WRITE) != GLN_OK) _exit(1);
    for (int64_t i = 0; n_commits == 0 || i < n_commits; i++) {
        if (gln_store_begin(store) != GLN_OK || add_some(store, project_id, first + i) != GLN_OK ||
            gln_store_commit(store) != GLN_OK || write(pipe_fd, "c", 1) != 1)
            _exit(2);
    }
    if (gln_store_begin(store) != GLN_OK || add_some(store, project_id, first + n_commits) != GLN_OK || write(pipe_fd, "u", 1) != 1)
        _exit(3);
    for (;;) pause();
}

/* Starts the child, reads `n_messages` of it, kills it. Returns how many commits it told, those told after the last read included. */
static int64_t kill_after(const char *path, int64_t project_id, int64_t first, int64_t n_commits, int64_t n_messages)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(fds[0]);
        write_until_killed(path, project_id, fds[1], first, n_commits);
    }
    close(fds[1]);
    int64_t told = 0;
    char message = 0;
    for (int64_t i = 0; i < n_messages; i++) {
        ck_assert_int_eq(read(fds[0], &message, 1), 1);
        told += message == 'c';
    }
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    int how = 0;
    ck_assert_int_eq(waitpid(pid, &how, 0), pid);
    ck_assert(WIFSIGNALED(how));
    while (read(fds[0], &message, 1) == 1) told += message == 'c';
    close(fds[0]);
    return told;
}

START_TEST(killed__committed_is_there_and_uncommitted_is_not)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    gln_store *store = fixture_open(path, GLN_STORE_WRITE);
    int64_t project = fixture_project(store, "p");
    gln_store_close(store);

    ck_assert_int_eq(kill_after(path, project, 0, 3, 4), 3); /* the fourth message says: in the middle of a transaction */
    store = fixture_open(path, GLN_STORE_READ);
    ck_assert_int_eq(count_images(store, project), 3 * IMAGES_A_COMMIT);
    gln_store_close(store);
    store = fixture_open(path, GLN_STORE_WRITE);
    ck_assert_int_eq(count_images(store, project), 3 * IMAGES_A_COMMIT);
    gln_ok(gln_store_check(store, true));
    gln_ok(add_some(store, project, 3)); /* what the dead one had begun */
    gln_store_close(store);
}
END_TEST

START_TEST(killed__at_any_moment_whole_transactions_survive)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    gln_store *store = fixture_open(path, GLN_STORE_WRITE);
    int64_t project = fixture_project(store, "p"), n = 0;
    gln_store_close(store);
    for (int64_t round = 0; round < 12; round++) {
        int64_t before = n;
        int64_t told = kill_after(path, project, n / IMAGES_A_COMMIT, 0, 1 + round * 7);
        store = fixture_open(path, round % 2 == 0 ? GLN_STORE_WRITE : GLN_STORE_READ);
        n = count_images(store, project);
        ck_assert_int_eq(n % IMAGES_A_COMMIT, 0);
        ck_assert_int_ge(n, before + told * IMAGES_A_COMMIT);
        ck_assert_int_le(n, before + (told + 1) * IMAGES_A_COMMIT); /* one may be committed and not yet told */
        gln_ok(gln_store_check(store, true));
        gln_store_close(store);
    }
}
END_TEST

/* ---- full disk ---- */

START_TEST(disk_full__is_said_and_nothing_is_half_written)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    gln_store *store = fixture_open(path, GLN_STORE_WRITE);
    int64_t project = fixture_project(store, "p"), committed = 0;
    /* A file may grow no further: the system then fails the write, as on a full disk. */
    struct rlimit before, limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    limit = before;
    limit.rlim_cur = 600 * 1024;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    gln_status st = GLN_OK;
    for (int64_t round = 0; round < 5000 && st == GLN_OK; round++) {
        if ((st = gln_store_begin(store)) != GLN_OK) break;
        if ((st = add_some(store, project, round)) == GLN_OK) st = gln_store_commit(store);
        else gln_store_rollback(store);
        if (st == GLN_OK) committed += IMAGES_A_COMMIT;
    }
    ck_assert_msg(st == GLN_E_DISK_FULL, "got %s: %s", gln_status_name(st), gln_message());
    gln_message_has("no space left");
    gln_message_has(path);
    ck_assert_int_gt(committed, 0);
    ck_assert_int_eq(count_images(store, project), committed);
    gln_fails(gln_store_commit(store), GLN_E_CONFLICT); /* no transaction was left open */

    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    gln_ok(gln_store_begin(store));
    gln_ok(add_some(store, project, committed / IMAGES_A_COMMIT));
    gln_ok(gln_store_commit(store));
    ck_assert_int_eq(count_images(store, project), committed + IMAGES_A_COMMIT);
    gln_ok(gln_store_check(store, true));
    gln_store_close(store);
}
END_TEST

START_TEST(disk_full__while_migrating_leaves_a_database_that_opens_later)
{
    char path[GLN_PATH_MAX];
    struct rlimit before, limit;
    gln_store *store = NULL;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    size_t n_full = 0;
    for (rlim_t kib = 0; kib < 400; kib += kib < 40 ? 4 : 40) {
        fixture_path(path);
        limit = before;
        limit.rlim_cur = kib * 1024;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        gln_status st = gln_store_open(&store, path, GLN_STORE_WRITE);
        n_full += st == GLN_E_DISK_FULL;
        ck_assert_msg(st == GLN_OK || st == GLN_E_DISK_FULL, "%d KiB: %s: %s", (int)kib, gln_status_name(st), gln_message());
        gln_store_close(store);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
        store = fixture_open(path, GLN_STORE_WRITE);
        gln_ok(gln_store_check(store, true));
        gln_store_close(store);
        store = NULL;
    }
    ck_assert_uint_gt(n_full, 5);
}
END_TEST

/* ---- two connections ---- */

typedef struct watching {
    const char *path;
    int64_t project_id;
    atomic_bool stop, failed;
    atomic_size_t n_views, n_ready;
} watching;

static gln_status count_row(void *context, const gln_pool_row *row)
{
    (void)row;
    ++*(int64_t *)context;
    return GLN_OK;
}

/* Looks at the database through one view, twice: both looks and the two ways of counting must agree. */
static bool look(gln_store *store, int64_t project_id)
{
    gln_image_filter filter = { .project_id = project_id };
    int64_t first = 0, second = 0, rows = 0;
    bool good = gln_store_begin_read(store) == GLN_OK;
    good = good && gln_store_images_count(store, &filter, &first) == GLN_OK;
    sched_yield();
    good = good && gln_store_pool(store, project_id, count_row, &rows) == GLN_OK;
    good = good && gln_store_images_count(store, &filter, &second) == GLN_OK;
    good = good && gln_store_commit(store) == GLN_OK;
    return good && first == second && first == rows && first % IMAGES_A_COMMIT == 0;
}

static void *watch(void *context)
{
    watching *w = context;
    gln_store *store = NULL;
    bool opened = gln_store_open(&store, w->path, GLN_STORE_READ) == GLN_OK;
    atomic_fetch_add(&w->n_ready, 1);
    if (!opened) atomic_store(&w->failed, true);
    while (opened && !atomic_load(&w->stop)) {
        if (!look(store, w->project_id)) {
            atomic_store(&w->failed, true);
            break;
        }
        atomic_fetch_add(&w->n_views, 1);
    }
    gln_store_close(store);
    return NULL;
}

START_TEST(connections__readers_see_whole_transactions_while_one_writes)
{
    enum { N_READERS = 3, N_ROUNDS = 150 };
    char path[GLN_PATH_MAX];
    pthread_t threads[N_READERS];
    fixture_path(path);
    gln_store *store = fixture_open(path, GLN_STORE_WRITE);
    static watching w;
    w = (watching){ .path = path, .project_id = fixture_project(store, "p") };
    for (size_t i = 0; i < N_READERS; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, watch, &w), 0);
    while (atomic_load(&w.n_ready) < N_READERS) sched_yield();
    for (int64_t round = 0; round < N_ROUNDS; round++) {
        gln_ok(gln_store_begin(store));
        gln_ok(add_some(store, w.project_id, round));
        gln_ok(gln_store_commit(store));
    }
    while (atomic_load(&w.n_views) < 2 * N_READERS && !atomic_load(&w.failed)) sched_yield();
    atomic_store(&w.stop, true);
    for (size_t i = 0; i < N_READERS; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert(!atomic_load(&w.failed));
    ck_assert_int_eq(count_images(store, w.project_id), N_ROUNDS * IMAGES_A_COMMIT);
    gln_store_close(store);
}
END_TEST

START_TEST(connections__a_view_stays_as_it_was_until_it_ends)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    gln_store *writer = fixture_open(path, GLN_STORE_WRITE);
    int64_t project = fixture_project(writer, "p");
    gln_store *reader = fixture_open(path, GLN_STORE_READ);
    gln_ok(gln_store_begin_read(reader)); /* the view of this moment, before anything was read through it */
    gln_ok(add_some(writer, project, 0));
    ck_assert_int_eq(count_images(reader, project), 0);
    gln_fails(gln_store_begin_read(reader), GLN_E_CONFLICT);
    gln_ok(gln_store_commit(reader));
    ck_assert_int_eq(count_images(reader, project), IMAGES_A_COMMIT);
    gln_store_close(reader);
    gln_store_close(writer);
}
END_TEST

START_TEST(connections__a_second_writer_is_told_that_it_is_busy)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    gln_store *first = fixture_open(path, GLN_STORE_WRITE), *second = fixture_open(path, GLN_STORE_WRITE);
    sqlite3_busy_timeout(second->db, 10);
    gln_ok(gln_store_begin(first));
    gln_fails(gln_store_begin(second), GLN_E_BUSY);
    gln_ok(gln_store_commit(first));
    gln_ok(gln_store_begin(second));
    gln_store_rollback(second);
    gln_store_rollback(second);
    gln_store_close(second);
    gln_store_close(first);
}
END_TEST

START_TEST(transaction__rollback_takes_everything_back)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p");
    gln_fails(gln_store_commit(store), GLN_E_CONFLICT);
    gln_ok(gln_store_begin(store));
    gln_fails(gln_store_begin(store), GLN_E_CONFLICT);
    gln_ok(add_some(store, project, 0));
    ck_assert_int_eq(count_images(store, project), IMAGES_A_COMMIT);
    gln_store_rollback(store);
    ck_assert_int_eq(count_images(store, project), 0);
    gln_store_rollback(store);
    gln_store_close(store);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store_durability");
    TCase *c = tcase_create("durability");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, killed__committed_is_there_and_uncommitted_is_not);
    tcase_add_test(c, killed__at_any_moment_whole_transactions_survive);
    tcase_add_test(c, disk_full__is_said_and_nothing_is_half_written);
    tcase_add_test(c, disk_full__while_migrating_leaves_a_database_that_opens_later);
    tcase_add_test(c, connections__readers_see_whole_transactions_while_one_writes);
    tcase_add_test(c, connections__a_view_stays_as_it_was_until_it_ends);
    tcase_add_test(c, connections__a_second_writer_is_told_that_it_is_busy);
    tcase_add_test(c, transaction__rollback_takes_everything_back);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return gln_test_main(suite());
}
