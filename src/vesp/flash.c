/* The commands flash show, flash dump, flash load: a node's flash from outside. */
#include "vesp/vesp.h"

#include <argp.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flash_options {
    const char *path, *file, *label, *at;
    bool needs_file;
};

enum { OPT_PARTITION = 'P', OPT_AT = 'A' };

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct flash_options *o = state->input;
    switch (key) {
    case OPT_PARTITION:
        o->label = arg;
        return 0;
    case OPT_AT:
        o->at = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (o->path != NULL && (o->file != NULL || !o->needs_file))
            argp_usage(state);
        *(o->path == NULL ? &o->path : &o->file) = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->path == NULL || (o->needs_file && o->file == NULL))
            argp_error(state, o->needs_file ? "name the flash file and the other one" : "name the flash file");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* --- show ------------------------------------------------------------------------------------- */

static void show_image(struct node *n, const struct partition *p)
{
    struct image_facts facts;
    struct slot_rules rules;
    struct why why = {{0}};
    enum err err = node_slot_rules(n, &rules, &why);
    if (err == ERR_NONE)
        err = slot_verify(partition_stretch(&n->file.flash, p), &rules, &facts, &why);
    if (err == ERR_NONE)
        printf("  %s %s, %llu bytes", facts.app.project_name, facts.app.version, (unsigned long long)facts.image_len);
    else
        printf("  empty or not bootable: %s", why_text(&why, err));
}

static const char *seal_text(const struct ota_record *r)
{
    return r->seal == OTA_SEAL_RIGHT ? ", sealed" : r->seal == OTA_SEAL_BROKEN ? ", seal broken" : "";
}

static void show_otadata(struct node *n)
{
    struct otadata o;
    enum otadata_rules rules = n->settings.is_chip_loader ? OTADATA_CHIP : OTADATA_SEALED;
    if (otadata_open(&o, rules, &n->file.flash, &n->table, NULL) != ERR_NONE)
        return;
    int active = otadata_active(&o);
    printf("\notadata\n");
    for (unsigned i = 0; i < 2; i++) {
        const struct ota_record *r = &o.records[i];
        if (r->seq == 0xffffffff)
            printf("  %u  blank\n", i);
        else
            printf("  %u  seq %u -> ota_%u, %s, CRC %s%s%s\n", i, r->seq, otadata_slot(&o, i), ota_state_text(r->state),
                   r->is_crc_good ? "good" : "wrong", seal_text(r), (int)i == active ? "  (active)" : "");
    }
}

static void show_settings(struct node *n)
{
    uint32_t version = 0;
    const struct node_settings *s = &n->settings;
    if (n->efuse.flash.flash != NULL)
        efuse_secure_version(&n->efuse, &version, NULL);
    printf("%s, bootloader %s rollback%s%s", s->chip->name, s->has_rollback ? "with" : "without",
           s->is_chip_loader ? ", otadata by the chip's rules" : "",
           s->trusted_count > 0 ? ", images must be signed" : "");
    if (s->has_anti_rollback)
        printf(", secure version %" PRIu32 " or higher", version);
    printf("\n\n");
}

static enum err show(const struct flash_options *o, struct why *why)
{
    struct node n;
    enum err err = node_open(&n, o->path, why);
    if (err != ERR_NONE)
        return err;
    show_settings(&n);
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
    node_close(&n);
    return ERR_NONE;
}

enum err command_show(int argc, char **argv, struct why *why)
{
    static const struct argp argp = {NULL, take_option, "FLASH", "Show what is in a flash file.", NULL, NULL, NULL};
    struct flash_options o = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    return show(&o, why);
}

/* --- dump and load ---------------------------------------------------------------------------- */

