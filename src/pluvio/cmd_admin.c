/* Users, API tokens, the audit log, authorities: commands that are one call each, and their lists. */
#include "pluvio/calls.h"

#include "base/text.h"
#include "pluvio/listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct option_row no_rows[] = {{NULL, 0, NULL, NULL}};

static const struct option_row user_rows[] = {
    {"role", 'r', "ROLE", "user, viewer, operator, admin or super_admin (default: user)"},
    {"password-file", 'p', "FILE", "File whose first line is the password (- is standard input)"},
    {"scope", 's', "QUERY", "The nodes that the user looks after: \"tag = 'site:rome'\" (\"\": all)"},
    {NULL, 0, NULL, NULL},
};

static const struct option_row token_rows[] = {
    {"role", 'r', "ROLE", "At most what it may do: user, viewer, operator, admin, super_admin (default: your role)"},
    {"days", 'd', "N", "How long it is good (default: for ever)"},
    {NULL, 0, NULL, NULL},
};

/* One function for each row: the table of commands wants them. */
#define CALL(name, ...)                                                                                                \
    enum err command_##name(int argc, char **argv, struct why *why)                                                    \
    {                                                                                                                  \
        static const struct call call = __VA_ARGS__;                                                                   \
        return call_run(&call, argc, argv, why);                                                                       \
    }

CALL(whoami, {{no_rows, "", "Tell who is logged in.", 0, 0}, "GET", "/v1/user", {NULL}, NULL, "%s", "user_name"})
CALL(user_add,
     {{user_rows, "NAME", "Make a user. A password has 8 characters at least, of both cases, and a digit.", 1, 1},
      "POST",
      "/v1/admin/users",
      {"user_name"},
      NULL,
      "User %s added.",
      NULL})
CALL(user_edit, {{user_rows, "NAME", "Change a user's role or password; a lock after wrong passwords ends.", 1, 1},
                 "PUT",
                 "/v1/admin/users",
                 {"?user_name"},
                 NULL,
                 "User %s changed.",
                 "user_name"})
CALL(user_delete, {{no_rows, "NAME", "Delete a user, with what is theirs alone.", 1, 1},
                   "DELETE",
                   "/v1/admin/users",
                   {"?user_name"},
                   NULL,
                   "User %s deleted.",
                   NULL})
CALL(org_add,
     {{no_rows, "NAME", "Make an organisation: its nodes, images, jobs and users are seen by nobody else.", 1, 1},
      "POST",
      "/v1/admin/organisations",
      {"name"},
      NULL,
      "%s",
      "organisation_id"})
CALL(org_delete, {{no_rows, "ORGANISATION-ID", "Delete an empty organisation.", 1, 1},
                  "DELETE",
                  "/v1/admin/organisations",
                  {"?organisation_id"},
                  NULL,
                  "Organisation %s deleted.",
                  NULL})
CALL(token_add, {{token_rows, "NAME", "Make an API token of your own. It is shown once.", 1, 1},
                 "POST",
                 "/v1/user/tokens",
                 {"name"},
                 NULL,
                 "%s",
                 "token"})
CALL(token_delete, {{no_rows, "TOKEN-ID", "Withdraw an API token.", 1, 1},
                    "DELETE",
                    "/v1/user/tokens",
                    {"?token_id"},
                    NULL,
                    "Token %s withdrawn.",
                    NULL})
CALL(authority_add,
     {{no_rows, "FILE", "Let in nodes whose certificates this authority signed (a certificate in PEM).", 1, 1},
      "POST",
      "/v1/admin/authorities",
      {"@certificate"},
      NULL,
      "Nodes of %s are let in.",
      "subject"})
CALL(authority_delete, {{no_rows, "AUTHORITY-ID", "Let its nodes in no more.", 1, 1},
                        "DELETE",
                        "/v1/admin/authorities",
                        {"?authority_id"},
                        NULL,
                        "Its nodes are not let in any more.",
                        NULL})
CALL(node_activate, {{no_rows, "NODE-ID", "Let a node in that was deactivated.", 1, 1},
                     "PUT",
                     "/v1/admin/nodes",
                     {"?node_id"},
                     "activate=true",
                     "Node %s is let in.",
                     NULL})
CALL(node_deactivate, {{no_rows, "NODE-ID", "Throw a node out, and let it in no more.", 1, 1},
                       "PUT",
                       "/v1/admin/nodes",
                       {"?node_id"},
                       "activate=false",
                       "Node %s is out.",
                       NULL})
CALL(key_delete,
     {{no_rows, "NAME", "Delete a key: what it has signed stays signed, nothing more is signed with it.", 1, 1},
      "DELETE",
      "/v1/admin/key",
      {"?key_name"},
      NULL,
      "Key %s is gone.",
      NULL})
