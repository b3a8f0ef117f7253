#include "pluvio/commands.h"

#include "crypto/cipher.h"
#include "pluvio/fctry.h"
#include "pluvio/listing.h"
#include "pluvio/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* --- add -------------------------------------------------------------------------------------- */

static enum err make_fctry(const struct json *node, uint8_t *bytes, struct why *why)
{
    struct entropy entropy;
    uint8_t random[RANDOM_BYTES];
    entropy_system_init(&entropy);
    entropy.fill(&entropy, random, sizeof random);
    const struct fctry fctry = {.node_id = bytes_of_text(text_of(node, "node_id")),
                                .mqtt_host = bytes_of_text(text_of(node, "mqtt_host")),
                                .client_cert = bytes_of_text(text_of(node, "client_cert")),
                                .client_key = bytes_of_text(text_of(node, "client_key")),
                                .random = bytes_of(random, sizeof random)};
    return fctry_make(&fctry, bytes, FCTRY_BYTES, why);
}

enum err write_credential_files(const struct json *node, const char *folder, struct why *why)
{
    static const struct {
        const char *name, *member;
        int mode;
    } files[] = {{"node.crt", "client_cert", 0644}, {"node.key", "client_key", 0600}, {"ca.crt", "ca_cert", 0644}};
    char path[4096];
    enum err err = ERR_NONE;
    for (size_t i = 0; err == ERR_NONE && i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        err = write_file(path, bytes_of_text(text_of(node, files[i].member)), files[i].mode, why);
    }
    return err;
}

static enum err write_node(const struct json *node, const char *folder, struct why *why)
{
    char path[4096];
    uint8_t *fctry = malloc(FCTRY_BYTES);
    if (fctry == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = make_fctry(node, fctry, why);
    snprintf(path, sizeof path, "%s/fctry.bin", folder);
    if (err == ERR_NONE)
        err = write_file(path, bytes_of(fctry, FCTRY_BYTES), 0600, why);
    free(fctry);
    return err ? err : write_credential_files(node, folder, why);
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

/* --- fctry ------------------------------------------------------------------------------------ */

/* A value that may be given in a file or be absent. */
static enum err take_file(const struct options *o, const char *name, struct buf *to, struct why *why)
{
    return option(o, name) ? read_file(option(o, name), to, why) : ERR_NONE;
}

/* Swapped files would only show when the node never connects. */
static enum err check_credentials(const struct buf *cert, const struct buf *key, struct why *why)
{
    if (cert->len > 0 && strstr(cert->at, "-----BEGIN CERTIFICATE-----") == NULL)
        return why_set(why, ERR_USAGE, "--cert is no certificate in PEM");
    if (key->len > 0 && strstr(key->at, "PRIVATE KEY-----") == NULL)
        return why_set(why, ERR_USAGE, "--key is no private key in PEM");
    return ERR_NONE;
}

enum err command_node_fctry(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FILE", "The partition to write (- is standard output)"},
        {"node-id", 'n', "ID", "The node's id, which is its certificate's common name"},
        {"cert", 'c', "FILE", "The node's certificate, as PEM; a chain is allowed"},
        {"key", 'k', "FILE", "The node's private key, as PEM"},
        {"mqtt-host", 'm', "HOST", "Host name of the broker"},
        {"mqtt-cred-host", 0, "HOST", "Host name of the credential provider (video streaming)"},
        {"random", 'r', "FILE", "64 bytes for the proof of possession (default: random ones)"},
        {"size", 's', "BYTES", "Size of the partition (default: 0x6000)"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {
        rows, "", "Make the fctry partition of a RainMaker node from credentials that you have; needs no server.", 0,
        0};
    struct options o;
    struct entropy entropy;
    struct buf cert = {0}, key = {0}, random = {0};
    uint8_t made[RANDOM_BYTES];
    int64_t size = FCTRY_BYTES;
    struct report r;
    options_parse(&o, argc, argv, &line);
    const char *output = option(&o, "output"), *id = option(&o, "node-id"), *host = option(&o, "mqtt-host");
    if (output == NULL || id == NULL)
        return why_set(why, ERR_USAGE, "give --output and --node-id");
    enum err err =
        option(&o, "size") ? take_number("--size", option(&o, "size"), 0x3000, 0x100000, &size, why) : ERR_NONE;
    if (err == ERR_NONE)
        err = take_file(&o, "cert", &cert, why);
    if (err == ERR_NONE)
        err = take_file(&o, "key", &key, why);
    if (err == ERR_NONE)
        err = take_file(&o, "random", &random, why);
    if (err == ERR_NONE)
        err = check_credentials(&cert, &key, why);
    entropy_system_init(&entropy);
    entropy.fill(&entropy, made, sizeof made);
    uint8_t *bytes = malloc((size_t)size);
    if (err == ERR_NONE && bytes == NULL)
        err = why_set(why, ERR_NO_MEMORY, "no memory");
    const struct fctry fctry = {.node_id = bytes_of_text(id),
                                .mqtt_host = bytes_of_text(host ? host : ""),
                                .mqtt_cred_host =
                                    bytes_of_text(option(&o, "mqtt-cred-host") ? option(&o, "mqtt-cred-host") : ""),
                                .client_cert = buf_bytes(&cert),
                                .client_key = buf_bytes(&key),
                                .random = random.len ? buf_bytes(&random) : bytes_of(made, sizeof made)};
    if (err == ERR_NONE)
        err = fctry_make(&fctry, bytes, (uint32_t)size, why);
    if (err == ERR_NONE)
        err = write_output(output, bytes_of(bytes, (size_t)size), 0600, why);
    if (err == ERR_NONE) {
        report_begin(&r, REPORT_OBJECT, o.is_json);
        report_written(&r, output, (uint64_t)size);
        report_text(&r, "node_id", "node id", "%s", id);
        report_end(&r);
    }
    free(bytes);
    buf_deinit(&cert);
    buf_deinit(&key);
    buf_deinit(&random);
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