static enum err find_stretch(struct node *n, const struct flash_options *o, struct stretch *s, struct why *why)
{
    uint32_t at = 0;
    *s = (struct stretch){&n->file.flash, 0, n->file.flash.size_bytes};
    if (o->label != NULL) {
        const struct partition *p = partition_find_label(&n->table, o->label);
        if (p == NULL)
            return why_set(why, ERR_NOT_FOUND, "%s has no partition %s", o->path, o->label);
        *s = partition_stretch(&n->file.flash, p);
        return ERR_NONE;
    }
    enum err err = o->at ? size_parse(o->at, &at, why) : ERR_NONE;
    if (err == ERR_NONE && at >= s->size_bytes)
        err = why_set(why, ERR_USAGE, "0x%x is past the end of the flash", at);
    s->at = at;
    s->size_bytes -= at;
    return err;
}

static enum err dump(struct node *n, const struct flash_options *o, struct why *why)
{
    struct stretch s;
    enum err err = find_stretch(n, o, &s, why);
    uint8_t *bytes = err == ERR_NONE ? malloc(s.size_bytes) : NULL;
    if (err == ERR_NONE && bytes == NULL)
        err = why_set(why, ERR_NO_MEMORY, "no memory for %u bytes", s.size_bytes);
    if (err == ERR_NONE)
        err = stretch_read(s, 0, bytes, s.size_bytes, why);
    if (err == ERR_NONE)
        err = file_write(o->file, bytes_of(bytes, s.size_bytes), O_TRUNC, why);
    free(bytes);
    return err;
}

/* As flashing a chip does: the sectors that the file covers are erased, a partition whole. */
static enum err load(struct node *n, const struct flash_options *o, struct why *why)
{
    struct stretch s;
    struct buf file = {0};
    enum err err = find_stretch(n, o, &s, why);
    if (err == ERR_NONE)
        err = file_read(o->file, &file, why);
    if (err == ERR_NONE && file.len > s.size_bytes)
        err = why_set(why, ERR_TOO_BIG, "%s has %zu bytes, there is room for %u", o->file, file.len, s.size_bytes);
    if (err == ERR_NONE && s.at % FLASH_SECTOR_BYTES != 0)
        err = why_set(why, ERR_USAGE, "0x%x is not the start of a sector of 4096 bytes", s.at);
    uint32_t covered = ((uint32_t)file.len + FLASH_SECTOR_BYTES - 1) / FLASH_SECTOR_BYTES * FLASH_SECTOR_BYTES;
    if (err == ERR_NONE)
        err = stretch_erase(s, 0, o->label ? s.size_bytes : covered, why);
    if (err == ERR_NONE)
        err = stretch_program(s, 0, buf_bytes(&file), why);
    buf_deinit(&file);
    return err;
}

static const struct argp_option place_options[] = {
    {"partition", OPT_PARTITION, "LABEL", 0, "This partition alone", 0},
    {"at", OPT_AT, "ADDRESS", 0, "From this address on (default: 0)", 0},
    {0},
};

enum err command_flash(int argc, char **argv, struct why *why)
{
    static const struct argp dump_argp = {
        place_options, take_option, "FLASH FILE", "Copy a node's flash, or a part of it, to a file.", NULL, NULL, NULL};
    static const struct argp load_argp = {
        place_options, take_option, "FLASH FILE", "Write a file to a node's flash, as flashing a chip does.",
        NULL,          NULL,        NULL};
    const char *what = argc > 1 ? argv[1] : "";
    struct flash_options o = {.needs_file = true};
    struct node n;
    if (strcmp(what, "show") == 0)
        return command_show(argc - 1, argv + 1, why);
    bool is_dump = strcmp(what, "dump") == 0;
    if (!is_dump && strcmp(what, "load") != 0)
        return why_set(why, ERR_USAGE,
                       "vesp flash show FLASH, vesp flash dump FLASH FILE, or vesp flash load FLASH FILE");
    argp_parse(is_dump ? &dump_argp : &load_argp, argc - 1, argv + 1, 0, NULL, &o);
    enum err err = node_open(&n, o.path, why);
    if (err != ERR_NONE)
        return err;
    err = is_dump ? dump(&n, &o, why) : load(&n, &o, why);
    node_close(&n);
    return err;
}
