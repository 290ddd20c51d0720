/*
 * How long the search for the classifier takes, and what it finds: the C side of svm_search.py and svm_many.py.
 *
 *     bench_svm ROWS.npy LABELS.npy N [--c 0.125,0.5 --gamma 0.5,2] [--search-rows M] [--exact-rows E] [--landmarks L]
 *               [--test ROWS.npy LABELS.npy] [--repeat 3] [--threads T]
 *
 * The first N rows and labels; both kernels, five folds; the grid as given and nothing finer, or without one as a resample searches.
 * Prints one line of JSON: seconds of each repetition of gln_svm_search(), which includes the final model and its probabilities, the
 * point chosen, the process's peak memory before the search and after it; with --test the balanced accuracy there by the largest
 * probability, and how probable the true class was (mean of its logarithm).
 */
#include "bench/sampler/npy.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/memory.h"
#include "kernels/kernels.h"
#include "sampler/svm.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { MAX_VALUES = 64 };

struct options {
    double c[MAX_VALUES], gamma[MAX_VALUES];
    size_t n_c, n_gamma, n, search_rows, exact_rows, n_landmarks, n_repeat, n_threads;
    const char *test_rows, *test_labels;
};

static bool parse_values(double *out, size_t *n, const char *text)
{
    *n = 0;
    while (*n < MAX_VALUES) {
        char *end = NULL;
        out[(*n)++] = strtod(text, &end);
        if (end == text) return false;
        if (*end == 0) return true;
        if (*end != ',') return false;
        text = end + 1;
    }
    return false;
}

static bool parse_options(struct options *o, int argc, char **argv)
{
    static const struct option known[] = {{"c", required_argument, NULL, 'c'},           {"gamma", required_argument, NULL, 'g'},
                                          {"search-rows", required_argument, NULL, 'm'}, {"repeat", required_argument, NULL, 'r'},
                                          {"threads", required_argument, NULL, 't'},     {"exact-rows", required_argument, NULL, 'e'},
                                          {"landmarks", required_argument, NULL, 'l'},   {"test", required_argument, NULL, 'T'},
                                          {NULL, 0, NULL, 0}};
    bool fine = true;
    o->n_repeat = 1;
    for (int option; fine && (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 'c') fine = parse_values(o->c, &o->n_c, optarg);
        else if (option == 'g') fine = parse_values(o->gamma, &o->n_gamma, optarg);
        else if (option == 'm') o->search_rows = strtoul(optarg, NULL, 10);
        else if (option == 'r') o->n_repeat = strtoul(optarg, NULL, 10);
        else if (option == 't') o->n_threads = strtoul(optarg, NULL, 10);
        else if (option == 'e') o->exact_rows = strtoul(optarg, NULL, 10);
        else if (option == 'l') o->n_landmarks = strtoul(optarg, NULL, 10);
        else if (option == 'T' && optind < argc) {
            o->test_rows = optarg;
            o->test_labels = argv[optind++];
        } else fine = false;
    }
    if (!fine || optind + 3 != argc || (o->n_c == 0) != (o->n_gamma == 0)) return false;
    o->n = strtoul(argv[optind + 2], NULL, 10);
    return o->n > 0 && o->n_repeat > 0;
}

/* Balanced accuracy, and the mean logarithm of the true class's probability, on other rows. */
static gln_status test_on(gln_json *out, const gln_svm *svm, const struct options *o, size_t n_classes, gln_pool *threads)
{
    float *x = NULL, *p = NULL;
    uint16_t *half = NULL;
    int32_t *y = NULL;
    double *hits = NULL, *count = NULL, log_p = 0.0, sum = 0.0, seen = 0.0;
    size_t n = 0, d = 0, n_labels = 0;
    gln_status st = gln_npy_read_f32(&x, &n, &d, o->test_rows);
    if (st == GLN_OK) st = gln_npy_read_i32(&y, &n_labels, o->test_labels);
    if (st == GLN_OK && n != n_labels) st = gln_fail(GLN_E_ARGUMENT, "%s: %zu rows, %zu labels", o->test_rows, n, n_labels);
    for (size_t i = 0; st == GLN_OK && i < n; i++)
        if (y[i] < 0 || (size_t)y[i] >= n_classes) st = gln_fail(GLN_E_FORMAT, "%s: label %zu is %d", o->test_labels, i, (int)y[i]);
    if (st == GLN_OK) st = gln_alloc_raw(&half, n, d * sizeof *half, "rows");
    if (st == GLN_OK) st = gln_alloc_raw(&p, n, n_classes * sizeof *p, "probabilities");
    if (st == GLN_OK) st = gln_alloc(&hits, n_classes, sizeof *hits, "hits");
    if (st == GLN_OK) st = gln_alloc(&count, n_classes, sizeof *count, "counts");
    if (st != GLN_OK) goto cleanup;
    gln_kernels()->f32_to_f16(half, x, n * d);
    gln_embeddings rows = {.data = (const unsigned char *)half, .stride_bytes = 2 * d, .n = n, .d = d};
    double started_s = gln_clock_monotonic_s();
    if ((st = gln_svm_score(svm, &rows, p, threads, NULL)) != GLN_OK) goto cleanup;
    gln_json_set_number(out, "score_s", gln_clock_monotonic_s() - started_s);
    for (size_t i = 0; i < n; i++) {
        const float *of = p + i * n_classes;
        size_t best = 0;
        for (size_t c = 1; c < n_classes; c++)
            if (of[c] > of[best]) best = c;
        count[y[i]] += 1.0;
        hits[y[i]] += best == (size_t)y[i];
        log_p += log(fmax((double)of[y[i]], 1e-7)) / (double)n;
    }
    for (size_t c = 0; c < n_classes; c++) {
        if (count[c] == 0.0) continue;
        sum += hits[c] / count[c];
        seen += 1.0;
    }
    gln_json_set_number(out, "test_balanced_accuracy", sum / seen);
    gln_json_set_number(out, "test_log_p", log_p);

cleanup:
    gln_free(x);
    gln_free(half);
    gln_free(p);
    gln_free(y);
    gln_free(hits);
    gln_free(count);
    return st;
}

