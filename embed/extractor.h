/*
 * The pipeline from files to embeddings: decode threads, a bounded queue, batches, the model. Keeps the
 * model busy; holds at most `queue_batches` batches of preprocessed images in memory.
 *
 *     gln_extractor_options options = GLN_EXTRACTOR_OPTIONS_INIT;
 *     st = gln_extractor_run(backbone, &options, next_file, take_result, &job, progress);
 *
 * `next` and `result` are each called from one thread at a time (not the same one). Results come in the order of the
 * input, each exactly once, bad images included.
 */
#ifndef GLN_EMBED_EXTRACTOR_H
#define GLN_EMBED_EXTRACTOR_H

#include "common/hash.h"
#include "common/progress.h"
#include "common/status.h"
#include "embed/backbone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One image to embed, given by the source. */
typedef struct gln_extract_item {
    uint64_t tag;             /* the caller's own number, handed back */
    const char *path;         /* file to read; copied by the pipeline before `next` is called again */
} gln_extract_item;

typedef struct gln_extract_result {
    uint64_t tag;
    const char *path;         /* borrowed */
    gln_status status;        /* GLN_OK, or why this image was refused */
    const char *message;      /* the sentence, naming the file; "" when GLN_OK */
    bool known;               /* `known` of the options recognised the bytes: decoding and the model were skipped */
    uint8_t sha256[GLN_SHA256_BYTES]; /* of the file's bytes; zero when they could not be read */
    size_t n_bytes, width, height;    /* of the original, upright */
    gln_image_format format;
    const float *embedding;   /* [d], L2-normalised; NULL unless status is GLN_OK and not known. Borrowed */
    const unsigned char *thumbnail; /* JPEG, thumbnail_side at most; NULL where none was asked for. Borrowed */
    size_t thumbnail_bytes;
} gln_extract_result;

/* Gives the next item; *out_more = false when there is none. */
typedef gln_status (*gln_extract_next_fn)(void *context, gln_extract_item *item, bool *out_more);
/* Takes one result. Any status but GLN_OK stops the run with it. */
typedef gln_status (*gln_extract_result_fn)(void *context, const gln_extract_result *result);
/* Whether an image with this hash is known already. Called from decode threads, several at a time. May be NULL. */
typedef bool (*gln_extract_known_fn)(void *context, const uint8_t sha256[GLN_SHA256_BYTES]);
/* Called from the results' thread after each batch and at the end, so that the caller can commit. May be NULL. */
typedef gln_status (*gln_extract_flush_fn)(void *context);

typedef struct gln_extractor_options {
    size_t batch;          /* images a batch, at most the backbone's max_batch */
    size_t n_decoders;     /* decode threads; 0: one a processor. At most 64 */
    size_t queue_batches;  /* preprocessed batches in flight, at least 2; at most 4096 images in all */
    size_t thumbnail_side; /* 0: none */
    gln_decode_options decode; /* shorter_side_at_least is raised to what preprocessing and thumbnail need */
    gln_extract_known_fn known;
    gln_extract_flush_fn flush;
} gln_extractor_options;

#define GLN_EXTRACTOR_OPTIONS_INIT                                                                                   \
    {.batch = 16, .n_decoders = 0, .queue_batches = 3, .thumbnail_side = 0, .decode = GLN_DECODE_OPTIONS_INIT}

/*
 * Runs until `next` has no more, counting into `progress` (the caller sets the stage). Bad images are results with a
 * status, never an end of the run. Errors: what a callback returned, GLN_E_CANCELLED, GLN_E_MEMORY, what the model
 * gave, GLN_E_ARGUMENT. When `next` fails, all that it gave before is delivered first. All threads have ended when it
 * returns.
 */
gln_status gln_extractor_run(gln_backbone *backbone, const gln_extractor_options *options, gln_extract_next_fn next,
                             gln_extract_result_fn result, void *context, gln_progress *progress);

#endif
