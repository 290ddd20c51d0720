/* gleaner backbone: the networks that a data directory carries, what they are, whether they work, and which is best. */
#include "cli/commands.h"
#include "common/hash.h"
#include "embed/selftest.h"
#include "engine/compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const gln_usage usage = {
    "backbone", "add FILE|use NAME|list|show WHICH|verify WHICH|compare [FOLDER]|remove NAME",
    "Networks that make embeddings. WHICH is the name of one in the data directory, or a manifest's path. A project\n"
    "has one or more, each with vectors of its own; one of them is active: sampling reads its vectors.\n"
    "add      takes a manifest and its model into the data directory, and into a project where --project names one\n"
    "use      makes it the project's active one\n"
    "list     those of the data directory, and of each project how far their vectors are\n"
    "show     what it is: dimension, size, precision, identity\n"
    "verify   runs it: finite, repeatable, alone as in a batch, bf16 against f32\n"
    "compare  which separates the classes best: on a project's labels and stored vectors, or on the photos of FOLDER\n"
    "         (a folder for each class), embedded with each --backbone\n"
    "remove   out of the project that --project names, with its vectors there; else deletes one that no project uses\n"
    "list, show, verify and compare work beside a running server.",
    "  gleaner backbone add resnet50.json --project homework && gleaner ingest ~/photos\n"
    "  gleaner backbone compare --project homework\n"
    "  gleaner backbone use resnet50 && gleaner resample\n"
    "  gleaner backbone compare ~/labelled --backbone efficientnet-lite0 --backbone resnet50.json\n",
};

struct backbone_command {
    gln_common_options common;
    gln_texts backbones;
    const char *precision, *pooling;
    size_t per_class, threads;
    bool quiet;
};

/* The manifest of a name in the data directory, or of a path. */
static gln_status manifest_of(const struct backbone_command *o, const char *which, char out[GLN_PATH_MAX])
{
    char relative[GLN_PATH_MAX];
    size_t length = strlen(which);
    if (strchr(which, '/') != NULL || (length > 5 && strcmp(which + length - 5, ".json") == 0)) {
        if (length >= GLN_PATH_MAX) return gln_fail(GLN_E_LIMIT, "a path of %zu bytes", length);
        snprintf(out, GLN_PATH_MAX, "%s", which);
        return GLN_OK;
    }
    const char *data = gln_data_directory(&o->common);
    int n = snprintf(relative, sizeof relative, "backbones/%s.json", which);
    if (n < 0 || (size_t)n >= sizeof relative) return gln_fail(GLN_E_LIMIT, "a name of %zu bytes", length);
    gln_status st = gln_path_join(out, data, relative);
    if (st == GLN_OK && !gln_file_exists(out))
        st = gln_fail(GLN_E_NOT_FOUND,
                      "there is no backbone %s in %s; `gleaner backbone list` shows those there are, and the path of "
                      "a manifest ends in .json",
                      which, data);
    return st;
}

/* ---- list, add, remove ---------------------------------------------------------------------------------------- */

static gln_status print_backbone(void *context, const char *name, const char *manifest_path, size_t n_projects)
{
    gln_json *list = context;
    if (list == NULL) {
        printf("%-32s %zu project%s\n", name, n_projects, n_projects == 1 ? "" : "s");
        return GLN_OK;
    }
    gln_json *item = gln_json_push(list, gln_json_object());
    gln_json_set_string(item, "name", name);
    gln_json_set_string(item, "manifest", manifest_path);
    gln_json_set_number(item, "projects", (double)n_projects);
    return GLN_OK;
}

struct listing {
    gln_store *reader;
    gln_json *list; /* NULL: as text */
    gln_json *of_project;
    int64_t n_rows;
};

static gln_status find_most(void *context, const gln_project_backbone_row *row)
{
    struct listing *listing = context;
    if (row->n_rows > listing->n_rows) listing->n_rows = row->n_rows;
    return GLN_OK;
}

