/* pluvio nvs: key-value partitions, shown, made, encrypted. */
#include "pluvio/commands.h"

#include "base/text.h"
#include "codec/encode.h"
#include "nvs/nvs_crypt.h"
#include "nvs/nvs_csv.h"
#include "nvs/nvs_view.h"
#include "pluvio/fctry.h"
#include "pluvio/report.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE_MAX_BYTES (16 * 1024 * 1024)
#define KEY_ROW                                                                                                        \
    {                                                                                                                  \
        "keys", 'k', "FILE", "The partition is encrypted: its key partition (nvs_keys)"                                \
    }
#define HMAC_ROW                                                                                                       \
    {                                                                                                                  \
        "hmac-key", 'H', "FILE", "... or the HMAC key of 32 bytes that its keys are derived from"                      \
    }

/* Whether keys are given, and they themselves. */
static enum err take_keys(const struct options *o, uint8_t keys[static NVS_KEYS_LEN], bool *is_given, struct why *why)
{
    const char *path = option(o, "keys"), *hmac = option(o, "hmac-key");
    struct buf file = {0};
    *is_given = path != NULL || hmac != NULL;
    if (!*is_given)
        return ERR_NONE;
    if (path != NULL && hmac != NULL)
        return why_set(why, ERR_USAGE, "give either --keys or --hmac-key");
    enum err err = read_file(path ? path : hmac, &file, why);
    if (err == ERR_NONE && path != NULL)
        err = nvs_keys_read(keys, buf_bytes(&file), why);
    else if (err == ERR_NONE && file.len != 32)
        err = why_set(why, ERR_KEY, "an HMAC key has 32 bytes, this file %zu", file.len);
    else if (err == ERR_NONE)
        nvs_keys_from_hmac(keys, (const uint8_t *)file.at);
    buf_deinit(&file);
    return err ? why_add(why, err, "%s", path ? path : hmac) : ERR_NONE;
}

static enum err open_part(const struct options *o, struct buf *file, struct nvs_view *view, struct why *why)
{
    uint8_t keys[NVS_KEYS_LEN];
    bool is_encrypted;
    enum err err = take_keys(o, keys, &is_encrypted, why);
    if (err == ERR_NONE)
        err = read_file(o->arguments[0], file, why);
    if (err == ERR_NONE && is_encrypted)
        err = nvs_crypt((uint8_t *)file->at, file->len, keys, CIPHER_OPEN, why);
    if (err == ERR_NONE)
        err = nvs_view_init(view, buf_bytes(file), why);
    return err ? why_add(why, err, "%s", o->arguments[0]) : ERR_NONE;
}

/* --- show ------------------------------------------------------------------------------------- */

static bool is_printable(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.at[i] < 0x20 || b.at[i] == 0x7f)
            return false;
    return true;
}

static void number_text(const struct nvs_item *item, char *to, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < item->len; i++)
        value |= (uint64_t)item->number[i] << 8 * i;
    if (item->type == NVS_FLOAT || item->type == NVS_DOUBLE) {
        float single;
        double wide;
        memcpy(&single, item->number, sizeof single);
        memcpy(&wide, item->number, sizeof wide);
        snprintf(to, size, "%.17g", item->type == NVS_FLOAT ? (double)single : wide);
    } else if ((item->type & 0x10) != 0 && item->len > 0) {
        unsigned unused = 64 - 8 * (unsigned)item->len;
        snprintf(to, size, "%" PRId64, (int64_t)(value << unused) >> unused);
    } else
        snprintf(to, size, "%" PRIu64, value);
}

#define SHOWN_MAX 48 /* bytes of a value on a line */

