/*
 * nvs_part.h - ESP-IDF's key-value partition format ("NVS", version 2) over flash.
 *
 *     struct nvs_part nvs;
 *     nvs_part_mount(&nvs, partition_stretch(flash, p), why);
 *     nvs_part_write(&nvs, "rmaker_creds", "node_id", NVS_BLOB_DATA, bytes_of_text(id), why);
 *
 * Promises: a value is either the old or the new one after a power cut at any operation; the flash is what ESP-IDF
 * reads and writes.  Allocates nothing.  Names differ from ESP-IDF's own functions (room `esp`) on purpose: this is the
 * format, that is the API.
 *
 * Invariants:
 *  N1  a written item's header and data carry their CRC; an item that fails it is erased at mount
 *  N2  the new item is complete before the old one is erased; of two, the one written later wins
 *  N3  one page is always free, so that a full page's items can move before it is erased
 */
#ifndef PLUVIO_NVS_NVS_PART_H
#define PLUVIO_NVS_NVS_PART_H

#include "flash/flash.h"

#define NVS_PAGES_MAX 64
#define NVS_KEY_LEN   15
#define NVS_ENTRIES   126
#define NVS_TEXT_MAX  4000 /* bytes of a string with its terminator, and of one chunk of a blob */

/* Written to flash, never renumber. */
enum nvs_part_type {
    NVS_U8 = 0x01,
    NVS_I8 = 0x11,
    NVS_U16 = 0x02,
    NVS_I16 = 0x12,
    NVS_U32 = 0x04,
    NVS_I32 = 0x14,
    NVS_U64 = 0x08,
    NVS_I64 = 0x18,
    NVS_FLOAT = 0x24,
    NVS_DOUBLE = 0x28,
    NVS_TEXT = 0x21,
    NVS_BLOB_V1 = 0x41,
    NVS_BLOB_DATA = 0x42,
    NVS_BLOB_INDEX = 0x48,
    NVS_ANY_TYPE = 0xff,
};

struct nvs_part {
    struct stretch flash;
    unsigned page_count;
    struct nvs_page {
        enum { NVS_PAGE_FREE, NVS_PAGE_ACTIVE, NVS_PAGE_FULL, NVS_PAGE_FREEING, NVS_PAGE_CORRUPT } state;
        uint32_t seq;
        uint8_t next, erased; /* first entry never written; entries marked erased */
        uint8_t map[32];      /* the entries' marks, read once: bits that do not stay must not change their mind here */
        bool is_unsound;      /* its bits do not stay as they are written: its items move, then it is erased */
    } pages[NVS_PAGES_MAX];
    uint32_t next_seq;
    bool is_readonly; /* fewer than three pages */
};

/* Reads the pages and repairs what a power cut left.  ERR_FORMAT for a newer version, ERR_NO_SPACE when no page is
 * free (ESP-IDF's answer is to erase the partition), ERR_FLASH. */
enum err nvs_part_mount(struct nvs_part *n, struct stretch flash, struct why *why);

/* Reads a value.  `type` NVS_BLOB_DATA takes blobs of either version, numbers are little-endian of their size, text
 * comes with its terminator.  `*len` becomes the value's length even when `size` is too small (ERR_TOO_BIG) or `to`
 * is NULL (ERR_NONE).  ERR_NOT_FOUND; ERR_TYPE when the key holds another type. */
enum err nvs_part_read(struct nvs_part *n, const char *space, const char *key, enum nvs_part_type type, void *to,
                       size_t size, size_t *len, struct why *why);

/* Writes a value, replacing any of that key; an unchanged value is not written again.  Text includes its terminator.
 * ERR_USAGE for a key or namespace longer than 15, ERR_TOO_BIG, ERR_NO_SPACE, ERR_FLASH. */
enum err nvs_part_write(struct nvs_part *n, const char *space, const char *key, enum nvs_part_type type,
                        struct bytes value, struct why *why);

enum err nvs_part_erase(struct nvs_part *n, const char *space, const char *key, struct why *why);
enum err nvs_part_erase_space(struct nvs_part *n, const char *space, struct why *why);

/* Whether the namespace exists. */
bool nvs_part_has_space(struct nvs_part *n, const char *space);

/* Makes the namespace when it does not exist yet. */
enum err nvs_part_make_space(struct nvs_part *n, const char *space, struct why *why);

/* The type of the value a key holds, blobs as NVS_BLOB_DATA.  ERR_NOT_FOUND. */
enum err nvs_part_type(struct nvs_part *n, const char *space, const char *key, enum nvs_part_type *type,
                       struct why *why);

/* What a walk over all values is on; start with all 0. */
struct nvs_part_item {
    char space[NVS_KEY_LEN + 1], key[NVS_KEY_LEN + 1];
    enum nvs_part_type type; /* blobs as NVS_BLOB_DATA */
    uint64_t order;          /* where the walk goes on */
    unsigned page, index;
    bool is_on_page;
};

/* Goes to the next value in the order of writing; false at the end.  Writing in between may show a value twice. */
bool nvs_part_next(struct nvs_part *n, struct nvs_part_item *item);

struct nvs_part_stats {
    unsigned used, total; /* entries: written, and in all pages */
    unsigned spaces;
};

void nvs_part_stats(struct nvs_part *n, struct nvs_part_stats *stats);

/* Entries that the values of a namespace take. */
unsigned nvs_part_space_entries(struct nvs_part *n, const char *space);

#endif
