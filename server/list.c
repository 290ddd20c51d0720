/* Lists in pages: a limit, and a cursor that is the id of the last item shown. */
#include "server/internal.h"
#include "server/shapes.h"

#include <inttypes.h>
#include <stdio.h>

gln_status gln_page_begin(gln_page *page, gln_request *request)
{
    int64_t limit = 0;
    *page = (gln_page){0};
    gln_status st = gln_request_param_int(request, "limit", 1, 1000, 100, &limit);
    if (st == GLN_OK) st = gln_request_param_int(request, "after", 0, INT64_MAX / 10, 0, &page->after);
    if (st != GLN_OK) return st;
    page->limit = (size_t)limit;
    page->n_asked = page->limit + 1;
    page->items = gln_json_array();
    return page->items == NULL ? gln_fail(GLN_E_MEMORY, "no memory for a list") : GLN_OK;
}

bool gln_page_takes(gln_page *page, int64_t id)
{
    if (page->n == page->limit) {
        page->more = true;
        return false;
    }
    page->n++;
    page->last = id;
    return true;
}

gln_json *gln_page_end(gln_page *page)
{
    char next[32] = "";
    if (page->more) snprintf(next, sizeof next, "%" PRId64, page->last);
    gln_json *list = gln_shape_list(page->items, next);
    page->items = NULL;
    return list;
}

gln_status gln_reply_page(gln_reply *reply, gln_request *request, gln_page_writer *write)
{
    gln_page page = {0};
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0;
    gln_status st = gln_page_begin(&page, request);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = write(&json, store, project_id, page.after, page.limit);
    gln_json_free(page.items);
    return st == GLN_OK ? gln_reply_json(reply, 200, json) : st;
}
