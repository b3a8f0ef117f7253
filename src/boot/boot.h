/*
 * boot.h - which slot runs: ESP-IDF's otadata records and the second-stage bootloader's rules over them.
 *
 * otadata is two flash sectors with one 32-byte record each.  The record with the larger sequence number names the slot
 * ((seq - 1) mod slots).  The CRC covers the sequence number alone, not the state.
 *
 * Rules with rollback enabled, as a bootloader built with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE has them:
 *
 *   set_boot                      writes NEW
 *   bootloader, selected and NEW  -> PENDING_VERIFY   (persisted before the image starts)
 *   bootloader, PENDING_VERIFY    -> ABORTED          (it had its trial boot and nobody confirmed it)
 *   the app confirms              -> VALID
 *   the app gives up              -> INVALID
 *
 * A seal stands in the 20 bytes of `seq_label`, which the chip's bootloader ignores: a CRC over number, state and CRC,
 * so that a state word that time or a power cut has changed is noticed.  Records without a seal are read by the chip's
 * rules.
 *
 * Promises: a record is written as erase, then its second half with the state, then its first half with the number.
 * Until the number is there the record is blank to every bootloader, so a cut leaves the old selection or the new one,
 * never a number with a state that nobody wrote.  What was written is read back; a sector that did not take it is tried
 * a second time.  Does not load or start anything; image verification is asked from the caller.
 */
#ifndef PLUVIO_BOOT_BOOT_H
#define PLUVIO_BOOT_BOOT_H

#include "boot/efuse.h"
#include "flash/partition.h"

/* Written to flash, never renumber. */
enum ota_state {
    OTA_NEW = 0,
    OTA_PENDING_VERIFY = 1,
    OTA_VALID = 2,
    OTA_INVALID = 3,
    OTA_ABORTED = 4,
    OTA_UNDEFINED = -1, /* 0xffffffff: written without rollback support */
};

/* Whose rules read and write the records. */
enum otadata_rules {
    OTADATA_CHIP,   /* ESP-IDF's bootloader: no seals, the state is taken as it is, one write of 32 bytes */
    OTADATA_SEALED, /* ours: seals are written and asked for, an unknown state is no state */
};

enum ota_seal {
    OTA_SEAL_NONE, /* the record has none: written by ESP-IDF or by esptool */
    OTA_SEAL_RIGHT,
    OTA_SEAL_BROKEN, /* number, state or CRC are not what was sealed */
};

struct ota_record {
    uint32_t seq, state; /* raw words */
    bool is_crc_good;
    enum ota_seal seal;
    uint32_t sealed[2]; /* the seal's word and its copy, when there is one */
    bool is_sound;      /* all that the rules ask for, but for the state's meaning */
    bool is_barred;     /* its slot's secure version is too low */
};

struct otadata {
    struct stretch flash; /* the otadata partition */
    enum otadata_rules rules;
    unsigned slots; /* OTA slots in the partition table */
    struct ota_record records[2];
};

#define BOOT_FACTORY (-1)
#define BOOT_TEST    (-2)
#define BOOT_NONE    (-99)

/* Reads both records.  ERR_NOT_FOUND when the table has no otadata partition. */
enum err otadata_open(struct otadata *o, enum otadata_rules rules, struct flash *flash,
                      const struct partition_table *table, struct why *why);

/* The same over a stretch of 0x2000 bytes or more that is otadata; `slots` OTA slots. */
enum err otadata_open_at(struct otadata *o, enum otadata_rules rules, struct stretch flash, unsigned slots,
                         struct why *why);

/* Index 0 or 1 of the record that counts, -1 when neither does. */
int otadata_active(const struct otadata *o);

/* The slot a record names. */
unsigned otadata_slot(const struct otadata *o, unsigned record);

/* True unless the record is blank, INVALID, ABORTED, barred, or not sound. */
bool ota_record_is_valid(const struct ota_record *r);

/* Erases the record's sector and writes it anew, read back and tried twice. */
enum err otadata_write(struct otadata *o, unsigned record, uint32_t seq, enum ota_state state, struct why *why);

/* Erases one record. */
enum err otadata_forget(struct otadata *o, unsigned record, struct why *why);

/* Makes the next boot try `slot`: into the other record with the next sequence number, or in place when the active
 * record names the slot already.  ERR_NO_SPACE when there is no next number, after 2^32 updates or damage. */
enum err otadata_set_boot(struct otadata *o, unsigned slot, enum ota_state state, struct why *why);

/* Before a slot is written to: no record may name it, because what is half there must not be booted and what is whole
 * must have its trial first.  `running` is the slot that runs, BOOT_FACTORY for another partition.  As ESP-IDF does,
 * the inactive record goes when it names another slot than the running one.  Where the bootloader has fallen through,
 * so that the active record names the slot to be written, that record goes as well, after the running slot got one. */
enum err otadata_release(struct otadata *o, unsigned slot, int running, struct why *why);

/* What a start of the application mends: records that a power cut or time has spoilt.  A record that names the running
 * slot and whose seal tells what its state was gets that state again, PENDING_VERIFY (without
 * rollback UNDEFINED) where it was to be on trial or nobody knows; other broken records are erased.  `*mended` counts
 * them.  Run under OTADATA_SEALED. */
enum err otadata_mend(struct otadata *o, int running, bool has_rollback, unsigned *mended, struct why *why);

/* Erases both records: factory boots. */
enum err otadata_erase(struct otadata *o, struct why *why);

/* The app's verdict on itself, written to the active record.  ERR_NOT_FOUND without one. */
enum err otadata_confirm(struct otadata *o, struct why *why);
enum err otadata_give_up(struct otadata *o, struct why *why);

const char *ota_state_text(uint32_t state);

/* The state of that name; OTA_UNDEFINED for "undefined".  False for a word that is none. */
bool ota_state_find(const char *text, enum ota_state *state);

/* --- the bootloader --------------------------------------------------------------------------- */

struct otadata_choice {
    int index;            /* slot number or BOOT_FACTORY, before any image is looked at */
    bool has_rolled_back; /* a PENDING_VERIFY record was turned into ABORTED */
    bool is_initial;      /* no record says anything: the slot that boots gets one */
};

/* The bootloader's decision over otadata alone, its writes included.  `has_rollback`: it was built with
 * CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE.  A record whose new state the flash does not take counts no longer. */
void otadata_choose(struct otadata *o, bool has_factory, bool has_rollback, struct otadata_choice *choice);

struct boot_port {
    /* Whether the partition holds an image that may run; called for candidates in order. */
    bool (*is_bootable)(struct boot_port *port, const struct partition *slot);
};

/* A second-stage bootloader as it was built. */
struct bootloader {
    struct flash *flash;
    const struct partition_table *table;
    struct boot_port *port;
    enum otadata_rules rules;
    bool has_rollback;         /* CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE */
    const struct efuse *efuse; /* CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK: where the secure version is; NULL: without */
    bool wants_test;           /* the test application's pin is held */
};

struct boot_choice {
    int index;                    /* slot number, BOOT_FACTORY, BOOT_TEST or BOOT_NONE */
    const struct partition *slot; /* NULL with BOOT_NONE */
    int wanted;                   /* what otadata named, before any fall-through */
    bool has_rolled_back;         /* a PENDING_VERIFY record was turned into ABORTED */
};

/* What the bootloader does at a reset, its writes to otadata and eFuse included.  ERR_NONE with `choice`, ERR_NOT_FOUND
 * when nothing bootable is left, ERR_FLASH when otadata or eFuse cannot be read. */
enum err boot_select(const struct bootloader *b, struct boot_choice *choice, struct why *why);

#endif
