/*
 * partition.h - ESP-IDF's partition table: its binary form and its CSV form, both read and written.
 *
 * Binary: records of 32 bytes, an MD5 record, a terminator of 0xff, 0xC00 bytes in all, at 0x8000 by default.
 * Follows ESP-IDF's gen_esp32part and esp_partition_table_verify.
 */
#ifndef PLUVIO_FLASH_PARTITION_H
#define PLUVIO_FLASH_PARTITION_H

#include "base/text.h"
#include "flash/flash.h"

#define PARTITION_TABLE_AT    0x8000u
#define PARTITION_TABLE_BYTES 0xc00u
#define PARTITION_SECTOR      0x1000u /* the table has a sector of its own */
#define PARTITIONS_MAX        95      /* 96 records less the terminator; one less with an MD5 record */
#define PARTITION_LABEL_LEN   16

enum partition_type {
    PARTITION_APP = 0x00,
    PARTITION_DATA = 0x01,
    PARTITION_BOOTLOADER = 0x02,
    PARTITION_TABLE = 0x03
};

enum partition_subtype {
    PARTITION_APP_FACTORY = 0x00,
    PARTITION_APP_OTA_0 = 0x10, /* .. 0x1f */
    PARTITION_APP_TEST = 0x20,
    PARTITION_DATA_OTA = 0x00,
    PARTITION_DATA_PHY = 0x01,
    PARTITION_DATA_NVS = 0x02,
    PARTITION_DATA_COREDUMP = 0x03,
    PARTITION_DATA_NVS_KEYS = 0x04,
    PARTITION_DATA_EFUSE = 0x05,
    PARTITION_DATA_UNDEFINED = 0x06,
    PARTITION_DATA_TEE_OTA = 0x90,
    PARTITION_BOOTLOADER_PRIMARY = 0x00,
    PARTITION_BOOTLOADER_RECOVERY = 0x02,
    PARTITION_TABLE_PRIMARY = 0x00,
};

#define PARTITION_FLAG_ENCRYPTED 1u
#define PARTITION_FLAG_READONLY  2u

struct partition {
    uint8_t type, subtype;
    uint32_t at, size_bytes, flags;
    char label[PARTITION_LABEL_LEN + 1];
};

struct partition_table {
    struct partition entries[PARTITIONS_MAX];
    unsigned count;
    bool has_md5; /* tables of old tools have no MD5 record */
};

/* Reads the binary form and checks what firmware checks (esp_partition_table_verify): magic, MD5, terminator, and with
 * a `flash_size` other than 0 that entries lie in the flash.  ERR_FORMAT. */
enum err partition_table_read(struct partition_table *t, struct bytes raw, uint32_t flash_size, struct why *why);

/* Writes all 0xC00 bytes, with the MD5 record when has_md5. */
void partition_table_write(const struct partition_table *t, uint8_t raw[static PARTITION_TABLE_BYTES]);

/* What the generator is told beside the CSV; all 0 are its defaults. */
struct partition_options {
    uint32_t table_at;   /* 0: PARTITION_TABLE_AT */
    uint32_t flash_size; /* 0: not compared */
    uint32_t primary_bootloader_at;
    uint32_t recovery_bootloader_at;
    bool has_bootloader; /* the two offsets above are given: rows of type bootloader are allowed */
    bool has_recovery;
    bool is_secure_v1; /* app sizes are multiples of 64 KB */
    bool is_without_md5;
    /* The value of $NAME or ${NAME} in the CSV; NULL when it is not set.  NULL: there are no variables. */
    const char *(*variable)(void *context, const char *name);
    void *context;
    /* More subtypes: lines "type,name,value" as components of ESP-IDF declare them; NULL: none. */
    const char *extra_subtypes;
};

/* Reads a CSV text, assigns empty offsets and verifies it, as gen_esp32part does.  Text may start with a byte order
 * mark of UTF-8, UTF-16 or UTF-32.  `o` may be NULL.  ERR_FORMAT with the line. */
enum err partition_table_read_csv(struct partition_table *t, struct bytes csv, const struct partition_options *o,
                                  struct why *why);

/* The generator's rules for a table however it was read: alignment, names, overlaps, otadata and the like. */
enum err partition_table_check(const struct partition_table *t, const struct partition_options *o, struct why *why);

/* The text of a warning about the n-th entry's name, which looks like another type's; NULL when it is fine. */
const char *partition_warning(const struct partition_table *t, unsigned index);

/* The CSV form, as gen_esp32part prints it. */
#define PARTITION_CSV_SIZE (128 + PARTITIONS_MAX * 96)
void partition_table_write_csv(const struct partition_table *t, struct text *to);

/* NULL when there is none; `label` may be NULL. */
const struct partition *partition_find(const struct partition_table *t, unsigned type, unsigned subtype,
                                       const char *label);
const struct partition *partition_find_label(const struct partition_table *t, const char *label);

/* How many OTA slots follow each other from ota_0. */
unsigned partition_ota_count(const struct partition_table *t);

/* "ota_0", "nvs" or a decimal number as the generator writes it, into `to`. */
const char *partition_subtype_text(const struct partition *p, char to[static 16]);
const char *partition_type_text(const struct partition *p, char to[static 16]);

/* A word's value: type -1 for the names of types, else the subtypes of that type.  False when it is none. */
bool partition_word(const char *word, int type, uint8_t *value);

struct stretch partition_stretch(struct flash *flash, const struct partition *p);

#endif
