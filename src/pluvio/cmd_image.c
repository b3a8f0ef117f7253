#include "pluvio/commands.h"

#include "base/text.h"
#include "codec/encode.h"
#include "image/image.h"
#include "image/pack.h"
#include "pluvio/calls.h"
#include "pluvio/listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- pack ------------------------------------------------------------------------------------- */

enum err command_image_pack(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FILE", "The image to write"},
        {"project", 'p', "NAME", "Project name, 1 to 31 characters"},
        {"version", 'v', "VERSION", "Version, 1 to 31 characters"},
        {"secure-version", 'S', "NUMBER", "Secure version, for anti-rollback (default: 0)"},
        {"chip", 'c', "NAME", "The chip whose place a virtual node takes: esp32c3, ... (default: linux)"},
        {"quiet", 'q', NULL, "Print nothing"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {
        rows, "ELF", "Wrap a Linux program in an ESP image, to run in vesp or on a Linux node.", 1, 1};
    struct options o;
    struct buf elf = {0}, image = {0};
    options_parse(&o, argc, argv, &line);
    const char *output = option(&o, "output"), *secure = option(&o, "secure-version"), *name = option(&o, "chip");
    const struct chip *chip = name ? chip_find_name(name) : chip_find(CHIP_LINUX);
    if (chip == NULL || chip->id == CHIP_NONE)
        return why_set(why, ERR_USAGE, "--chip=%s is no chip that runs ESP-IDF", name);
    struct pack_options pack = {option(&o, "project"),
                                option(&o, "version"),
                                "",
                                "",
                                secure ? (uint32_t)strtoul(secure, NULL, 0) : 0,
                                chip->id};
    if (output == NULL || pack.project_name == NULL || pack.version == NULL)
        return why_set(why, ERR_USAGE, "give --output, --project and --version");
    enum err err = read_file(o.arguments[0], &elf, why);
    if (err == ERR_NONE)
        err = image_pack(&image, buf_bytes(&elf), &pack, why);
    if (err == ERR_NONE)
        err = write_file(output, buf_bytes(&image), 0644, why);
    if (err == ERR_NONE && option(&o, "quiet") == NULL)
        printf("%s: %s %s, %zu bytes\n", output, pack.project_name, pack.version, image.len);
    buf_deinit(&elf);
    buf_deinit(&image);
    return err;
}

/* --- upload ----------------------------------------------------------------------------------- */

static void default_name(const char *path, char *to, size_t size)
{
    const char *slash = strrchr(path, '/');
    text_copy(to, size, slash ? slash + 1 : path);
    size_t len = strlen(to);
    if (len > 4 && (strcmp(to + len - 4, ".bin") == 0 || strcmp(to + len - 4, ".zip") == 0))
        to[len - 4] = '\0';
}

/* Images without an app descriptor (ESP8266's NonOS SDK) tell no version: their content does. */
static void default_version(const struct image_facts *f, char *to, size_t size)
{
    to[0] = '\0';
    if (!f->has_app_desc || f->app.version[0] == '\0')
        snprintf(to, size, "sha256-%02x%02x%02x%02x", f->file_sha256[0], f->file_sha256[1], f->file_sha256[2],
                 f->file_sha256[3]);
}

struct upload {
    const char *file, *type;
    bool is_package;
    char name[257], version[33], model[65];
};

static bool ends_in(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static enum err check_file(struct upload *u, const struct options *o, struct why *why)
{
    struct image_facts facts;
    u->is_package = ends_in(u->file, ".zip"); /* the server looks into it */
    enum err err = u->is_package ? ERR_NONE : read_image(u->file, 0, &facts, why);
    if (err == ERR_NONE && !u->is_package)
        err = image_check_update(&facts, why);
    if (err != ERR_NONE)
        return why_add(why, err, "%s", u->file);
    default_name(u->file, u->name, sizeof u->name);
    if (!u->is_package) {
        default_version(&facts, u->version, sizeof u->version);
        text_copy(u->model, sizeof u->model, facts.has_app_desc ? "" : u->name);
    }
    if (option(o, "name") != NULL)
        text_copy(u->name, sizeof u->name, option(o, "name"));
    if (option(o, "fw-version") != NULL)
        text_copy(u->version, sizeof u->version, option(o, "fw-version"));
    if (option(o, "model") != NULL)
        text_copy(u->model, sizeof u->model, option(o, "model"));
    u->type = option(o, "type");
    return ERR_NONE;
}

static enum err confirm(struct client *c, const struct upload *u, const char *id, struct json **doc, struct why *why)
{
    struct buf body = {0};
    struct json_out out;
    json_out_init(&out, &body);
    json_out_object(&out, NULL);
    json_out_text(&out, "ota_image_id", id);
    if (u->version[0])
        json_out_text(&out, "fw_version", u->version);
    if (u->model[0])
        json_out_text(&out, "model", u->model);
    if (u->type != NULL)
        json_out_text(&out, "type", u->type);
    if (u->is_package)
        json_out_text(&out, "image_type", "package");
    json_out_end_object(&out);
    enum err err = client_call(c, "POST", "/v1/admin/otaimage/upload_confirm", body.at, doc, why);
    buf_deinit(&body);
    return err;
}

static enum err upload_one(struct client *c, struct upload *u, bool is_json, struct why *why)
{
    struct buf path = {0};
    struct json *asked = NULL, *done = NULL;
    buf_add_text(&path, "/v1/admin/otaimage/upload_request?image_name=");
    http_escape(&path, u->name);
    buf_add_text(&path, u->is_package ? "&image_type=package" : "");
    enum err err = client_call(c, "GET", path.at, NULL, &asked, why);
    buf_deinit(&path);
    if (err == ERR_NONE)
        err = client_upload(c, text_of(asked, "upload_url"), u->file, why);
    if (err == ERR_NONE)
        err = confirm(c, u, text_of(asked, "ota_image_id"), &done, why);
    if (err == ERR_NONE && is_json)
        print_json(done);
    else if (err == ERR_NONE)
        printf("%s uploaded: %s %s, image id %s\n", u->name, text_of(done, "model"), text_of(done, "fw_version"),
               text_of(done, "ota_image_id"));
    json_free(asked);
    json_free(done);
    return err ? why_add(why, err, "upload %s", u->file) : ERR_NONE;
}

enum err command_image_upload(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"name", 'n', "NAME", "Name of the image (default: the file's, without .bin)"},
        {"fw-version", 'v', "VERSION", "Version, when it shall not be the one in the image"},
        {"model", 'm', "MODEL", "Model, when it shall not be the image's project name"},
        {"type", 't', "TYPE", "Type of the nodes it is for"},
        {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {
        rows, "FILE...", "Verify images and upload them; a package is named PROJECT_VERSION.zip and holds PROJECT.bin.",
        1, ARGUMENTS_MAX};
    struct options o;
    struct client c;
    options_parse(&o, argc, argv, &line);
    enum err err = client_open(&c, why);
    for (unsigned i = 0; err == ERR_NONE && i < o.count; i++) {
        struct upload u = {.file = o.arguments[i]};
        err = check_file(&u, &o, why);
        if (err == ERR_NONE)
            err = upload_one(&c, &u, o.is_json, why);
    }
    return err;
}

/* --- list ------------------------------------------------------------------------------------- */

static void print_image_head(void)
{
    printf("%s%-24s %-20s %-20s %-10s %10s  %s%s\n", style(STYLE_BOLD), "NAME", "MODEL", "VERSION", "PLATFORM", "BYTES",
           "ID", style(STYLE_NONE));
}

static void print_image(const struct json *image)
{
    printf("%-24s %-20s %-20s %-10s %10" PRId64 "  %s\n", text_of(image, "image_name"), text_of(image, "model"),
           text_of(image, "fw_version"), text_of(image, "platform"), int_of(image, "file_size"),
           text_of(image, "ota_image_id"));
}

enum err command_image_list(int argc, char **argv, struct why *why)
{
    static const struct listing images = {.path = "/v1/admin/otaimage",
                                          .members = "ota_images",
                                          .help = "List uploaded images, newest first.",
                                          .all_help = "Archived images too",
                                          .print_head = print_image_head,
                                          .print_row = print_image};
    return list_all(&images, argc, argv, why);
}

/* --- files that belong to an image ------------------------------------------------------------ */

static enum err attach(struct client *c, const char *image, const char *file, const char *type, bool is_json,
                       struct why *why)
{
    struct buf path = {0}, body = {0};
    struct json *asked = NULL, *done = NULL;
    struct json_out out;
    const char *slash = strrchr(file, '/');
    buf_add_text(&path, "/v1/admin/file/upload_request?entity_type=ota_image&entity_id=");
    http_escape(&path, image);
    buf_add_text(&path, "&file_name=");
    http_escape(&path, slash ? slash + 1 : file);
    enum err err = client_call(c, "GET", path.at, NULL, &asked, why);
    buf_deinit(&path);
    if (err == ERR_NONE)
        err = client_upload(c, text_of(asked, "upload_url"), file, why);
    json_out_init(&out, &body);
    json_out_object(&out, NULL);
    json_out_text(&out, "file_id", text_of(asked, "file_id"));
    if (type != NULL)
        json_out_text(&out, "file_type", type);
    json_out_end_object(&out);
    if (err == ERR_NONE)
        err = client_call(c, "POST", "/v1/admin/file/upload_confirm", body.at, &done, why);
    buf_deinit(&body);
    if (err == ERR_NONE && is_json)
        print_json(done);
    else if (err == ERR_NONE)
        printf("%s attached, file id %s\n", slash ? slash + 1 : file, text_of(done, "file_id"));
    json_free(asked);
    json_free(done);
    return err ? why_add(why, err, "attach %s", file) : ERR_NONE;
}

enum err command_image_attach(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"type", 't', "TYPE", "What it is: qa_report, bootloader (signed with the image), ..."}, {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "IMAGE FILE...", "Upload files that belong to an image.", 2,
                                             ARGUMENTS_MAX};
    struct options o;
    struct client c;
    char id[64];
    options_parse(&o, argc, argv, &line);
    enum err err = client_open(&c, why);
    if (err == ERR_NONE)
        err = find_named(&c, &named_images, o.arguments[0], id, sizeof id, why);
    for (unsigned i = 1; err == ERR_NONE && i < o.count; i++)
        err = attach(&c, id, o.arguments[i], option(&o, "type"), o.is_json, why);
    return err;
}

static void print_file_head(void)
{
    printf("%s%-30s %-16s %10s %-24s  %s%s\n", style(STYLE_BOLD), "NAME", "TYPE", "BYTES", "IMAGE", "ID",
           style(STYLE_NONE));
}

static void print_file(const struct json *file)
{
    printf("%-30s %-16s %10" PRId64 " %-24s  %s\n", text_of(file, "file_name"), text_of(file, "file_type"),
           int_of(file, "file_size"), text_of(file, "entity_id"), text_of(file, "file_id"));
}

enum err command_image_files(int argc, char **argv, struct why *why)
{
    static const struct listing files = {.path = "/v1/admin/file",
                                         .members = "file_details",
                                         .help = "List files that belong to images.",
                                         .print_head = print_file_head,
                                         .print_row = print_file};
    return list_all(&files, argc, argv, why);
}
