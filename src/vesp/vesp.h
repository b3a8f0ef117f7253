/* vesp.h - what vesp's commands share. */
#ifndef PLUVIO_VESP_VESP_H
#define PLUVIO_VESP_VESP_H

#include "esp/flash_file.h"
#include "flash/partition.h"

enum err command_new(int argc, char **argv, struct why *why);
enum err command_run(int argc, char **argv, struct why *why);
enum err command_show(int argc, char **argv, struct why *why);

struct node_flash {
    struct flash_file file;
    struct partition_table table;
};

/* Opens a flash file and reads its partition table.  A second vesp on the same file is refused: ERR_BUSY. */
enum err node_flash_open(struct node_flash *n, const char *path, bool is_slow, struct why *why);
void node_flash_close(struct node_flash *n);

/* Where `vesp new` leaves the certificates that stand for the bundle: beside the flash file. */
void bundle_path(const char *flash_path, char *to, size_t size);

#endif
