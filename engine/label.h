/* Labels one by one inside a write transaction: shared by imports (label.c) and returned batches (lease.c). Not for use
   outside this folder. */
#ifndef GLN_ENGINE_LABEL_H
#define GLN_ENGINE_LABEL_H

#include "engine/internal.h"
#include "sampler/clusters.h" /* GLN_NO_CLASS */

typedef struct gln_labelling {
    int64_t project_id, now_ms;
    const char *source;
    bool add_classes;
    gln_classes classes;
} gln_labelling;

gln_status gln_labelling_begin(gln_labelling *l, gln_store *store, int64_t project_id, const char *source,
                               bool add_classes);
void gln_labelling_end(gln_labelling *l);

/* The image and the class that an item means; *out_class is GLN_NO_CLASS for a retraction. */
gln_status gln_labelling_resolve(gln_labelling *l, gln_store *store, const gln_label_item *item, int64_t *out_image,
                                 int32_t *out_class);
/* review: "confirmed", "corrected" by a second look; NULL: it is none. */
gln_status gln_labelling_add(gln_labelling *l, gln_store *store, const gln_label_item *item, int64_t image_id,
                             int32_t class, int64_t batch_id, const char *review);

/* Whether a failure concerns one item (the rest goes on) rather than the database. */
bool gln_labelling_is_rejection(gln_status status);

#endif
