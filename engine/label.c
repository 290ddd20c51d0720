#include "engine/label.h"

#include "common/clock.h"

#include <math.h>
#include <string.h>

gln_status gln_labelling_begin(gln_labelling *l, gln_store *store, int64_t project_id, const char *source,
                               bool add_classes)
{
    static const char *const sources[] = {"human", "imported", "proposed", "simulated"};
    bool found = false;
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) found = found || strcmp(source, sources[i]) == 0;
    if (!found)
        return gln_fail(GLN_E_ARGUMENT, "source: \"%.40s\" is not human, imported, proposed or simulated", source);
    *l = (gln_labelling){
        .project_id = project_id, .now_ms = gln_clock_ms(), .source = source, .add_classes = add_classes};
    gln_project project;
    gln_status st = gln_project_read(store, project_id, &project);
    return st != GLN_OK ? st : gln_classes_read(store, project_id, &l->classes);
}

void gln_labelling_end(gln_labelling *l)
{
    gln_classes_dispose(&l->classes);
}

bool gln_labelling_is_rejection(gln_status status)
{
    return status == GLN_E_ARGUMENT || status == GLN_E_NOT_FOUND || status == GLN_E_CONFLICT;
}

static gln_status check_project(void *context, const gln_image_row *row)
{
    const gln_labelling *l = context;
    if (row->project_id == l->project_id) return GLN_OK;
    return gln_fail(GLN_E_NOT_FOUND, "image: there is no image %lld in this project", (long long)row->id);
}

static gln_status find_image(gln_labelling *l, gln_store *store, const gln_label_item *item, int64_t *out)
{
    char resolved[GLN_PATH_MAX];
    *out = item->image_id;
    if (item->image_id > 0) return gln_store_image_get(store, item->image_id, check_project, l);
    if (item->path == NULL || item->path[0] == 0)
        return gln_fail(GLN_E_ARGUMENT, "image: name it by id or by path");
    gln_status st = gln_store_name_find(store, l->project_id, item->path, out);
    /* Names are kept as absolute paths; a relative one is meant from here. */
    if (st == GLN_OK && *out == 0 && gln_path_resolve(resolved, item->path) == GLN_OK)
        st = gln_store_name_find(store, l->project_id, resolved, out);
    if (st == GLN_OK && *out == 0)
        st = gln_fail(GLN_E_NOT_FOUND, "path: no image of this project is known as %.300s", item->path);
    return st;
}

static gln_status find_class(gln_labelling *l, gln_store *store, const char *name, int32_t *out)
{
    *out = gln_classes_find_name(&l->classes, name);
    if (*out != GLN_NO_CLASS) return GLN_OK;
    if (!l->add_classes) return gln_fail(GLN_E_NOT_FOUND, "class: this project has no class \"%.100s\"", name);
    size_t length = strlen(name);
    if (length > 200 || !gln_name_is_plain(name))
        return gln_fail(GLN_E_ARGUMENT, "class: a name has at most 200 bytes of valid UTF-8 and no control characters");
    gln_class_row row = {.project_id = l->project_id, .name = name, .target_share = NAN};
    int64_t id = 0;
    gln_status st = gln_store_class_add(store, &row, &id);
    gln_classes_dispose(&l->classes);
    if (st == GLN_OK) st = gln_classes_read(store, l->project_id, &l->classes);
    if (st == GLN_OK) *out = gln_classes_find_name(&l->classes, name);
    return st;
}

gln_status gln_labelling_resolve(gln_labelling *l, gln_store *store, const gln_label_item *item, int64_t *out_image,
                                 int32_t *out_class)
{
    *out_class = GLN_NO_CLASS;
    if (!isnan(item->seconds) && !(item->seconds >= 0.0 && item->seconds <= 1e6))
        return gln_fail(GLN_E_ARGUMENT, "seconds: %g is not between 0 and a million", item->seconds);
    gln_status st = find_image(l, store, item, out_image);
    if (st == GLN_OK && item->class_name != NULL && item->class_name[0] != 0)
        st = find_class(l, store, item->class_name, out_class);
    return st;
}

gln_status gln_labelling_add(gln_labelling *l, gln_store *store, const gln_label_item *item, int64_t image_id,
                             int32_t class, int64_t batch_id, const char *review)
{
    gln_label_row row = {
        .project_id = l->project_id,
        .image_id = image_id,
        .class_id = l->classes.id[class],
        .batch_id = batch_id,
        .created_ms = l->now_ms,
        .annotator = item->annotator == NULL ? "" : item->annotator,
        .source = l->source,
        .seconds = item->seconds,
        .review = review,
    };
    int64_t id = 0;
    return gln_store_label_add(store, &row, &id);
}

struct current {
    int64_t class_id;
    bool proposed;
};

static gln_status copy_label(void *context, const gln_image_row *row)
{
    *(struct current *)context =
        (struct current){row->label_class_id, row->label_source != NULL && strcmp(row->label_source, "proposed") == 0};
    return GLN_OK;
}

static gln_status label_one(gln_labelling *l, gln_store *store, const gln_label_item *item, bool *out_unchanged)
{
    int64_t image_id = 0;
    struct current current = {0};
    int32_t class = GLN_NO_CLASS;
    bool proposing = strcmp(l->source, "proposed") == 0;
    *out_unchanged = false;
    gln_status st = gln_labelling_resolve(l, store, item, &image_id, &class);
    if (st == GLN_OK) st = gln_store_image_get(store, image_id, copy_label, &current);
    if (st != GLN_OK) return st;
    if (class == GLN_NO_CLASS) {
        *out_unchanged = current.class_id == 0;
        return current.class_id == 0 ? GLN_OK : gln_store_label_retract(store, image_id, l->now_ms);
    }
    if (proposing && current.class_id != 0 && !current.proposed)
        return gln_fail(GLN_E_CONFLICT, "image: %lld has a label already, which a proposed one does not replace",
                        (long long)image_id);
    /* A person who says what was proposed is news. */
    *out_unchanged = current.class_id == l->classes.id[class] && current.proposed == proposing;
    return *out_unchanged ? GLN_OK : gln_labelling_add(l, store, item, image_id, class, 0, NULL);
}

gln_status gln_engine_label(gln_engine *engine, int64_t project_id, const gln_label_item *items, size_t n_items,
                            const char *source, bool add_classes, gln_rejected_fn rejected, void *context,
                            gln_label_summary *summary)
{
    gln_store *store = NULL;
    gln_labelling l = {0};
    *summary = (gln_label_summary){0};
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st != GLN_OK) return st;
    st = gln_labelling_begin(&l, store, project_id, source, add_classes);
    for (size_t i = 0; i < n_items && st == GLN_OK; i++) {
        bool unchanged = false;
        gln_status one = label_one(&l, store, &items[i], &unchanged);
        if (one == GLN_OK) {
            if (unchanged) summary->n_unchanged++;
            else summary->n_taken++;
        } else if (gln_labelling_is_rejection(one)) {
            summary->n_rejected++;
            if (rejected != NULL) rejected(context, i, one, gln_message());
        } else {
            st = one;
        }
    }
    gln_labelling_end(&l);
    return gln_engine_write_end(engine, st);
}
