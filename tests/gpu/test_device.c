/* device.h and cublas.h, and on the host device what kernels are made of, against plain C. */
#include "common/memory.h"
#include "common/rng.h"
#include "kernels/cuda/cublas.h"
#include "tests/gpu/device_kernels.h"
#include "tests/gpu/gpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef GLN_HOST_DEVICE
static const struct {
    int error, driver;
    gln_cuda_state state;
    const char *words;
} absences[] = {
    {35, 0, GLN_CUDA_NO_DRIVER, "no NVIDIA driver"},
    {35, 12020, GLN_CUDA_OLD_DRIVER, "knows CUDA 12.2, gleaner was built with 13.0"},
    {100, 13000, GLN_CUDA_NO_DEVICE, "shows no device"},
    {999, 13000, GLN_CUDA_BROKEN, "answers: "},
};

START_TEST(device__what_is_missing_is_said)
{
    gln_host_device_absent(absences[_i].error, absences[_i].driver);
    const gln_cuda_probe *probe = gln_cuda_probe_once();
    ck_assert_int_eq(probe->state, absences[_i].state);
    ck_assert_msg(strstr(probe->why, absences[_i].words) != NULL, "%s", probe->why);
    gln_fails(gln_cuda_use(0), GLN_E_UNSUPPORTED);
    gln_message_has(absences[_i].words);
}
END_TEST

START_TEST(device__a_kernel_that_breaks_the_context_ends_all_work)
{
    float *x = NULL;
    if (!gpu_here("loss")) return;
    gln_ok(gln_cuda_alloc(&x, 128, sizeof *x, "numbers"));
    gln_host_device_fail_run(1);
    gln_ok(gln_cuda_check(test_add(x, 1, 128, NULL), "add"));
    ck_assert(!gln_cuda_lost());
    gln_fails(gln_cuda_wait(NULL), GLN_E_INTERNAL);
    gln_message_has("lost to this process");
    ck_assert(gln_cuda_lost());
    gln_fails(gln_cuda_fill(x, 0, 16, NULL), GLN_E_INTERNAL);
    gln_message_has("lost earlier");
    gln_cuda_free(x);
    ck_assert_uint_eq(gln_host_device_allocated(), 0);
}
END_TEST

START_TEST(device__a_launch_that_fails_harms_nothing_else)
{
    float *x = NULL;
    if (!gpu_here("failed launch")) return;
    gln_ok(gln_cuda_alloc(&x, 128, sizeof *x, "numbers"));
    gln_host_device_fail_launch(1);
    gln_fails(gln_cuda_check(test_add(x, 1, 128, NULL), "adding"), GLN_E_INTERNAL);
    gln_message_has("adding");
    ck_assert(!gln_cuda_lost());
    gln_ok(gln_cuda_check(test_add(x, 1, 128, NULL), "adding"));
    gln_ok(gln_cuda_wait(NULL));
    gln_cuda_free(x);
}
END_TEST

/* Under the host device a copy from pinned memory happens when it is waited for, so the buffer must not be used before.
 */
START_TEST(device__pinned_copies_are_late)
{
    float *x = NULL, *pinned = NULL, got[4];
    gln_cuda_stream stream = NULL;
    if (!gpu_here("pinned copies")) return;
    gln_ok(gln_cuda_stream_create(&stream));
    gln_ok(gln_cuda_alloc(&x, 4, sizeof *x, "numbers"));
    gln_ok(gln_cuda_alloc_pinned(&pinned, 4, sizeof *pinned, "numbers"));
    for (int i = 0; i < 4; i++) pinned[i] = 1;
    gln_ok(gln_cuda_copy_in(x, pinned, 16, stream));
    for (int i = 0; i < 4; i++) pinned[i] = 2; /* too early */
    gln_ok(gln_cuda_wait(stream));
    gln_ok(gln_cuda_copy_out(got, x, 16, stream));
    gln_ok(gln_cuda_wait(stream));
    ck_assert(got[0] == 2);
    gln_cuda_free(x);
    gln_cuda_free_pinned(pinned);
    gln_cuda_stream_free(stream);
    ck_assert_uint_eq(gln_host_device_allocated(), 0);
}
END_TEST
#endif

