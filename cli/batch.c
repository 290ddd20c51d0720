#include "cli/commands.h"
#include "common/clock.h"
#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const gln_usage usage = {
    "batch", "",
    "Takes the next batch of images worth labelling, under a lease, and prints it with a reason for each. Say how\n"
    "many (--size), or how much it may cost (--max-price, --max-minutes). --show prints one that was taken before,\n"
    "--release gives back what is not labelled yet.",
    "  gleaner batch --size 200 --target handwriting=0.3\n"
    "  gleaner batch --max-price 400\n"
    "  gleaner batch --release 3\n",
};

/* ---- printing ---------------------------------------------------------------------------------------------------- */

struct printing {
    gln_store *store;
    gln_json *json;      /* NULL: text */
    const char *currency;
    size_t limit, n;
    gln_json *names;     /* class id -> name, as an object */
};

static gln_status keep_name(void *context, const gln_class_row *row)
{
    char key[32];
    snprintf(key, sizeof key, "%lld", (long long)row->id);
    gln_json_set_string(context, key, row->name);
    return GLN_OK;
}

static const char *class_name(const struct printing *p, int64_t id)
{
    char key[32];
    snprintf(key, sizeof key, "%lld", (long long)id);
    return id == 0 ? NULL : gln_json_string(gln_json_get(p->names, key));
}

static void print_feasibility(const gln_json *feasibility)
{
    const gln_json *classes = gln_json_get(feasibility, "classes");
    const char *words = gln_json_string(gln_json_get(feasibility, "words"));
    if (words != NULL && words[0] != 0) printf("%s\n", words);
    words = gln_json_string(gln_json_get(gln_json_get(feasibility, "drift"), "words"));
    if (words != NULL) printf("%s\n", words);
    words = gln_json_string(gln_json_get(gln_json_get(feasibility, "relabel"), "words"));
    if (words != NULL) printf("%s\n", words);
    if (gln_json_count(classes) == 0) return;
    printf("\n  %-24s %8s %8s %8s %9s %10s\n", "class", "target", "labelled", "wanted", "expected", "available");
    for (const gln_json *c = gln_json_first(classes); c != NULL; c = gln_json_next(c)) {
        bool met = gln_json_bool(gln_json_get(c, "met"), true);
        printf("  %-24.24s %7.1f%% %8.0f %8.0f %9.1f %10.0f%s%s\n", gln_json_string(gln_json_get(c, "class")),
               100.0 * gln_json_number(gln_json_get(c, "target_share"), 0),
               gln_json_number(gln_json_get(c, "labelled"), 0), gln_json_number(gln_json_get(c, "wanted"), 0),
               gln_json_number(gln_json_get(c, "expected"), 0), gln_json_number(gln_json_get(c, "available"), 0),
               met ? "" : "  ", met ? "" : gln_json_string(gln_json_get(c, "words")));
    }
}

static gln_status print_batch(void *context, const gln_batch_row *row)
{
    struct printing *p = context;
    char expires[GLN_ISO_TIME_MAX];
    gln_json *feasibility = NULL;
    gln_clock_format(expires, row->expires_ms);
    gln_status st = gln_json_parse(&feasibility, row->feasibility, strlen(row->feasibility),
                                   "feasibility of the batch");
    if (st != GLN_OK) return st;
    if (p->json == NULL) {
        printf("batch %lld: %lld images, expected %.2f %s and %.0f min, %s until %s\n", (long long)row->id,
               (long long)row->n_items, (double)row->price_micros * 1e-6, p->currency, ceil(row->seconds / 60.0),
               row->state, expires);
        print_feasibility(feasibility);
        gln_json_free(feasibility);
        return GLN_OK;
    }
    gln_json_set_number(p->json, "id", (double)row->id);
    gln_json_set_string(p->json, "state", row->state);
    gln_json_set_string(p->json, "expires", expires);
    gln_json_set_number(p->json, "size", (double)row->n_items);
    gln_json_set_number(p->json, "labelled", (double)row->n_labelled);
    gln_json_set_number(p->json, "price", (double)row->price_micros * 1e-6);
    gln_json_set_number(p->json, "minutes", row->seconds / 60.0);
    gln_json_set_number(p->json, "seed", (double)row->seed);
    gln_json_set(p->json, "feasibility", feasibility);
    gln_json_set(p->json, "items", gln_json_array());
    return GLN_OK;
}

