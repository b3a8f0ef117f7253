/* pluvio flash: whole flash dumps, taken apart and put together. */
#include "pluvio/commands.h"

#include "base/text.h"
#include "boot/dump.h"
#include "pluvio/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define JOIN_MAX  (ARGUMENTS_MAX / 2)
#define ARGS_FILE "flash_args"
#define FLASH_MAX (128 * 1024 * 1024) /* no chip has more; a table that says so is not booted */

static const char *const kinds[] = {"bootloader", "partition table", "partition", "between partitions"};

struct dump_file {
    struct buf file;
    struct dump dump;
};

static enum err open_dump(const struct options *o, struct dump_file *f, struct why *why)
{
    const char *table = option(o, "table-offset"), *base = option(o, "base");
    struct dump_place place = {.has_base = base != NULL, .has_table = table != NULL};
    int64_t number;
    enum err err = ERR_NONE;
    if (base != NULL && (err = take_number("--base", base, 0, UINT32_MAX, &number, why)) == ERR_NONE)
        place.base = (uint32_t)number;
    if (err == ERR_NONE && table != NULL &&
        (err = take_number("--table-offset", table, place.base, UINT32_MAX, &number, why)) == ERR_NONE)
        place.table_at = (uint32_t)number;
    if (err == ERR_NONE)
        err = read_file(o->arguments[0], &f->file, why);
    if (err == ERR_NONE && (err = dump_open(&f->dump, buf_bytes(&f->file), &place, why)) != ERR_NONE)
        err = why_add(why, err, "%s", o->arguments[0]);
    return err;
}

/* What an image in a piece is, in a few words. */
static void image_words(const struct dump *d, const struct dump_piece *p, struct report *r, char *to, size_t size)
{
    struct image_facts f;
    struct why why = {{0}};
    enum err err = dump_image(d, p, &f, &why);
    to[0] = '\0';
    if (err == ERR_NOT_FOUND)
        return;
    report_bool(r, "is_whole", NULL, err == ERR_NONE);
    if (err != ERR_NONE) {
        report_text(r, "reason", NULL, "%s", why.text);
        snprintf(to, size, "BROKEN: %s", why.text);
        return;
    }
    report_text(r, "chip", NULL, "%s", f.chip->name);
    report_number(r, "image_size", NULL, (int64_t)f.image_len);
    if (f.has_app_desc) {
        report_text(r, "project_name", NULL, "%s", f.app.project_name);
        report_text(r, "version", NULL, "%s", f.app.version);
        snprintf(to, size, "%s %s, %s", f.app.project_name, f.app.version, f.chip->name);
    } else
        snprintf(to, size, "%s %s", f.chip->name, image_kind_text(f.kind));
}

static void tell_pieces(struct report *r, const struct dump *d)
{
    report_line(r, "  %s%-20s %10s %9s %9s  %s%s", style(STYLE_BOLD), "WHAT", "OFFSET", "SIZE", "USED", "HOLDS",
                style(STYLE_NONE));
    report_list(r, "pieces");
    for (unsigned i = 0; i < d->count; i++) {
        const struct dump_piece *p = &d->pieces[i];
        char size[SIZE_TEXT_SIZE], used[SIZE_TEXT_SIZE], words[400], type[16], subtype[16];
        report_item(r, NULL);
        report_text(r, "name", NULL, "%s", p->name);
        report_text(r, "kind", NULL, "%s", kinds[p->kind]);
        report_number(r, "offset", NULL, p->at);
        report_number(r, "size", NULL, p->size_bytes);
        report_number(r, "used", NULL, p->len);
        if (p->partition != NULL) {
            report_text(r, "label", NULL, "%s", p->partition->label);
            report_text(r, "type", NULL, "%s", partition_type_text(p->partition, type));
            report_text(r, "subtype", NULL, "%s", partition_subtype_text(p->partition, subtype));
        }
        image_words(d, p, r, words, sizeof words);
        report_end_item(r);
        if (p->kind != DUMP_GAP || p->len > 0)
            report_line(r, "  %-20s 0x%08" PRIx32 " %9s %9s  %s", p->name, p->at, size_text(size, p->size_bytes),
                        p->len ? size_text(used, p->len) : "erased", plain_text(words, sizeof words, words));
    }
    report_end_list(r);
}

