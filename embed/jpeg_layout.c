/*
 * A walk from marker to marker. Inside a scan it looks for 0xff only (memchr, gigabytes a second): what follows is a
 * stuffed zero, a restart marker, or the end of the scan.
 *
 * Anything unusual gives false, however harmless: it costs the second decoder's speed for that file, while a wrong true
 * may cost a vector.
 */
#include "embed/jpeg_layout.h"

#include "embed/exif.h"

#include <string.h>

enum {
    SOF0 = 0xc0,
    SOF1 = 0xc1,
    SOF2 = 0xc2,
    DHT = 0xc4,
    RST0 = 0xd0,
    RST7 = 0xd7,
    SOI = 0xd8,
    EOI = 0xd9,
    SOS = 0xda,
    DQT = 0xdb,
    DRI = 0xdd,
    APP0 = 0xe0,
    APP1 = 0xe1,
    APP14 = 0xee,
    APP15 = 0xef,
    COM = 0xfe
};
enum { MAX_SCANS = 100, N_COEFFICIENTS = 64, MAX_COMPONENTS = 3, NO_ADOBE = -1 };

typedef struct component {
    unsigned id, h, v;
    signed char low[N_COEFFICIENTS]; /* the lowest bit that has come of each coefficient; -1: none */
} component;

typedef struct walk {
    const unsigned char *bytes;
    size_t n, at;
    gln_jpeg_layout *out;
    component components[MAX_COMPONENTS];
    size_t n_components, n_scans, restart_interval;
    bool exif;
    int adobe; /* its transform */
} walk;

static size_t divide_up(size_t a, size_t by)
{
    return (a + by - 1) / by;
}

