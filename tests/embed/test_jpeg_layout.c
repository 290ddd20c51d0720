/* Which JPEG files a second decoder may have: what markers tell, and that nothing hostile in them leads out of the
 * file. */
#include "common/memory.h"
#include "common/rng.h"
#include "embed/decoders.h"
#include "embed/jpeg_layout.h"
#include "tests/embed/fixtures.h"
#include "tests/embed/jpeg_files.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

static bool reads(const unsigned char *bytes, size_t n)
{
    gln_jpeg_layout layout;
    unsigned char *exact = malloc(n == 0 ? 1 : n); /* so that the address sanitizer sees a byte beyond the end */
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, bytes, n);
    bool plain = gln_jpeg_layout_read(&layout, exact, n);
    free(exact);
    return plain;
}

START_TEST(layout__plain_kinds_are_read)
{
    static const size_t sizes[][2] = {{1, 1}, {8, 8}, {17, 9}, {33, 64}, {100, 70}};
    for (const jpeg_kind *kind = jpeg_plain_kinds; kind->name != NULL; kind++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t n, blocks = 0, mcu_h = 8u * (unsigned)(kind->h != 0 ? kind->h : 1),
                      mcu_v = 8u * (unsigned)(kind->v != 0 ? kind->v : 1);
            unsigned char *bytes = jpeg_file(&n, kind, sizes[i][0], sizes[i][1], 1);
            gln_jpeg_layout layout;
            ck_assert_msg(gln_jpeg_layout_read(&layout, bytes, n), "%s, %zu x %zu", kind->name, sizes[i][0],
                          sizes[i][1]);
            ck_assert_uint_eq(layout.width, sizes[i][0]);
            ck_assert_uint_eq(layout.height, sizes[i][1]);
            ck_assert_uint_eq(layout.orientation, 1);
            ck_assert(layout.progressive == kind->progressive);
            blocks = (mcu_h / 8) * (mcu_v / 8) + (kind->grey ? 0 : 2);
            ck_assert_uint_eq(layout.coefficient_bytes,
                              ((sizes[i][0] + mcu_h - 1) / mcu_h) * ((sizes[i][1] + mcu_v - 1) / mcu_v) * blocks * 128);
            ck_assert_uint_lt(layout.bits_begin, layout.bits_end);
            ck_assert_uint_lt(layout.bits_end, n);
            free(bytes);
        }
    }
}
END_TEST

START_TEST(layout__orientation_is_that_of_the_photo)
{
    for (unsigned orientation = 1; orientation <= 8; orientation++) {
        size_t n;
        gln_jpeg_layout layout;
        jpeg_kind kind = {.name = "turned", .orientation = orientation};
        unsigned char *bytes = jpeg_file(&n, &kind, 20, 10, 1);
        ck_assert(gln_jpeg_layout_read(&layout, bytes, n));
        ck_assert_uint_eq(layout.orientation, orientation);
        free(bytes);
    }
}
END_TEST

START_TEST(layout__rare_kinds_are_for_libjpeg)
{
    static const char *const names[] = {"cmyk.jpg", "rgb.png", "lossy.webp"};
    size_t n;
    unsigned char *bytes;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bytes = fixture_read(names[i], &n);
        ck_assert_msg(!reads(bytes, n), "%s", names[i]);
        gln_free(bytes);
    }
    static const jpeg_kind rare[] = {{.name = "RGB", .rgb = true},
                                     {.name = "4:1:1", .h = 4, .v = 1},
                                     {.name = "grey 2 x 2", .grey = true, .h = 2, .v = 2}};
    for (size_t i = 0; i < sizeof rare / sizeof *rare; i++) {
        bytes = jpeg_file(&n, &rare[i], 40, 30, 1);
        ck_assert_msg(!reads(bytes, n), "%s", rare[i].name);
        free(bytes);
    }
}
END_TEST

static const jpeg_kind *kind_of(const char *name)
{
    const jpeg_kind *kind = jpeg_plain_kinds;
    while (strcmp(kind->name, name) != 0) kind++;
    return kind;
}

