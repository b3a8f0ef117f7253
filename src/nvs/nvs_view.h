/*
 * nvs_view.h - looks at an NVS partition's bytes as they are: every page and entry, erased ones too, nothing repaired.
 *
 *     struct nvs_view v;
 *     nvs_view_init(&v, bytes, why);
 *     for (struct nvs_item item = {0}; nvs_view_next(&v, &item);) ...
 *
 * For people who ask what is in a partition; firmware mounts it with nvs_part.h.
 */
#ifndef PLUVIO_NVS_NVS_VIEW_H
#define PLUVIO_NVS_NVS_VIEW_H

#include "base/buf.h"
#include "nvs/nvs_format.h"
#include "nvs/nvs_part.h"

struct nvs_view {
    struct bytes bytes; /* borrowed */
    unsigned pages;
    char spaces[256][NVS_KEY_LEN + 1]; /* names by index, "" when not defined */
};

struct nvs_view_page {
    const char *state; /* "empty", "active", "full", "freeing", "corrupt", "unknown" */
    uint32_t seq;
    uint8_t version;      /* 1 or 2, 0 for an empty page; another number when the byte says neither */
    bool is_header_right; /* its CRC; true for an empty page */
    unsigned written, erased, empty;
};

struct nvs_item {
    unsigned page, index, next; /* `next` is where the walk goes on */
    bool is_started;
    uint8_t space, type, span, chunk;
    bool is_erased, is_right; /* is_right: span, marks and CRCs of header and data hold */
    char key[NVS_KEY_LEN + 2];
    size_t len;        /* of a number, of text with its terminator, of a chunk, or of the whole blob for its index */
    uint8_t number[8]; /* numbers: the value */
};

/* ERR_FORMAT for a size that is no multiple of a page, or 0. */
enum err nvs_view_init(struct nvs_view *v, struct bytes bytes, struct why *why);

void nvs_view_page(const struct nvs_view *v, unsigned page, struct nvs_view_page *p);

/* Goes to the next item in the order of pages as they lie: false at the end.  Pages that are empty, or whose header is
 * wrong, are passed over. */
bool nvs_view_next(const struct nvs_view *v, struct nvs_item *item);

/* The value of an item that is right: numbers little-endian, text with its terminator, blobs whole (ask the index, or
 * the single item of version 1).  ERR_NOT_FOUND when a chunk is missing or wrong. */
enum err nvs_view_value(const struct nvs_view *v, const struct nvs_item *item, struct buf *to, struct why *why);

/* Finds the written item that holds a value: a number, text, a blob's index.  The one written last wins. */
bool nvs_view_find(const struct nvs_view *v, const char *space, const char *key, struct nvs_item *item);

/* "u8", "string", "blob", "blob chunk", "blob index", ... ; "?" for a type that is none. */
const char *nvs_type_text(unsigned type);

/* The partition as a CSV table from which nvs_csv_make() makes the same values.  Types that CSV has no word for
 * (float, double) become comments. */
enum err nvs_view_write_csv(const struct nvs_view *v, struct buf *to, struct why *why);

#endif
