#include "engine/photo_list.h"

#include "common/files.h"
#include "common/log.h"
#include "common/memory.h"

static gln_status add_file(void *context, const char *path, uint64_t n_bytes)
{
    gln_photo_list *list = context;
    (void)n_bytes; /* the decoder looks at it */
    gln_status st = gln_grow(&list->path, &list->capacity, list->n + 1, sizeof *list->path, "list of files");
    if (st != GLN_OK) return st;
    if ((list->path[list->n] = gln_strdup(path)) == NULL) return GLN_E_MEMORY;
    list->n++;
    return GLN_OK;
}

static void note_unreadable(void *context, const char *path)
{
    gln_photo_list *list = context;
    list->n_unreadable++;
    gln_log(GLN_LOG_WARNING, "%s: cannot be read; passed over", path);
}

gln_status gln_photo_list_add(gln_photo_list *list, const char *root)
{
    return gln_walk(root, add_file, note_unreadable, list);
}

void gln_photo_list_dispose(gln_photo_list *list)
{
    for (size_t i = 0; i < list->n; i++) gln_free(list->path[i]);
    gln_free(list->path);
    *list = (gln_photo_list){0};
}

gln_status gln_photo_list_next(void *context, gln_extract_item *item, bool *out_more)
{
    gln_photo_list *list = context;
    *out_more = list->next < list->n;
    if (*out_more) {
        item->tag = list->next;
        item->path = list->path[list->next++];
    }
    return GLN_OK;
}
