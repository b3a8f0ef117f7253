/*
 * flash.h - the flash port: NOR flash as firmware sees it, and adapters for it in memory.
 *
 * Promises of every adapter: erase sets whole sectors to 0xff, program only turns 1 bits into 0 bits, read sees what is
 * there.  The file adapter is a door and lives in `esp`.
 */
#ifndef PLUVIO_FLASH_FLASH_H
#define PLUVIO_FLASH_FLASH_H

#include "base/bytes.h"
#include "base/err.h"

#define FLASH_SECTOR_BYTES 4096u

struct flash;

struct flash_ops {
    /* Reads `len` bytes at `at`. */
    enum err (*read)(struct flash *f, uint32_t at, void *to, size_t len, struct why *why);
    /* Turns 1 bits into 0 bits only.  Power may fail after any byte; bytes before it are kept. */
    enum err (*program)(struct flash *f, uint32_t at, struct bytes from, struct why *why);
    /* Sets one whole sector to 0xff.  A power failure leaves the sector undefined. */
    enum err (*erase)(struct flash *f, uint32_t sector, struct why *why);
};

struct flash {
    const struct flash_ops *ops;
    uint32_t size_bytes; /* a multiple of FLASH_SECTOR_BYTES */
};

/* A bounded stretch of flash: a partition or slot.  These functions never touch a byte outside it: ERR_FLASH. */
struct stretch {
    struct flash *flash;
    uint32_t at, size_bytes;
};

enum err stretch_read(struct stretch s, uint32_t at, void *to, size_t len, struct why *why);
enum err stretch_program(struct stretch s, uint32_t at, struct bytes from, struct why *why);

/* `at` and `len` are multiples of the sector. */
enum err stretch_erase(struct stretch s, uint32_t at, uint32_t len, struct why *why);

/* The same with a look at the result: a sector that is not blank afterwards is erased a second time.  ERR_FLASH when it
 * still is not. */
enum err stretch_erase_sure(struct stretch s, uint32_t at, uint32_t len, struct why *why);

/* Programs and reads back; ERR_FLASH when something else is there.  Bits that were 0 before must be 0 in `from`. */
enum err stretch_program_sure(struct stretch s, uint32_t at, struct bytes from, struct why *why);

/* Flash in the caller's memory, which starts out as it is (usually filled with 0xff). */
struct flash_ram {
    struct flash flash;
    uint8_t *bytes;
};

void flash_ram_init(struct flash_ram *ram, uint8_t *bytes, uint32_t size_bytes);

/* An adapter around an adapter: after `ops_left` programs and erases it fails every operation, as if power were gone.
 */
struct flash_cut {
    struct flash flash;
    struct flash *under;
    long ops_left;
    bool is_torn; /* the operation that meets the cut is done by half */
};

void flash_cut_init(struct flash_cut *cut, struct flash *under, long ops_left, bool is_torn);

#endif
