/* pluvio partition: tables between CSV and binary. */
#include "pluvio/commands.h"

#include "flash/partition.h"
#include "pluvio/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_ROWS                                                                                                     \
    {"table-offset", 0, "ADDRESS", "Where the table lies in flash (default: 0x8000)"},                                 \
        {"flash-size", 0, "BYTES", "Size of the flash, such as 4M: partitions must fit"},                              \
        {"primary-bootloader-offset", 0, "ADDRESS", "Where the bootloader lies, for rows of type bootloader"},         \
        {"recovery-bootloader-offset", 0, "ADDRESS", "Where the recovery bootloader lies"},                            \
        {"extra-subtypes", 0, "FILE", "More subtypes, as lines type,name,value"},                                      \
        {"secure", 0, "v1|v2", "Secure Boot: with v1 sizes of app partitions are multiples of 64 KB"},                 \
    {                                                                                                                  \
        "no-verify", 0, NULL, "Do not check the generator's rules of a binary table"                                   \
    }

static const char *variable(void *context, const char *name)
{
    (void)context;
    return getenv(name);
}

static enum err take_options(const struct options *o, struct partition_options *p, struct buf *subtypes,
                             struct why *why)
{
    struct {
        const char *name;
        uint32_t *to;
        bool *has;
    } numbers[] = {
        {"table-offset", &p->table_at, NULL},
        {"flash-size", &p->flash_size, NULL},
        {"primary-bootloader-offset", &p->primary_bootloader_at, &p->has_bootloader},
        {"recovery-bootloader-offset", &p->recovery_bootloader_at, &p->has_recovery},
    };
    *p = (struct partition_options){.variable = variable};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const char *text = option(o, numbers[i].name);
        int64_t value;
        if (text == NULL)
            continue;
        enum err err = take_number(numbers[i].name, text, 0, UINT32_MAX, &value, why);
        if (err != ERR_NONE)
            return err;
        *numbers[i].to = (uint32_t)value;
        if (numbers[i].has != NULL)
            *numbers[i].has = true;
    }
    const char *secure = option(o, "secure");
    if (secure != NULL && strcmp(secure, "v1") != 0 && strcmp(secure, "v2") != 0)
        return why_set(why, ERR_USAGE, "--secure takes v1 or v2, not %s", secure);
    p->is_secure_v1 = secure != NULL && strcmp(secure, "v1") == 0;
    if (option(o, "extra-subtypes") == NULL)
        return ERR_NONE;
    enum err err = read_file(option(o, "extra-subtypes"), subtypes, why);
    p->extra_subtypes = subtypes->at;
    return err;
}

/* Either form, told by its first bytes. */
static enum err read_table(const struct options *o, struct partition_table *t, struct partition_options *p,
                           struct why *why)
{
    struct buf file = {0};
    enum err err = read_file(o->arguments[0], &file, why);
    bool is_binary = file.len >= 2 && (uint8_t)file.at[0] == 0xaa && file.at[1] == 0x50;
    if (err == ERR_NONE)
        err = is_binary ? partition_table_read(t, buf_bytes(&file), p->flash_size, why)
                        : partition_table_read_csv(t, buf_bytes(&file), p, why);
    if (err == ERR_NONE && is_binary && option(o, "no-verify") == NULL)
        err = partition_table_check(t, p, why);
    buf_deinit(&file);
    return err ? why_add(why, err, "%s", o->arguments[0]) : ERR_NONE;
}

static enum err open_table(const struct options *o, struct partition_table *t, struct partition_options *p,
                           struct why *why)
{
    struct buf subtypes = {0};
    enum err err = take_options(o, p, &subtypes, why);
    p->is_without_md5 = false;
    if (err == ERR_NONE)
        err = read_table(o, t, p, why);
    p->extra_subtypes = NULL;
    buf_deinit(&subtypes);
    return err;
}

static void warn(const struct partition_table *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const char *text = partition_warning(t, i);
        char label[PARTITION_LABEL_LEN + 1];
        if (text != NULL)
            fprintf(stderr, "pluvio: warning: partition %s: %s\n", plain_text(label, sizeof label, t->entries[i].label),
                    text);
    }
}

