/* Commands that RainMaker's users know by name: their own nodes, parameters, an update of one node. */
#include "pluvio/commands.h"

#include "base/text.h"
#include "codec/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_MS    1000
#define GIVE_UP_S        600
#define USER_IMAGE_MAX   (5 * 1024 * 1024)
#define SERVICE_NAME_MAX 65

static const struct option_row no_rows[] = {{NULL, 0, NULL, NULL}};

enum err command_getnodes(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {no_rows, "", "List the nodes that are yours.", 0, 0};
    struct options o;
    struct client c;
    struct buf path = {0};
    char next[80] = "";
    unsigned number = 0;
    options_parse(&o, argc, argv, &line);
    enum err err = client_open(&c, why);
    do {
        struct json *doc = NULL;
        path.len = 0;
        buf_addf(&path, "/v1/user/nodes%s%s", *next ? "?start_id=" : "", next);
        if (err == ERR_NONE)
            err = client_call(&c, "GET", path.at, NULL, &doc, why);
        if (err != ERR_NONE)
            break;
        if (o.is_json)
            print_json(doc);
        JSON_EACH (node, o.is_json ? NULL : json_get(doc, "nodes"))
            printf("%u. %s\n", ++number, json_text(node) ? json_text(node) : "");
        text_copy(next, sizeof next, text_of(doc, "next_id"));
        json_free(doc);
    } while (*next);
    buf_deinit(&path);
    if (err == ERR_NONE && number == 0 && !o.is_json)
        printf("No node is yours yet.\n");
    return err;
}

enum err command_setparams(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"data", 'd', "JSON", "The parameters: '{\"Light\":{\"Power\":true}}'"},
        {"filepath", 'f', "FILE", "A file that holds them"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {rows, "NODE-ID[,NODE-ID...]", "Set parameters of nodes.", 1, 1};
    struct options o;
    struct client c;
    struct json *doc = NULL;
    struct buf text = {0}, body = {0};
    struct json_out out;
    char ids[2048], *save = NULL;
    options_parse(&o, argc, argv, &line);
    if ((option(&o, "data") != NULL) == (option(&o, "filepath") != NULL))
        return why_set(why, ERR_USAGE, "give either --data or --filepath");
    if (option(&o, "data") != NULL)
        buf_add_text(&text, option(&o, "data"));
    enum err err = option(&o, "filepath") ? read_file(option(&o, "filepath"), &text, why) : ERR_NONE;
    if (err == ERR_NONE && (err = json_parse(buf_bytes(&text), &doc, why)) != ERR_NONE)
        err = why_add(why, ERR_USAGE, "the parameters");
    json_free(doc);
    buf_add(&text, "", 1);
    json_out_init(&out, &body);
    json_out_array(&out, NULL);
    text_copy(ids, sizeof ids, o.arguments[0]);
    for (char *id = strtok_r(ids, ",", &save); id != NULL && err == ERR_NONE; id = strtok_r(NULL, ",", &save)) {
        json_out_object(&out, NULL);
        json_out_text(&out, "node_id", id);
        json_out_raw(&out, "payload", text.at);
        json_out_end_object(&out);
    }
    json_out_end_array(&out);
    doc = NULL;
    if (err == ERR_NONE)
        err = client_open(&c, why);
    if (err == ERR_NONE)
        err = client_call(&c, "PUT", "/v1/user/nodes/params", body.at, &doc, why);
    buf_deinit(&text);
    buf_deinit(&body);
    if (err == ERR_NONE && o.is_json)
        print_json(doc);
    JSON_EACH (row, err == ERR_NONE && !o.is_json ? doc : NULL)
        printf("%s: %s\n", text_of(row, "node_id"), text_of(row, "description"));
    json_free(doc);
    return err;
}

enum err command_removenode(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {no_rows, "NODE-ID", "Give a node of yours up.", 1, 1};
    struct options o;
    struct client c;
    struct json *doc = NULL;
    struct buf body = {0};
    struct json_out out;
    options_parse(&o, argc, argv, &line);
    json_out_init(&out, &body);
    json_out_object(&out, NULL);
    json_out_text(&out, "node_id", o.arguments[0]);
    json_out_text(&out, "operation", "remove");
    json_out_end_object(&out);
    enum err err = client_open(&c, why);
    if (err == ERR_NONE)
        err = client_call(&c, "PUT", "/v1/user/nodes/mapping", body.at, &doc, why);
    buf_deinit(&body);
    if (err == ERR_NONE && o.is_json)
        print_json(doc);
    else if (err == ERR_NONE)
        printf("Node %s is not yours any more.\n", o.arguments[0]);
    json_free(doc);
    return err;
}

/* --- otaupgrade ------------------------------------------------------------------------------- */

/* The node's OTA service, by the types of its parameters. */
struct ota_service {
    char name[SERVICE_NAME_MAX], url[SERVICE_NAME_MAX], status[SERVICE_NAME_MAX], info[SERVICE_NAME_MAX];
};

static enum err get(struct client *c, const char *path, const char *node_id, struct json **doc, struct why *why)
{
    struct buf text = {0};
    buf_add_text(&text, path);
    http_escape(&text, node_id);
    enum err err = client_call(c, "GET", text.at, NULL, doc, why);
    buf_deinit(&text);
    return err;
}