static gln_status print_item(void *context, const gln_batch_item_row *row)
{
    struct printing *p = context;
    p->n++;
    if (p->json != NULL) {
        gln_json *item = gln_json_push((gln_json *)gln_json_get(p->json, "items"), gln_json_object());
        gln_json_set_number(item, "image", (double)row->image_id);
        gln_json_set_string(item, "path", row->path);
        gln_json_set_string(item, "state", row->state);
        gln_json_set_string(item, "arm", row->arm);
        gln_json_set_string(item, "predicted", class_name(p, row->predicted_class_id));
        gln_json_set_number(item, "p", row->p_predicted);
        gln_json_set_number(item, "cluster", (double)row->cluster_id);
        gln_json_set_string(item, "label", class_name(p, row->label_class_id));
        gln_json_set_number(item, "p_wrong", row->p_wrong);
        gln_json_set_string(item, "reason", row->reason);
        return GLN_OK;
    }
    if (p->n > p->limit) return GLN_OK;
    /* The end of a path says more than its beginning. */
    enum { PATH_WIDTH = 34 };
    size_t length = strlen(row->path);
    const char *path = length > PATH_WIDTH ? row->path + length - (PATH_WIDTH - 1) : row->path;
    if (p->n == 1) printf("\n  %4s %7s  %-*s  %-8s %s\n", "#", "image", PATH_WIDTH + 2, "path", "arm", "why");
    printf("  %4lld %7lld  %s%-*s  %-8s %s\n", (long long)row->position + 1, (long long)row->image_id,
           length > PATH_WIDTH ? ".." : "", length > PATH_WIDTH ? PATH_WIDTH : PATH_WIDTH + 2, path, row->arm,
           row->reason);
    return GLN_OK;
}

