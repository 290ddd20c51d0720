/*
 * A trained classifier as a derived file, so that a night without new labels scores only what is new.
 *
 *     magic "GLNSVM2\0", key (32 bytes), eleven counts (u64), the chosen point; then the arrays of struct gln_svm in
 *     the order of
 *     visit() as they lie in memory; at the end XXH3 of all before (u64); little-endian
 *
 * What scoring and the model card need is kept; the machine's own coefficients, which only training reads, are not. One
 * function walks over the arrays, and is used to measure, to write and to read: the three cannot disagree.
 */
#include "sampler/svm_model.h"

#include "common/files.h"
#include "common/hash.h"
#include "common/memory.h"

#include <string.h>

#define FILE_MAX ((size_t)2 << 30)

static const unsigned char magic[8] = {'G', 'L', 'N', 'S', 'V', 'M', '2', 0};

struct counts {
    uint64_t d, n_active, n_classes, n_support, n_labels, n_folds, n_grid, linear, held_out, pairs, n_trained;
};

struct header {
    unsigned char magic[8];
    uint8_t key[32];
    struct counts counts;
    gln_svm_point chosen;
};

/* A place in the file: measuring (bytes NULL), writing or reading. */
struct cursor {
    unsigned char *bytes;
    size_t at, end;
    bool reading;
    gln_status status;
};

static void pass(struct cursor *c, void *out_pointer, size_t n, size_t m, size_t item_bytes)
{
    void *array = NULL;
    size_t size = 0;
    if (c->status != GLN_OK) return;
    if (!gln_mul_size(&size, n, m) || !gln_mul_size(&size, size, item_bytes) || size > FILE_MAX - c->at ||
        (c->bytes != NULL && size > c->end - c->at)) {
        c->status = gln_fail(GLN_E_CORRUPT, "the kept classifier is too long, or cut short");
        return;
    }
    if (c->reading) {
        c->status = gln_alloc_raw(&array, size, 1, "kept classifier");
        memcpy(out_pointer, &array, sizeof array);
    } else {
        memcpy(&array, out_pointer, sizeof array);
    }
    if (c->status == GLN_OK && c->bytes != NULL && size != 0) {
        if (c->reading) memcpy(array, c->bytes + c->at, size);
        else memcpy(c->bytes + c->at, array, size);
    }
    c->at += size;
}

static gln_status visit(struct cursor *c, gln_svm *svm, const struct counts *n)
{
    size_t n_others = n->n_active - 1, n_pairs = gln_svm_pairs(n->n_active);
    pass(c, &svm->class_of, n->n_active, 1, sizeof *svm->class_of);
    pass(c, &svm->machine.first, n->n_active + 1, 1, sizeof *svm->machine.first);
    pass(c, &svm->machine.rho, n_pairs, 1, sizeof *svm->machine.rho);
    pass(c, &svm->support_rows, n->n_support, n->d, sizeof *svm->support_rows);
    if (n->pairs)
        pass(c, &svm->pair_weight, n_pairs, n->n_support != 0 ? n->n_support : n->d, sizeof *svm->pair_weight);
    else pass(c, &svm->coefficient, n->n_support, n_others, sizeof *svm->coefficient);
    if (n->linear) pass(c, &svm->weight, n->n_active * n_others, n->d, sizeof *svm->weight);
    pass(c, &svm->sigmoid, n_pairs, 1, sizeof *svm->sigmoid);
    pass(c, &svm->hit_rate, n->n_classes, 1, sizeof *svm->hit_rate);
    pass(c, &svm->grid, n->n_grid, 1, sizeof *svm->grid);
    if (n->held_out) {
        pass(c, &svm->out_of_fold, n->n_labels, n->n_classes, sizeof *svm->out_of_fold);
        pass(c, &svm->confusion, n->n_classes, n->n_classes, sizeof *svm->confusion);
    }
    return c->status;
}

