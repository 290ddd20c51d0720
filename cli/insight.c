/* gleaner forecast, check, drift: what a labeling lead needs to know beside the batch. */
#include "cli/commands.h"
#include "engine/insight.h"

#include <math.h>
#include <stdio.h>

static double number(const gln_json *json, const char *name)
{
    return gln_json_number(gln_json_get(json, name), NAN);
}

static const char *text(const gln_json *json, const char *name)
{
    const char *value = gln_json_string(gln_json_get(json, name));
    return value != NULL ? value : "";
}

/* ---- forecast ---------------------------------------------------------------------------------------------------- */

static const gln_usage forecast_usage = {
    "forecast",
    "",
    "Says what the next labels are expected to bring, and whether that is worth their price. From the learning curve "
    "that\n"
    "the last resample measured; works beside a running server. With --point-value, what one point of balanced "
    "accuracy is\n"
    "worth in the project's currency, it gives the chance that the labels are worth it.",
    "  gleaner forecast --labels 200 --point-value 50\n",
};

static void print_forecast(const gln_json *json)
{
    printf("%s\n", text(json, "words"));
    const gln_json *classes = gln_json_get(json, "classes"), *audit = gln_json_get(json, "audit");
    if (gln_json_count(classes) != 0)
        printf("\n  %-24s %10s %8s %16s\n", "class", "recognised", "gain", "in 8 of 10 cases");
    for (const gln_json *c = gln_json_first(classes); c != NULL; c = gln_json_next(c)) {
        if (isnan(number(c, "gain"))) printf("  %-24.24s %10s\n", text(c, "class"), "too few");
        else
            printf("  %-24.24s %9.1f%% %+8.1f %+7.1f to %+5.1f\n", text(c, "class"), 100.0 * number(c, "accuracy"),
                   100.0 * number(c, "gain"), 100.0 * number(c, "low"), 100.0 * number(c, "high"));
    }
    if (gln_json_is_object(audit))
        printf("\naudit arm: %.1f%% of unlabelled images are predicted right (%.1f to %.1f), from %.0f images\n",
               100.0 * number(audit, "accuracy"), 100.0 * number(audit, "low"), 100.0 * number(audit, "high"),
               number(audit, "images"));
    const gln_json *agreements = gln_json_get(json, "agreements");
    for (size_t i = 0, n = gln_json_count(agreements); i < n; i++)
        printf("%s%.3f%s", i == 0 ? "agreement with the model before (kappa): " : ", ",
               number(gln_json_at(agreements, i), "kappa"), i + 1 == n ? "\n" : "");
}

int gln_command_forecast(int argc, char **argv)
{
    gln_common_options o = {0};
    gln_forecast_request request = {.n_labels = 100, .point_value = NAN, .price = NAN};
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        GLN_PROJECT_OPTION(o),
        {"labels", 'n', GLN_OPTION_SIZE, &request.n_labels, "N", "the next N labels (default: 100)"},
        {"point-value", 'v', GLN_OPTION_NUMBER, &request.point_value, "MONEY",
         "what one point of balanced accuracy is worth"},
        {"price", 0, GLN_OPTION_NUMBER, &request.price, "MONEY",
         "of all those labels (default: by the classes' prices)"},
        GLN_JSON_OPTION(o),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&forecast_usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest != 0) return gln_usage_error(&forecast_usage, "unexpected argument %s", rest[0]);
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0;
    gln_status st = gln_reader_open(&store, &o, &project_id);
    if (st == GLN_OK) st = gln_insight_forecast(&json, store, project_id, &request);
    gln_store_close(store);
    if (st != GLN_OK) return gln_failed("forecast", st);
    if (o.json) {
        gln_print_json(json);
        return GLN_EXIT_OK;
    }
    print_forecast(json);
    gln_json_free(json);
    return GLN_EXIT_OK;
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

static const gln_usage check_usage = {
    "check",
    "",
    "Lists labels that look wrong, most certain first: the classifier, held out, and the nearest labelled images agree "
    "on\n"
    "another class. From the last resample; labels changed since are left out. Works beside a running server.",
    "  gleaner check --limit 50\n",
};

