/*
 * Planning memory for activations: "greedy by size" of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural
 * Net Inference" (2020). The largest buffer is placed first, each at the lowest offset where it overlaps no placed
 * buffer that lives at the same time. In their measurements this comes within a few per cent of the lower bound (the
 * largest sum of buffers alive at one step) on the usual networks; exact packing is NP-hard.
 */
#include "embed/plan.h"

#include "common/memory.h"

#include <stdint.h>
#include <stdlib.h>

static int larger_first(const void *a, const void *b)
{
    const gln_plan_buffer *x = *(gln_plan_buffer *const *)a, *y = *(gln_plan_buffer *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y; /* pointers into one array: the result does not depend on the sort */
}

static int lower_first(const void *a, const void *b)
{
    const gln_plan_buffer *x = *(gln_plan_buffer *const *)a, *y = *(gln_plan_buffer *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

gln_status gln_plan_arena(gln_plan_buffer *buffers, size_t n_buffers, size_t *out_bytes)
{
    gln_plan_buffer **order = NULL, **together = NULL;
    *out_bytes = 0;
    gln_status st = gln_alloc(&order, n_buffers, sizeof(gln_plan_buffer *), "memory plan");
    if (st == GLN_OK) st = gln_alloc(&together, n_buffers, sizeof(gln_plan_buffer *), "memory plan");
    if (st != GLN_OK) goto cleanup;
    for (size_t i = 0; i < n_buffers; i++) order[i] = &buffers[i];
    qsort(order, n_buffers, sizeof(gln_plan_buffer *), larger_first);

    for (size_t i = 0; i < n_buffers; i++) {
        gln_plan_buffer *buffer = order[i];
        size_t n_together = 0, at = 0, rounded = 0;
        if (!gln_add_size(&rounded, buffer->bytes, GLN_PLAN_ALIGNMENT - 1)) {
            st = gln_fail(GLN_E_LIMIT, "the network needs a buffer of %zu bytes", buffer->bytes);
            goto cleanup;
        }
        rounded = rounded / GLN_PLAN_ALIGNMENT * GLN_PLAN_ALIGNMENT;
        for (size_t j = 0; j < i; j++) {
            if (order[j]->first <= buffer->last && buffer->first <= order[j]->last) together[n_together++] = order[j];
        }
        qsort(together, n_together, sizeof(gln_plan_buffer *), lower_first);
        for (size_t j = 0; j < n_together; j++) {
            const gln_plan_buffer *other = together[j];
            if (other->offset >= at && other->offset - at >= rounded) break;
            size_t end = (other->offset + other->bytes + GLN_PLAN_ALIGNMENT - 1) / GLN_PLAN_ALIGNMENT *
                         GLN_PLAN_ALIGNMENT;
            if (end > at) at = end;
        }
        buffer->offset = at;
        size_t total = 0;
        if (!gln_add_size(&total, at, rounded) || total > SIZE_MAX / 2) {
            st = gln_fail(GLN_E_LIMIT, "the network needs more memory than can be addressed");
            goto cleanup;
        }
        if (total > *out_bytes) *out_bytes = total;
    }

cleanup:
    gln_free(order);
    gln_free(together);
    return st;
}