CALL(node_delete, {{no_rows, "NODE-ID", "Delete a node, with what is kept of it; jobs do not wait for it.", 1, 1},
                   "DELETE",
                   "/v1/admin/nodes",
                   {"/"},
                   NULL,
                   "Node %s is gone.",
                   NULL})
CALL(simulator_delete, {{no_rows, "SIMULATOR", "Delete a simulator's nodes.", 1, 1},
                        "DELETE",
                        "/v1/admin/simulators",
                        {"?simulator"},
                        NULL,
                        "%s and its nodes are gone.",
                        NULL})
CALL(node_tag, {{no_rows, "NODE-ID KEY:VALUE...", "Give a node tags.", 2, ARGUMENTS_MAX},
                "PUT",
                "/v1/admin/nodes",
                {"?node_id", "[tags"},
                NULL,
                "Node %s has its tags.",
                NULL})
CALL(node_untag, {{no_rows, "NODE-ID KEY:VALUE...", "Take tags from a node.", 2, ARGUMENTS_MAX},
                  "DELETE",
                  "/v1/admin/nodes",
                  {"?node_id", "[tags"},
                  NULL,
                  "Node %s has them no more.",
                  NULL})
CALL(node_show, {{no_rows, "NODE-ID", "All that is known of a node.", 1, 1},
                 "GET",
                 "/v1/admin/nodes",
                 {"?node_id"},
                 NULL,
                 NULL,
                 NULL})
CALL(group_delete, {{no_rows, "GROUP-ID", "Delete a group.", 1, 1},
                    "DELETE",
                    "/v1/admin/node_group",
                    {"?group_id"},
                    NULL,
                    "Group %s deleted.",
                    NULL})
CALL(image_archive, {{no_rows, "IMAGE-ID", "Archive an image: no new job takes it.", 1, 1},
                     "PUT",
                     "/v1/admin/otaimage",
                     {"?ota_image_id"},
                     "archive=true",
                     "Image %s is archived.",
                     NULL})
CALL(image_delete, {{no_rows, "IMAGE-ID", "Delete an image that no job uses.", 1, 1},
                    "DELETE",
                    "/v1/admin/otaimage",
                    {"?ota_image_id"},
                    NULL,
                    "Image %s deleted.",
                    NULL})
CALL(getnodeconfig, {{no_rows, "NODE-ID", "What a node says of itself.", 1, 1},
                     "GET",
                     "/v1/user/nodes/config",
                     {"?nodeid"},
                     NULL,
                     NULL,
                     NULL})
CALL(getnodestatus, {{no_rows, "NODE-ID", "Whether a node is connected.", 1, 1},
                     "GET",
                     "/v1/user/nodes/status",
                     {"?nodeid"},
                     NULL,
                     NULL,
                     NULL})
CALL(
    getparams,
    {{no_rows, "NODE-ID", "A node's parameters.", 1, 1}, "GET", "/v1/user/nodes/params", {"?nodeid"}, NULL, NULL, NULL})

static const struct option_row webhook_rows[] = {
    {"events", 'e', "JSON", "Which: '[\"job\",\"execution\"]' of node, image, job, execution, group (default: all)"},
    {"description", 'd', "TEXT", "What it is for"},
    {NULL, 0, NULL, NULL},
};

static const struct option_row key_rows[] = {
    {"key-spec", 's', "SPEC", "RSA_3072 or ECC_NIST_P256"},
    {"description", 'd', "TEXT", "What it is for"},
    {NULL, 0, NULL, NULL},
};

CALL(key_add, {{key_rows, "NAME", "Make a key that signs images. Its private half stays on the server, sealed.", 1, 1},
               "POST",
               "/v1/admin/key",
               {"key_name"},
               NULL,
               "%s",
               "public_key_digest"})
CALL(image_sign,
     {{no_rows, "IMAGE-ID KEY...", "Sign an image with keys of the server, up to three, as a new image.", 2, 4},
      "POST",
      "/v1/admin/secure_sign",
      {"image_id", "[key_names"},
      NULL,
      "%s",
      "ota_image_id"})

static const struct option_row replay_rows[] = {
    {"from-event", 'f', "N", "Number of the first event"},
    {NULL, 0, NULL, NULL},
};

CALL(webhook_add, {{webhook_rows, "URL", "Send events to a URL. The secret of its signatures is printed.", 1, 1},
                   "POST",
                   "/v1/admin/webhooks",
                   {"url"},
                   NULL,
                   "%s",
                   "secret"})
CALL(webhook_delete, {{no_rows, "WEBHOOK-ID", "Send nothing there any more.", 1, 1},
                      "DELETE",
                      "/v1/admin/webhooks",
                      {"?webhook_id"},
                      NULL,
                      "Webhook %s deleted.",
                      NULL})
