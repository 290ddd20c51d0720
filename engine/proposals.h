/*
 * Labels proposed for many images at once, and the way from a proposal to labels: look at what is proposed, ask for an
 * audit (a random sample of the lot, leased like any batch), accept once its labels are back and the bound holds, undo
 * at any time. Used by server and cli.
 *
 *     gln_audit_request request = {.project_id = p, .kind = "cluster", .cluster_id = 17, .class_name = "print",
 *                                  .bound = NAN, .confidence = NAN};
 *     st = gln_engine_audit_take(engine, &request, &audit_id);
 *     ... its batch is labelled ...
 *     // GLN_E_CONFLICT, with the figures, when it failed
 *     st = gln_engine_audit_accept(engine, audit_id, "lead");
 *     st = gln_engine_audit_undo(engine, audit_id);
 *
 * What is promised: of all audits that are asked for, at most 1 - confidence end with accepted labels of which more
 * than `bound` are wrong; several audits of one group together, too. Labels of an acceptance have the source
 * "proposed". They are labels for balance, quotas and exports, but no classifier learns from them: they are what it
 * said already, and its own answers would only make it surer of itself. What a person says later takes their place.
 *
 * Threads: as engine.h; the functions with a store as that.
 */
#ifndef GLN_ENGINE_PROPOSALS_H
#define GLN_ENGINE_PROPOSALS_H

#include "common/json.h"
#include "engine/engine.h"

#define GLN_AUDIT_BOUND 0.05
#define GLN_AUDIT_CONFIDENCE 0.95

/* What could be proposed now, most labels saved first, as JSON (docs/api.md: Proposals). bound from 0.001 to 0.5,
   confidence from 0.5 to 0.999; NaN: the defaults. Errors: GLN_E_ARGUMENT, GLN_E_NOT_FOUND, GLN_E_CONFLICT (nothing was
   resampled yet). */
gln_status gln_engine_proposals(gln_json **out, gln_engine *engine, int64_t project_id, double bound,
                                double confidence);

typedef struct gln_audit_request {
    int64_t project_id;
    const char *kind;               /* "cluster", "clusters" or "duplicates" */
    int64_t cluster_id;             /* of kind cluster */
    const char *class_name;         /* of kind cluster: which of the cluster's proposals */
    double bound, confidence;       /* NaN: the defaults */
    size_t size;                    /* images to look at; 0: as planned */
    uint64_t seed;                  /* 0: picked */
    int64_t lease_ms;               /* 0: 24 hours; at most 30 days */
    const char *holder;             /* who labels it; NULL: nobody in particular */
    const char *requested_by;       /* NULL: "" */
    const char *idempotency_key;    /* NULL: none. The same key and request give the same audit again */
    const char *request_text;       /* JSON to keep with the batch; NULL: made from the fields above */
} gln_audit_request;

/*
 * Freezes the lot, draws the sample, leases it as a batch. Errors: GLN_E_ARGUMENT (which field; a size that cannot show
 * the bound; the key came with another request), GLN_E_NOT_FOUND (project, class, cluster), GLN_E_CONFLICT (nothing was
 * resampled; nothing is proposed for this group now).
 */
gln_status gln_engine_audit_take(gln_engine *engine, const gln_audit_request *request, int64_t *out_audit_id);

/* Accepting what is accepted changes nothing. GLN_E_NOT_FOUND; GLN_E_CONFLICT while labels are missing, when the audit
   failed, and after it was undone. */
gln_status gln_engine_audit_accept(gln_engine *engine, int64_t audit_id, const char *who);
/* Every label that the acceptance wrote and that is current still ends, in one transaction. Undoing what is undone
   changes nothing. GLN_E_CONFLICT when it was never accepted. */
gln_status gln_engine_audit_undo(gln_engine *engine, int64_t audit_id);

/* An audit as JSON (docs/api.md: Audit), by the labels of this moment. GLN_E_NOT_FOUND when the project has no such
   one. */
gln_status gln_audit_json(gln_json **out, gln_store *store, int64_t project_id, int64_t audit_id);
/* {"items", "next"}, newest first, before `before_id` (0: from the newest). */
gln_status gln_audits_json(gln_json **out, gln_store *store, int64_t project_id, int64_t before_id, size_t limit);

#endif
