/*
 * The dashboard's files. They are constants of the binary, found by their exact path: there is no file system behind
 * them and so nothing to climb out of. Files below /assets/ carry a hash in their name and never change.
 */
#include "server/internal.h"

#include "web/assets.h"

#include <string.h>

void gln_static_answer(gln_request *request, gln_reply *reply)
{
    const char *path = request->path;
    const gln_asset *asset = gln_asset_find(strcmp(path, "/") == 0 ? "/index.html" : path);
    if (asset == NULL) {
        gln_problem(reply, 404, "not-found", "Not found", "There is nothing at this address.");
        return;
    }
    if (request->method != GLN_GET) {
        gln_problem(reply, 405, "method-not-allowed", "Method not allowed", "This address is only read.");
        gln_reply_header(reply, "Allow", "GET, HEAD");
        return;
    }
    bool lasting = strncmp(path, "/assets/", 8) == 0;
    gln_reply_header(reply, "Cache-Control", "%s", lasting ? "public, max-age=31536000, immutable" : "no-cache");
    if (gln_reply_not_modified(request, reply, asset->etag)) return;
    reply->status = 200;
    reply->content_type = asset->content_type;
    reply->bytes = asset->bytes;
    reply->n_bytes = asset->n_bytes;
}
