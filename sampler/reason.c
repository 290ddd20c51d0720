/* What is said about a choice, and the figure for balance. */
#include "sampler/select.h"

#include <math.h>
#include <stdio.h>

const char *gln_arm_name(gln_arm arm)
{
    switch (arm) {
    case GLN_ARM_QUOTA: return "quota";
    case GLN_ARM_EXPLORE: return "explore";
    case GLN_ARM_AUDIT: return "audit";
    }
    return "unknown";
}

void gln_candidate_reason(char *out, size_t capacity, const gln_candidate *c, const char *const *class_names)
{
    char why[256], prediction[512] = "", nearest[64] = "", group[64] = "";
    if (c->arm == GLN_ARM_QUOTA) snprintf(why, sizeof why, "fills %s", class_names[c->quota_class]);
    else if (c->arm == GLN_ARM_AUDIT)
        snprintf(why, sizeof why, "random check (1 in %.0f)", 1.0 / c->inclusion_probability);
    else if (c->news) snprintf(why, sizeof why, "drift: lies where new images differ from those before");
    else if (c->nearest_labelled == GLN_NO_NEIGHBOUR) snprintf(why, sizeof why, "typical of its group");
    else snprintf(why, sizeof why, "looks into what few labels cover");
    if (c->predicted != GLN_NO_CLASS && c->runner_up != GLN_NO_CLASS)
        snprintf(prediction, sizeof prediction, ": predicted %s %.2f, %s %.2f", class_names[c->predicted],
                 (double)c->p_predicted, class_names[c->runner_up], (double)c->p_runner_up);
    if (c->nearest_labelled != GLN_NO_NEIGHBOUR)
        snprintf(nearest, sizeof nearest, "; cosine %.2f to the nearest labelled", (double)c->nearest_similarity);
    if (c->represents > 1) snprintf(group, sizeof group, "; stands for %u near-duplicates", c->represents);
    snprintf(out, capacity, "%s%s%s%s", why, prediction, nearest, group);
}

double gln_balance_entropy(const uint32_t *count, size_t n_classes)
{
    double total = 0.0, entropy = 0.0;
    for (size_t c = 0; c < n_classes; c++) total += count[c];
    if (total == 0.0 || n_classes < 2) return 0.0;
    for (size_t c = 0; c < n_classes; c++)
        if (count[c] != 0) entropy -= count[c] / total * log(count[c] / total);
    return entropy / log((double)n_classes);
}
