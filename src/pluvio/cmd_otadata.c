/* pluvio otadata: the two records that name the slot to boot. */
#include "pluvio/commands.h"

#include "boot/boot.h"
#include "pluvio/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OTADATA_BYTES (2 * FLASH_SECTOR_BYTES)
#define SLOTS_DEFAULT 2

struct otadata_file {
    uint8_t bytes[OTADATA_BYTES];
    struct flash_ram ram;
    struct otadata otadata;
};

static enum err take_slots(const struct options *o, unsigned *slots, struct why *why)
{
    int64_t value = SLOTS_DEFAULT;
    enum err err = option(o, "slots") ? take_number("--slots", option(o, "slots"), 0, 16, &value, why) : ERR_NONE;
    *slots = (unsigned)value;
    return err;
}

static enum err open_records(struct otadata_file *f, unsigned slots, struct why *why)
{
    flash_ram_init(&f->ram, f->bytes, sizeof f->bytes);
    return otadata_open_at(&f->otadata, OTADATA_CHIP, (struct stretch){&f->ram.flash, 0, sizeof f->bytes}, slots, why);
}

/* `path` NULL: erased. */
static enum err open_file(struct otadata_file *f, const char *path, unsigned slots, struct why *why)
{
    struct buf file = {0};
    memset(f->bytes, 0xff, sizeof f->bytes);
    enum err err = path ? read_file(path, &file, why) : ERR_NONE;
    if (err == ERR_NONE && path != NULL && file.len != sizeof f->bytes)
        err = why_set(why, ERR_FORMAT, "%s: otadata has 0x2000 bytes, this file %zu", path, file.len);
    else if (err == ERR_NONE && path != NULL)
        memcpy(f->bytes, file.at, sizeof f->bytes);
    buf_deinit(&file);
    return err ? err : open_records(f, slots, why);
}

static const char *index_text(int index, char to[static 16])
{
    if (index == BOOT_FACTORY)
        return "factory";
    snprintf(to, 16, "ota_%d", index);
    return to;
}

static void report_otadata(struct report *r, const struct otadata *o)
{
    int active = otadata_active(o);
    report_list(r, "records");
    for (unsigned i = 0; i < 2; i++) {
        const struct ota_record *record = &o->records[i];
        char label[16], slot[16];
        bool is_blank = record->seq == 0xffffffff;
        snprintf(label, sizeof label, "record %u", i);
        index_text((int)otadata_slot(o, i), slot);
        report_item(r, NULL);
        report_number(r, "seq", NULL, record->seq);
        report_text(r, "state", NULL, "%s", ota_state_text(record->state));
        report_bool(r, "is_crc_right", NULL, record->is_crc_good);
        report_bool(r, "is_valid", NULL, ota_record_is_valid(record));
        report_bool(r, "is_active", NULL, active == (int)i);
        if (!is_blank && o->slots > 0)
            report_text(r, "slot", NULL, "%s", slot);
        report_end_item(r);
        if (is_blank)
            report_text(r, NULL, label, "blank");
        else
            report_text(r, NULL, label, "sequence %" PRIu32 "%s%s, %s, CRC %s%s", record->seq, o->slots ? " -> " : "",
                        o->slots ? slot : "", ota_state_text(record->state), record->is_crc_good ? "right" : "WRONG",
                        active == (int)i ? ", active" : "");
    }
    report_end_list(r);
}

