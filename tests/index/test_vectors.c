/* The vectors file: what comes back, what a crash leaves, what damage looks like, a full disk, readers while it grows. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare, for a disk of our own to fill */
#endif
#include "common/memory.h"
#include "common/rng.h"
#include "common/threads.h"
#include "index/vectors.h"
#include "kernels/kernels.h"
#include "tests/support/support.h"

#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define D 20
#define STRIDE (48 + 16)
#define HEADER 4096
static const uint8_t identity[GLN_VECTORS_IDENTITY_BYTES] = {1, 2, 3};

static char path[GLN_PATH_MAX];

static void fresh_path(void)
{
    char folder[GLN_PATH_MAX];
    gln_test_folder(folder);
    gln_ok(gln_path_join(path, folder, "test.vec"));
}

/* Number j of row r, exact in binary16. */
static float value(size_t r, size_t j)
{
    return (float)((r * 7 + j) % 1000) / 8.0f;
}

static void append(gln_vectors *v, size_t n, size_t d)
{
    size_t before = gln_vectors_count(v), first = 0;
    float *rows = malloc((n * d + 1) * sizeof *rows);
    int64_t *ids = malloc((n + 1) * sizeof *ids);
    ck_assert(rows != NULL && ids != NULL);
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int64_t)(1000 + before + i);
        for (size_t j = 0; j < d; j++)
            rows[i * d + j] = value(before + i, j);
    }
    gln_ok(gln_vectors_append(v, rows, ids, n, &first));
    ck_assert_uint_eq(first, before);
    free(rows);
    free(ids);
}

static void check_rows(const gln_vectors *v, size_t n)
{
    gln_embeddings view = gln_vectors_view(v);
    ck_assert_uint_eq(view.n, n);
    float *row = malloc(view.d * sizeof *row);
    ck_assert_ptr_nonnull(row);
    for (size_t r = 0; r < n; r++) {
        ck_assert_int_eq(gln_vectors_image_id(v, r), (int64_t)(1000 + r));
        gln_kernels()->f16_to_f32(row, gln_embeddings_row(&view, r), view.d);
        for (size_t j = 0; j < view.d; j++)
            ck_assert_float_eq(row[j], value(r, j));
    }
    free(row);
}

static void make_file(size_t n)
{
    gln_vectors *v = NULL;
    fresh_path();
    gln_ok(gln_vectors_open(&v, path, D, identity, 0));
    append(v, n, D);
    gln_ok(gln_vectors_sync(v));
    gln_vectors_close(v);
}

static size_t file_size(void)
{
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    return (size_t)info.st_size;
}

static void flip(size_t at)
{
    int fd = open(path, O_RDWR);
    unsigned char byte;
    ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x10;
    ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

START_TEST(vectors__rows_and_ids_come_back_after_reopening)
{
    static const size_t dimensions[] = {1, 7, 8, 64, 1280};
    for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions; i++) {
        gln_vectors *v = NULL;
        fresh_path();
        gln_ok(gln_vectors_open(&v, path, dimensions[i], identity, 0));
        check_rows(v, 0);
        append(v, 3, dimensions[i]);
        append(v, 0, dimensions[i]);
        append(v, 600, dimensions[i]);
        check_rows(v, 603);
        gln_ok(gln_vectors_sync(v));
        gln_vectors_close(v);
        gln_ok(gln_vectors_open(&v, path, dimensions[i], identity, 603));
        check_rows(v, 603);
        gln_ok(gln_vectors_verify(v, NULL));
        gln_vectors_close(v);
    }
}
END_TEST

START_TEST(vectors__opens_whatever_it_holds_without_identity)
{
    gln_vectors *v = NULL;
    make_file(2);
    gln_ok(gln_vectors_open(&v, path, 0, NULL, 2));
    ck_assert_uint_eq(gln_vectors_dimension(v), D);
    ck_assert_mem_eq(gln_vectors_identity(v), identity, sizeof identity);
    check_rows(v, 2);
    gln_vectors_close(v);
    unlink(path);
    gln_fails(gln_vectors_open(&v, path, 0, NULL, 0), GLN_E_NOT_FOUND);
}
END_TEST