static void tell_value(struct report *r, const struct nvs_view *v, const struct nvs_item *item, char *shown,
                       size_t size)
{
    struct buf value = {0}, hex = {0};
    struct why why = {{0}};
    bool is_number = nvs_number_len(item->type) > 0;
    enum err err = nvs_view_value(v, item, &value, &why);
    struct bytes b = bytes_of(value.at ? value.at : "", value.len);
    shown[0] = '\0';
    if (is_number && err == ERR_NONE) {
        number_text(item, shown, size);
        report_text(r, "value", NULL, "%s", shown);
    } else if (err != ERR_NONE) {
        report_text(r, "reason", NULL, "%s", why.text);
        snprintf(shown, size, "%s", why.text);
    } else if (item->type == NVS_TEXT && b.len > 0) {
        /* Text may be longer than a report's line. */
        if (b.at[b.len - 1] == '\0')
            json_out_text(&r->out, "value", (const char *)b.at);
        snprintf(shown, size, "\"%.*s\"%s", SHOWN_MAX, (const char *)b.at, b.len > SHOWN_MAX ? "..." : "");
    } else if (buf_reserve(&hex, 2 * b.len + 1)) {
        hex_encode(hex.at, b);
        json_out_text(&r->out, "value_hex", hex.at);
        if (b.len > 0 && is_printable(b))
            snprintf(shown, size, "\"%.*s\"%s", (int)(b.len < SHOWN_MAX ? b.len : SHOWN_MAX), (const char *)b.at,
                     b.len > SHOWN_MAX ? "..." : "");
        else
            snprintf(shown, size, "%.*s%s", SHOWN_MAX, hex.at, 2 * b.len > SHOWN_MAX ? "..." : "");
    }
    buf_deinit(&hex);
    buf_deinit(&value);
}

/* A blob's index stands for the blob. */
static const char *value_type_text(const struct nvs_item *item)
{
    return item->type == NVS_BLOB_INDEX ? "blob" : nvs_type_text(item->type);
}

static void tell_item(struct report *r, const struct nvs_view *v, const struct nvs_item *item)
{
    char shown[400], key[NVS_KEY_LEN + 2], space[NVS_KEY_LEN + 2];
    const char *name = item->space == NVS_SPACE_OF_NAMES ? "" : v->spaces[item->space];
    const char *type = item->space == NVS_SPACE_OF_NAMES ? "namespace" : value_type_text(item);
    const char *mark = item->is_erased ? "erased" : item->is_right ? "" : "DAMAGED";
    report_item(r, NULL);
    report_text(r, "namespace", NULL, "%s", name);
    report_text(r, "key", NULL, "%s", item->key);
    report_text(r, "type", NULL, "%s", type);
    report_number(r, "size", NULL, (int64_t)item->len);
    report_number(r, "page", NULL, item->page);
    report_number(r, "entry", NULL, item->index);
    report_bool(r, "is_erased", NULL, item->is_erased);
    report_bool(r, "is_right", NULL, item->is_right);
    tell_value(r, v, item, shown, sizeof shown);
    report_end_item(r);
    report_line(r, "  %-15s  %-15s  %-11s %7zu  %s%s%s%s", plain_text(space, sizeof space, name),
                plain_text(key, sizeof key, item->key), type, item->len, mark, *mark ? " " : "",
                item->is_erased ? "" : plain_text(shown, sizeof shown, shown), "");
}

static void tell_pages(struct report *r, const struct nvs_view *v)
{
    report_list(r, "pages");
    for (unsigned i = 0; i < v->pages; i++) {
        struct nvs_view_page p;
        char label[16];
        nvs_view_page(v, i, &p);
        snprintf(label, sizeof label, "page %u", i);
        report_item(r, NULL);
        report_text(r, "state", NULL, "%s", p.state);
        report_bool(r, "is_header_right", NULL, p.is_header_right);
        report_number(r, "version", NULL, p.version);
        if (p.version != 0)
            report_number(r, "seq", NULL, p.seq);
        report_number(r, "written", NULL, p.written);
        report_number(r, "erased", NULL, p.erased);
        report_number(r, "empty", NULL, p.empty);
        report_end_item(r);
        if (strcmp(p.state, "empty") != 0)
            report_text(r, NULL, label,
                        "%s, version %u, sequence %" PRIu32 ": %u entries written, %u erased, %u free%s", p.state,
                        p.version, p.seq, p.written, p.erased, p.empty, p.is_header_right ? "" : "  HEADER DAMAGED");
    }
    report_end_list(r);
}

