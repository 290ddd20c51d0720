/*
 * Files by name, folders walked, as a source of the extractor: for what works without a project (`gleaner embed`, the
 * comparison of backbones on a folder).
 *
 *     gln_photo_list photos = {0};
 *     for (size_t i = 0; i < n_rest && st == GLN_OK; i++) st = gln_photo_list_add(&photos, rest[i]);
 *     // job begins with the list
 *     st = gln_extractor_run(backbone, &options, gln_photo_list_next, take_result, &job, progress);
 *     gln_photo_list_dispose(&photos);
 *
 * Threads: one at a time.
 */
#ifndef GLN_ENGINE_PHOTO_LIST_H
#define GLN_ENGINE_PHOTO_LIST_H

#include "embed/extractor.h"

typedef struct gln_photo_list {
    char **path; /* [n] in the order given, each folder's in the order of the names; owned */
    size_t n, capacity;
    size_t n_unreadable; /* folders and links that could not be followed; each is told to the log */
    size_t next;         /* which of them gln_photo_list_next gives next */
} gln_photo_list;

/* Adds the file, or every file below the folder. Errors: as gln_walk's. */
gln_status gln_photo_list_add(gln_photo_list *list, const char *root);
void gln_photo_list_dispose(gln_photo_list *list);

/* A gln_extract_next_fn; tags are places in the list. `context` points to a gln_photo_list, or to a struct that begins
   with one. */
gln_status gln_photo_list_next(void *context, gln_extract_item *item, bool *out_more);

#endif
