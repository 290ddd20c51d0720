/*
 * From a tensor inside a network to one vector an image. Internal to embed/.
 *
 *     st = gln_pooling_resolve(&layout, &pooling, &shape, name);   // shape: of the tensor for one image
 *     gln_pooling_apply(embedding, tensor, &layout);               // [layout.d] from [layout.n_items]
 *
 * A map [1, c, h, w] is pooled over its h * w places, a sequence [1, t, c] over its t tokens; d is c. Threads: any.
 * GeM: Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", 2018, equation 2.
 */
#ifndef GLN_EMBED_POOLING_H
#define GLN_EMBED_POOLING_H

#include "embed/backbone.h"
#include "embed/graph.h"

typedef struct gln_pooling_layout {
    gln_pooling pooling;
    size_t n_items, d;                     /* of the tensor for one image; of the embedding */
    size_t n_places;                       /* what is pooled over */
    size_t place_stride, channel_stride;   /* in items */
} gln_pooling_layout;

/* Errors: GLN_E_FORMAT when a tensor of this shape cannot be pooled this way; the sentence names the tensor. */
gln_status gln_pooling_resolve(gln_pooling_layout *out, const gln_pooling *pooling, const gln_shape *shape,
                               const char *name);
void gln_pooling_apply(float *embedding, const float *tensor, const gln_pooling_layout *layout);

#endif