START_TEST(device__memory_that_is_not_there_is_an_error_with_sizes)
{
    void *p = &p;
    gln_cuda_device device;
    if (!gpu_here("memory")) return;
    gln_ok(gln_cuda_describe(&device, 0));
    gln_fails(gln_cuda_alloc(&p, device.memory_bytes, 4, "too much"), GLN_E_MEMORY);
    gln_message_has("too much needs ");
    ck_assert_ptr_null(p);
    gln_fails(gln_cuda_alloc(&p, SIZE_MAX / 2, 4, "an overflow"), GLN_E_LIMIT);
    gln_ok(gln_cuda_alloc(&p, 0, 4, "nothing"));
    ck_assert_ptr_nonnull(p);
    gln_cuda_free(p);
    gln_fails(gln_cuda_use(100), GLN_E_ARGUMENT);
    gln_message_has("no GPU 100");
}
END_TEST

static float *on_gpu(const void *host, size_t n_bytes)
{
    void *p = NULL;
    gln_ok(gln_cuda_alloc(&p, n_bytes, 1, "test data"));
    gln_ok(gln_cuda_copy_in(p, host, n_bytes, NULL));
    return p;
}
static void fetch(void *host, const void *device, size_t n_bytes)
{
    gln_ok(gln_cuda_copy_out(host, device, n_bytes, NULL));
    gln_ok(gln_cuda_wait(NULL));
}

START_TEST(device__copies_and_fills)
{
    unsigned char host[64], out[64];
    if (!gpu_here("copies")) return;
    for (size_t i = 0; i < sizeof host; i++) host[i] = (unsigned char)i;
    unsigned char *p = (unsigned char *)on_gpu(host, 64);
    fetch(out, p, 64);
    for (size_t i = 0; i < 64; i++) ck_assert_uint_eq(out[i], i);
    gln_ok(gln_cuda_fill(p, 0xee, 64, NULL));
    gln_ok(gln_cuda_copy_in(p + 16, host, 10, NULL));
    fetch(out, p, 64);
    for (size_t i = 0; i < 64; i++) ck_assert_uint_eq(out[i], i >= 16 && i < 26 ? i - 16 : 0xee);
    gln_cuda_free(p);
}
END_TEST

START_TEST(device__blocks_warps_and_atomics)
{
    enum { N = 640 };
    float x[N], out[N / 64];
    unsigned zero = 0, count = 0, wanted = 0;
    if (!gpu_here("blocks and warps")) return;
    for (int order = 0; gpu_order(order); order++) {
        wanted = 0;
        for (unsigned i = 0; i < N; i++) x[i] = (float)((int)(i * 7 % 23) - 11);
        for (unsigned i = 0; i < N; i++) wanted += x[i] > 0;
        float *p = on_gpu(x, sizeof x), *sums = on_gpu(x, sizeof out);
        unsigned *counter = (unsigned *)on_gpu(&zero, sizeof zero);
        gln_ok(gln_cuda_check(test_sums(sums, counter, p, N / 64, NULL), "sums"));
        fetch(out, sums, sizeof out);
        fetch(&count, counter, sizeof count);
        ck_assert_uint_eq(count, wanted);
        for (unsigned b = 0; b < N / 64; b++) {
            float sum = 0;
            for (unsigned i = 0; i < 64; i++) sum += x[b * 64 + i];
            ck_assert(out[b] == sum);
        }
        for (int dynamic = 0; dynamic < 2; dynamic++) {
            gln_ok(gln_cuda_check(test_reverse(p, 77, dynamic != 0, NULL), "reverse"));
            float got[N];
            fetch(got, p, sizeof got);
            for (unsigned i = 0; i < 77; i++) ck_assert(got[i] == x[dynamic ? i : 76 - i]);
        }
        gln_cuda_free(p);
        gln_cuda_free(sums);
        gln_cuda_free(counter);
    }
}
END_TEST