gln_status gln_svm_save(const gln_svm *svm, const char *path, const uint8_t key[32])
{
    struct header header = {.counts = {.d = svm->d, .n_active = svm->n_active, .n_classes = svm->n_classes,
                                       .n_support = svm->machine.n_support, .n_labels = svm->card.n_labels,
                                       .n_folds = svm->card.n_folds, .n_grid = svm->card.n_grid,
                                       .linear = svm->weight != NULL, .held_out = svm->out_of_fold != NULL,
                                       .pairs = svm->pair_weight != NULL, .n_trained = svm->card.n_trained},
                            .chosen = svm->card.chosen};
    gln_svm arrays = *svm; /* borrowed; visit() wants to be able to write */
    struct cursor c = {.at = sizeof header};
    gln_status st = visit(&c, &arrays, &header.counts);
    if (st != GLN_OK) return st;
    size_t end = c.at;
    if ((st = gln_alloc(&c.bytes, end + 8, 1, "classifier to keep")) != GLN_OK) return st;
    memcpy(header.magic, magic, sizeof magic);
    memcpy(header.key, key, sizeof header.key);
    memcpy(c.bytes, &header, sizeof header);
    c.at = sizeof header;
    c.end = end;
    st = visit(&c, &arrays, &header.counts);
    uint64_t check = gln_xxh3(c.bytes, end);
    memcpy(c.bytes + end, &check, sizeof check);
    if (st == GLN_OK) st = gln_file_write_derived(path, c.bytes, end + 8);
    gln_free(c.bytes);
    return st;
}

/* Whether every class and every place that scoring will index by lies inside. */
static bool makes_sense(const gln_svm *svm)
{
    const size_t *first = svm->machine.first;
    bool sane = first[0] == 0 && first[svm->n_active] == (svm->pair_weight != NULL ? 0 : svm->machine.n_support);
    for (size_t a = 0; a < svm->n_active; a++)
        sane = sane && svm->class_of[a] < svm->n_classes && first[a] <= first[a + 1];
    return sane;
}

gln_status gln_svm_load(gln_svm **out, const char *path, const uint8_t key[32])
{
    struct cursor c = {.reading = true};
    struct header header;
    gln_svm *svm = NULL;
    uint64_t check = 0;
    size_t n_bytes = 0;
    *out = NULL;
    gln_status st = gln_file_read(&c.bytes, &n_bytes, path, FILE_MAX);
    if (st != GLN_OK) return st;
    if (n_bytes >= sizeof header + 8) {
        memcpy(&header, c.bytes, sizeof header);
        memcpy(&check, c.bytes + n_bytes - 8, 8);
    }
    if (n_bytes < sizeof header + 8 || memcmp(header.magic, magic, sizeof magic) != 0 ||
        check != gln_xxh3(c.bytes, n_bytes - 8) || header.counts.n_active < 2 || header.counts.n_active > UINT16_MAX) {
        st = gln_fail(GLN_E_CORRUPT, "%s: no kept classifier, or damaged", path);
        goto cleanup;
    }
    if (memcmp(header.key, key, sizeof header.key) != 0) {
        st = gln_fail(GLN_E_NOT_FOUND, "%s: was trained on other labels", path);
        goto cleanup;
    }
    if ((st = gln_alloc(&svm, 1, sizeof *svm, "classifier")) != GLN_OK) goto cleanup;
    const struct counts *n = &header.counts;
    svm->d = n->d;
    svm->n_active = n->n_active;
    svm->n_classes = n->n_classes;
    svm->machine.n_active = n->n_active;
    svm->machine.n_support = n->n_support;
    c.at = sizeof header;
    c.end = n_bytes - 8;
    if ((st = visit(&c, svm, n)) != GLN_OK) goto cleanup;
    if (c.at != c.end || !makes_sense(svm)) {
        st = gln_fail(GLN_E_CORRUPT, "%s: the kept classifier contradicts itself", path);
        goto cleanup;
    }
    svm->card = (gln_svm_card){.n_labels = n->n_labels,
                               .n_classes = n->n_classes,
                               .n_folds = n->n_folds,
                               .grid = svm->grid,
                               .n_grid = n->n_grid,
                               .chosen = header.chosen,
                               .confusion = svm->confusion,
                               .out_of_fold = svm->out_of_fold,
                               .hit_rate = svm->hit_rate,
                               .n_support = n->n_support,
                               .n_trained = n->n_trained};

cleanup:
    gln_free(c.bytes);
    if (st == GLN_OK) *out = svm;
    else gln_svm_free(svm);
    return st;
}
