/*
 * flash_file.h - flash in a file: the door behind the flash port on Linux.
 *
 * Promises NOR rules: program is AND, erase sets a sector to 0xff.  With `is_slow` both take the time of a common
 * 25Q-series part, so that progress can be watched.
 */
#ifndef PLUVIO_ESP_FLASH_FILE_H
#define PLUVIO_ESP_FLASH_FILE_H

#include "flash/flash.h"

struct flash_file {
    struct flash flash;
    int fd;
    bool is_slow;
};

/* Takes an open descriptor; the file's size is the flash's, a multiple of the sector. */
enum err flash_file_init(struct flash_file *f, int fd, bool is_slow, struct why *why);

#endif
