/* What could be proposed now. */
#include "engine/audit.h"

#include "common/memory.h"
#include "common/strbuf.h"

#include <math.h>

gln_status gln_proposal_view_make(gln_proposal_view *view, const gln_moment *m)
{
    const gln_state *state = m->state;
    *view = (gln_proposal_view){0};
    gln_status st = gln_alloc_raw(&view->label, state->n, sizeof *view->label, "labels");
    if (st == GLN_OK) st = gln_alloc_raw(&view->unavailable, state->n, 1, "leases");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < state->n; i++) {
        view->label[i] = m->proposed[i] ? GLN_NO_CLASS : m->label[i];
        view->unavailable[i] = m->unavailable[i] != 0 || m->proposed[i];
    }
    view->pool = (gln_proposal_pool){.n = state->n,
                                     .n_classes = m->classes.n,
                                     .n_clusters = state->n_clusters,
                                     .cluster = state->cluster,
                                     .representative = state->representative,
                                     .label = view->label,
                                     .unavailable = view->unavailable,
                                     .probability = m->probability};
    return GLN_OK;
}

void gln_proposal_view_dispose(gln_proposal_view *view)
{
    gln_free(view->label);
    gln_free(view->unavailable);
    *view = (gln_proposal_view){0};
}

gln_status gln_proposal_options_read(gln_proposal_options *options, double bound, double confidence)
{
    *options = (gln_proposal_options){.bound = isnan(bound) ? GLN_AUDIT_BOUND : bound,
                                      .confidence = isnan(confidence) ? GLN_AUDIT_CONFIDENCE : confidence};
    if (!(options->bound >= 0.001 && options->bound <= 0.5))
        return gln_fail(GLN_E_ARGUMENT, "bound: %g is not from 0.001 to 0.5", bound);
    if (!(options->confidence >= 0.5 && options->confidence <= 0.999))
        return gln_fail(GLN_E_ARGUMENT, "confidence: %g is not from 0.5 to 0.999", confidence);
    return GLN_OK;
}

static int64_t cluster_id(const gln_proposal *p, const gln_moment *m)
{
    return p->kind == GLN_PROPOSAL_CLUSTER ? m->state->cluster_id[p->cluster] : 0;
}

static const char *class_name(const gln_proposal *p, const gln_moment *m)
{
    return p->class == GLN_NO_CLASS ? NULL : m->classes.name[p->class];
}

gln_status gln_proposal_attempt(const gln_proposal *proposal, size_t *out_attempt, const gln_moment *m)
{
    int64_t n = 0, class_id = proposal->class == GLN_NO_CLASS ? 0 : m->classes.id[proposal->class];
    gln_status st = gln_store_audit_attempts(m->reader, m->project.id, gln_proposal_kind_name(proposal->kind),
                                             cluster_id(proposal, m), class_id, &n);
    *out_attempt = (size_t)n + 1;
    return st;
}

/* "cluster 17: 420 images that look like print (probability from 0.95); 12 of 12 labels inside say so. ..." */
static void say(gln_strbuf *text, const gln_proposal *p, const gln_moment *m, const gln_proposal_options *options,
                double price, double seconds)
{
    if (p->kind == GLN_PROPOSAL_DUPLICATES) {
        gln_strbuf_printf(
            text, "%zu images are near-duplicates of labelled ones, in %zu groups: each takes the label of its group.",
            p->n_images, p->n_groups);
    } else if (p->kind == GLN_PROPOSAL_CLUSTERS) {
        gln_strbuf_printf(text,
                          "%zu images that classifier and clusters agree on, in %zu groups: each takes the class that "
                          "it is predicted as.",
                          p->n_images, p->n_groups);
    } else {
        gln_strbuf_printf(text, "Cluster %lld: %zu images", (long long)cluster_id(p, m), p->n_images);
        if (!isnan(p->mean_p))
            gln_strbuf_printf(text, " predicted as %s, with %.3f against the runner-up on average", class_name(p, m),
                              p->mean_p);
        else gln_strbuf_printf(text, " to be called %s", class_name(p, m));
        if (p->n_labels != 0)
            gln_strbuf_printf(text, "; %zu of %zu labels inside the cluster say so", p->n_agree, p->n_labels);
        gln_strbuf_append(text, ".");
    }
    gln_strbuf_printf(text, " Label %zu of them at random", p->plan.sample);
    if (price > 0.0) gln_strbuf_printf(text, " (%.2f %s, %.0f min)", price, m->project.currency, ceil(seconds / 60.0));
    else gln_strbuf_printf(text, " (%.0f min)", ceil(seconds / 60.0));
    gln_strbuf_printf(text,
                      ": if at most %zu disagree, at most %.3g%% of the other %zu are wrong, with %.3g%% confidence.",
                      p->plan.allowed, 100.0 * options->bound, p->n_images - p->plan.sample,
                      100.0 * options->confidence);
    if (p->attempt > 1) gln_strbuf_printf(text, " This is audit %zu of this group, which makes it larger.", p->attempt);
}

