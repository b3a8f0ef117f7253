#include "pluvio/listing.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE 100 /* the most that the server gives at once */

#define COLUMNS_MAX 40

/* RFC 4180: quotes around what holds commas, quotes or line breaks. */
static void print_cell(const struct json *value, bool is_first)
{
    char *text = json_text(value) ? NULL : json_dup_text(value);
    const char *plain = json_text(value) ? json_text(value) : text ? text : "";
    bool is_quoted = strpbrk(plain, ",\"\r\n") != NULL;
    printf("%s%s", is_first ? "" : ",", is_quoted ? "\"" : "");
    for (const char *at = plain; *at; at++)
        printf(*at == '"' ? "\"%c" : "%c", *at);
    printf("%s", is_quoted ? "\"" : "");
    free(text);
}

/* What the first member tells, objects aside. */
struct columns {
    char names[COLUMNS_MAX][64];
    unsigned count;
};

static void print_columns(const struct json *first, struct columns *c)
{
    JSON_EACH (m, first) {
        if (json_is_object(m) || c->count == COLUMNS_MAX)
            continue;
        printf("%s%s", c->count > 0 ? "," : "", json_name(m));
        text_copy(c->names[c->count++], sizeof c->names[0], json_name(m));
    }
    if (c->count > 0)
        printf("\n");
}

static void print_csv(const struct json *members, struct columns *c)
{
    if (c->count == 0)
        print_columns(json_first(members), c);
    JSON_EACH (member, members) {
        for (unsigned i = 0; i < c->count; i++)
            print_cell(json_get(member, c->names[i]), i == 0);
        printf("\n");
    }
}

static void print_page(const struct listing *l, const struct json *doc, enum output_format format, struct columns *c)
{
    if (format == OUTPUT_JSON)
        print_json(doc);
    if (format == OUTPUT_CSV)
        print_csv(json_get(doc, l->members), c);
    JSON_EACH (member, format == OUTPUT_TABLE ? json_get(doc, l->members) : NULL)
        l->print_row(member);
}

enum err list_all(const struct listing *l, int argc, char **argv, struct why *why)
{
    struct options o;
    struct client c;
    struct columns columns = {.count = 0};
    char next[80] = "", path[256];
    const struct option_row rows[] = {{l->all_help ? "all" : NULL, 'a', NULL, l->all_help}, {NULL, 0, NULL, NULL}};
    const struct command_line line = {rows, "", l->help, 0, 0};
    options_parse(&o, argc, argv, &line);
    bool is_all = l->all_help != NULL && option(&o, "all") != NULL;
    enum err err = client_open(&c, why);
    if (err == ERR_NONE && o.format == OUTPUT_TABLE)
        l->print_head();
    do {
        struct json *doc = NULL;
        snprintf(path, sizeof path, "%s?num_records=%d%s%s%s", l->path, PAGE_SIZE, is_all ? "&all=true" : "",
                 *next ? "&start_id=" : "", next);
        if (err == ERR_NONE)
            err = client_call(&c, "GET", path, NULL, &doc, why);
        if (err != ERR_NONE)
            return err;
        print_page(l, doc, o.format, &columns);
        text_copy(next, sizeof next, text_of(doc, "next_id"));
        json_free(doc);
    } while (*next);
    return ERR_NONE;
}
