/* Stands in for the generated assets when the dashboard is left out (GLN_WEB=OFF): there are no files at all. */
#include "web/assets.h"

const gln_asset *gln_asset_find(const char *path)
{
    (void)path;
    return NULL;
}
