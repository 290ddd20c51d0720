/* The manifest of a backbone: JSON to fields, each checked. Internal to embed/. */
#ifndef GLN_EMBED_MANIFEST_H
#define GLN_EMBED_MANIFEST_H

#include "common/hash.h"
#include "embed/backbone.h"

#define GLN_MANIFEST_TEXT_MAX 256
#define GLN_MAX_DIMENSION 65536

/* A file of weights beside the model (ONNX's external data). */
typedef struct gln_manifest_file {
    char name[GLN_MANIFEST_TEXT_MAX]; /* relative to the model's folder, as the model has it */
    uint8_t sha256[GLN_SHA256_BYTES];
} gln_manifest_file;

typedef struct gln_manifest {
    char name[GLN_MANIFEST_TEXT_MAX];
    char model[GLN_MANIFEST_TEXT_MAX]; /* a file beside the manifest, no folder in it */
    char output[GLN_MANIFEST_TEXT_MAX];
    char licence[GLN_MANIFEST_TEXT_MAX];
    uint8_t sha256[GLN_SHA256_BYTES]; /* of the model file */
    gln_manifest_file *files;         /* [n_files], in the order of their names */
    size_t n_files;
    size_t dimension;
    gln_pooling pooling;
    gln_preprocess preprocess;
} gln_manifest;

/* Errors: GLN_E_FORMAT naming the field, and those of reading a file; the manifest may be disposed of in either
   case. */
gln_status gln_manifest_read(gln_manifest *out, const char *path);
void gln_manifest_dispose(gln_manifest *manifest);

/* That the files of weights which `model` [n_bytes] names lie in `folder` and are those of the manifest. Errors:
   GLN_E_CORRUPT and GLN_E_FORMAT, naming the file; those of reading it. */
gln_status gln_manifest_check_files(const gln_manifest *manifest, const unsigned char *model, size_t n_bytes,
                                    const char *folder);

/* SHA-256 over everything that decides what an embedding is: model and weights, preprocessing, output and its pooling,
   precision. */
void gln_manifest_identity(uint8_t out[GLN_SHA256_BYTES], const gln_manifest *manifest, gln_precision precision);

#endif
