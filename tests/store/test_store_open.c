/* Opening: what is created, migrated, refused; damaged files and files of others. */
#include "tests/store/fixture.h"

#include "common/memory.h"
#include "store/migrate.h"
#include "store/statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void raw_exec(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *error = NULL;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    int rc = sqlite3_exec(db, sql, NULL, NULL, &error);
    ck_assert_msg(rc == SQLITE_OK, "%s: %s", sql, error);
    sqlite3_close(db);
}

static int64_t ask(gln_store *store, const char *sql)
{
    gln_statement s;
    int64_t value = -1;
    gln_statement_open(&s, store, sql, "asking");
    gln_ok(gln_statement_int(&s, &value));
    return value;
}

static void fails_to_open(const char *path, gln_store_mode mode, gln_status expected, const char *sentence)
{
    gln_store *store = NULL;
    gln_fails(gln_store_open(&store, path, mode), expected);
    ck_assert_ptr_null(store);
    gln_message_has(sentence);
}

START_TEST(open__creates_sets_up_and_reopens)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    for (int round = 0; round < 2; round++) {
        gln_store *store = fixture_open(path, GLN_STORE_WRITE);
        ck_assert_int_eq(gln_store_schema_version(store), (int)gln_n_migrations);
        ck_assert_int_eq(ask(store, "PRAGMA foreign_keys"), 1);
        ck_assert_int_eq(ask(store, "PRAGMA synchronous"), 2);
        ck_assert_int_eq(ask(store, "PRAGMA trusted_schema"), 0);
        ck_assert_int_eq(ask(store, "PRAGMA cell_size_check"), 1);
        ck_assert_int_eq(ask(store, "PRAGMA mmap_size"), 0);
        ck_assert_int_eq(ask(store, "PRAGMA application_id"), GLN_STORE_APPLICATION_ID);
        ck_assert_int_eq(ask(store, "SELECT 'wal' = (SELECT * FROM pragma_journal_mode)"), 1);
        gln_ok(gln_store_check(store, true));
        if (round == 0) fixture_project(store, "p");
        else ck_assert_int_eq(ask(store, "SELECT count(*) FROM project"), 1);
        gln_store_close(store);
    }
}
END_TEST

START_TEST(open__for_reading_needs_a_database_and_says_how_to_make_one)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    fails_to_open(path, GLN_STORE_READ, GLN_E_NOT_FOUND, "gleaner init");
    ck_assert(!gln_file_exists(path));
    gln_ok(gln_file_write(path, "", 0));
    fails_to_open(path, GLN_STORE_READ, GLN_E_NOT_FOUND, "gleaner init");
    fails_to_open("", GLN_STORE_WRITE, GLN_E_ARGUMENT, "path");
    fails_to_open("/nowhere/at/all/gleaner.db", GLN_STORE_WRITE, GLN_E_NOT_FOUND, "/nowhere/at/all");
}
END_TEST

START_TEST(open__an_empty_file_is_a_new_database)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    gln_ok(gln_file_write(path, "", 0));
    gln_store_close(fixture_open(path, GLN_STORE_WRITE));
    gln_store_close(fixture_open(path, GLN_STORE_READ));
}
END_TEST

START_TEST(open__a_path_is_never_an_uri)
{
    char folder[GLN_PATH_MAX], before[GLN_PATH_MAX];
    gln_test_folder(folder);
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    ck_assert_int_eq(chdir(folder), 0);
    gln_store_close(fixture_open("file:x?mode=memory", GLN_STORE_WRITE));
    ck_assert(gln_file_exists("./file:x?mode=memory"));
    gln_store_close(fixture_open(":memory:", GLN_STORE_WRITE));
    ck_assert(gln_file_exists("./:memory:"));
    ck_assert_int_eq(chdir(before), 0);
}
END_TEST