gln_json *gln_proposal_json(const gln_proposal *p, const gln_moment *m, const gln_proposal_options *options,
                            double price, double seconds)
{
    gln_strbuf words;
    gln_strbuf_init(&words, 2048);
    say(&words, p, m, options, price, seconds);
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "kind", gln_proposal_kind_name(p->kind));
    gln_json_set_number(json, "cluster", p->kind == GLN_PROPOSAL_CLUSTER ? (double)cluster_id(p, m) : (double)NAN);
    gln_json_set_string(json, "class", class_name(p, m));
    gln_json_set_number(json, "images", (double)p->n_images);
    gln_json_set_number(json, "groups", (double)p->n_groups);
    gln_json_set_number(json, "labels", (double)p->n_labels);
    gln_json_set_number(json, "agree", (double)p->n_agree);
    gln_json_set_number(json, "purity", (double)p->n_agree / (double)p->n_labels);
    gln_json_set_number(json, "p", p->mean_p);
    gln_json_set_number(json, "least_p",
                        isnan(p->mean_p) || p->kind != GLN_PROPOSAL_CLUSTER ? (double)NAN
                                                                            : round(1e4 * (double)p->least_p) / 1e4);
    gln_json_set_number(json, "expected_error", p->expected_error);
    gln_json_set_number(json, "bound_before", p->bound_before);
    gln_json_set_number(json, "bound_after", p->bound_after);
    gln_json_set_number(json, "sample", (double)p->plan.sample);
    gln_json_set_number(json, "allowed", (double)p->plan.allowed);
    gln_json_set_number(json, "p_pass", p->plan.p_pass);
    gln_json_set_number(json, "saves", (double)(p->n_images - p->plan.sample));
    gln_json_set_number(json, "price", price);
    gln_json_set_number(json, "minutes", seconds / 60.0);
    gln_json_set_number(json, "attempt", (double)p->attempt);
    gln_json_set_string(json, "words", words.data);
    gln_strbuf_dispose(&words);
    return json;
}

/* Price and seconds of the sample, expected: as many of each class as the lot has. */
static gln_status cost_of(double *price, double *seconds, const gln_proposal *p, const gln_moment *m,
                          const gln_proposal_pool *pool)
{
    double share = (double)p->plan.sample / (double)p->n_images;
    uint32_t *image = NULL;
    int32_t *class = NULL;
    size_t n = 0;
    *price = *seconds = 0.0;
    if (p->class != GLN_NO_CLASS) {
        *price = m->classes.price[p->class] * (double)p->plan.sample;
        *seconds = m->seconds_factor[p->cluster] * m->classes.seconds[p->class] * (double)p->plan.sample;
        return GLN_OK;
    }
    gln_status st = gln_proposal_images(&image, &class, &n, pool, p);
    for (size_t i = 0; i < n; i++) {
        *price += share * m->classes.price[class[i]];
        *seconds += share * gln_moment_seconds(m, image[i], class[i]);
    }
    gln_free(image);
    gln_free(class);
    return st;
}

/* An audit that was made before makes the next one of its group larger: what is not worth that one goes. */
static gln_status plan_again(gln_proposals *proposals, const gln_moment *m, const gln_proposal_options *options)
{
    size_t n = 0, attempt = 0;
    gln_status st = GLN_OK;
    for (size_t i = 0; st == GLN_OK && i < proposals->n; i++) {
        st = gln_proposal_attempt(&proposals->item[i], &attempt, m);
        if (attempt == 1 || gln_proposal_replan(&proposals->item[i], options, attempt))
            proposals->item[n++] = proposals->item[i];
        else proposals->n_skipped++;
    }
    proposals->n = n;
    gln_proposals_order(proposals);
    return st;
}

static gln_status list(gln_json *items, size_t *out_skipped, gln_moment *m, const gln_proposal_options *options)
{
    gln_proposal_view view = {0};
    gln_proposals proposals = {0};
    gln_status st = gln_proposal_view_make(&view, m);
    if (st == GLN_OK) st = gln_proposals_find(&proposals, &view.pool, options);
    if (st == GLN_OK) st = plan_again(&proposals, m, options);
    *out_skipped = proposals.n_skipped;
    for (size_t i = 0; st == GLN_OK && i < proposals.n; i++) {
        const gln_proposal *p = &proposals.item[i];
        double price = 0.0, seconds = 0.0;
        st = cost_of(&price, &seconds, p, m, &view.pool);
        if (st == GLN_OK) gln_json_push(items, gln_proposal_json(p, m, options, price, seconds));
    }
    gln_proposals_dispose(&proposals);
    gln_proposal_view_dispose(&view);
    return st;
}

gln_status gln_engine_proposals(gln_json **out, gln_engine *engine, int64_t project_id, double bound, double confidence)
{
    gln_moment m = {.engine = engine};
    gln_proposal_options options;
    gln_strbuf words;
    size_t n_skipped = 0;
    gln_json *items = gln_json_array();
    *out = NULL;
    gln_strbuf_init(&words, 512);
    gln_status st = gln_proposal_options_read(&options, bound, confidence);
    if (st == GLN_OK) st = gln_moment_take(&m, engine, project_id);
    if (st == GLN_OK) st = list(items, &n_skipped, &m, &options);
    if (st == GLN_OK) {
        size_t n = gln_json_count(items);
        if (n == 0 && m.probability == NULL)
            gln_strbuf_append(&words,
                              "Nothing to propose: without a classifier only clusters with a few labels of one class, "
                              "and near-duplicates of labelled images.");
        else if (n == 0)
            gln_strbuf_printf(
                &words,
                "Nothing to propose: an audit of any of the %zu groups would cost about as many labels as it saves.",
                n_skipped);
        else
            gln_strbuf_printf(
                &words, "%zu group%s could be labelled after an audit; %zu more would cost about as much as they save.",
                n, n == 1 ? "" : "s", n_skipped);
        *out = gln_json_object();
        gln_json_set_number(*out, "bound", options.bound);
        gln_json_set_number(*out, "confidence", options.confidence);
        gln_json_set_number(*out, "run", (double)m.state->run_id);
        gln_json_set_string(*out, "words", words.data);
        gln_json_set(*out, "items", items);
        items = NULL;
    }
    gln_json_free(items);
    gln_strbuf_dispose(&words);
    gln_moment_give(&m);
    return st;
}
