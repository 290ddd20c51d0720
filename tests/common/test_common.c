/* The common layer: what every other layer trusts without looking. */
#include "common/clock.h"
#include "common/hash.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/progress.h"
#include "common/rng.h"
#include "common/strbuf.h"
#include "common/threads.h"
#include "tests/support/support.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(status__sentence_may_quote_the_last_one)
{
    gln_fail(GLN_E_IO, "inner %d", 7);
    gln_status st = gln_fail(GLN_E_CORRUPT, "outer: %s", gln_message());
    ck_assert_int_eq(st, GLN_E_CORRUPT);
    ck_assert_str_eq(gln_message(), "outer: inner 7");
}
END_TEST

START_TEST(status__errno_maps_to_codes)
{
    ck_assert_int_eq(gln_fail_errno(ENOSPC, "x"), GLN_E_DISK_FULL);
    ck_assert_int_eq(gln_fail_errno(ENOENT, "x"), GLN_E_NOT_FOUND);
    ck_assert_int_eq(gln_fail_errno(EACCES, "x"), GLN_E_PERMISSION);
    ck_assert_int_eq(gln_fail_errno(EIO, "x"), GLN_E_IO);
    gln_message_has("x: ");
    ck_assert_str_eq(gln_status_name(GLN_E_NOT_FOUND), "not-found");
    ck_assert_str_eq(gln_status_name((gln_status)-99), "unknown");
}
END_TEST

START_TEST(memory__sizes_that_overflow_are_errors)
{
    char *p = NULL;
    gln_fails(gln_alloc(&p, SIZE_MAX / 2, 3, "rows"), GLN_E_LIMIT);
    ck_assert_ptr_null(p);
    gln_fails(gln_alloc(&p, SIZE_MAX, 1, "rows"), GLN_E_LIMIT);
    gln_message_has("rows");
    size_t out = 0;
    ck_assert(!gln_mul_size(&out, SIZE_MAX, 2));
    ck_assert(out == SIZE_MAX);
    ck_assert(!gln_add_size(&out, SIZE_MAX, 1));
}
END_TEST

START_TEST(memory__is_zeroed_aligned_and_grows)
{
    uint32_t *items = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        gln_ok(gln_grow(&items, &capacity, i + 1, sizeof *items, "items"));
        ck_assert_uint_eq(items[i], 0);
        items[i] = (uint32_t)i;
    }
    for (size_t i = 0; i < 1000; i++) ck_assert_uint_eq(items[i], i);
    ck_assert_uint_eq((uintptr_t)items % 64, 0);
    gln_free(items);
    void *empty = NULL;
    gln_ok(gln_alloc(&empty, 0, 8, "nothing"));
    ck_assert_ptr_nonnull(empty);
    gln_free(empty);
}
END_TEST

START_TEST(strbuf__stops_at_its_maximum)
{
    gln_strbuf b;
    gln_strbuf_init(&b, 8);
    gln_strbuf_append(&b, "1234567");
    gln_ok(gln_strbuf_status(&b, "text"));
    gln_strbuf_append(&b, "8");
    gln_fails(gln_strbuf_status(&b, "text"), GLN_E_LIMIT);
    ck_assert_str_eq(b.data, "1234567");
    gln_strbuf_clear(&b);
    gln_strbuf_printf(&b, "%d", 42);
    ck_assert_str_eq(b.data, "42");
    gln_strbuf_dispose(&b);
}
END_TEST

START_TEST(rng__is_repeatable_and_uniform)
{
    gln_rng a, b;
    gln_rng_seed(&a, 5);
    gln_rng_seed(&b, 5);
    for (int i = 0; i < 100; i++) ck_assert(gln_rng_next(&a) == gln_rng_next(&b));
    size_t count[7] = {0};
    for (int i = 0; i < 70000; i++) count[gln_rng_below(&a, 7)]++;
    /* 10,000 expected, standard deviation 93: five of them */
    for (int i = 0; i < 7; i++) ck_assert(count[i] > 9530 && count[i] < 10470);
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < 100000; i++) {
        double x = gln_rng_normal(&a);
        sum += x;
        squares += x * x;
    }
    ck_assert(fabs(sum / 100000) < 0.02 && fabs(squares / 100000 - 1.0) < 0.03);
    ck_assert(gln_rng_mix(1, 1) != gln_rng_mix(1, 2));
}
END_TEST

