#include "pluvio/listing.h"

#include "base/text.h"

#include <stdio.h>

#define PAGE_SIZE 100 /* the most that the server gives at once */

static void print_page(const struct listing *l, const struct json *doc, bool is_json)
{
    if (is_json)
        print_json(doc);
    JSON_EACH (member, is_json ? NULL : json_get(doc, l->members))
        l->print_row(member);
}

enum err list_all(const struct listing *l, int argc, char **argv, struct why *why)
{
    struct options o;
    struct client c;
    char next[80] = "", path[256];
    const struct option_row rows[] = {{l->all_help ? "all" : NULL, 'a', NULL, l->all_help}, {NULL, 0, NULL, NULL}};
    const struct command_line line = {rows, "", l->help, 0, 0};
    options_parse(&o, argc, argv, &line);
    bool is_all = l->all_help != NULL && option(&o, "all") != NULL;
    enum err err = client_open(&c, why);
    if (err == ERR_NONE && !o.is_json)
        l->print_head();
    do {
        struct json *doc = NULL;
        snprintf(path, sizeof path, "%s?num_records=%d%s%s%s", l->path, PAGE_SIZE, is_all ? "&all=true" : "",
                 *next ? "&start_id=" : "", next);
        if (err == ERR_NONE)
            err = client_call(&c, "GET", path, NULL, &doc, why);
        if (err != ERR_NONE)
            return err;
        print_page(l, doc, o.is_json);
        text_copy(next, sizeof next, text_of(doc, "next_id"));
        json_free(doc);
    } while (*next);
    return ERR_NONE;
}
