#include "server/fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Appends "/name" to a pointer, '~' and '/' escaped (RFC 6901); a pointer that grows too long is cut at a whole
   part. */
static void extend(char *pointer, size_t capacity, const char *name)
{
    size_t before = strlen(pointer), length = before;
    bool fits = length + 2 < capacity;
    if (fits) pointer[length++] = '/';
    for (; fits && *name != 0; name++) {
        const char *escape = *name == '~' ? "~0" : *name == '/' ? "~1" : NULL;
        fits = length + 3 < capacity;
        if (!fits) break;
        pointer[length++] = escape == NULL ? *name : escape[0];
        if (escape != NULL) pointer[length++] = escape[1];
    }
    pointer[fits ? length : before] = 0;
}

gln_status gln_fields_refuse(gln_request *request, const char *pointer, const char *name, const char *format, ...)
{
    char words[GLN_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    snprintf(request->pointer, sizeof request->pointer, "%s", pointer);
    if (name != NULL) extend(request->pointer, sizeof request->pointer, name);
    return gln_fail(GLN_E_ARGUMENT, "%s", words);
}

static gln_status check_number(gln_request *request, const gln_json *value, const char *pointer, const gln_field *field)
{
    double number = gln_json_number(value, NAN);
    if (field->kind == GLN_FIELD_INTEGER && number != floor(number))
        return gln_fields_refuse(request, pointer, field->name, "%s: %g is not a whole number", field->name, number);
    if (!(number >= field->min && number <= field->max))
        return gln_fields_refuse(request, pointer, field->name, "%s: %.15g is not from %.16g to %.16g", field->name,
                                 number, field->min, field->max);
    return GLN_OK;
}

static gln_status check_length(gln_request *request, size_t length, const char *unit, const char *pointer,
                               const gln_field *field)
{
    if ((double)length >= field->min && (double)length <= field->max) return GLN_OK;
    return gln_fields_refuse(request, pointer, field->name, "%s: %zu %s, not from %g to %g", field->name, length, unit,
                             field->min, field->max);
}

static gln_status check_value(gln_request *request, const gln_json *value, const char *pointer, const gln_field *field)
{
    static const struct {
        bool (*is)(const gln_json *json);
        const char *words;
    } kinds[] = {
        [GLN_FIELD_STRING] = {gln_json_is_string, "a string"},
        [GLN_FIELD_NUMBER] = {gln_json_is_number, "a number"},
        [GLN_FIELD_INTEGER] = {gln_json_is_number, "a whole number"},
        [GLN_FIELD_BOOL] = {gln_json_is_bool, "true or false"},
        [GLN_FIELD_OBJECT] = {gln_json_is_object, "an object"},
        [GLN_FIELD_ARRAY] = {gln_json_is_array, "an array"},
    };
    if (field->kind == GLN_FIELD_ANY || (field->nullable && gln_json_is_null(value))) return GLN_OK;
    if (!kinds[field->kind].is(value))
        return gln_fields_refuse(request, pointer, field->name, "%s: not %s%s", field->name, kinds[field->kind].words,
                                 field->nullable ? " or null" : "");
    switch (field->kind) {
    case GLN_FIELD_NUMBER:
    case GLN_FIELD_INTEGER: return check_number(request, value, pointer, field);
    case GLN_FIELD_STRING: return check_length(request, strlen(gln_json_string(value)), "bytes", pointer, field);
    case GLN_FIELD_OBJECT: return check_length(request, gln_json_count(value), "members", pointer, field);
    case GLN_FIELD_ARRAY: return check_length(request, gln_json_count(value), "items", pointer, field);
    case GLN_FIELD_BOOL:
    case GLN_FIELD_ANY: break;
    }
    return GLN_OK;
}

gln_status gln_fields_check(gln_request *request, const gln_json *object, const char *pointer, const gln_field *fields,
                            size_t n_fields)
{
    if (!gln_json_is_object(object)) return gln_fields_refuse(request, pointer, NULL, "not an object");
    for (const gln_json *member = gln_json_first(object); member != NULL; member = gln_json_next(member)) {
        const char *name = gln_json_name(member);
        size_t i = 0;
        while (i < n_fields && strcmp(fields[i].name, name) != 0) i++;
        if (i == n_fields)
            return gln_fields_refuse(request, pointer, name, "there is no field named \"%.80s\" here", name);
        gln_status st = check_value(request, member, pointer, &fields[i]);
        if (st != GLN_OK) return st;
    }
    for (size_t i = 0; i < n_fields; i++)
        if (fields[i].required && gln_json_get(object, fields[i].name) == NULL)
            return gln_fields_refuse(request, pointer, fields[i].name, "%s: missing", fields[i].name);
    return GLN_OK;
}

int64_t gln_fields_int(const gln_json *object, const char *name, int64_t otherwise)
{
    const gln_json *value = gln_json_get(object, name);
    return gln_json_is_number(value) ? (int64_t)gln_json_number(value, 0.0) : otherwise;
}

double gln_fields_number(const gln_json *object, const char *name, double otherwise)
{
    return gln_json_number(gln_json_get(object, name), otherwise);
}

const char *gln_fields_string(const gln_json *object, const char *name)
{
    return gln_json_string(gln_json_get(object, name));
}