static double peak_mb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024.0;
}

int main(int argc, char **argv)
{
    static struct options o;
    float *x = NULL;
    int32_t *y = NULL;
    size_t n = 0, d = 0, n_labels = 0, n_classes = 0;
    gln_pool *threads = NULL;
    if (!parse_options(&o, argc, argv)) {
        fprintf(stderr, "usage: bench_svm ROWS.npy LABELS.npy N [--c LIST --gamma LIST] [--search-rows M] [--exact-rows E]\n"
                        "       [--landmarks L] [--test ROWS LABELS] [--repeat R] [--threads T]\n");
        return 2;
    }
    const char *rows_path = argv[optind], *labels_path = argv[optind + 1];
    gln_json *out = gln_json_object();
    gln_json *seconds = gln_json_set(out, "seconds", gln_json_array());
    gln_status st = gln_npy_read_f32(&x, &n, &d, rows_path);
    if (st == GLN_OK) st = gln_npy_read_i32(&y, &n_labels, labels_path);
    if (st == GLN_OK && (o.n > n || o.n > n_labels))
        st = gln_fail(GLN_E_ARGUMENT, "%zu rows asked of %zu rows and %zu labels", o.n, n, n_labels);
    for (size_t i = 0; st == GLN_OK && i < o.n; i++) {
        if (y[i] < 0) st = gln_fail(GLN_E_FORMAT, "%s: label %zu is %d", labels_path, i, (int)y[i]);
        else if ((size_t)y[i] >= n_classes) n_classes = (size_t)y[i] + 1;
    }
    if (st == GLN_OK) st = gln_pool_create(&threads, o.n_threads);
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    if (o.n_c != 0) {
        options.c = o.c;
        options.n_c = o.n_c;
        options.gamma = o.gamma;
        options.n_gamma = o.n_gamma;
        options.refine = false;
    }
    options.search_rows = o.search_rows;
    options.exact_rows = o.exact_rows;
    options.n_landmarks = o.n_landmarks;
    gln_json_set_number(out, "peak_before_mb", peak_mb());
    for (size_t r = 0; st == GLN_OK && r < o.n_repeat; r++) {
        gln_svm *svm = NULL;
        double started_s = gln_clock_monotonic_s();
        st = gln_svm_search(&svm, x, y, NULL, o.n, d, n_classes, &options, threads, NULL);
        gln_json_push(seconds, gln_json_new_number(gln_clock_monotonic_s() - started_s));
        if (st == GLN_OK && r + 1 == o.n_repeat) {
            const gln_svm_card *card = gln_svm_card_of(svm);
            gln_json_set_number(out, "points", (double)card->n_grid);
            gln_json_set_number(out, "folds", (double)card->n_folds);
            gln_json_set_string(out, "kernel", gln_svm_kernel_name(card->chosen.kernel));
            gln_json_set_number(out, "c", card->chosen.c);
            gln_json_set_number(out, "gamma", card->chosen.gamma);
            gln_json_set_number(out, "score", card->chosen.score);
            gln_json_set_number(out, "landmarks", (double)card->chosen.n_landmarks);
            gln_json_set_number(out, "trained", (double)card->n_trained);
            gln_json_set_number(out, "peak_mb", peak_mb());
            if (o.test_rows != NULL) st = test_on(out, svm, &o, n_classes, threads);
        }
        gln_svm_free(svm);
    }
    if (st == GLN_OK) {
        char *text = gln_json_print(out, false);
        puts(text != NULL ? text : "");
        gln_free(text);
    }
    gln_json_free(out);
    gln_pool_free(threads);
    gln_free(x);
    gln_free(y);
    if (st != GLN_OK) fprintf(stderr, "bench_svm: %s\n", gln_message());
    return st == GLN_OK ? 0 : 1;
}
