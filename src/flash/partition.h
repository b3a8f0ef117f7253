/*
 * partition.h - ESP-IDF's partition table, from CSV and from its binary form, and to the binary form.
 *
 * Binary: records of 32 bytes, an MD5 record, a terminator of 0xff, 0xC00 bytes in all, at 0x8000 by default.
 * Follows ESP-IDF's gen_esp32part and esp_partition_table_verify.
 */
#ifndef PLUVIO_FLASH_PARTITION_H
#define PLUVIO_FLASH_PARTITION_H

#include "flash/flash.h"

#define PARTITION_TABLE_AT    0x8000u
#define PARTITION_TABLE_BYTES 0xc00u
#define PARTITIONS_MAX        94 /* 96 records less the MD5 record and the terminator */
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
};

/* Reads and verifies the binary form.  `flash_size` 0: entries are not compared with it. */
enum err partition_table_read(struct partition_table *t, struct bytes raw, uint32_t flash_size, struct why *why);

/* Reads a CSV text and verifies it; empty offsets are assigned as gen_esp32part does. */
enum err partition_table_read_csv(struct partition_table *t, struct bytes csv, struct why *why);

/* Writes all 0xC00 bytes, with the MD5 record. */
void partition_table_write(const struct partition_table *t, uint8_t raw[static PARTITION_TABLE_BYTES]);

/* NULL when there is none; `label` may be NULL. */
const struct partition *partition_find(const struct partition_table *t, unsigned type, unsigned subtype,
                                       const char *label);
const struct partition *partition_find_label(const struct partition_table *t, const char *label);

/* How many OTA slots follow each other from ota_0. */
unsigned partition_ota_count(const struct partition_table *t);

/* "ota_0", "nvs" or a number, into `to`. */
const char *partition_subtype_text(const struct partition *p, char to[static 16]);
const char *partition_type_text(const struct partition *p, char to[static 16]);

struct stretch partition_stretch(struct flash *flash, const struct partition *p);

#endif
