#include "boot/boot.h"

#include "codec/crc.h"

#include <inttypes.h>
#include <string.h>

#define RECORD_LEN 32

static bool is_blank_or_refused(const struct ota_record *r)
{
    return r->seq == 0xffffffff || r->state == OTA_INVALID || r->state == OTA_ABORTED;
}

bool ota_record_is_valid(const struct ota_record *r)
{
    return !is_blank_or_refused(r) && r->is_crc_good;
}

static uint32_t seq_crc(uint32_t seq)
{
    uint8_t raw[4];
    put_u32(raw, seq);
    return crc32_of(CRC32_ESP_INIT, bytes_of(raw, 4));
}

static enum err read_records(struct otadata *o, struct why *why)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t raw[RECORD_LEN];
        enum err err = stretch_read(o->flash, i * FLASH_SECTOR_BYTES, raw, sizeof raw, why);
        if (err != ERR_NONE)
            return why_add(why, err, "read otadata record %u", i);
        o->records[i] = (struct ota_record){get_u32(raw), get_u32(raw + 24), false};
        o->records[i].is_crc_good = get_u32(raw + 28) == seq_crc(o->records[i].seq);
    }
    return ERR_NONE;
}

enum err otadata_open_at(struct otadata *o, struct stretch flash, unsigned slots, struct why *why)
{
    *o = (struct otadata){.flash = flash, .slots = slots};
    if (flash.size_bytes < 2 * FLASH_SECTOR_BYTES)
        return why_set(why, ERR_FORMAT, "the otadata partition is smaller than two sectors");
    return read_records(o, why);
}

enum err otadata_open(struct otadata *o, struct flash *flash, const struct partition_table *table, struct why *why)
{
    const struct partition *p = partition_find(table, PARTITION_DATA, PARTITION_DATA_OTA, NULL);
    *o = (struct otadata){.slots = partition_ota_count(table)};
    if (p == NULL)
        return why_set(why, ERR_NOT_FOUND, "the partition table has no otadata partition");
    return otadata_open_at(o, partition_stretch(flash, p), o->slots, why);
}

int otadata_active(const struct otadata *o)
{
    bool first = ota_record_is_valid(&o->records[0]), second = ota_record_is_valid(&o->records[1]);
    if (first && second)
        return o->records[1].seq > o->records[0].seq ? 1 : 0;
    return first ? 0 : second ? 1 : -1;
}

unsigned otadata_slot(const struct otadata *o, unsigned record)
{
    return o->slots ? (o->records[record].seq - 1) % o->slots : 0;
}

/* The sector is blank between erase and program; the other record decides then, which is why only one is ever touched.
 */
enum err otadata_write(struct otadata *o, unsigned record, uint32_t seq, enum ota_state state, struct why *why)
{
    uint8_t raw[RECORD_LEN], back[RECORD_LEN];
    memset(raw, 0xff, sizeof raw);
    put_u32(raw, seq);
    put_u32(raw + 24, (uint32_t)state);
    put_u32(raw + 28, seq_crc(seq));
    uint32_t at = record * FLASH_SECTOR_BYTES;
    enum err err = stretch_erase(o->flash, at, FLASH_SECTOR_BYTES, why);
    if (err == ERR_NONE)
        err = stretch_program(o->flash, at, bytes_of(raw, sizeof raw), why);
    if (err == ERR_NONE)
        err = stretch_read(o->flash, at, back, sizeof back, why);
    if (err == ERR_NONE && memcmp(raw, back, sizeof raw) != 0)
        err = why_set(why, ERR_FLASH, "read back differs");
    if (err != ERR_NONE)
        return why_add(why, err, "write otadata record %u", record);
    o->records[record] = (struct ota_record){seq, (uint32_t)state, true};
    return ERR_NONE;
}

enum err otadata_set_boot(struct otadata *o, unsigned slot, enum ota_state state, struct why *why)
{
    int active = otadata_active(o);
    if (slot >= o->slots)
        return why_set(why, ERR_USAGE, "slot ota_%u does not exist: there are %u", slot, o->slots);
    if (active < 0)
        return otadata_write(o, 0, slot + 1, state, why);
    uint32_t seq = o->records[active].seq;
    if (otadata_slot(o, (unsigned)active) == slot)
        return otadata_write(o, (unsigned)active, seq, state, why);
    /* The smallest number from the active one on that names the slot.  Not 0, which would lose against the old record.
     */
    uint64_t first = (slot + 1) % o->slots, next = first;
    if (next < seq)
        next += (seq - first + o->slots - 1) / o->slots * o->slots;
    if (next == 0)
        next = o->slots;
    if (next >= 0xffffffff)
        return why_set(why, ERR_NO_SPACE, "otadata's sequence number 0x%08" PRIx32 " has no successor: erase otadata",
                       seq);
    return otadata_write(o, (unsigned)active ^ 1, (uint32_t)next, state, why);
}

enum err otadata_erase(struct otadata *o, struct why *why)
{
    enum err err = stretch_erase(o->flash, 0, 2 * FLASH_SECTOR_BYTES, why);
    return err ? err : read_records(o, why);
}

