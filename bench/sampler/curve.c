/*
 * Plays gleaner against a simulated annotator: how its selection grows from no label at all, on a pool whose labels are known.
 *
 *     bench_curve POOL [--seeds 1-10] [--budgets 10,20,50,100,200,500] [--json]
 *
 * POOL is a folder of bench/sampler/pools.py. Each round is one night of the engine: the classifier is searched for and scores the pool as
 * engine/resample.c does it, then gln_select() chooses up to the next budget with the published defaults, as engine/batch.c does it, and
 * the true labels come back. Classes are known by name from the start, without labels. Neighbours, duplicates and their threshold are
 * found once; clusters once a seed, since the engine makes them from the seed too. Near-duplicates of what is labelled stay unlabelled.
 *
 * Prints a table (means over the seeds), or with --json a line for each seed: the images in the order chosen, their arms, and what
 * every round knew.
 */
#include "bench/sampler/npy.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/rng.h"
#include "index/kmeans.h"
#include "index/neighbours.h"
#include "kernels/kernels.h"
#include "sampler/duplicates.h"
#include "sampler/select.h"
#include "sampler/svm.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LIST = 64 };

struct curve {
    /* the pool */
    gln_embeddings pool;
    int32_t *truth;           /* [n] */
    size_t n_classes;
    gln_graph *graph;
    uint32_t *representative; /* [n] */
    gln_pool *threads;
    /* one seed */
    uint64_t seed;
    gln_kmeans_result clusters;
    int32_t *label;           /* [n] */
    float *probability;       /* [n, n_classes] */
    double *hit_rate;         /* [n_classes] */
    uint32_t *chosen;         /* [n] in the order chosen */
    gln_arm *arm;             /* [n] */
    size_t n_chosen;
    bool classified;
};

struct options {
    const char *pool;
    size_t budget[MAX_LIST], n_budgets;
    size_t seed[MAX_LIST], n_seeds;
    size_t n_clusters, n_threads;
    bool json;
};

/* What a budget's selection looks like, summed over seeds for the table. */
struct round_facts {
    double entropy, n_missing, smallest_share, coverage, cv_score;
    double classifier_s, select_s;
    gln_svm_point point;
};

/* ---- the pool ------------------------------------------------------------------------------------------------------------ */

static gln_status read_pool(struct curve *c, unsigned char **rows, const char *folder)
{
    char path[GLN_PATH_MAX];
    float *x = NULL;
    size_t n_labels = 0, row_bytes = 0;
    gln_status st = gln_path_join(path, folder, "pool.npy");
    if (st == GLN_OK) st = gln_npy_read_f32(&x, &c->pool.n, &c->pool.d, path);
    if (st == GLN_OK) st = gln_path_join(path, folder, "pool_labels.npy");
    if (st == GLN_OK) st = gln_npy_read_i32(&c->truth, &n_labels, path);
    if (st == GLN_OK && n_labels != c->pool.n)
        st = gln_fail(GLN_E_FORMAT, "%s: %zu labels for %zu images", path, n_labels, c->pool.n);
    for (size_t i = 0; i < n_labels && st == GLN_OK; i++) {
        if (c->truth[i] < 0 || c->truth[i] > 65535) st = gln_fail(GLN_E_FORMAT, "%s: label %zu is %d", path, i, (int)c->truth[i]);
        else if ((size_t)c->truth[i] >= c->n_classes) c->n_classes = (size_t)c->truth[i] + 1;
    }
    /* Float16 rows, as in a vectors file. */
    if (st == GLN_OK && (!gln_mul_size(&row_bytes, c->pool.d, 2) || !gln_add_size(&row_bytes, row_bytes, 15)))
        st = gln_fail(GLN_E_LIMIT, "%s: %zu numbers a row", folder, c->pool.d);
    c->pool.stride_bytes = row_bytes / 16 * 16;
    if (st == GLN_OK) st = gln_alloc(rows, c->pool.n, c->pool.stride_bytes, "embeddings");
    if (st == GLN_OK) {
        for (size_t i = 0; i < c->pool.n; i++)
            gln_kernels()->f32_to_f16((uint16_t *)(void *)(*rows + i * c->pool.stride_bytes), x + i * c->pool.d, c->pool.d);
        c->pool.data = *rows;
    }
    gln_free(x);
    return st;
}

