/*
 * Inside sampler/ only: the tests that drift.c puts together, over units (one image a near-duplicate group).
 */
#ifndef GLN_SAMPLER_DRIFT_TESTS_H
#define GLN_SAMPLER_DRIFT_TESTS_H

#include "sampler/drift.h"

/* One image of every near-duplicate group, drawn at random. */
typedef struct gln_drift_units {
    size_t n, n_reference, n_arrivals;
    uint32_t *image;    /* [n] view indices, ascending */
    uint32_t *of_group; /* [input n] the unit of a group; UINT32_MAX: no such group */
    uint8_t *arrival;   /* [n] */
} gln_drift_units;

/* Each appends to report->test (room is there) unless it cannot be made: no graph, one cell, nothing that varies. */
gln_status gln_drift_neighbours(gln_drift_report *report, const gln_drift_input *input, const gln_drift_units *units,
                                const gln_drift_options *options);
gln_status gln_drift_clusters(gln_drift_report *report, const gln_drift_input *input, const gln_drift_units *units);
gln_status gln_drift_components(gln_drift_report *report, const gln_drift_input *input, const gln_drift_units *units,
                                const gln_drift_options *options);
gln_status gln_drift_scores(gln_drift_report *report, const gln_drift_input *input, const gln_drift_units *units,
                            const gln_drift_options *options);

/* At most so many classes are tested: those with the largest scores. */
enum { GLN_DRIFT_MAX_SCORES = 32 };

/* Largest distance between the empirical distributions of a [n] and b [m]; sorts both. 0 when one is empty. */
double gln_drift_ks(float *a, size_t n, float *b, size_t m);

#endif