static void report_partitions(struct report *r, const struct partition_table *t)
{
    report_line(r, "  %s%-16s  %-10s %-10s %10s %10s %9s  %s%s", style(STYLE_BOLD), "NAME", "TYPE", "SUBTYPE", "OFFSET",
                "END", "SIZE", "FLAGS", style(STYLE_NONE));
    report_list(r, "partitions");
    for (unsigned i = 0; i < t->count; i++) {
        const struct partition *p = &t->entries[i];
        char type[16], subtype[16], size[SIZE_TEXT_SIZE], label[PARTITION_LABEL_LEN + 1];
        bool is_encrypted = (p->flags & PARTITION_FLAG_ENCRYPTED) != 0;
        bool is_readonly = (p->flags & PARTITION_FLAG_READONLY) != 0;
        partition_type_text(p, type);
        partition_subtype_text(p, subtype);
        report_line(r, "  %-16s  %-10s %-10s 0x%08" PRIx32 " 0x%08" PRIx64 " %9s  %s%s%s",
                    plain_text(label, sizeof label, p->label), type, subtype, p->at, (uint64_t)p->at + p->size_bytes,
                    size_text(size, p->size_bytes), is_encrypted ? "encrypted" : "",
                    is_encrypted && is_readonly ? ":" : "", is_readonly ? "readonly" : "");
        report_item(r, NULL);
        report_text(r, "name", NULL, "%s", p->label);
        report_text(r, "type", NULL, "%s", type);
        report_text(r, "subtype", NULL, "%s", subtype);
        report_number(r, "offset", NULL, p->at);
        report_number(r, "size", NULL, p->size_bytes);
        report_bool(r, "encrypted", NULL, is_encrypted);
        report_bool(r, "readonly", NULL, is_readonly);
        report_end_item(r);
    }
    report_end_list(r);
}

enum err command_partition_show(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {TABLE_ROWS, {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "FILE",
                                             "Show a partition table, CSV or binary, and check its rules.", 1, 1};
    static struct partition_table const none;
    struct options o;
    struct partition_options p;
    struct partition_table t = none;
    struct report r;
    options_parse(&o, argc, argv, &line);
    enum err err = open_table(&o, &t, &p, why);
    if (t.count == 0)
        return err;
    report_begin(&r, REPORT_OBJECT, o.is_json);
    report_bool(&r, "is_right", NULL, err == ERR_NONE);
    report_bool(&r, "has_md5", NULL, t.has_md5);
    report_number(&r, "ota_slots", NULL, partition_ota_count(&t));
    report_partitions(&r, &t);
    if (err != ERR_NONE) {
        report_text(&r, "reason", NULL, "%s", why_text(why, err));
        report_verdict(&r, STYLE_RED, "%s", why_text(why, err));
    } else if (!t.has_md5)
        report_verdict(&r, STYLE_YELLOW, "no MD5 record, as tables of old tools: firmware that wants one refuses it");
    report_end(&r);
    warn(&t);
    return err;
}

enum err command_partition_make(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FILE", "The binary table to write (- is standard output)"},
        {"no-md5", 0, NULL, "Leave out the MD5 record, for bootloaders of old"},
        TABLE_ROWS,
        {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "FILE", "Make a binary partition table of 3072 bytes from CSV.", 1,
                                             1};
    struct options o;
    struct partition_options p;
    struct partition_table t;
    struct report r;
    uint8_t raw[PARTITION_TABLE_BYTES];
    options_parse(&o, argc, argv, &line);
    const char *output = option(&o, "output");
    if (output == NULL)
        return why_set(why, ERR_USAGE, "give --output");
    enum err err = open_table(&o, &t, &p, why);
    if (err != ERR_NONE)
        return err;
    t.has_md5 = option(&o, "no-md5") == NULL;
    partition_table_write(&t, raw);
    err = write_output(output, bytes_of(raw, sizeof raw), 0644, why);
    if (err != ERR_NONE)
        return err;
    warn(&t);
    report_begin(&r, REPORT_OBJECT, o.is_json);
    report_written(&r, output, sizeof raw);
    if (strcmp(output, "-") != 0)
        report_partitions(&r, &t);
    report_end(&r);
    return ERR_NONE;
}

enum err command_partition_csv(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FILE", "The CSV to write (default: standard output)"}, TABLE_ROWS, {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "FILE", "Print a partition table, binary or CSV, as CSV.", 1, 1};
    struct options o;
    struct partition_options p;
    struct partition_table t;
    struct text text;
    char csv[PARTITION_CSV_SIZE];
    options_parse(&o, argc, argv, &line);
    enum err err = open_table(&o, &t, &p, why);
    if (err != ERR_NONE)
        return err;
    text_init(&text, csv, sizeof csv);
    partition_table_write_csv(&t, &text);
    return report_whole_text(&o, "csv", option(&o, "output"), bytes_of(csv, text.len), 0644, why);
}