static gln_status prepare(struct curve *c)
{
    gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
    size_t n = c->pool.n, n_groups = 0, probability_bytes = 0;
    gln_status st = gln_graph_build(&c->graph, &c->pool, &options, NULL);
    if (st == GLN_OK && !gln_mul_size(&probability_bytes, c->n_classes, sizeof *c->probability))
        st = gln_fail(GLN_E_LIMIT, "%zu classes", c->n_classes);
    if (st == GLN_OK) st = gln_alloc(&c->representative, n, sizeof *c->representative, "duplicate groups");
    if (st == GLN_OK)
        st = gln_duplicates_find(c->representative, &n_groups, &c->pool, c->graph, gln_duplicates_threshold(c->graph),
                                 GLN_DUPLICATES_MAX_GROUP);
    if (st == GLN_OK) st = gln_alloc(&c->label, n, sizeof *c->label, "labels");
    if (st == GLN_OK) st = gln_alloc(&c->probability, n, probability_bytes, "probabilities");
    if (st == GLN_OK) st = gln_alloc(&c->hit_rate, c->n_classes, sizeof *c->hit_rate, "hit rates");
    if (st == GLN_OK) st = gln_alloc(&c->chosen, n, sizeof *c->chosen, "chosen images");
    if (st == GLN_OK) st = gln_alloc(&c->arm, n, sizeof *c->arm, "arms");
    return st;
}

/* ---- one round ------------------------------------------------------------------------------------------------------------- */

static gln_status classify(struct curve *c, struct round_facts *facts)
{
    gln_svm *svm = NULL;
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    bool several = false;
    for (size_t k = 1; k < c->n_chosen; k++) several = several || c->truth[c->chosen[k]] != c->truth[c->chosen[0]];
    c->classified = several;
    if (!several) return GLN_OK;
    options.seed = c->seed;
    double started_s = gln_clock_monotonic_s();
    gln_status st = gln_svm_search_pool(&svm, &c->pool, c->label, c->representative, c->n_classes, &options, c->threads, NULL);
    if (st == GLN_OK) st = gln_svm_score(svm, &c->pool, c->probability, c->threads, NULL);
    if (st == GLN_OK) {
        const gln_svm_card *card = gln_svm_card_of(svm);
        memcpy(c->hit_rate, card->hit_rate, c->n_classes * sizeof *c->hit_rate);
        facts->point = card->chosen;
        facts->cv_score = card->chosen.score;
        facts->classifier_s = gln_clock_monotonic_s() - started_s;
    }
    gln_svm_free(svm);
    return st;
}

static gln_status choose(struct curve *c, size_t size, struct round_facts *facts)
{
    gln_select_pool pool = {
        .n = c->pool.n,
        .n_classes = c->n_classes,
        .n_clusters = c->clusters.k,
        .embeddings = &c->pool,
        .cluster = c->clusters.cluster,
        .representative = c->representative,
        .label = c->label,
        .probability = c->classified ? c->probability : NULL,
        .hit_rate = c->hit_rate,
    };
    gln_select_request request = GLN_SELECT_REQUEST_INIT;
    gln_selection selection = {0};
    request.size = size;
    request.seed = gln_rng_mix(c->seed, c->n_chosen);
    double started_s = gln_clock_monotonic_s();
    gln_status st = gln_select(&selection, &pool, &request, c->threads);
    facts->select_s = gln_clock_monotonic_s() - started_s;
    facts->coverage = selection.coverage;
    for (size_t k = 0; k < selection.n; k++) {
        uint32_t image = selection.candidate[k].image;
        c->arm[c->n_chosen] = selection.candidate[k].arm;
        c->chosen[c->n_chosen++] = image;
        c->label[image] = c->truth[image];
    }
    gln_selection_dispose(&selection);
    return st;
}

