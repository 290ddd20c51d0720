/*
 * Checking the members of a JSON object against a table, so that every handler refuses the same things in the same
 * words: unknown fields by name, wrong kinds, values out of range, each with a JSON pointer in the request. Used by the
 * handlers.
 *
 *     static const gln_field fields[] = {
 *         {.name = "name", .kind = GLN_FIELD_STRING, .required = true, .min = 1, .max = 200},
 *         {.name = "seed", .kind = GLN_FIELD_INTEGER, .min = 0, .max = GLN_FIELD_MAX_INTEGER},
 *     };
 *     if ((st = gln_fields_check(request, request->json, "", fields, GLN_N_FIELDS(fields))) != GLN_OK) return st;
 *     const char *name = gln_json_string(gln_json_get(request->json, "name"));
 *
 * Threads: as the request, one at a time.
 */
#ifndef GLN_SERVER_FIELDS_H
#define GLN_SERVER_FIELDS_H

#include "server/internal.h"

typedef enum gln_field_kind {
    GLN_FIELD_STRING,  /* min and max are bytes */
    GLN_FIELD_NUMBER,  /* min and max are values */
    GLN_FIELD_INTEGER, /* the same; without a fraction */
    GLN_FIELD_BOOL,
    GLN_FIELD_OBJECT, /* min and max are members */
    GLN_FIELD_ARRAY,  /* min and max are items */
    GLN_FIELD_ANY     /* the handler looks at it itself */
} gln_field_kind;

typedef struct gln_field {
    const char *name;
    gln_field_kind kind;
    bool required, nullable;
    double min, max;
} gln_field;

/* The largest integer of which a JSON number keeps every digit, 2^53. */
#define GLN_FIELD_MAX_INTEGER 9007199254740992.0
#define GLN_N_FIELDS(fields) (sizeof(fields) / sizeof((fields)[0]))

/* GLN_E_ARGUMENT with the pointer of the first field that is wrong; `pointer` is where `object` itself lies ("" for the
   body). */
gln_status gln_fields_check(gln_request *request, const gln_json *object, const char *pointer, const gln_field *fields,
                            size_t n_fields);

/* Notes the field as the culprit and fails with GLN_E_ARGUMENT. `name` NULL: the object itself. */
gln_status gln_fields_refuse(gln_request *request, const char *pointer, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Reading of what has passed the check. Absent and null: 0 or `otherwise`. */
int64_t gln_fields_int(const gln_json *object, const char *name, int64_t otherwise);
double gln_fields_number(const gln_json *object, const char *name, double otherwise);
const char *gln_fields_string(const gln_json *object, const char *name); /* NULL when absent */

#endif
