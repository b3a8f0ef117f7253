#include "pluvio/commands.h"

#include "pluvio/listing.h"

#include <inttypes.h>
#include <stdio.h>

enum err command_group_add(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"query", 'q', "QUERY", "A dynamic group: the nodes that fit, at any time"},
        {"parent", 'p', "ID", "The group that it lies in"},
        {"description", 'd', "TEXT", "What it is for"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {rows, "NAME [NODE-ID...]", "Make a group of nodes, by name or by a query.",
                                             1, ARGUMENTS_MAX};
    static const struct {
        const char *option, *member;
    } texts[] = {{"query", "query"}, {"parent", "parent_group_id"}, {"description", "description"}};
    struct options o;
    struct client c;
    struct json *doc = NULL;
    struct json_out out;
    struct buf body = {0};
    options_parse(&o, argc, argv, &line);
    enum err err = client_open(&c, why);
    if (err != ERR_NONE)
        return err;
    json_out_init(&out, &body);
    json_out_object(&out, NULL);
    json_out_text(&out, "group_name", o.arguments[0]);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (option(&o, texts[i].option) != NULL)
            json_out_text(&out, texts[i].member, option(&o, texts[i].option));
    json_out_array(&out, "nodes");
    for (unsigned i = 1; i < o.count; i++)
        json_out_text(&out, NULL, o.arguments[i]);
    json_out_end_array(&out);
    json_out_end_object(&out);
    err = client_call(&c, "POST", "/v1/admin/node_group", body.at, &doc, why);
    buf_deinit(&body);
    if (err == ERR_NONE && o.is_json)
        print_json(doc);
    else if (err == ERR_NONE)
        printf("Group %s made.\n", text_of(doc, "group_id"));
    json_free(doc);
    return err;
}

static void print_head(void)
{
    printf("%s%-32s %7s  %-40s %s%s\n", style(STYLE_BOLD), "NAME", "NODES", "QUERY", "ID", style(STYLE_NONE));
}

static void print_group(const struct json *group)
{
    printf("%-32s %7" PRId64 "  %-40s %s\n", text_of(group, "group_name"), int_of(group, "total"),
           text_of(group, "group_query"), text_of(group, "group_id"));
}

enum err command_group_list(int argc, char **argv, struct why *why)
{
    static const struct listing all = {.path = "/v1/admin/node_group",
                                       .members = "groups",
                                       .help = "List groups.",
                                       .print_head = print_head,
                                       .print_row = print_group};
    return list_all(&all, argc, argv, why);
}