CALL(webhook_replay, {{replay_rows, "WEBHOOK-ID", "Send events again.", 1, 1},
                      "POST",
                      "/v1/admin/webhooks/replay",
                      {"webhook_id"},
                      NULL,
                      "They are sent again.",
                      NULL})
CALL(webhook_deliveries, {{no_rows, "WEBHOOK-ID", "Its last deliveries, the newest first.", 1, 1},
                          "GET",
                          "/v1/admin/webhooks/deliveries",
                          {"?webhook_id"},
                          NULL,
                          NULL,
                          NULL})

/* --- lists ------------------------------------------------------------------------------------ */

static void print_time(int64_t s)
{
    char text[32] = "-";
    time_t at = (time_t)s;
    struct tm when;
    if (s > 0 && localtime_r(&at, &when) != NULL)
        strftime(text, sizeof text, "%Y-%m-%d %H:%M", &when);
    printf("%-17s", text);
}

static void print_user_head(void)
{
    printf("%s%-32s %-12s %-17s %s%s\n", style(STYLE_BOLD), "USER", "ROLE", "SINCE", "STATE", style(STYLE_NONE));
}

static void print_user(const struct json *user)
{
    bool is_verified = true, is_disabled = false;
    json_bool(json_get(user, "verified"), &is_verified);
    json_bool(json_get(user, "disabled"), &is_disabled);
    printf("%-32s %-12s ", text_of(user, "user_name"), text_of(user, "role"));
    print_time(int_of(user, "created_at"));
    printf(" %s\n", is_disabled                         ? "disabled"
                    : !is_verified                      ? "not verified"
                    : int_of(user, "locked_until") != 0 ? "locked for a while"
                                                        : "");
}

enum err command_user_list(int argc, char **argv, struct why *why)
{
    static const struct listing users = {.path = "/v1/admin/users",
                                         .members = "users",
                                         .help = "List users.",
                                         .print_head = print_user_head,
                                         .print_row = print_user};
    return list_all(&users, argc, argv, why);
}

static void print_simulator_head(void)
{
    printf("%s%-16s %10s  %s%s\n", style(STYLE_BOLD), "SIMULATOR", "NODES", "SINCE", style(STYLE_NONE));
}

static void print_simulator(const struct json *simulator)
{
    printf("%-16s %10" PRId64 "  ", text_of(simulator, "simulator"), int_of(simulator, "node_count"));
    print_time(int_of(simulator, "created_at"));
    printf("\n");
}

enum err command_simulator_list(int argc, char **argv, struct why *why)
{
    static const struct listing simulators = {.path = "/v1/admin/simulators",
                                              .members = "simulators",
                                              .help = "List simulators.",
                                              .print_head = print_simulator_head,
                                              .print_row = print_simulator};
    return list_all(&simulators, argc, argv, why);
}

static void print_org_head(void)
{
    printf("%s%-24s %s%s\n", style(STYLE_BOLD), "ORGANISATION-ID", "NAME", style(STYLE_NONE));
}

static void print_org(const struct json *org)
{
    printf("%-24s %s\n", text_of(org, "organisation_id"), text_of(org, "name"));
}

enum err command_org_list(int argc, char **argv, struct why *why)
{
    static const struct listing orgs = {.path = "/v1/admin/organisations",
                                        .members = "organisations",
                                        .help = "List organisations; PLUVIO_ORGANISATION names the one to act in.",
                                        .print_head = print_org_head,
                                        .print_row = print_org};
    return list_all(&orgs, argc, argv, why);
}

static void print_token_head(void)
{
    printf("%s%-24s %-12s %-17s %s%s\n", style(STYLE_BOLD), "TOKEN-ID", "ROLE", "GOOD UNTIL", "NAME",
           style(STYLE_NONE));
}

static void print_token(const struct json *token)
{
    printf("%-24s %-12s ", text_of(token, "token_id"), text_of(token, "role"));
    print_time(int_of(token, "expires_at"));
    printf(" %s\n", text_of(token, "name"));
}

enum err command_token_list(int argc, char **argv, struct why *why)
{
    static const struct listing tokens = {.path = "/v1/user/tokens",
                                          .members = "tokens",
                                          .help = "List your API tokens.",
                                          .print_head = print_token_head,
                                          .print_row = print_token};
    return list_all(&tokens, argc, argv, why);
}

static void print_authority_head(void)
{
    printf("%s%-64s %s%s\n", style(STYLE_BOLD), "AUTHORITY-ID", "SUBJECT", style(STYLE_NONE));
}

static void print_authority(const struct json *authority)
{
    printf("%-64s %s\n", text_of(authority, "authority_id"), text_of(authority, "subject"));
}

