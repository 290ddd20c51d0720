/*
 * The pipeline. A fixed set of slots goes round between two queues:
 *
 *     free slots ──> decode threads ──> done slots ──> the calling thread ──> free slots
 *                    next, read, hash,                 orders, batches, feed
 *                    decode, stage                     (feed.h), results, flush
 *
 * Taking a free slot and asking `next` happen together under the source lock, so slots get consecutive numbers in the
 * order of the input, and at most `n_slots` consecutive numbers are under way at any time. Done slots arrive in any
 * order; the caller's thread parks slot number i at window[i mod n_slots] until its turn comes. Nobody can wait for
 * ever: the slot whose turn it is was taken before all others and its thread waits for nothing, and the done queue has
 * room for all.
 *
 * Memory is bounded by the slots (an input, or for a GPU the pixels that count, and a thumbnail each; queue_batches *
 * batch of them, and a batch more for each that a GPU has in flight), one batch, and what each decode thread holds: a
 * file and its pixels. Pixels are the large part, 300 MB for the largest image; images above LARGE_PIXELS are therefore
 * decoded one at a time.
 *
 * Ending early. The source ends (no more items, or an error): each decode thread returns when it sees it, the last one
 * closes the done queue, and the caller's thread finishes what has arrived. The caller's side ends (cancelled, a
 * callback refused): it raises `stop` and closes the queue of free slots; no thread starts another image.
 *
 * Threads. The model runs on the caller's thread with its own threads on all cores; beside it there is by default one
 * decode thread a processor. Measured on two cores with EfficientNet-Lite0 and thumbnails, images a second, with 1, 2,
 * 3 decode threads: 154, 162, 164 for photos of 224 pixels (the model alone: 171), 14, 25, 25 for photos of 12
 * megapixels.
 */
#include "embed/extractor.h"

#include "common/files.h"
#include "common/memory.h"
#include "common/threads.h"
#include "embed/decoders.h"
#include "embed/feed.h"
#include "kernels/kernels.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DECODERS = 64, MAX_SLOTS = 4096, THUMBNAIL_QUALITY = 85, LARGE_PIXELS = 25 * 1000 * 1000 };

/* One image under way. */
struct slot {
    size_t number; /* its place in the input */
    char *path;
    gln_extract_result result;
    unsigned char *thumbnail;
    gln_photo photo; /* keeps its memory */
    char message[GLN_MESSAGE_MAX];
};

struct pipeline {
    const gln_extractor_options *options;
    const gln_backbone_info *info;
    gln_extract_next_fn next;
    void *context;
    gln_decode_options decode;
    size_t n_slots, batch;
    gln_feed *feed;
    struct slot *slots;  /* [n_slots] */
    struct slot **window; /* [n_slots]: done slots that wait for their turn */
    gln_queue *free_slots, *done_slots;
    atomic_bool stop;

    pthread_mutex_t source; /* guards what follows, and calls of `next` */
    bool source_ended;
    size_t n_taken, n_running; /* items given out; decode threads not yet returned */
    gln_status status;         /* what `next` ended the run with */
    char message[GLN_MESSAGE_MAX];

    pthread_mutex_t large; /* held while a large image is decoded */
};

/* The next item in a slot of its own; NULL when there is none. */
static struct slot *take_item(struct pipeline *p)
{
    struct slot *slot = NULL;
    pthread_mutex_lock(&p->source);
    void *item = NULL;
    if (!p->source_ended && !atomic_load(&p->stop) && gln_queue_pop(p->free_slots, &item) == GLN_OK &&
        !atomic_load(&p->stop)) {
        slot = item;
        gln_extract_item source = {0};
        bool more = false;
        gln_status st = p->next(p->context, &source, &more);
        if (st == GLN_OK && more && (slot->path = gln_strdup(source.path)) == NULL) st = GLN_E_MEMORY;
        if (st != GLN_OK || !more) {
            p->source_ended = true;
            p->status = st;
            if (st != GLN_OK) gln_message_copy(p->message, sizeof p->message);
            slot = NULL;
        } else {
            slot->number = p->n_taken++;
            slot->result = (gln_extract_result){.tag = source.tag, .path = slot->path, .message = ""};
        }
    }
    pthread_mutex_unlock(&p->source);
    return slot;
}

