#include "boot/boot.h"

#include "codec/crc.h"
#include "image/image.h"

#include <inttypes.h>
#include <string.h>

#define RECORD_LEN  32
#define RECORD_HALF 16 /* what flash encryption writes at once */
#define STATE_AT    24
#define CRC_AT      28
#define WRITE_TRIES 2

/* The seal in seq_label: a mark, and the seal's word twice, so that one bit that falls does not take it away. */
#define SEAL_AT   4
#define SEAL_MARK 0x3153564cu /* "LVS1" */
#define SEAL_LEN  12

static bool is_blank_or_refused(const struct ota_record *r)
{
    return r->seq == 0xffffffff || r->state == OTA_INVALID || r->state == OTA_ABORTED;
}

bool ota_record_is_valid(const struct ota_record *r)
{
    return !is_blank_or_refused(r) && r->is_sound && !r->is_barred;
}

static uint32_t seq_crc(uint32_t seq)
{
    uint8_t raw[4];
    put_u32(raw, seq);
    return crc32_of(CRC32_ESP_INIT, bytes_of(raw, 4));
}

static uint32_t seal_of(uint32_t seq, uint32_t state)
{
    uint8_t raw[12];
    put_u32(raw, seq);
    put_u32(raw + 4, state);
    put_u32(raw + 8, seq_crc(seq));
    return crc32_of(CRC32_ESP_INIT, bytes_of(raw, sizeof raw));
}

/* ESP-IDF's bootloader changes a state and writes the label as it found it, so a trial that it began or ended stands
 * beside the seal of the state before. */
static bool fits_seal(uint32_t seal, uint32_t seq, uint32_t state)
{
    if (seal == seal_of(seq, state))
        return true;
    bool was_new = state == OTA_PENDING_VERIFY || state == OTA_ABORTED;
    return (was_new && seal == seal_of(seq, OTA_NEW)) ||
           (state == OTA_ABORTED && seal == seal_of(seq, OTA_PENDING_VERIFY));
}

static bool is_known_state(uint32_t state)
{
    return state <= OTA_ABORTED || state == (uint32_t)OTA_UNDEFINED;
}

static void parse_record(struct ota_record *r, enum otadata_rules rules, const uint8_t raw[static RECORD_LEN])
{
    *r = (struct ota_record){.seq = get_u32(raw), .state = get_u32(raw + STATE_AT)};
    r->is_crc_good = get_u32(raw + CRC_AT) == seq_crc(r->seq);
    /* A write that was torn leaves bits of the mark at 1: that is no label of somebody else's. */
    uint32_t mark = get_u32(raw + SEAL_AT);
    if (mark != 0xffffffff && (mark & SEAL_MARK) == SEAL_MARK) {
        uint32_t first = get_u32(raw + SEAL_AT + 4), second = get_u32(raw + SEAL_AT + 8);
        bool is_right = fits_seal(first, r->seq, r->state) || fits_seal(second, r->seq, r->state);
        r->seal = is_right && mark == SEAL_MARK ? OTA_SEAL_RIGHT : OTA_SEAL_BROKEN;
        r->sealed[0] = first;
        r->sealed[1] = second;
    }
    r->is_sound = r->is_crc_good;
    if (rules == OTADATA_SEALED)
        r->is_sound = r->is_sound && r->seal != OTA_SEAL_BROKEN && is_known_state(r->state);
}

static enum err read_record(struct otadata *o, unsigned i, struct why *why)
{
    uint8_t raw[RECORD_LEN];
    enum err err = stretch_read(o->flash, i * FLASH_SECTOR_BYTES, raw, sizeof raw, why);
    if (err != ERR_NONE)
        return why_add(why, err, "read otadata record %u", i);
    parse_record(&o->records[i], o->rules, raw);
    return ERR_NONE;
}

static enum err read_records(struct otadata *o, struct why *why)
{
    enum err err = read_record(o, 0, why);
    return err ? err : read_record(o, 1, why);
}

enum err otadata_open_at(struct otadata *o, enum otadata_rules rules, struct stretch flash, unsigned slots,
                         struct why *why)
{
    *o = (struct otadata){.flash = flash, .rules = rules, .slots = slots};
    if (flash.size_bytes < 2 * FLASH_SECTOR_BYTES)
        return why_set(why, ERR_FORMAT, "the otadata partition is smaller than two sectors");
    return read_records(o, why);
}

