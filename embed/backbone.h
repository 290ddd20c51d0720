/*
 * A backbone: a pretrained network as an ONNX file, and the manifest that says how to feed it and what comes out.
 * Loading parses, infers shapes, folds and packs; running takes preprocessed images to embeddings.
 *
 *     gln_backbone *backbone = NULL;
 *     gln_backbone_options options = GLN_BACKBONE_OPTIONS_INIT;
 *     st = gln_backbone_load(&backbone, "backbones/efficientnet-lite0.json", &options);
 *     const gln_backbone_info *info = gln_backbone_info_of(backbone);   // input side, d, identity
 *     st = gln_backbone_run(backbone, input, n, embeddings);
 *
 * The manifest (JSON): name, model (ONNX file beside it), sha256 of that file, input {side, resize {filter, mode, scale}, mean [3],
 * std [3]}, output (tensor name), dimension, licence, source. Every field is checked; unknown fields are
 * refused by name.
 *
 * Threads: a backbone runs on one thread at a time (it uses n_threads inside). Loading is independent.
 */
#ifndef GLN_EMBED_BACKBONE_H
#define GLN_EMBED_BACKBONE_H

#include "common/status.h"
#include "embed/image.h"

#include <stddef.h>
#include <stdint.h>

typedef struct gln_backbone gln_backbone;

typedef struct gln_backbone_options {
    size_t max_batch;  /* most images a call of gln_backbone_run takes */
    size_t n_threads;  /* 0: one a core */
} gln_backbone_options;

#define GLN_BACKBONE_OPTIONS_INIT {.max_batch = 16, .n_threads = 0}

/* How an image becomes the input. CROP: the central square of the shorter side times `scale`... STRETCH: the whole
   image to side x side, proportions lost. */
typedef enum gln_fit { GLN_FIT_CROP, GLN_FIT_STRETCH } gln_fit;

typedef struct gln_preprocess {
    size_t side;         /* input is [n, 3, side, side] */
    gln_fit fit;
    double crop_share;   /* CROP: resize the shorter side to side / crop_share, then crop the centre; e.g. 0.875 */
    gln_filter filter;
    float mean[3], std[3]; /* of values in [0, 1] */
} gln_preprocess;

typedef struct gln_backbone_info {
    const char *name;      /* borrowed, lives as long as the backbone */
    const char *licence;
    size_t d;              /* dimension of an embedding */
    uint8_t identity[32];  /* SHA-256 over model hash, preprocessing, output and precision: vectors of two never mix */
    gln_preprocess preprocess;
    size_t n_parameters;
    size_t weights_bytes, activations_bytes; /* activations: of all threads */
    double multiply_adds;  /* for one image */
} gln_backbone_info;

/* Reads manifest and model. Errors: GLN_E_NOT_FOUND, GLN_E_FORMAT (naming the field or node), GLN_E_UNSUPPORTED (naming the
   operator and the node), GLN_E_CORRUPT (the model's hash is not the manifest's), GLN_E_LIMIT. */
gln_status gln_backbone_load(gln_backbone **out, const char *manifest_path, const gln_backbone_options *options);
void gln_backbone_free(gln_backbone *backbone);

const gln_backbone_info *gln_backbone_info_of(const gln_backbone *backbone);

/*
 * Calls `visit` for each file that keeps weights beside a model (ONNX's external data), named relative to the model's folder and
 * never outside of it; any status but GLN_OK ends it. For whoever copies models. Errors: GLN_E_FORMAT, GLN_E_LIMIT, what
 * `visit` gave.
 */
typedef gln_status (*gln_backbone_file_fn)(void *context, const char *name);
gln_status gln_backbone_data_files(const unsigned char *model, size_t n_bytes, gln_backbone_file_fn visit, void *context);

/* Resizes, crops and normalises one image into input [3, side, side] f32. Any thread. */
gln_status gln_preprocess_image(float *input, const gln_preprocess *preprocess, const gln_image *image);

/*
 * The smallest shorter side that a decoder may deliver for this preprocessing: three times the resized one, which keeps the
 * input within half a level (mean, of 255) of what full decoding gives. 0 for senseless settings.
 */
size_t gln_preprocess_needs(const gln_preprocess *preprocess);

/*
 * embeddings [n, d] f32, not normalised, from input [n, 3, side, side] f32; 1 <= n <= max_batch. Images are spread over the
 * threads, one each at a time; a row depends on its image alone, bit by bit, whatever batch it comes in.
 * GLN_E_INTERNAL when the result is not finite (naming the image's place in the batch).
 */
gln_status gln_backbone_run(gln_backbone *backbone, const float *input, size_t n, float *embeddings);

#endif
