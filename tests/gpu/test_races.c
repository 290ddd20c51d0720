/* The host device's search for races (host_device/races.h): each mistake is found in every order of threads, and the same work without it
   is not complained about. */
#include "tests/gpu/gpu.h"
#include "tests/gpu/racy_kernels.h"

#include <string.h>

static const struct {
    const char *kernel, *words;
} wanted[RACY_N] = {
    [RACY_NO_BARRIER] = {"barriers", "static shared memory"},
    [RACY_NO_BARRIER_AFTER] = {"barriers", "nothing orders the two"},
    [RACY_NO_SYNCWARP] = {"barriers", "nothing orders the two"},
    [RACY_BLOCKS] = {"blocks", "a thread of another block wrote it"},
    [RACY_BLOCK_READS] = {"blocks", "a thread of another block read it"},
    [RACY_BLOCK_READS_FIRST] = {"blocks", "a thread of another block read it"},
    [RACY_ATOMIC] = {"blocks", "a thread of another block changed it"},
    [RACY_COPY_NOT_WAITED] = {"copies", "an asynchronous copy of thread"},
    [RACY_COPY_NO_BARRIER] = {"copies", "shared memory"},
    [RACY_COPY_TOO_EARLY] = {"copies", "shared memory"},
    [RACY_NOT_WRITTEN] = {"nothing_written", "no thread of the block has written there"},
    [RACY_NOT_WRITTEN_NOW] = {"nothing_written", "no thread of the block has written there"},
};

static void run(racy which, bool mended)
{
    float *x = NULL, *y = NULL;
    gln_ok(gln_cuda_alloc(&x, 256, sizeof *x, "numbers"));
    gln_ok(gln_cuda_alloc(&y, 256, sizeof *y, "numbers"));
    gln_ok(gln_cuda_fill(x, 0, 256 * sizeof *x, NULL));
    gln_ok(gln_cuda_fill(y, 0, 256 * sizeof *y, NULL));
    gln_ok(gln_cuda_check(racy_run(which, mended, x, y, NULL), "a kernel"));
    gln_ok(gln_cuda_wait(NULL));
    gln_cuda_free(x);
    gln_cuda_free(y);
}

START_TEST(races__each_mistake_is_found)
{
    if (!gpu_here("races")) return;
    for (int order = 0; order <= GPU_LAST_ORDER; order++) {
        ck_assert(gpu_order(order));
        gln_host_device_count_races(true);
        run((racy)_i, false);
        const char *found = gln_host_device_race();
        ck_assert_uint_ge(gln_host_device_races(), 1);
        ck_assert_msg(strstr(found, wanted[_i].kernel) != NULL, "%s", found);
        ck_assert_msg(strstr(found, wanted[_i].words) != NULL, "%s", found);
    }
}
END_TEST

START_TEST(races__nothing_is_found_where_nothing_is)
{
    if (!gpu_here("races")) return;
    for (int order = 0; order <= GPU_LAST_ORDER; order++) {
        ck_assert(gpu_order(order));
        gln_host_device_count_races(true);
        run((racy)_i, true);
        ck_assert_msg(gln_host_device_races() == 0, "%s", gln_host_device_race());
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gpu races");
    TCase *tc = tcase_create("races");
    tcase_add_loop_test(tc, races__each_mistake_is_found, 0, RACY_N);
    tcase_add_loop_test(tc, races__nothing_is_found_where_nothing_is, 0, RACY_N);
    suite_add_tcase(suite, tc);
    return gln_test_main(suite);
}
