/*
 * As much of the check library (https://libcheck.github.io/check) as gleaner's tests use, in one header, for slim builds on machines
 * without it. The same names do the same: a process a test, a time limit, "nofork" by CK_FORK=no. The full build uses check itself.
 *
 * Everything is static: one test program, one copy.
 */
#ifndef GLN_TESTS_BARE_CHECK_H
#define GLN_TESTS_BARE_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define BARE_UNUSED __attribute__((unused))

typedef struct bare_test {
    const char *name;
    void (*run)(int);
} bare_test;

typedef struct bare_case {
    const bare_test *test;
    int i, looped;
    struct TCase *of;
} bare_case;

typedef struct TCase {
    const char *name;
    double timeout_s;
    void (*setup)(void), (*teardown)(void);           /* of each test, in its process */
    void (*setup_once)(void), (*teardown_once)(void); /* of all of them, in this one */
    bare_case *cases;
    size_t n;
    struct TCase *next;
} TCase;

typedef struct Suite {
    const char *name;
    TCase *first, *last;
} Suite;

typedef struct SRunner {
    Suite *suite;
    int n_run, n_failed;
} SRunner;

enum print_output { CK_SILENT, CK_MINIMAL, CK_NORMAL, CK_VERBOSE, CK_ENV };

#define START_TEST(test_name)                                                                                          \
    static void test_name##_run(int _i);                                                                               \
    static const bare_test test_name[1] = {{#test_name, test_name##_run}};                                             \
    static void test_name##_run(int _i BARE_UNUSED)
#define END_TEST

static void *bare_memory(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes);
    if (memory == NULL) abort();
    return memory;
}

BARE_UNUSED static Suite *suite_create(const char *name)
{
    Suite *suite = memset(bare_memory(NULL, sizeof(Suite)), 0, sizeof(Suite));
    suite->name = name;
    return suite;
}

BARE_UNUSED static TCase *tcase_create(const char *name)
{
    TCase *tc = memset(bare_memory(NULL, sizeof(TCase)), 0, sizeof(TCase));
    tc->name = name;
    tc->timeout_s = 4;
    return tc;
}

BARE_UNUSED static void suite_add_tcase(Suite *suite, TCase *tc)
{
    if (suite->first == NULL) suite->first = tc;
    else suite->last->next = tc;
    suite->last = tc;
}

BARE_UNUSED static void tcase_set_timeout(TCase *tc, double seconds)
{
    tc->timeout_s = seconds;
}

BARE_UNUSED static void tcase_add_checked_fixture(TCase *tc, void (*setup)(void), void (*teardown)(void))
{
    tc->setup = setup;
    tc->teardown = teardown;
}

BARE_UNUSED static void tcase_add_unchecked_fixture(TCase *tc, void (*setup)(void), void (*teardown)(void))
{
    tc->setup_once = setup;
    tc->teardown_once = teardown;
}

BARE_UNUSED static void tcase_add_loop_test(TCase *tc, const bare_test *test, int from, int to)
{
    for (int i = from; i < to; i++) {
        tc->cases = bare_memory(tc->cases, (tc->n + 1) * sizeof *tc->cases);
        tc->cases[tc->n++] = (bare_case){test, i, to - from > 1, tc};
    }
}

BARE_UNUSED static void tcase_add_test(TCase *tc, const bare_test *test)
{
    tcase_add_loop_test(tc, test, 0, 1);
}

BARE_UNUSED static SRunner *srunner_create(Suite *suite)
{
    SRunner *runner = memset(bare_memory(NULL, sizeof(SRunner)), 0, sizeof(SRunner));
    runner->suite = suite;
    return runner;
}

static void bare_run_here(const bare_case *c)
{
    if (c->of->setup != NULL) c->of->setup();
    c->test->run(c->i);
    if (c->of->teardown != NULL) c->of->teardown();
}

/* In a process of its own, which SIGALRM ends when it takes too long. */
static int bare_run_apart(const bare_case *c)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)c->of->timeout_s + 1);
        bare_run_here(c);
        fflush(NULL);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return 1;
    if (WIFSIGNALED(status)) printf("  ended by signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == 14 ? " (too slow)" : "");
    return status != 0;
}

BARE_UNUSED static void srunner_run_all(SRunner *runner, enum print_output how)
{
    const char *fork_text = getenv("CK_FORK");
    int forks = fork_text == NULL || strcmp(fork_text, "no") != 0;
    (void)how;
    printf("Running suite(s): %s\n", runner->suite->name);
    for (const TCase *tc = runner->suite->first; tc != NULL; tc = tc->next) {
        if (tc->setup_once != NULL) tc->setup_once();
        for (size_t i = 0; i < tc->n; i++) {
            const bare_case *c = &tc->cases[i];
            int failed = 0;
            runner->n_run++;
            if (forks) failed = bare_run_apart(c);
            else bare_run_here(c);
            if (!failed) continue;
            runner->n_failed++;
            printf("failed: %s:%s%s%d\n", tc->name, c->test->name, c->looped ? ":" : ":only ", c->i);
        }
        if (tc->teardown_once != NULL) tc->teardown_once();
    }
    printf("%d%%: Checks: %d, Failures: %d\n", runner->n_run == 0 ? 100 : 100 * (runner->n_run - runner->n_failed) / runner->n_run,
           runner->n_run, runner->n_failed);
}