START_TEST(open__reads_beside_a_writer_and_cannot_write)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    gln_store *writer = fixture_open(path, GLN_STORE_WRITE);
    fixture_project(writer, "p"); /* lies in the WAL file only */
    gln_store *reader = fixture_open(path, GLN_STORE_READ);
    ck_assert_int_eq(ask(reader, "SELECT count(*) FROM project"), 1);
    gln_project_row row = { .name = "q", .backbone = "b" };
    gln_fails(gln_store_project_add(reader, &row, NULL), GLN_E_PERMISSION);
    gln_message_has("open for reading");
    gln_store_close(reader);
    gln_store_close(writer);
}
END_TEST

START_TEST(open__refuses_a_file_of_somebody_else_and_leaves_it_alone)
{
    char path[GLN_PATH_MAX], text[GLN_PATH_MAX], folder[GLN_PATH_MAX];
    unsigned char *before = NULL, *after = NULL;
    size_t n_before = 0, n_after = 0;
    fixture_path(path);
    raw_exec(path, "CREATE TABLE bookmarks (url TEXT)");
    gln_ok(gln_file_read(&before, &n_before, path, 1 << 20));
    fails_to_open(path, GLN_STORE_WRITE, GLN_E_CORRUPT, "not one of gleaner");
    fails_to_open(path, GLN_STORE_READ, GLN_E_CORRUPT, "not one of gleaner");
    gln_ok(gln_file_read(&after, &n_after, path, 1 << 20));
    ck_assert_uint_eq(n_before, n_after);
    ck_assert_mem_eq(before, after, n_before);

    fixture_path(text);
    char content[4096];
    memset(content, 'x', sizeof content);
    gln_ok(gln_file_write(text, content, sizeof content));
    fails_to_open(text, GLN_STORE_WRITE, GLN_E_CORRUPT, "not a database");
    fails_to_open(text, GLN_STORE_READ, GLN_E_CORRUPT, "not a database");
    gln_test_folder(folder);
    gln_store *store = NULL;
    ck_assert_int_ne(gln_store_open(&store, folder, GLN_STORE_WRITE), GLN_OK);
    gln_free(before);
    gln_free(after);
}
END_TEST

START_TEST(open__a_newer_schema_is_unsupported)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    gln_store_close(fixture_open(path, GLN_STORE_WRITE));
    raw_exec(path, "PRAGMA user_version = 9999");
    fails_to_open(path, GLN_STORE_WRITE, GLN_E_UNSUPPORTED, "newer gleaner");
    fails_to_open(path, GLN_STORE_READ, GLN_E_UNSUPPORTED, "newer gleaner");
    raw_exec(path, "PRAGMA user_version = -1");
    fails_to_open(path, GLN_STORE_WRITE, GLN_E_UNSUPPORTED, "schema version -1");
}
END_TEST

START_TEST(open__an_older_schema_is_read_only_after_an_upgrade)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    char sql[128];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA journal_mode = WAL", GLN_STORE_APPLICATION_ID);
    raw_exec(path, sql);
    fails_to_open(path, GLN_STORE_READ, GLN_E_UNSUPPORTED, "once for writing");
    gln_store_close(fixture_open(path, GLN_STORE_WRITE));
    gln_store_close(fixture_open(path, GLN_STORE_READ));
}
END_TEST

START_TEST(open__a_file_that_cannot_be_written_says_so)
{
    char path[GLN_PATH_MAX];
    if (geteuid() == 0) {
        gln_test_skip("a user for whom file modes count (this is root)");
        return;
    }
    fixture_path(path);
    gln_store_close(fixture_open(path, GLN_STORE_WRITE));
    ck_assert_int_eq(chmod(path, 0444), 0);
    fails_to_open(path, GLN_STORE_WRITE, GLN_E_PERMISSION, path);
}
END_TEST

/* ---- migrations ---- */

static const gln_migration made_up[] = {
    { "0001_a", "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT) STRICT; CREATE TABLE b (a_id INTEGER REFERENCES a(id)) STRICT;" },
    { "0002_fill", "INSERT INTO a (x) VALUES ('one'), ('two'); INSERT INTO b VALUES (1), (2);" },
    { "0003_rebuild", "CREATE TABLE a2 (id INTEGER PRIMARY KEY, x TEXT, y INTEGER) STRICT; INSERT INTO a2 SELECT id, x, 7 FROM a;"
                      "DROP TABLE a; ALTER TABLE a2 RENAME TO a;" },
};

