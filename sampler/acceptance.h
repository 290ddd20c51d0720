/*
 * Acceptance sampling: how many labels of a lot may be wrong, from a random sample of it that a person looked at; and
 * how large a sample has to be. Exact, for lots of any size. Pure functions of numbers; called by proposals.h and
 * engine/.
 *
 *     // look at 136 of 420, at most 2 may be wrong
 *     gln_lot_plan plan = gln_lot_plan_make(420, 0.05, 0.95, 0.01);
 *     double bound = gln_lot_bound(420, plan.sample, n_wrong, 0.95);       // share of the other 284 that may be wrong
 *
 * The limit is one-sided and design-based: whatever the lot looks like, a limit computed from a simple random sample
 * without replacement falls short of the truth in at most (1 - confidence) of all samples. Nothing is assumed of the
 * classifier that proposed the labels. Threads: all are safe to call at the same time.
 */
#ifndef GLN_SAMPLER_ACCEPTANCE_H
#define GLN_SAMPLER_ACCEPTANCE_H

#include <stddef.h>

/* Of an endless lot: the rate of errors at which `wrong` or fewer of `sample` would be seen with probability 1 -
   confidence (Clopper and Pearson 1934, one-sided). 1 when everything is wrong or nothing was looked at. */
double gln_binomial_upper(size_t sample, size_t wrong, double confidence);

/* Of a lot of `lot`: the most that may be wrong of all of it, those seen included (Buonaccorsi 1987: the hypergeometric
   test inverted). Impossible numbers (a sample above the lot, more wrong than seen) give `lot`. */
size_t gln_lot_upper(size_t lot, size_t sample, size_t wrong, double confidence);

/* Of the lot - sample that nobody looked at: the share that may be wrong; 0 when there are none. */
double gln_lot_bound(size_t lot, size_t sample, size_t wrong, double confidence);

typedef struct gln_lot_plan {
    size_t sample;  /* to be looked at; 0: nothing short of the whole lot can show it */
    size_t allowed; /* of these, at most so many may be wrong */
    double p_pass;  /* chance of that at the error that is expected */
} gln_lot_plan;

/* The plan that is expected to save most labels, p_pass * (lot - sample), among those whose bound is at most `bound`
   when no more than `allowed` are wrong. `expected_error`: the rate of errors to plan for; it moves the plan, not its
   validity. */
gln_lot_plan gln_lot_plan_make(size_t lot, double bound, double confidence, double expected_error);

/* Chance that at most `allowed` of `sample` are wrong at this rate of errors. */
double gln_lot_p_pass(size_t sample, size_t allowed, double expected_error);

/* The most that may be wrong in a sample of this size for the bound to hold; SIZE_MAX when not even 0 may. */
size_t gln_lot_allowed(size_t lot, size_t sample, double bound, double confidence);

/*
 * The confidence of the a-th audit of one group, a from 1, such that all its audits together err with at most
 * 1 - confidence: the first takes 4/5 of what may go wrong, each further one 4/5 of the rest. Without it a lead who
 * asks again until an audit passes would get what luck gives.
 */
double gln_lot_confidence(double confidence, size_t attempt);

#endif
