/*
 * pack.h - wraps a program in a well-formed ESP image.
 *
 * Made for Linux nodes: segment 0 holds the app descriptor, segments 1.. hold the ELF file, cut where the bootloader's
 * limit for one segment demands it.  Checksum and SHA-256 are appended, as esptool does.
 */
#ifndef PLUVIO_IMAGE_PACK_H
#define PLUVIO_IMAGE_PACK_H

#include "base/buf.h"
#include "base/err.h"

#define PACK_DESC_ADDRESS 0x3c000020u /* where segment 0 would be mapped; tells nothing on Linux */
#define PACK_ELF_ADDRESS  0x50000000u /* first address of the ELF's bytes; consecutive segments continue it */

struct pack_options {
    const char *project_name, *version; /* 1 to 31 characters each */
    const char *date, *time;            /* "Nov  2 2026" and "12:34:56", or "" */
    uint32_t secure_version;
    uint16_t chip_id;
};

/* Appends the image to `to`.  ERR_USAGE for a name that does not fit, ERR_FORMAT when `elf` is no ELF file,
 * ERR_TOO_BIG when it needs more than 15 segments, ERR_NO_MEMORY. */
enum err image_pack(struct buf *to, struct bytes elf, const struct pack_options *options, struct why *why);

#endif
