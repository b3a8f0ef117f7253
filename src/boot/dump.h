/*
 * dump.h - takes a flash dump apart: bootloader, partition table, partitions, and what lies between them.
 *
 * A dump is flash as it is read from a chip, or as esptool's merge-bin makes it.  It may begin at another address than
 * 0: esptool leaves out what lies below the bootloader.
 *
 *     struct dump d;
 *     dump_open(&d, bytes, NULL, why);
 *     for (unsigned i = 0; i < d.count; i++) ... d.pieces[i]
 *
 * Promise: the pieces cover the whole dump, do not overlap, and leave out nothing but erased bytes at their ends:
 * putting them back at their addresses over erased flash gives the dump again.
 */
#ifndef PLUVIO_BOOT_DUMP_H
#define PLUVIO_BOOT_DUMP_H

#include "boot/boot.h"
#include "image/image.h"

#define DUMP_PIECES_MAX (2 * PARTITIONS_MAX + 6)

struct dump_piece {
    enum { DUMP_BOOTLOADER, DUMP_TABLE, DUMP_PARTITION, DUMP_GAP } kind;
    char name[32];                     /* "bootloader", "partition-table", the label, "gap-0x9000": fit for a file */
    uint32_t at, size_bytes;           /* flash address and room */
    uint32_t len;                      /* bytes worth keeping, 0 when all are erased: an image with its signature, a
                                        * data partition whole, else up to the last sector that is not erased */
    const struct partition *partition; /* DUMP_PARTITION only */
};

struct dump {
    struct bytes bytes; /* borrowed */
    uint32_t base;      /* flash address of the first byte */
    uint32_t table_at;  /* flash address of the partition table */
    struct partition_table table;
    struct dump_piece pieces[DUMP_PIECES_MAX];
    unsigned count;
};

struct dump_place {
    bool has_base, has_table; /* what is given is not guessed */
    uint32_t base, table_at;
};

/* Finds the table and cuts.  `place` may be NULL.  ERR_FORMAT when no partition table is found, or a partition begins
 * below the dump; partitions past its end are cut there. */
enum err dump_open(struct dump *d, struct bytes bytes, const struct dump_place *place, struct why *why);

/* A piece's bytes that are worth keeping. */
struct bytes dump_bytes(const struct dump *d, const struct dump_piece *piece);

/* The piece's image, when it holds one: ERR_NONE, or what is wrong with it; ERR_NOT_FOUND for pieces that hold none. */
enum err dump_image(const struct dump *d, const struct dump_piece *piece, struct image_facts *facts, struct why *why);

#endif
