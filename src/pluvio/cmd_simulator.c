#include "pluvio/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static enum err write_simulator(const struct json *doc, const char *folder, struct why *why)
{
    char path[4096];
    struct buf text = {0};
    struct json_out out;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "simulator", text_of(doc, "simulator"));
    json_out_int(&out, "node_count", int_of(doc, "node_count"));
    json_out_text(&out, "mqtt_host", text_of(doc, "mqtt_host"));
    json_out_end_object(&out);
    snprintf(path, sizeof path, "%s/simulator.json", folder);
    enum err err = text.is_failed ? why_set(why, ERR_NO_MEMORY, "no memory")
                                  : write_file(path, bytes_of(text.at, text.len), 0644, why);
    buf_deinit(&text);
    return err ? err : write_credential_files(doc, folder, why);
}

enum err command_simulator_add(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"out", 'o', "FOLDER", "Folder for its credentials (default: its name)"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {
        rows, "COUNT",
        "Register simulated nodes, and make the credential with which `pluvio-fleet gateway` speaks for them.", 1, 1};
    struct options o;
    struct client c;
    struct json *doc = NULL;
    int64_t count;
    char body[64];
    options_parse(&o, argc, argv, &line);
    enum err err = take_number("COUNT", o.arguments[0], 1, 100000, &count, why);
    if (err == ERR_NONE)
        err = client_open(&c, why);
    if (err != ERR_NONE)
        return err;
    snprintf(body, sizeof body, "{\"node_count\":%" PRId64 "}", count);
    if ((err = client_call(&c, "POST", "/v1/admin/simulators", body, &doc, why)) != ERR_NONE)
        return err;
    const char *folder = option(&o, "out") ? option(&o, "out") : text_of(doc, "simulator");
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        err = why_set(why, ERR_IO, "make the folder %s: %s", folder, strerror(errno));
    if (err == ERR_NONE)
        err = write_simulator(doc, folder, why);
    if (err == ERR_NONE && o.is_json)
        print_json(doc);
    else if (err == ERR_NONE)
        printf("%" PRId64 " simulated nodes added; they come alive with: pluvio-fleet gateway %s\n", count, folder);
    json_free(doc);
    return err;
}
