/* The command new: a node's flash file, and what lies beside it. */
#include "vesp/vesp.h"

#include "crypto/key.h"
#include "image/signature.h"

#include <argp.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLASH_SIZE_DEFAULT "8M"
#define PUTS_MAX           16

#define SLOTS_AT    0x20000
#define FCTRY_BYTES 0x10000 /* at the end, with what aligns it */

/* The table of RainMaker's ordinary applications, with a factory slot: three slots share what there is. */
static void add_default_table(struct buf *to, uint32_t flash_size)
{
    uint32_t room = flash_size > SLOTS_AT + FCTRY_BYTES ? flash_size - SLOTS_AT - FCTRY_BYTES : 0;
    uint32_t slot = room / 3 & ~(uint32_t)0xffff;
    buf_addf(to,
             "nvs,      data, nvs,     0x9000,  0x6000\n"
             "otadata,  data, ota,     0xf000,  0x2000\n"
             "phy_init, data, phy,     0x11000, 0x1000\n"
             "factory,  app,  factory, 0x%x, 0x%x\n"
             "ota_0,    app,  ota_0,   0x%x, 0x%x\n"
             "ota_1,    app,  ota_1,   0x%x, 0x%x\n"
             "fctry,    data, nvs,     0x%x, 0x6000\n",
             SLOTS_AT, slot, SLOTS_AT + slot, slot, SLOTS_AT + 2 * slot, slot, flash_size - FCTRY_BYTES);
}

struct new_options {
    const char *path, *partitions, *app, *fctry, *bundle, *size, *secure_version;
    const char *puts[PUTS_MAX], *keys[SIGNATURE_BLOCKS_MAX];
    unsigned put_count, key_count;
    struct node_settings settings;
    bool is_forced;
};

enum { OPT_NO_ROLLBACK = 1000, OPT_ANTI_ROLLBACK, OPT_CHIP_LOADER, OPT_TRUST, OPT_SECURE_VERSION };

static const struct argp_option new_options[] = {
    {"app", 'a', "FILE", 0,
     "The first application, an image packed by `pluvio image pack`; goes into factory, or ota_0 without one", 0},
    {"fctry", 'f', "FILE", 0, "The factory partition with the node's credentials (`pluvio node add`)", 0},
    {"put", 'P', "LABEL=FILE", 0, "Any partition's content; may be given several times", 0},
    {"partitions", 'p', "FILE", 0,
     "Partition table, CSV or binary (default: factory, two OTA slots, fctry, as large as fits)", 0},
    {"size", 's', "SIZE", 0, "Size of the flash, with K or M (default: " FLASH_SIZE_DEFAULT ")", 0},
    {"chip", 'C', "NAME", 0, "The chip whose rules choose what boots: esp32, esp32c3, ... (default: linux)", 0},
    {"ca-bundle", 'c', "FILE", 0,
     "Authorities (PEM) that the node trusts in place of the certificate bundle; copied to FLASH.ca.pem", 0},
    {"trust", OPT_TRUST, "KEY.pem", 0, "Secure boot: images must be signed by this key; up to three", 0},
    {"anti-rollback", OPT_ANTI_ROLLBACK, NULL, 0, "The bootloader refuses images below the eFuse's secure version", 0},
    {"secure-version", OPT_SECURE_VERSION, "N", 0, "What the eFuse says at first (with --anti-rollback)", 0},
    {"no-rollback", OPT_NO_ROLLBACK, NULL, 0, "A bootloader without CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE", 0},
    {"chip-bootloader", OPT_CHIP_LOADER, NULL, 0,
     "Read and write otadata exactly as ESP-IDF's bootloader does, without seals", 0},
    {"force", 'F', NULL, 0, "Replace an existing file", 0},
    {0},
};

static error_t take_switch(int key, struct new_options *o)
{
    switch (key) {
    case OPT_NO_ROLLBACK:
        o->settings.has_rollback = false;
        return 0;
    case OPT_ANTI_ROLLBACK:
        o->settings.has_anti_rollback = true;
        return 0;
    case OPT_CHIP_LOADER:
        o->settings.is_chip_loader = true;
        return 0;
    case 'F':
        o->is_forced = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t take_new(int key, char *arg, struct argp_state *state)
{
    struct new_options *o = state->input;
    const char **text = key == 'a'                  ? &o->app
                        : key == 'f'                ? &o->fctry
                        : key == 'p'                ? &o->partitions
                        : key == 's'                ? &o->size
                        : key == 'c'                ? &o->bundle
                        : key == OPT_SECURE_VERSION ? &o->secure_version
                        : key == ARGP_KEY_ARG       ? &o->path
                                                    : NULL;
    if (key == ARGP_KEY_ARG && o->path != NULL)
        argp_usage(state);
    if (text != NULL) {
        *text = arg;
        return 0;
    }
    if (key == 'P' || key == OPT_TRUST) {
        unsigned most = key == 'P' ? PUTS_MAX : SIGNATURE_BLOCKS_MAX,
                 *count = key == 'P' ? &o->put_count : &o->key_count;
        if (*count == most)
            argp_error(state, "at most %u of those", most);
        (key == 'P' ? o->puts : o->keys)[(*count)++] = arg;
        return 0;
    }
    if (key == 'C' && (o->settings.chip = chip_find_name(arg)) == NULL)
        argp_error(state, "there is no chip %s", arg);
    if (key == ARGP_KEY_END && o->path == NULL)
        argp_error(state, "name the flash file to make");
    if (key == ARGP_KEY_END && o->secure_version != NULL && !o->settings.has_anti_rollback)
        argp_error(state, "--secure-version needs --anti-rollback");
    return key == 'C' || key == ARGP_KEY_END ? 0 : take_switch(key, o);
}

static enum err read_table(const struct new_options *o, struct partition_table *table, uint32_t flash_size,
                           struct why *why)
{
    struct buf file = {0};
    enum err err = ERR_NONE;
    if (o->partitions == NULL)
        add_default_table(&file, flash_size);
    else
        err = file_read(o->partitions, &file, why);
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
    enum err err = file_read(path, &file, why);
    if (err == ERR_NONE && file.len > p->size_bytes)
        err = why_set(why, ERR_TOO_BIG, "%s has %zu bytes, %s holds %u", path, file.len, p->label, p->size_bytes);
    if (err == ERR_NONE)
        err = stretch_program(partition_stretch(flash, p), 0, buf_bytes(&file), why);
    buf_deinit(&file);
    return err;
}

static enum err put_pairs(struct flash *flash, const struct partition_table *table, const struct new_options *o,
                          struct why *why)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < o->put_count; i++) {
        char label[PARTITION_LABEL_LEN + 1];
        const char *equals = strchr(o->puts[i], '=');
        if (equals == NULL || equals - o->puts[i] > PARTITION_LABEL_LEN)
            return why_set(why, ERR_USAGE, "--put %s: LABEL=FILE is expected", o->puts[i]);
        snprintf(label, sizeof label, "%.*s", (int)(equals - o->puts[i]), o->puts[i]);
        err = put_file(flash, partition_find_label(table, label), equals + 1, label, why);
    }
    return err;
}

