/*
 * What the test programs share: a main for check suites, scratch folders, status assertions, and finding the data
 * that a machine may or may not have.
 *
 *     int main(void) { return gln_test_main(my_suite()); }
 *
 * A test whose data is missing calls gln_test_skip("what is missing") and returns; the program prints the names of
 * what was skipped, and exits 77 ("skipped" for ctest) when nothing else was run.
 */
#ifndef GLN_TESTS_SUPPORT_H
#define GLN_TESTS_SUPPORT_H

#include "common/files.h"
#include "common/status.h"

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

/* Runs the suite in this process when CK_FORK=no, else a process a test; prints check's summary line. */
int gln_test_main(Suite *suite);

/* Fails the test with the sentence of the error, unless the call gave GLN_OK. */
#define gln_ok(call)                                                                                                  \
    do {                                                                                                              \
        gln_status gln_ok_status = (call);                                                                            \
        ck_assert_msg(gln_ok_status == GLN_OK, "%s: %s: %s", #call, gln_status_name(gln_ok_status), gln_message());   \
    } while (0)

/* Fails the test unless the call gave exactly `expected`. */
#define gln_fails(call, expected)                                                                                     \
    do {                                                                                                              \
        gln_status gln_fails_status = (call);                                                                         \
        ck_assert_msg(gln_fails_status == (expected), "%s: got %s (%s), wanted %s", #call,                            \
                      gln_status_name(gln_fails_status), gln_message(), gln_status_name(expected));                   \
    } while (0)

/* Fails the test unless the last error's sentence contains `part`. */
#define gln_message_has(part)                                                                                         \
    ck_assert_msg(strstr(gln_message(), (part)) != NULL, "the sentence \"%s\" lacks \"%s\"", gln_message(), (part))

/* A new empty folder below $TMPDIR, removed when the test program ends. */
void gln_test_folder(char out[GLN_PATH_MAX]);

/* Says which data is missing, by name. */
void gln_test_skip(const char *what);

/* The path of a file below the folder named by an environment variable (GLN_TEST_DATA, GLN_DEPS, GLN_SOURCE_DIR);
   false when either is absent. */
bool gln_test_find(char out[GLN_PATH_MAX], const char *variable, const char *name);

#endif
