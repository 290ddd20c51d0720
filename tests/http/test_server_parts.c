/* Parts of the server that need no socket: the table of routes against the OpenAPI document, addresses, fields, problems,
   log-in codes. */
#include "common/memory.h"
#include "server/fields.h"
#include "server/openapi.h"
#include "server/route.h"
#include "server/shapes.h"
#include "tests/support/support.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static gln_request *ask(gln_server *server, const char *method, const char *uri)
{
    gln_request *request = gln_request_create(server, NULL, uri);
    ck_assert_ptr_nonnull(request);
    request->method = GLN_METHOD_OTHER;
    for (int i = GLN_GET; i <= GLN_DELETE; i++)
        if (strcmp(method, gln_method_name((gln_method)i)) == 0) request->method = (gln_method)i;
    return request;
}

/* ---- routes ---------------------------------------------------------------------------------------------------------- */

START_TEST(routes__every_route_is_described_and_every_description_has_a_route)
{
    gln_json *document = NULL;
    ck_assert_int_eq(gln_json_parse(&document, (const char *)gln_openapi, gln_n_openapi, "openapi.json"), GLN_OK);
    const gln_json *paths = gln_json_get(document, "paths");
    size_t n_described = 0;
    for (const gln_json *path = gln_json_first(paths); path != NULL; path = gln_json_next(path))
        n_described += gln_json_count(path);
    ck_assert_uint_eq(n_described, gln_n_routes);
    for (size_t i = 0; i < gln_n_routes; i++) {
        char method[8] = "";
        const char *name = gln_method_name(gln_routes[i].method);
        for (size_t c = 0; name[c] != 0; c++) method[c] = (char)tolower((unsigned char)name[c]);
        const gln_json *what = gln_json_get(gln_json_get(paths, gln_routes[i].pattern), method);
        ck_assert_msg(what != NULL, "%s %s is not in openapi.json", name, gln_routes[i].pattern);
        ck_assert_int_eq(gln_json_get(what, "requestBody") != NULL, gln_routes[i].body != GLN_BODY_NONE);

        /* Query parameters: the same ones. */
        size_t n_params = 0, n_query = 0;
        for (const char *p = gln_routes[i].params; *p != 0; p += strcspn(p, " "), p += *p == ' ') n_params++;
        const gln_json *params = gln_json_get(what, "parameters");
        for (const gln_json *param = gln_json_first(params); param != NULL; param = gln_json_next(param)) {
            const char *key = strrchr(gln_json_string(gln_json_get(param, "$ref")), '/') + 1;
            const gln_json *all = gln_json_get(gln_json_get(document, "components"), "parameters");
            const gln_json *described = gln_json_get(all, key);
            if (strcmp(gln_json_string(gln_json_get(described, "in")), "query") != 0) continue;
            ck_assert_ptr_nonnull(strstr(gln_routes[i].params, gln_json_string(gln_json_get(described, "name"))));
            n_query++;
        }
        ck_assert_uint_eq(n_params, n_query);
    }
    gln_json_free(document);
}
END_TEST

START_TEST(routes__paths_lead_to_their_route)
{
    static const struct {
        const char *method, *uri, *pattern, *project;
        int64_t id;
    } cases[] = {
        {"GET", "/v1/projects", "/v1/projects", NULL, 0},
        {"GET", "/v1/projects?limit=3", "/v1/projects", NULL, 0},
        {"GET", "/v1/projects/a%2Fb", "/v1/projects/{p}", "a/b", 0},
        {"GET", "/v1/projects/p/images/12", "/v1/projects/{p}/images/{i}", "p", 12},
        {"DELETE", "/v1/projects/p/batches/999999999999999", "/v1/projects/{p}/batches/{b}", "p", 999999999999999},
        {"GET", "/v1/projects/p/batches/9999999999999999", NULL, NULL, 0},
        {"GET", "/v1/projects/p/images/012", NULL, NULL, 0},
        {"GET", "/v1/projects/p/images/0", NULL, NULL, 0},
        {"GET", "/v1/projects/", NULL, NULL, 0},
        {"GET", "/v1/projects/p/", NULL, NULL, 0},
        {"GET", "/v1%2Fprojects", NULL, NULL, 0},
        {"GET", "/", NULL, NULL, 0},
        {"POST", "/healthz", NULL, NULL, 0},
    };
    gln_server server = {0};
    char allow[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gln_request *request = ask(&server, cases[i].method, cases[i].uri);
        ck_assert_msg(request->malformed == NULL, "%s: %s", cases[i].uri, request->malformed);
        gln_route_find(request, allow, sizeof allow);
        ck_assert_msg((request->route != NULL) == (cases[i].pattern != NULL), "%s", cases[i].uri);
        if (request->route != NULL) {
            ck_assert_str_eq(request->route->pattern, cases[i].pattern);
            if (cases[i].project != NULL) ck_assert_str_eq(request->project, cases[i].project);
            ck_assert_int_eq(request->id, cases[i].id);
        }
        gln_request_free(request);
    }
    ck_assert_uint_eq(atomic_load(&server.n_begun), 0);
}
END_TEST