void report_dump(struct report *r, const char *path)
{
    struct buf file = {0};
    struct dump *d = malloc(sizeof *d);
    if (d != NULL && read_file(path, &file, NULL) == ERR_NONE && dump_open(d, buf_bytes(&file), NULL, NULL) == ERR_NONE)
        tell_pieces(r, d);
    buf_deinit(&file);
    free(d);
}

/* --- what would boot -------------------------------------------------------------------------- */

struct dump_boot {
    struct boot_port port;
    const struct dump *dump;
};

static bool is_bootable(struct boot_port *port, const struct partition *slot)
{
    const struct dump *d = ((struct dump_boot *)port)->dump;
    struct image_facts facts;
    for (unsigned i = 0; i < d->count; i++)
        if (d->pieces[i].partition == slot)
            return dump_image(d, &d->pieces[i], &facts, NULL) == ERR_NONE;
    return false;
}

/* On a copy: nothing of what the bootloader writes goes to the dump. */
static void tell_boot(struct report *r, const struct dump *d)
{
    struct flash_ram ram;
    struct dump_boot boot = {{is_bootable}, d};
    struct boot_choice choice;
    struct why why = {{0}};
    uint64_t end = 0;
    for (unsigned i = 0; i < d->count; i++)
        if (end < (uint64_t)d->pieces[i].at + d->pieces[i].size_bytes)
            end = (uint64_t)d->pieces[i].at + d->pieces[i].size_bytes;
    uint8_t *copy = end <= FLASH_MAX && d->base < end ? malloc(end) : NULL;
    if (copy == NULL)
        return;
    memset(copy, 0xff, end);
    memcpy(copy + d->base, d->bytes.at, d->bytes.len < end - d->base ? d->bytes.len : end - d->base);
    flash_ram_init(&ram, copy, (uint32_t)end);
    struct bootloader loader = {&ram.flash, &d->table, &boot.port, OTADATA_CHIP, true, NULL, false};
    enum err err = boot_select(&loader, &choice, &why);
    report_text(r, "boots", NULL, "%s", err ? "" : choice.slot->label);
    if (err != ERR_NONE)
        report_verdict(r, STYLE_RED, "boots nothing: %s", why.text);
    else if (choice.index != choice.wanted)
        report_verdict(r, STYLE_YELLOW, "boots %s, because what otadata selects does not verify", choice.slot->label);
    else
        report_verdict(r, STYLE_GREEN, "boots %s%s", choice.slot->label,
                       choice.has_rolled_back ? ", after a rollback" : "");
    free(copy);
}

#define PLACE_ROWS                                                                                                     \
    {"table-offset", 0, "ADDRESS", "Where the partition table lies (default: it is looked for)"},                      \
    {                                                                                                                  \
        "base", 0, "ADDRESS", "Flash address of the file's first byte (default: 0, or the bootloader's)"               \
    }

enum err command_flash_show(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {PLACE_ROWS, {NULL, 0, NULL, NULL}};
    static const struct command_line line = {
        rows, "FILE", "Show what a flash dump or a merged image holds, and what would boot.", 1, 1};
    struct options o;
    struct dump_file *f = calloc(1, sizeof *f);
    struct report r;
    options_parse(&o, argc, argv, &line);
    enum err err = f ? open_dump(&o, f, why) : why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE) {
        report_begin(&r, REPORT_OBJECT, o.is_json);
        report_number(&r, "base", NULL, f->dump.base);
        report_number(&r, "table_offset", NULL, f->dump.table_at);
        report_size(&r, "size", "dump", f->file.len);
        tell_pieces(&r, &f->dump);
        tell_boot(&r, &f->dump);
        report_end(&r);
    }
    if (f != NULL)
        buf_deinit(&f->file);
    free(f);
    return err;
}

/* --- split ------------------------------------------------------------------------------------ */