int gln_command_check(int argc, char **argv)
{
    gln_common_options o = {0};
    size_t limit = 20;
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        GLN_PROJECT_OPTION(o),
        {"limit", 'n', GLN_OPTION_SIZE, &limit, "N", "at most N of them (default: 20)"},
        GLN_JSON_OPTION(o),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&check_usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest != 0) return gln_usage_error(&check_usage, "unexpected argument %s", rest[0]);
    if (limit == 0 || limit > 1000000) return gln_usage_error(&check_usage, "--limit: from 1 to 1000000");
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0;
    gln_status st = gln_reader_open(&store, &o, &project_id);
    if (st == GLN_OK) st = gln_insight_label_checks(&json, store, project_id, 0, limit);
    gln_store_close(store);
    if (st != GLN_OK) return gln_failed("check", st);
    if (o.json) {
        gln_print_json(json);
        return GLN_EXIT_OK;
    }
    printf("%s\n", text(json, "words"));
    for (const gln_json *item = gln_json_first(gln_json_get(json, "items")); item != NULL; item = gln_json_next(item))
        printf("  %4.0f  image %.0f  %s\n        %s\n", number(item, "rank"), number(item, "image"), text(item, "path"),
               text(item, "words"));
    gln_json_free(json);
    return GLN_EXIT_OK;
}

/* ---- drift ------------------------------------------------------------------------------------------------------- */

static const gln_usage drift_usage = {
    "drift",
    "",
    "Says whether images that arrived since the reference window lie as those in it. The window is what the first "
    "resample\n"
    "saw, until --accept makes it the pool as it is now. From the last resample; works beside a running server "
    "(--accept does\n"
    "not: use the HTTP interface there).",
    "  gleaner drift\n"
    "  gleaner drift --accept\n",
};

static gln_status accept(const gln_common_options *o)
{
    gln_session session;
    int64_t image_id = 0;
    gln_status st = gln_session_open(&session, o, true);
    if (st != GLN_OK) return st;
    st = gln_engine_drift_accept(session.engine, session.project_id, 0, &image_id);
    gln_session_close(&session);
    return st;
}

static void print_drift(const gln_json *json)
{
    const gln_json *tests = gln_json_get(json, "tests"), *clusters = gln_json_get(json, "clusters");
    printf("%s\n", text(json, "words"));
    if (gln_json_bool(gln_json_get(json, "accepted"), false))
        printf("Accepted since: the next resample compares with all images up to now.\n");
    for (const gln_json *c = gln_json_first(clusters); c != NULL; c = gln_json_next(c))
        printf("  cluster %-6.0f %5.1f%% of the new images, %5.1f%% before (%.0f new)\n", number(c, "cluster"),
               100.0 * number(c, "share_arrivals"), 100.0 * number(c, "share_reference"), number(c, "arrivals"));
    for (size_t i = 0; i < gln_json_count(tests) && i < 3; i++) {
        const gln_json *test = gln_json_at(tests, i);
        printf("  %-10s %s p %.2g after correction for %zu tests\n", text(test, "kind"), text(test, "class"),
               number(test, "p_corrected"), gln_json_count(tests));
    }
}

int gln_command_drift(int argc, char **argv)
{
    gln_common_options o = {0};
    bool accepting = false;
    const gln_option options[] = {GLN_DATA_OPTION(o),
                                  GLN_PROJECT_OPTION(o),
                                  {"accept", 0, GLN_OPTION_FLAG, &accepting, NULL,
                                   "the pool as it is now becomes what later arrivals are compared with"},
                                  GLN_JSON_OPTION(o),
                                  {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&drift_usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest != 0) return gln_usage_error(&drift_usage, "unexpected argument %s", rest[0]);
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0;
    o.over_http = "POST /v1/projects/{project}/drift/accept";
    gln_status st = accepting ? accept(&o) : GLN_OK;
    if (st == GLN_OK) st = gln_reader_open(&store, &o, &project_id);
    if (st == GLN_OK) st = gln_insight_drift(&json, store, project_id);
    gln_store_close(store);
    if (st != GLN_OK) return gln_failed("drift", st);
    if (o.json) {
        gln_print_json(json);
        return GLN_EXIT_OK;
    }
    print_drift(json);
    gln_json_free(json);
    return GLN_EXIT_OK;
}
