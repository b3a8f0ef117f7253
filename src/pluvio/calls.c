#include "pluvio/calls.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct building {
    struct buf path, body;
    struct json_out out;
    bool has_query, has_body;
};

static void add_query(struct building *b, const char *name, const char *value)
{
    buf_add_text(&b->path, b->has_query ? "&" : "?");
    buf_add_text(&b->path, name);
    buf_add_text(&b->path, "=");
    http_escape(&b->path, value);
    b->has_query = true;
}

static enum err add_file(struct building *b, const char *member, const char *file, bool is_line, struct why *why)
{
    struct buf text = {0};
    enum err err = read_file(file, &text, why);
    if (err == ERR_NONE) {
        buf_add(&text, "", 1);
        if (is_line)
            text.at[strcspn(text.at, "\r\n")] = '\0';
        json_out_text(&b->out, member, text.at);
        b->has_body = true;
    }
    buf_deinit(&text);
    return err;
}

static enum err add_argument(struct building *b, const char *where, const char *value, const struct options *o,
                             unsigned index, struct why *why)
{
    if (where[0] == '?')
        add_query(b, where + 1, value);
    else if (where[0] == '/') {
        buf_add_text(&b->path, "/");
        http_escape(&b->path, value);
    } else if (where[0] == '@')
        return add_file(b, where + 1, value, false, why);
    else if (where[0] == '[') {
        json_out_array(&b->out, where + 1);
        for (unsigned i = index; i < o->count; i++)
            json_out_text(&b->out, NULL, o->arguments[i]);
        json_out_end_array(&b->out);
        b->has_body = true;
    } else {
        json_out_text(&b->out, where, value);
        b->has_body = true;
    }
    return ERR_NONE;
}

static enum err add_option(struct building *b, const struct option_row *row, const char *value, struct why *why)
{
    char name[40];
    size_t len = strlen(row->name);
    text_copy(name, sizeof name, row->name);
    for (char *at = name; *at; at++)
        *at = *at == '-' ? '_' : *at;
    b->has_body = true;
    if (len > 5 && strcmp(row->name + len - 5, "-file") == 0) {
        name[len - 5] = '\0';
        return add_file(b, name, value, true, why);
    }
    if (row->argument == NULL)
        json_out_bool(&b->out, name, true);
    else if (strcmp(row->argument, "N") == 0 || strcmp(row->argument, "JSON") == 0)
        json_out_raw(&b->out, name, value);
    else
        json_out_text(&b->out, name, value);
    return ERR_NONE;
}

static enum err build(struct building *b, const struct call *call, const struct options *o, struct why *why)
{
    enum err err = ERR_NONE;
    bool is_list = false;
    buf_add_text(&b->path, call->path);
    json_out_init(&b->out, &b->body);
    json_out_object(&b->out, NULL);
    for (unsigned i = 0; err == ERR_NONE && i < o->count && i < CALL_ARGUMENTS_MAX && call->arguments[i] && !is_list;
         i++) {
        is_list = call->arguments[i][0] == '[';
        err = add_argument(b, call->arguments[i], o->arguments[i], o, i, why);
    }
    for (const struct option_row *row = call->line.rows; err == ERR_NONE && row->name != NULL; row++)
        if (option(o, row->name) != NULL)
            err = add_option(b, row, option(o, row->name), why);
    json_out_end_object(&b->out);
    if (call->fixed != NULL) {
        buf_add_text(&b->path, b->has_query ? "&" : "?");
        buf_add_text(&b->path, call->fixed);
    }
    return err == ERR_NONE && (b->path.is_failed || b->body.is_failed) ? why_set(why, ERR_NO_MEMORY, "no memory") : err;
}

enum err call_run(const struct call *call, int argc, char **argv, struct why *why)
{
    struct options o;
    struct client c;
    struct json *doc = NULL;
    struct building b = {.has_query = false};
    options_parse(&o, argc, argv, &call->line);
    enum err err = build(&b, call, &o, why);
    if (err == ERR_NONE)
        err = client_open(&c, why);
    if (err == ERR_NONE)
        err = client_call(&c, call->method, b.path.at, b.has_body ? b.body.at : NULL, &doc, why);
    buf_deinit(&b.path);
    buf_deinit(&b.body);
    if (err != ERR_NONE)
        return err;
    if (o.is_json || call->said == NULL)
        print_json(doc);
    else {
        const char *shown = call->shown ? text_of(doc, call->shown) : o.count > 0 ? o.arguments[0] : "";
        for (const char *at = call->said; *at; at++)
            if (at[0] == '%' && at[1] == 's') {
                fputs(shown, stdout);
                at++;
            } else
                fputc(*at, stdout);
        fputc('\n', stdout);
    }
    json_free(doc);
    return ERR_NONE;
}

/* Where things are found by name, and what their members are called. */
const struct named named_images = {"/v1/admin/otaimage?all=true&image_name=", "ota_images", "image_name",
                                   "ota_image_id"},
                   named_jobs = {"/v1/admin/otajob?all=true&ota_job_name=", "ota_jobs", "ota_job_name", "ota_job_id"};

/* The newest of that name; what none is called is taken for an id. */
enum err find_named(struct client *c, const struct named *noun, const char *name, char *id, size_t size,
                    struct why *why)
{
    struct buf path = {0};
    struct json *doc;
    buf_add_text(&path, noun->path);
    http_escape(&path, name);
    enum err err = client_call(c, "GET", path.at, NULL, &doc, why);
    buf_deinit(&path);
    if (err != ERR_NONE)
        return err;
    text_copy(id, size, name);
    JSON_EACH (row, json_get(doc, noun->list))
        if (strcmp(text_of(row, noun->name), name) == 0) {
            text_copy(id, size, text_of(row, noun->id));
            break;
        }
    json_free(doc);
    return ERR_NONE;
}