START_TEST(routes__a_known_path_says_what_is_allowed)
{
    gln_server server = {0};
    char allow[64];
    gln_request *request = ask(&server, "PUT", "/v1/projects/p");
    gln_route_find(request, allow, sizeof allow);
    ck_assert_ptr_null(request->route);
    ck_assert_str_eq(allow, "GET, HEAD, PATCH, DELETE");
    gln_request_free(request);
}
END_TEST

START_TEST(addresses__what_does_not_decode_is_noted)
{
    static const char *const wrong[] = {"", "v1", "*", "/%", "/%4", "/%g0", "/a%00", "/%ff", "/%c0%80", "/?a=%00", "/?%=1",
                                        "/1/2/3/4/5/6/7/8/9", "/?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17"};
    gln_server server = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        gln_request *request = ask(&server, "GET", wrong[i]);
        ck_assert_msg(request->malformed != NULL, "%s was taken", wrong[i]);
        gln_request_free(request);
    }
    gln_request *request = ask(&server, "GET", "/a+b%20c?d=e+f%26g&&h&i=%3D=");
    ck_assert_ptr_null(request->malformed);
    ck_assert_str_eq(request->segments[0], "a+b c");
    ck_assert_str_eq(gln_request_param(request, "d"), "e f&g");
    ck_assert_str_eq(gln_request_param(request, "h"), "");
    ck_assert_str_eq(gln_request_param(request, "i"), "==");
    ck_assert_ptr_null(gln_request_param(request, "e"));
    ck_assert_str_eq(request->path, "/a+b%20c");
    gln_request_free(request);
}
END_TEST

/* ---- problems -------------------------------------------------------------------------------------------------------- */

START_TEST(problems__every_status_has_its_http_status)
{
    static const struct {
        gln_status status;
        unsigned http;
    } cases[] = {
        {GLN_E_ARGUMENT, 422},   {GLN_E_NOT_FOUND, 404}, {GLN_E_CONFLICT, 409}, {GLN_E_LIMIT, 413},
        {GLN_E_MEMORY, 503},     {GLN_E_IO, 500},        {GLN_E_DISK_FULL, 507}, {GLN_E_CORRUPT, 500},
        {GLN_E_FORMAT, 400},     {GLN_E_UNSUPPORTED, 422}, {GLN_E_BUSY, 503},   {GLN_E_CANCELLED, 503},
        {GLN_E_INTERNAL, 500},   {GLN_E_PERMISSION, 403},
    };
    gln_server server = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gln_reply reply = {0};
        gln_json *json = NULL;
        char type[64];
        gln_request *request = ask(&server, "GET", "/");
        gln_problem_from_status(request, &reply, gln_fail(cases[i].status, "caf\xe9: what went wrong"));
        ck_assert_uint_eq(reply.status, cases[i].http);
        ck_assert_int_eq(gln_json_parse(&json, reply.bytes, reply.n_bytes, "problem"), GLN_OK);
        gln_problem_type(type, sizeof type, cases[i].status);
        ck_assert_str_eq(gln_fields_string(json, "type"), type);
        ck_assert_str_eq(gln_fields_string(json, "detail"), "caf\xef\xbf\xbd: what went wrong");
        gln_json_free(json);
        gln_reply_dispose(&reply);
        gln_request_free(request);
    }
}
END_TEST

START_TEST(problems__a_query_parameter_is_400_and_named)
{
    gln_server server = {0};
    gln_reply reply = {0};
    int64_t value = 0;
    gln_request *request = ask(&server, "GET", "/?k=99999999999999999999");
    gln_status st = gln_request_param_int(request, "k", 1, 5, 1, &value);
    ck_assert_int_eq(st, GLN_E_ARGUMENT);
    gln_problem_from_status(request, &reply, st);
    ck_assert_uint_eq(reply.status, 400);
    ck_assert_ptr_nonnull(strstr(reply.bytes, "\"parameter\":\"k\""));
    gln_reply_dispose(&reply);
    gln_request_free(request);
}
END_TEST