static gln_status print_of_project(void *context, const gln_project_backbone_row *row)
{
    struct listing *listing = context;
    if (listing->list == NULL) {
        printf("  %-30s %-7s %-5s %lld of %lld images", row->name, row->active ? "active" : "", row->precision,
               (long long)(row->n_rows - row->n_gaps), (long long)listing->n_rows);
        if (row->n_rows < listing->n_rows) printf(", the next ingest makes the others");
        if (row->n_gaps != 0) printf(", %lld without a photo any more", (long long)row->n_gaps);
        printf("\n");
        return GLN_OK;
    }
    gln_json *item = gln_json_push(listing->of_project, gln_json_object());
    gln_json_set_string(item, "name", row->name);
    gln_json_set_bool(item, "active", row->active);
    gln_json_set_string(item, "precision", row->precision);
    gln_json_set_number(item, "vectors", (double)(row->n_rows - row->n_gaps));
    gln_json_set_number(item, "behind", (double)(listing->n_rows - row->n_rows));
    gln_json_set_number(item, "gaps", (double)row->n_gaps);
    return GLN_OK;
}

static gln_status print_project(void *context, const gln_project_row *row)
{
    struct listing *listing = context;
    listing->n_rows = 0;
    gln_status st = gln_store_backbones(listing->reader, row->id, find_most, listing);
    if (listing->list == NULL) {
        printf("project %s%s%s\n", row->name,
               strcmp(row->published_backbone, row->backbone) != 0 && row->published_backbone[0] != 0
                   ? ", its published state is still of "
                   : "",
               strcmp(row->published_backbone, row->backbone) != 0 ? row->published_backbone : "");
    } else {
        gln_json *project = gln_json_push(listing->list, gln_json_object());
        gln_json_set_string(project, "name", row->name);
        gln_json_set_string(project, "published_backbone", row->published_backbone);
        listing->of_project = gln_json_set(project, "backbones", gln_json_array());
    }
    return st == GLN_OK ? gln_store_backbones(listing->reader, row->id, print_of_project, listing) : st;
}

static gln_status list(const struct backbone_command *o)
{
    gln_session session;
    gln_json *json = o->common.json ? gln_json_object() : NULL;
    gln_json *items = json != NULL ? gln_json_set(json, "backbones", gln_json_array()) : NULL;
    struct listing listing = {.list = json != NULL ? gln_json_set(json, "projects", gln_json_array()) : NULL};
    gln_status st = gln_session_open_reading(&session, &o->common, false);
    if (st == GLN_OK) {
        st = gln_engine_backbones(session.engine, print_backbone, items);
        if (st == GLN_OK && (st = gln_engine_reader_take(session.engine, &listing.reader)) == GLN_OK) {
            st = gln_store_projects(listing.reader, 0, SIZE_MAX, print_project, &listing);
            gln_engine_reader_give(session.engine, listing.reader);
        }
        gln_session_close(&session);
    }
    if (st == GLN_OK && json != NULL) gln_print_json(json);
    else gln_json_free(json);
    return st;
}

static gln_status add(const struct backbone_command *o, const char *manifest)
{
    gln_backbone *backbone = NULL;
    gln_backbone_options options = GLN_BACKBONE_OPTIONS_INIT;
    char name[128] = "";
    /* Loaded first: what cannot run is better refused now than at the first ingest. */
    gln_status st = gln_backbone_load(&backbone, manifest, &options);
    gln_backbone_free(backbone);
    if (st == GLN_OK) st = gln_engine_init(gln_data_directory(&o->common), manifest, name, sizeof name);
    if (st == GLN_OK && o->common.project != NULL) {
        gln_session session;
        if ((st = gln_session_open(&session, &o->common, true)) != GLN_OK) return st;
        st = gln_engine_project_backbone_add(session.engine, session.project_id, name, o->precision);
        gln_session_close(&session);
    }
    if (st != GLN_OK) return st;
    if (o->common.json) {
        gln_json *json = gln_json_object();
        gln_json_set_string(json, "name", name);
        gln_json_set_string(json, "project", o->common.project);
        gln_print_json(json);
    } else if (o->common.project != NULL) {
        printf("backbone %s is in %s and in project %s; the next ingest makes its vectors\n", name,
               gln_data_directory(&o->common), o->common.project);
    } else {
        printf("backbone %s is in %s\n", name, gln_data_directory(&o->common));
    }
    return GLN_OK;
}

