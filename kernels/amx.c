/*
 * Panel products on AMX (Intel, since Sapphire Rapids): tiles of 16 x 32 bfloat16 that are multiplied and summed in
 * float32, at about fifteen times the speed of AVX-512's float32.
 *
 * bfloat16 keeps 8 bits of a number, too few for neighbours. So each is split in two, x = high + low, which together
 * keep 16: every float16 (11 bits) exactly, a float32 to 2^-17. All four products are summed. Without low * low, which
 * is below 2^-17 of the first, near-duplicates would seem less alike than they are: there it is a sum of squares, and
 * does not cancel. Four times the work still leaves a factor of about three. (The same idea with three parts gives all
 * of float32: Henry, Tang and Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
 * Computations", 2019.) Rejected: high * high alone and the best candidates again in float32; an error of 1e-3 reorders
 * the near-duplicates whose order matters most.
 *
 * Layout: rows in blocks of 16, columns in steps of 32, both padded with zeros; for each (block, step) the tile of
 * highs, then that of lows, 1 KB each. A left tile holds rows. A right tile is what the instruction wants of its second
 * operand: row p has the pair of numbers 2p and 2p + 1 of all 16 rows beside each other, that is the transpose of
 * a 16 x 16 matrix of pairs.
 *
 * Four accumulators of 16 x 16: two blocks of left rows by two of right rows, so that each tile loaded is used twice.
 * Two right blocks stay in the second-level cache while the left rows pass, so callers pass at most about 256 of those.
 *
 * The registers are the operating system's to lend, a process at a time (arch_prctl(2), ARCH_REQ_XCOMP_PERM). They are
 * configured and released in each call: a thread that does not use them costs nothing in a switch.
 */
#define _GNU_SOURCE /* syscall */
#include "kernels/tables.h"

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROWS ((size_t)16)
#define STEP ((size_t)32)
#define TILE ((size_t)512)       /* bfloat16 numbers */
#define TILE_BYTES 64            /* of one row of a tile */
#define PAIR_OF_TILES (2 * TILE) /* high, then low */

static size_t blocks_of(size_t n)
{
    return (n + ROWS - 1) / ROWS;
}

static size_t steps_of(size_t d)
{
    return (d + STEP - 1) / STEP;
}

static size_t panel_bytes(size_t n, size_t d)
{
    return blocks_of(n) * steps_of(d) * PAIR_OF_TILES * sizeof(uint16_t);
}

static __mmask16 first(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1u);
}

/* 32 numbers of a row (those beyond `left` are zero) as 32 highs and 32 lows. */
static void split(__m512i *high, __m512i *low, const float *x, size_t left)
{
    __m512 a = _mm512_maskz_loadu_ps(first(left), x);
    __m512 b = left > 16 ? _mm512_maskz_loadu_ps(first(left - 16), x + 16) : _mm512_setzero_ps();
    __m512i h = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    __m512 a_high = (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(h)), 16);
    __m512 b_high = (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(h, 1)), 16);
    *high = h;
    *low = (__m512i)_mm512_cvtne2ps_pbh(_mm512_sub_ps(b, b_high), _mm512_sub_ps(a, a_high));
}

static void pack_left(void *left, const float *x, size_t n, size_t d)
{
    uint16_t *out = left;
    for (size_t block = 0; block < blocks_of(n); block++) {
        for (size_t step = 0; step < steps_of(d); step++, out += PAIR_OF_TILES) {
            for (size_t r = 0; r < ROWS; r++) {
                __m512i high = _mm512_setzero_si512(), low = high;
                size_t row = block * ROWS + r;
                if (row < n)
                    split(&high, &low, x + row * d + step * STEP, d - step * STEP);
                _mm512_storeu_si512(out + r * STEP, high);
                _mm512_storeu_si512(out + TILE + r * STEP, low);
            }
        }
    }
}

/* Transposes 16 x 16 words of 32 bits: within quarters by unpacking, then whole quarters by shuffling. */
static void store_transposed(uint16_t *out, const __m512i row[16])
{
    __m512i a[16], b[16];
    for (size_t i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
    }
    for (size_t i = 0; i < 16; i += 4) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (size_t i = 0; i < 4; i++) { /* b[4 g + i], quarter q: words 4 q + i of rows 4 g to 4 g + 3 */
        __m512i low01 = _mm512_shuffle_i32x4(b[i], b[4 + i], 0x88), high01 = _mm512_shuffle_i32x4(b[i], b[4 + i], 0xdd);
        __m512i low23 = _mm512_shuffle_i32x4(b[8 + i], b[12 + i], 0x88);
        __m512i high23 = _mm512_shuffle_i32x4(b[8 + i], b[12 + i], 0xdd);
        _mm512_storeu_si512(out + i * STEP, _mm512_shuffle_i32x4(low01, low23, 0x88));
        _mm512_storeu_si512(out + (8 + i) * STEP, _mm512_shuffle_i32x4(low01, low23, 0xdd));
        _mm512_storeu_si512(out + (4 + i) * STEP, _mm512_shuffle_i32x4(high01, high23, 0x88));
        _mm512_storeu_si512(out + (12 + i) * STEP, _mm512_shuffle_i32x4(high01, high23, 0xdd));
    }
}