static gln_status print_whole(gln_engine *engine, gln_session *session, int64_t id, bool as_json, size_t limit)
{
    struct printing p = {.json = as_json ? gln_json_object() : NULL, .currency = session->currency, .limit = limit,
                         .names = gln_json_object()};
    gln_status st = gln_engine_reader_take(engine, &p.store);
    if (st == GLN_OK) st = gln_store_classes(p.store, session->project_id, keep_name, p.names);
    if (st == GLN_OK) st = gln_store_batch_get(p.store, id, print_batch, &p);
    if (st == GLN_OK) st = gln_store_batch_items(p.store, id, print_item, &p);
    gln_engine_reader_give(engine, p.store);
    if (st == GLN_OK && as_json) gln_print_json(p.json);
    else gln_json_free(p.json);
    if (st == GLN_OK && !as_json && p.n > limit)
        printf("  ... and %zu more: `gleaner batch --show %lld --all`, or `gleaner export --batch %lld`\n", p.n - limit,
               (long long)id, (long long)id);
    gln_json_free(p.names);
    return st;
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

/* "handwriting=0.3" or "handwriting=30%"; names are cut out of `memory`. */
static bool parse_targets(const gln_texts *texts, gln_target *targets, char *memory)
{
    for (size_t i = 0; i < texts->n; i++) {
        const char *equals = strrchr(texts->text[i], '=');
        char *end = NULL;
        if (equals == NULL || equals == texts->text[i]) return false;
        double share = strtod(equals + 1, &end);
        if (end == equals + 1) return false;
        if (*end == '%') {
            share /= 100.0;
            end++;
        }
        if (*end != 0) return false;
        size_t length = (size_t)(equals - texts->text[i]);
        memcpy(memory, texts->text[i], length);
        memory[length] = 0;
        targets[i] = (gln_target){memory, share};
        memory += length + 1;
    }
    return true;
}

static bool parse_relabel(double *out, const char *text)
{
    char *end = NULL;
    *out = 0.0;
    if (text == NULL || strcmp(text, "off") == 0) return true;
    if (strcmp(text, "auto") == 0) {
        *out = GLN_RELABEL_AUTO;
        return true;
    }
    *out = strtod(text, &end);
    return end != text && *end == 0 && *out >= 0.0 && *out <= 1.0;
}

int gln_command_batch(int argc, char **argv)
{
    gln_common_options o = {0};
    gln_texts target_texts = {0};
    const char *holder = NULL, *key = NULL, *relabel = NULL;
    size_t size = 0, seed = 0, release = 0, show = 0, cluster = 0;
    double max_price = NAN, max_minutes = NAN, explore = NAN, audit = NAN, lease_hours = 0.0;
    bool all = false;
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        GLN_PROJECT_OPTION(o),
        {"size", 'n', GLN_OPTION_SIZE, &size, "N", "images"},
        {"max-price", 0, GLN_OPTION_NUMBER, &max_price, "X", "in the project's currency"},
        {"max-minutes", 0, GLN_OPTION_NUMBER, &max_minutes, "X", "of annotation"},
        {"target", 't', GLN_OPTION_TEXTS, &target_texts, "CLASS=X", "wanted share, 0.3 or 30%; may be repeated"},
        {"cluster", 0, GLN_OPTION_SIZE, &cluster, "ID", "only from this cluster"},
        {"explore-share", 0, GLN_OPTION_NUMBER, &explore, "X",
         "of the batch, for what labels do not cover (default: by how reliable predictions are)"},
        {"audit-share", 0, GLN_OPTION_NUMBER, &audit, "X", "of the batch, at random (default: 0.05)"},
        {"relabel", 0, GLN_OPTION_TEXT, &relabel, "X",
         "second looks at labels that look wrong: off, auto or a share of the batch (default: off)"},
        {"seed", 's', GLN_OPTION_SIZE, &seed, "N", "the same seed and state give the same batch (default: picked)"},
        {"lease-hours", 0, GLN_OPTION_NUMBER, &lease_hours, "X", "how long it is reserved (default: 24)"},
        {"holder", 0, GLN_OPTION_TEXT, &holder, "NAME", "who takes it"},
        {"key", 0, GLN_OPTION_TEXT, &key, "TEXT", "idempotency key: the same key and request give the same batch"},
        {"show", 0, GLN_OPTION_SIZE, &show, "ID", "print a batch taken before"},
        {"release", 0, GLN_OPTION_SIZE, &release, "ID", "give back what is not labelled"},
        {"all", 'a', GLN_OPTION_FLAG, &all, NULL, "print every image, not the first 20"},
        GLN_JSON_OPTION(o),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest != 0) return gln_usage_error(&usage, "unexpected argument %s", rest[0]);
    if (show == 0 && release == 0 && size == 0 && isnan(max_price) && isnan(max_minutes))
        return gln_usage_error(&usage, "say how many images: --size, --max-price or --max-minutes");

    double looks = 0.0;
    if (!parse_relabel(&looks, relabel))
        return gln_usage_error(&usage, "--relabel %s: off, auto or a share from 0 to 1", relabel);
    gln_target targets[GLN_TEXTS_MAX];
    size_t memory_bytes = 1;
    char *memory = NULL;
    for (size_t i = 0; i < target_texts.n; i++) memory_bytes += strlen(target_texts.text[i]) + 1;
    if (gln_alloc(&memory, memory_bytes, 1, "targets") != GLN_OK) return gln_failed("batch", GLN_E_MEMORY);
    if (!parse_targets(&target_texts, targets, memory)) {
        gln_free(memory);
        return gln_usage_error(&usage, "--target CLASS=SHARE is expected, as in handwriting=0.3 or handwriting=30%%");
    }
    gln_session session;
    int64_t id = (int64_t)show;
    o.over_http = release != 0 ? "DELETE /v1/projects/{project}/batches/{id}" : "POST /v1/projects/{project}/batches";
    bool writes = release != 0 || show == 0;
    gln_status st = writes ? gln_session_open(&session, &o, true) : gln_session_open_reading(&session, &o, true);
    if (st != GLN_OK) {
        gln_free(memory);
        return gln_failed("batch", st);
    }
    if (release != 0) {
        st = gln_engine_batch_release(session.engine, (int64_t)release);
        if (st == GLN_OK) printf("batch %zu is given back\n", release);
    } else {
        gln_batch_request request = {
            .project_id = session.project_id,
            .size = size,
            .max_price = max_price,
            .max_minutes = max_minutes,
            .targets = targets,
            .n_targets = target_texts.n,
            .cluster_id = (int64_t)cluster,
            .explore_share = explore,
            .audit_share = audit,
            .relabel = looks,
            .seed = seed,
            .lease_ms = llround(fmin(fmax(lease_hours, -1.0), 1e6) * 3600000.0),
            .holder = holder,
            .idempotency_key = key,
        };
        if (show == 0) st = gln_engine_batch_take(session.engine, &request, &id);
        if (st == GLN_OK) st = print_whole(session.engine, &session, id, o.json, all ? SIZE_MAX : 20);
    }
    code = st == GLN_OK ? GLN_EXIT_OK : gln_failed("batch", st);
    gln_session_close(&session);
    gln_free(memory);
    return code;
}
