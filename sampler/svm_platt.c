/*
 * From decision values to probabilities.
 *
 * Platt scaling a pair: a sigmoid fitted by regularised maximum likelihood, with the Newton method and backtracking of
 * Lin, Lin and Weng ("A note on Platt's probabilistic outputs", 2007, algorithm 1), on decision values that were held
 * out. Then pairwise coupling, the second method of Wu, Lin and Weng (2004, section 4, algorithm 2). Constants and
 * stopping rules are those of libsvm, so that the results agree with svm_predict_probability for the same model; the
 * difference is where the sigmoids come from: our folds keep duplicates together, are seeded, and were needed for the
 * search anyway.
 *
 * With two or three labels a class a fitted slope is mostly noise, often zero, and would flatten probabilities whose
 * order is right. It is therefore shrunk towards a usual sigmoid, as if SHRINK_LABELS labels a class had been seen
 * before.
 */
#include "sampler/svm_model.h"

#include <math.h>

#define NEWTON_STEPS_MAX 100
#define NEWTON_STEP_MIN 1e-10
#define NEWTON_RIDGE 1e-12
#define NEWTON_TOLERANCE 1e-5
#define PROBABILITY_MIN 1e-7
#define COUPLING_STEPS_MIN ((size_t)100)
#define COUPLING_TOLERANCE 0.005
#define SHRINK_LABELS 4.0

/* log(1 + exp(t a + b) ...) of one example, written so that it cannot overflow. */
static double loss_of(double target, double f_ab)
{
    return f_ab >= 0.0 ? target * f_ab + log1p(exp(-f_ab)) : (target - 1.0) * f_ab + log1p(exp(f_ab));
}

static double first_probability(double f_ab)
{
    return f_ab >= 0.0 ? exp(-f_ab) / (1.0 + exp(-f_ab)) : 1.0 / (1.0 + exp(f_ab));
}

static double total_loss(const double *decision, const bool *first, size_t n, double high, double low, double a,
                         double b)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += loss_of(first[i] ? high : low, decision[i] * a + b);
    return sum;
}

gln_svm_sigmoid gln_svm_platt(const double *decision, const bool *first, size_t n)
{
    double n_first = 0.0;
    for (size_t i = 0; i < n; i++) n_first += first[i] ? 1.0 : 0.0;
    double n_second = (double)n - n_first;
    if (n_first == 0.0 || n_second == 0.0) return (gln_svm_sigmoid)GLN_SVM_SIGMOID_DEFAULT;
    double high = (n_first + 1.0) / (n_first + 2.0), low = 1.0 / (n_second + 2.0);
    double a = 0.0, b = log((n_second + 1.0) / (n_first + 1.0));
    double loss = total_loss(decision, first, n, high, low, a, b);
    for (int step = 0; step < NEWTON_STEPS_MAX; step++) {
        double h11 = NEWTON_RIDGE, h22 = NEWTON_RIDGE, h21 = 0.0, g1 = 0.0, g2 = 0.0;
        for (size_t i = 0; i < n; i++) {
            double p = first_probability(decision[i] * a + b), curvature = p * (1.0 - p);
            double slope = (first[i] ? high : low) - p;
            h11 += decision[i] * decision[i] * curvature;
            h22 += curvature;
            h21 += decision[i] * curvature;
            g1 += decision[i] * slope;
            g2 += slope;
        }
        if (fabs(g1) < NEWTON_TOLERANCE && fabs(g2) < NEWTON_TOLERANCE) break;
        double determinant = h11 * h22 - h21 * h21;
        double da = -(h22 * g1 - h21 * g2) / determinant, db = -(-h21 * g1 + h11 * g2) / determinant;
        double along = g1 * da + g2 * db, size = 1.0;
        for (; size >= NEWTON_STEP_MIN; size /= 2.0) {
            double next = total_loss(decision, first, n, high, low, a + size * da, b + size * db);
            if (next < loss + 1e-4 * size * along) {
                a += size * da;
                b += size * db;
                loss = next;
                break;
            }
        }
        if (size < NEWTON_STEP_MIN) break;
    }
    return (gln_svm_sigmoid){.a = a, .b = b};
}