/* A connection as gln_store_open makes it, on a file without a schema. */
static gln_store *bare_store(const char *path)
{
    gln_store *store = NULL;
    gln_ok(gln_alloc(&store, 1, sizeof *store, "test connection"));
    store->mode = GLN_STORE_WRITE;
    store->path = gln_strdup(path);
    ck_assert_int_eq(sqlite3_open(path, &store->db), SQLITE_OK);
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_exec(store->db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL);
    return store;
}

START_TEST(migrate__applies_in_order_only_what_is_missing)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    for (size_t n = 1; n <= 3; n++) {
        gln_store *store = bare_store(path);
        gln_ok(gln_migrate(store, made_up, n));
        ck_assert_int_eq(gln_store_schema_version(store), (int)n);
        ck_assert_int_eq(ask(store, "PRAGMA user_version"), (int64_t)n);
        ck_assert_int_eq(ask(store, "PRAGMA foreign_keys"), 1);
        gln_ok(gln_migrate(store, made_up, n));
        gln_store_close(store);
    }
    gln_store *store = bare_store(path);
    ck_assert_int_eq(ask(store, "SELECT count(*) FROM a WHERE y = 7"), 2);
    ck_assert_int_eq(ask(store, "SELECT count(*) FROM b"), 2); /* dropping a took none of its children */
    gln_fails(gln_migrate(store, made_up, 2), GLN_E_UNSUPPORTED);
    gln_store_close(store);
}
END_TEST

START_TEST(migrate__a_failing_one_leaves_the_version_before_it_whole)
{
    char path[GLN_PATH_MAX];
    const gln_migration bad[] = {
        made_up[0], made_up[1],
        { "0003_bad", "CREATE TABLE c (id INTEGER); INSERT INTO nowhere VALUES (1);" },
    };
    const gln_migration dangling[] = { made_up[0], made_up[1], { "0003_dangling", "DELETE FROM a WHERE id = 2;" } };
    const gln_migration commits[] = { made_up[0], made_up[1], { "0003_commits", "COMMIT;" } };
    fixture_path(path);
    gln_store *store = bare_store(path);
    gln_fails(gln_migrate(store, bad, 3), GLN_E_INTERNAL);
    gln_message_has("0003_bad");
    ck_assert_int_eq(ask(store, "PRAGMA user_version"), 2);
    ck_assert_int_eq(ask(store, "SELECT count(*) FROM sqlite_schema WHERE name = 'c'"), 0);
    gln_fails(gln_migrate(store, dangling, 3), GLN_E_CORRUPT);
    gln_message_has("table b");
    ck_assert_int_eq(ask(store, "SELECT count(*) FROM a"), 2);
    gln_fails(gln_migrate(store, commits, 3), GLN_E_INTERNAL);
    ck_assert_int_eq(ask(store, "PRAGMA user_version"), 2);
    gln_ok(gln_migrate(store, made_up, 3));
    gln_store_close(store);
}
END_TEST

START_TEST(migrate__every_real_one_upgrades_a_database_of_the_version_before)
{
    for (size_t from = 0; from < gln_n_migrations; from++) {
        char path[GLN_PATH_MAX];
        fixture_path(path);
        gln_store *store = bare_store(path);
        gln_ok(gln_migrate(store, gln_migrations, from));
        gln_store_close(store);
        store = fixture_open(path, GLN_STORE_WRITE);
        ck_assert_int_eq(gln_store_schema_version(store), (int)gln_n_migrations);
        gln_ok(gln_store_check(store, true));
        gln_store_close(store);
    }
}
END_TEST