static gln_status decode_one(struct pipeline *p, gln_image *image, const unsigned char *bytes, size_t n_bytes)
{
    /* Most images are small: large ones are found out by the limit and wait for their turn. */
    gln_decode_options small = p->decode;
    if (small.max_pixels > LARGE_PIXELS) small.max_pixels = LARGE_PIXELS;
    gln_status st = gln_image_decode(image, bytes, n_bytes, &small);
    if (st != GLN_E_LIMIT || small.max_pixels == p->decode.max_pixels) return st;
    pthread_mutex_lock(&p->large);
    st = gln_image_decode(image, bytes, n_bytes, &p->decode);
    pthread_mutex_unlock(&p->large);
    return st;
}

/* From a path to a result with an input. The sentence of a failure names the file. */
static gln_status prepare(struct pipeline *p, struct slot *slot)
{
    gln_extract_result *result = &slot->result;
    unsigned char *bytes = NULL;
    gln_image image = {0};
    gln_status st = gln_file_read(&bytes, &result->n_bytes, slot->path, p->decode.max_bytes);
    if (st != GLN_OK) return st;
    gln_sha256(result->sha256, bytes, result->n_bytes);
    result->format = gln_image_sniff(bytes, result->n_bytes);
    if (p->options->known != NULL && p->options->known(p->context, result->sha256)) {
        result->known = true;
        goto cleanup;
    }
    if ((st = decode_one(p, &image, bytes, result->n_bytes)) != GLN_OK) {
        char why[GLN_MESSAGE_MAX];
        gln_message_copy(why, sizeof why);
        gln_fail(st, "%s: %s", slot->path, why);
        goto cleanup;
    }
    gln_free(bytes);
    bytes = NULL;
    result->width = image.original_width;
    result->height = image.original_height;
    if ((st = gln_photo_stage(&slot->photo, &p->info->preprocess, &image, gln_feed_device(p->feed))) != GLN_OK)
        goto cleanup;
    if (p->options->thumbnail_side != 0) {
        st = gln_image_thumbnail(&slot->thumbnail, &result->thumbnail_bytes, &image, p->options->thumbnail_side,
                                 THUMBNAIL_QUALITY);
        result->thumbnail = slot->thumbnail;
    }
cleanup:
    gln_image_dispose(&image);
    gln_free(bytes);
    return st;
}

static void *decode_main(void *argument)
{
    struct pipeline *p = argument;
    struct slot *slot;
    while ((slot = take_item(p)) != NULL) {
        gln_status st = prepare(p, slot);
        slot->result.status = st;
        if (st != GLN_OK) {
            gln_message_copy(slot->message, sizeof slot->message);
            slot->result.message = slot->message;
        }
        gln_queue_push(p->done_slots, slot);
    }
    pthread_mutex_lock(&p->source);
    bool last = --p->n_running == 0;
    pthread_mutex_unlock(&p->source);
    if (last) gln_queue_close(p->done_slots);
    return NULL;
}

/* Slots that were handed to the feed together, those without an input among them. */
struct group {
    size_t n_slots, n_inputs;
};

/* What the calling thread works with. */
struct consumer {
    struct pipeline *pipeline;
    gln_backbone *backbone;
    gln_extract_result_fn result;
    gln_progress *progress;
    gln_photo **photos; /* [batch] */
    float *embeddings;  /* [batch, d] */
    size_t n_delivered, n_collected; /* the numbers of the slots whose turn it is */
    struct group *groups; /* [feed's depth]: between collected and delivered */
    size_t n_groups, first_group;
};

static bool has_input(const struct slot *slot)
{
    return slot->result.status == GLN_OK && !slot->result.known;
}

/* No memory is not the image's fault: another run may find some, so it must not be told as a bad image. */
static bool ends_run(const struct slot *slot)
{
    return slot->result.status == GLN_E_MEMORY;
}

/*
 * Collects slots in order, from n_collected on, until there are inputs for a whole batch, or every slot is waiting
 * here, or the source has ended, or one ends the run. *out_n_slots of them, with *out_n_inputs photos; no slots: the
 * end.
 */