static unsigned word_at(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static void take_application(walk *w, unsigned marker, const unsigned char *data, size_t n)
{
    if (marker == APP1 && !w->exif && w->n_scans == 0 && n >= 6 && memcmp(data, "Exif\0", 6) == 0) {
        w->exif = true;
        w->out->orientation = gln_exif_orientation(data, n);
    }
    if (marker == APP14 && n >= 12 && memcmp(data, "Adobe", 5) == 0) w->adobe = data[11];
}

static bool take_frame(walk *w, unsigned marker, const unsigned char *data, size_t n)
{
    if (w->n_components != 0 || n < 6 || data[0] != 8) return false;
    w->out->progressive = marker == SOF2;
    w->out->height = word_at(data + 1);
    w->out->width = word_at(data + 3);
    size_t count = data[5];
    if (w->out->height == 0 || w->out->width == 0 || (count != 1 && count != MAX_COMPONENTS) || n != 6 + 3 * count)
        return false;
    for (size_t i = 0; i < count; i++) {
        component *c = &w->components[i];
        const unsigned char *p = data + 6 + 3 * i;
        *c = (component){.id = p[0], .h = p[1] >> 4, .v = p[1] & 15};
        memset(c->low, -1, sizeof c->low);
        unsigned most = i == 0 && count == MAX_COMPONENTS ? 2 : 1;
        if (c->h < 1 || c->h > most || c->v < 1 || c->v > most) return false;
    }
    w->n_components = count;
    size_t across = divide_up(w->out->width, 8 * w->components[0].h),
           down = divide_up(w->out->height, 8 * w->components[0].v);
    for (size_t i = 0; i < count; i++) {
        w->out->coefficient_bytes += across * down * w->components[i].h * w->components[i].v * N_COEFFICIENTS * 2;
    }
    return true;
}

/* Three components are YCbCr for everybody if their numbers say so and Adobe's marker, where there is one, says it,
 * too. */
static bool colours_are_clear(const walk *w)
{
    if (w->n_components == 1) return true;
    bool numbered = true;
    for (size_t i = 0; i < w->n_components; i++) numbered = numbered && w->components[i].id == i + 1;
    return numbered && (w->adobe == 1 || w->adobe == NO_ADOBE);
}

/* A scan tells bits [low, high) of coefficients [first, last]; they have to come in order (G.1.1.1). */
static bool take_bits(const walk *w, component *c, size_t first, size_t last, int high, int low)
{
    if (!w->out->progressive && (first != 0 || last != N_COEFFICIENTS - 1 || high != 0 || low != 0)) return false;
    if (last >= N_COEFFICIENTS || first > last || (first != 0 && c->low[0] < 0)) return false;
    if (w->out->progressive && first == 0 && last != 0) return false;
    for (size_t k = first; k <= last; k++) {
        int had = c->low[k];
        if (had < 0 ? high != 0 : had == 0 || high != had || low != high - 1) return false;
        c->low[k] = (signed char)low;
    }
    return true;
}

/* The coded bits from `at` on, with n_restarts markers among them; `at` is behind them then. */
static bool skip_bits(walk *w, size_t n_restarts)
{
    size_t seen = 0, begin = w->at;
    for (;;) {
        const unsigned char *found = w->at < w->n ? memchr(w->bytes + w->at, 0xff, w->n - w->at) : NULL;
        if (found == NULL || (size_t)(found - w->bytes) + 1 >= w->n) return false;
        w->at = (size_t)(found - w->bytes);
        unsigned marker = found[1];
        bool restart = marker >= RST0 && marker <= RST7;
        if (marker != 0 && !restart) {
            w->out->bits_begin = begin;
            w->out->bits_end = w->at;
            return seen == n_restarts && w->at != begin;
        }
        if (restart && marker != RST0 + seen++ % 8) return false;
        w->at += 2;
    }
}

static bool take_scan(walk *w, const unsigned char *data, size_t n)
{
    if (n < 1 || w->n_components == 0 || ++w->n_scans > MAX_SCANS || !colours_are_clear(w)) return false;
    size_t count = data[0], at = 0;
    if (count < 1 || count > w->n_components || n != 4 + 2 * count) return false;
    const unsigned char *tail = data + 1 + 2 * count;
    if (count > 1 && w->out->progressive && tail[0] != 0) return false;
    component *first = NULL;
    for (size_t i = 0; i < count; i++, at++) {
        while (at < w->n_components && w->components[at].id != data[1 + 2 * i]) at++;
        if (at == w->n_components) return false; /* unknown, twice, or out of order */
        if (i == 0) first = &w->components[at];
        if (!take_bits(w, &w->components[at], tail[0], tail[1], tail[2] >> 4, tail[2] & 15)) return false;
    }
    size_t most_h = w->components[0].h, most_v = w->components[0].v, units_across, units_down;
    if (count > 1) {
        units_across = divide_up(w->out->width, 8 * most_h);
        units_down = divide_up(w->out->height, 8 * most_v);
    } else {
        units_across = divide_up(divide_up(w->out->width * first->h, most_h), 8);
        units_down = divide_up(divide_up(w->out->height * first->v, most_v), 8);
    }
    size_t interval = w->restart_interval;
    return skip_bits(w, interval == 0 ? 0 : divide_up(units_across * units_down, interval) - 1);
}

static bool is_complete(const walk *w)
{
    for (size_t i = 0; i < w->n_components; i++) {
        for (size_t k = 0; k < N_COEFFICIENTS; k++) {
            if (w->components[i].low[k] != 0) return false;
        }
    }
    return w->n_components != 0;
}

bool gln_jpeg_layout_read(gln_jpeg_layout *out, const unsigned char *bytes, size_t n_bytes)
{
    walk w = {.bytes = bytes, .n = n_bytes, .at = 2, .out = out, .adobe = NO_ADOBE};
    *out = (gln_jpeg_layout){.orientation = 1};
    if (n_bytes < 4 || bytes[0] != 0xff || bytes[1] != SOI) return false;
    for (;;) {
        if (w.n - w.at < 2 || bytes[w.at] != 0xff) return false;
        unsigned marker = bytes[w.at + 1];
        if (marker == EOI) return is_complete(&w);
        if (w.n - w.at < 4) return false;
        size_t length = word_at(bytes + w.at + 2);
        if (length < 2 || length > w.n - w.at - 2) return false;
        const unsigned char *data = bytes + w.at + 4;
        size_t n = length - 2;
        w.at += 2 + length;
        bool fine = marker == DHT || marker == DQT || marker == COM || (marker >= APP0 && marker <= APP15);
        if (marker == SOF0 || marker == SOF1 || marker == SOF2) fine = take_frame(&w, marker, data, n);
        else if (marker == SOS) fine = take_scan(&w, data, n);
        else if (marker == APP1 || marker == APP14) take_application(&w, marker, data, n);
        else if (marker == DRI && n == 2) {
            w.restart_interval = word_at(data);
            fine = true;
        }
        if (!fine) return false;
    }
}