static enum err find_service(struct client *c, const char *node_id, struct ota_service *to, struct why *why)
{
    struct json *doc;
    *to = (struct ota_service){.name = ""};
    enum err err = get(c, "/v1/user/nodes/config?nodeid=", node_id, &doc, why);
    if (err != ERR_NONE)
        return err;
    JSON_EACH (service, json_get(doc, "services")) {
        if (strcmp(text_of(service, "type"), "esp.service.ota") != 0)
            continue;
        text_copy(to->name, sizeof to->name, text_of(service, "name"));
        JSON_EACH (param, json_get(service, "params")) {
            const char *type = text_of(param, "type");
            char *into = strcmp(type, "esp.param.ota_url") == 0      ? to->url
                         : strcmp(type, "esp.param.ota_status") == 0 ? to->status
                         : strcmp(type, "esp.param.ota_info") == 0   ? to->info
                                                                     : NULL;
            if (into != NULL)
                text_copy(into, SERVICE_NAME_MAX, text_of(param, "name"));
        }
    }
    json_free(doc);
    return to->url[0] && to->status[0] ? ERR_NONE
                                       : why_set(why, ERR_NOT_FOUND,
                                                 "node %s has no OTA service with parameters; nodes that take jobs are "
                                                 "updated by `pluvio job start`",
                                                 node_id);
}

static enum err upload(struct client *c, const char *file, char **url, struct why *why)
{
    struct buf bytes = {0}, body = {0};
    struct json_out out;
    struct json *doc = NULL;
    const char *slash = strrchr(file, '/');
    char name[100];
    text_copy(name, sizeof name, slash ? slash + 1 : file);
    enum err err = read_file(file, &bytes, why);
    if (err == ERR_NONE && bytes.len > USER_IMAGE_MAX)
        err = why_set(why, ERR_TOO_BIG, "%s has %zu bytes, %d go this way", file, bytes.len, USER_IMAGE_MAX);
    char *text = err == ERR_NONE ? malloc(BASE64_SIZE(bytes.len)) : NULL;
    if (err == ERR_NONE && text == NULL)
        err = why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE) {
        base64_encode(text, buf_bytes(&bytes), BASE64_STANDARD);
        json_out_init(&out, &body);
        json_out_object(&out, NULL);
        json_out_text(&out, "image_name", name);
        json_out_text(&out, "base64_fwimage", text);
        json_out_end_object(&out);
        err = client_call(c, "POST", "/v1/user/otaimage", body.at, &doc, why);
    }
    if (err == ERR_NONE)
        *url = strdup(text_of(doc, "image_url"));
    free(text);
    buf_deinit(&bytes);
    buf_deinit(&body);
    json_free(doc);
    return err;
}

static enum err send_url(struct client *c, const char *node_id, const struct ota_service *s, const char *url,
                         struct why *why)
{
    struct buf body = {0}, path = {0};
    struct json_out out;
    struct json *doc = NULL;
    buf_add_text(&path, "/v1/user/nodes/params?nodeid=");
    http_escape(&path, node_id);
    json_out_init(&out, &body);
    json_out_object(&out, NULL);
    json_out_object(&out, s->name);
    json_out_text(&out, s->url, url);
    json_out_end_object(&out);
    json_out_end_object(&out);
    enum err err = client_call(c, "PUT", path.at, body.at, &doc, why);
    buf_deinit(&body);
    buf_deinit(&path);
    json_free(doc);
    return err;
}

/* Prints what is new until the node says how it ended.  A status that stands there from before does not count. */
static enum err follow(struct client *c, const char *node_id, const struct ota_service *s, struct why *why)
{
    char last[300] = "", now[300];
    bool has_begun = false;
    const struct timespec pause = {LOOK_EVERY_MS / 1000, LOOK_EVERY_MS % 1000 * 1000000};
    for (int i = 0; i < GIVE_UP_S * 1000 / LOOK_EVERY_MS; i++) {
        struct json *doc = NULL;
        enum err err = get(c, "/v1/user/nodes/params?nodeid=", node_id, &doc, why);
        if (err != ERR_NONE)
            return err;
        const struct json *service = json_get(doc, s->name);
        const char *status = text_of(service, s->status);
        snprintf(now, sizeof now, "%s: %s", status, s->info[0] ? text_of(service, s->info) : "");
        bool is_success = strcmp(status, "success") == 0;
        bool is_end = has_begun && (is_success || strcmp(status, "failed") == 0 || strcmp(status, "rejected") == 0);
        has_begun |= strcmp(status, "in-progress") == 0 || strcmp(status, "started") == 0;
        if (has_begun && strcmp(now, last) != 0) {
            printf("%s\n", now);
            fflush(stdout);
            text_copy(last, sizeof last, now);
        }
        json_free(doc);
        if (is_end)
            return is_success ? ERR_NONE
                              : why_set(why, ERR_JOB_FAILED, "node %s did not take the update: %s", node_id, now);
        nanosleep(&pause, NULL);
    }
    return why_set(why, ERR_TIMEOUT, "node %s has not ended after %d s", node_id, GIVE_UP_S);
}

enum err command_otaupgrade(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {no_rows, "NODE-ID FILE",
                                             "Update one node, of the kind that takes a URL as a parameter.", 2, 2};
    struct options o;
    struct client c;
    struct ota_service service;
    char *url = NULL;
    options_parse(&o, argc, argv, &line);
    enum err err = client_open(&c, why);
    if (err == ERR_NONE)
        err = find_service(&c, o.arguments[0], &service, why);
    if (err == ERR_NONE)
        err = upload(&c, o.arguments[1], &url, why);
    if (err == ERR_NONE)
        err = send_url(&c, o.arguments[0], &service, url, why);
    if (err == ERR_NONE)
        err = follow(&c, o.arguments[0], &service, why);
    free(url);
    return err;
}
