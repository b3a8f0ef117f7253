/* Goal: RainMaker's paths, fields and codes, by requests without a socket. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#include "bench.h"

static void clients_find_the_front_door(void **state)
{
    struct bench *b = *state;
    char body[8192], refresh[200], again[300];
    assert_int_equal(CALL("GET", "/apiversions", NULL, NULL), 200);
    assert_string_equal(body, "{\"supported_versions\":[\"v1\"]}");
    assert_int_equal(CALL("GET", "/mqtt_host", NULL, NULL), 200);
    assert_string_equal(body, "{\"mqtt_host\":\"h\",\"mqtt_cred_host\":\"h\"}");
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 401);
    assert_non_null(strstr(body, "\"message\":\"Unauthorized\""));
    assert_int_equal(CALL("POST", "/v1/login2", NULL, "{\"user_name\":\"admin@h\",\"password\":\"wrong\"}"), 400);
    assert_non_null(strstr(body, "\"error_code\":101009"));
    assert_int_equal(CALL("POST", "/v1/login2", NULL, "{\"user_name\":\"nobody\",\"password\":\"wrong\"}"), 400);
    assert_non_null(strstr(body, "\"error_code\":101009"));
    assert_int_equal(CALL("POST", "/v1/login2", NULL, "{\"user_name\":\"admin@h\",\"password\":\"Secret-123\"}"), 200);
    take_member(body, "refreshtoken", refresh, sizeof refresh);
    take_member(body, "accesstoken", b->token, sizeof b->token);
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 200);
    assert_non_null(strstr(body, "\"super_admin\":true"));
    snprintf(again, sizeof again, "{\"refreshtoken\":\"%s\"}", refresh);
    assert_int_equal(CALL("POST", "/v1/login2", NULL, again), 200);
    char first[TOKEN_SIZE];
    text_copy(first, sizeof first, b->token);
    log_in(b); /* another session: it stays */
    text_copy(b->token, sizeof b->token, first);
    assert_int_equal(CALL("POST", "/v1/logout2", QUERY("logout_all", "false"), ""), 200);
    assert_int_equal(CALL("POST", "/v1/login2", NULL, again), 400);
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 401); /* at once */
    log_in(b);
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 200);
    b->r->now += ACCESS_LIFE_MS;
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 401);
    log_in(b);
    text_copy(first, sizeof first, b->token);
    log_in(b);
    assert_int_equal(CALL("POST", "/v1/logout2", QUERY("logout_all", "true"), ""), 200);
    text_copy(b->token, sizeof b->token, first);
    assert_int_equal(CALL("GET", "/v1/user", NULL, NULL), 401);
}

static void every_route_survives_bad_bodies_and_bad_questions(void **state)
{
    static const char *const bodies[] = {"",
                                         "{",
                                         "null",
                                         "[]",
                                         "7",
                                         "\"x\"",
                                         "{}",
                                         "{\"ota_job_id\":7}",
                                         "{\"ota_job_name\":{},\"nodes\":7}",
                                         "{\"nodes\":[1,2]}",
                                         "{\"image_name\":\"x\",\"base64_fwimage\":\"!\"}",
                                         "\xff\xff"};
    struct bench *b = *state;
    char body[8192], path[100];
    size_t count;
    log_in(b);
    const struct rest_route *routes = rest_routes(&count);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < sizeof bodies / sizeof bodies[0]; k++) {
            snprintf(path, sizeof path, "%s", routes[i].path);
            struct fake f = {
                .q = {.method = routes[i].method,
                      .path = path,
                      .listener = routes[i].auth == REST_NODE_CERT ? REST_NODES : REST_PUBLIC,
                      .node_id = "stranger",
                      .body = bytes_of_text(bodies[k])},
                .query = {"ota_job_id", "none", "node_id", "none", "num_records", "x", "ota_image_id", "none"}};
            int status = ask(b, &f, body, sizeof body);
            assert_in_range(status, 200, 499);
            if (status != 200 && status != 401) {
                struct json *doc;
                int64_t code;
                assert_int_equal(json_parse(bytes_of_text(body), &doc, NULL), ERR_NONE);
                assert_true(json_int(json_get(doc, "error_code"), &code) && code >= 100000);
                assert_true(strlen(json_text(json_get(doc, "description"))) > 5);
                json_free(doc);
            }
            if (strstr(path, "logout"))
                log_in(b);
        }
}

static void every_route_asks_who_it_is(void **state)
{
    struct bench *b = *state;
    char body[8192];
    size_t count;
    const struct rest_route *routes = rest_routes(&count);
    for (size_t i = 0; i < count; i++) {
        static const int expected[] = {[REST_TOKEN] = 401, [REST_SIGNED_URL] = 403, [REST_NODE_CERT] = 401};
        if (routes[i].auth == REST_OPEN)
            continue;
        struct fake f = {.q = {.method = routes[i].method,
                               .path = routes[i].path,
                               .listener = routes[i].auth == REST_NODE_CERT ? REST_NODES : REST_PUBLIC},
                         .token = "no.token.here"};
        assert_int_equal(ask(b, &f, body, sizeof body), expected[routes[i].auth]);
        f.q.listener = routes[i].auth == REST_NODE_CERT ? REST_PUBLIC : REST_NODES; /* nor by the wrong door */
        assert_int_equal(ask(b, &f, body, sizeof body), 404);
    }
    assert_int_equal(CALL("GET", "/v1/nothing", NULL, NULL), 404);
    assert_int_equal(CALL("PATCH", "/v1/user", NULL, NULL), 405);
}