BARE_UNUSED static int srunner_ntests_run(const SRunner *runner)
{
    return runner->n_run;
}

BARE_UNUSED static int srunner_ntests_failed(const SRunner *runner)
{
    return runner->n_failed;
}

BARE_UNUSED static void srunner_free(SRunner *runner)
{
    for (TCase *tc = runner->suite->first, *next; tc != NULL; tc = next) {
        next = tc->next;
        free(tc->cases);
        free(tc);
    }
    free(runner->suite);
    free(runner);
}

/* ---- Assertions ---- */

#define ck_assert_msg(condition, ...)                                                                                  \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: ", __FILE__, __LINE__);                                                                     \
            printf(__VA_ARGS__);                                                                                       \
            printf("\n");                                                                                              \
            fflush(NULL);                                                                                              \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)
#define ck_abort_msg(...) ck_assert_msg(0, __VA_ARGS__)
#define ck_assert(condition) ck_assert_msg(condition, "%s", #condition)

#define BARE_COMPARE(type, format, a, op, b)                                                                           \
    do {                                                                                                               \
        type bare_a = (a), bare_b = (b);                                                                               \
        ck_assert_msg(bare_a op bare_b, "%s " #op " %s: " format " and " format, #a, #b, bare_a, bare_b);              \
    } while (0)
#define ck_assert_int_eq(a, b) BARE_COMPARE(intmax_t, "%jd", a, ==, b)
#define ck_assert_int_ne(a, b) BARE_COMPARE(intmax_t, "%jd", a, !=, b)
#define ck_assert_int_lt(a, b) BARE_COMPARE(intmax_t, "%jd", a, <, b)
#define ck_assert_int_le(a, b) BARE_COMPARE(intmax_t, "%jd", a, <=, b)
#define ck_assert_int_gt(a, b) BARE_COMPARE(intmax_t, "%jd", a, >, b)
#define ck_assert_int_ge(a, b) BARE_COMPARE(intmax_t, "%jd", a, >=, b)
#define ck_assert_uint_eq(a, b) BARE_COMPARE(uintmax_t, "%ju", a, ==, b)
#define ck_assert_uint_ne(a, b) BARE_COMPARE(uintmax_t, "%ju", a, !=, b)
#define ck_assert_uint_lt(a, b) BARE_COMPARE(uintmax_t, "%ju", a, <, b)
#define ck_assert_uint_le(a, b) BARE_COMPARE(uintmax_t, "%ju", a, <=, b)
#define ck_assert_uint_gt(a, b) BARE_COMPARE(uintmax_t, "%ju", a, >, b)
#define ck_assert_uint_ge(a, b) BARE_COMPARE(uintmax_t, "%ju", a, >=, b)
#define ck_assert_double_eq(a, b) BARE_COMPARE(double, "%.17g", a, ==, b)
#define ck_assert_double_lt(a, b) BARE_COMPARE(double, "%.17g", a, <, b)
#define ck_assert_double_le(a, b) BARE_COMPARE(double, "%.17g", a, <=, b)
#define ck_assert_double_gt(a, b) BARE_COMPARE(double, "%.17g", a, >, b)
#define ck_assert_double_ge(a, b) BARE_COMPARE(double, "%.17g", a, >=, b)
#define ck_assert_double_nan(a) ck_assert_msg(isnan((double)(a)), "%s is a number", #a)
#define ck_assert_double_infinite(a) ck_assert_msg(isinf((double)(a)), "%s is finite", #a)
#define ck_assert_double_eq_tol(a, b, tolerance)                                                                       \
    ck_assert_msg(fabs((double)(a) - (double)(b)) < (double)(tolerance), "%s == %s: %.17g and %.17g", #a, #b, (double)(a), (double)(b))
#define ck_assert_float_eq(a, b) ck_assert_double_eq((double)(float)(a), (double)(float)(b))
#define ck_assert_float_gt(a, b) ck_assert_double_gt((double)(float)(a), (double)(float)(b))
#define ck_assert_float_ge(a, b) ck_assert_double_ge((double)(float)(a), (double)(float)(b))
#define ck_assert_float_nan(a) ck_assert_double_nan(a)
#define ck_assert_float_eq_tol(a, b, tolerance) ck_assert_double_eq_tol(a, b, tolerance)
#define ck_assert_ptr_eq(a, b) ck_assert_msg((const void *)(a) == (const void *)(b), "%s == %s", #a, #b)
#define ck_assert_ptr_null(a) ck_assert_msg((a) == NULL, "%s is not NULL", #a)
#define ck_assert_ptr_nonnull(a) ck_assert_msg((a) != NULL, "%s is NULL", #a)
#define ck_assert_str_eq(a, b) ck_assert_msg(strcmp(a, b) == 0, "%s == %s: \"%s\" and \"%s\"", #a, #b, a, b)
#define ck_assert_str_ne(a, b) ck_assert_msg(strcmp(a, b) != 0, "%s != %s: \"%s\"", #a, #b, a)
#define ck_assert_mem_eq(a, b, n) ck_assert_msg(memcmp(a, b, n) == 0, "%s == %s, %zu bytes", #a, #b, (size_t)(n))
#define ck_assert_mem_ne(a, b, n) ck_assert_msg(memcmp(a, b, n) != 0, "%s != %s, %zu bytes", #a, #b, (size_t)(n))

#endif