static void collect(struct consumer *c, size_t *out_n_slots, size_t *out_n_inputs)
{
    struct pipeline *p = c->pipeline;
    size_t n_slots = 0, n_inputs = 0, n_held = c->n_collected - c->n_delivered;
    while (n_inputs < p->batch && n_held + n_slots < p->n_slots) {
        struct slot *slot = p->window[(c->n_collected + n_slots) % p->n_slots];
        if (slot == NULL) {
            void *item = NULL;
            if (gln_queue_pop(p->done_slots, &item) != GLN_OK) break;
            slot = item;
            p->window[slot->number % p->n_slots] = slot;
            continue;
        }
        if (ends_run(slot)) break;
        if (has_input(slot)) c->photos[n_inputs++] = &slot->photo;
        n_slots++;
    }
    *out_n_slots = n_slots;
    *out_n_inputs = n_inputs;
}

static void recycle(struct slot *slot)
{
    gln_free(slot->path);
    gln_free(slot->thumbnail);
    slot->path = NULL;
    slot->thumbnail = NULL;
    slot->result = (gln_extract_result){0};
}

/* Hands out the results of n_slots slots in order, then lets the caller commit. */
static gln_status deliver(struct consumer *c, size_t n_slots)
{
    struct pipeline *p = c->pipeline;
    const float *embedding = c->embeddings;
    gln_status st = GLN_OK;
    for (size_t i = 0; i < n_slots; i++) {
        struct slot **place = &p->window[c->n_delivered % p->n_slots];
        struct slot *slot = *place;
        if (has_input(slot)) {
            slot->result.embedding = embedding;
            embedding += p->info->d;
        }
        if ((st = c->result(p->context, &slot->result)) != GLN_OK) return st;
        *place = NULL;
        recycle(slot);
        c->n_delivered++;
        if ((st = gln_queue_push(p->free_slots, slot)) != GLN_OK) return st;
    }
    if (p->options->flush != NULL && (st = p->options->flush(p->context)) != GLN_OK) return st;
    return gln_progress_add(c->progress, n_slots);
}

/* Fills the feed as far as it goes; *out_more is false once there is nothing more to collect. */
static gln_status submit(struct consumer *c, bool *out_more)
{
    struct pipeline *p = c->pipeline;
    size_t depth = gln_feed_depth(p->feed);
    while (*out_more && c->n_groups < depth) {
        size_t n_slots, n_inputs;
        collect(c, &n_slots, &n_inputs);
        *out_more = n_slots != 0;
        if (n_slots == 0) break;
        if (n_inputs != 0) {
            gln_status st = gln_feed_submit(p->feed, c->photos, n_inputs);
            if (st != GLN_OK) return st;
        }
        c->groups[(c->first_group + c->n_groups++) % depth] = (struct group){n_slots, n_inputs};
        c->n_collected += n_slots;
    }
    return GLN_OK;
}

static gln_status consume(struct consumer *c)
{
    struct pipeline *p = c->pipeline;
    for (;;) {
        bool more = true;
        gln_status st = submit(c, &more);
        if (st != GLN_OK) return st;
        if (c->n_groups == 0) {
            const struct slot *slot = p->window[c->n_delivered % p->n_slots];
            return slot == NULL ? GLN_OK : gln_fail(slot->result.status, "%s", slot->message);
        }
        if (gln_progress_cancelled(c->progress)) return gln_fail(GLN_E_CANCELLED, "cancelled");
        struct group group = c->groups[c->first_group];
        if (group.n_inputs != 0) {
            float *tensors = gln_backbone_tensors(c->backbone);
            if ((st = gln_feed_finish(p->feed, tensors != NULL ? tensors : c->embeddings)) != GLN_OK) return st;
            if ((st = gln_backbone_settle(c->backbone, group.n_inputs, c->embeddings)) != GLN_OK) return st;
            gln_kernels()->l2_normalise(c->embeddings, group.n_inputs, p->info->d);
        }
        if ((st = deliver(c, group.n_slots)) != GLN_OK) return st;
        c->first_group = (c->first_group + 1) % gln_feed_depth(p->feed);
        c->n_groups--;
    }
}