static void an_image_and_a_job_have_rainmakers_shape(void **state)
{
    struct bench *b = *state;
    char body[8192], image[64], job[64], text[300];
    log_in(b);
    char *good = image_body("fw", "2.0", false), *bad = image_body("bad", "2.0", true);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, bad), 400);
    assert_non_null(strstr(body, "\"error_code\":104003"));
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, good), 200);
    take_member(body, "ota_image_id", image, sizeof image);
    assert_non_null(strstr(body, "\"image_url\":\"https://h:8443/v1/files/"));
    free(good);
    free(bad);
    assert_int_equal(CALL("GET", "/v1/admin/otaimage", QUERY("ota_image_id", image), NULL), 200);
    assert_non_null(strstr(body, "\"fw_version\":\"2.0\""));
    assert_non_null(strstr(body, "\"model\":\"blinky\""));
    assert_int_equal(CALL("GET", "/v1/admin/otaimage", QUERY("ota_image_id", "none"), NULL), 400);
    assert_non_null(strstr(body, "104015"));
    rig_node(b->r, "n1", "1.0");
    snprintf(text, sizeof text,
             "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\",\"nodes\":[\"n1\"],\"metadata\":{\"k\":[1]}}", image);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", QUERY("force_push", "true"), text), 200);
    take_member(body, "ota_job_id", job, sizeof job);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 400);
    assert_non_null(strstr(body, "105005"));
    assert_int_equal(CALL("POST", "/v1/admin/otajob", QUERY("user_approval", "true"), text),
                     400); /* not silently ignored */
    assert_int_equal(CALL("GET", "/v1/admin/otajob", QUERY("ota_job_id", job), NULL), 200);
    assert_non_null(strstr(body, "\"status\":\"active\""));
    assert_non_null(strstr(body, "\"metadata\":{\"k\":[1]}"));
    assert_non_null(strstr(body, "\"triggered_timestamp\":\"1760000000\""));
    time_ms next;
    fleet_tick(&b->r->fleet, b->r->now, &next, NULL);
    rig_report(b->r, "n1", job, REPORT_IN_PROGRESS, "Downloaded 40% Firmware Image");
    assert_int_equal(CALL("GET", "/v1/admin/otajob/status", QUERY("ota_job_id", job), NULL), 200);
    assert_non_null(strstr(body, "\"status\":\"in-progress\""));
    assert_non_null(strstr(body, "\"ts_source\":\"NODE\""));
    assert_non_null(strstr(body, "\"percent\":40"));
    assert_int_equal(CALL("GET", "/v1/admin/otajob/status/summary", QUERY("ota_job_id", job), NULL), 200);
    assert_string_equal(body, "{\"triggered\":0,\"started\":0,\"in_progress\":1,\"rejected\":0,\"delayed\":0,"
                              "\"success\":0,\"failed\":0,\"total\":1}");
    snprintf(text, sizeof text, "{\"ota_job_id\":\"%s\"}", job);
    assert_int_equal(CALL("PUT", "/v1/admin/otajob", NULL, text), 200);
    assert_non_null(strstr(body, "\"status\":\"cancelled\""));
    assert_int_equal(CALL("PUT", "/v1/admin/otajob", NULL, text), 404);
    assert_non_null(strstr(body, "105015"));
}

static void a_download_obeys_its_range(void **state)
{
    static const struct {
        const char *range;
        int status;
        int64_t at, len;
    } rows[] = {{NULL, 200, 0, 1000},          {"bytes=0-", 206, 0, 1000},      {"bytes=10-19", 206, 10, 10},
                {"bytes=-10", 206, 990, 10},   {"bytes=999-2000", 206, 999, 1}, {"bytes=1000-", 416, 0, 0},
                {"bytes=20-10", 200, 0, 1000}, {"bytes=1-2,4-5", 200, 0, 1000}, {"bits=1-2", 200, 0, 1000},
                {"bytes=-0", 416, 0, 0},       {"bytes=-5000", 206, 0, 1000}};
    struct bench *b = *state;
    struct image image = rig_image(b->r, "fw", "2.0");
    char path[100], file[200], url[400];
    snprintf(file, sizeof file, "%s/x", b->folder);
    FILE *out = fopen(file, "w");
    for (int i = 0; i < 1000; i++)
        fputc(i, out);
    fclose(out);
    assert_int_equal(b->blob.port.ops->take(&b->blob.port, file, image.sha256, NULL), ERR_NONE);
    rest_image_url(&b->rest, &image, b->r->now, url, sizeof url);
    char *e = strstr(url, "?e=") + 3, *s = strstr(url, "&s=") + 3;
    *strchr(e, '&') = '\0';
    snprintf(path, sizeof path, "/v1/files/%s", image.id);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rest_response p;
        struct fake f = {.q = {.method = "GET",
                               .path = path,
                               .listener = REST_PUBLIC,
                               .query = get_query,
                               .header = get_header,
                               .now = b->r->now},
                         .query = {"e", e, "s", s},
                         .range = rows[i].range};
        const struct rest_route *route = rest_find(&b->rest, &f.q, &p);
        assert_non_null(route);
        rest_handle(&b->rest, route, &f.q, &p);
        assert_int_equal(p.status, rows[i].status);
        if (p.status < 300) {
            assert_int_equal(p.file_at, rows[i].at);
            assert_int_equal(p.file_len, rows[i].len);
        }
        rest_response_deinit(&p);
    }
}

static void events_stream_as_text(void **state)
{
    struct bench *b = *state;
    struct buf text = {0};
    int64_t after = 0;
    rig_node(b->r, "n1", "1.0");
    assert_int_equal(rest_stream(&b->rest, NULL, &after, &text, NULL), ERR_NONE);
    assert_memory_equal(text.at, "id: 1\nevent: node\ndata: {", 25);
    text.len = 0;
    assert_int_equal(rest_stream(&b->rest, NULL, &after, &text, NULL), ERR_NONE);
    assert_int_equal(text.len, 0);
    struct group g;
    fleet_group_add(&b->r->fleet, "", &(struct group_order){.name = "lab"}, b->r->now, &g, NULL);
    assert_int_equal(rest_stream(&b->rest, NULL, &after, &text, NULL), ERR_NONE);
    buf_add(&text, "", 1);
    assert_non_null(strstr(text.at, "event: group\ndata: {"));
    assert_non_null(strstr(text.at, g.id));
    buf_deinit(&text);
}

static void a_node_may_ask_over_https(void **state)
{
    struct bench *b = *state;
    char body[8192];
    rig_node(b->r, "n1", "1.0");
    struct fake f = {.q = {.method = "GET", .path = "/v1/node/otafetch", .listener = REST_NODES, .node_id = "n1"}};
    assert_int_equal(ask(b, &f, body, sizeof body), 400);
    assert_non_null(strstr(body, "105061"));
    struct job job = rig_job(b->r, "job", rig_image(b->r, "two", "2.0").id, false, "n1");
    assert_int_equal(ask(b, &f, body, sizeof body), 200);
    assert_non_null(strstr(body, job.id));
    char text[200];
    snprintf(text, sizeof text,
             "{\"ota_job_id\":\"%s\",\"status\":\"rejected\",\"additional_info\":\"Same version received\"}", job.id);
    f.q = (struct rest_request){.method = "POST",
                                .path = "/v1/node/otastatus",
                                .listener = REST_NODES,
                                .node_id = "n1",
                                .body = bytes_of_text(text)};
    assert_int_equal(ask(b, &f, body, sizeof body), 200);
    assert_int_equal(rig_execution(b->r, job.id, "n1").state, EX_REJECTED);
}