START_TEST(problems__the_field_that_a_sentence_names_becomes_the_pointer)
{
    static const struct {
        const char *sentence, *pointer;
    } cases[] = {
        {"classes/2/price: too much", "\"pointer\":\"/classes/2/price\""},
        {"classes: too many", "\"pointer\":\"/classes\""},
        {"size: not in the body", NULL},
        {"Something else: here", NULL},
        {"nothing", NULL},
    };
    gln_server server = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gln_reply reply = {0};
        gln_request *request = ask(&server, "POST", "/");
        request->json = gln_json_object();
        gln_json_set(request->json, "classes", gln_json_array());
        gln_problem_from_status(request, &reply, gln_fail(GLN_E_ARGUMENT, "%s", cases[i].sentence));
        const char *found = strstr(reply.bytes, cases[i].pointer == NULL ? "\"pointer\"" : cases[i].pointer);
        ck_assert_msg((found != NULL) == (cases[i].pointer != NULL), "%s: %s", cases[i].sentence, (const char *)reply.bytes);
        gln_reply_dispose(&reply);
        gln_request_free(request);
    }
}
END_TEST

/* ---- fields and shapes -------------------------------------------------------------------------------------------------- */

START_TEST(fields__the_first_wrong_one_is_pointed_at)
{
    static const gln_field fields[] = {
        {.name = "text", .kind = GLN_FIELD_STRING, .required = true, .min = 1, .max = 3},
        {.name = "number", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0, .max = 1},
        {.name = "whole", .kind = GLN_FIELD_INTEGER, .min = -1, .max = GLN_FIELD_MAX_INTEGER},
        {.name = "flag", .kind = GLN_FIELD_BOOL},
        {.name = "object", .kind = GLN_FIELD_OBJECT, .min = 0, .max = 1},
        {.name = "array", .kind = GLN_FIELD_ARRAY, .min = 1, .max = 2},
    };
    static const struct {
        const char *text, *pointer; /* NULL: nothing is wrong */
    } cases[] = {
        {"{\"text\":\"abc\",\"number\":null,\"whole\":-1,\"flag\":false,\"object\":{},\"array\":[1]}", NULL},
        {"{\"text\":\"a\",\"number\":1,\"whole\":9007199254740992}", NULL},
        {"{}", "/x/text"},
        {"{\"text\":null}", "/x/text"},
        {"{\"text\":\"\"}", "/x/text"},
        {"{\"text\":\"abcd\"}", "/x/text"},
        {"{\"text\":\"a\",\"number\":1.01}", "/x/number"},
        {"{\"text\":\"a\",\"number\":\"1\"}", "/x/number"},
        {"{\"text\":\"a\",\"whole\":0.5}", "/x/whole"},
        {"{\"text\":\"a\",\"whole\":9007199254740994}", "/x/whole"},
        {"{\"text\":\"a\",\"whole\":null}", "/x/whole"},
        {"{\"text\":\"a\",\"flag\":1}", "/x/flag"},
        {"{\"text\":\"a\",\"object\":[]}", "/x/object"},
        {"{\"text\":\"a\",\"object\":{\"a\":1,\"b\":2}}", "/x/object"},
        {"{\"text\":\"a\",\"array\":{}}", "/x/array"},
        {"{\"text\":\"a\",\"array\":[]}", "/x/array"},
        {"{\"text\":\"a\",\"a/b~c\":[]}", "/x/a~1b~0c"},
        {"[]", "/x"},
    };
    gln_server server = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gln_request *request = ask(&server, "POST", "/");
        gln_json *json = NULL;
        ck_assert_int_eq(gln_json_parse(&json, cases[i].text, strlen(cases[i].text), "case"), GLN_OK);
        gln_status st = gln_fields_check(request, json, "/x", fields, GLN_N_FIELDS(fields));
        ck_assert_msg(st == (cases[i].pointer == NULL ? GLN_OK : GLN_E_ARGUMENT), "%s: %d", cases[i].text, st);
        ck_assert_str_eq(request->pointer, cases[i].pointer == NULL ? "" : cases[i].pointer);
        gln_json_free(json);
        gln_request_free(request);
    }
}
END_TEST

