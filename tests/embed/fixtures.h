/*
 * Reading the images of tests/data/images, for the tests of embed/. All functions fail the test when something is missing.
 */
#ifndef GLN_TESTS_EMBED_FIXTURES_H
#define GLN_TESTS_EMBED_FIXTURES_H

#include "common/files.h"
#include "embed/image.h"

#include <stddef.h>

/* The whole fixture; freed with gln_free. */
unsigned char *fixture_read(const char *name, size_t *n_bytes);

/* Where it lies. */
void fixture_path(char out[GLN_PATH_MAX], const char *name);

/* Decodes it at full size. */
void fixture_decode(gln_image *image, const char *name);

/* The names of all photos among the fixtures, NULL at the end: one of each kind that gleaner decodes. */
extern const char *const fixture_names[];

#endif