static gln_status pipeline_init(struct pipeline *p, gln_backbone *backbone, const gln_extractor_options *options)
{
    const gln_preprocess *preprocess = &p->info->preprocess;
    gln_status st = GLN_OK;
    if (options->batch == 0 || options->queue_batches < 2 || options->batch > MAX_SLOTS / options->queue_batches)
        return gln_fail(GLN_E_ARGUMENT, "%zu batches of %zu images under way; at least 2 of 1, at most %d images",
                        options->queue_batches, options->batch, (int)MAX_SLOTS);
    /* A GPU wants more at once than a processor, and the slots of what it has in flight besides those that wait. */
    p->batch = p->info->device.n_gpus != 0 ? p->info->max_batch : options->batch;
    if (p->batch > p->info->max_batch)
        return gln_fail(GLN_E_ARGUMENT, "batches of %zu images; 1 to %zu are possible", p->batch, p->info->max_batch);
    if ((st = gln_feed_create(&p->feed, gln_backbone_workers(backbone), preprocess, p->batch)) != GLN_OK) return st;
    p->n_slots = p->batch * (options->queue_batches + gln_feed_depth(p->feed) - 1);
    p->decode = options->decode;
    size_t needed = gln_preprocess_needs(preprocess);
    if (needed < options->thumbnail_side) needed = options->thumbnail_side;
    if (p->decode.shorter_side_at_least < needed) p->decode.shorter_side_at_least = needed;
    p->decode.centre = options->thumbnail_side == 0 ? gln_preprocess_centre(&p->info->preprocess)
                                                    : 0; /* a thumbnail shows all of it */

    if ((st = gln_alloc(&p->slots, p->n_slots, sizeof *p->slots, "slots")) != GLN_OK ||
        (st = gln_alloc(&p->window, p->n_slots, sizeof *p->window, "slots")) != GLN_OK ||
        (st = gln_queue_create(&p->free_slots, p->n_slots)) != GLN_OK ||
        (st = gln_queue_create(&p->done_slots, p->n_slots)) != GLN_OK)
        return st;
    for (size_t i = 0; i < p->n_slots && st == GLN_OK; i++) st = gln_queue_push(p->free_slots, &p->slots[i]);
    return st;
}

static void pipeline_dispose(struct pipeline *p)
{
    gln_feed_free(p->feed); /* first: what is in flight reads the photos */
    for (size_t i = 0; i < p->n_slots && p->slots != NULL; i++) {
        recycle(&p->slots[i]);
        gln_photo_dispose(&p->slots[i].photo);
    }
    gln_free(p->slots);
    gln_free(p->window);
    gln_queue_free(p->free_slots);
    gln_queue_free(p->done_slots);
    pthread_mutex_destroy(&p->source);
    pthread_mutex_destroy(&p->large);
}

gln_status gln_extractor_run(gln_backbone *backbone, const gln_extractor_options *options, gln_extract_next_fn next,
                             gln_extract_result_fn result, void *context, gln_progress *progress)
{
    struct pipeline p = {.options = options, .info = gln_backbone_info_of(backbone), .next = next, .context = context};
    struct consumer c = {.pipeline = &p, .backbone = backbone, .result = result, .progress = progress};
    pthread_t threads[MAX_DECODERS];
    size_t n_threads = options->n_decoders != 0 ? options->n_decoders : gln_processors();
    if (n_threads > MAX_DECODERS) n_threads = MAX_DECODERS;
    size_t n_started = 0;
    pthread_mutex_init(&p.source, NULL);
    pthread_mutex_init(&p.large, NULL);

    gln_status st = pipeline_init(&p, backbone, options);
    if (st != GLN_OK) goto cleanup;
    if ((st = gln_alloc(&c.photos, p.batch, sizeof(gln_photo *), "batch")) != GLN_OK ||
        (st = gln_alloc(&c.groups, gln_feed_depth(p.feed), sizeof *c.groups, "batch")) != GLN_OK ||
        (st = gln_alloc_raw(&c.embeddings, p.batch, p.info->d * sizeof *c.embeddings, "embeddings")) != GLN_OK)
        goto cleanup;

    p.n_running = n_threads;
    for (; n_started < n_threads; n_started++)
        if ((st = gln_thread_start(&threads[n_started], "gln-decode", decode_main, &p)) != GLN_OK) break;
    if (st == GLN_OK) st = consume(&c);

    /* Whatever happened: no thread starts another image, and all return. */
    atomic_store(&p.stop, true);
    gln_queue_close(p.free_slots);
    for (size_t i = 0; i < n_started; i++) pthread_join(threads[i], NULL);
    if (st == GLN_OK && p.status != GLN_OK) st = gln_fail(p.status, "%s", p.message);
cleanup:
    gln_free(c.photos);
    gln_free(c.groups);
    gln_free(c.embeddings);
    pipeline_dispose(&p);
    return st;
}