/* Shapes that RainMaker's admin command line insists on: by name an array, by id an object, none at all a 404. */
static void groups_have_rainmakers_shape(void **state)
{
    struct bench *b = *state;
    char body[8192], id[64];
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    assert_int_equal(CALL("GET", "/v1/admin/node_group", NULL, NULL), 404);
    assert_non_null(strstr(body, "108027"));
    assert_int_equal(CALL("GET", "/v1/admin/node_group", QUERY("group_name", "lab"), NULL), 404);
    assert_non_null(strstr(body, "108029"));
    assert_int_equal(CALL("GET", "/v1/admin/node_group", QUERY("group_id", "none"), NULL), 400);
    assert_non_null(strstr(body, "108023"));
    assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL, "{\"group_name\":\"lab\",\"nodes\":[\"n1\"]}"), 200);
    take_member(body, "group_id", id, sizeof id);
    assert_int_equal(CALL("GET", "/v1/admin/node_group", QUERY("group_name", "lab"), NULL), 200);
    assert_int_equal(body[0], '[');
    assert_non_null(strstr(body, "\"nodes\":[\"n1\"]"));
    assert_int_equal(CALL("GET", "/v1/admin/node_group", QUERY("group_id", id, "node_details", "true"), NULL), 200);
    assert_int_equal(body[0], '{');
    assert_non_null(strstr(body, "\"node_details\":[{\"node_id\":\"n1\""));
    assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL,
                          "{\"group_name\":\"rule\",\"node_type\":\"Light\",\"node_model\":\"X Y\"}"),
                     200);
    assert_int_equal(CALL("GET", "/v1/admin/node_group", QUERY("node_type", "Light", "node_model", "X Y"), NULL), 200);
    assert_non_null(strstr(body, "\"group_query\":\"node_type: Light && node_model: \\\"X Y\\\"\""));
    assert_int_equal(CALL("GET", "/v1/admin/node_group", QUERY("node_type", "Lamp"), NULL), 200);
    assert_non_null(strstr(body, "\"groups\":[]"));
    assert_int_equal(CALL("PUT", "/v1/admin/node_group", QUERY("group_id", id), "{\"regroup\":true}"), 400);
    assert_non_null(strstr(body, "108065"));
    assert_int_equal(
        CALL("PUT", "/v1/admin/node_group", QUERY("group_id", id), "{\"operation\":\"remove\",\"nodes\":[\"n1\"]}"),
        200);
    assert_int_equal(CALL("PUT", "/v1/admin/node_group", QUERY("group_id", id), "{\"group_name\":\"shed\"}"), 200);
    assert_int_equal(CALL("DELETE", "/v1/admin/node_group", QUERY("group_id", id), NULL), 200);
    assert_int_equal(CALL("GET", "/v1/admin/node_group", QUERY("group_id", id), NULL), 400);
    assert_int_equal(CALL("PUT", "/v1/admin/nodes", QUERY("node_id", "n1"), "{\"tags\":[\"site:berlin\"]}"), 200);
    assert_int_equal(CALL("PUT", "/v1/admin/nodes", QUERY("node_id", "n1"), "{\"tags\":[\"berlin\"]}"), 400);
    assert_int_equal(CALL("GET", "/v1/admin/nodes", QUERY("query", "tag = \"site:berlin\""), NULL), 200);
    assert_non_null(strstr(body, "\"nodes\":[\"n1\"]"));
    /* RainMaker's filters. */
    assert_int_equal(CALL("GET", "/v1/admin/nodes", QUERY("tags", "site:berlin AND site:rome"), NULL), 200);
    assert_non_null(strstr(body, "\"nodes\":[]"));
    assert_int_equal(
        CALL("GET", "/v1/admin/nodes", QUERY("tags", "site:berlin OR site:rome", "node_status", "online"), NULL), 200);
    assert_non_null(strstr(body, "\"nodes\":[\"n1\"]"));
    assert_int_equal(CALL("GET", "/v1/admin/nodes", QUERY("tags", "site:berlin", "fw_version", "9"), NULL), 200);
    assert_non_null(strstr(body, "\"nodes\":[]"));
    assert_int_equal(CALL("GET", "/v1/admin/nodes", QUERY("tags", "a:b OR c:d AND e:f"), NULL), 400);
    assert_non_null(strstr(body, "135011"));
    assert_int_equal(CALL("GET", "/v1/admin/nodes", QUERY("query", "tag"), NULL), 400);
    assert_non_null(strstr(body, "at column"));
}

/* What a body must not ask for, with RainMaker's codes. */
static void what_a_job_may_not_be_has_a_code(void **state)
{
    static const struct {
        const char *members, *flag;
        int code;
    } rows[] = {
        {"\"ota_image_url\":\"https://x/y\"", "", 104033},
        {"\"secure_boot\":{\"auto_select_key\":true,\"key_names\":[\"k\"]}", "", 105068},
        {"\"secure_boot\":{\"auto_select_key\":true}", "force_push", 105069},
        {"\"secure_boot\":{\"key_names\":[\"k\"]}", "force_push", 105070},
        {"\"secure_boot\":{\"auto_select_key\":true}", "", 136019},
        {"\"secure_boot\":{\"key_names\":[\"a\",\"b\",\"c\",\"d\"]}", "", 136020},
        {"\"secure_boot\":{\"key_names\":[]}", "", 136011},
        {"\"priority\":11", "", 105054},
        {"\"timeout\":2592001", "", 105055},
        {"\"timeout\":60", "user_approval", 105056},
        {"\"user_ota_image_acccess\":true", "", 105073},
        {"\"node_type\":\"Light\",\"nodes\":[\"n1\"]", "", 105052},
        {"\"description\":\"\"", "notify", 105057},
        {"\"description\":\"\"", "network_serialised", 105074},
        {"\"network_serialisation\":{\"ota_task_duration\":5,\"min_wait\":1}", "network_serialised", 105075},
    };
    struct bench *b = *state;
    char body[8192], text[600], code[40];
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    struct image image = rig_image(b->r, "two", "2.0");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool has_nodes = strstr(rows[i].members, "nodes") != NULL;
        snprintf(text, sizeof text, "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\",%s%s}", image.id,
                 has_nodes ? "" : "\"nodes\":[\"n1\"],", rows[i].members);
        assert_int_equal(CALL("POST", "/v1/admin/otajob", QUERY(rows[i].flag, "true"), text),
                         rows[i].code == 136019 ? 404 : 400);
        snprintf(code, sizeof code, "\"error_code\":%d,", rows[i].code);
        if (strstr(body, code) == NULL)
            fail_msg("%s: %s", rows[i].members, body);
    }
    snprintf(text, sizeof text,
             "{\"ota_job_name\":\"j\",\"ota_image_url\":\"https://x/"
             "y\",\"nodes\":[\"n1\"],\"secure_boot\":{\"key_names\":[\"k\"]}}");
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 400);
    assert_non_null(strstr(body, "105067"));
}

/* An upload of its own bytes: announced, put, confirmed. */
static int put_bytes(struct bench *b, const char *type, const char *bytes, const char *more, char *body, size_t size)
{
    char id[64], url[JOB_URL_SIZE], text[300];
    assert_int_equal(call(b, "GET", "/v1/admin/otaimage/upload_request", QUERY("image_name", "put", "image_type", type),
                          NULL, body, size),
                     200);
    take_member(body, "ota_image_id", id, sizeof id);
    take_member(body, "upload_url", url, sizeof url);
    if (bytes != NULL)
        assert_int_equal(follow(b, "PUT", url, bytes, body, size), 200);
    snprintf(text, sizeof text, "{\"ota_image_id\":\"%s\",\"image_type\":\"%s\"%s}", id, type, more);
    return call(b, "POST", "/v1/admin/otaimage/upload_confirm", NULL, text, body, size);
}

