/*
 * JSON values: parse, build, print. The only place that includes cJSON. Used for backbone manifests, the
 * command line's --json and the HTTP interface.
 *
 *     gln_json *root = NULL;
 *     if ((st = gln_json_parse(&root, text, n_bytes, "request body")) != GLN_OK) return st;
 *     const char *name = gln_json_string(gln_json_get(root, "name"));
 *     gln_json_free(root);
 *
 * Building: gln_json_object(), gln_json_array() and gln_json_set_*(). A value that is added to a parent
 * belongs to it; the root is freed by gln_json_free(). Building functions that find no memory drop the value
 * and mark nothing: gln_json_print() of the root then lacks it, so they are used for replies, never for state.
 *
 * Threads: a value belongs to one thread at a time.
 */
#ifndef GLN_COMMON_JSON_H
#define GLN_COMMON_JSON_H

#include "common/status.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cJSON gln_json;

/*
 * Parses one JSON text of `n_bytes`; anything after it but white space, invalid UTF-8, U+0000 in a string, a
 * repeated name in an object, a number that is not finite, or nesting beyond 64 is GLN_E_FORMAT; `what` and the
 * byte offset are in the sentence.
 */
gln_status gln_json_parse(gln_json **out, const char *text, size_t n_bytes, const char *what);
void gln_json_free(gln_json *json);

/* Compact text (freed with gln_free), or with `pretty` indented text; NULL with the error set without memory. */
char *gln_json_print(const gln_json *json, bool pretty);

/* Reading. All take NULL and give NULL, false, 0 or `otherwise` for what is not there or of another kind. */
const gln_json *gln_json_get(const gln_json *object, const char *name);
const gln_json *gln_json_at(const gln_json *array, size_t index); /* also the index-th member of an object */
size_t gln_json_count(const gln_json *array_or_object);
const gln_json *gln_json_first(const gln_json *array_or_object); /* walk in order: first, then next */
const gln_json *gln_json_next(const gln_json *item);
const char *gln_json_name(const gln_json *member); /* its name inside its object */
bool gln_json_is_object(const gln_json *json);
bool gln_json_is_array(const gln_json *json);
bool gln_json_is_string(const gln_json *json);
bool gln_json_is_number(const gln_json *json);
bool gln_json_is_bool(const gln_json *json);
bool gln_json_is_null(const gln_json *json);
const char *gln_json_string(const gln_json *json);
double gln_json_number(const gln_json *json, double otherwise);
bool gln_json_bool(const gln_json *json, bool otherwise);

/* Building. A NULL string becomes null, a number that is not finite becomes null. */
gln_json *gln_json_object(void);
gln_json *gln_json_array(void);
gln_json *gln_json_copy(const gln_json *json); /* a deep copy */
gln_json *gln_json_new_string(const char *value);
gln_json *gln_json_new_number(double value);
gln_json *gln_json_set(gln_json *object, const char *name, gln_json *value); /* takes `value`; returns it */
void gln_json_set_string(gln_json *object, const char *name, const char *value);
void gln_json_set_number(gln_json *object, const char *name, double value);
void gln_json_set_bool(gln_json *object, const char *name, bool value);
void gln_json_set_null(gln_json *object, const char *name);
gln_json *gln_json_push(gln_json *array, gln_json *value); /* takes `value`; returns it */

#endif