static gln_status use(const struct backbone_command *o, const char *name)
{
    gln_session session;
    gln_backbone_switch what;
    gln_status st = gln_session_open(&session, &o->common, true);
    if (st != GLN_OK) return st;
    st = gln_engine_project_backbone_use(session.engine, session.project_id, name, &what);
    if (st == GLN_OK && o->common.json) {
        gln_json *json = gln_json_object();
        gln_json_set_string(json, "project", session.project);
        gln_json_set_string(json, "backbone", name);
        gln_json_set_bool(json, "changed", what.changed);
        gln_json_set_bool(json, "needs_resample", what.resample);
        gln_json_set_number(json, "behind", (double)what.n_behind);
        gln_print_json(json);
    } else if (st == GLN_OK) {
        printf("project %s %s backbone %s\n", session.project, what.changed ? "now has the active" : "goes on with",
               name);
        if (what.n_behind != 0)
            printf("  it has no vectors of %lld images yet: the next ingest or resample makes them\n",
                   (long long)what.n_behind);
        if (what.resample)
            printf("  batches come from the state of the old one until `gleaner resample`, which makes neighbours, "
                   "near-duplicates, clusters\n"
                   "  and classifier anew from its vectors\n");
    }
    gln_session_close(&session);
    return st;
}

static gln_status remove_backbone(const struct backbone_command *o, const char *name)
{
    gln_session session;
    bool of_project = o->common.project != NULL;
    gln_status st = gln_session_open(&session, &o->common, of_project);
    if (st != GLN_OK) return st;
    st = of_project ? gln_engine_project_backbone_remove(session.engine, session.project_id, name)
                    : gln_engine_backbone_remove(session.engine, name);
    if (st == GLN_OK && !o->common.json)
        printf("backbone %s is removed%s%s\n", name, of_project ? " from project " : "",
               of_project ? session.project : "");
    gln_session_close(&session);
    return st;
}

/* ---- show, verify ---------------------------------------------------------------------------------------------- */

static gln_status load(gln_backbone **out, const struct backbone_command *o, const char *manifest,
                       gln_precision precision, const gln_device_choice *devices)
{
    gln_pooling pooling;
    gln_backbone_options options = GLN_BACKBONE_OPTIONS_INIT;
    options.max_batch = 2;
    options.n_threads = o->threads;
    options.precision = precision;
    options.devices = *devices;
    if (o->pooling != NULL) {
        gln_status st = gln_pooling_parse(&pooling, o->pooling);
        if (st != GLN_OK) return st;
        options.pooling = &pooling;
    }
    return gln_backbone_load(out, manifest, &options);
}

static gln_json *describe(const gln_backbone_info *info)
{
    char identity[GLN_SHA256_HEX];
    gln_json *json = gln_json_object();
    gln_hex(identity, info->identity, sizeof info->identity);
    gln_json_set_string(json, "name", info->name);
    gln_json_set_string(json, "licence", info->licence);
    gln_json_set_number(json, "dimension", (double)info->d);
    gln_json_set_number(json, "side", (double)info->preprocess.side);
    gln_json_set_number(json, "parameters", (double)info->n_parameters);
    gln_json_set_number(json, "multiply_adds", info->multiply_adds);
    gln_json_set_number(json, "weights_bytes", (double)info->weights_bytes);
    gln_json_set_number(json, "activations_bytes", (double)info->activations_bytes);
    gln_json_set_string(json, "precision", gln_precision_name(info->precision));
    gln_json_set_string(json, "device", info->device.name);
    gln_json_set_number(json, "agreement", info->agreement);
    gln_json_set_number(json, "speed_up", info->speed_up);
    gln_json_set_string(json, "identity", identity);
    return json;
}