static void what_is_wrong_with_an_image_has_a_code(void **state)
{
    struct bench *b = *state;
    char body[8192], image[64], text[600], code[40];
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    char *good = image_body("fw", "2.0", false);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, good), 200);
    take_member(body, "ota_image_id", image, sizeof image);
    snprintf(text, sizeof text, "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\",\"nodes\":[\"n1\"]}", image);
    const struct {
        const char *method, *path, *query[4], *body;
        int code;
    } rows[] = {
        {"POST", "/v1/admin/otaimage", {NULL}, "{\"image_name\":\"x\"}", 104001},
        {"POST", "/v1/admin/otaimage", {NULL}, "{\"base64_fwimage\":\"AAAA\"}", 104002},
        {"POST", "/v1/admin/otaimage", {NULL}, "{\"image_name\":\"x\",\"base64_fwimage\":\"!\"}", 104011},
        {"POST", "/v1/admin/otaimage", {NULL}, "{\"image_name\":\"x\",\"base64_fwimage\":\"AAAA\"}", 104003},
        {"GET", "/v1/admin/otaimage/upload_request", {NULL}, NULL, 104002},
        {"GET", "/v1/admin/otaimage/upload_request", {"image_name", "x", "image_type", "cake"}, NULL, 136006},
        {"POST", "/v1/admin/otaimage/upload_confirm", {NULL}, "{}", 104018},
        {"POST", "/v1/admin/otaimage/upload_confirm", {NULL}, "{\"ota_image_id\":\"none\"}", 104015},
        {"PUT", "/v1/admin/otaimage", {"archive", "true"}, "{}", 104018},
        {"PUT", "/v1/admin/otaimage", {"ota_image_id", image}, "{}", 104022},
        {"PUT", "/v1/admin/otaimage", {"ota_image_id", image, "archive", "maybe"}, "{}", 104026},
        {"PUT", "/v1/admin/otaimage", {"ota_image_id", image, "archive", "false"}, "{}", 104024},
        {"PUT", "/v1/admin/otaimage", {"ota_image_id", "none", "archive", "true"}, "{}", 104015},
        {"DELETE", "/v1/admin/otaimage", {NULL}, NULL, 104018},
        {"DELETE", "/v1/admin/otaimage", {"ota_image_id", "none"}, NULL, 104015},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *const query[] = {rows[i].query[0], rows[i].query[1], rows[i].query[2], rows[i].query[3], NULL};
        assert_int_equal(CALL(rows[i].method, rows[i].path, query, rows[i].body), 400);
        snprintf(code, sizeof code, "\"error_code\":%d,", rows[i].code);
        if (strstr(body, code) == NULL)
            fail_msg("row %zu: %s", i, body);
    }
    assert_int_equal(put_bytes(b, "firmware", NULL, "", body, sizeof body), 400);
    assert_non_null(strstr(body, "104032"));
    assert_int_equal(put_bytes(b, "firmware", "no image at all", "", body, sizeof body), 400);
    assert_non_null(strstr(body, "104031"));
    /* Bytes of no format: their version and model must be told. */
    assert_int_equal(put_bytes(b, "raw", "no image at all", "", body, sizeof body), 400);
    assert_non_null(strstr(body, "104004"));
    assert_int_equal(put_bytes(b, "raw", "no image at all", ",\"fw_version\":\"7\"", body, sizeof body), 400);
    assert_non_null(strstr(body, "104005"));
    assert_int_equal(put_bytes(b, "raw", "no image at all", ",\"fw_version\":\"7\",\"model\":\"m\"", body, sizeof body),
                     200);
    assert_int_equal(CALL("GET", "/v1/admin/otaimage", QUERY("image_name", "put"), NULL), 200);
    assert_non_null(strstr(body, "\"file_size\":15"));
    assert_non_null(strstr(body, "\"file_md5\":\"")); /* of the bytes as they came */
    /* A job holds its image and its name. */
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 200);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, good), 400);
    assert_non_null(strstr(body, "104008"));
    assert_int_equal(CALL("DELETE", "/v1/admin/otaimage", QUERY("ota_image_id", image), NULL), 400);
    assert_non_null(strstr(body, "104020"));
    assert_int_equal(CALL("PUT", "/v1/admin/otaimage", QUERY("ota_image_id", image, "archive", "true"), "{}"), 200);
    assert_int_equal(CALL("PUT", "/v1/admin/otaimage", QUERY("ota_image_id", image, "archive", "true"), "{}"), 400);
    assert_non_null(strstr(body, "104023"));
    snprintf(text, sizeof text, "{\"ota_job_name\":\"k\",\"ota_image_id\":\"%s\",\"nodes\":[\"n1\"]}", image);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 400);
    assert_non_null(strstr(body, "104034"));
    free(good);
}

