/*
 * The table of routes: method, pattern, the role it needs, what body it takes and who answers. 404, 405 with Allow, and
 * the check of unknown query parameters follow from it. Used by server.c and by the test that holds it against
 * openapi.json.
 *
 * Threads: constant data, any thread.
 */
#ifndef GLN_SERVER_ROUTE_H
#define GLN_SERVER_ROUTE_H

#include "server/internal.h"

typedef enum gln_body { GLN_BODY_NONE, GLN_BODY_OPTIONAL, GLN_BODY_REQUIRED } gln_body;

typedef struct gln_route {
    gln_method method;
    const char *pattern; /* "/v1/projects/{p}": {p} is a name, every other {x} an id */
    gln_role role;       /* GLN_ROLE_NONE: no credentials needed */
    gln_body body;
    const char *params; /* query parameters, separated by spaces */
    gln_handler handler;
} gln_route;

extern const gln_route gln_routes[];
extern const size_t gln_n_routes;

/*
 * Finds the route of a request and fills in `route`, `project` and `id`; `route` stays NULL when there is none. `allow`
 * (at least 64 characters) receives the methods of the path, "" when no pattern of the table has it.
 */
void gln_route_find(gln_request *request, char *allow, size_t capacity);

/* "GET" and so on. */
const char *gln_method_name(gln_method method);

#endif
