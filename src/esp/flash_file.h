/*
 * flash_file.h - flash in a file: the door behind the flash port on Linux.
 *
 * Promises NOR rules: program is AND, erase sets a sector to 0xff.  With `is_slow` both take the time of a common
 * 25Q-series part, so that progress can be watched.
 */
#ifndef PLUVIO_ESP_FLASH_FILE_H
#define PLUVIO_ESP_FLASH_FILE_H

#include "flash/flash.h"

#include <stdatomic.h>

/* One page of memory that vesp and a running application share: vesp says when power goes, the application counts. */
struct flash_control {
    atomic_long cut_after; /* programs and erases until power goes, which kills the process in the middle of the last
                            * one; 0 or less: power stays */
    atomic_ulong programs, erases;
    atomic_uint seed; /* of what a cut operation leaves */
};

struct flash_file {
    struct flash flash;
    int fd;
    uint8_t *bytes; /* the file, shared with whoever else has it open */
    bool is_slow;
    _Atomic size_t touched;                 /* bytes since memory was last given back, see give_back() */
    void (*on_touch)(struct flash_file *f); /* when it is touched after a rest; NULL: nobody asks */
    struct flash_control *control;          /* NULL: nobody watches */
};

/* Takes an open descriptor; the file's size is the flash's, a multiple of the sector. */
enum err flash_file_init(struct flash_file *f, int fd, struct why *why);

/* Gives the pages that were touched back to the system: they are the file's again. */
void flash_file_rest(struct flash_file *f);

/* Lets go of the file's memory; the descriptor stays the caller's. */
void flash_file_deinit(struct flash_file *f);

/* A control page in anonymous memory: its descriptor, or -1. */
int flash_control_make(void);

/* Maps it; NULL when that fails. */
struct flash_control *flash_control_map(int fd);

#endif