START_TEST(vectors__reading_leaves_what_an_appender_has_not_committed)
{
    gln_vectors *owner = NULL, *reader = NULL;
    make_file(2);
    gln_ok(gln_vectors_open(&owner, path, D, identity, 2));
    append(owner, 3, D); /* no commit counts these yet */
    gln_ok(gln_vectors_open_reading(&reader, path, 2));
    ck_assert_uint_eq(file_size(), HEADER + 5 * STRIDE);
    append(owner, 2, D);
    check_rows(reader, 2);
    check_rows(owner, 7);
    gln_ok(gln_vectors_verify(reader, NULL));
    size_t first = 0;
    float row[D] = {0};
    gln_fails(gln_vectors_append(reader, row, &(int64_t){1}, 1, &first), GLN_E_IO);
    ck_assert_uint_eq(file_size(), HEADER + 7 * STRIDE);
    gln_vectors_close(reader);
    gln_vectors_close(owner);
    gln_fails(gln_vectors_open_reading(&reader, path, 8), GLN_E_CORRUPT);
    unlink(path);
    gln_fails(gln_vectors_open_reading(&reader, path, 0), GLN_E_NOT_FOUND);
}
END_TEST

/* Whatever a crash left of the last row: with it committed the file is corrupt, without it the rest is whole. */
START_TEST(vectors__torn_tail_is_cut_at_every_byte)
{
    for (size_t lost = 0; lost <= STRIDE; lost++) {
        gln_vectors *v = NULL;
        make_file(4);
        ck_assert_uint_eq(file_size(), HEADER + 4 * STRIDE);
        ck_assert_int_eq(truncate(path, (off_t)(HEADER + 4 * STRIDE - lost)), 0);
        if (lost > 0)
            gln_fails(gln_vectors_open(&v, path, D, identity, 4), GLN_E_CORRUPT);
        ck_assert_uint_eq(file_size(), HEADER + 4 * STRIDE - lost);
        gln_ok(gln_vectors_open(&v, path, D, identity, 3));
        ck_assert_uint_eq(file_size(), HEADER + 3 * STRIDE);
        check_rows(v, 3);
        append(v, 2, D);
        check_rows(v, 5);
        gln_vectors_close(v);
    }
}
END_TEST

START_TEST(vectors__a_hole_where_a_row_should_be_is_damage)
{
    gln_vectors *v = NULL;
    make_file(3);
    ck_assert_int_eq(truncate(path, (off_t)(HEADER + 2 * STRIDE)), 0);
    ck_assert_int_eq(truncate(path, (off_t)(HEADER + 3 * STRIDE)), 0);
    gln_fails(gln_vectors_open(&v, path, D, identity, 3), GLN_E_CORRUPT);
    gln_message_has("row 2");
}
END_TEST

START_TEST(vectors__every_flipped_byte_of_a_row_is_found_and_named)
{
    make_file(3);
    for (size_t at = HEADER + STRIDE; at < HEADER + 2 * STRIDE; at++) {
        gln_vectors *v = NULL;
        flip(at);
        gln_fails(gln_vectors_open(&v, path, D, identity, 3), GLN_E_CORRUPT);
        gln_message_has("row 1");
        flip(at);
    }
}
END_TEST

START_TEST(vectors__old_damage_is_found_by_verify)
{
    gln_vectors *v = NULL;
    make_file(3000);
    flip(HEADER + 5 * STRIDE + 3);
    flip(HEADER + 900 * STRIDE);
    gln_ok(gln_vectors_open(&v, path, D, identity, 3000)); /* open looks at the last 1,024 */
    gln_fails(gln_vectors_verify(v, NULL), GLN_E_CORRUPT);
    gln_message_has("row 5");
    gln_message_has("1 others");
    gln_vectors_close(v);
}
END_TEST

START_TEST(vectors__damaged_or_foreign_header_is_refused)
{
    gln_vectors *v = NULL;
    make_file(3);
    for (size_t at = 0; at < HEADER; at += at < 80 ? 1 : 501) {
        flip(at);
        gln_fails(gln_vectors_open(&v, path, D, identity, 3), GLN_E_CORRUPT);
        ck_assert_ptr_null(v);
        flip(at);
    }
    uint8_t other[GLN_VECTORS_IDENTITY_BYTES] = {9};
    gln_fails(gln_vectors_open(&v, path, D, other, 3), GLN_E_CONFLICT);
    gln_fails(gln_vectors_open(&v, path, D + 1, identity, 3), GLN_E_CONFLICT);
    gln_fails(gln_vectors_open(&v, path, 0, identity, 3), GLN_E_ARGUMENT);
    gln_fails(gln_vectors_open(&v, path, 1 << 20, identity, 3), GLN_E_ARGUMENT);
    gln_fails(gln_vectors_open(&v, path, D, identity, SIZE_MAX), GLN_E_LIMIT);
    ck_assert_int_eq(truncate(path, 100), 0);
    gln_fails(gln_vectors_open(&v, path, D, identity, 0), GLN_E_CORRUPT);
    unlink(path);
    gln_fails(gln_vectors_open(&v, path, D, identity, 3), GLN_E_CORRUPT);
    gln_message_has("gone");
    gln_fails(gln_vectors_open(&v, "/proc/self", D, identity, 0), GLN_E_IO);
}
END_TEST