START_TEST(rng__shuffle_keeps_every_item)
{
    uint32_t items[100], seen[100] = {0};
    gln_rng rng;
    gln_rng_seed(&rng, 1);
    for (uint32_t i = 0; i < 100; i++) items[i] = i;
    gln_rng_shuffle_u32(&rng, items, 100);
    size_t moved = 0;
    for (uint32_t i = 0; i < 100; i++) {
        seen[items[i]]++;
        moved += items[i] != i;
    }
    for (int i = 0; i < 100; i++) ck_assert_uint_eq(seen[i], 1);
    ck_assert(moved > 50);
}
END_TEST

START_TEST(hash__sha256_of_known_texts)
{
    uint8_t out[GLN_SHA256_BYTES], back[GLN_SHA256_BYTES];
    char hex[GLN_SHA256_HEX];
    gln_sha256(out, "abc", 3);
    gln_hex(hex, out, sizeof out);
    ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-2 */
    ck_assert(gln_unhex(back, sizeof back, hex));
    ck_assert(gln_equal_constant_time(out, back, sizeof out));
    hex[3] = 'g';
    ck_assert(!gln_unhex(back, sizeof back, hex));
    ck_assert(!gln_unhex(back, sizeof back, "ab"));
}
END_TEST

static gln_status mark(void *context, size_t begin, size_t end, size_t worker)
{
    atomic_int *seen = context;
    (void)worker;
    for (size_t i = begin; i < end; i++) atomic_fetch_add(&seen[i], 1);
    return GLN_OK;
}

static gln_status fail_at_500(void *context, size_t begin, size_t end, size_t worker)
{
    (void)context;
    (void)worker;
    return begin <= 500 && 500 < end ? gln_fail(GLN_E_CORRUPT, "item 500 is bad") : GLN_OK;
}

START_TEST(pool__covers_every_item_once_and_carries_failures)
{
    gln_pool *pool = NULL;
    gln_ok(gln_pool_create(&pool, 4));
    atomic_int *seen = NULL;
    gln_ok(gln_alloc(&seen, 10000, sizeof *seen, "marks"));
    for (int round = 0; round < 20; round++) gln_ok(gln_pool_for(pool, 10000, 17, mark, seen));
    for (size_t i = 0; i < 10000; i++) ck_assert_int_eq(atomic_load(&seen[i]), 20);
    gln_fails(gln_pool_for(pool, 1000, 10, fail_at_500, NULL), GLN_E_CORRUPT);
    ck_assert_str_eq(gln_message(), "item 500 is bad");
    gln_ok(gln_pool_for(pool, 0, 10, fail_at_500, NULL));
    gln_ok(gln_pool_for(NULL, 10000, 0, mark, seen));
    gln_free(seen);
    gln_pool_free(pool);
}
END_TEST

static void *push_numbers(void *context)
{
    static int numbers[1000];
    for (int i = 0; i < 1000; i++) {
        numbers[i] = i;
        if (gln_queue_push(context, &numbers[i]) != GLN_OK) break;
    }
    gln_queue_close(context);
    return NULL;
}

START_TEST(queue__keeps_order_and_drains_after_close)
{
    gln_queue *queue = NULL;
    pthread_t producer;
    void *item = NULL;
    gln_ok(gln_queue_create(&queue, 3));
    gln_ok(gln_thread_start(&producer, "producer", push_numbers, queue));
    int expected = 0;
    while (gln_queue_pop(queue, &item) == GLN_OK) ck_assert_int_eq(*(int *)item, expected++);
    ck_assert_int_eq(expected, 1000);
    gln_fails(gln_queue_push(queue, item), GLN_E_CANCELLED);
    pthread_join(producer, NULL);
    gln_queue_free(queue);
}
END_TEST

static void count_reports(void *context, const gln_progress_report *r)
{
    int *counts = context;
    counts[r->stage_ended ? 1 : 0]++;
    ck_assert_uint_le(r->done, 100);
}

