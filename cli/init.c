#include "cli/commands.h"
#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const gln_usage usage = {
    "init", "",
    "Makes a data directory (--data) with a backbone in it, and a project. Doing it again changes nothing but\n"
    "what is new: classes and backbones are added to a project that is there, or --remove-class takes one out.",
    "  gleaner init --backbone efficientnet-lite0.json --project homework --classes handwriting,print,table\n"
    "  gleaner init --project homework --class 'figure:share=0.3,price=0.12,seconds=8'\n",
};

/* "name:share=0.3,price=0.12,seconds=8"; the text is cut up in place. */
static bool parse_class(char *text, gln_class_spec *spec)
{
    *spec = (gln_class_spec){.name = text, .target_share = NAN};
    char *rest = strrchr(text, ':');
    if (rest == NULL) return true;
    *rest++ = 0;
    for (char *end = NULL; *rest != 0; rest = *end == ',' ? end + 1 : end) {
        char *equals = strchr(rest, '=');
        if (equals == NULL) return false;
        size_t length = (size_t)(equals - rest);
        double value = strtod(equals + 1, &end);
        if (end == equals + 1 || (*end != ',' && *end != 0)) return false;
        if (length == 5 && strncmp(rest, "share", 5) == 0) spec->target_share = value;
        else if (length == 5 && strncmp(rest, "price", 5) == 0) spec->price = value;
        else if (length == 7 && strncmp(rest, "seconds", 7) == 0) spec->seconds = value;
        else return false;
    }
    return true;
}

struct init {
    gln_common_options common;
    const char *classes, *currency, *precision;
    gln_texts class_specs, backbones, removed;
    double price, seconds;
};

/* Classes from --classes and --class; *out_memory holds the names. */
static int collect_classes(const struct init *o, gln_class_spec **out, size_t *out_n, char **out_memory)
{
    size_t n = o->class_specs.n, length = o->classes == NULL ? 0 : strlen(o->classes);
    for (size_t i = 0; i < length; i++) n += o->classes[i] == ',';
    size_t memory = length + 1;
    for (size_t i = 0; i < o->class_specs.n; i++) memory += strlen(o->class_specs.text[i]) + 1;
    if (gln_alloc(out, n + 1, sizeof **out, "classes") != GLN_OK ||
        gln_alloc(out_memory, memory, 1, "class names") != GLN_OK)
        return gln_failed("init", GLN_E_MEMORY);
    char *next = *out_memory;
    for (const char *name = o->classes; name != NULL && *name != 0;) {
        size_t name_length = strcspn(name, ",");
        memcpy(next, name, name_length);
        if (name_length != 0)
            (*out)[(*out_n)++] = (gln_class_spec){
                .name = next, .target_share = NAN, .price = o->price, .seconds = o->seconds};
        next += name_length + 1;
        name += name_length + (name[name_length] == ',');
    }
    for (size_t i = 0; i < o->class_specs.n; i++) {
        size_t spec_length = strlen(o->class_specs.text[i]);
        memcpy(next, o->class_specs.text[i], spec_length);
        gln_class_spec *spec = &(*out)[(*out_n)++];
        if (!parse_class(next, spec))
            return gln_usage_error(&usage, "--class %s: NAME[:share=X,price=Y,seconds=Z] is expected",
                                   o->class_specs.text[i]);
        if (spec->price == 0.0) spec->price = o->price;
        if (spec->seconds == 0.0) spec->seconds = o->seconds;
        next += spec_length + 1;
    }
    return -1;
}

/* Whether the project has it. */
struct search {
    const char *name;
    bool found;
};

static gln_status look_at_backbone(void *context, const gln_project_backbone_row *row)
{
    struct search *search = context;
    search->found = search->found || strcmp(row->name, search->name) == 0;
    return GLN_OK;
}

/* The backbones that the project lacks. */
static gln_status add_backbones(gln_engine *engine, int64_t project_id, char (*names)[128], size_t n,
                                const char *precision)
{
    gln_status st = GLN_OK;
    for (size_t i = 0; i < n && st == GLN_OK; i++) {
        gln_store *reader = NULL;
        struct search search = {.name = names[i]};
        if ((st = gln_engine_reader_take(engine, &reader)) != GLN_OK) return st;
        st = gln_store_backbones(reader, project_id, look_at_backbone, &search);
        gln_engine_reader_give(engine, reader);
        if (st == GLN_OK && !search.found)
            st = gln_engine_project_backbone_add(engine, project_id, names[i], precision);
    }
    return st;
}