START_TEST(schema__every_foreign_key_has_an_index_that_begins_with_it)
{
    gln_store *store = fixture_store();
    /* Without one, deleting a parent scans the child once for every row. */
    gln_statement s;
    gln_statement_open(&s, store,
                       "SELECT t.name, f.\"from\" FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'"
                       " AND NOT EXISTS (SELECT 1 FROM pragma_index_list(t.name) x, pragma_index_info(x.name) c"
                       "  WHERE c.seqno = 0 AND c.name = f.\"from\" AND x.partial = 0)"
                       " AND NOT EXISTS (SELECT 1 FROM pragma_table_info(t.name) k WHERE k.pk = 1 AND k.name = f.\"from\")",
                       "asking");
    while (gln_statement_next(&s)) ck_abort_msg("%s.%s has no index", gln_column_text(&s, 0), gln_column_text(&s, 1));
    gln_ok(gln_statement_close(&s, GLN_OK));
    ck_assert_int_gt(ask(store, "SELECT count(*) FROM sqlite_schema t, pragma_foreign_key_list(t.name) WHERE t.type = 'table'"), 15);
    gln_store_close(store);
}
END_TEST

/* ---- damage ---- */

/* A database of a few hundred pages, all of them in the main file. */
static void make_database(const char *path)
{
    gln_store *store = fixture_open(path, GLN_STORE_WRITE);
    gln_ok(gln_store_begin(store));
    int64_t project = fixture_project(store, "p"), owl = fixture_class(store, project, "owl");
    for (int64_t i = 0; i < 3000; i++) {
        char name[64];
        int64_t image = fixture_image(store, project, i);
        snprintf(name, sizeof name, "some/folder/of/photos/%d.jpg", (int)i);
        gln_ok(gln_store_name_put(store, project, name, image, 1, 1));
        fixture_label(store, project, image, owl, 1);
    }
    gln_ok(gln_store_commit(store));
    gln_store_close(store);
}

static gln_status ignore_image(void *context, const gln_image_row *row)
{
    (void)context;
    (void)row;
    return GLN_OK;
}

/* Opens, reads everything, checks: the first status that is not GLN_OK. */
static gln_status read_all(const char *path, gln_store_mode mode)
{
    gln_store *store = NULL;
    gln_status st = gln_store_open(&store, path, mode);
    if (st != GLN_OK) return st;
    gln_image_filter filter = { .project_id = 1 };
    st = gln_store_images(store, &filter, 0, SIZE_MAX, ignore_image, NULL);
    if (st == GLN_OK) st = gln_store_check(store, true);
    gln_store_close(store);
    return st;
}

START_TEST(damage__a_truncated_file_is_detected_at_open)
{
    char path[GLN_PATH_MAX];
    unsigned char *bytes = NULL;
    size_t n = 0;
    fixture_path(path);
    make_database(path);
    gln_ok(gln_file_read(&bytes, &n, path, 64 << 20));
    size_t sizes[] = { n - 4096, n - 1, n / 2, 8192, 4096, 512, 100, 99, 17 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int mode = GLN_STORE_READ; mode <= GLN_STORE_WRITE; mode++) {
            gln_ok(gln_file_write(path, bytes, sizes[i]));
            gln_store *store = NULL;
            gln_status st = gln_store_open(&store, path, (gln_store_mode)mode);
            ck_assert_msg(st == GLN_E_CORRUPT, "%zu of %zu bytes: %s (%s)", sizes[i], n, gln_status_name(st), gln_message());
            gln_message_has(path);
        }
    }
    gln_free(bytes);
}
END_TEST

START_TEST(damage__a_page_of_zeros_or_noise_is_detected)
{
    char path[GLN_PATH_MAX];
    unsigned char *bytes = NULL, saved[4096];
    size_t n = 0, n_pages, n_at_open = 0;
    fixture_path(path);
    make_database(path);
    gln_ok(gln_file_read(&bytes, &n, path, 64 << 20));
    ck_assert_int_eq(read_all(path, GLN_STORE_READ), GLN_OK);
    n_pages = n / sizeof saved;
    ck_assert_uint_gt(n_pages, 100);
    for (size_t page = 0; page < n_pages; page += page < 50 ? 1 : 17) {
        memcpy(saved, bytes + page * sizeof saved, sizeof saved);
        for (size_t i = 0; i < sizeof saved; i++)
            bytes[page * sizeof saved + i] = page % 2 == 0 ? 0 : (unsigned char)(i * 151 + page * 7 + 13);
        gln_ok(gln_file_write(path, bytes, n));
        gln_store *store = NULL;
        gln_status st = gln_store_open(&store, path, GLN_STORE_READ);
        n_at_open += st == GLN_E_CORRUPT;
        gln_store_close(store);
        if (st == GLN_OK) st = read_all(path, GLN_STORE_READ);
        /* A page of noise may be an unused one of the free list: then nothing was lost and nothing need be said. */
        ck_assert_msg(st == GLN_E_CORRUPT, "page %zu: %s (%s)", page + 1, gln_status_name(st), gln_message());
        memcpy(bytes + page * sizeof saved, saved, sizeof saved);
    }
    ck_assert_uint_gt(n_at_open, 10);
    gln_free(bytes);
}
END_TEST

