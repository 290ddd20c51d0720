/*
 * Batches of photos in flight: while one is computed, the next one's pixels are copied and the one before is handed on.
 * Between the extractor and the workers; on a processor alone it is a queue of one. Internal to embed/.
 *
 *     st = gln_feed_create(&feed, workers, &preprocess, max_batch);
 *     st = gln_photo_stage(&photo, &preprocess, &image, gln_feed_device(feed));    // decode threads
 *     while (gln_feed_in_flight(feed) < gln_feed_depth(feed) && more)
 *         st = gln_feed_submit(feed, photos, n);                                   // returns at once
 *     // the oldest; [n, items of an output]
 *     st = gln_feed_finish(feed, output);
 *
 * Photos belong to the feed from submit to finish. When a GPU fails, its batches are computed again from the same
 * pixels by another one or by the processor, so no image is lost or counted twice; see workers.h for when that ends the
 * run instead. A GPU without memory for a batch takes half of it at a time from then on.
 *
 * Threads: one at a time; gln_feed_device() any.
 */
#ifndef GLN_EMBED_FEED_H
#define GLN_EMBED_FEED_H

#include "embed/photo.h"
#include "embed/workers.h"

typedef struct gln_feed gln_feed;

/* `workers` and `preprocess` outlive it. Errors: GLN_E_MEMORY, those of device.h. */
gln_status gln_feed_create(gln_feed **out, gln_workers *workers, const gln_preprocess *preprocess, size_t max_batch);
/* Waits for what is in flight. */
void gln_feed_free(gln_feed *feed);

/* For gln_photo_stage: the device that will read the photo, -1 for the processor. Changes when the last GPU is lost;
   photos staged before then are computed all the same. */
int gln_feed_device(const gln_feed *feed);
/* How many batches to keep in flight, and how many are. */
size_t gln_feed_depth(const gln_feed *feed);
size_t gln_feed_in_flight(const gln_feed *feed);

/* n photos, 1 to max_batch; fewer than gln_feed_depth() in flight. */
gln_status gln_feed_submit(gln_feed *feed, gln_photo *const *photos, size_t n);
/* output [n, items] of the oldest batch in flight. A row that a GPU gave as no number is the processor's. */
gln_status gln_feed_finish(gln_feed *feed, float *output);

#endif
