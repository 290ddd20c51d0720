/*
 * The neighbour graph as a file. Derived: it can be deleted at any time, so it is not synced, only renamed into place
 * whole; what a power cut leaves of it fails a checksum, and the graph is built again.
 *
 *     header   128 bytes: magic "GLNGRF1\0", n (u64), k (u64), recall (f64), recall sample (u64), key (32 bytes),
 *              XXH3 of the neighbours (u64), XXH3 of the similarities (u64), zeros, and in the last 8 bytes XXH3 of
 *              all before; little-endian
 *     then     neighbours [n, k] u32, similarities [n, k] f32
 *
 * Written and read in place, without a second copy: at a million rows the arrays are 256 MB.
 */
#include "index/neighbours.h"

#include "common/files.h"
#include "common/hash.h"
#include "common/memory.h"
#include "index/graph_build.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEADER_BYTES ((size_t)128)

static const unsigned char magic[8] = {'G', 'L', 'N', 'G', 'R', 'F', '1', 0};

typedef struct fields {
    uint64_t n, k, recall_sample, neighbours, similarities, header;
    double recall;
} fields;

static void make_header(unsigned char out[HEADER_BYTES], const gln_graph *graph, const uint8_t key[32])
{
    size_t count = graph->n * graph->k;
    fields f = {.n = graph->n,
                .k = graph->k,
                .recall = graph->recall,
                .recall_sample = graph->recall_sample,
                .neighbours = gln_xxh3(graph->neighbour, count * sizeof *graph->neighbour),
                .similarities = gln_xxh3(graph->similarity, count * sizeof *graph->similarity)};
    memset(out, 0, HEADER_BYTES);
    memcpy(out, magic, sizeof magic);
    memcpy(out + 8, &f.n, 8);
    memcpy(out + 16, &f.k, 8);
    memcpy(out + 24, &f.recall, 8);
    memcpy(out + 32, &f.recall_sample, 8);
    memcpy(out + 40, key, 32);
    memcpy(out + 72, &f.neighbours, 8);
    memcpy(out + 80, &f.similarities, 8);
    f.header = gln_xxh3(out, HEADER_BYTES - 8);
    memcpy(out + HEADER_BYTES - 8, &f.header, 8);
}

gln_status gln_graph_save(const gln_graph *graph, const char *path, const uint8_t key[32])
{
    char temporary[GLN_PATH_MAX];
    unsigned char header[HEADER_BYTES];
    size_t count = graph->n * graph->k;
    int length = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return gln_fail(GLN_E_LIMIT, "path too long: %.200s", path);
    make_header(header, graph, key);
    FILE *file = fopen(temporary, "wb");
    if (file == NULL)
        return gln_fail_errno(errno, "%s: cannot write", temporary);
    bool whole = fwrite(header, HEADER_BYTES, 1, file) == 1 &&
                 fwrite(graph->neighbour, sizeof *graph->neighbour, count, file) == count &&
                 fwrite(graph->similarity, sizeof *graph->similarity, count, file) == count;
    int saved_errno = errno;
    if (fclose(file) != 0 && whole) {
        whole = false;
        saved_errno = errno;
    }
    if (whole && rename(temporary, path) == 0)
        return GLN_OK;
    if (whole)
        saved_errno = errno;
    unlink(temporary);
    return gln_fail_errno(saved_errno, "%s: cannot write", path);
}

static gln_status read_header(fields *f, FILE *file, const char *path, const uint8_t key[32])
{
    unsigned char header[HEADER_BYTES];
    if (fread(header, HEADER_BYTES, 1, file) != 1 || memcmp(header, magic, sizeof magic) != 0)
        return gln_fail(GLN_E_CORRUPT, "%s: not a neighbour graph", path);
    memcpy(&f->n, header + 8, 8);
    memcpy(&f->k, header + 16, 8);
    memcpy(&f->recall, header + 24, 8);
    memcpy(&f->recall_sample, header + 32, 8);
    memcpy(&f->neighbours, header + 72, 8);
    memcpy(&f->similarities, header + 80, 8);
    memcpy(&f->header, header + HEADER_BYTES - 8, 8);
    if (f->header != gln_xxh3(header, HEADER_BYTES - 8))
        return gln_fail(GLN_E_CORRUPT, "%s: the header is damaged", path);
    if (memcmp(header + 40, key, 32) != 0)
        return gln_fail(GLN_E_NOT_FOUND, "%s: was built from other rows", path);
    /* The length is compared before memory is asked for: a header can name any size. */
    if (f->n >= GLN_NO_NEIGHBOUR || f->k > UINT16_MAX || fseeko(file, 0, SEEK_END) != 0 ||
        (uint64_t)ftello(file) != HEADER_BYTES + f->n * f->k * 8 || fseeko(file, HEADER_BYTES, SEEK_SET) != 0)
        return gln_fail(GLN_E_CORRUPT, "%s: cut short, or too long, for %llu rows with %llu neighbours", path,
                        (unsigned long long)f->n, (unsigned long long)f->k);
    return GLN_OK;
}

size_t gln_graph_file_rows(const char *path)
{
    unsigned char header[HEADER_BYTES];
    uint64_t n = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return 0;
    if (fread(header, HEADER_BYTES, 1, file) == 1 && memcmp(header, magic, sizeof magic) == 0)
        memcpy(&n, header + 8, 8);
    fclose(file);
    return n < GLN_NO_NEIGHBOUR ? (size_t)n : 0;
}

gln_status gln_graph_load(gln_graph **out, const char *path, const uint8_t key[32])
{
    gln_graph *graph = NULL;
    fields f = {0};
    gln_status st;
    *out = NULL;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return gln_fail_errno(errno, "%s: cannot read", path);
    if ((st = read_header(&f, file, path, key)) != GLN_OK || (st = gln_graph_create(&graph, f.n, f.k)) != GLN_OK)
        goto cleanup;
    size_t count = graph->n * graph->k;
    graph->recall = f.recall;
    graph->recall_sample = f.recall_sample;
    if (fread(graph->neighbour, sizeof *graph->neighbour, count, file) != count ||
        fread(graph->similarity, sizeof *graph->similarity, count, file) != count ||
        gln_xxh3(graph->neighbour, count * sizeof *graph->neighbour) != f.neighbours ||
        gln_xxh3(graph->similarity, count * sizeof *graph->similarity) != f.similarities) {
        st = gln_fail(GLN_E_CORRUPT, "%s: damaged, of %zu rows with %zu neighbours", path, graph->n, graph->k);
        goto cleanup;
    }
    /* Readers index by what stands here, so it is checked and not trusted to the checksum. */
    for (size_t i = 0; i < count; i++) {
        if (graph->neighbour[i] < graph->n || graph->neighbour[i] == GLN_NO_NEIGHBOUR)
            continue;
        st = gln_fail(GLN_E_CORRUPT, "%s: row %zu has a neighbour %u of %zu", path, i / graph->k, graph->neighbour[i],
                      graph->n);
        goto cleanup;
    }

cleanup:
    fclose(file);
    if (st == GLN_OK)
        *out = graph;
    else
        gln_graph_free(graph);
    return st;
}
