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
 * The manifest (JSON): name, model (ONNX file beside it), sha256 of that file, input {side, resize {filter, mode,
 * scale}, mean [3], std [3]}, output (tensor name), dimension, licence, source, and optionally pooling and files (those
 * that keep weights beside the model, {name: sha256}). Every field is checked; unknown fields are refused by name.
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

/* What the network computes in. bf16 keeps float's range with 8 bits of precision, f16 has 11 bits and ends at 65504:
   sums are in f32, activations and weights are not. The processor computes in f32 and bf16, a GPU in f16 and f32. */
typedef enum gln_precision {
    GLN_PRECISION_F32,
    GLN_PRECISION_BF16,
    GLN_PRECISION_AUTO, /* f16 on a GPU; bf16 where that is measured to pay and the embeddings stay the same, f32
                           elsewhere */
    GLN_PRECISION_F16
} gln_precision;

/* How a tensor inside the network becomes a vector. */
typedef enum gln_pooling_kind {
    GLN_POOLING_NONE,    /* all its numbers, as they lie */
    GLN_POOLING_AVERAGE, /* the mean over places or tokens */
    GLN_POOLING_CLS,     /* the first token */
    GLN_POOLING_GEM      /* generalised mean: (mean of x^p)^(1/p); p = 1 is the mean, large p the maximum */
} gln_pooling_kind;

typedef struct gln_pooling {
    gln_pooling_kind kind;
    double p; /* GEM: 1 to 100 */
} gln_pooling;

/* "none", "average", "cls", "gem" (p = 3), "gem:P"; GLN_E_ARGUMENT for anything else. */
gln_status gln_pooling_parse(gln_pooling *out, const char *text);
const char *gln_pooling_name(gln_pooling_kind kind);

/* Where it may be computed. */
typedef enum gln_device_kind {
    GLN_DEVICE_CPU,
    GLN_DEVICE_AUTO, /* GPUs where they are and agree with the processor, which takes over when they fail; else the
                        processor */
    GLN_DEVICE_CUDA  /* these GPUs or none: what is wrong with one ends the run */
} gln_device_kind;

#define GLN_MAX_DEVICES 16

typedef struct gln_device_choice {
    gln_device_kind kind;
    int numbers[GLN_MAX_DEVICES]; /* CUDA: which ones */
    size_t n;                     /* 0: all */
} gln_device_choice;

/* "auto", "cpu", "cuda", "cuda:0,2"; GLN_E_ARGUMENT for anything else. */
gln_status gln_device_choice_parse(gln_device_choice *out, const char *text);
/* Whether the GPUs that are insisted on are there: GLN_E_UNSUPPORTED, GLN_E_NOT_FOUND, with the reason. GLN_OK for any
   other kind. */
gln_status gln_device_choice_check(const gln_device_choice *choice);

/* One line on the GPUs that this process sees, or on why it sees none. */
void gln_gpu_words(char *out, size_t capacity);

/* What computes, in words for people and records. */
typedef struct gln_backbone_device {
    char name[256]; /* "cpu", or the GPUs: "GPU 0, NVIDIA H100" */
    size_t n_gpus;
    bool stands_in; /* the processor, in f32, for vectors whose precision is f16 */
    char note[256]; /* why no GPU computes, "" where nobody asked for one or all is well */
} gln_backbone_device;

typedef struct gln_backbone_options {
    /* most images a call of gln_backbone_run takes; below n_threads, all threads work on each image */
    size_t max_batch;
    size_t n_threads;  /* 0: one a core */
    gln_precision precision;
    gln_device_choice devices;
    const char *tensor;         /* taken instead of the manifest's output; NULL: the manifest's */
    const gln_pooling *pooling; /* instead of the manifest's; NULL: the manifest's, none for a tensor named above */
    /* [32] with AUTO: the precision whose identity this is, if it is one of ours. NULL: measured */
    const uint8_t *identity;
} gln_backbone_options;

#define GLN_BACKBONE_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        .max_batch = 16, .n_threads = 0, .precision = GLN_PRECISION_F32, .tensor = NULL, .pooling = NULL,              \
        .identity = NULL                                                                                               \
    }

/* "auto", "f32", "bf16"; and back: GLN_E_ARGUMENT for anything else. */
const char *gln_precision_name(gln_precision precision);
gln_status gln_precision_parse(gln_precision *out, const char *name);

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
    gln_precision precision; /* what it runs in: never AUTO */
    double agreement; /* smallest cosine between bf16 or f16 and f32 embeddings of the self-test; NaN where it was not
                         made */
    double speed_up;         /* bf16 over f32 in that test; NaN likewise, and for a GPU */
    size_t max_batch;           /* most images of a run: as asked, or more where a GPU wants more at once */
    gln_backbone_device device; /* at load, and as it is after each run: a GPU that failed is not in it */
    uint8_t identity[32]; /* SHA-256 over model hash, preprocessing, output, pooling and precision: vectors of two never
                             mix */
    gln_preprocess preprocess;
    size_t n_parameters;
    size_t weights_bytes, activations_bytes; /* activations: of all threads */
    double multiply_adds;  /* for one image */
} gln_backbone_info;

/* Reads manifest and model. Errors: GLN_E_NOT_FOUND, GLN_E_FORMAT (naming the field or node), GLN_E_UNSUPPORTED (naming
   the operator and the node), GLN_E_CORRUPT (the hash of the model, or of a file of weights, is not the manifest's),
   GLN_E_LIMIT. */
gln_status gln_backbone_load(gln_backbone **out, const char *manifest_path, const gln_backbone_options *options);
void gln_backbone_free(gln_backbone *backbone);

const gln_backbone_info *gln_backbone_info_of(const gln_backbone *backbone);

/*
 * Calls `visit` for each file that keeps weights beside a model (ONNX's external data), named relative to the model's
 * folder and never outside of it; any status but GLN_OK ends it. For whoever copies models. Errors: GLN_E_FORMAT,
 * GLN_E_LIMIT, what `visit` gave.
 */
typedef gln_status (*gln_backbone_file_fn)(void *context, const char *name);
gln_status gln_backbone_data_files(const unsigned char *model, size_t n_bytes, gln_backbone_file_fn visit,
                                   void *context);

/* Resizes, crops and normalises one image into input [3, side, side] f32. Any thread. */
gln_status gln_preprocess_image(float *input, const gln_preprocess *preprocess, const gln_image *image);

/*
 * The smallest shorter side that a decoder may deliver for this preprocessing: three times the resized one, which keeps
 * the input within half a level (mean, of 255) of what full decoding gives. 0 for senseless settings.
 */
size_t gln_preprocess_needs(const gln_preprocess *preprocess);

/* For gln_decode_options.centre: what share of the shorter side the crop takes, with what its filter reads around; 0
   where all of the image is looked at. */
double gln_preprocess_centre(const gln_preprocess *preprocess);

/*
 * embeddings [n, d] f32, not normalised, from input [n, 3, side, side] f32; 1 <= n <= max_batch. Images are spread over
 * the threads, one each at a time; a row depends on its image alone, bit by bit, whatever batch it comes in.
 * GLN_E_INTERNAL when the result is not finite (naming the image's place in the batch).
 */
gln_status gln_backbone_run(gln_backbone *backbone, const float *input, size_t n, float *embeddings);

#endif
