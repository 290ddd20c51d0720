/*
 * Cluster ids that survive the night: the assignment of new clusters to old ones that keeps most images under their old
 * id.
 *
 * Maximum total overlap is the linear assignment problem. Solved by Kuhn's Hungarian method (1955) in the form of
 * Jonker and Volgenant (1987): each row is added by one shortest augmenting path over reduced costs, found by a
 * Dijkstra scan of the dense matrix, with potentials that keep reduced costs at or above zero. Rows are the smaller
 * side, so that every row ends up matched: O(rows^2 columns), integers throughout. Overlap counts are mostly zero, so
 * nearly every path has length one and the usual cost is rows * columns.
 */
#include "sampler/clusters.h"

#include "common/memory.h"

#include <stdbool.h>

#define NONE SIZE_MAX

struct assignment {
    size_t n_rows, n_columns;  /* n_rows <= n_columns */
    const uint32_t *overlap;   /* [n_rows, n_columns] */
    int64_t *row_potential;    /* [n_rows] */
    int64_t *column_potential; /* [n_columns] */
    size_t *row_of;            /* [n_columns] the row matched to the column, or NONE */
    int64_t *distance;         /* [n_columns] shortest path to the column from the row being added */
    size_t *came_from;         /* [n_columns] the column before it on that path, or NONE */
    bool *done;                /* [n_columns] */
};

static int64_t reduced_cost(const struct assignment *a, size_t row, size_t column)
{
    return -(int64_t)a->overlap[row * a->n_columns + column] - a->row_potential[row] - a->column_potential[column];
}

/* Adds one row: shortest augmenting path to a free column, then the potentials and the matching along it. */
static void augment(struct assignment *a, size_t start)
{
    for (size_t c = 0; c < a->n_columns; c++) {
        a->distance[c] = INT64_MAX;
        a->came_from[c] = NONE;
        a->done[c] = false;
    }
    size_t row = start, last = NONE;
    int64_t reached = 0;
    for (;;) {
        size_t nearest = NONE;
        for (size_t c = 0; c < a->n_columns; c++) {
            if (a->done[c]) continue;
            int64_t through = reached + reduced_cost(a, row, c);
            if (through < a->distance[c]) {
                a->distance[c] = through;
                a->came_from[c] = last;
            }
            /* Among equals a free column ends the search at once. */
            if (nearest == NONE || a->distance[c] < a->distance[nearest] ||
                (a->distance[c] == a->distance[nearest] && a->row_of[c] == NONE && a->row_of[nearest] != NONE))
                nearest = c;
        }
        reached = a->distance[nearest];
        last = nearest;
        if (a->row_of[nearest] == NONE) break;
        a->done[nearest] = true;
        row = a->row_of[nearest];
    }
    a->row_potential[start] += reached;
    for (size_t c = 0; c < a->n_columns; c++) {
        if (!a->done[c]) continue;
        a->row_potential[a->row_of[c]] += reached - a->distance[c];
        a->column_potential[c] -= reached - a->distance[c];
    }
    while (a->came_from[last] != NONE) {
        a->row_of[last] = a->row_of[a->came_from[last]];
        last = a->came_from[last];
    }
    a->row_of[last] = start;
}

/* overlap [n_rows, n_columns]; row_of [n_columns] receives the matched row or NONE. */
static gln_status assign(size_t *row_of, const uint32_t *overlap, size_t n_rows, size_t n_columns)
{
    struct assignment a = {.n_rows = n_rows, .n_columns = n_columns, .overlap = overlap, .row_of = row_of};
    gln_status st;
    if ((st = gln_alloc(&a.row_potential, n_rows, sizeof *a.row_potential, "cluster matching")) != GLN_OK ||
        (st = gln_alloc(&a.column_potential, n_columns, sizeof *a.column_potential, "cluster matching")) != GLN_OK ||
        (st = gln_alloc(&a.distance, n_columns, sizeof *a.distance, "cluster matching")) != GLN_OK ||
        (st = gln_alloc(&a.came_from, n_columns, sizeof *a.came_from, "cluster matching")) != GLN_OK ||
        (st = gln_alloc(&a.done, n_columns, sizeof *a.done, "cluster matching")) != GLN_OK)
        goto cleanup;
    for (size_t c = 0; c < n_columns; c++) row_of[c] = NONE;
    for (size_t r = 0; r < n_rows; r++) {
        /* Reduced costs of a row must start at or above zero. */
        int64_t lowest = INT64_MAX;
        for (size_t c = 0; c < n_columns; c++) {
            int64_t cost = -(int64_t)overlap[r * n_columns + c] - a.column_potential[c];
            if (cost < lowest) lowest = cost;
        }
        a.row_potential[r] = lowest;
    }
    for (size_t r = 0; r < n_rows; r++) augment(&a, r);

cleanup:
    gln_free(a.done);
    gln_free(a.came_from);
    gln_free(a.distance);
    gln_free(a.column_potential);
    gln_free(a.row_potential);
    return st;
}

gln_status gln_clusters_match(uint32_t *matched, const uint32_t *old_cluster, size_t k_old,
                              const uint32_t *new_cluster, size_t k_new, size_t n)
{
    bool old_is_smaller = k_old <= k_new;
    size_t n_rows = old_is_smaller ? k_old : k_new, n_columns = old_is_smaller ? k_new : k_old, row_bytes = 0;
    uint32_t *overlap = NULL;
    size_t *row_of = NULL;
    gln_status st;
    for (size_t c = 0; c < k_new; c++) matched[c] = UINT32_MAX;
    if (n_rows == 0) return GLN_OK;
    if (!gln_mul_size(&row_bytes, n_columns, sizeof *overlap))
        return gln_fail(GLN_E_LIMIT, "%zu clusters: too many to match", n_columns);
    if ((st = gln_alloc(&overlap, n_rows, row_bytes, "cluster overlaps")) != GLN_OK ||
        (st = gln_alloc(&row_of, n_columns, sizeof *row_of, "matched clusters")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++) {
        if (old_cluster[i] == UINT32_MAX) continue;
        if (old_cluster[i] >= k_old || new_cluster[i] >= k_new) {
            st = gln_fail(GLN_E_ARGUMENT, "image %zu: clusters %u of %zu and %u of %zu", i, old_cluster[i], k_old,
                          new_cluster[i], k_new);
            goto cleanup;
        }
        size_t row = old_is_smaller ? old_cluster[i] : new_cluster[i];
        size_t column = old_is_smaller ? new_cluster[i] : old_cluster[i];
        overlap[row * n_columns + column]++;
    }
    if ((st = assign(row_of, overlap, n_rows, n_columns)) != GLN_OK) goto cleanup;
    for (size_t c = 0; c < n_columns; c++) {
        if (row_of[c] == NONE || overlap[row_of[c] * n_columns + c] == 0) continue;
        if (old_is_smaller)
            matched[c] = (uint32_t)row_of[c];
        else
            matched[row_of[c]] = (uint32_t)c;
    }

cleanup:
    gln_free(row_of);
    gln_free(overlap);
    return st;
}