/* Every beginning of a file is refused, and with an end marker behind it whatever lost a scan, a restart or a bit of a
 * coefficient. */
START_TEST(layout__what_is_not_there_is_missed)
{
    static const char *const names[] = {"progressive", "restarts", "a scan a component", "4:2:0"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        size_t n, n_taken = 0, first_bits = 0;
        gln_jpeg_layout layout;
        unsigned char *bytes = jpeg_file(&n, kind_of(names[k]), 60, 40, 1);
        ck_assert(gln_jpeg_layout_read(&layout, bytes, n));
        for (size_t i = 0; i < n; i++)
            ck_assert_msg(!reads(bytes, i), "%s, the first %zu bytes of %zu", names[k], i, n);
        first_bits = layout.bits_begin;
        for (size_t i = 2; i + 2 < n; i++) {
            unsigned char kept[2];
            memcpy(kept, bytes + i, 2);
            memcpy(bytes + i, "\xff\xd9", 2);
            if (reads(bytes, i + 2)) {
                ck_assert_msg(i > first_bits, "%s, ended at %zu", names[k], i);
                n_taken++;
            }
            memcpy(bytes + i, kept, 2);
        }
        /* Bits missing from the last scan, between its restarts, only unpacking can miss. */
        if (strcmp(names[k], "restarts") == 0) ck_assert_uint_lt(n_taken, (layout.bits_end - layout.bits_begin) / 2);
        free(bytes);
    }
}
END_TEST

START_TEST(layout__a_lost_or_swapped_restart_is_missed)
{
    size_t n;
    gln_jpeg_layout layout;
    unsigned char *bytes = jpeg_file(&n, kind_of("restarts"), 90, 90, 1), *first = NULL, *second = NULL;
    ck_assert(gln_jpeg_layout_read(&layout, bytes, n));
    for (size_t i = layout.bits_begin; i + 1 < layout.bits_end && second == NULL; i++) {
        if (bytes[i] != 0xff || bytes[i + 1] < 0xd0 || bytes[i + 1] > 0xd7) continue;
        if (first == NULL) first = bytes + i;
        else second = bytes + i;
    }
    ck_assert_ptr_nonnull(second);
    first[1] = 0xd1;
    ck_assert(!reads(bytes, n));
    first[1] = 0xd0;
    ck_assert(reads(bytes, n));
    memmove(first, second, (size_t)(bytes + n - second)); /* an interval is gone, and its marker */
    ck_assert(!reads(bytes, n - (size_t)(second - first)));
    free(bytes);
}
END_TEST

START_TEST(layout__hostile_bytes_stay_inside)
{
    gln_rng rng;
    gln_rng_seed(&rng, 3);
    for (const jpeg_kind *kind = jpeg_plain_kinds; kind->name != NULL; kind++) {
        size_t n;
        unsigned char *bytes = jpeg_file(&n, kind, 40, 30, 1), *damaged = malloc(n);
        ck_assert_ptr_nonnull(damaged);
        for (size_t round = 0; round < 600; round++) {
            memcpy(damaged, bytes, n);
            size_t within = round % 2 == 0 || n < 700 ? n : 700; /* the headers more often */
            for (size_t i = 0; i < 1 + round % 4; i++)
                damaged[gln_rng_below(&rng, within)] = (unsigned char)gln_rng_below(&rng, 256);
            (void)reads(damaged, round % 3 == 0 ? gln_rng_below(&rng, n + 1) : n);
        }
        free(damaged);
        free(bytes);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jpeg_layout");
    TCase *tc = tcase_create("layout");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, layout__plain_kinds_are_read);
    tcase_add_test(tc, layout__orientation_is_that_of_the_photo);
    tcase_add_test(tc, layout__rare_kinds_are_for_libjpeg);
    tcase_add_test(tc, layout__what_is_not_there_is_missed);
    tcase_add_test(tc, layout__a_lost_or_swapped_restart_is_missed);
    tcase_add_test(tc, layout__hostile_bytes_stay_inside);
    suite_add_tcase(suite, tc);
    return gln_test_main(suite);
}