static gln_status describe(const struct curve *c, struct round_facts *facts)
{
    uint32_t *count = NULL;
    gln_status st = gln_alloc(&count, c->n_classes, sizeof *count, "class counts");
    if (st != GLN_OK) return st;
    uint32_t least = UINT32_MAX;
    for (size_t k = 0; k < c->n_chosen; k++) count[c->truth[c->chosen[k]]]++;
    for (size_t k = 0; k < c->n_classes; k++) {
        facts->n_missing += count[k] == 0;
        if (count[k] < least) least = count[k];
    }
    facts->entropy = gln_balance_entropy(count, c->n_classes);
    facts->smallest_share = (double)least / (double)c->n_chosen;
    gln_free(count);
    return GLN_OK;
}

/* ---- a seed ---------------------------------------------------------------------------------------------------------------- */

static gln_status play(struct curve *c, const struct options *options, struct round_facts *facts)
{
    gln_kmeans_options kmeans = GLN_KMEANS_OPTIONS_INIT;
    kmeans.k = options->n_clusters != 0 ? options->n_clusters : gln_kmeans_default_k(c->pool.n);
    kmeans.seed = c->seed;
    gln_kmeans_dispose(&c->clusters);
    gln_status st = gln_kmeans(&c->clusters, &c->pool, &kmeans, NULL);
    c->n_chosen = 0;
    for (size_t i = 0; i < c->pool.n; i++) c->label[i] = GLN_NO_CLASS;
    for (size_t k = 0; k < c->n_classes; k++) c->hit_rate[k] = 1.0;
    for (size_t b = 0; b < options->n_budgets && st == GLN_OK; b++) {
        size_t budget = options->budget[b] < c->pool.n ? options->budget[b] : c->pool.n;
        facts[b] = (struct round_facts){0};
        st = classify(c, &facts[b]);
        if (st == GLN_OK && budget > c->n_chosen) st = choose(c, budget - c->n_chosen, &facts[b]);
        if (st == GLN_OK) st = describe(c, &facts[b]);
    }
    return st;
}

static void print_json(const struct curve *c, const struct options *options, const struct round_facts *facts)
{
    gln_json *out = gln_json_object();
    gln_json_set_number(out, "seed", (double)c->seed);
    gln_json_set_number(out, "clusters", (double)c->clusters.k);
    gln_json *selected = gln_json_set(out, "selected", gln_json_array());
    gln_json *arms = gln_json_set(out, "arms", gln_json_array());
    for (size_t k = 0; k < c->n_chosen; k++) {
        gln_json_push(selected, gln_json_new_number(c->chosen[k]));
        gln_json_push(arms, gln_json_new_string(gln_arm_name(c->arm[k])));
    }
    gln_json *rounds = gln_json_set(out, "rounds", gln_json_array());
    for (size_t b = 0; b < options->n_budgets; b++) {
        gln_json *round = gln_json_push(rounds, gln_json_object());
        gln_json_set_number(round, "budget", (double)options->budget[b]);
        gln_json_set_number(round, "entropy", facts[b].entropy);
        gln_json_set_number(round, "missing", facts[b].n_missing);
        gln_json_set_number(round, "smallest_share", facts[b].smallest_share);
        gln_json_set_number(round, "coverage", facts[b].coverage);
        gln_json_set_number(round, "classifier_s", facts[b].classifier_s);
        gln_json_set_number(round, "select_s", facts[b].select_s);
        if (facts[b].point.c == 0.0) continue;
        gln_json_set_string(round, "kernel", gln_svm_kernel_name(facts[b].point.kernel));
        gln_json_set_number(round, "c", facts[b].point.c);
        gln_json_set_number(round, "gamma", facts[b].point.gamma);
        gln_json_set_number(round, "cv_score", facts[b].cv_score);
    }
    char *text = gln_json_print(out, false);
    puts(text != NULL ? text : "");
    fflush(stdout);
    gln_free(text);
    gln_json_free(out);
}

/* ---- the command line -------------------------------------------------------------------------------------------------------- */