/* A key is made and kept here, images are signed with it, and nodes that want that key get no other. */
static void the_server_signs(void **state)
{
    struct bench *b = *state;
    char body[16384], image[64], signed_image[64], digest[80], text[900], job[64], *kept = NULL;
    struct image row;
    log_in(b);
    assert_int_equal(CALL("POST", "/v1/admin/key", NULL, "{\"key_name\":\"a b\",\"key_spec\":\"ECC_NIST_P256\"}"), 400);
    assert_non_null(strstr(body, "136011"));
    assert_int_equal(CALL("POST", "/v1/admin/key", NULL, "{\"key_name\":\"k1\",\"key_spec\":\"DSA\"}"), 400);
    assert_non_null(strstr(body, "136014"));
    assert_int_equal(CALL("POST", "/v1/admin/key", NULL, "{\"key_name\":\"k1\",\"key_spec\":\"ECC_NIST_P256\"}"), 200);
    take_member(body, "public_key_digest", digest, sizeof digest);
    assert_int_equal(CALL("POST", "/v1/admin/key", NULL, "{\"key_name\":\"k1\",\"key_spec\":\"ECC_NIST_P256\"}"), 400);
    assert_non_null(strstr(body, "136002"));
    assert_int_equal(CALL("POST", "/v1/admin/key", NULL, "{\"key_name\":\"k2\",\"key_spec\":\"ECC_NIST_P256\"}"), 200);
    assert_int_equal(CALL("GET", "/v1/admin/key", QUERY("key_name", "k1"), NULL), 200);
    assert_non_null(strstr(body, digest));
    assert_null(strstr(body, "PRIVATE"));
    assert_int_equal(CALL("GET", "/v1/admin/key", QUERY("key_name", "none"), NULL), 404);
    assert_non_null(strstr(body, "136019"));
    assert_int_equal(fleet_sign_key_get(&b->r->fleet, "k1", &kept, NULL), ERR_NONE);
    assert_null(strstr(kept, "PRIVATE")); /* sealed */
    free(kept);
    char *good = image_body("fw", "2.0", false);
    assert_int_equal(CALL("POST", "/v1/admin/otaimage", NULL, good), 200);
    take_member(body, "ota_image_id", image, sizeof image);
    free(good);
    const struct {
        const char *names;
        int status, code;
    } bad[] = {{"\"k1\",\"k1\"", 400, 136022}, {"\"none\"", 400, 136021}, {"\"a\",\"b\",\"c\",\"d\"", 400, 136020}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "{\"image_id\":\"%s\",\"key_names\":[%s]}", image, bad[i].names);
        assert_int_equal(CALL("POST", "/v1/admin/secure_sign", NULL, text), bad[i].status);
        snprintf(text, sizeof text, "\"error_code\":%d,", bad[i].code);
        assert_non_null(strstr(body, text));
    }
    assert_int_equal(CALL("POST", "/v1/admin/secure_sign", NULL, "{\"image_id\":\"none\",\"key_names\":[\"k1\"]}"),
                     400);
    assert_non_null(strstr(body, "136005"));
    snprintf(text, sizeof text, "{\"image_id\":\"%s\",\"key_names\":[\"k1\"],\"sign_boot_loader\":true}", image);
    assert_int_equal(CALL("POST", "/v1/admin/secure_sign", NULL, text), 400);
    assert_non_null(strstr(body, "136028"));
    snprintf(text, sizeof text, "{\"image_id\":\"%s\",\"key_names\":[\"k1\",\"k2\"]}", image);
    assert_int_equal(CALL("POST", "/v1/admin/secure_sign", NULL, text), 200);
    take_member(body, "ota_image_id", signed_image, sizeof signed_image);
    take_member(body, "request_id", job, sizeof job);
    assert_int_equal(CALL("GET", "/v1/admin/secure_sign", QUERY("request_id", job), NULL), 200);
    assert_non_null(strstr(body, signed_image));
    assert_int_equal(fleet_image_get(&b->r->fleet, signed_image, &row, NULL), ERR_NONE);
    assert_non_null(strstr(row.signed_by, digest));
    assert_int_equal(strlen(row.signed_by), 2 * 64 + 1);
    /* A job can sign by itself. */
    rig_node(b->r, "n1", "1.0");
    snprintf(text, sizeof text, "{\"ota_job_name\":\"plain\",\"ota_image_id\":\"%s\",\"nodes\":[\"n1\"]}", image);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 200);
    snprintf(text, sizeof text,
             "{\"ota_job_name\":\"signed\",\"ota_image_id\":\"%s\",\"nodes\":[\"n1\"],\"secure_boot\":{\"key_names\":["
             "\"k2\"]}}",
             image);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 200);
    take_member(body, "ota_job_id", job, sizeof job);
    struct job_summary sum;
    assert_int_equal(fleet_job_get(&b->r->fleet, job, &sum, NULL), ERR_NONE);
    assert_string_not_equal(sum.job.image_id, image);
    assert_int_equal(fleet_image_get(&b->r->fleet, sum.job.image_id, &row, NULL), ERR_NONE);
    assert_int_equal(strlen(row.signed_by), 64);
}

static void what_is_wrong_with_a_job_or_a_group_has_a_code(void **state)
{
    struct bench *b = *state;
    char body[8192], id[64], code[40], *many = calloc(1, 4000), *groups = calloc(1, 1000);
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    struct image image = rig_image(b->r, "two", "2.0");
    for (int i = 0; i < 101; i++)
        sprintf(many + strlen(many), "%s\"n%d\"", i ? "," : "", i);
    for (int i = 0; i < 11; i++)
        sprintf(groups + strlen(groups), "%s\"g%d\"", i ? "," : "", i);
    const struct {
        const char *path, *format, *part;
        int status, code;
    } rows[] = {
        {"/v1/admin/otajob", "{\"ota_image_id\":\"%s\",\"nodes\":[%s]}", "\"n1\"", 400, 105001},
        {"/v1/admin/otajob", "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\"%s}", "", 400, 105002},
        {"/v1/admin/otajob", "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\",\"nodes\":[%s]}", many, 400, 105029},
        {"/v1/admin/otajob", "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\",\"groups\":[%s]}", groups, 400, 105028},
        {"/v1/admin/otajob/retrigger", "{\"x\":\"%s\"%s}", "", 400, 105014},
        {"/v1/admin/otajob/retrigger", "{\"x\":\"%s\",\"ota_job_id\":%s}", "\"none\"", 400, 105012},
        {"/v1/admin/otajob/pause", "{\"x\":\"%s\",\"ota_job_id\":%s}", "\"none\"", 400, 105012},
        {"/v1/admin/node_group", "{\"x\":\"%s\"%s}", "", 400, 190036},
        {"/v1/admin/node_group", "{\"x\":\"%s\",\"group_name\":\"g\",\"parent_group_id\":%s}", "\"none\"", 400, 108023},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = calloc(1, 6000);
        snprintf(text, 6000, rows[i].format, image.id, rows[i].part);
        assert_int_equal(CALL("POST", rows[i].path, NULL, text), rows[i].status);
        snprintf(code, sizeof code, "\"error_code\":%d,", rows[i].code);
        if (strstr(body, code) == NULL)
            fail_msg("row %zu: %s", i, body);
        free(text);
    }
    free(many);
    free(groups);
    assert_int_equal(CALL("PUT", "/v1/admin/nodes", QUERY("node_id", "n1"), "{\"tags\":[\"nothing\"]}"), 400);
    assert_non_null(strstr(body, "190035"));
    /* A hundred groups in one, and not one more. */
    assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL, "{\"group_name\":\"top\"}"), 200);
    take_member(body, "group_id", id, sizeof id);
    for (int i = 0; i <= 100; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"group_name\":\"s%d\",\"parent_group_id\":\"%s\"}", i, id);
        assert_int_equal(CALL("POST", "/v1/admin/node_group", NULL, text), i < 100 ? 200 : 400);
    }
    assert_non_null(strstr(body, "108073"));
}

static void simulated_nodes_come_with_one_credential(void **state)
{
    struct bench *b = *state;
    char body[16384], name[32] = "", id[64];
    log_in(b);
    assert_int_equal(CALL("POST", "/v1/admin/simulators", NULL, "{\"node_count\":0}"), 400);
    assert_int_equal(CALL("POST", "/v1/admin/simulators", NULL, "{\"node_count\":100001}"), 400);
    assert_int_equal(CALL("POST", "/v1/admin/simulators", NULL, "{\"node_count\":1001}"), 200);
    const char *at = strstr(body, "\"simulator\":\"");
    assert_non_null(at);
    assert_non_null(strstr(body, "BEGIN CERTIFICATE"));
    snprintf(name, sizeof name, "%.12s", at + strlen("\"simulator\":\""));
    snprintf(id, sizeof id, "%s-001001", name);
    assert_int_equal(CALL("GET", "/v1/admin/nodes", QUERY("node_id", id), NULL), 200);
    assert_int_equal(CALL("POST", "/v1/admin/nodes", NULL, "{\"node_id\":\"sim-1\"}"), 400);
    assert_non_null(strstr(body, "sim-"));
}

