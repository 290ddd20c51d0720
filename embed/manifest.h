/* The manifest of a backbone: JSON to fields, each checked. Internal to embed/. */
#ifndef GLN_EMBED_MANIFEST_H
#define GLN_EMBED_MANIFEST_H

#include "common/hash.h"
#include "embed/backbone.h"

#define GLN_MANIFEST_TEXT_MAX 256
#define GLN_MAX_DIMENSION 65536

typedef struct gln_manifest {
    char name[GLN_MANIFEST_TEXT_MAX];
    char model[GLN_MANIFEST_TEXT_MAX]; /* a file beside the manifest, no folder in it */
    char output[GLN_MANIFEST_TEXT_MAX];
    char licence[GLN_MANIFEST_TEXT_MAX];
    uint8_t sha256[GLN_SHA256_BYTES]; /* of the model file */
    size_t dimension;
    gln_pooling pooling;
    gln_preprocess preprocess;
} gln_manifest;

/* Errors: GLN_E_FORMAT naming the field, and those of reading a file. */
gln_status gln_manifest_read(gln_manifest *out, const char *path);

/* SHA-256 over everything that decides what an embedding is: model, preprocessing, output and its pooling, precision. */
void gln_manifest_identity(uint8_t out[GLN_SHA256_BYTES], const gln_manifest *manifest, gln_precision precision);

#endif