START_TEST(fields__a_pointer_to_a_long_name_is_cut_at_a_whole_part)
{
    gln_server server = {0};
    char name[1000];
    memset(name, '/', sizeof name - 1);
    name[sizeof name - 1] = 0;
    gln_request *request = ask(&server, "POST", "/");
    gln_fields_refuse(request, "/labels/7", name, "no");
    ck_assert_str_eq(request->pointer, "/labels/7");
    gln_request_free(request);
}
END_TEST

START_TEST(shapes__text_of_any_bytes_becomes_utf8)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"", ""},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"a\xff\x62", "a\xef\xbf\xbd\x62"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"},
        {"\xff\xc3\xa4", "\xef\xbf\xbd\xc3\xa4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gln_json *json = gln_json_object();
        gln_shape_set_text(json, "t", cases[i].in);
        ck_assert_str_eq(gln_fields_string(json, "t"), cases[i].out);
        gln_json_free(json);
    }
}
END_TEST

/* ---- access ------------------------------------------------------------------------------------------------------------- */

START_TEST(codes__each_works_once_and_the_oldest_makes_room)
{
    gln_auth *auth = NULL;
    char codes[17][SECRET_HEX], session[SECRET_HEX];
    gln_identity who = {0};
    ck_assert_int_eq(gln_auth_create(&auth), GLN_OK);
    for (size_t i = 0; i < 17; i++) ck_assert_int_eq(gln_auth_code_new(auth, codes[i]), GLN_OK);
    ck_assert(!gln_auth_code_use(auth, codes[0], session));
    ck_assert(!gln_auth_code_use(auth, "", session));
    ck_assert(gln_auth_code_use(auth, codes[16], session));
    ck_assert(!gln_auth_code_use(auth, codes[16], session));
    ck_assert(gln_auth_session_find(auth, session, &who));
    ck_assert_int_eq(who.role, GLN_ROLE_ADMIN);
    ck_assert_uint_eq(strlen(who.csrf), SECRET_HEX - 1);
    ck_assert_str_ne(who.csrf, session);
    ck_assert(!gln_auth_session_find(auth, codes[1], &who)); /* a code is no session */
    gln_auth_session_end(auth, session);
    ck_assert(!gln_auth_session_find(auth, session, &who));
    gln_auth_free(auth);
}
END_TEST

START_TEST(limits__ten_failures_of_one_address_hold_up_that_address)
{
    gln_auth *auth = NULL;
    uint8_t one[LIMIT_KEY_BYTES] = {1}, other[LIMIT_KEY_BYTES] = {2};
    unsigned retry_s = 0;
    ck_assert_int_eq(gln_auth_create(&auth), GLN_OK);
    for (int i = 0; i < 10; i++) {
        ck_assert(!gln_auth_limited(auth, one, &retry_s));
        gln_auth_failed(auth, one);
    }
    ck_assert(gln_auth_limited(auth, one, &retry_s));
    ck_assert_uint_ge(retry_s, 1);
    ck_assert_uint_le(retry_s, 60);
    ck_assert(!gln_auth_limited(auth, other, &retry_s));
    /* Many other addresses push it out of the table at last: memory is bounded. */
    for (unsigned i = 0; i < 256; i++) {
        uint8_t key[LIMIT_KEY_BYTES] = {3, (uint8_t)i};
        gln_auth_failed(auth, key);
    }
    ck_assert(!gln_auth_limited(auth, one, &retry_s));
    gln_auth_free(auth);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server_parts");
    TCase *tests = tcase_create("server_parts");
    tcase_add_test(tests, routes__every_route_is_described_and_every_description_has_a_route);
    tcase_add_test(tests, routes__paths_lead_to_their_route);
    tcase_add_test(tests, routes__a_known_path_says_what_is_allowed);
    tcase_add_test(tests, addresses__what_does_not_decode_is_noted);
    tcase_add_test(tests, problems__every_status_has_its_http_status);
    tcase_add_test(tests, problems__a_query_parameter_is_400_and_named);
    tcase_add_test(tests, problems__the_field_that_a_sentence_names_becomes_the_pointer);
    tcase_add_test(tests, fields__the_first_wrong_one_is_pointed_at);
    tcase_add_test(tests, fields__a_pointer_to_a_long_name_is_cut_at_a_whole_part);
    tcase_add_test(tests, shapes__text_of_any_bytes_becomes_utf8);
    tcase_add_test(tests, codes__each_works_once_and_the_oldest_makes_room);
    tcase_add_test(tests, limits__ten_failures_of_one_address_hold_up_that_address);
    suite_add_tcase(suite, tests);
    return gln_test_main(suite);
}