enum err command_otadata_show(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {{"slots", 's', "NUMBER", "OTA slots in the partition table (default: 2)"},
                                             {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "FILE", "Show an otadata partition (0x2000 bytes).", 1, 1};
    struct options o;
    struct otadata_file f;
    struct report r;
    unsigned slots;
    options_parse(&o, argc, argv, &line);
    enum err err = take_slots(&o, &slots, why);
    if (err == ERR_NONE)
        err = open_file(&f, o.arguments[0], slots, why);
    if (err != ERR_NONE)
        return err;
    int active = otadata_active(&f.otadata);
    report_begin(&r, REPORT_OBJECT, o.is_json);
    report_otadata(&r, &f.otadata);
    if (active < 0)
        report_text(&r, "active", "boots", "the factory application, or the first slot without one");
    else {
        char slot[16];
        report_text(&r, "active", "boots", "%s", index_text((int)otadata_slot(&f.otadata, (unsigned)active), slot));
    }
    report_end(&r);
    return ERR_NONE;
}

static enum err write_records(const struct otadata_file *f, const char *path, bool is_json, struct why *why)
{
    struct report r;
    enum err err = write_output(path, bytes_of(f->bytes, sizeof f->bytes), 0644, why);
    if (err != ERR_NONE)
        return err;
    report_begin(&r, REPORT_OBJECT, is_json);
    report_written(&r, path, sizeof f->bytes);
    report_otadata(&r, &f->otadata);
    report_end(&r);
    return ERR_NONE;
}

enum err command_otadata_make(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"output", 'o', "FILE", "The partition to write (- is standard output)"},
        {"slot", 'n', "NUMBER", "The slot to boot, as esp_ota_set_boot_partition() would write it; none: erased"},
        {"slots", 's', "NUMBER", "OTA slots in the partition table (default: 2)"},
        {"state", 't', "STATE", "new, pending-verify, valid, invalid, aborted or undefined (default: undefined)"},
        {"from", 'f', "FILE", "An otadata partition to go on from (default: erased)"},
        {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "", "Make an otadata partition.", 0, 0};
    struct options o;
    struct otadata_file f;
    enum ota_state state;
    unsigned slots;
    int64_t slot = -1;
    options_parse(&o, argc, argv, &line);
    const char *state_text = option(&o, "state") ? option(&o, "state") : "undefined", *output = option(&o, "output");
    if (output == NULL)
        return why_set(why, ERR_USAGE, "give --output");
    if (!ota_state_find(state_text, &state))
        return why_set(why, ERR_USAGE, "there is no state %s: new, pending-verify, valid, invalid, aborted, undefined",
                       state_text);
    enum err err = take_slots(&o, &slots, why);
    if (err == ERR_NONE && option(&o, "slot") != NULL)
        err = take_number("--slot", option(&o, "slot"), 0, 15, &slot, why);
    if (err == ERR_NONE)
        err = open_file(&f, option(&o, "from"), slots, why);
    if (err == ERR_NONE && slot >= 0)
        err = otadata_set_boot(&f.otadata, (unsigned)slot, state, why);
    return err ? err : write_records(&f, output, o.is_json, why);
}

enum err command_otadata_erase(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {{"output", 'o', "FILE", "Another file to write (default: in place)"},
                                             {NULL, 0, NULL, NULL}};
    static const struct command_line line = {
        rows, "FILE", "Erase an otadata partition: the factory application boots, or the first slot.", 1, 1};
    struct options o;
    struct otadata_file f;
    options_parse(&o, argc, argv, &line);
    const char *output = option(&o, "output") ? option(&o, "output") : o.arguments[0];
    enum err err = option(&o, "output") ? ERR_NONE : open_file(&f, o.arguments[0], SLOTS_DEFAULT, why);
    if (err == ERR_NONE)
        err = open_file(&f, NULL, SLOTS_DEFAULT, why);
    return err ? err : write_records(&f, output, o.is_json, why);
}

enum err command_otadata_select(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {{"slots", 's', "NUMBER", "OTA slots in the partition table (default: 2)"},
                                             {"factory", 'F', NULL, "The partition table has a factory application"},
                                             {"no-rollback", 0, NULL, "The bootloader was built without rollback"},
                                             {"write", 'w', NULL, "Write back what the bootloader would write"},
                                             {NULL, 0, NULL, NULL}};
    static const struct command_line line = {
        rows, "FILE", "Select as the bootloader would at its next start, and tell what it would write.", 1, 1};
    struct options o;
    struct otadata_file f;
    struct otadata_choice choice;
    struct report r;
    uint8_t before[OTADATA_BYTES];
    char text[16];
    unsigned slots;
    options_parse(&o, argc, argv, &line);
    enum err err = take_slots(&o, &slots, why);
    if (err == ERR_NONE)
        err = open_file(&f, o.arguments[0], slots, why);
    if (err != ERR_NONE)
        return err;
    memcpy(before, f.bytes, sizeof before);
    otadata_choose(&f.otadata, option(&o, "factory") != NULL, option(&o, "no-rollback") == NULL, &choice);
    if (choice.is_initial)
        err = otadata_write(&f.otadata, 0, (uint32_t)choice.index + 1, OTA_VALID, why);
    bool is_changed = memcmp(before, f.bytes, sizeof before) != 0;
    if (err == ERR_NONE && is_changed && option(&o, "write") != NULL)
        err = write_file(o.arguments[0], bytes_of(f.bytes, sizeof f.bytes), 0644, why);
    if (err != ERR_NONE)
        return err;
    report_begin(&r, REPORT_OBJECT, o.is_json);
    report_text(&r, "selected", "boots", "%s", index_text(choice.index, text));
    report_bool(&r, "has_rolled_back", NULL, choice.has_rolled_back);
    report_bool(&r, "is_written", NULL, is_changed);
    if (choice.has_rolled_back)
        report_verdict(&r, STYLE_YELLOW, "rolled back: the image on trial was not confirmed before this start");
    report_line(&r, is_changed ? "  The records after it%s:" : "  It writes nothing%s:",
                is_changed && option(&o, "write") == NULL ? " (not written: --write)" : "");
    report_otadata(&r, &f.otadata);
    report_end(&r);
    return ERR_NONE;
}
