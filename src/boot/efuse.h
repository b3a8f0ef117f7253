/*
 * efuse.h - the secure version that anti-rollback compares: a counter that only rises, as a chip keeps it in eFuses.
 *
 * Here its bits lie in NOR flash, where a bit that was cleared stays so until a sector is erased, which nobody does:
 * burnt bits are 0.  The value is the number of burnt bits, so that a burn which a power cut ends is a smaller rise,
 * never a fall, and burning again completes it.  The word stands in three pages, and two of three decide about each
 * bit: a bit of flash may fall by itself, a fuse does not.  Documents: ESP-IDF's esp_efuse_check_secure_version and
 * esp_efuse_update_secure_version.
 */
#ifndef PLUVIO_BOOT_EFUSE_H
#define PLUVIO_BOOT_EFUSE_H

#include "flash/flash.h"

#define EFUSE_BITS_MAX 32

struct efuse {
    struct stretch flash; /* the first sector is used */
    unsigned bits;        /* how many count, 1 .. EFUSE_BITS_MAX; a chip's field or less */
};

enum err efuse_secure_version(const struct efuse *e, uint32_t *version, struct why *why);

/* Raises the counter.  ERR_TOO_BIG for more than there are bits, ERR_USAGE for less than the value. */
enum err efuse_raise(const struct efuse *e, uint32_t version, struct why *why);

#endif
