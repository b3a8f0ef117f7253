/*
 * vesp.h - what vesp's commands share: a node's files, and the small things around them.
 *
 * A node is its flash file and what lies beside it, named after it:
 *   FLASH          the flash, byte for byte
 *   FLASH.ini      what the chip and its bootloader are: see struct node_settings; without it the defaults
 *   FLASH.efuse    what was burnt (secure version); made when it is first needed
 *   FLASH.ca.pem   authorities that stand for the certificate bundle
 *   FLASH.log      what it printed, and FLASH.log.1 what it printed before that
 */
#ifndef PLUVIO_VESP_VESP_H
#define PLUVIO_VESP_VESP_H

#include "base/buf.h"
#include "boot/boot.h"
#include "boot/slot.h"
#include "esp/flash_file.h"

enum err command_new(int argc, char **argv, struct why *why);
enum err command_run(int argc, char **argv, struct why *why);
enum err command_reset(int argc, char **argv, struct why *why);
enum err command_cut(int argc, char **argv, struct why *why);
enum err command_ps(int argc, char **argv, struct why *why);
enum err command_log(int argc, char **argv, struct why *why);
enum err command_show(int argc, char **argv, struct why *why);
enum err command_flash(int argc, char **argv, struct why *why);

/* The second-stage bootloader as it was built, and the chip below it. */
struct node_settings {
    const struct chip *chip;
    bool has_rollback;      /* CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE */
    bool has_anti_rollback; /* CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK */
    bool is_chip_loader;    /* otadata by the chip's rules alone, without our seals */
    struct key_digest trusted[SIGNATURE_BLOCKS_MAX];
    unsigned trusted_count; /* not 0: images must be signed by one of these */
};

void node_settings_default(struct node_settings *s);
enum err node_settings_write(const struct node_settings *s, const char *flash_path, struct why *why);

struct node {
    struct flash_file file, efuse_file;
    struct partition_table table;
    struct node_settings settings;
    struct efuse efuse;
};

/* Opens a node's files and reads its partition table.  A second vesp on the same file is refused: ERR_BUSY. */
enum err node_open(struct node *n, const char *path, struct why *why);
void node_close(struct node *n);

/* What images are measured by there, the secure version included when it counts. */
enum err node_slot_rules(struct node *n, struct slot_rules *rules, struct why *why);

/* "lamp.flash" and ".log": the path of a file beside the flash. */
void node_path(const char *flash_path, const char *suffix, char *to, size_t size);

enum err file_read(const char *path, struct buf *to, struct why *why);
/* `flags`: O_TRUNC or O_EXCL. */
enum err file_write(const char *path, struct bytes data, int flags, struct why *why);

/* "4M", "0x10000": ERR_USAGE for anything else. */
enum err size_parse(const char *text, uint32_t *to, struct why *why);

/* --- one vesp asks another: control.c ---------------------------------------------------------- */

/* Listens for commands; the descriptor, or -1. */
int control_listen(struct why *why);
void control_unlink(void);

/* Takes one command from a listener and answers with what `answer` adds to the text; `answer` is told the words. */
struct control_words {
    char name[16], path[4096];
    long number;
};
void control_serve(int listener, void (*answer)(void *context, const struct control_words *words, struct buf *to),
                   void *context);

#endif
