/*
 * Who decodes the JPEG files of a run whose network is on a GPU: the processor, or nvJPEG (cuda/nvjpeg.h). Between the
 * extractor and nvJPEG; docs/gpu.md tells the rules. Internal to embed/.
 *
 *     st = gln_gpu_decoding_create(&decoding, workers, &preprocess, kind, device);
 *     gln_gpu_decoder decoder = {.decoding = decoding};                            // of one decode thread
 *     if (!gln_gpu_decoder_take(&decoder, &image, bytes, n_bytes, &limits)) ...    // the processor decodes or refuses
 *     gln_gpu_decoder_compare(&decoder, &photo, seconds, bytes, n_bytes, &limits); // it has: nvJPEG tries it, too
 *     st = gln_gpu_decoding_judge(decoding);                                       // calling thread: ends the trial
 *     gln_gpu_decoder_dispose(&decoder);
 *
 * nvJPEG has to prove itself twice. At the start, on a made-up photo: its pixels are the processor's within what
 * another inverse transform may make of them, and what is damaged for the processor is damaged for it. Then on the
 * run's first photos of the kind that it may have: the processor decodes them for the run, nvJPEG once more beside it,
 * under the load of the run; then the network computes both, and it is taken where every cosine is at least
 * GLN_LEAST_AGREEMENT and the median photo took less time. So a run shorter than the trial is the processor's.
 *
 * It never decides that a photo is bad: what it does not take, for whatever reason, goes to the processor. An error
 * that is no photo's ends its use in this run, with one line in the log.
 *
 * Threads: a decoder belongs to one thread; create, judge and free to the one that runs the workers.
 */
#ifndef GLN_EMBED_GPU_DECODING_H
#define GLN_EMBED_GPU_DECODING_H

#include "embed/cuda/nvjpeg.h"
#include "embed/image.h"
#include "embed/photo.h"
#include "embed/workers.h"

enum { GLN_DECODING_TRIAL_PHOTOS = 16 };

typedef struct gln_gpu_decoding gln_gpu_decoding;

/* `device`: the GPU that computes, -1 for none. Errors: GLN_E_MEMORY; with GLN_DECODER_NVJPEG whatever keeps it from
 * decoding. */
gln_status gln_gpu_decoding_create(gln_gpu_decoding **out, gln_workers *workers, const gln_preprocess *preprocess,
                                   gln_decoder_kind kind, int device);
void gln_gpu_decoding_free(gln_gpu_decoding *decoding);

/* Ends the trial once it has its photos; costs nothing at any other time. Errors: those of gln_workers_run. */
gln_status gln_gpu_decoding_judge(gln_gpu_decoding *decoding);

/* Photos that nvJPEG has decoded for the run. */
size_t gln_gpu_decoding_n_taken(const gln_gpu_decoding *decoding);

typedef struct gln_gpu_decoder {
    gln_gpu_decoding *decoding;
    gln_nvjpeg *nvjpeg; /* made with the first photo */
    gln_photo photo;    /* the trial's */
} gln_gpu_decoder;

void gln_gpu_decoder_dispose(gln_gpu_decoder *decoder);

/* True: `image` is [side, side], upright, what the preprocessing makes of the file's pixels, for
   gln_photo_stage_resized. False: the processor's turn; nothing was said. */
bool gln_gpu_decoder_take(gln_gpu_decoder *decoder, gln_image *image, const unsigned char *bytes, size_t n_bytes,
                          const gln_decode_options *options);

/* `photo` is what the processor has made of the file, in that many seconds from bytes to here. */
void gln_gpu_decoder_compare(gln_gpu_decoder *decoder, const gln_photo *photo, double seconds,
                             const unsigned char *bytes, size_t n_bytes, const gln_decode_options *options);

#endif