enum err command_nvs_show(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        KEY_ROW, HMAC_ROW, {"all", 'a', NULL, "Erased entries and the chunks of blobs too"}, {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "FILE", "Show what an NVS partition holds; nothing is repaired.", 1,
                                             1};
    struct options o;
    struct buf file = {0};
    struct nvs_view view;
    struct report r;
    unsigned damaged = 0;
    options_parse(&o, argc, argv, &line);
    enum err err = open_part(&o, &file, &view, why);
    if (err == ERR_NONE) {
        bool is_all = option(&o, "all") != NULL;
        report_begin(&r, REPORT_OBJECT, o.is_json);
        report_number(&r, "size", NULL, (int64_t)file.len);
        tell_pages(&r, &view);
        report_line(&r, "  %s%-15s  %-15s  %-11s %7s  %s%s", style(STYLE_BOLD), "NAMESPACE", "KEY", "TYPE", "BYTES",
                    "VALUE", style(STYLE_NONE));
        report_list(&r, "entries");
        for (struct nvs_item item = {0}; nvs_view_next(&view, &item);) {
            damaged += !item.is_right && !item.is_erased;
            bool is_inner = item.is_erased || item.type == NVS_BLOB_DATA || item.space == NVS_SPACE_OF_NAMES;
            if (is_all || !is_inner || (!item.is_right && !item.is_erased))
                tell_item(&r, &view, &item);
        }
        report_end_list(&r);
        if (damaged > 0)
            report_verdict(&r, STYLE_RED, "%u damaged entries%s", damaged,
                           option(&o, "keys") || option(&o, "hmac-key") ? " (are these the right keys?)"
                                                                        : " (is the partition encrypted?)");
        report_end(&r);
    }
    buf_deinit(&file);
    return err == ERR_NONE && damaged > 0 ? why_set(why, ERR_FORMAT, "%u entries are damaged", damaged) : err;
}

enum err command_nvs_get(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        KEY_ROW,
        HMAC_ROW,
        {"output", 'o', "FILE", "Write the bare bytes to this file (- is standard output)"},
        {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "FILE NAMESPACE KEY", "Print one value of an NVS partition.", 3, 3};
    struct options o;
    struct buf file = {0}, value = {0};
    struct nvs_view view;
    struct nvs_item item;
    struct report r;
    options_parse(&o, argc, argv, &line);
    enum err err = open_part(&o, &file, &view, why);
    if (err == ERR_NONE && !nvs_view_find(&view, o.arguments[1], o.arguments[2], &item))
        err = why_set(why, ERR_NOT_FOUND, "%s has no %s/%s", o.arguments[0], o.arguments[1], o.arguments[2]);
    if (err == ERR_NONE)
        err = nvs_view_value(&view, &item, &value, why);
    struct bytes bare = bytes_of(value.at ? value.at : "", value.len);
    if (err == ERR_NONE && option(&o, "output") != NULL)
        err = write_output(option(&o, "output"), bare, 0600, why);
    else if (err == ERR_NONE) {
        report_begin(&r, REPORT_OBJECT, o.is_json);
        report_text(&r, "type", "type", "%s", value_type_text(&item));
        report_size(&r, "size", "size", item.len);
        if (nvs_number_len(item.type) > 0) {
            char text[40];
            number_text(&item, text, sizeof text);
            report_text(&r, "value", "value", "%s", text);
        } else if (item.type == NVS_TEXT && bare.len > 0 && bare.at[bare.len - 1] == '\0') {
            json_out_text(&r.out, "value", (const char *)bare.at);
            report_text(&r, NULL, "value", "%s", (const char *)bare.at);
        } else
            report_hex(&r, "value_hex", "value", bare);
        report_end(&r);
    }
    buf_deinit(&value);
    buf_deinit(&file);
    return err;
}

