/* The commands about the flash file itself: new, show. */
#include "vesp/vesp.h"

#include "base/buf.h"
#include "base/text.h"
#include "boot/boot.h"
#include "boot/slot.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FLASH_SIZE_DEFAULT "8M"
#define FILE_MAX           (64 * 1024 * 1024)

/* The table of RainMaker's ordinary applications, for 8 MB, with a factory slot. */
static const char default_table[] = "nvs,      data, nvs,     0x9000,   0x6000\n"
                                    "otadata,  data, ota,     0xf000,   0x2000\n"
                                    "phy_init, data, phy,     0x11000,  0x1000\n"
                                    "factory,  app,  factory, 0x20000,  0x240000\n"
                                    "ota_0,    app,  ota_0,   0x260000, 0x240000\n"
                                    "ota_1,    app,  ota_1,   0x4a0000, 0x240000\n"
                                    "fctry,    data, nvs,     0x7f0000, 0x6000\n";

void bundle_path(const char *flash_path, char *to, size_t size)
{
    snprintf(to, size, "%s.ca.pem", flash_path);
}

enum err node_flash_open(struct node_flash *n, const char *path, bool is_slow, struct why *why)
{
    uint8_t raw[PARTITION_TABLE_BYTES];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return why_set(why, ERR_IO, "open %s: %s", path, strerror(errno));
    enum err err =
        flock(fd, LOCK_EX | LOCK_NB) == 0 ? ERR_NONE : why_set(why, ERR_BUSY, "%s is in use by another vesp", path);
    if (err == ERR_NONE)
        err = flash_file_init(&n->file, fd, is_slow, why);
    if (err == ERR_NONE)
        err = n->file.flash.ops->read(&n->file.flash, PARTITION_TABLE_AT, raw, sizeof raw, why);
    if (err == ERR_NONE)
        err = partition_table_read(&n->table, bytes_of(raw, sizeof raw), n->file.flash.size_bytes, why);
    if (err == ERR_NONE)
        return ERR_NONE;
    close(fd);
    return err == ERR_BUSY ? err : why_add(why, err, "%s", path);
}

void node_flash_close(struct node_flash *n)
{
    close(n->file.fd);
}