/* An application that the bootloader would refuse is refused here. */
static enum err check_app(struct flash *flash, const struct partition *slot, const struct new_options *o,
                          struct why *why)
{
    struct image_facts facts;
    struct node n = {.settings = o->settings};
    struct slot_rules rules;
    if (o->app == NULL)
        return ERR_NONE;
    node_slot_rules(&n, &rules, NULL);
    enum err err = slot_verify(partition_stretch(flash, slot), &rules, &facts, why);
    return err ? why_add(why, err, "%s would not boot on this node", o->app) : ERR_NONE;
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
        (err = check_app(flash, slot, o, why)) != ERR_NONE ||
        (err = put_file(flash, partition_find_label(&table, "fctry"), o->fctry, "fctry", why)) != ERR_NONE)
        return err;
    return put_pairs(flash, &table, o, why);
}

static enum err take_keys(struct new_options *o, struct why *why)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < o->key_count; i++) {
        struct buf pem = {0};
        struct public_key key;
        err = file_read(o->keys[i], &pem, why);
        if (err == ERR_NONE)
            err = public_key_read_pem(&key, buf_bytes(&pem), why);
        if (err == ERR_NONE)
            err = signature_key_digest(&key, o->settings.trusted[i].bytes, why);
        if (err != ERR_NONE)
            why_add(why, err, "%s", o->keys[i]);
        o->settings.trusted_count = i + 1;
        buf_deinit(&pem);
    }
    return err;
}

/* What stands beside the flash: settings, authorities, eFuse. */
static enum err write_beside(const struct new_options *o, struct why *why)
{
    char path[4096];
    struct buf file = {0};
    enum err err = node_settings_write(&o->settings, o->path, why);
    node_path(o->path, ".efuse", path, sizeof path);
    unlink(path);
    if (err == ERR_NONE && o->bundle != NULL) {
        node_path(o->path, ".ca.pem", path, sizeof path);
        err = file_read(o->bundle, &file, why);
        if (err == ERR_NONE)
            err = file_write(path, buf_bytes(&file), O_TRUNC, why);
        buf_deinit(&file);
    }
    if (err != ERR_NONE || o->secure_version == NULL)
        return err;
    struct node n;
    err = node_open(&n, o->path, why);
    if (err != ERR_NONE)
        return err;
    uint32_t version = (uint32_t)strtoul(o->secure_version, NULL, 0);
    err = efuse_raise(&n.efuse, version, why);
    node_close(&n);
    return err;
}

enum err command_new(int argc, char **argv, struct why *why)
{
    static const struct argp argp = {new_options, take_new, "FLASH", "Make a node's flash file.", NULL, NULL, NULL};
    struct new_options o = {.size = FLASH_SIZE_DEFAULT};
    struct flash_ram ram;
    uint32_t size = 0;
    node_settings_default(&o.settings);
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    enum err err = size_parse(o.size, &size, why);
    if (err == ERR_NONE && (size == 0 || size % FLASH_SECTOR_BYTES != 0))
        err = why_set(why, ERR_USAGE, "--size=%s is no multiple of 4K", o.size);
    if (err == ERR_NONE)
        err = take_keys(&o, why);
    uint8_t *bytes = err == ERR_NONE ? malloc(size) : NULL;
    if (err == ERR_NONE && bytes == NULL)
        err = why_set(why, ERR_NO_MEMORY, "no memory for %u bytes of flash", size);
    if (err == ERR_NONE) {
        memset(bytes, 0xff, size);
        flash_ram_init(&ram, bytes, size);
        err = fill(&ram.flash, &o, why);
    }
    if (err == ERR_NONE)
        err = file_write(o.path, bytes_of(bytes, size), o.is_forced ? O_TRUNC : O_EXCL, why);
    if (err == ERR_NONE)
        err = write_beside(&o, why);
    free(bytes);
    return err;
}
