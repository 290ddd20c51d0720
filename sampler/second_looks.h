/*
 * What a second look at a label is worth against a new label: how probably the label is wrong, and how many new labels
 * a corrected one is worth. Pure functions of numbers; called by engine/ when second looks compete with new images for
 * one budget.
 *
 *     double p = gln_label_p_wrong(0.05, 0.80, 2, 17, 0.04);                // 0.80
 *     // worth a look when above 1, at the same price
 *     double labels = p * gln_corrected_label_worth(10, 0.04);
 *
 * Threads: all are safe to call at the same time.
 */
#ifndef GLN_SAMPLER_SECOND_LOOKS_H
#define GLN_SAMPLER_SECOND_LOOKS_H

#include <stddef.h>

/*
 * The probability that a suspect (label_checks.h) is wrong, by Bayes: the odds of the suggested class against the given
 * one by the classifier that never saw it, the odds of the neighbours' votes (each side with one vote more), times the
 * odds noise_rate / (1 - noise_rate) of any label being wrong. What is NaN is left out; a noise rate outside (0, 1) is
 * taken as 0.02.
 */
double gln_label_p_wrong(double p_given, double p_suggested, size_t votes_given, size_t votes_suggested,
                         double noise_rate);

/*
 * New labels that one corrected label is worth. Of n labels of which a share rho is wrong, as likely any other class,
 * about n (1 - rho K / (K - 1))^2 are left in effect (Natarajan et al. 2013 for two classes). A new label adds the
 * square once; a corrected one moves rho by 1 / n. Their ratio is 2 K / (K - 1) / (1 - rho K / (K - 1)): 4 of two
 * classes, 2.2 of ten with few errors. At least two classes and at most half of what makes labels worthless are
 * assumed.
 */
double gln_corrected_label_worth(size_t n_classes, double noise_rate);

/* What p_wrong is to be multiplied by, from second looks that came back: corrected ones against the sum of their
   p_wrong, as if two had come out as foretold before. */
double gln_second_looks_factor(double sum_p_wrong, size_t n_corrected);

#endif