static float widen(uint16_t bits, bool bf16)
{
    if (!bf16) {
        int exponent = bits >> 10 & 31;
        float v =
            exponent == 0 ? ldexpf((float)(bits & 1023), -24) : ldexpf((float)(1024 + (bits & 1023)), exponent - 25);
        return bits & 0x8000 ? -v : v;
    }
    uint32_t wide = (uint32_t)bits << 16;
    float v;
    memcpy(&v, &wide, sizeof v);
    return v;
}

START_TEST(device__matrix_instructions_follow_their_layouts)
{
    if (!gpu_here("matrix instructions")) return;
    gln_rng rng;
    gln_rng_seed(&rng, 5);
    for (int order = 0; gpu_order(order); order++)
        for (int which = 0; which < 4; which++) {
            bool bf16 = which % 2 != 0, by_k = which / 2 != 0;
            uint16_t a[256], b[128];
            float got[128];
            for (unsigned i = 0; i < 256; i++) /* magnitudes of 0.5 to 4 */
                a[i] = (uint16_t)((bf16 ? 0x3f00 : 0x3800) + gln_rng_below(&rng, bf16 ? 0x180 : 0xc00) +
                                  (gln_rng_below(&rng, 2) << 15));
            for (unsigned i = 0; i < 128; i++) b[i] = a[(i * 37 + 11) % 256];
            uint16_t *pa = (uint16_t *)on_gpu(a, sizeof a), *pb = (uint16_t *)on_gpu(b, sizeof b);
            float *c = on_gpu(got, sizeof got);
            gln_ok(gln_cuda_check(test_mma(c, pa, pb, bf16, by_k, NULL), "mma"));
            fetch(got, c, sizeof got);
            for (unsigned i = 0; i < 16; i++)
                for (unsigned j = 0; j < 8; j++) {
                    double sum = 0;
                    for (unsigned k = 0; k < 16; k++)
                        sum += (double)widen(a[i * 16 + k], bf16) *
                               (double)widen(by_k ? b[k * 8 + j] : b[j * 16 + k], bf16);
                    ck_assert_msg(fabs(sum - (double)got[i * 8 + j]) < 1e-4, "bf16 %d, by k %d: [%u, %u] is %g, not %g",
                                  bf16, by_k, i, j, (double)got[i * 8 + j], sum);
                }
            gln_cuda_free(pa);
            gln_cuda_free(pb);
            gln_cuda_free(c);
        }
}
END_TEST

START_TEST(device__sixteen_bit_types_round_to_nearest_even)
{
    const float in[8] = {1.0f, 1.00048828125f, 1.00146484375f, 65519.0f, 65520.0f, 1e-7f, -3.00390625f, 1.01171875f};
    const float f16[8] = {1.0f, 1.0f, 1.001953125f, 65504.0f, INFINITY, 0x1p-23f, -3.00390625f, 1.01171875f};
    const float bf16[8] = {1.0f, 1.0f, 1.0f, 65536.0f, 65536.0f, 1.0011717677116394e-07f, -3.0f, 1.015625f};
    float out[8];
    if (!gpu_here("rounding")) return;
    float *p = on_gpu(in, sizeof in), *q = on_gpu(in, sizeof in);
    for (int b = 0; b < 2; b++) {
        gln_ok(gln_cuda_check(test_round(q, p, 8, b != 0, NULL), "round"));
        fetch(out, q, sizeof out);
        for (int i = 0; i < 8; i++)
            ck_assert_msg(out[i] == (b ? bf16[i] : f16[i]), "%d: %.9g became %.9g", i, (double)in[i], (double)out[i]);
    }
    gln_cuda_free(p);
    gln_cuda_free(q);
}
END_TEST