static enum err read_file(const char *path, struct buf *to, struct why *why)
{
    char chunk[65536];
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && to->len < FILE_MAX && (n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(to, chunk, (size_t)n);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    return n == 0 && !to->is_failed
               ? ERR_NONE
               : why_set(why, ERR_IO, "read %s: %s", path, fd < 0 || n < 0 ? strerror(saved) : "too big");
}

/* --- new -------------------------------------------------------------------------------------- */

struct new_options {
    const char *path, *partitions, *app, *fctry, *bundle, *size;
    bool is_forced;
};

static const struct argp_option new_options[] = {
    {"app", 'a', "FILE", 0,
     "The first application, an image packed by `pluvio image pack`; goes into factory, or ota_0 without one", 0},
    {"fctry", 'f', "FILE", 0, "The factory partition with the node's credentials (`pluvio node add`)", 0},
    {"partitions", 'p', "FILE", 0, "Partition table, CSV or binary (default: factory, two OTA slots, fctry, for 8 MB)",
     0},
    {"size", 's', "SIZE", 0, "Size of the flash, with K or M (default: " FLASH_SIZE_DEFAULT ")", 0},
    {"ca-bundle", 'c', "FILE", 0,
     "Authorities (PEM) that the node trusts in place of the certificate bundle; copied to FLASH.ca.pem", 0},
    {"force", 'F', NULL, 0, "Replace an existing file", 0},
    {0},
};

static error_t take_new(int key, char *arg, struct argp_state *state)
{
    struct new_options *o = state->input;
    switch (key) {
    case 'a':
        o->app = arg;
        return 0;
    case 'f':
        o->fctry = arg;
        return 0;
    case 'p':
        o->partitions = arg;
        return 0;
    case 's':
        o->size = arg;
        return 0;
    case 'c':
        o->bundle = arg;
        return 0;
    case 'F':
        o->is_forced = true;
        return 0;
    case ARGP_KEY_ARG:
        if (o->path != NULL)
            argp_usage(state);
        o->path = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->path == NULL)
            argp_error(state, "name the flash file to make");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static enum err read_table(const struct new_options *o, struct partition_table *table, uint32_t flash_size,
                           struct why *why)
{
    struct buf file = {0};
    enum err err = ERR_NONE;
    if (o->partitions == NULL)
        buf_add_text(&file, default_table);
    else
        err = read_file(o->partitions, &file, why);
    bool is_binary = file.len > 1 && (uint8_t)file.at[0] == 0xaa && file.at[1] == 0x50;
    if (err == ERR_NONE)
        err = is_binary ? partition_table_read(table, buf_bytes(&file), flash_size, why)
                        : partition_table_read_csv(table, buf_bytes(&file), NULL, why);
    buf_deinit(&file);
    for (unsigned i = 0; err == ERR_NONE && i < table->count; i++)
        if (table->entries[i].at + table->entries[i].size_bytes > flash_size)
            err = why_set(why, ERR_FORMAT, "partition %s ends at 0x%x, past the flash of 0x%x bytes",
                          table->entries[i].label, table->entries[i].at + table->entries[i].size_bytes, flash_size);
    return err;
}

static enum err put_file(struct flash *flash, const struct partition *p, const char *path, const char *what,
                         struct why *why)
{
    struct buf file = {0};
    if (path == NULL)
        return ERR_NONE;
    if (p == NULL)
        return why_set(why, ERR_FORMAT, "the partition table has no place for %s", what);
    enum err err = read_file(path, &file, why);
    if (err == ERR_NONE && file.len > p->size_bytes)
        err = why_set(why, ERR_TOO_BIG, "%s has %zu bytes, %s holds %u", path, file.len, p->label, p->size_bytes);
    if (err == ERR_NONE)
        err = stretch_program(partition_stretch(flash, p), 0, buf_bytes(&file), why);
    buf_deinit(&file);
    return err;
}

static enum err check_app(struct flash *flash, const struct partition *slot, const struct new_options *o,
                          struct why *why)
{
    struct image_facts facts;
    if (o->app == NULL)
        return ERR_NONE;
    enum err err = slot_verify(partition_stretch(flash, slot), CHIP_LINUX, &facts, why);
    return err ? why_add(why, err, "%s cannot run in vesp", o->app) : ERR_NONE;
}

static enum err fill(struct flash *flash, const struct new_options *o, struct why *why)
{
    struct partition_table table;
    uint8_t raw[PARTITION_TABLE_BYTES];
    enum err err = read_table(o, &table, flash->size_bytes, why);
    if (err != ERR_NONE)
        return err;
    const struct partition *slot = partition_find(&table, PARTITION_APP, PARTITION_APP_FACTORY, NULL);
    if (slot == NULL)
        slot = partition_find(&table, PARTITION_APP, PARTITION_APP_OTA_0, NULL);
    partition_table_write(&table, raw);
    if ((err = flash->ops->program(flash, PARTITION_TABLE_AT, bytes_of(raw, sizeof raw), why)) != ERR_NONE ||
        (err = put_file(flash, slot, o->app, "an application", why)) != ERR_NONE ||
        (err = check_app(flash, slot, o, why)) != ERR_NONE)
        return err;
    return put_file(flash, partition_find_label(&table, "fctry"), o->fctry, "fctry", why);
}

static enum err parse_size(const char *text, uint32_t *to, struct why *why)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 0), unit = *end == 'M' || *end == 'm'   ? 1 << 20
                                                           : *end == 'K' || *end == 'k' ? 1 << 10
                                                                                        : 1;
    end += unit > 1;
    if (*end != '\0' || n == 0 || n * unit > 0x10000000 || n * unit % FLASH_SECTOR_BYTES != 0)
        return why_set(why, ERR_USAGE, "--size=%s is no multiple of 4K up to 256M", text);
    *to = (uint32_t)(n * unit);
    return ERR_NONE;
}

static enum err write_bytes(const char *path, struct bytes data, int flags, struct why *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    bool is_good = fd >= 0;
    for (size_t done = 0; is_good && done < data.len;) {
        ssize_t n = write(fd, data.at + done, data.len - done);
        is_good = n > 0;
        done += is_good ? (size_t)n : 0;
    }
    int saved = errno;
    if (fd >= 0)
        close(fd);
    return is_good ? ERR_NONE
                   : why_set(why, saved == EEXIST ? ERR_EXISTS : ERR_IO, "write %s: %s", path, strerror(saved));
}