enum err command_nvs_csv(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {KEY_ROW,
                                             HMAC_ROW,
                                             {"output", 'o', "FILE", "The CSV to write (default: standard output)"},
                                             {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "FILE", "Print an NVS partition as the CSV that makes it again.", 1,
                                             1};
    struct options o;
    struct buf file = {0}, csv = {0};
    struct nvs_view view;
    options_parse(&o, argc, argv, &line);
    enum err err = open_part(&o, &file, &view, why);
    if (err == ERR_NONE)
        err = nvs_view_write_csv(&view, &csv, why);
    if (err == ERR_NONE)
        err = report_whole_text(&o, "csv", option(&o, "output"), buf_bytes(&csv), 0600, why);
    buf_deinit(&csv);
    buf_deinit(&file);
    return err;
}

/* --- make ------------------------------------------------------------------------------------- */

/* Files are looked for from here, as Espressif's generator does, and beside the table, as people expect. */
struct beside {
    struct nvs_csv_files files;
    const char *table;
};

static enum err read_beside(struct nvs_csv_files *files, const char *path, struct buf *to, struct why *why)
{
    const char *table = ((struct beside *)files)->table, *slash = strrchr(table, '/');
    char joined[4096];
    if (path[0] == '/' || slash == NULL || access(path, R_OK) == 0)
        return read_file(path, to, why);
    if (snprintf(joined, sizeof joined, "%.*s/%s", (int)(slash - table), table, path) >= (int)sizeof joined)
        return why_set(why, ERR_USAGE, "the path %s is too long", path);
    return read_file(joined, to, why);
}

static enum err write_part(const struct options *o, uint8_t *bytes, size_t size, struct why *why)
{
    uint8_t keys[NVS_KEYS_LEN];
    bool is_encrypted;
    struct report r;
    const char *output = option(o, "output");
    enum err err = take_keys(o, keys, &is_encrypted, why);
    if (err == ERR_NONE && is_encrypted)
        err = nvs_crypt(bytes, size, keys, CIPHER_SEAL, why);
    if (err == ERR_NONE)
        err = write_output(output, bytes_of(bytes, size), 0600, why);
    if (err != ERR_NONE)
        return err;
    report_begin(&r, REPORT_OBJECT, o->is_json);
    report_written(&r, output, size);
    report_bool(&r, "is_encrypted", "encrypted", is_encrypted);
    report_end(&r);
    return ERR_NONE;
}

enum err command_nvs_make(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FILE", "The partition to write (- is standard output)"},
        {"size", 's', "BYTES", "Its size, a multiple of 4096, such as 0x6000 or 24K"},
        {"v1", '1', NULL, "The format of before ESP-IDF 3.2: blobs of at most 1984 bytes"},
        {"keys", 'k', "FILE", "Encrypt with the keys of this key partition (nvs_keys)"},
        {"hmac-key", 'H', "FILE", "... or with those derived from this HMAC key of 32 bytes"},
        {NULL, 0, NULL, NULL}};
    static const struct command_line line = {
        rows, "CSV", "Make an NVS partition from a table with the columns key,type,encoding,value.", 1, 1};
    struct options o;
    struct buf csv = {0};
    struct nvs_maker *maker = malloc(sizeof *maker);
    uint8_t *bytes = NULL;
    int64_t size = 0;
    options_parse(&o, argc, argv, &line);
    struct beside beside = {{read_beside}, o.arguments[0]};
    enum err err = maker ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE && (option(&o, "output") == NULL || option(&o, "size") == NULL))
        err = why_set(why, ERR_USAGE, "give --output and --size");
    if (err == ERR_NONE)
        err = take_number("--size", option(&o, "size"), 4096, SIZE_MAX_BYTES, &size, why);
    if (err == ERR_NONE && (bytes = malloc((size_t)size)) == NULL)
        err = why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE)
        err = nvs_maker_init(maker, bytes, (uint32_t)size, option(&o, "v1") ? NVS_VERSION_1 : NVS_VERSION_2, why);
    if (err == ERR_NONE)
        err = read_file(o.arguments[0], &csv, why);
    if (err == ERR_NONE && (err = nvs_csv_make(maker, buf_bytes(&csv), &beside.files, why)) != ERR_NONE)
        err = why_add(why, err, "%s", o.arguments[0]);
    if (err == ERR_NONE)
        err = write_part(&o, bytes, (size_t)size, why);
    buf_deinit(&csv);
    free(bytes);
    free(maker);
    return err;
}