static enum err set_active_state(struct otadata *o, enum ota_state state, struct why *why)
{
    int active = otadata_active(o);
    if (active < 0 || o->slots == 0)
        return why_set(why, ERR_NOT_FOUND, "no otadata record is active");
    if (o->records[active].state == (uint32_t)state)
        return ERR_NONE;
    return otadata_write(o, (unsigned)active, o->records[active].seq, state, why);
}

enum err otadata_confirm(struct otadata *o, struct why *why)
{
    return set_active_state(o, OTA_VALID, why);
}

enum err otadata_give_up(struct otadata *o, struct why *why)
{
    return set_active_state(o, OTA_INVALID, why);
}

static const char *const state_texts[] = {"new", "pending-verify", "valid", "invalid", "aborted"};

const char *ota_state_text(uint32_t state)
{
    return state < 5 ? state_texts[state] : state == 0xffffffff ? "undefined" : "unknown";
}

bool ota_state_find(const char *text, enum ota_state *state)
{
    *state = OTA_UNDEFINED;
    for (int i = 0; i < 5; i++)
        if (strcmp(state_texts[i], text) == 0)
            *state = (enum ota_state)i;
    return *state != OTA_UNDEFINED || strcmp(text, "undefined") == 0;
}

/* --- the bootloader --------------------------------------------------------------------------- */

/* Rule 2: whoever still is on trial at a reset has failed it.  Sequence and CRC are not looked at, as in ESP-IDF. */
static enum err abort_trials(struct otadata *o, bool *has_rolled_back, struct why *why)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < 2; i++)
        if (o->records[i].state == OTA_PENDING_VERIFY) {
            err = otadata_write(o, i, o->records[i].seq, OTA_ABORTED, why);
            *has_rolled_back = true;
        }
    return err;
}

enum err otadata_choose(struct otadata *o, bool has_factory, bool has_rollback, struct otadata_choice *c,
                        struct why *why)
{
    struct ota_record *r = o->records;
    *c = (struct otadata_choice){.index = BOOT_FACTORY};
    enum err err = has_rollback ? abort_trials(o, &c->has_rolled_back, why) : ERR_NONE;
    if (err != ERR_NONE)
        return err;
    if ((is_blank_or_refused(&r[0]) && is_blank_or_refused(&r[1])) || o->slots == 0) {
        c->index = has_factory ? BOOT_FACTORY : 0;
        c->is_initial = !has_factory && (r[0].seq == 0xffffffff || !r[0].is_crc_good) &&
                        (r[1].seq == 0xffffffff || !r[1].is_crc_good);
        return ERR_NONE;
    }
    int active = otadata_active(o);
    if (active < 0)
        return ERR_NONE;
    c->index = (int)otadata_slot(o, (unsigned)active);
    if (has_rollback && r[active].state == OTA_NEW)
        return otadata_write(o, (unsigned)active, r[active].seq, OTA_PENDING_VERIFY, why);
    return ERR_NONE;
}

static const struct partition *slot_of(const struct partition_table *t, int index)
{
    return index == BOOT_FACTORY ? partition_find(t, PARTITION_APP, PARTITION_APP_FACTORY, NULL)
                                 : partition_find(t, PARTITION_APP, PARTITION_APP_OTA_0 + (unsigned)index, NULL);
}

static bool try_slot(const struct partition_table *t, struct boot_port *port, int index, struct boot_choice *choice)
{
    const struct partition *slot =
        index == BOOT_TEST ? partition_find(t, PARTITION_APP, PARTITION_APP_TEST, NULL) : slot_of(t, index);
    if (slot == NULL || !port->is_bootable(port, slot))
        return false;
    choice->index = index;
    choice->slot = slot;
    return true;
}

/* The selected one, then downward to factory, then upward, then the test application. */
static bool fall_through(const struct partition_table *t, struct boot_port *port, unsigned slots,
                         struct boot_choice *choice)
{
    for (int i = choice->wanted; i >= BOOT_FACTORY; i--)
        if (try_slot(t, port, i, choice))
            return true;
    for (int i = choice->wanted + 1; i < (int)slots; i++)
        if (try_slot(t, port, i, choice))
            return true;
    return try_slot(t, port, BOOT_TEST, choice);
}

enum err boot_select(struct flash *flash, const struct partition_table *table, struct boot_port *port,
                     struct boot_choice *choice, struct why *why)
{
    struct otadata o;
    struct otadata_choice c = {.index = BOOT_FACTORY};
    bool has_factory = partition_find(table, PARTITION_APP, PARTITION_APP_FACTORY, NULL) != NULL;
    *choice = (struct boot_choice){.index = BOOT_NONE, .wanted = BOOT_FACTORY};
    enum err err = otadata_open(&o, flash, table, why);
    if (err == ERR_NONE)
        err = otadata_choose(&o, has_factory, true, &c, why);
    else if (err == ERR_NOT_FOUND)
        err = ERR_NONE; /* a table without otadata boots its factory partition */
    if (err != ERR_NONE)
        return err;
    choice->wanted = c.index;
    choice->has_rolled_back = c.has_rolled_back;
    if (!fall_through(table, port, o.slots, choice))
        return why_set(why, ERR_NOT_FOUND, "no partition holds an image that may run");
    if (c.is_initial && choice->index >= 0)
        return otadata_write(&o, 0, (uint32_t)choice->index + 1, OTA_VALID, why);
    return ERR_NONE;
}