static enum err copy_bundle(const struct new_options *o, struct why *why)
{
    char path[4096];
    struct buf file = {0};
    if (o->bundle == NULL)
        return ERR_NONE;
    bundle_path(o->path, path, sizeof path);
    enum err err = read_file(o->bundle, &file, why);
    if (err == ERR_NONE)
        err = write_bytes(path, buf_bytes(&file), O_TRUNC, why);
    buf_deinit(&file);
    return err;
}

/* The flash is made in memory and written at once: a failure leaves no half of a file. */
enum err command_new(int argc, char **argv, struct why *why)
{
    static const struct argp argp = {new_options, take_new, "FLASH", "Make a node's flash file.", NULL, NULL, NULL};
    struct new_options o = {.size = FLASH_SIZE_DEFAULT};
    struct flash_ram ram;
    uint32_t size = 0;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    enum err err = parse_size(o.size, &size, why);
    uint8_t *bytes = err == ERR_NONE ? malloc(size) : NULL;
    if (err == ERR_NONE && bytes == NULL)
        err = why_set(why, ERR_NO_MEMORY, "no memory for %u bytes of flash", size);
    if (err == ERR_NONE) {
        memset(bytes, 0xff, size);
        flash_ram_init(&ram, bytes, size);
        err = fill(&ram.flash, &o, why);
    }
    if (err == ERR_NONE)
        err = write_bytes(o.path, bytes_of(bytes, size), o.is_forced ? O_TRUNC : O_EXCL, why);
    if (err == ERR_NONE)
        err = copy_bundle(&o, why);
    free(bytes);
    return err;
}

/* --- show ------------------------------------------------------------------------------------- */

static error_t take_path(int key, char *arg, struct argp_state *state)
{
    const char **path = state->input;
    if (key == ARGP_KEY_ARG && *path == NULL) {
        *path = arg;
        return 0;
    }
    if (key == ARGP_KEY_END && *path == NULL)
        argp_error(state, "name the flash file");
    return key == ARGP_KEY_ARG || key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
}

static void show_image(struct node_flash *n, const struct partition *p)
{
    struct image_facts facts;
    struct why why = {{0}};
    enum err err = slot_verify(partition_stretch(&n->file.flash, p), CHIP_LINUX, &facts, &why);
    if (err == ERR_NONE)
        printf("  %s %s, %llu bytes", facts.app.project_name, facts.app.version, (unsigned long long)facts.image_len);
    else
        printf("  empty or not bootable: %s", why_text(&why, err));
}

static void show_otadata(struct node_flash *n)
{
    struct otadata o;
    if (otadata_open(&o, &n->file.flash, &n->table, NULL) != ERR_NONE)
        return;
    int active = otadata_active(&o);
    printf("\notadata\n");
    for (unsigned i = 0; i < 2; i++) {
        const struct ota_record *r = &o.records[i];
        if (r->seq == 0xffffffff)
            printf("  %u  blank\n", i);
        else
            printf("  %u  seq %u -> ota_%u, %s, CRC %s%s\n", i, r->seq, otadata_slot(&o, i), ota_state_text(r->state),
                   r->is_crc_good ? "good" : "wrong", (int)i == active ? "  (active)" : "");
    }
}

enum err command_show(int argc, char **argv, struct why *why)
{
    static const struct argp argp = {NULL, take_path, "FLASH", "Show what is in a flash file.", NULL, NULL, NULL};
    const char *path = NULL;
    struct node_flash n;
    argp_parse(&argp, argc, argv, 0, NULL, &path);
    enum err err = node_flash_open(&n, path, false, why);
    if (err != ERR_NONE)
        return err;
    printf("%-16s %-5s %-9s %10s %10s\n", "partition", "type", "subtype", "offset", "size");
    for (unsigned i = 0; i < n.table.count; i++) {
        const struct partition *p = &n.table.entries[i];
        char type[16], subtype[16];
        printf("%-16s %-5s %-9s %#10x %#10x", p->label, partition_type_text(p, type),
               partition_subtype_text(p, subtype), p->at, p->size_bytes);
        if (p->type == PARTITION_APP)
            show_image(&n, p);
        printf("\n");
    }
    show_otadata(&n);
    node_flash_close(&n);
    return ERR_NONE;
}
