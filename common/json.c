#include "common/json.h"

#include "common/memory.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

/* cJSON lets through a few things that RFC 8259 or common sense does not; false names the first of them. */
static const char *objection(const cJSON *json, int depth)
{
    if (depth > MAX_DEPTH) return "nested too deeply";
    if (cJSON_IsNumber(json) && !isfinite(json->valuedouble)) return "a number that is not finite";
    for (const cJSON *a = json->child; a != NULL; a = a->next) {
        if (cJSON_IsObject(json))
            for (const cJSON *b = json->child; b != a; b = b->next)
                if (strcmp(a->string, b->string) == 0) return "a name that is there twice";
        const char *inner = objection(a, depth + 1);
        if (inner != NULL) return inner;
    }
    return NULL;
}

/* An upper bound on nesting, and on members an object may have before the pairwise test above would be slow. */
static bool reasonable(const cJSON *json, int depth)
{
    enum { MAX_MEMBERS = 1024 };
    if (depth > MAX_DEPTH) return false;
    int n = 0;
    for (const cJSON *a = json->child; a != NULL; a = a->next) {
        if (cJSON_IsObject(json) && ++n > MAX_MEMBERS) return false;
        if (!reasonable(a, depth + 1)) return false;
    }
    return true;
}

gln_status gln_json_parse(gln_json **out, const char *text, size_t n_bytes, const char *what)
{
    *out = NULL;
    if (!gln_utf8_valid(text, n_bytes)) return gln_fail(GLN_E_FORMAT, "%s: not valid UTF-8", what);
    if (memchr(text, 0, n_bytes) != NULL) return gln_fail(GLN_E_FORMAT, "%s: a zero byte inside JSON", what);
    const char *end = text;
    cJSON *json = cJSON_ParseWithLengthOpts(text, n_bytes, &end, 0);
    if (json == NULL) {
        size_t offset = end >= text && end <= text + n_bytes ? (size_t)(end - text) : 0;
        return gln_fail(GLN_E_FORMAT, "%s: not valid JSON, at byte %zu", what, offset);
    }
    while (end < text + n_bytes && strchr(" \t\r\n", *end) != NULL) end++;
    const char *wrong = NULL;
    if (end != text + n_bytes) wrong = "something follows the JSON value";
    else if (!reasonable(json, 0)) wrong = "nested too deeply, or an object with too many members";
    else wrong = objection(json, 0);
    /* cJSON ends a string at \u0000 without a word; refuse the escape outright. */
    if (wrong == NULL && n_bytes >= 6) {
        for (const char *s = text; s + 6 <= text + n_bytes; s++) {
            if (s[0] != '\\') continue;
            if (memcmp(s, "\\u0000", 6) == 0) wrong = "U+0000 in a string";
            s++; /* the escaped character, so that an escaped backslash is not taken for another escape */
        }
    }
    if (wrong != NULL) {
        cJSON_Delete(json);
        return gln_fail(GLN_E_FORMAT, "%s: %s", what, wrong);
    }
    *out = json;
    return GLN_OK;
}

void gln_json_free(gln_json *json)
{
    cJSON_Delete(json);
}

char *gln_json_print(const gln_json *json, bool pretty)
{
    char *text = pretty ? cJSON_Print(json) : cJSON_PrintUnformatted(json);
    if (text == NULL) gln_fail(GLN_E_MEMORY, "no memory for a JSON text");
    return text;
}

const gln_json *gln_json_get(const gln_json *object, const char *name)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

const gln_json *gln_json_at(const gln_json *array, size_t index)
{
    const cJSON *item = array == NULL ? NULL : array->child;
    while (item != NULL && index-- > 0) item = item->next;
    return item;
}

size_t gln_json_count(const gln_json *array_or_object)
{
    size_t n = 0;
    for (const cJSON *a = gln_json_first(array_or_object); a != NULL; a = a->next) n++;
    return n;
}

const gln_json *gln_json_first(const gln_json *array_or_object)
{
    return array_or_object == NULL ? NULL : array_or_object->child;
}

const gln_json *gln_json_next(const gln_json *item)
{
    return item == NULL ? NULL : item->next;
}

const char *gln_json_name(const gln_json *member)
{
    return member == NULL ? NULL : member->string;
}

bool gln_json_is_object(const gln_json *json) { return cJSON_IsObject(json); }
bool gln_json_is_array(const gln_json *json) { return cJSON_IsArray(json); }
bool gln_json_is_string(const gln_json *json) { return cJSON_IsString(json); }
bool gln_json_is_number(const gln_json *json) { return cJSON_IsNumber(json); }
bool gln_json_is_bool(const gln_json *json) { return cJSON_IsBool(json); }
bool gln_json_is_null(const gln_json *json) { return cJSON_IsNull(json); }

const char *gln_json_string(const gln_json *json)
{
    return cJSON_IsString(json) ? json->valuestring : NULL;
}

double gln_json_number(const gln_json *json, double otherwise)
{
    return cJSON_IsNumber(json) ? json->valuedouble : otherwise;
}

bool gln_json_bool(const gln_json *json, bool otherwise)
{
    return cJSON_IsBool(json) ? (bool)cJSON_IsTrue(json) : otherwise;
}

gln_json *gln_json_object(void) { return cJSON_CreateObject(); }
gln_json *gln_json_array(void) { return cJSON_CreateArray(); }

gln_json *gln_json_copy(const gln_json *json) { return cJSON_Duplicate(json, 1); }

gln_json *gln_json_new_string(const char *value)
{
    return value == NULL ? cJSON_CreateNull() : cJSON_CreateString(value);
}

gln_json *gln_json_new_number(double value)
{
    return isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull();
}

gln_json *gln_json_set(gln_json *object, const char *name, gln_json *value)
{
    if (object == NULL || value == NULL || !cJSON_AddItemToObject(object, name, value)) {
        cJSON_Delete(value);
        return NULL;
    }
    return value;
}

void gln_json_set_string(gln_json *object, const char *name, const char *value)
{
    gln_json_set(object, name, gln_json_new_string(value));
}

void gln_json_set_number(gln_json *object, const char *name, double value)
{
    gln_json_set(object, name, gln_json_new_number(value));
}

void gln_json_set_bool(gln_json *object, const char *name, bool value)
{
    gln_json_set(object, name, cJSON_CreateBool(value));
}

void gln_json_set_null(gln_json *object, const char *name)
{
    gln_json_set(object, name, cJSON_CreateNull());
}

gln_json *gln_json_push(gln_json *array, gln_json *value)
{
    if (array == NULL || value == NULL || !cJSON_AddItemToArray(array, value)) {
        cJSON_Delete(value);
        return NULL;
    }
    return value;
}