/* The options of C.2 as they stand in the body and in the query, and what clients insist on in the answers of C.5. */
static void approval_has_rainmakers_shape(void **state)
{
    struct bench *b = *state;
    char body[8192], text[600], id[64];
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    struct image image = rig_image(b->r, "two", "2.0");
    assert_int_equal(CALL("GET", "/v1/user/nodes/ota_update", NULL, NULL), 400);
    assert_non_null(strstr(body, "105018"));
    assert_int_equal(CALL("GET", "/v1/user/nodes/ota_update", QUERY("nodeid", "n1"), NULL), 200);
    assert_non_null(strstr(body, "\"status\":\"success\",\"ota_available\":false"));
    snprintf(text, sizeof text,
             "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\",\"nodes\":[\"n1\"],\"description\":\"better\","
             "\"user_ota_image_acccess\":true,\"metadata\":{\"validity\":{\"start\":1,\"end\":9999999999}}}",
             image.id);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", QUERY("user_approval", "true", "notify", "true"), text), 200);
    take_member(body, "ota_job_id", id, sizeof id);
    assert_int_equal(CALL("GET", "/v1/user/nodes/ota_update", QUERY("node_id", "n1"), NULL), 200);
    assert_non_null(strstr(body, "\"ota_available\":true,\"description\":\"better\",\"fw_version\":\"2.0\""));
    assert_non_null(strstr(body, "\"url\":\"https://h:8443/"));
    assert_non_null(strstr(body, "\"stream_id\":\""));
    assert_int_equal(CALL("GET", "/v1/user/nodes/ota_status", QUERY("node_id", "n1", "ota_job_id", id), NULL), 404);
    assert_non_null(strstr(body, "105024"));
    assert_int_equal(CALL("GET", "/v1/user/nodes/ota_status", QUERY("node_id", "n1"), NULL), 400);
    assert_non_null(strstr(body, "105014"));
    snprintf(text, sizeof text, "{\"ota_job_id\":\"%s\",\"node_id\":\"n1\"}", id);
    assert_int_equal(CALL("POST", "/v1/user/nodes/ota_update", NULL, text), 200);
    assert_non_null(strstr(body, "\"description\""));
    assert_int_equal(CALL("GET", "/v1/user/nodes/ota_status", QUERY("node_id", "n1", "ota_job_id", id), NULL), 200);
    assert_non_null(
        strstr(body, "\"status\":\"started\",\"additional_info\":\"OTA URL Sent to Node\",\"timestamp\":1"));
    assert_int_equal(CALL("POST", "/v1/user/nodes/ota_update", NULL, text), 400);
    assert_non_null(strstr(body, "105061"));
    assert_int_equal(CALL("GET", "/v1/admin/otajob", QUERY("ota_job_id", id), NULL), 200);
    assert_non_null(strstr(body, "\"user_approval\":true"));
    assert_non_null(strstr(body, "\"notify_flag\":true"));
    assert_non_null(strstr(body, "\"expiry_timestamp_num\":9999999999"));
}

struct test_fetch {
    struct rest_fetch port;
    const char *wanted;
    bool is_broken;
};

static enum err fetch_small(struct rest_fetch *port, const char *url, const char *path, struct why *why)
{
    struct test_fetch *f = (struct test_fetch *)port;
    struct buf image = {0};
    if (strcmp(url, f->wanted) != 0)
        return why_set(why, ERR_NETWORK, "%s answers 404", url);
    small_image(&image, "3.0");
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    assert_int_equal(fwrite(image.at, 1, f->is_broken ? 100 : image.len, out), f->is_broken ? 100 : image.len);
    fclose(out);
    buf_deinit(&image);
    return ERR_NONE;
}

static void a_jobs_image_may_lie_elsewhere(void **state)
{
    struct bench *b = *state;
    struct test_fetch f = {.port = {fetch_small}, .wanted = "https://x/fw.bin"};
    char body[8192], id[64];
    struct job_summary sum;
    struct image image;
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    b->rest.fetch = &f.port;
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL,
                          "{\"ota_job_name\":\"j\",\"nodes\":[\"n1\"],\"ota_image_url\":\"ftp://x/y\"}"),
                     400);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL,
                          "{\"ota_job_name\":\"j\",\"nodes\":[\"n1\"],\"ota_image_url\":\"https://x/other\"}"),
                     400);
    assert_non_null(strstr(body, "answers 404"));
    f.is_broken = true;
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL,
                          "{\"ota_job_name\":\"j\",\"nodes\":[\"n1\"],\"ota_image_url\":\"https://x/fw.bin\"}"),
                     400);
    assert_non_null(strstr(body, "104003"));
    f.is_broken = false;
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL,
                          "{\"ota_job_name\":\"j\",\"nodes\":[\"n1\"],\"ota_image_url\":\"https://x/fw.bin\"}"),
                     200);
    take_member(body, "ota_job_id", id, sizeof id);
    assert_int_equal(fleet_job_get(&b->r->fleet, id, &sum, NULL), ERR_NONE);
    assert_int_equal(fleet_image_get(&b->r->fleet, sum.job.image_id, &image, NULL), ERR_NONE);
    assert_string_equal(image.fw_version, "3.0");
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, "{\"ota_job_name\":\"k\",\"nodes\":[\"n1\"]}"), 400);
    assert_non_null(strstr(body, "104018"));
}

/* Three of a network at a time: the fourth user is told to come back. */
static void a_network_takes_three_at_once(void **state)
{
    struct bench *b = *state;
    char body[8192], text[600], id[64], node[16];
    log_in(b);
    struct image image = rig_image(b->r, "two", "2.0");
    for (int i = 1; i <= 4; i++) {
        snprintf(node, sizeof node, "n%d", i);
        rig_node(b->r, node, "1.0");
        snprintf(
            text, sizeof text,
            "{\"node_id\":\"%s\",\"info\":{\"fw_version\":\"1.0\",\"platform\":\"linux\",\"project_name\":\"blinky\"},"
            "\"attributes\":[{\"name\":\"network-id\",\"value\":\"home\"}]}",
            node);
        assert_int_equal(fleet_on_config(&b->r->fleet, node, bytes_of_text(text), b->r->now, NULL), ERR_NONE);
    }
    snprintf(text, sizeof text,
             "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\",\"nodes\":[\"n1\",\"n2\",\"n3\",\"n4\"],"
             "\"network_serialisation\":{\"ota_task_duration\":60}}",
             image.id);
    assert_int_equal(
        CALL("POST", "/v1/admin/otajob", QUERY("user_approval", "true", "network_serialised", "true"), text), 200);
    take_member(body, "ota_job_id", id, sizeof id);
    for (int i = 1; i <= 3; i++) {
        snprintf(text, sizeof text, "{\"ota_job_id\":\"%s\",\"node_id\":\"n%d\"}", id, i);
        assert_int_equal(CALL("POST", "/v1/user/nodes/ota_update", NULL, text), 200);
    }
    assert_int_equal(CALL("GET", "/v1/user/nodes/ota_update", QUERY("node_id", "n4"), NULL), 423);
    assert_non_null(strstr(body, "105078"));
}