static gln_status show(const struct backbone_command *o, const char *manifest)
{
    gln_backbone *backbone = NULL;
    gln_status st = load(&backbone, o, manifest, o->common.precision, &o->common.devices);
    if (st != GLN_OK) return st;
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    if (o->common.json) {
        gln_print_json(describe(info));
    } else {
        char identity[GLN_SHA256_HEX];
        gln_hex(identity, info->identity, sizeof info->identity);
        printf("%s: %zu numbers an image of %zu x %zu, %.1f million parameters, %.0f million multiply-adds; %s\n",
               info->name, info->d, info->preprocess.side, info->preprocess.side, (double)info->n_parameters * 1e-6,
               info->multiply_adds * 1e-6, info->licence);
        printf("precision %s, %.1f MB of weights, identity %s\n", gln_precision_name(info->precision),
               (double)info->weights_bytes * 1e-6, identity);
        if (!isnan(info->speed_up))
            printf("bf16 against f32 here: %.2f times as fast, smallest cosine %.6f\n", info->speed_up,
                   info->agreement);
        if (info->device.n_gpus != 0)
            printf("on %s: smallest cosine %.6f to f32 on the processor\n", info->device.name, info->agreement);
    }
    gln_backbone_free(backbone);
    return GLN_OK;
}

static gln_status verify(const struct backbone_command *o, const char *manifest)
{
    static const gln_device_choice processor = {.kind = GLN_DEVICE_CPU};
    gln_backbone *exact = NULL, *fast = NULL, *gpu = NULL;
    gln_self_test test[3];
    double cosine = NAN;
    gln_status st = load(&exact, o, manifest, GLN_PRECISION_F32, &processor);
    if (st == GLN_OK) st = gln_backbone_self_test(exact, &test[0]);
    if (st != GLN_OK) goto cleanup;
    st = load(&fast, o, manifest, GLN_PRECISION_BF16, &processor);
    bool has_bf16 = st != GLN_E_UNSUPPORTED; /* this processor, or this network */
    if (!has_bf16) st = GLN_OK;
    else if (st == GLN_OK) st = gln_backbone_self_test(fast, &test[1]);
    if (st == GLN_OK && has_bf16) st = gln_backbone_agreement(exact, fast, &cosine);
    if (st != GLN_OK) goto cleanup;
    if (o->common.devices.kind != GLN_DEVICE_CPU) st = load(&gpu, o, manifest, GLN_PRECISION_F16, &o->common.devices);
    if (st == GLN_E_UNSUPPORTED && o->common.devices.kind == GLN_DEVICE_AUTO)
        st = GLN_OK; /* none here, or not for this network */
    if (st == GLN_OK && gpu != NULL) st = gln_backbone_self_test(gpu, &test[2]);
    if (st != GLN_OK) goto cleanup;
    if (o->common.json) {
        gln_json *json = gln_json_object();
        gln_json_set(json, "f32", describe(gln_backbone_info_of(exact)));
        if (has_bf16) gln_json_set(json, "bf16", describe(gln_backbone_info_of(fast)));
        if (gpu != NULL) gln_json_set(json, "f16", describe(gln_backbone_info_of(gpu)));
        gln_json_set_number(json, "agreement", cosine);
        gln_print_json(json);
    } else {
        printf("%s: model hash, finite numbers, repeatable, the same alone and in a batch: fine\n",
               gln_backbone_info_of(exact)->name);
        printf("f32: about %.0f images a second two at a time\n", test[0].images_per_second);
        if (has_bf16)
            printf("bf16: about %.0f images a second, smallest cosine to f32 %.6f%s\n", test[1].images_per_second,
                   cosine, cosine < 0.999 ? " (below 0.999: stay with f32)" : "");
        else printf("bf16: not on this processor\n");
        if (gpu != NULL)
            printf("f16: about %.0f images a second on %s, smallest cosine to f32 %.6f\n", test[2].images_per_second,
                   gln_backbone_info_of(gpu)->device.name, gln_backbone_info_of(gpu)->agreement);
    }

cleanup:
    gln_backbone_free(exact);
    gln_backbone_free(fast);
    gln_backbone_free(gpu);
    return st;
}

/* ---- compare --------------------------------------------------------------------------------------------------- */

