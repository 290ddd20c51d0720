#include "cli/commands.h"

#include <stdio.h>

static const gln_usage usage = {
    "resample", "",
    "Finds near-duplicates and clusters, trains the classifier on the labels there are, predicts every image, and\n"
    "publishes all of it at once as the state that batches are chosen from. Does nothing when neither images nor\n"
    "labels changed. Meant for every night: see packaging/.",
    "  gleaner resample --project homework\n",
};

int gln_command_resample(int argc, char **argv)
{
    gln_common_options o = {.over_http = "POST /v1/projects/{project}/runs with {\"kind\": \"resample\"}"};
    bool force = false, quiet = false;
    size_t clusters = 0, seed = 1;
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        GLN_PROJECT_OPTION(o),
        GLN_DEVICE_OPTION(o),
        {"clusters", 'k', GLN_OPTION_SIZE, &clusters, "N", "number of clusters (default: from the pool's size)"},
        {"seed", 's', GLN_OPTION_SIZE, &seed, "N", "the same seed, images and labels give the same state (default: 1)"},
        {"force", 'f', GLN_OPTION_FLAG, &force, NULL, "from scratch, also when nothing changed"},
        {"quiet", 'q', GLN_OPTION_FLAG, &quiet, NULL, "no progress"},
        GLN_JSON_OPTION(o),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest != 0) return gln_usage_error(&usage, "unexpected argument %s", rest[0]);
    if (!gln_take_device(&o)) return gln_usage_error(&usage, "%s", gln_message());

    gln_session session;
    gln_resample_summary s;
    gln_status st = gln_session_open(&session, &o, true);
    if (st != GLN_OK) return gln_failed("resample", st);
    gln_resample_request request = {
        .project_id = session.project_id, .n_clusters = clusters, .seed = seed, .force = force};
    gln_watch watch = gln_session_watch();
    st = gln_engine_resample(session.engine, &request, quiet ? NULL : &watch, &s);
    if (st != GLN_OK) {
        code = gln_failed("resample", st);
    } else if (o.json) {
        gln_json *json = gln_json_object();
        gln_json_set_string(json, "project", session.project);
        gln_json_set_number(json, "run", (double)s.run_id);
        gln_json_set_bool(json, "unchanged", s.unchanged);
        if (!s.unchanged) {
            gln_json_set_number(json, "images", (double)s.n_images);
            gln_json_set_number(json, "labels", (double)s.n_labels);
            gln_json_set_number(json, "duplicates", (double)s.n_duplicates);
            gln_json_set_number(json, "duplicate_threshold", (double)s.duplicate_threshold);
            gln_json_set_number(json, "clusters", (double)s.n_clusters);
            gln_json_set_number(json, "graph_recall", s.graph_recall);
            gln_json_set_number(json, "backfilled", (double)s.n_backfilled);
            gln_json_set_string(json, "backbone", s.backbone);
            gln_json_set_string(json, "sanity", s.sanity);
            gln_json_set_string(json, "classifier", s.classifier);
            gln_json_set_number(json, "seconds", s.seconds);
        }
        gln_print_json(json);
    } else if (s.unchanged) {
        printf("nothing changed since run %lld: its state stays (--force resamples all the same)\n",
               (long long)s.run_id);
    } else {
        char images[32];
        printf("run %lld: %s images, %zu labels in %zu classes, %.1f s\n", (long long)s.run_id,
               gln_thousands(images, (long long)s.n_images), s.n_labels, s.n_classes_labelled, s.seconds);
        if (s.backbone[0] != 0) printf("  backbone         %s\n", s.backbone);
        if (s.n_backfilled != 0) printf("  vectors          %zu made that it lacked\n", s.n_backfilled);
        printf("  near-duplicates  %zu images stand behind another one (cosine above %.4f)\n", s.n_duplicates,
               (double)s.duplicate_threshold);
        printf("  clusters         %zu: %s\n", s.n_clusters, s.sanity);
        printf("  classifier       %s\n", s.classifier);
    }
    if (st == GLN_OK) code = GLN_EXIT_OK;
    gln_session_close(&session);
    return code;
}