static void a_job_is_planned_changed_and_explained(void **state)
{
    static const struct {
        const char *path, *more;
        int status;
        const char *holds;
    } verbs[] = {
        {"/v1/admin/otajob/edit", ",\"priority\":2", 400, "190032"},
        {"/v1/admin/otajob/pause", ",\"reason\":\"a look\"", 200, "\"paused\":true,\"stop_reason\":\"a look\""},
        {"/v1/admin/otajob/edit", ",\"priority\":2,\"rollout\":\"in-flight 7\"", 200, "\"rollout\":\"in-flight 7\""},
        {"/v1/admin/otajob/edit", ",\"rollout\":\"fast\"", 400, "190034"},
        {"/v1/admin/otajob/exclude", "", 400, "query is missing"},
        {"/v1/admin/otajob/exclude", ",\"query\":\"id = n9\"", 200, "\"exclude\":\"id = n9\""},
        {"/v1/admin/otajob/resume", "", 200, "\"paused\":false"},
        {"/v1/admin/otajob/retry", ",\"all\":true", 200, "\"status\":\"active\""},
    };
    struct bench *b = *state;
    char body[16384], text[600], id[64];
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    struct image image = rig_image(b->r, "two", "2.0");
    snprintf(text, sizeof text,
             "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\",\"groups\":[\"FFFF-FFFF\"],\"network_serialisation\":"
             "{\"ota_task_duration\":60,\"nim_wait\":5,\"max_wait\":9},\"rollout\":\"in-flight 5\"}",
             image.id);
    assert_int_equal(CALL("POST", "/v1/admin/otajob/audience", NULL, text), 200);
    assert_non_null(strstr(body, "\"total\":1,\"online\":1"));
    assert_int_equal(CALL("POST", "/v1/admin/otajob/plan", NULL, text), 200);
    assert_non_null(strstr(body, "\"nodes\":1,\"simulated_nodes\":1"));
    assert_non_null(strstr(body, "\"success\":1"));
    assert_non_null(strstr(body, "nothing stops the job"));
    assert_int_equal(CALL("POST", "/v1/admin/otajob", QUERY("network_serialised", "true"), text), 200);
    take_member(body, "ota_job_id", id, sizeof id);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        snprintf(text, sizeof text, "{\"ota_job_id\":\"%s\"%s}", id, verbs[i].more);
        assert_int_equal(CALL("POST", verbs[i].path, NULL, text), verbs[i].status);
        if (strstr(body, verbs[i].holds) == NULL)
            fail_msg("%s answers %s", verbs[i].path, body);
    }
    assert_int_equal(CALL("GET", "/v1/admin/otajob/why", QUERY("ota_job_id", id, "node_id", "n1"), NULL), 200);
    assert_non_null(strstr(body, "\"decision\":\"no-network\""));
    assert_int_equal(CALL("GET", "/v1/admin/otajob/why", QUERY("ota_job_id", id), NULL), 400);
    assert_int_equal(CALL("GET", "/v1/admin/otajob/clusters", QUERY("ota_job_id", id), NULL), 200);
    assert_non_null(strstr(body, "\"clusters\":[]"));
    struct fake f = {.q = {.method = "GET", .path = "/v1/node/otafetch", .listener = REST_NODES, .node_id = "n1"}};
    assert_int_equal(ask(b, &f, body, sizeof body), 400);
    assert_non_null(strstr(body, "105076"));
    fleet_on_subscribed(&b->r->fleet, 0, "n1", "10.0.0.1", b->r->now, NULL);
    rig_report(b->r, "n1", id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    for (int i = 0; i < 10; i++) {
        time_ms next;
        fleet_tick(&b->r->fleet, b->r->now, &next, NULL);
    }
    snprintf(text, sizeof text, "{\"ota_job_id\":\"%s\",\"status\":\"success\"}", id);
    f.q = (struct rest_request){.method = "POST",
                                .path = "/v1/node/otastatus",
                                .listener = REST_NODES,
                                .node_id = "n1",
                                .body = bytes_of_text(text)};
    assert_int_equal(ask(b, &f, body, sizeof body), 400); /* finished, and kept all the same */
    assert_non_null(strstr(body, "105051"));
}

/* A node that has to wait is told for how long (C.6). */
static void a_node_may_have_to_wait(void **state)
{
    struct bench *b = *state;
    char body[8192], text[400];
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    rig_node(b->r, "n2", "1.0");
    struct image image = rig_image(b->r, "two", "2.0");
    snprintf(text, sizeof text,
             "{\"ota_job_name\":\"j\",\"ota_image_id\":\"%s\",\"groups\":[\"FFFF-FFFF\"],\"rollout\":\"rate 60/h\"}",
             image.id);
    assert_int_equal(CALL("POST", "/v1/admin/otajob", NULL, text), 200);
    struct fake f = {.q = {.method = "GET", .path = "/v1/node/otafetch", .listener = REST_NODES, .node_id = "n1"}};
    assert_int_equal(ask(b, &f, body, sizeof body), 200);
    assert_non_null(strstr(body, "\"url\""));
    f.q.node_id = "n2";
    assert_int_equal(ask(b, &f, body, sizeof body), 200);
    assert_non_null(strstr(body, "{\"ota_available\":true,\"action\":\"wait\",\"ota_task\":\""));
    assert_non_null(strstr(body, "\"min_wait\":60,\"max_wait\":120"));
}

/* --- the dashboard ---------------------------------------------------------------------------- */

static struct rest_response page(struct bench *b, const char *path, const char *takes, const char *has)
{
    struct rest_response p;
    struct fake f = {
        .q = {.method = "GET", .path = path, .listener = REST_PUBLIC, .query = get_query, .header = get_header},
        .takes = takes,
        .has = has};
    assert_null(rest_find(&b->rest, &f.q, &p));
    return p;
}

static void pages_are_sent_packed_and_once(void **state)
{
    static const uint8_t whole[] = "whole page", packed[] = "gz";
    static const struct web_page pages[] = {
        {"/", "text/html", "e1", false, whole, whole + 10, packed, packed + 2},
        {"/assets/a.woff2", "font/woff2", "e2", true, whole, whole + 10, NULL, NULL},
        {.path = NULL},
    };
    struct bench *b = *state;
    b->rest.pages = pages;
    struct rest_response p = page(b, "/", NULL, NULL);
    assert_int_equal(p.page.len, 10);
    assert_false(p.is_page_gzip);
    assert_string_equal(p.cache, "no-cache");
    p = page(b, "/", "br, gzip", NULL);
    assert_true(p.is_page_gzip);
    assert_int_equal(p.page.len, 2);
    assert_string_equal(p.etag, "\"e1-gzip\"");
    p = page(b, "/", "gzip", "\"e1-gzip\"");
    assert_int_equal(p.status, 304);
    assert_int_equal(p.page.len, 0);
    p = page(b, "/", NULL, "\"e1-gzip\""); /* another form of it */
    assert_int_equal(p.status, 200);
    p = page(b, "/assets/a.woff2", "gzip", NULL);
    assert_false(p.is_page_gzip);
    assert_non_null(strstr(p.cache, "immutable"));
}