gln_svm_sigmoid gln_svm_platt_shrunk(const double *decision, const bool *first, size_t n)
{
    const gln_svm_sigmoid usual = GLN_SVM_SIGMOID_DEFAULT;
    gln_svm_sigmoid fitted = gln_svm_platt(decision, first, n);
    size_t n_first = 0;
    for (size_t i = 0; i < n; i++) n_first += first[i] ? 1 : 0;
    double fewer = (double)(n_first < n - n_first ? n_first : n - n_first), of_fit = fewer / (fewer + SHRINK_LABELS);
    /* A slope the wrong way round says that held-out values carried no information, not that the machine is to be
       inverted. */
    if (fitted.a > 0.0) fitted = (gln_svm_sigmoid){0.0, 0.0};
    return (gln_svm_sigmoid){.a = of_fit * fitted.a + (1.0 - of_fit) * usual.a,
                             .b = of_fit * fitted.b + (1.0 - of_fit) * usual.b};
}

/* p [n] from r [n, n], r[i][j] = P(i | i or j); q [n, n] scratch. */
static void couple(double *p, const double *r, double *q, size_t n)
{
    size_t steps = n > COUPLING_STEPS_MIN ? n : COUPLING_STEPS_MIN;
    double tolerance = COUPLING_TOLERANCE / (double)n;
    for (size_t t = 0; t < n; t++) {
        p[t] = 1.0 / (double)n;
        q[t * n + t] = 0.0;
        for (size_t j = 0; j < n; j++) {
            if (j == t) continue;
            q[t * n + t] += r[j * n + t] * r[j * n + t];
            q[t * n + j] = -r[j * n + t] * r[t * n + j];
        }
    }
    for (size_t step = 0; step < steps; step++) {
        double p_q_p = 0.0, worst = 0.0;
        /* Q p, kept in the first row of scratch beyond q. */
        double *qp = q + n * n;
        for (size_t t = 0; t < n; t++) {
            qp[t] = 0.0;
            for (size_t j = 0; j < n; j++) qp[t] += q[t * n + j] * p[j];
            p_q_p += p[t] * qp[t];
        }
        for (size_t t = 0; t < n; t++) {
            double error = fabs(qp[t] - p_q_p);
            if (error > worst) worst = error;
        }
        if (worst < tolerance) break;
        for (size_t t = 0; t < n; t++) {
            double change = (-qp[t] + p_q_p) / q[t * n + t];
            p[t] += change;
            p_q_p = (p_q_p + change * (change * q[t * n + t] + 2.0 * qp[t])) / (1.0 + change) / (1.0 + change);
            for (size_t j = 0; j < n; j++) {
                qp[j] = (qp[j] + change * q[t * n + j]) / (1.0 + change);
                p[j] /= 1.0 + change;
            }
        }
    }
}

void gln_svm_couple(double *probability, const double *decision, const gln_svm_sigmoid *sigmoid, size_t n_active,
                    double *scratch)
{
    double *r = scratch, *q = scratch + n_active * n_active;
    for (size_t i = 0; i < n_active; i++) {
        r[i * n_active + i] = 0.0;
        for (size_t j = i + 1; j < n_active; j++) {
            size_t pair = gln_svm_pair(i, j, n_active);
            /* A pair that was not trained has no opinion. */
            double p = isnan(decision[pair]) ? 0.5
                                             : first_probability(decision[pair] * sigmoid[pair].a + sigmoid[pair].b);
            p = fmin(fmax(p, PROBABILITY_MIN), 1.0 - PROBABILITY_MIN);
            r[i * n_active + j] = p;
            r[j * n_active + i] = 1.0 - p;
        }
    }
    if (n_active == 2) {
        probability[0] = r[1];
        probability[1] = r[2];
        return;
    }
    couple(probability, r, q, n_active);
}