static void print_text(const gln_comparison *c)
{
    const gln_comparison_item *o = c->item, *chosen = &o[c->chosen];
    bool timed = !isnan(o[0].images_per_second);
    printf("%zu photos of %zu classes\n", o[0].n, c->n_classes);
    printf("%-28s %5s %5s %10s %9s %9s %14s %14s\n", "backbone", "", "d", timed ? "photos/s" : "", "nearest", "of five",
           "SVM", "clusters");
    for (size_t i = 0; i < c->n_items; i++) {
        char rate[32] = "";
        if (timed) snprintf(rate, sizeof rate, "%.1f", o[i].images_per_second);
        printf("%-28s %5s %5zu %10s %8.1f%% %8.1f%% %7.1f%% +-%3.1f %14s\n", o[i].name,
               gln_precision_name(o[i].precision), o[i].d, o[i].active ? "active" : rate, 100 * o[i].nearest,
               100 * o[i].nearest_of_5, 100 * o[i].svm, 100 * o[i].svm_error, o[i].clusters);
    }
    printf("%s %s:", chosen->active ? "stay with" : "use", chosen->name);
    for (size_t i = 0, said = 0; i < c->n_items; i++) {
        if (i == c->chosen) continue;
        printf("%s %+.1f points of SVM accuracy against %s", said++ == 0 ? "" : ";", 100 * (chosen->svm - o[i].svm),
               o[i].name);
        if (timed) printf(", %.2f times as fast", chosen->images_per_second / o[i].images_per_second);
    }
    printf("%s\n", chosen->active ? " (less than one standard error counts as the same)" : "");
}

static void print_json(const gln_comparison *c)
{
    gln_json *json = gln_json_object(), *list = gln_json_array();
    gln_json_set_number(json, "classes", (double)c->n_classes);
    gln_json_set_string(json, "use", c->item[c->chosen].name);
    for (size_t i = 0; i < c->n_items; i++) {
        const gln_comparison_item *o = &c->item[i];
        gln_json *item = gln_json_push(list, gln_json_object());
        gln_json_set_string(item, "name", o->name);
        gln_json_set_bool(item, "active", o->active);
        gln_json_set_string(item, "precision", gln_precision_name(o->precision));
        gln_json_set_number(item, "dimension", (double)o->d);
        gln_json_set_number(item, "photos", (double)o->n);
        gln_json_set_number(item, "images_per_second", o->images_per_second);
        gln_json_set_number(item, "nearest_accuracy", o->nearest);
        gln_json_set_number(item, "nearest_of_5_accuracy", o->nearest_of_5);
        gln_json_set_number(item, "svm_accuracy", o->svm);
        gln_json_set_number(item, "svm_standard_error", o->svm_error);
        gln_json_set_number(item, "svm_spread_of_folds", o->svm_spread);
        gln_json_set_string(item, "clusters", o->clusters);
        gln_json_set_number(item, "rand_index", o->rand_index);
        gln_json_set_number(item, "silhouette", o->silhouette);
        gln_json_set_string(item, "clusters_in_words", o->words);
    }
    gln_json_set(json, "backbones", list);
    gln_print_json(json);
}

static gln_status compare_folder(const struct backbone_command *o, const char *root, gln_comparison *out,
                                 gln_progress *progress)
{
    static char paths[GLN_TEXTS_MAX][GLN_PATH_MAX];
    const char *manifests[GLN_TEXTS_MAX];
    gln_status st = GLN_OK;
    for (size_t i = 0; i < o->backbones.n && st == GLN_OK; i++) {
        st = manifest_of(o, o->backbones.text[i], paths[i]);
        manifests[i] = paths[i];
    }
    gln_comparison_request request = {
        .root = root, .manifests = manifests, .n = o->backbones.n, .per_class = o->per_class, .n_threads = o->threads,
        .precision = o->common.precision, .devices = o->common.devices, .pooling = o->pooling,
    };
    gln_cancel_on_signal(progress);
    if (st == GLN_OK) st = gln_compare_folder(out, &request, progress);
    gln_cancel_on_signal(NULL);
    return st;
}

static gln_status compare_project(const struct backbone_command *o, gln_comparison *out, gln_progress *progress)
{
    gln_session session;
    gln_status st = gln_session_open_reading(&session, &o->common, true);
    if (st != GLN_OK) return st;
    gln_cancel_on_signal(progress);
    st = gln_compare_project(out, session.engine, session.project_id, progress);
    gln_cancel_on_signal(NULL);
    gln_session_close(&session);
    return st;
}

