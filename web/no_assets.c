/* Stands in for the generated assets when the dashboard is left out (GLN_WEB=OFF): the one page there is says so. */
#include "web/assets.h"

#include <string.h>

static const unsigned char words[] =
    "This gleaner was built without its dashboard (GLN_WEB=OFF). Its HTTP interface is below /v1, see docs/api.md.\n";

static const gln_asset page = {"/index.html", "text/plain; charset=utf-8", words, sizeof words - 1, "\"no-dashboard-1\""};

const gln_asset *gln_asset_find(const char *path)
{
    return strcmp(path, page.path) == 0 ? &page : NULL;
}