static enum err write_pieces(const struct dump *d, const char *folder, struct report *r, struct why *why)
{
    struct buf args = {0};
    char path[4096];
    enum err err = ERR_NONE;
    report_list(r, "files");
    for (unsigned i = 0; err == ERR_NONE && i < d->count; i++) {
        const struct dump_piece *p = &d->pieces[i];
        if (p->len == 0)
            continue;
        /* Two labels may become one file name. */
        bool is_taken = false;
        for (unsigned k = 0; k < i; k++)
            is_taken |= strcmp(d->pieces[k].name, p->name) == 0;
        char name[48];
        snprintf(name, sizeof name, is_taken ? "%s-0x%" PRIx32 ".bin" : "%s.bin", p->name, p->at);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        err = write_file(path, dump_bytes(d, p), 0600, why);
        buf_addf(&args, "0x%" PRIx32 " %s\n", p->at, name);
        report_item(r, NULL);
        report_text(r, "file", NULL, "%s", path);
        report_number(r, "offset", NULL, p->at);
        report_number(r, "bytes", NULL, p->len);
        report_end_item(r);
        char unit[SIZE_TEXT_SIZE];
        report_line(r, "  0x%08" PRIx32 "  %9s  %s", p->at, size_text(unit, p->len), path);
    }
    report_end_list(r);
    snprintf(path, sizeof path, "%s/" ARGS_FILE, folder);
    if (err == ERR_NONE)
        err = write_file(path, bytes_of(args.at ? args.at : "", args.len), 0644, why);
    buf_deinit(&args);
    return err;
}

enum err command_flash_split(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FOLDER", "Where the pieces go; made when it is not there"}, PLACE_ROWS, {NULL, 0, NULL, NULL}};
    static const struct command_line line = {
        rows, "FILE",
        "Take a flash dump apart: bootloader, partition table, partitions, each in a file, and flash_args with their "
        "offsets, from which `pluvio flash join` makes the dump again.",
        1, 1};
    struct options o;
    struct dump_file *f = calloc(1, sizeof *f);
    struct report r;
    options_parse(&o, argc, argv, &line);
    const char *folder = option(&o, "output");
    enum err err = f == NULL        ? why_set(why, ERR_NO_MEMORY, "no memory")
                   : folder == NULL ? why_set(why, ERR_USAGE, "give --output")
                                    : open_dump(&o, f, why);
    if (err == ERR_NONE && mkdir(folder, 0777) != 0 && errno != EEXIST)
        err = why_set(why, ERR_IO, "make the folder %s: %s", folder, strerror(errno));
    if (err == ERR_NONE) {
        report_begin(&r, REPORT_OBJECT, o.is_json);
        err = write_pieces(&f->dump, folder, &r, why);
        report_text(&r, "flash_args", NULL, "%s/" ARGS_FILE, folder);
        report_end(&r);
    }
    if (f != NULL)
        buf_deinit(&f->file);
    free(f);
    return err;
}

/* --- join ------------------------------------------------------------------------------------- */

struct part {
    char path[1024];
    int64_t at;
    struct buf file;
};

struct join {
    struct part parts[JOIN_MAX];
    unsigned count;
};

static enum err add_part(struct join *j, const char *at, const char *folder, size_t folder_len, const char *path,
                         struct why *why)
{
    if (j->count == JOIN_MAX)
        return why_set(why, ERR_TOO_BIG, "more than %d pieces", JOIN_MAX);
    struct part *p = &j->parts[j->count];
    enum err err = take_number("an offset", at, 0, UINT32_MAX, &p->at, why);
    if (err != ERR_NONE)
        return err;
    bool is_relative = path[0] != '/' && folder_len > 0;
    if (snprintf(p->path, sizeof p->path, "%.*s%s", is_relative ? (int)folder_len : 0, folder, path) >=
        (int)sizeof p->path)
        return why_set(why, ERR_USAGE, "the path %s is too long", path);
    j->count++;
    return read_file(p->path, &p->file, why);
}

/* Lines "0x1000 bootloader.bin", as ESP-IDF's flash_args; lines that begin with -- are esptool's options. */
static enum err add_args_file(struct join *j, const char *path, struct why *why)
{
    struct buf file = {0};
    const char *slash = strrchr(path, '/');
    enum err err = read_file(path, &file, why);
    for (char *save, *line = err || file.len == 0 ? NULL : strtok_r(file.at, "\n", &save); err == ERR_NONE && line;
         line = strtok_r(NULL, "\n", &save)) {
        char at[32], name[900];
        if (line[0] == '-' || strspn(line, " \t\r") == strlen(line))
            continue;
        if (sscanf(line, "%31s %899s", at, name) != 2)
            err = why_set(why, ERR_FORMAT, "%s: a line is an offset and a file, not \"%s\"", path, line);
        else
            err = add_part(j, at, path, slash ? (size_t)(slash - path) + 1 : 0, name, why);
    }
    buf_deinit(&file);
    return err;
}

