#include "server/route.h"

#include "server/handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define P "/v1/projects/{p}"

const gln_route gln_routes[] = {
    {GLN_GET, "/healthz", GLN_ROLE_NONE, GLN_BODY_NONE, "", gln_handle_health},
    {GLN_GET, "/readyz", GLN_ROLE_NONE, GLN_BODY_NONE, "", gln_handle_ready},
    {GLN_GET, "/login", GLN_ROLE_NONE, GLN_BODY_NONE, "code", gln_handle_login},
    {GLN_GET, "/v1/session", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_session},
    {GLN_DELETE, "/v1/session", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_session_end},
    {GLN_GET, "/v1/openapi.json", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_openapi},

    {GLN_GET, "/v1/projects", GLN_ROLE_VIEWER, GLN_BODY_NONE, "limit after", gln_handle_projects},
    {GLN_POST, "/v1/projects", GLN_ROLE_ADMIN, GLN_BODY_REQUIRED, "", gln_handle_project_create},
    {GLN_GET, P, GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_project},
    {GLN_PATCH, P, GLN_ROLE_LEAD, GLN_BODY_REQUIRED, "", gln_handle_project_change},
    {GLN_DELETE, P, GLN_ROLE_ADMIN, GLN_BODY_NONE, "", gln_handle_project_delete},

    {GLN_GET, P "/images", GLN_ROLE_VIEWER, GLN_BODY_NONE, "limit after cluster class predicted labelled leased path",
     gln_handle_images},
    {GLN_POST, P "/images", GLN_ROLE_ADMIN, GLN_BODY_REQUIRED, "", gln_handle_images_register},
    {GLN_GET, P "/images/{i}", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_image},
    {GLN_DELETE, P "/images/{i}", GLN_ROLE_ADMIN, GLN_BODY_NONE, "", gln_handle_image_remove},
    {GLN_GET, P "/images/{i}/thumbnail", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_thumbnail},
    {GLN_GET, P "/images/{i}/original", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_original},
    {GLN_GET, P "/images/{i}/similar", GLN_ROLE_VIEWER, GLN_BODY_NONE, "k", gln_handle_similar},
    {GLN_GET, P "/refusals", GLN_ROLE_VIEWER, GLN_BODY_NONE, "limit after", gln_handle_refusals},

    {GLN_GET, P "/labels", GLN_ROLE_VIEWER, GLN_BODY_NONE, "limit after", gln_handle_labels},
    {GLN_POST, P "/labels", GLN_ROLE_ANNOTATOR, GLN_BODY_REQUIRED, "", gln_handle_labels_add},

    {GLN_GET, P "/clusters", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_clusters},
    {GLN_GET, P "/clusters/{c}", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_cluster},
    {GLN_PATCH, P "/clusters/{c}", GLN_ROLE_LEAD, GLN_BODY_REQUIRED, "", gln_handle_cluster_change},

    {GLN_GET, P "/balance", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_balance},
    {GLN_GET, P "/forecast", GLN_ROLE_VIEWER, GLN_BODY_NONE, "labels point_value price", gln_handle_forecast},
    {GLN_GET, P "/label-checks", GLN_ROLE_VIEWER, GLN_BODY_NONE, "limit after", gln_handle_label_checks},
    {GLN_GET, P "/drift", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_drift},
    {GLN_POST, P "/drift/accept", GLN_ROLE_LEAD, GLN_BODY_OPTIONAL, "", gln_handle_drift_accept},
    {GLN_GET, P "/proposals", GLN_ROLE_VIEWER, GLN_BODY_NONE, "bound confidence", gln_handle_proposals},
    {GLN_GET, P "/audits", GLN_ROLE_VIEWER, GLN_BODY_NONE, "limit after", gln_handle_audits},
    {GLN_POST, P "/audits", GLN_ROLE_LEAD, GLN_BODY_REQUIRED, "", gln_handle_audit_take},
    {GLN_GET, P "/audits/{a}", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_audit},
    {GLN_POST, P "/audits/{a}/accept", GLN_ROLE_LEAD, GLN_BODY_NONE, "", gln_handle_audit_accept},
    {GLN_POST, P "/audits/{a}/undo", GLN_ROLE_LEAD, GLN_BODY_NONE, "", gln_handle_audit_undo},
    {GLN_GET, P "/ledger", GLN_ROLE_VIEWER, GLN_BODY_NONE, "limit after", gln_handle_ledger},

    {GLN_GET, P "/batches", GLN_ROLE_VIEWER, GLN_BODY_NONE, "limit after", gln_handle_batches},
    {GLN_POST, P "/batches", GLN_ROLE_LEAD, GLN_BODY_REQUIRED, "", gln_handle_batch_take},
    {GLN_GET, P "/batches/{b}", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_batch},
    {GLN_DELETE, P "/batches/{b}", GLN_ROLE_LEAD, GLN_BODY_NONE, "", gln_handle_batch_release},
    {GLN_POST, P "/batches/{b}/labels", GLN_ROLE_ANNOTATOR, GLN_BODY_REQUIRED, "", gln_handle_batch_labels},
    {GLN_POST, P "/batches/{b}/renew", GLN_ROLE_ANNOTATOR, GLN_BODY_OPTIONAL, "", gln_handle_batch_renew},

    {GLN_GET, P "/runs", GLN_ROLE_VIEWER, GLN_BODY_NONE, "limit after", gln_handle_runs},
    {GLN_POST, P "/runs", GLN_ROLE_LEAD, GLN_BODY_REQUIRED, "", gln_handle_run_start},
    {GLN_GET, P "/runs/{r}", GLN_ROLE_VIEWER, GLN_BODY_NONE, "", gln_handle_run},
    {GLN_DELETE, P "/runs/{r}", GLN_ROLE_LEAD, GLN_BODY_NONE, "", gln_handle_run_cancel},
};
const size_t gln_n_routes = sizeof gln_routes / sizeof gln_routes[0];

