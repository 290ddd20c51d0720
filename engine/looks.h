/*
 * Second looks: labels that look wrong, taken into a batch beside new images when a look is worth more than a new label
 * for its price (sampler/second_looks.h). Not for use outside this folder.
 *
 *     gln_looks looks = {0};
 *     st = gln_looks_choose(&looks, &moment, share, request);      // share: of the batch; GLN_RELABEL_AUTO
 *     ... looks.look[i].image ...
 *     gln_looks_dispose(&looks);
 */
#ifndef GLN_ENGINE_LOOKS_H
#define GLN_ENGINE_LOOKS_H

#include "common/json.h"
#include "engine/moment.h"

typedef struct gln_look {
    uint32_t image;          /* view index */
    int32_t given;           /* class position of the label */
    double p_wrong, gain;    /* gain: of balanced accuracy, by the forecast; NaN: it does not say */
    double price, seconds;
    char reason[512];
} gln_look;

typedef struct gln_looks {
    gln_look *look;          /* [n] most probably wrong first */
    size_t n, capacity, n_suspects;
    double worth;            /* new labels that a corrected one is worth */
    double price, seconds, p_wrong; /* sums */
} gln_looks;

/* At most half of a batch in any of its limits with GLN_RELABEL_AUTO, else `request->relabel` of it; share: wanted
   shares of the classes, what a new label is expected to cost. Images that are unavailable to the moment are left out.
 */
gln_status gln_looks_choose(gln_looks *looks, const gln_moment *m, const gln_batch_request *request,
                            const double *share);
void gln_looks_dispose(gln_looks *looks);
/* {"images", "suspects", "expected_wrong", "worth", "words"}, or NULL when nobody asked. */
gln_json *gln_looks_json(const gln_looks *looks, const gln_batch_request *request);

#endif