START_TEST(vectors__numbers_that_float16_cannot_hold_are_refused)
{
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e6f, -65520.0f};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
        gln_vectors *v = NULL;
        size_t first;
        float rows[300 * D] = {0};
        int64_t ids[300];
        make_file(2);
        for (size_t i = 0; i < 300; i++)
            ids[i] = 5000 + (int64_t)i;
        rows[270 * D + 3] = bad[b]; /* beyond the first block that is written */
        gln_ok(gln_vectors_open(&v, path, D, identity, 2));
        gln_fails(gln_vectors_append(v, rows, ids, 300, &first), GLN_E_ARGUMENT);
        gln_message_has("5270");
        ck_assert_uint_eq(gln_vectors_count(v), 2);
        ck_assert_uint_eq(file_size(), HEADER + 2 * STRIDE);
        append(v, 3, D);
        check_rows(v, 5);
        gln_vectors_close(v);
    }
}
END_TEST

START_TEST(vectors__an_erased_row_leaves_nothing_and_stays_whole)
{
    gln_vectors *v = NULL;
    unsigned char row[STRIDE], zero[STRIDE] = {0};
    make_file(3);
    gln_ok(gln_vectors_open(&v, path, D, identity, 3));
    flip(HEADER + STRIDE + 5); /* as a kill in the middle might leave it */
    for (int again = 0; again < 2; again++) gln_ok(gln_vectors_erase(v, 1));
    gln_ok(gln_vectors_verify(v, NULL));
    ck_assert_int_eq(gln_vectors_image_id(v, 1), 1001);
    ck_assert(gln_vectors_is_empty(v, 1) && !gln_vectors_is_empty(v, 2));
    ck_assert_int_eq(gln_vectors_image_id(v, 2), 1002);
    gln_fails(gln_vectors_erase(v, 3), GLN_E_ARGUMENT);
    gln_vectors_close(v);
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(pread(fd, row, STRIDE, HEADER + STRIDE), STRIDE);
    ck_assert_mem_eq(row, zero, STRIDE - 16); /* but for id and checksum */
    close(fd);
}
END_TEST

START_TEST(vectors__truncate_drops_what_was_not_committed)
{
    gln_vectors *v = NULL;
    make_file(4);
    gln_ok(gln_vectors_open(&v, path, D, identity, 4));
    gln_embeddings before = gln_vectors_view(v);
    append(v, 5, D);
    gln_ok(gln_vectors_truncate(v, 4));
    ck_assert_uint_eq(file_size(), HEADER + 4 * STRIDE);
    ck_assert_ptr_eq(before.data, gln_vectors_view(v).data);
    check_rows(v, 4);
    gln_fails(gln_vectors_truncate(v, 5), GLN_E_ARGUMENT);
    append(v, 1, D);
    check_rows(v, 5);
    gln_vectors_close(v);
}
END_TEST

/* A write that the system stops half-way through a row: the file is as before, and can be appended to later. */
START_TEST(vectors__a_failed_write_leaves_the_file_as_it_was)
{
    gln_vectors *v = NULL;
    size_t first;
    float rows[500 * D] = {0};
    int64_t ids[500] = {0};
    make_file(4);
    gln_ok(gln_vectors_open(&v, path, D, identity, 4));
    struct rlimit before, limit;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = HEADER + 300 * STRIDE + 5;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    gln_fails(gln_vectors_append(v, rows, ids, 500, &first), GLN_E_IO);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_uint_eq(file_size(), HEADER + 4 * STRIDE);
    check_rows(v, 4);
    append(v, 500, D);
    check_rows(v, 504);
    gln_vectors_close(v);
}
END_TEST

