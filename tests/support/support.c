#define _XOPEN_SOURCE 700 /* nftw, mkdtemp */
#include "tests/support/support.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Tests run in processes of their own: what they skip is told to the parent through a file. */
static char skipped_path[] = "/tmp/gln-skipped-XXXXXX";

/* One folder for the whole program, made before the first test forks and removed after the last one ended. */
static char scratch[GLN_PATH_MAX];

static void make_scratch(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/gln-test-XXXXXX", base != NULL && base[0] != 0 ? base : "/tmp");
    if (mkdtemp(scratch) == NULL) {
        fprintf(stderr, "cannot make a scratch folder %s\n", scratch);
        exit(EXIT_FAILURE);
    }
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

void gln_test_folder(char out[GLN_PATH_MAX])
{
    ck_assert_int_eq(gln_path_join(out, scratch, "XXXXXX"), GLN_OK);
    ck_assert_msg(mkdtemp(out) != NULL, "cannot make a scratch folder %s", out);
}

void gln_test_skip(const char *what)
{
    FILE *file = fopen(skipped_path, "a");
    if (file == NULL) return;
    fprintf(file, "%s\n", what);
    fclose(file);
}

bool gln_test_find(char out[GLN_PATH_MAX], const char *variable, const char *name)
{
    const char *folder = getenv(variable);
    return folder != NULL && folder[0] != 0 && gln_path_join(out, folder, name) == GLN_OK && gln_file_exists(out);
}

int gln_test_main(Suite *suite)
{
    int fd = mkstemp(skipped_path);
    if (fd >= 0) close(fd);
    make_scratch();
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_run = srunner_ntests_run(runner), n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);

    int n_skipped = 0;
    char line[512];
    FILE *file = fopen(skipped_path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        printf("skipped: %s", line);
        n_skipped++;
    }
    if (file != NULL) fclose(file);
    unlink(skipped_path);
    if (n_failed != 0) return EXIT_FAILURE;
    return n_skipped != 0 && n_skipped >= n_run ? 77 : EXIT_SUCCESS;
}