/* --- keys ------------------------------------------------------------------------------------- */

enum err command_nvs_keys(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FILE", "The key partition to write, 4096 bytes; a file that exists is never overwritten"},
        {"hmac-key", 'H', "FILE", "Derive the keys from this HMAC key of 32 bytes (default: random keys)"},
        {"keys", 'k', "FILE", "Take the keys of this key partition: checks and copies it"},
        {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "", "Make a key partition for encrypted NVS.", 0, 0};
    struct options o;
    struct entropy entropy;
    uint8_t keys[NVS_KEYS_LEN], partition[NVS_PAGE_BYTES];
    bool is_given;
    struct report r;
    options_parse(&o, argc, argv, &line);
    const char *output = option(&o, "output");
    if (output == NULL)
        return why_set(why, ERR_USAGE, "give --output");
    enum err err = take_keys(&o, keys, &is_given, why);
    if (err != ERR_NONE)
        return err;
    entropy_system_init(&entropy);
    if (!is_given)
        entropy.fill(&entropy, keys, sizeof keys);
    nvs_keys_write(keys, partition);
    secret_wipe(keys, sizeof keys);
    err = strcmp(output, "-") == 0 ? write_output(output, bytes_of(partition, sizeof partition), 0600, why)
                                   : write_new_file(output, bytes_of(partition, sizeof partition), 0600, why);
    if (err != ERR_NONE)
        return err;
    report_begin(&r, REPORT_OBJECT, o.is_json);
    report_written(&r, output, sizeof partition);
    report_end(&r);
    return ERR_NONE;
}

static enum err crypt_file(int argc, char **argv, enum cipher_way way, const char *help, struct why *why)
{
    static const struct option_row rows[] = {{"keys", 'k', "FILE", "The key partition (nvs_keys)"},
                                             HMAC_ROW,
                                             {"output", 'o', "FILE", "The partition to write (- is standard output)"},
                                             {NULL, 0, NULL, NULL}};
    const struct command_line line = {rows, "FILE", help, 1, 1};
    struct options o;
    struct buf file = {0};
    uint8_t keys[NVS_KEYS_LEN];
    bool is_given;
    struct report r;
    options_parse(&o, argc, argv, &line);
    enum err err = take_keys(&o, keys, &is_given, why);
    if (err == ERR_NONE && (!is_given || option(&o, "output") == NULL))
        err = why_set(why, ERR_USAGE, "give --output, and --keys or --hmac-key");
    if (err == ERR_NONE)
        err = read_file(o.arguments[0], &file, why);
    if (err == ERR_NONE)
        err = nvs_crypt((uint8_t *)file.at, file.len, keys, way, why);
    if (err == ERR_NONE)
        err = write_output(option(&o, "output"), buf_bytes(&file), 0600, why);
    if (err == ERR_NONE) {
        report_begin(&r, REPORT_OBJECT, o.is_json);
        report_written(&r, option(&o, "output"), file.len);
        report_end(&r);
    }
    buf_deinit(&file);
    return err;
}

enum err command_nvs_encrypt(int argc, char **argv, struct why *why)
{
    return crypt_file(argc, argv, CIPHER_SEAL, "Encrypt a plain NVS partition.", why);
}

enum err command_nvs_decrypt(int argc, char **argv, struct why *why)
{
    return crypt_file(argc, argv, CIPHER_OPEN, "Decrypt an NVS partition.", why);
}