static enum err check_overlap(const struct join *j, struct why *why)
{
    for (unsigned i = 0; i < j->count; i++)
        for (unsigned k = 0; k < i; k++) {
            const struct part *a = &j->parts[i], *b = &j->parts[k];
            if (a->at < b->at + (int64_t)b->file.len && b->at < a->at + (int64_t)a->file.len)
                return why_set(why, ERR_USAGE, "%s and %s overlap", b->path, a->path);
        }
    return ERR_NONE;
}

static enum err join_parts(const struct join *j, int64_t base, int64_t size, struct buf *to, struct why *why)
{
    int64_t end = base;
    for (unsigned i = 0; i < j->count; i++) {
        const struct part *p = &j->parts[i];
        if (p->at < base)
            return why_set(why, ERR_USAGE, "%s lies below 0x%" PRIx64, p->path, (uint64_t)base);
        if (p->at + (int64_t)p->file.len > end)
            end = p->at + (int64_t)p->file.len;
    }
    if (size > 0 && end - base > size)
        return why_set(why, ERR_TOO_BIG, "the pieces end at 0x%" PRIx64 ", past the size", (uint64_t)end);
    size_t len = (size_t)(size > 0 ? size : end - base);
    if (!buf_reserve(to, len + 1))
        return why_set(why, ERR_NO_MEMORY, "no memory for %zu bytes", len);
    memset(to->at, 0xff, len);
    to->len = len;
    for (unsigned i = 0; i < j->count; i++)
        if (j->parts[i].file.len > 0)
            memcpy(to->at + (j->parts[i].at - base), j->parts[i].file.at, j->parts[i].file.len);
    return ERR_NONE;
}

static enum err take_parts(const struct options *o, struct join *j, struct why *why)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < o->count; i++) {
        if (o->arguments[i][0] == '@')
            err = add_args_file(j, o->arguments[i] + 1, why);
        else if (i + 1 < o->count) {
            err = add_part(j, o->arguments[i], "", 0, o->arguments[i + 1], why);
            i++;
        } else
            err = why_set(why, ERR_USAGE, "%s: pieces are given as OFFSET FILE", o->arguments[i]);
    }
    return err;
}

enum err command_flash_join(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FILE", "The dump to write (- is standard output)"},
        {"size", 's', "BYTES", "Fill up to this size, such as 4M (default: to the end of the last piece)"},
        {"base", 0, "ADDRESS", "Flash address of the dump's first byte (default: 0)"},
        {NULL, 0, NULL, NULL}};
    static const struct command_line line = {
        rows, "OFFSET FILE... | @flash_args",
        "Put pieces together into a flash dump; what lies between them is erased flash.", 1, ARGUMENTS_MAX};
    struct options o;
    struct join *j = calloc(1, sizeof *j);
    struct buf dump = {0};
    struct report r;
    int64_t size = 0, base = 0;
    options_parse(&o, argc, argv, &line);
    const char *output = option(&o, "output");
    enum err err = j == NULL        ? why_set(why, ERR_NO_MEMORY, "no memory")
                   : output == NULL ? why_set(why, ERR_USAGE, "give --output")
                                    : ERR_NONE;
    if (err == ERR_NONE && option(&o, "size") != NULL)
        err = take_number("--size", option(&o, "size"), 1, UINT32_MAX, &size, why);
    if (err == ERR_NONE && option(&o, "base") != NULL)
        err = take_number("--base", option(&o, "base"), 0, UINT32_MAX, &base, why);
    if (err == ERR_NONE)
        err = take_parts(&o, j, why);
    if (err == ERR_NONE)
        err = check_overlap(j, why);
    if (err == ERR_NONE)
        err = join_parts(j, base, size, &dump, why);
    if (err == ERR_NONE)
        err = write_output(output, buf_bytes(&dump), 0600, why);
    if (err == ERR_NONE) {
        report_begin(&r, REPORT_OBJECT, o.is_json);
        report_written(&r, output, dump.len);
        report_end(&r);
    }
    for (unsigned i = 0; j != NULL && i < j->count; i++)
        buf_deinit(&j->parts[i].file);
    free(j);
    buf_deinit(&dump);
    return err;
}
