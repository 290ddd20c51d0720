/*
 * NVIDIA's libraries that are opened at run time instead of linked: half a gigabyte that most machines lack, and a
 * program linked with them would not start there. Threads: call it once, as by pthread_once().
 */
#ifndef GLN_KERNELS_CUDA_LIBRARY_H
#define GLN_KERNELS_CUDA_LIBRARY_H

#include "common/status.h"

#include <stddef.h>

typedef struct gln_symbol {
    void *slot; /* of a function pointer, which is set */
    const char *name;
} gln_symbol;

typedef struct gln_library {
    const char *name;         /* as messages call it: "libnvjpeg.so.13" */
    const char *purpose;      /* "which decodes JPEG files on the GPU" */
    const char *product;      /* what to install: "nvJPEG" */
    const char *const *paths; /* [n_paths], the first that opens is taken */
    size_t n_paths;
    const gln_symbol *symbols; /* [n_symbols], each must be there */
    size_t n_symbols;
} gln_library;

/* Opens it for as long as the process lives. failure becomes "" or the sentence that says what is missing. */
void gln_library_open(char failure[GLN_MESSAGE_MAX], const gln_library *library);

#endif