START_TEST(progress__ends_every_stage_and_cancels)
{
    gln_progress *progress = NULL;
    int counts[2] = {0};
    gln_ok(gln_progress_create(&progress, 0, count_reports, counts));
    gln_progress_stage(progress, "one", 100);
    for (int i = 0; i < 100; i++) gln_ok(gln_progress_add(progress, 1));
    gln_progress_stage(progress, "two", 0);
    gln_progress_cancel(progress);
    gln_fails(gln_progress_add(progress, 1), GLN_E_CANCELLED);
    gln_progress_free(progress);
    ck_assert_int_eq(counts[1], 2);
    ck_assert_int_eq(counts[0], 103);
    gln_ok(gln_progress_add(NULL, 1));
}
END_TEST

static void put(const char *path, const char *text)
{
    gln_ok(gln_file_write(path, text, strlen(text)));
}

struct walked {
    char names[512];
    size_t n_unreadable;
    size_t root;
};

static gln_status note_file(void *context, const char *path, uint64_t n_bytes)
{
    struct walked *w = context;
    size_t used = strlen(w->names);
    snprintf(w->names + used, sizeof w->names - used, "%s:%llu ", path + w->root, (unsigned long long)n_bytes);
    return GLN_OK;
}

static void note_unreadable(void *context, const char *path)
{
    (void)path;
    ((struct walked *)context)->n_unreadable++;
}

START_TEST(files__walk_is_ordered_and_leaves_out_hidden_and_links_to_folders)
{
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX], other[GLN_PATH_MAX];
    gln_test_folder(folder);
    gln_ok(gln_path_join(path, folder, "b/c"));
    gln_ok(gln_folder_create(path));
    gln_ok(gln_path_join(path, folder, "b/c/2"));
    put(path, "22");
    gln_ok(gln_path_join(path, folder, "a"));
    put(path, "1");
    gln_ok(gln_path_join(path, folder, ".hidden"));
    put(path, "1");
    gln_ok(gln_path_join(path, folder, "loop"));
    ck_assert_int_eq(symlink(folder, path), 0);
    gln_ok(gln_path_join(path, folder, "link"));
    gln_ok(gln_path_join(other, folder, "a"));
    ck_assert_int_eq(symlink(other, path), 0);
    gln_ok(gln_path_join(path, folder, "dead"));
    ck_assert_int_eq(symlink("/nowhere/at/all", path), 0);
    gln_ok(gln_path_join(path, folder, "pipe"));
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    struct walked w = {.root = strlen(folder) + 1};
    gln_ok(gln_walk(folder, note_file, note_unreadable, &w));
    ck_assert_str_eq(w.names, "a:1 b/c/2:2 link:1 ");
    ck_assert_uint_eq(w.n_unreadable, 1);
    gln_fails(gln_walk("/nowhere/at/all", note_file, NULL, &w), GLN_E_NOT_FOUND);
}
END_TEST

START_TEST(files__read_is_capped_and_refuses_what_is_no_file)
{
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX];
    unsigned char *bytes = NULL;
    size_t n = 0;
    gln_test_folder(folder);
    gln_ok(gln_path_join(path, folder, "f"));
    put(path, "hello");
    gln_ok(gln_file_read(&bytes, &n, path, 5));
    ck_assert_uint_eq(n, 5);
    ck_assert_str_eq((char *)bytes, "hello");
    gln_free(bytes);
    gln_fails(gln_file_read(&bytes, &n, path, 4), GLN_E_LIMIT);
    ck_assert_ptr_null(bytes);
    gln_fails(gln_file_read(&bytes, &n, folder, 100), GLN_E_FORMAT);
    gln_ok(gln_path_join(path, folder, "pipe"));
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    gln_fails(gln_file_read(&bytes, &n, path, 100), GLN_E_FORMAT); /* and does not hang */
    gln_ok(gln_path_join(path, folder, "absent"));
    gln_fails(gln_file_read(&bytes, &n, path, 100), GLN_E_NOT_FOUND);
}
END_TEST

START_TEST(files__write_that_fails_is_an_error)
{

    gln_fails(gln_file_write("/nowhere/at/all/f", "x", 1), GLN_E_NOT_FOUND);
    char path[GLN_PATH_MAX], longer[GLN_PATH_MAX + 8];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    gln_fails(gln_path_join(path, "/tmp", longer), GLN_E_LIMIT);
}
END_TEST