/* "1,2,5-10" */
static bool parse_list(size_t *out, size_t *n, const char *text)
{
    *n = 0;
    for (const char *at = text; *at != 0;) {
        char *end = NULL;
        size_t first = strtoul(at, &end, 10), last = first;
        if (end == at || first == 0) return false;
        if (*end == '-') {
            at = end + 1;
            last = strtoul(at, &end, 10);
            if (end == at || last < first) return false;
        }
        for (size_t value = first; value <= last; value++) {
            if (*n == MAX_LIST) return false;
            out[(*n)++] = value;
        }
        if (*end != ',' && *end != 0) return false;
        at = *end == ',' ? end + 1 : end;
    }
    return *n > 0;
}

static bool parse_options(struct options *o, int argc, char **argv)
{
    static const struct option known[] = {{"seeds", required_argument, NULL, 's'},   {"budgets", required_argument, NULL, 'b'},
                                          {"clusters", required_argument, NULL, 'k'}, {"threads", required_argument, NULL, 't'},
                                          {"json", no_argument, NULL, 'j'},          {NULL, 0, NULL, 0}};
    bool fine = parse_list(o->seed, &o->n_seeds, "1-10") && parse_list(o->budget, &o->n_budgets, "10,20,50,100,200,500");
    for (int option; fine && (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 's') fine = parse_list(o->seed, &o->n_seeds, optarg);
        else if (option == 'b') fine = parse_list(o->budget, &o->n_budgets, optarg);
        else if (option == 'k') o->n_clusters = strtoul(optarg, NULL, 10);
        else if (option == 't') o->n_threads = strtoul(optarg, NULL, 10);
        else if (option == 'j') o->json = true;
        else fine = false;
    }
    if (fine && optind + 1 == argc) o->pool = argv[optind];
    return o->pool != NULL;
}

int main(int argc, char **argv)
{
    static struct options options;
    static struct curve c;
    static struct round_facts facts[MAX_LIST], sum[MAX_LIST];
    unsigned char *rows = NULL;
    if (!parse_options(&options, argc, argv)) {
        fprintf(stderr, "usage: bench_curve POOL [--seeds 1-10] [--budgets 10,20,50,100,200,500] [--clusters K] [--threads N] [--json]\n");
        return 2;
    }
    gln_status st = gln_pool_create(&c.threads, options.n_threads);
    if (st == GLN_OK) st = read_pool(&c, &rows, options.pool);
    if (st == GLN_OK) st = prepare(&c);
    for (size_t s = 0; s < options.n_seeds && st == GLN_OK; s++) {
        c.seed = options.seed[s];
        if ((st = play(&c, &options, facts)) != GLN_OK) break;
        if (options.json) print_json(&c, &options, facts);
        for (size_t b = 0; b < options.n_budgets; b++) {
            sum[b].entropy += facts[b].entropy / (double)options.n_seeds;
            sum[b].n_missing += facts[b].n_missing / (double)options.n_seeds;
            sum[b].smallest_share += facts[b].smallest_share / (double)options.n_seeds;
            sum[b].coverage += facts[b].coverage / (double)options.n_seeds;
            sum[b].classifier_s += facts[b].classifier_s / (double)options.n_seeds;
            sum[b].select_s += facts[b].select_s / (double)options.n_seeds;
        }
    }
    if (st == GLN_OK && !options.json) {
        printf("%zu images, %zu classes, %zu seeds\n", c.pool.n, c.n_classes, options.n_seeds);
        printf("labels  entropy  missing  smallest  coverage  classifier s  select ms\n");
        for (size_t b = 0; b < options.n_budgets; b++)
            printf("%6zu  %7.3f  %7.2f  %8.3f  %8.3f  %12.3f  %9.2f\n", options.budget[b], sum[b].entropy, sum[b].n_missing,
                   sum[b].smallest_share, sum[b].coverage, sum[b].classifier_s, 1000.0 * sum[b].select_s);
    }
    gln_kmeans_dispose(&c.clusters);
    gln_graph_free(c.graph);
    gln_pool_free(c.threads);
    gln_free(rows);
    gln_free(c.truth);
    gln_free(c.representative);
    gln_free(c.label);
    gln_free(c.probability);
    gln_free(c.hit_rate);
    gln_free(c.chosen);
    gln_free(c.arm);
    if (st != GLN_OK) fprintf(stderr, "bench_curve: %s\n", gln_message());
    return st == GLN_OK ? 0 : 1;
}
