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
 * Promises: sector writes are erase, then program; a cut between them leaves the record blank, which selects the other
 * one.  Does not load or start anything; image verification is asked from the caller.
 */
#ifndef PLUVIO_BOOT_BOOT_H
#define PLUVIO_BOOT_BOOT_H

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

struct ota_record {
    uint32_t seq, state; /* raw words */
    bool is_crc_good;
};

struct otadata {
    struct stretch flash; /* the otadata partition */
    unsigned slots;       /* OTA slots in the partition table */
    struct ota_record records[2];
};

#define BOOT_FACTORY (-1)
#define BOOT_TEST    (-2)
#define BOOT_NONE    (-99)

/* Reads both records.  ERR_NOT_FOUND when the table has no otadata partition. */
enum err otadata_open(struct otadata *o, struct flash *flash, const struct partition_table *table, struct why *why);

/* The same over a stretch of 0x2000 bytes or more that is otadata; `slots` OTA slots. */
enum err otadata_open_at(struct otadata *o, struct stretch flash, unsigned slots, struct why *why);

/* Index 0 or 1 of the record that counts, -1 when neither does. */
int otadata_active(const struct otadata *o);

/* The slot a record names. */
unsigned otadata_slot(const struct otadata *o, unsigned record);

/* True unless the record is blank, INVALID or ABORTED, or its CRC is wrong. */
bool ota_record_is_valid(const struct ota_record *r);

/* Erases the record's sector and writes it anew. */
enum err otadata_write(struct otadata *o, unsigned record, uint32_t seq, enum ota_state state, struct why *why);

/* Makes the next boot try `slot`: into the other record with the next sequence number, or in place when the active
 * record names the slot already.  ERR_NO_SPACE when there is no next number, after 2^32 updates or damage. */
enum err otadata_set_boot(struct otadata *o, unsigned slot, enum ota_state state, struct why *why);

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
 * CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE. */
enum err otadata_choose(struct otadata *o, bool has_factory, bool has_rollback, struct otadata_choice *choice,
                        struct why *why);

struct boot_port {
    /* Whether the partition holds an image that may run; called for candidates in order. */
    bool (*is_bootable)(struct boot_port *port, const struct partition *slot);
};

struct boot_choice {
    int index;                    /* slot number, BOOT_FACTORY, BOOT_TEST or BOOT_NONE */
    const struct partition *slot; /* NULL with BOOT_NONE */
    int wanted;                   /* what otadata named, before any fall-through */
    bool has_rolled_back;         /* a PENDING_VERIFY record was turned into ABORTED */
};

/* What the bootloader does at a reset, its otadata writes included.  ERR_NONE with `choice`, ERR_NOT_FOUND when nothing
 * bootable is left, ERR_FLASH. */
enum err boot_select(struct flash *flash, const struct partition_table *table, struct boot_port *port,
                     struct boot_choice *choice, struct why *why);

#endif
