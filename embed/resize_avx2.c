/*
 * The passes of a resize for AVX2; compiled with -mavx2, run where the processor has it. How weights are split in
 * halves is told in resize_passes.h. With pixels p and halves l, h the sum is 2^15 sum(h p) + sum(l p), taken modulo
 * 2^32: the whole fits 32 bits (weights sum to 1, their magnitudes to less than 2), so it is exact however many taps
 * there are.
 */
#include "embed/resize_passes.h"

#include <immintrin.h>
#include <string.h>

static const int HALF_BITS = 15;

/* (high * 2^15 + low + 1/2) / 2^22, 32 bits a lane, not yet clipped. */
static inline __m256i finish(__m256i low, __m256i high)
{
    __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, HALF_BITS), low);
    sum = _mm256_add_epi32(sum, _mm256_set1_epi32(1 << (GLN_RESIZE_PRECISION_BITS - 1)));
    return _mm256_srai_epi32(sum, GLN_RESIZE_PRECISION_BITS);
}

/* 16 bytes of each of two rows, one a 128-bit lane. */
static inline __m256i load_two(const uint8_t *a, const uint8_t *b)
{
    __m128i lower = _mm_loadu_si128((const __m128i *)a);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(lower), _mm_loadu_si128((const __m128i *)b), 1);
}

/* Four taps of two rows: 12 bytes a lane become pairs of red, green and blue of pixels 0 and 1, then of 2 and 3. */
static inline void add_four(__m256i *low, __m256i *high, __m256i pixels, const uint32_t *low_pairs,
                            const uint32_t *high_pairs)
{
    const __m256i first_pair = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, /**/
                                                0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    const __m256i second_pair = _mm256_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1, /**/
                                                 6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    __m256i a = _mm256_shuffle_epi8(pixels, first_pair), b = _mm256_shuffle_epi8(pixels, second_pair);
    *low = _mm256_add_epi32(*low, _mm256_madd_epi16(a, _mm256_set1_epi32((int)low_pairs[0])));
    *high = _mm256_add_epi32(*high, _mm256_madd_epi16(a, _mm256_set1_epi32((int)high_pairs[0])));
    *low = _mm256_add_epi32(*low, _mm256_madd_epi16(b, _mm256_set1_epi32((int)low_pairs[1])));
    *high = _mm256_add_epi32(*high, _mm256_madd_epi16(b, _mm256_set1_epi32((int)high_pairs[1])));
}

static void horizontal(uint8_t *const out[4], const uint8_t *const in[4], const gln_resize_axis *axis)
{
    for (size_t x = 0; x < axis->n; x++) {
        const uint32_t *low_pairs = axis->low + x * axis->stride / 2, *high_pairs = axis->high + x * axis->stride / 2;
        size_t at = (size_t)axis->first[x] * 3, count = axis->count[x];
        __m256i low_01 = _mm256_setzero_si256(), high_01 = low_01, low_23 = low_01, high_23 = low_01;
        for (size_t k = 0; k < count; k += 4, at += 12) {
            add_four(&low_01, &high_01, load_two(in[0] + at, in[1] + at), low_pairs + k / 2, high_pairs + k / 2);
            add_four(&low_23, &high_23, load_two(in[2] + at, in[3] + at), low_pairs + k / 2, high_pairs + k / 2);
        }
        /* Lanes: rows 0 and 2 in the lower half, 1 and 3 in the upper. */
        __m256i words = _mm256_packs_epi32(finish(low_01, high_01), finish(low_23, high_23));
        __m256i bytes = _mm256_packus_epi16(words, words);
        uint64_t even = (uint64_t)_mm256_extract_epi64(bytes, 0), odd = (uint64_t)_mm256_extract_epi64(bytes, 2);
        uint64_t row_2 = even >> 32, row_3 = odd >> 32;
        memcpy(out[0] + x * 3, &even, 3);
        memcpy(out[1] + x * 3, &odd, 3);
        memcpy(out[2] + x * 3, &row_2, 3);
        memcpy(out[3] + x * 3, &row_3, 3);
    }
}

static void vertical(uint8_t *out, const uint8_t *rows, size_t row_bytes, const gln_resize_axis *axis, size_t i)
{
    const uint32_t *low_pairs = axis->low + i * axis->stride / 2, *high_pairs = axis->high + i * axis->stride / 2;
    const int32_t *weight = axis->weight + i * axis->stride;
    size_t count = axis->count[i];
    const uint8_t *top = rows + axis->first[i] * row_bytes;
    size_t x = 0;
    for (; x + 16 <= row_bytes; x += 16) {
        __m256i low_a = _mm256_setzero_si256(), high_a = low_a, low_b = low_a, high_b = low_a;
        for (size_t k = 0; k < count; k += 2) {
            const uint8_t *row = top + k * row_bytes + x;
            const uint8_t *next = k + 1 < count ? row + row_bytes : row; /* its weight is zero then */
            __m128i p = _mm_loadu_si128((const __m128i *)row), q = _mm_loadu_si128((const __m128i *)next);
            __m256i a = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(p, q)),
                    b = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(p, q));
            __m256i low = _mm256_set1_epi32((int)low_pairs[k / 2]), high = _mm256_set1_epi32((int)high_pairs[k / 2]);
            low_a = _mm256_add_epi32(low_a, _mm256_madd_epi16(a, low));
            high_a = _mm256_add_epi32(high_a, _mm256_madd_epi16(a, high));
            low_b = _mm256_add_epi32(low_b, _mm256_madd_epi16(b, low));
            high_b = _mm256_add_epi32(high_b, _mm256_madd_epi16(b, high));
        }
        /* Packing works a lane at a time: bytes 0-3, 8-11, 4-7, 12-15 come out, put in order by the permutation. */
        __m256i words = _mm256_packs_epi32(finish(low_a, high_a), finish(low_b, high_b));
        __m256i bytes = _mm256_packus_epi16(words, words);
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5));
        _mm_storeu_si128((__m128i *)(out + x), _mm256_castsi256_si128(bytes));
    }
    for (; x < row_bytes; x++) {
        int32_t sum = 1 << (GLN_RESIZE_PRECISION_BITS - 1);
        for (size_t k = 0; k < count; k++) sum += weight[k] * top[k * row_bytes + x];
        sum >>= GLN_RESIZE_PRECISION_BITS;
        out[x] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
}

const gln_resize_passes gln_resize_passes_avx2 = {.name = "avx2", .horizontal = horizontal, .vertical = vertical};