static void pack_right(void *right, const float *y, size_t m, size_t d)
{
    uint16_t *out = right;
    for (size_t block = 0; block < blocks_of(m); block++) {
        for (size_t step = 0; step < steps_of(d); step++, out += PAIR_OF_TILES) {
            __m512i high[16], low[16];
            for (size_t r = 0; r < ROWS; r++) {
                size_t row = block * ROWS + r;
                high[r] = low[r] = _mm512_setzero_si512();
                if (row < m)
                    split(&high[r], &low[r], y + row * d + step * STEP, d - step * STEP);
            }
            store_transposed(out, high);
            store_transposed(out + TILE, low);
        }
    }
}

typedef struct tile_configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_configuration;

/* What of a 16 x 16 block lies inside out [n, m]. */
static void store_part(float *out, size_t n, size_t m, size_t row, size_t column, const float *block)
{
    size_t n_rows = n - row < ROWS ? n - row : ROWS, n_columns = m - column < ROWS ? m - column : ROWS;
    for (size_t i = 0; i < n_rows; i++)
        memcpy(out + (row + i) * m + column, block + i * ROWS, n_columns * sizeof *out);
}

/* A tile's number is part of the instruction: hence macros. */
#define STORE(tile, row, column)                                                                                      \
    do {                                                                                                              \
        if ((row) >= n || (column) >= m)                                                                              \
            break;                                                                                                    \
        if ((row) + ROWS <= n && (column) + ROWS <= m) {                                                              \
            _tile_stored(tile, out + (row) * m + (column), (long)(m * sizeof *out));                                  \
        } else {                                                                                                      \
            _tile_stored(tile, block, (long)(ROWS * sizeof *block));                                                  \
            store_part(out, n, m, row, column, block);                                                                \
        }                                                                                                             \
    } while (0)
#define MULTIPLY_FOUR()                                                                                               \
    do {                                                                                                              \
        _tile_dpbf16ps(0, 4, 6);                                                                                      \
        _tile_dpbf16ps(1, 4, 7);                                                                                      \
        _tile_dpbf16ps(2, 5, 6);                                                                                      \
        _tile_dpbf16ps(3, 5, 7);                                                                                      \
    } while (0)

static void panel_gram(float *out, const void *left, size_t n, const void *right, size_t m, size_t d)
{
    _Alignas(64) tile_configuration configuration = {.palette = 1};
    _Alignas(64) float block[256];
    size_t steps = steps_of(d), panel = steps * PAIR_OF_TILES;
    if (n == 0 || m == 0)
        return;
    for (size_t t = 0; t < 8; t++) {
        configuration.row_bytes[t] = TILE_BYTES;
        configuration.rows[t] = (uint8_t)ROWS;
    }
    _tile_loadconfig(&configuration);
    for (size_t column = 0; column < m; column += 2 * ROWS) {
        const uint16_t *y = (const uint16_t *)right + column / ROWS * panel;
        const uint16_t *y_other = column + ROWS < m ? y + panel : y; /* a block twice where there is no second */
        for (size_t row = 0; row < n; row += 2 * ROWS) {
            const uint16_t *x = (const uint16_t *)left + row / ROWS * panel;
            const uint16_t *x_other = row + ROWS < n ? x + panel : x;
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            for (size_t at = 0; at < panel; at += PAIR_OF_TILES) {
                _tile_loadd(4, x + at, TILE_BYTES);
                _tile_loadd(5, x_other + at, TILE_BYTES);
                _tile_loadd(6, y + at, TILE_BYTES);
                _tile_loadd(7, y_other + at, TILE_BYTES);
                MULTIPLY_FOUR();
                _tile_loadd(6, y + at + TILE, TILE_BYTES);
                _tile_loadd(7, y_other + at + TILE, TILE_BYTES);
                MULTIPLY_FOUR();
                _tile_loadd(4, x + at + TILE, TILE_BYTES);
                _tile_loadd(5, x_other + at + TILE, TILE_BYTES);
                MULTIPLY_FOUR();
                _tile_loadd(6, y + at, TILE_BYTES);
                _tile_loadd(7, y_other + at, TILE_BYTES);
                MULTIPLY_FOUR();
            }
            STORE(0, row, column);
            STORE(1, row, column + ROWS);
            STORE(2, row + ROWS, column);
            STORE(3, row + ROWS, column + ROWS);
        }
    }
    _tile_release();
}

bool gln_table_use_amx(gln_kernel_table *table)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a = 0, b = 0, c = 0, tiles = 0, conversions = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &tiles) || !__get_cpuid_count(7, 1, &conversions, &b, &c, &a))
        return false;
    if ((tiles >> 24 & 1) == 0 || (tiles >> 22 & 1) == 0 ||
        (conversions >> 5 & 1) == 0) /* TILE, AMX-BF16, AVX512-BF16 */
        return false;
    if (syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) != 0)
        return false;
    table->panel_bytes = panel_bytes;
    table->pack_left = pack_left;
    table->pack_right = pack_right;
    table->panel_gram = panel_gram;
    return true;
}
