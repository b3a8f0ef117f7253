#include "pluvio/commands.h"

#include "nvs/nvs_part.h"
#include "pluvio/listing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define FCTRY_BYTES  0x6000
#define FCTRY_SPACE  "rmaker_creds"
#define RANDOM_BYTES 64

/* --- add -------------------------------------------------------------------------------------- */

/* The factory partition as RainMaker's nodes read it: all values are blobs without terminator. */
static enum err make_fctry(const struct json *node, uint8_t *bytes, struct why *why)
{
    static const struct {
        const char *key, *member;
    } rows[] = {{"node_id", "node_id"},
                {"mqtt_host", "mqtt_host"},
                {"client_cert", "client_cert"},
                {"client_key", "client_key"}};
    struct flash_ram ram;
    struct nvs_part nvs;
    uint8_t random[RANDOM_BYTES];
    memset(bytes, 0xff, FCTRY_BYTES);
    flash_ram_init(&ram, bytes, FCTRY_BYTES);
    enum err err = nvs_part_mount(&nvs, (struct stretch){&ram.flash, 0, FCTRY_BYTES}, why);
    for (size_t i = 0; err == ERR_NONE && i < sizeof rows / sizeof rows[0]; i++)
        err = nvs_part_write(&nvs, FCTRY_SPACE, rows[i].key, NVS_BLOB_DATA,
                             bytes_of_text(text_of(node, rows[i].member)), why);
    if (err == ERR_NONE && getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        err = why_set(why, ERR_IO, "no random bytes: %s", strerror(errno));
    return err ? err : nvs_part_write(&nvs, FCTRY_SPACE, "random", NVS_BLOB_DATA, bytes_of(random, sizeof random), why);
}

static enum err write_node(const struct json *node, const char *folder, struct why *why)
{
    static const struct {
        const char *name, *member;
        int mode;
    } files[] = {{"node.crt", "client_cert", 0644}, {"node.key", "client_key", 0600}, {"ca.crt", "ca_cert", 0644}};
    char path[4096];
    uint8_t *fctry = malloc(FCTRY_BYTES);
    if (fctry == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = make_fctry(node, fctry, why);
    snprintf(path, sizeof path, "%s/fctry.bin", folder);
    if (err == ERR_NONE)
        err = write_file(path, bytes_of(fctry, FCTRY_BYTES), 0600, why);
    free(fctry);
    for (size_t i = 0; err == ERR_NONE && i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        err = write_file(path, bytes_of_text(text_of(node, files[i].member)), files[i].mode, why);
    }
    return err;
}

enum err command_node_add(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"out", 'o', "FOLDER", "Folder for fctry.bin, node.crt, node.key and ca.crt (default: the node's id)"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {
        rows, "[NODE-ID]", "Register a node. Its key is shown once: it is written to the folder and kept nowhere else.",
        0, 1};
    struct options o;
    struct client c;
    struct json *node = NULL;
    struct buf body = {0};
    struct json_out out;
    options_parse(&o, argc, argv, &line);
    json_out_init(&out, &body);
    json_out_object(&out, NULL);
    if (o.count > 0)
        json_out_text(&out, "node_id", o.arguments[0]);
    json_out_end_object(&out);
    const char *folder = option(&o, "out");
    if (folder != NULL && mkdir(folder, 0700) != 0 && errno != EEXIST) {
        buf_deinit(&body);
        return why_set(why, ERR_IO, "make the folder %s: %s", folder, strerror(errno));
    }
    enum err err = client_open(&c, why);
    if (err == ERR_NONE)
        err = client_call(&c, "POST", "/v1/admin/nodes", body.at, &node, why);
    buf_deinit(&body);
    if (err != ERR_NONE)
        return err;
    if (folder == NULL && mkdir(folder = text_of(node, "node_id"), 0700) != 0 && errno != EEXIST)
        err = why_set(why, ERR_IO, "make the folder %s: %s", folder, strerror(errno));
    if (err == ERR_NONE)
        err = write_node(node, folder, why);
    if (err == ERR_NONE && o.is_json)
        print_json(node);
    else if (err == ERR_NONE)
        printf("Node %s added: %s/fctry.bin is its factory partition.\n", text_of(node, "node_id"), folder);
    json_free(node);
    return err;
}

/* --- list ------------------------------------------------------------------------------------- */

static void print_since(int64_t ms)
{
    int64_t s = ms ? (int64_t)time(NULL) - ms / 1000 : -1;
    if (s < 0)
        printf("%10s", "never");
    else if (s < 120)
        printf("%7" PRId64 " s ", s);
    else if (s < 7200)
        printf("%7" PRId64 " min", s / 60);
    else
        printf("%7" PRId64 " h ", s / 3600);
}

static void print_node(const struct json *node)
{
    const char *status = text_of(node, "node_status");
    enum style colour = strcmp(status, "online") == 0 ? STYLE_GREEN : STYLE_DIM;
    printf("%-24s %s%-14s%s", text_of(node, "node_id"), style(colour), status, style(STYLE_NONE));
    print_since(int_of(json_get(json_get(node, "status"), "connectivity"), "timestamp"));
    printf("  %-16s %-12s %s\n", text_of(node, "project_name"), text_of(node, "fw_version"), text_of(node, "platform"));
}

static void print_node_head(void)
{
    printf("%s%-24s %-14s%10s  %-16s %-12s %s%s\n", style(STYLE_BOLD), "NODE", "STATUS", "SINCE", "PROJECT", "VERSION",
           "PLATFORM", style(STYLE_NONE));
}

enum err command_node_list(int argc, char **argv, struct why *why)
{
    static const struct listing nodes = {.path = "/v1/admin/nodes",
                                         .members = "node_info",
                                         .help = "List nodes.",
                                         .print_head = print_node_head,
                                         .print_row = print_node};
    return list_all(&nodes, argc, argv, why);
}