static gln_status make_project(const struct init *o, char (*names)[128], size_t n_names, const gln_class_spec *classes,
                               size_t n_classes, bool *out_made)
{
    gln_engine *engine = NULL;
    gln_store *reader = NULL;
    int64_t id = 0;
    gln_engine_options options = {.data = gln_data_directory(&o->common)};
    gln_status st = gln_say_over_http(gln_engine_open(&engine, &options),
                                      "POST /v1/projects, or PATCH /v1/projects/{project}");
    if (st == GLN_OK && (st = gln_engine_reader_take(engine, &reader)) == GLN_OK) {
        st = gln_store_project_find(reader, o->common.project, &id);
        gln_engine_reader_give(engine, reader);
    }
    *out_made = id == 0;
    gln_project_spec spec = {.name = o->common.project,
                             .backbone = n_names != 0 ? names[0] : NULL,
                             .precision = o->precision,
                             .currency = o->currency,
                             .classes = classes,
                             .n_classes = n_classes};
    if (st == GLN_OK && id == 0) st = gln_engine_project_create(engine, &spec, &id);
    else if (st == GLN_OK && n_classes != 0) st = gln_engine_classes_set(engine, id, classes, n_classes);
    if (st == GLN_OK && o->removed.n != 0) st = gln_engine_classes_remove(engine, id, o->removed.text, o->removed.n);
    /* $GLEANER_BACKBONE is what a new project begins with, not a wish to add it to one that is there. */
    if (st == GLN_OK && o->backbones.n != 0) st = add_backbones(engine, id, names, n_names, o->precision);
    gln_engine_close(engine);
    return st;
}

int gln_command_init(int argc, char **argv)
{
    struct init o = {0};
    static char names[GLN_TEXTS_MAX][128];
    char database[GLN_PATH_MAX];
    size_t n_names = 0;
    gln_class_spec *classes = NULL;
    size_t n_classes = 0;
    char *memory = NULL;
    const gln_option options[] = {
        GLN_DATA_OPTION(o.common),
        {"project", 'p', GLN_OPTION_TEXT, &o.common.project, "NAME", "project to make, or to add classes to"},
        {"backbone", 'b', GLN_OPTION_TEXTS, &o.backbones, "FILE",
         "manifest of a backbone; repeated: several, the first one active (default: $GLEANER_BACKBONE)"},
        GLN_PRECISION_OPTION(o.precision),
        {"classes", 'c', GLN_OPTION_TEXT, &o.classes, "A,B,C", "names of the classes"},
        {"class", 0, GLN_OPTION_TEXTS, &o.class_specs, "SPEC", "NAME[:share=X,price=Y,seconds=Z]; may be repeated"},
        {"remove-class", 0, GLN_OPTION_TEXTS, &o.removed, "NAME",
         "take out a class that no image has or had as a label; may be repeated"},
        {"price", 0, GLN_OPTION_NUMBER, &o.price, "X", "of one label, for classes without one"},
        {"seconds", 0, GLN_OPTION_NUMBER, &o.seconds, "X", "for one label, for classes without any"},
        {"currency", 0, GLN_OPTION_TEXT, &o.currency, "CODE", "three letters (default: EUR)"},
        GLN_JSON_OPTION(o.common),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest != 0) return gln_usage_error(&usage, "unexpected argument %s", rest[0]);
    if (o.common.project == NULL && (o.classes != NULL || o.class_specs.n != 0 || o.removed.n != 0))
        return gln_usage_error(&usage, "classes belong to a project: name it with --project");

    const char *data = gln_data_directory(&o.common);
    if (!gln_take_precision(&o.common.precision, o.precision)) return gln_usage_error(&usage, "%s", gln_message());
    gln_status st = gln_path_join(database, data, "gleaner.db");
    bool made = false;
    if ((code = collect_classes(&o, &classes, &n_classes, &memory)) >= 0) goto cleanup;
    code = GLN_EXIT_OK;
    size_t n_given = o.backbones.n != 0 ? o.backbones.n : gln_default_backbone() != NULL;
    for (size_t i = 0; i < n_given && st == GLN_OK; i++) {
        st = gln_engine_init(data, o.backbones.n != 0 ? o.backbones.text[i] : gln_default_backbone(), names[n_names],
                             sizeof names[n_names]);
        bool again = false; /* the same one twice is one */
        for (size_t j = 0; j < n_names; j++) again = again || strcmp(names[j], names[n_names]) == 0;
        if (st == GLN_OK && !again) n_names++;
    }
    if (n_names == 0 && st == GLN_OK && !gln_file_exists(database)) {
        code = gln_usage_error(&usage,
                               "a new data directory needs a backbone: name its manifest with --backbone, or set "
                               "GLEANER_BACKBONE");
        goto cleanup;
    }
    if (st == GLN_OK && o.common.project != NULL) st = make_project(&o, names, n_names, classes, n_classes, &made);
    if (st != GLN_OK) {
        code = gln_failed("init", st);
    } else if (o.common.json) {
        gln_json *json = gln_json_object();
        gln_json_set_string(json, "data", data);
        if (n_names != 0) gln_json_set_string(json, "backbone", names[0]);
        gln_json *list = n_names > 1 ? gln_json_set(json, "backbones", gln_json_array()) : NULL;
        for (size_t i = 0; list != NULL && i < n_names; i++) gln_json_push(list, gln_json_new_string(names[i]));
        gln_json_set_string(json, "project", o.common.project);
        gln_json_set_bool(json, "made", made);
        gln_print_json(json);
    } else {
        printf("%s: data directory ready", data);
        for (size_t i = 0; i < n_names; i++) printf("%s%s", i == 0 ? ", backbone " : ", ", names[i]);
        printf("\n");
        if (o.common.project != NULL)
            printf("project %s %s, %zu classes given\n", o.common.project, made ? "made" : "was there already",
                   n_classes);
    }
cleanup:
    gln_free(classes);
    gln_free(memory);
    return code;
}