START_TEST(vectors__a_full_disk_is_an_error_and_leaves_the_file_as_it_was)
{
    char folder[GLN_PATH_MAX];
    gln_test_folder(folder);
    if ((unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 || mount("tmpfs", folder, "tmpfs", 0, "size=128k") != 0) {
        gln_test_skip("a disk to fill: this user may not mount one");
        return;
    }
    gln_vectors *v = NULL;
    size_t first;
    static float rows[4000 * D];
    static int64_t ids[4000];
    gln_ok(gln_path_join(path, folder, "test.vec"));
    gln_ok(gln_vectors_open(&v, path, D, identity, 0));
    append(v, 10, D);
    gln_fails(gln_vectors_append(v, rows, ids, 4000, &first), GLN_E_DISK_FULL);
    ck_assert_uint_eq(file_size(), HEADER + 10 * STRIDE);
    check_rows(v, 10);
    append(v, 100, D);
    check_rows(v, 110);
    gln_vectors_close(v);
    umount(folder);
}
END_TEST

typedef struct reader_context {
    gln_vectors *vectors;
    atomic_bool stop;
    size_t n_seen;
    bool damaged;
} reader_context;

static void *read_while_it_grows(void *argument)
{
    reader_context *context = argument;
    gln_embeddings first = gln_vectors_view(context->vectors);
    while (!atomic_load(&context->stop) || context->n_seen < gln_vectors_count(context->vectors)) {
        gln_embeddings view = gln_vectors_view(context->vectors);
        float row[D];
        if (view.data != first.data || view.n < context->n_seen)
            context->damaged = true;
        for (size_t r = context->n_seen > 50 ? context->n_seen - 50 : 0; r < view.n; r++) {
            gln_kernels()->f16_to_f32(row, gln_embeddings_row(&view, r), D);
            for (size_t j = 0; j < D; j++)
                context->damaged |= row[j] != value(r, j);
            context->damaged |= gln_vectors_image_id(context->vectors, r) != (int64_t)(1000 + r);
        }
        context->n_seen = view.n;
    }
    return NULL;
}

START_TEST(vectors__views_stay_valid_while_the_file_grows)
{
    gln_vectors *v = NULL;
    pthread_t thread;
    make_file(0);
    gln_ok(gln_vectors_open(&v, path, D, identity, 0));
    reader_context context = {.vectors = v};
    atomic_init(&context.stop, false);
    gln_ok(gln_thread_start(&thread, "reader", read_while_it_grows, &context));
    for (size_t i = 0; i < 200; i++)
        append(v, 1 + i % 97, D);
    atomic_store(&context.stop, true);
    pthread_join(thread, NULL);
    ck_assert(!context.damaged);
    ck_assert_uint_eq(context.n_seen, gln_vectors_count(v));
    ck_assert_uint_gt(context.n_seen, 9000);
    gln_vectors_close(v);
}
END_TEST

static Suite *vectors_suite(void)
{
    Suite *suite = suite_create("vectors");
    TCase *tests = tcase_create("vectors file");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, vectors__rows_and_ids_come_back_after_reopening);
    tcase_add_test(tests, vectors__opens_whatever_it_holds_without_identity);
    tcase_add_test(tests, vectors__reading_leaves_what_an_appender_has_not_committed);
    tcase_add_test(tests, vectors__torn_tail_is_cut_at_every_byte);
    tcase_add_test(tests, vectors__a_hole_where_a_row_should_be_is_damage);
    tcase_add_test(tests, vectors__every_flipped_byte_of_a_row_is_found_and_named);
    tcase_add_test(tests, vectors__old_damage_is_found_by_verify);
    tcase_add_test(tests, vectors__damaged_or_foreign_header_is_refused);
    tcase_add_test(tests, vectors__numbers_that_float16_cannot_hold_are_refused);
    tcase_add_test(tests, vectors__an_erased_row_leaves_nothing_and_stays_whole);
    tcase_add_test(tests, vectors__truncate_drops_what_was_not_committed);
    tcase_add_test(tests, vectors__a_failed_write_leaves_the_file_as_it_was);
    tcase_add_test(tests, vectors__a_full_disk_is_an_error_and_leaves_the_file_as_it_was);
    tcase_add_test(tests, vectors__views_stay_valid_while_the_file_grows);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return gln_test_main(vectors_suite());
}
