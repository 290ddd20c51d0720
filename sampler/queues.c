/*
 * Lazy queues: binary heaps of upper bounds (Minoux 1978). The top is looked at again; if it still beats the bound below
 * it, it is the best there is, else it sinks to where it now belongs. Equal scores go to the lower candidate, so that a
 * selection does not depend on the order of insertion.
 */
#include "sampler/queues.h"

#include "common/memory.h"

gln_status gln_queues_create(gln_queues *queues, size_t n_queues, const size_t *capacity)
{
    size_t total = 0;
    gln_status st;
    *queues = (gln_queues){.n_queues = n_queues};
    for (size_t q = 0; q < n_queues; q++) total += capacity[q];
    if ((st = gln_alloc_raw(&queues->entry, total, sizeof *queues->entry, "candidate queues")) != GLN_OK ||
        (st = gln_alloc(&queues->first, n_queues, sizeof *queues->first, "candidate queues")) != GLN_OK ||
        (st = gln_alloc(&queues->n, n_queues, sizeof *queues->n, "candidate queues")) != GLN_OK)
        return st;
    for (size_t q = 1; q < n_queues; q++) queues->first[q] = queues->first[q - 1] + capacity[q - 1];
    return GLN_OK;
}

void gln_queues_dispose(gln_queues *queues)
{
    gln_free(queues->entry);
    gln_free(queues->first);
    gln_free(queues->n);
    *queues = (gln_queues){0};
}

void gln_queues_push(gln_queues *queues, size_t queue, gln_entry entry)
{
    queues->entry[queues->first[queue] + queues->n[queue]++] = entry;
}

static bool before(const gln_entry *a, const gln_entry *b)
{
    return a->score != b->score ? a->score > b->score : a->candidate < b->candidate;
}

static void sink(gln_entry *heap, size_t n, size_t i)
{
    gln_entry moving = heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &moving)) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moving;
}

void gln_queues_heapify(gln_queues *queues, const float *gain)
{
    for (size_t q = 0; q < queues->n_queues; q++) {
        gln_entry *heap = queues->entry + queues->first[q];
        for (size_t i = 0; i < queues->n[q]; i++) heap[i].score = gain[heap[i].candidate] * heap[i].factor;
        for (size_t i = queues->n[q] / 2; i-- > 0;) sink(heap, queues->n[q], i);
    }
}

static void remove_top(gln_entry *heap, size_t *n)
{
    heap[0] = heap[--*n];
    if (*n > 0) sink(heap, *n, 0);
}

bool gln_queues_pop(gln_entry *out, gln_queues *queues, size_t queue, const gln_cover *cover, const uint8_t *usable)
{
    gln_entry *heap = queues->entry + queues->first[queue];
    size_t *n = &queues->n[queue];
    while (*n > 0) {
        if (!usable[heap[0].candidate]) {
            remove_top(heap, n);
            continue;
        }
        heap[0].score = (float)gln_cover_gain(cover, heap[0].candidate) * heap[0].factor;
        gln_entry looked_at = heap[0];
        sink(heap, *n, 0);
        if (heap[0].candidate == looked_at.candidate) {
            *out = looked_at;
            remove_top(heap, n);
            return true;
        }
    }
    return false;
}