enum err command_authority_list(int argc, char **argv, struct why *why)
{
    static const struct listing authorities = {.path = "/v1/admin/authorities",
                                               .members = "authorities",
                                               .help = "List makers' authorities whose nodes are let in.",
                                               .print_head = print_authority_head,
                                               .print_row = print_authority};
    return list_all(&authorities, argc, argv, why);
}

static void print_key_head(void)
{
    printf("%s%-24s %-14s %s%s\n", style(STYLE_BOLD), "KEY", "KIND", "DIGEST, AS EFUSES HOLD IT", style(STYLE_NONE));
}

static void print_key(const struct json *key)
{
    printf("%-24s %-14s %s\n", text_of(key, "key_name"), text_of(key, "key_spec"), text_of(key, "public_key_digest"));
}

enum err command_key_list(int argc, char **argv, struct why *why)
{
    static const struct listing keys = {.path = "/v1/admin/key",
                                        .members = "keys",
                                        .help = "List the server's keys that sign images.",
                                        .print_head = print_key_head,
                                        .print_row = print_key};
    return list_all(&keys, argc, argv, why);
}

static void print_webhook_head(void)
{
    printf("%s%-24s %-10s %9s  %s%s\n", style(STYLE_BOLD), "WEBHOOK-ID", "STATE", "HAS EVENT", "URL",
           style(STYLE_NONE));
}

static void print_webhook(const struct json *hook)
{
    bool is_paused = false;
    json_bool(json_get(hook, "paused"), &is_paused);
    printf("%-24s %-10s %9" PRId64 "  %s\n", text_of(hook, "webhook_id"),
           is_paused                      ? "paused"
           : int_of(hook, "failures") > 0 ? "failing"
                                          : "",
           int_of(hook, "last_event"), text_of(hook, "url"));
}

enum err command_webhook_list(int argc, char **argv, struct why *why)
{
    static const struct listing hooks = {.path = "/v1/admin/webhooks",
                                         .members = "webhooks",
                                         .help = "List where events are sent.",
                                         .print_head = print_webhook_head,
                                         .print_row = print_webhook};
    return list_all(&hooks, argc, argv, why);
}

static void print_entry_head(void)
{
    printf("%s%-7s %-17s %-24s %-16s %s%s\n", style(STYLE_BOLD), "NUMBER", "WHEN", "WHO", "WHAT", "OF",
           style(STYLE_NONE));
}

static void print_entry(const struct json *row)
{
    const struct json *entry = json_get(row, "entry"), *query = json_get(entry, "query");
    printf("%-7" PRId64 " ", int_of(row, "number"));
    print_time(int_of(entry, "at") / 1000);
    static const char *const names[] = {"node_id",   "nodeid",     "group_id",     "ota_job_id", "ota_image_id",
                                        "user_name", "webhook_id", "authority_id", "token_id",   "ota_job_name",
                                        "image_id",  "image_name", "group_name",   "key_name",   "name",
                                        "url",       "node_count", "simulator",    "entity_id",  "automation_id"};
    const char *of = text_of(entry, "of");
    for (size_t i = 0; i < sizeof names / sizeof names[0] && *of == '\0'; i++)
        of = *text_of(query, names[i]) ? text_of(query, names[i]) : text_of(json_get(entry, "body"), names[i]);
    printf(" %-24s %-16s %s\n", text_of(entry, "who"), text_of(entry, "what"), of);
}

enum err command_audit_list(int argc, char **argv, struct why *why)
{
    static const struct listing entries = {
        .path = "/v1/admin/audit",
        .members = "entries",
        .help = "List what people changed; with --json, the entries as they are, to keep.",
        .print_head = print_entry_head,
        .print_row = print_entry};
    return list_all(&entries, argc, argv, why);
}

enum err command_audit_verify(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {no_rows, "", "Whether the audit log is as it was written.", 0, 0};
    struct options o;
    struct client c;
    struct json *doc = NULL;
    bool is_whole = false;
    options_parse(&o, argc, argv, &line);
    enum err err = client_open(&c, why);
    if (err == ERR_NONE)
        err = client_call(&c, "GET", "/v1/admin/audit/verify", NULL, &doc, why);
    if (err != ERR_NONE)
        return err;
    json_bool(json_get(doc, "whole"), &is_whole);
    if (o.is_json)
        print_json(doc);
    else if (is_whole)
        printf("%" PRId64 " entries, as they were written.\n", int_of(doc, "entries"));
    if (!is_whole)
        err = why_set(why, ERR_DIGEST, "entry %" PRId64 " is not as it was written, or one was taken out before it",
                      int_of(doc, "first_broken"));
    json_free(doc);
    return err;
}
