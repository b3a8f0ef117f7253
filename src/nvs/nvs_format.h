/*
 * nvs_format.h - where things lie in an NVS page and entry, for the modules of this room.
 *
 * Written to flash, never renumber.  Source: ESP-IDF's NVS partition format, versions 1 and 2.
 */
#ifndef PLUVIO_NVS_NVS_FORMAT_H
#define PLUVIO_NVS_NVS_FORMAT_H

#include "codec/crc.h"
#include "flash/flash.h"

#define NVS_PAGE_BYTES     FLASH_SECTOR_BYTES
#define NVS_BITMAP_AT      32u
#define NVS_ENTRIES_AT     64u
#define NVS_ENTRY_LEN      32u
#define NVS_VERSION_1      0xff /* blobs in one page, type 0x41 */
#define NVS_VERSION_2      0xfe /* blobs in chunks over several pages */
#define NVS_CHUNK_ANY      0xff
#define NVS_SPACE_OF_NAMES 0 /* the namespace that defines namespaces */
#define NVS_SPACES_MAX     254

enum nvs_mark { NVS_MARK_ERASED = 0, NVS_MARK_WRITTEN = 2, NVS_MARK_EMPTY = 3 };

static inline enum nvs_mark nvs_mark_of(const uint8_t *bitmap, unsigned index)
{
    unsigned bits = bitmap[index / 4] >> (index % 4 * 2) & 3;
    return bits == 1 ? NVS_MARK_ERASED : (enum nvs_mark)bits; /* 01 is illegal: half an erase mark */
}

/* Over everything but itself. */
static inline uint32_t nvs_entry_crc(const uint8_t *entry)
{
    return crc32_of(crc32_of(CRC32_ESP_INIT, bytes_of(entry, 4)), bytes_of(entry + 8, 24));
}

static inline uint32_t nvs_header_crc(const uint8_t *page)
{
    return crc32_of(CRC32_ESP_INIT, bytes_of(page + 4, 24));
}

static inline bool nvs_has_data(unsigned type)
{
    return type == 0x21 || type == 0x41 || type == 0x42; /* text, blob of version 1, chunk of a blob */
}

#endif