START_TEST(device__streams_keep_order_through_events_and_graphs)
{
    float zeros[256] = {0}, got[256], *between = NULL, ms = -1;
    gln_cuda_stream first = NULL, second = NULL;
    gln_cuda_event done = NULL, begin = NULL, end = NULL;
    gln_cuda_graph *graph = NULL;
    if (!gpu_here("streams")) return;
    float *x = on_gpu(zeros, sizeof zeros), *y = on_gpu(zeros, sizeof zeros);
    gln_ok(gln_cuda_alloc_pinned(&between, 256, sizeof *between, "numbers"));
    gln_ok(gln_cuda_wait(NULL));
    gln_ok(gln_cuda_stream_create(&first));
    gln_ok(gln_cuda_stream_create(&second));
    gln_ok(gln_cuda_event_create(&done, false));
    gln_ok(gln_cuda_event_create(&begin, true));
    gln_ok(gln_cuda_event_create(&end, true));
    gln_ok(gln_cuda_stream_after(second, done)); /* never recorded: nothing to wait for */
    gln_ok(gln_cuda_event_record(begin, first));
    gln_ok(gln_cuda_check(test_add(x, 3, 256, first), "add"));
    gln_ok(gln_cuda_event_record(done, first));
    gln_ok(gln_cuda_stream_after(second, done));
    gln_ok(gln_cuda_copy_out(between, x, sizeof zeros, second));
    gln_ok(gln_cuda_copy_in(y, between, sizeof zeros, second));
    gln_ok(gln_cuda_event_record(end, second));
    gln_ok(gln_cuda_event_wait(end));
    gln_ok(gln_cuda_elapsed_ms(&ms, begin, end));
    ck_assert(ms >= 0);
    gln_ok(gln_cuda_graph_begin(first));
    gln_ok(gln_cuda_check(test_add(y, 1, 256, first), "add"));
    gln_ok(gln_cuda_check(test_add(y, 10, 256, first), "add"));
    gln_ok(gln_cuda_graph_end(&graph, first));
    for (int i = 0; i < 3; i++) gln_ok(gln_cuda_graph_launch(graph, second));
    gln_ok(gln_cuda_wait(second));
    fetch(got, y, sizeof got);
    ck_assert(got[0] == 36 && got[255] == 36);
    gln_ok(gln_cuda_graph_begin(first));
    ck_assert_int_ne(gln_cuda_wait(first), GLN_OK); /* no waiting while recording */
    gln_cuda_graph *none = NULL;
    ck_assert_int_ne(gln_cuda_graph_end(&none, first), GLN_OK);
    ck_assert_ptr_null(none);
    gln_ok(gln_cuda_wait(first));
    gln_cuda_graph_free(graph);
    gln_cuda_event_free(done);
    gln_cuda_event_free(begin);
    gln_cuda_event_free(end);
    gln_cuda_stream_free(first);
    gln_cuda_stream_free(second);
    gln_cuda_free_pinned(between);
    gln_cuda_free(x);
    gln_cuda_free(y);
}
END_TEST

/* ---- products -------------------------------------------------------------------------------------------------- */

static const struct {
    size_t n, m, d, n_batch;
    bool xt, yt, bias, add, pad;
    gln_cublas_epilogue epilogue;
} products[] = {
    {1, 1, 1, 1, false, true, false, false, false, GLN_CUBLAS_NONE},
    {7, 5, 33, 1, false, true, true, false, false, GLN_CUBLAS_RELU},
    {16, 8, 64, 1, false, false, true, false, true, GLN_CUBLAS_GELU_TANH},
    {3, 40, 17, 2, false, false, false, false, true, GLN_CUBLAS_NONE},
    {9, 11, 24, 3, true, true, false, true, false, GLN_CUBLAS_NONE},
    {0, 8, 8, 1, false, true, false, false, false, GLN_CUBLAS_NONE},
    {64, 32, 16, 1, true, false, true, true, true, GLN_CUBLAS_RELU},
};