START_TEST(damage__flipped_bits_end_in_a_status_never_in_a_crash)
{
    char path[GLN_PATH_MAX];
    unsigned char *bytes = NULL;
    size_t n = 0, n_found = 0;
    fixture_path(path);
    make_database(path);
    gln_ok(gln_file_read(&bytes, &n, path, 64 << 20));
    uint32_t random = 12345;
    for (int round = 0; round < 120; round++) {
        random = random * 1664525u + 1013904223u;
        /* Half of them in the first pages: header, schema, roots. */
        size_t at = round % 2 == 0 ? random % n : (random >> 8) % (12 * 4096);
        bytes[at] ^= (unsigned char)(1u << (random >> 29));
        gln_ok(gln_file_write(path, bytes, n));
        gln_status st = read_all(path, round % 3 == 0 ? GLN_STORE_WRITE : GLN_STORE_READ);
        n_found += st != GLN_OK;
        bytes[at] ^= (unsigned char)(1u << (random >> 29));
    }
    ck_assert_uint_gt(n_found, 20);
    gln_free(bytes);
}
END_TEST

START_TEST(damage__an_index_that_disagrees_is_found_by_the_thorough_check)
{
    char path[GLN_PATH_MAX];
    fixture_path(path);
    make_database(path);
    /* Same schema text, entries gone: as when an index page was lost and its bytes were still a valid page. */
    raw_exec(path, "PRAGMA writable_schema = ON;"
                   "CREATE TABLE empty (x); UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = "
                   "'cluster_by_project') WHERE name = 'label_by_class'; PRAGMA writable_schema = OFF; DROP TABLE empty;");
    gln_store *store = fixture_open(path, GLN_STORE_READ);
    gln_fails(gln_store_check(store, true), GLN_E_CORRUPT);
    gln_message_has("damaged");
    gln_store_close(store);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store_open");
    TCase *c = tcase_create("open");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, open__creates_sets_up_and_reopens);
    tcase_add_test(c, open__for_reading_needs_a_database_and_says_how_to_make_one);
    tcase_add_test(c, open__an_empty_file_is_a_new_database);
    tcase_add_test(c, open__a_path_is_never_an_uri);
    tcase_add_test(c, open__reads_beside_a_writer_and_cannot_write);
    tcase_add_test(c, open__refuses_a_file_of_somebody_else_and_leaves_it_alone);
    tcase_add_test(c, open__a_newer_schema_is_unsupported);
    tcase_add_test(c, open__an_older_schema_is_read_only_after_an_upgrade);
    tcase_add_test(c, open__a_file_that_cannot_be_written_says_so);
    tcase_add_test(c, migrate__applies_in_order_only_what_is_missing);
    tcase_add_test(c, migrate__a_failing_one_leaves_the_version_before_it_whole);
    tcase_add_test(c, migrate__every_real_one_upgrades_a_database_of_the_version_before);
    tcase_add_test(c, schema__every_foreign_key_has_an_index_that_begins_with_it);
    tcase_add_test(c, damage__a_truncated_file_is_detected_at_open);
    tcase_add_test(c, damage__a_page_of_zeros_or_noise_is_detected);
    tcase_add_test(c, damage__flipped_bits_end_in_a_status_never_in_a_crash);
    tcase_add_test(c, damage__an_index_that_disagrees_is_found_by_the_thorough_check);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return gln_test_main(suite());
}
