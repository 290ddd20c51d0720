/* What proposals.c, audit.c and audit_json.c share. Not for use outside this folder. */
#ifndef GLN_ENGINE_AUDIT_H
#define GLN_ENGINE_AUDIT_H

#include "common/json.h"
#include "engine/moment.h"
#include "engine/proposals.h"
#include "sampler/proposals.h"

/* ---- proposals.c ------------------------------------------------------------------------------------------------- */

/* The moment as the sampler wants it: labels by people alone; leased images and those with a proposed label are not to
   be had. `label` and `unavailable` are owned by it. */
typedef struct gln_proposal_view {
    gln_proposal_pool pool;
    int32_t *label;
    uint8_t *unavailable;
} gln_proposal_view;
gln_status gln_proposal_view_make(gln_proposal_view *view, const gln_moment *m);
void gln_proposal_view_dispose(gln_proposal_view *view);

/* Options with the defaults in the place of NaN. GLN_E_ARGUMENT names the one that is out of range. */
gln_status gln_proposal_options_read(gln_proposal_options *options, double bound, double confidence);

/* Which audit of its group the next one would be, from 1. */
gln_status gln_proposal_attempt(const gln_proposal *proposal, size_t *out_attempt, const gln_moment *m);

/* As JSON (docs/api.md: Proposal). price, seconds: of the sample. */
gln_json *gln_proposal_json(const gln_proposal *proposal, const gln_moment *m, const gln_proposal_options *options,
                            double price, double seconds);

/* ---- audit_json.c ------------------------------------------------------------------------------------------------ */

/* Where an audit stands, by the labels of this moment. */
typedef struct gln_audit_standing {
    gln_audit_counts counts;
    int64_t n_missing;        /* drawn and without a person's label: they count as wrong */
    int64_t n_may_be_wrong;   /* of those that were not drawn, at the confidence used */
    double error_bound;       /* share of the same: that, or what was found wrong since, whichever is more */
    const char *state;        /* "auditing", "passed", "failed", "accepted", "broken", "undone" */
} gln_audit_standing;
gln_status gln_audit_stand(gln_audit_standing *standing, gln_store *store, const gln_audit_row *row);

#endif