/* Of a folder, or with NULL of the project. */
static gln_status compare(const struct backbone_command *o, const char *root)
{
    gln_comparison comparison = {0};
    gln_progress *progress = NULL;
    gln_status st = gln_progress_create(&progress, gln_progress_stderr_interval_ms(),
                                        o->quiet ? NULL : gln_progress_to_stderr, NULL);
    if (st == GLN_OK)
        st = root != NULL ? compare_folder(o, root, &comparison, progress) : compare_project(o, &comparison, progress);
    gln_progress_free(progress);
    if (st == GLN_OK && o->common.json) print_json(&comparison);
    else if (st == GLN_OK) print_text(&comparison);
    gln_comparison_dispose(&comparison);
    return st;
}

int gln_command_backbone(int argc, char **argv)
{
    struct backbone_command o = {.per_class = 100};
    const gln_option options[] = {
        GLN_DATA_OPTION(o.common),
        {"project", 'p', GLN_OPTION_TEXT, &o.common.project, "NAME",
         "add, use, compare, remove: the project (use, compare: the only one there is)"},
        {"backbone", 'b', GLN_OPTION_TEXTS, &o.backbones, "WHICH",
         "compare: a name or a manifest; twice or more often"},
        {"per-class", 0, GLN_OPTION_SIZE, &o.per_class, "N",
         "compare: photos of a class at most, of those that decode (default: 100)"},
        {"pooling", 0, GLN_OPTION_TEXT, &o.pooling, "P", "instead of the manifest's: none, average, cls, gem or gem:P"},
        GLN_PRECISION_OPTION(o.precision),
        GLN_DEVICE_OPTION(o.common),
        {"threads", 't', GLN_OPTION_SIZE, &o.threads, "N", "threads (default: one a processor)"},
        {"quiet", 'q', GLN_OPTION_FLAG, &o.quiet, NULL, "no progress"},
        GLN_JSON_OPTION(o.common),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL, manifest[GLN_PATH_MAX];
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    const char *action = n_rest == 0 ? "" : rest[0];
    bool is_list = strcmp(action, "list") == 0, is_compare = strcmp(action, "compare") == 0,
         is_add = strcmp(action, "add") == 0;
    bool is_show = strcmp(action, "show") == 0, is_verify = strcmp(action, "verify") == 0,
         is_remove = strcmp(action, "remove") == 0;
    bool is_use = strcmp(action, "use") == 0, stored = is_compare && n_rest == 1;
    if (!(is_list || is_compare || is_add || is_show || is_verify || is_remove || is_use) ||
        (!stored && n_rest != (is_list ? 1u : 2u)))
        return gln_usage_error(
            &usage, "say add FILE, use NAME, list, show WHICH, verify WHICH, compare [FOLDER], or remove NAME");
    if (is_compare && !stored && o.backbones.n < 2)
        return gln_usage_error(&usage, "name two backbones or more with --backbone");
    if (stored && o.backbones.n != 0)
        return gln_usage_error(&usage, "--backbone goes with a FOLDER: a project has its own");
    if (is_compare && o.per_class < 2) return gln_usage_error(&usage, "--per-class %zu: at least 2", o.per_class);
    if (!gln_take_precision(&o.common.precision, o.precision) || !gln_take_device(&o.common))
        return gln_usage_error(&usage, "%s", gln_message());

    gln_status st = GLN_OK;
    if (is_show || is_verify) st = manifest_of(&o, rest[1], manifest);
    if (st != GLN_OK) return gln_failed("backbone", st);
    if (is_use) o.common.over_http = "PATCH /v1/projects/{project} with {\"backbone\": NAME}";
    if (is_list) st = list(&o);
    else if (is_add) st = add(&o, rest[1]);
    else if (is_use) st = use(&o, rest[1]);
    else if (is_remove) st = remove_backbone(&o, rest[1]);
    else if (is_show) st = show(&o, manifest);
    else if (is_verify) st = verify(&o, manifest);
    else st = compare(&o, stored ? NULL : rest[1]);
    return st == GLN_OK ? GLN_EXIT_OK : gln_failed("backbone", st);
}
