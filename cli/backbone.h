/* `gleaner backbone compare`, apart from the other actions for its size. */
#ifndef GLN_CLI_BACKBONE_H
#define GLN_CLI_BACKBONE_H

#include "cli/commands.h"

/* What a comparison is made on and with. */
typedef struct gln_comparison_request {
    const char *root;             /* one folder a class below it */
    const char *const *manifests; /* [n] paths, at least two */
    size_t n;
    size_t per_class;             /* photos at most */
    size_t n_threads;             /* 0: one a processor */
    gln_precision precision;
    gln_device_choice devices;
    const char *pooling;          /* NULL: the manifests' */
    bool quiet, json;
} gln_comparison_request;

gln_status gln_backbones_compare(const gln_comparison_request *request);

#endif