static uint16_t narrow(float v, bool bf16)
{
    uint16_t best = 0;
    if (bf16) {
        uint32_t wide;
        memcpy(&wide, &v, sizeof wide);
        return (uint16_t)((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
    }
    int exponent = 0;
    float fraction = frexpf(fabsf(v), &exponent); /* used with |v| in [2^-14, 16] only */
    if (v == 0) return 0;
    best = (uint16_t)(((exponent + 14) << 10) + ((int)nearbyintf(fraction * 2048) - 1024));
    return (uint16_t)(best | (v < 0 ? 0x8000 : 0));
}

static void put(void *out, size_t i, float v, gln_cublas_type type)
{
    if (type == GLN_CUBLAS_F32)
        ((float *)out)[i] = v;
    else
        ((uint16_t *)out)[i] = narrow(v, type == GLN_CUBLAS_BF16);
}
static double get(const void *in, size_t i, gln_cublas_type type)
{
    return (double)(type == GLN_CUBLAS_F32 ? ((const float *)in)[i]
                                           : widen(((const uint16_t *)in)[i], type == GLN_CUBLAS_BF16));
}

static void check_product(size_t c, gln_cublas_type in, gln_cublas_type type)
{
    size_t n = products[c].n, m = products[c].m, d = products[c].d, n_batch = products[c].n_batch,
           pad = products[c].pad ? 3 : 0;
    size_t x_rows = products[c].xt ? d : n, x_stride = (products[c].xt ? n : d) + pad, y_rows = products[c].yt ? m : d,
           y_stride = (products[c].yt ? d : m) + pad, out_stride = m + pad, in_bytes = in == GLN_CUBLAS_F32 ? 4 : 2,
           out_bytes = type == GLN_CUBLAS_F32 ? 4 : 2, n_x = n_batch * x_rows * x_stride + 1,
           n_y = n_batch * y_rows * y_stride + 1, n_out = n_batch * n * out_stride + 1;
    void *x = calloc(n_x, 4), *y = calloc(n_y, 4), *out = calloc(n_out, 4), *bias = calloc(m + 1, 4),
         *before = calloc(n_out, 4);
    gln_rng rng;
    gln_rng_seed(&rng, c);
    for (size_t i = 0; i < n_x; i++) put(x, i, (float)((int)gln_rng_below(&rng, 64) - 32) / 16, in);
    for (size_t i = 0; i < n_y; i++) put(y, i, (float)((int)gln_rng_below(&rng, 64) - 32) / 16, in);
    for (size_t i = 0; i < n_out; i++) put(out, i, (float)((int)gln_rng_below(&rng, 64) - 32) / 16, type);
    for (size_t i = 0; i < m; i++) put(bias, i, (float)((int)gln_rng_below(&rng, 64) - 32) / 16, type);
    memcpy(before, out, n_out * 4);
    void *gx = on_gpu(x, n_x * in_bytes), *gy = on_gpu(y, n_y * in_bytes), *gout = on_gpu(out, n_out * out_bytes),
         *gbias = on_gpu(bias, (m + 1) * out_bytes);
    gln_cublas *blas = NULL;
    gln_ok(gln_cublas_create(&blas, 1 << 20));
    gln_cublas_product p = {.n = n,
                            .m = m,
                            .d = d,
                            .in = in,
                            .out = type,
                            .x_is_transposed = products[c].xt,
                            .y_is_transposed = products[c].yt,
                            .x_stride = x_stride,
                            .y_stride = y_stride,
                            .out_stride = out_stride,
                            .n_batch = n_batch,
                            .x_batch = x_rows * x_stride,
                            .y_batch = y_rows * y_stride,
                            .out_batch = n * out_stride,
                            .scale = 0.25f,
                            .add = products[c].add,
                            .epilogue = products[c].epilogue,
                            .bias = products[c].bias ? gbias : NULL};
    for (int times = 0; times < (products[c].add ? 1 : 2); times++) /* the second time the algorithm is known */
        gln_ok(gln_cublas_multiply(blas, &p, gout, gx, gy, NULL));
    fetch(out, gout, n_out * out_bytes);
    for (size_t b = 0; b < n_batch; b++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < out_stride; j++) {
                size_t at = (b * n + i) * out_stride + j;
                double sum = 0, was = get(before, at, type), got = get(out, at, type);
                for (size_t k = 0; j < m && k < d; k++)
                    sum += get(x, b * x_rows * x_stride + (products[c].xt ? k * x_stride + i : i * x_stride + k), in) *
                           get(y, b * y_rows * y_stride + (products[c].yt ? j * y_stride + k : k * y_stride + j), in);
                sum = 0.25 * sum + (products[c].add ? was : 0) + (products[c].bias && j < m ? get(bias, j, type) : 0);
                if (products[c].epilogue == GLN_CUBLAS_RELU) sum = sum > 0 ? sum : 0;
                if (products[c].epilogue == GLN_CUBLAS_GELU_TANH)
                    sum = 0.5 * sum * (1 + tanh(0.7978845608 * (sum + 0.044715 * sum * sum * sum)));
                if (j >= m) sum = was; /* between the rows nothing is written */
                double limit = (type == GLN_CUBLAS_F32 ? 1e-5 : type == GLN_CUBLAS_F16 ? 1e-3 : 8e-3) * (1 + fabs(sum));
                ck_assert_msg(fabs(sum - got) <= limit, "case %zu, types %d %d: [%zu, %zu, %zu] is %g, not %g", c, in,
                              type, b, i, j, got, sum);
            }
    gln_cublas_free(blas);
    void *device[] = {gx, gy, gout, gbias}, *host[] = {x, y, out, bias, before};
    for (size_t i = 0; i < 4; i++) gln_cuda_free(device[i]);
    for (size_t i = 0; i < 5; i++) free(host[i]);
}

START_TEST(cublas__products_are_row_major_in_every_arrangement)
{
    gln_cublas *blas = NULL;
    if (!gpu_here("products")) return;
    if (gln_cublas_create(&blas, 1024) == GLN_E_UNSUPPORTED) {
        gln_test_skip(gln_message());
        return;
    }
    gln_cublas_product bad = {.n = 4, .m = 4, .d = 4, .x_stride = 3};
    gln_fails(gln_cublas_multiply(blas, &bad, &bad, &bad, &bad, NULL), GLN_E_ARGUMENT);
    bad = (gln_cublas_product){.n = 4, .m = 4, .d = 0};
    gln_fails(gln_cublas_multiply(blas, &bad, &bad, &bad, &bad, NULL), GLN_E_ARGUMENT);
    gln_cublas_free(blas);
    check_product((size_t)_i, GLN_CUBLAS_F16, GLN_CUBLAS_F16);
    check_product((size_t)_i, GLN_CUBLAS_F16, GLN_CUBLAS_F32);
    check_product((size_t)_i, GLN_CUBLAS_BF16, GLN_CUBLAS_BF16);
    check_product((size_t)_i, GLN_CUBLAS_BF16, GLN_CUBLAS_F32);
    check_product((size_t)_i, GLN_CUBLAS_F32, GLN_CUBLAS_F32);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gpu device");
    TCase *tc = tcase_create("device");
    tcase_set_timeout(tc, 120);
#ifdef GLN_HOST_DEVICE
    tcase_add_loop_test(tc, device__what_is_missing_is_said, 0, (int)(sizeof absences / sizeof *absences));
    tcase_add_test(tc, device__a_kernel_that_breaks_the_context_ends_all_work);
    tcase_add_test(tc, device__a_launch_that_fails_harms_nothing_else);
    tcase_add_test(tc, device__pinned_copies_are_late);
#endif
    tcase_add_test(tc, device__memory_that_is_not_there_is_an_error_with_sizes);
    tcase_add_test(tc, device__copies_and_fills);
    tcase_add_test(tc, device__blocks_warps_and_atomics);
    tcase_add_test(tc, device__matrix_instructions_follow_their_layouts);
    tcase_add_test(tc, device__sixteen_bit_types_round_to_nearest_even);
    tcase_add_test(tc, device__streams_keep_order_through_events_and_graphs);
    tcase_add_loop_test(tc, cublas__products_are_row_major_in_every_arrangement, 0,
                        (int)(sizeof products / sizeof *products));
    suite_add_tcase(suite, tc);
    return gln_test_main(suite);
}