const char *gln_method_name(gln_method method)
{
    static const char *const names[] = {"GET", "POST", "PATCH", "DELETE", ""};
    return names[method];
}

/* 1 to 15 digits without a leading zero: what a JSON number keeps whole. 0: no id. */
static int64_t parse_id(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 15 || strspn(text, "0123456789") != length || text[0] == '0') return 0;
    return strtoll(text, NULL, 10);
}

/* Whether the path of the request has this pattern; notes the name and the id in it. */
static bool matches(gln_request *request, const char *pattern)
{
    const char *project = NULL;
    int64_t id = 0;
    size_t i = 0;
    for (const char *part = pattern + 1; *part != 0; i++) {
        size_t length = strcspn(part, "/");
        if (i == request->n_segments) return false;
        const char *segment = request->segments[i];
        if (strncmp(part, "{p}", 3) == 0) {
            if (*segment == 0) return false;
            project = segment;
        } else if (*part == '{') {
            if ((id = parse_id(segment)) == 0) return false;
        } else if (strlen(segment) != length || strncmp(part, segment, length) != 0) {
            return false;
        }
        part += length + (part[length] == '/');
    }
    if (i != request->n_segments) return false;
    request->project = project;
    request->id = id;
    return true;
}

void gln_route_find(gln_request *request, char *allow, size_t capacity)
{
    size_t length = 0;
    allow[0] = 0;
    request->route = NULL;
    for (size_t i = 0; i < gln_n_routes; i++) {
        if (!matches(request, gln_routes[i].pattern)) continue;
        if (gln_routes[i].method == request->method && request->route == NULL) request->route = &gln_routes[i];
        /* HEAD goes with GET, but for the log-in, which a preview must not use up. */
        const char *name = gln_method_name(gln_routes[i].method);
        bool head = gln_routes[i].method == GLN_GET && gln_routes[i].handler != gln_handle_login;
        int n = snprintf(allow + length, capacity - length, "%s%s%s", length == 0 ? "" : ", ", name,
                         head ? ", HEAD" : "");
        if (n > 0 && (size_t)n < capacity - length) length += (size_t)n;
    }
    if (request->is_head && request->route != NULL && request->route->handler == gln_handle_login)
        request->route = NULL;
}
