/*
 * nvs_make.h - makes an NVS partition image, entry by entry, as Espressif's nvs_partition_gen lays it out.
 *
 * The generator fills pages in another way than firmware does (it never puts a string's end into a page's last entry,
 * it starts a page before a blob's index rather than leave less than an entry), and images are compared byte by byte:
 * so this is not nvs_part over memory.
 *
 *     struct nvs_maker m;
 *     nvs_maker_init(&m, bytes, 0x6000, NVS_VERSION_2, why);          bytes: the caller's, all of them are written
 *     nvs_maker_space(&m, "rmaker_creds", why);
 *     nvs_maker_add(&m, "node_id", NVS_BLOB_DATA, bytes_of_text(id), why);
 *
 * The image is valid after every call.
 */
#ifndef PLUVIO_NVS_NVS_MAKE_H
#define PLUVIO_NVS_NVS_MAKE_H

#include "nvs/nvs_format.h"
#include "nvs/nvs_part.h"

struct nvs_maker {
    uint8_t *bytes;
    unsigned pages, page, entry; /* pages that may be filled; the current one; its next free entry */
    uint8_t version, space;
    unsigned spaces;
    char names[NVS_SPACES_MAX][NVS_KEY_LEN + 1];
};

/* `size`: a multiple of 4096; from 0x3000 on the last page stays blank, as firmware needs one to write.  Smaller
 * partitions are read-only.  `version`: NVS_VERSION_1 or NVS_VERSION_2.  ERR_USAGE. */
enum err nvs_maker_init(struct nvs_maker *m, uint8_t *bytes, uint32_t size, uint8_t version, struct why *why);

/* What follows belongs to this namespace.  ERR_USAGE for a name of 0 or more than 15 bytes, ERR_NO_SPACE. */
enum err nvs_maker_space(struct nvs_maker *m, const char *name, struct why *why);

/* `type`: a number's (little-endian value of its size), NVS_TEXT (terminator included) or NVS_BLOB_DATA.  ERR_USAGE,
 * ERR_TOO_BIG for text over 4000 bytes (1984 in version 1, blobs too), ERR_NO_SPACE when the partition is full. */
enum err nvs_maker_add(struct nvs_maker *m, const char *key, enum nvs_part_type type, struct bytes value,
                       struct why *why);

/* Bytes of a number type; 0 for types that are none. */
size_t nvs_number_len(unsigned type);

#endif