static void executions_are_listed_by_state(void **state)
{
    struct bench *b = *state;
    char body[8000], id[ID_LEN + 1];
    log_in(b);
    for (int i = 0; i < 3; i++) {
        char node[8];
        snprintf(node, sizeof node, "n%d", i);
        rig_node(b->r, node, "1.0");
    }
    struct image image = rig_image(b->r, "two", "2.0");
    struct job job = rig_job(b->r, "j", image.id, true, "n1");
    snprintf(id, sizeof id, "%s", job.id);
    const char *none[] = {"ota_job_id", id, "state", "success", NULL};
    assert_int_equal(call(b, "GET", "/v1/admin/otajob/status", none, NULL, body, sizeof body), 200);
    assert_null(strstr(body, "n1"));
    const char *some[] = {"ota_job_id", id, "state", "success,offered,triggered", NULL};
    assert_int_equal(call(b, "GET", "/v1/admin/otajob/status", some, NULL, body, sizeof body), 200);
    assert_non_null(strstr(body, "n1"));
    const char *odd[] = {"ota_job_id", id, "state", "happy", NULL};
    assert_int_equal(call(b, "GET", "/v1/admin/otajob/status", odd, NULL, body, sizeof body), 400);
}

static void the_newest_entries_come_first(void **state)
{
    struct bench *b = *state;
    char body[16000];
    log_in(b);
    for (int i = 0; i < 5; i++) {
        char json[60];
        snprintf(json, sizeof json, "{\"group_name\":\"g%d\"}", i);
        assert_int_equal(call(b, "POST", "/v1/admin/node_group", NULL, json, body, sizeof body), 200);
    }
    const char *two[] = {"order", "newest", "num_records", "2", NULL};
    assert_int_equal(call(b, "GET", "/v1/admin/audit", two, NULL, body, sizeof body), 200);
    const char *first = strstr(body, "g4"), *second = strstr(body, "g3");
    assert_true(first != NULL && second != NULL && first < second);
    assert_null(strstr(body, "g2"));
    assert_non_null(strstr(body, "next_id"));
    const char *odd[] = {"order", "best", NULL};
    assert_int_equal(call(b, "GET", "/v1/admin/audit", odd, NULL, body, sizeof body), 400);
}

static void the_overview_is_counted_now_and_then(void **state)
{
    struct bench *b = *state;
    struct rest_tallies *tallies = keep_tallies(b);
    char body[8000];
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    assert_int_equal(call(b, "GET", "/v1/admin/overview", NULL, NULL, body, sizeof body), 200);
    assert_non_null(strstr(body, "\"nodes\":1"));
    rig_node(b->r, "n2", "1.0");
    assert_int_equal(call(b, "GET", "/v1/admin/overview", NULL, NULL, body, sizeof body), 200);
    assert_non_null(strstr(body, "\"nodes\":1")); /* as it was a moment ago */
    b->r->now += 5000;
    assert_int_equal(call(b, "GET", "/v1/admin/overview", NULL, NULL, body, sizeof body), 200);
    assert_non_null(strstr(body, "\"nodes\":2"));
    free(tallies);
}

static void nobody_waits_for_the_count_of_a_large_fleet(void **state)
{
    struct bench *b = *state;
    struct rest_tallies *tallies = keep_tallies(b);
    struct rest_tally *first = &tallies->at[0];
    char body[8000];
    log_in(b);
    rig_node(b->r, "n1", "1.0");
    assert_int_equal(call(b, "GET", "/v1/admin/overview", NULL, NULL, body, sizeof body), 200);
    first->until = first->counted_at + 10000; /* as if it had taken half a second */
    rig_node(b->r, "n2", "1.0");
    b->r->now += 9000;
    assert_int_equal(call(b, "GET", "/v1/admin/overview", NULL, NULL, body, sizeof body), 200);
    rest_afterwards(&b->rest, b->r->now);
    assert_int_equal(call(b, "GET", "/v1/admin/overview", NULL, NULL, body, sizeof body), 200);
    assert_non_null(strstr(body, "\"nodes\":1")); /* it was still good: nothing was counted */
    b->r->now += 2000;
    assert_int_equal(call(b, "GET", "/v1/admin/overview", NULL, NULL, body, sizeof body), 200);
    assert_non_null(strstr(body, "\"nodes\":1")); /* the old one, once more */
    rest_afterwards(&b->rest, b->r->now);
    assert_int_equal(call(b, "GET", "/v1/admin/overview", NULL, NULL, body, sizeof body), 200);
    assert_non_null(strstr(body, "\"nodes\":2"));
    first->until = first->counted_at + 10000;
    rig_node(b->r, "n3", "1.0");
    b->r->now += 41000; /* too old to be given away */
    assert_int_equal(call(b, "GET", "/v1/admin/overview", NULL, NULL, body, sizeof body), 200);
    assert_non_null(strstr(body, "\"nodes\":3"));
    free(tallies);
}

int main(void)
{
#define WITH_REST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_REST(pages_are_sent_packed_and_once),
        WITH_REST(executions_are_listed_by_state),
        WITH_REST(the_newest_entries_come_first),
        WITH_REST(the_overview_is_counted_now_and_then),
        WITH_REST(nobody_waits_for_the_count_of_a_large_fleet),
        WITH_REST(clients_find_the_front_door),
        WITH_REST(every_route_survives_bad_bodies_and_bad_questions),
        WITH_REST(every_route_asks_who_it_is),
        WITH_REST(an_image_and_a_job_have_rainmakers_shape),
        WITH_REST(a_download_obeys_its_range),
        WITH_REST(events_stream_as_text),
        WITH_REST(a_node_may_ask_over_https),
        WITH_REST(groups_have_rainmakers_shape),
        WITH_REST(approval_has_rainmakers_shape),
        WITH_REST(a_jobs_image_may_lie_elsewhere),
        WITH_REST(a_network_takes_three_at_once),
        WITH_REST(a_job_is_planned_changed_and_explained),
        WITH_REST(a_node_may_have_to_wait),
        WITH_REST(simulated_nodes_come_with_one_credential),
        WITH_REST(what_a_job_may_not_be_has_a_code),
        WITH_REST(what_is_wrong_with_an_image_has_a_code),
        WITH_REST(what_is_wrong_with_a_job_or_a_group_has_a_code),
        WITH_REST(the_server_signs),
    };
    return cmocka_run_group_tests_name("rest", tests, NULL, NULL);
}