enum err otadata_open(struct otadata *o, enum otadata_rules rules, struct flash *flash,
                      const struct partition_table *table, struct why *why)
{
    const struct partition *p = partition_find(table, PARTITION_DATA, PARTITION_DATA_OTA, NULL);
    *o = (struct otadata){.rules = rules, .slots = partition_ota_count(table)};
    if (p == NULL)
        return why_set(why, ERR_NOT_FOUND, "the partition table has no otadata partition");
    return otadata_open_at(o, rules, partition_stretch(flash, p), o->slots, why);
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

/* --- writing ---------------------------------------------------------------------------------- */

static enum err make_record(struct otadata *o, unsigned record, uint8_t raw[static RECORD_LEN], uint32_t seq,
                            uint32_t state, struct why *why)
{
    memset(raw, 0xff, RECORD_LEN);
    /* The chip's code leaves the label as it is. */
    enum err err =
        o->rules == OTADATA_CHIP ? stretch_read(o->flash, record * FLASH_SECTOR_BYTES, raw, RECORD_LEN, why) : ERR_NONE;
    put_u32(raw, seq);
    put_u32(raw + STATE_AT, state);
    put_u32(raw + CRC_AT, seq_crc(seq));
    if (o->rules == OTADATA_CHIP)
        return err;
    put_u32(raw + SEAL_AT, SEAL_MARK);
    put_u32(raw + SEAL_AT + 4, seal_of(seq, state));
    put_u32(raw + SEAL_AT + 8, seal_of(seq, state));
    return ERR_NONE;
}

_Static_assert(SEAL_AT + SEAL_LEN <= RECORD_HALF, "the seal comes with the number");

/* The state before the number: see the head of boot.h.  The chip's code writes both at once. */
static enum err program_record(struct otadata *o, uint32_t at, const uint8_t raw[static RECORD_LEN], struct why *why)
{
    if (o->rules == OTADATA_CHIP)
        return stretch_program(o->flash, at, bytes_of(raw, RECORD_LEN), why);
    enum err err = stretch_program(o->flash, at + RECORD_HALF, bytes_of(raw + RECORD_HALF, RECORD_HALF), why);
    return err ? err : stretch_program(o->flash, at, bytes_of(raw, RECORD_HALF), why);
}

static enum err write_once(struct otadata *o, uint32_t at, const uint8_t raw[static RECORD_LEN], struct why *why)
{
    uint8_t back[RECORD_LEN];
    enum err err = stretch_erase_sure(o->flash, at, FLASH_SECTOR_BYTES, why);
    if (err == ERR_NONE)
        err = program_record(o, at, raw, why);
    if (err == ERR_NONE)
        err = stretch_read(o->flash, at, back, sizeof back, why);
    if (err == ERR_NONE && memcmp(raw, back, sizeof back) != 0)
        err = why_set(why, ERR_FLASH, "read back differs");
    return err;
}

/* The sector is blank between erase and program; the other record decides then, which is why only one is ever touched.
 */
enum err otadata_write(struct otadata *o, unsigned record, uint32_t seq, enum ota_state state, struct why *why)
{
    uint8_t raw[RECORD_LEN];
    enum err err = make_record(o, record, raw, seq, (uint32_t)state, why);
    if (err == ERR_NONE)
        err = write_once(o, record * FLASH_SECTOR_BYTES, raw, why);
    for (int i = 1; err != ERR_NONE && i < WRITE_TRIES; i++)
        err = write_once(o, record * FLASH_SECTOR_BYTES, raw, why);
    if (err != ERR_NONE)
        return why_add(why, err, "write otadata record %u", record);
    parse_record(&o->records[record], o->rules, raw);
    return ERR_NONE;
}

enum err otadata_forget(struct otadata *o, unsigned record, struct why *why)
{
    enum err err = stretch_erase_sure(o->flash, record * FLASH_SECTOR_BYTES, FLASH_SECTOR_BYTES, why);
    return err ? err : read_record(o, record, why);
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
    /* The inactive one first: a cut between the two leaves the selection as it was. */
    unsigned active = otadata_active(o) == 1;
    enum err err = otadata_forget(o, active ^ 1, why);
    return err ? err : otadata_forget(o, active, why);
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

/* --- before a slot is written, and at the start of an application ----------------------------- */

static bool names(const struct otadata *o, unsigned record, unsigned slot)
{
    const struct ota_record *r = &o->records[record];
    return ota_record_is_valid(r) && otadata_slot(o, record) == slot;
}

/* The active record names the slot to be written; another one runs.  The running slot is given a record first, when the
 * other one does not name it, because without any the bootloader would begin with the first slot. */
static enum err release_active(struct otadata *o, unsigned active, int running, struct why *why)
{
    unsigned other = active ^ 1;
    enum err err = ERR_NONE;
    if (running >= 0 && !names(o, other, (unsigned)running))
        err = otadata_write(o, other, (uint32_t)running + 1, OTA_UNDEFINED, why);
    return err ? err : otadata_forget(o, active, why);
}

enum err otadata_release(struct otadata *o, unsigned slot, int running, struct why *why)
{
    int active = otadata_active(o);
    if (active < 0 || o->slots == 0)
        return ERR_NONE;
    unsigned other = (unsigned)active ^ 1;
    enum err err = ERR_NONE;
    if (o->records[other].seq != 0xffffffff && o->records[other].is_crc_good &&
        (running < 0 || otadata_slot(o, other) != (unsigned)running))
        err = otadata_forget(o, other, why);
    if (err == ERR_NONE && names(o, (unsigned)active, slot) && running != (int)slot)
        err = release_active(o, (unsigned)active, running, why);
    return err;
}

/* The state that was sealed, when number and CRC still are what they were; false when no state fits. */
static bool find_sealed_state(const struct ota_record *r, enum ota_state *state)
{
    static const enum ota_state all[] = {OTA_NEW,     OTA_PENDING_VERIFY, OTA_VALID,
                                         OTA_INVALID, OTA_ABORTED,        OTA_UNDEFINED};
    for (unsigned i = 0; r->is_crc_good && r->seal != OTA_SEAL_NONE && i < sizeof all / sizeof all[0]; i++)
        if (seal_of(r->seq, (uint32_t)all[i]) == r->sealed[0] || seal_of(r->seq, (uint32_t)all[i]) == r->sealed[1]) {
            *state = all[i];
            return true;
        }
    return false;
}

/* An image whose verdict nobody knows any more is on trial. */
static enum ota_state mended_state(const struct ota_record *r, bool has_rollback)
{
    enum ota_state state, on_trial = has_rollback ? OTA_PENDING_VERIFY : OTA_UNDEFINED;
    return find_sealed_state(r, &state) && state != OTA_NEW ? state : on_trial;
}

/* A number that was never written makes a record blank, whatever stands behind it. */
static bool is_spoilt(const struct ota_record *r)
{
    return !r->is_sound && (r->seq != 0xffffffff || r->seal != OTA_SEAL_NONE);
}

enum err otadata_mend(struct otadata *o, int running, bool has_rollback, unsigned *mended, struct why *why)
{
    enum err err = ERR_NONE;
    *mended = 0;
    for (unsigned i = 0; err == ERR_NONE && i < 2; i++) {
        struct ota_record *r = &o->records[i];
        if (!is_spoilt(r))
            continue;
        bool is_ours = r->is_crc_good && r->seq != 0xffffffff && o->slots > 0 && running >= 0 &&
                       otadata_slot(o, i) == (unsigned)running;
        /* With the other record sound for the same slot this one is no more than its predecessor. */
        bool is_needed = is_ours && !names(o, i ^ 1, (unsigned)running);
        err = is_needed ? otadata_write(o, i, r->seq, mended_state(r, has_rollback), why) : otadata_forget(o, i, why);
        ++*mended;
    }
    return err;
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

/* A broken seal says that the state may be anything; the chip's bootloader takes it as it is. */
static bool is_read_by(const struct otadata *o, unsigned record)
{
    return o->rules == OTADATA_CHIP || o->records[record].seal != OTA_SEAL_BROKEN;
}

/* A sector that does not take a record any more must not keep the node from booting: the record counts no longer, for
 * this boot, and whatever else can boot does.
 *
 * Rule 2: whoever still is on trial at a reset has failed it.  Sequence and CRC are not looked at, as in ESP-IDF. */
static void abort_trials(struct otadata *o, bool *has_rolled_back)
{
    for (unsigned i = 0; i < 2; i++)
        if (o->records[i].state == OTA_PENDING_VERIFY && is_read_by(o, i)) {
            *has_rolled_back |= o->records[i].is_sound;
            if (otadata_write(o, i, o->records[i].seq, OTA_ABORTED, NULL) != ERR_NONE)
                o->records[i].is_barred = true;
        }
}

void otadata_choose(struct otadata *o, bool has_factory, bool has_rollback, struct otadata_choice *c)
{
    struct ota_record *r = o->records;
    *c = (struct otadata_choice){.index = BOOT_FACTORY};
    if (has_rollback)
        abort_trials(o, &c->has_rolled_back);
    bool is_first_out = is_blank_or_refused(&r[0]), is_second_out = is_blank_or_refused(&r[1]);
    if ((is_first_out && is_second_out) || o->slots == 0) {
        c->index = has_factory ? BOOT_FACTORY : 0;
        c->is_initial =
            !has_factory && (r[0].seq == 0xffffffff || !r[0].is_sound) && (r[1].seq == 0xffffffff || !r[1].is_sound);
        return;
    }
    int active = otadata_active(o);
    if (active >= 0 && has_rollback && r[active].state == OTA_NEW &&
        otadata_write(o, (unsigned)active, r[active].seq, OTA_PENDING_VERIFY, NULL) != ERR_NONE) {
        r[active].is_barred = true; /* no new image runs without its guard */
        active = otadata_active(o);
    }
    c->index = active < 0 ? BOOT_FACTORY : (int)otadata_slot(o, (unsigned)active);
}

static const struct partition *slot_of(const struct partition_table *t, int index)
{
    unsigned subtype = index == BOOT_FACTORY ? PARTITION_APP_FACTORY
                       : index == BOOT_TEST  ? PARTITION_APP_TEST
                                             : PARTITION_APP_OTA_0 + (unsigned)index;
    return partition_find(t, PARTITION_APP, subtype, NULL);
}

/* What the application in a slot says; 0 without a descriptor, which anti-rollback then refuses like any low one. */
static uint32_t secure_version_in(const struct bootloader *b, const struct partition *slot)
{
    uint8_t raw[APP_DESC_LEN];
    struct app_desc desc;
    if (slot == NULL ||
        stretch_read(partition_stretch(b->flash, slot), APP_DESC_OFFSET, raw, sizeof raw, NULL) != ERR_NONE ||
        !app_desc_read(&desc, raw))
        return 0;
    return desc.secure_version;
}

struct selection {
    const struct bootloader *b;
    struct otadata o;
    uint32_t floor; /* secure versions below it do not run */
};

static bool is_above_floor(const struct selection *s, const struct partition *slot)
{
    return s->b->efuse == NULL || secure_version_in(s->b, slot) >= s->floor;
}

static bool try_slot(const struct selection *s, int index, struct boot_choice *choice)
{
    const struct partition *slot = slot_of(s->b->table, index);
    if (slot == NULL || !is_above_floor(s, slot) || !s->b->port->is_bootable(s->b->port, slot))
        return false;
    choice->index = index;
    choice->slot = slot;
    return true;
}

/* The selected one, then downward to factory, then upward, then the test application. */
static bool fall_through(const struct selection *s, struct boot_choice *choice)
{
    if (s->b->wants_test)
        return try_slot(s, BOOT_TEST, choice);
    for (int i = choice->wanted; i >= BOOT_FACTORY; i--)
        if (try_slot(s, i, choice))
            return true;
    for (int i = choice->wanted + 1; i < (int)s->o.slots; i++)
        if (try_slot(s, i, choice))
            return true;
    return try_slot(s, BOOT_TEST, choice);
}

static enum err read_floor(struct selection *s, struct why *why)
{
    if (s->b->efuse == NULL)
        return ERR_NONE;
    enum err err = efuse_secure_version(s->b->efuse, &s->floor, why);
    for (unsigned i = 0; err == ERR_NONE && i < 2; i++)
        s->o.records[i].is_barred =
            s->o.slots > 0 && !is_above_floor(s, slot_of(s->b->table, (int)otadata_slot(&s->o, i)));
    return err;
}

/* After a confirmed image was found whole: the floor follows it.  This also completes a rise that a cut prevented. */
static void raise_floor(const struct selection *s, const struct boot_choice *choice)
{
    int active = otadata_active(&s->o);
    if (s->b->efuse == NULL || choice->index < 0 || active < 0 || s->o.records[active].state != OTA_VALID ||
        (int)otadata_slot(&s->o, (unsigned)active) != choice->index)
        return;
    uint32_t version = secure_version_in(s->b, choice->slot);
    if (version > s->floor && version <= s->b->efuse->bits)
        efuse_raise(s->b->efuse, version, NULL);
}

enum err boot_select(const struct bootloader *b, struct boot_choice *choice, struct why *why)
{
    struct selection s = {.b = b};
    struct otadata_choice c = {.index = BOOT_FACTORY};
    bool has_factory = partition_find(b->table, PARTITION_APP, PARTITION_APP_FACTORY, NULL) != NULL;
    *choice = (struct boot_choice){.index = BOOT_NONE, .wanted = BOOT_FACTORY};
    enum err err = otadata_open(&s.o, b->rules, b->flash, b->table, why);
    bool has_otadata = err == ERR_NONE;
    if (err == ERR_NOT_FOUND)
        err = ERR_NONE; /* a table without otadata boots its factory partition */
    if (err == ERR_NONE)
        err = read_floor(&s, why);
    if (err == ERR_NONE && has_otadata)
        otadata_choose(&s.o, has_factory, b->has_rollback, &c);
    if (err != ERR_NONE)
        return err;
    choice->wanted = c.index;
    choice->has_rolled_back = c.has_rolled_back;
    if (!fall_through(&s, choice))
        return why_set(why, ERR_NOT_FOUND, "no partition holds an image that may run");
    /* What cannot be written now is written at the next start; the image that was found boots in any case. */
    if (c.is_initial && choice->index >= 0)
        otadata_write(&s.o, 0, (uint32_t)choice->index + 1, OTA_VALID, NULL);
    raise_floor(&s, choice);
    return ERR_NONE;
}
