/*
 * The dashboard's files, built and put into the binary at build time. Called by server.
 *
 *     const gln_asset *asset = gln_asset_find("/index.html");
 *     if (asset != NULL) ... asset->bytes, asset->n_bytes ...
 *
 * Threads: constant data, any thread.
 */
#ifndef GLN_WEB_ASSETS_H
#define GLN_WEB_ASSETS_H

#include <stddef.h>

typedef struct gln_asset {
    const char *path;         /* as requested: "/index.html", "/assets/index-4f1c.js" */
    const char *content_type; /* "text/html; charset=utf-8" */
    const unsigned char *bytes;
    size_t n_bytes;
    const char *etag; /* of the content, with its quotes */
} gln_asset;

/* The file with exactly this path, or NULL. Nothing is resolved: "/" is not "/index.html". */
const gln_asset *gln_asset_find(const char *path);

#endif