START_TEST(files__second_process_finds_the_lock_taken)
{
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX];
    gln_file_lock *lock = NULL, *again = NULL;
    gln_test_folder(folder);
    gln_ok(gln_path_join(path, folder, "lock"));
    gln_ok(gln_file_lock_take(&lock, path));
    char expected[32];
    snprintf(expected, sizeof expected, "process %ld ", (long)getpid());
    gln_fails(gln_file_lock_take(&again, path), GLN_E_BUSY);
    gln_message_has(expected);
    gln_file_lock_release(lock);
    gln_ok(gln_file_lock_take(&again, path));
    gln_file_lock_release(again);
}
END_TEST

static void refuse(const char *text, size_t n)
{
    gln_json *json = NULL;
    gln_fails(gln_json_parse(&json, text, n, "body"), GLN_E_FORMAT);
    ck_assert_ptr_null(json);
    gln_message_has("body");
}

START_TEST(json__refuses_what_is_not_json)
{
    static const char *const bad[] = {
        "", "{", "{\"a\":1}x", "[1,]", "{\"a\":1,\"a\":2}", "\"\\u0000\"", "1e999", "-1e999", "nul", "[\"\\ud800\"",
        "{\"a\" 1}", "'a'", "NaN", "[1 2]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) refuse(bad[i], strlen(bad[i]));
    refuse("\"\xff\"", 3);
    refuse("\"a\0b\"", 5);
    char deep[300];
    memset(deep, '[', 150);
    memset(deep + 150, ']', 150);
    refuse(deep, sizeof deep);
}
END_TEST

START_TEST(json__round_trip)
{
    gln_json *json = NULL;
    const char *text = "{\"a\":[1,2.5,true,null,\"\\\\u0000 \xc3\xa9\"],\"b\":{\"c\":-3}}";
    gln_ok(gln_json_parse(&json, text, strlen(text), "body"));
    ck_assert_uint_eq(gln_json_count(gln_json_get(json, "a")), 5);
    ck_assert_double_eq(gln_json_number(gln_json_at(gln_json_get(json, "a"), 1), 0), 2.5);
    ck_assert_str_eq(gln_json_string(gln_json_at(gln_json_get(json, "a"), 4)), "\\u0000 \xc3\xa9");
    ck_assert_ptr_null(gln_json_get(json, "A"));
    ck_assert_double_eq(gln_json_number(gln_json_get(json, "missing"), 7), 7);
    char *printed = gln_json_print(json, false);
    ck_assert_str_eq(printed, text);
    gln_free(printed);
    gln_json_set_number(json, "nan", NAN);
    ck_assert(gln_json_is_null(gln_json_get(json, "nan")));
    gln_json_free(json);
}
END_TEST

START_TEST(clock__formats_utc)
{
    char text[GLN_ISO_TIME_MAX];
    gln_clock_format(text, 951782400123); /* a leap day */
    ck_assert_str_eq(text, "2000-02-29T00:00:00Z");
    gln_clock_format(text, INT64_MAX);
    ck_assert(strlen(text) < GLN_ISO_TIME_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("common");
    TCase *tests = tcase_create("common");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, status__sentence_may_quote_the_last_one);
    tcase_add_test(tests, status__errno_maps_to_codes);
    tcase_add_test(tests, memory__sizes_that_overflow_are_errors);
    tcase_add_test(tests, memory__is_zeroed_aligned_and_grows);
    tcase_add_test(tests, strbuf__stops_at_its_maximum);
    tcase_add_test(tests, rng__is_repeatable_and_uniform);
    tcase_add_test(tests, rng__shuffle_keeps_every_item);
    tcase_add_test(tests, hash__sha256_of_known_texts);
    tcase_add_test(tests, pool__covers_every_item_once_and_carries_failures);
    tcase_add_test(tests, queue__keeps_order_and_drains_after_close);
    tcase_add_test(tests, progress__ends_every_stage_and_cancels);
    tcase_add_test(tests, files__walk_is_ordered_and_leaves_out_hidden_and_links_to_folders);
    tcase_add_test(tests, files__read_is_capped_and_refuses_what_is_no_file);
    tcase_add_test(tests, files__write_that_fails_is_an_error);
    tcase_add_test(tests, files__second_process_finds_the_lock_taken);
    tcase_add_test(tests, json__refuses_what_is_not_json);
    tcase_add_test(tests, json__round_trip);
    tcase_add_test(tests, clock__formats_utc);
    suite_add_tcase(suite, tests);
    return gln_test_main(suite);
}
