/*
 * esp.h - what the stand-in for ESP-IDF keeps: one context, because ESP-IDF's APIs have no handle.
 *
 * vesp starts an application with these in its environment:
 *   VESP_FLASH_FD   descriptor of the flash file
 *   VESP_SLOT       address of the slot that runs
 *   VESP_RESET      number of the reset reason (esp_reset_reason_t)
 *   VESP_CHIP       ESP-IDF's name of the chip that the node stands for; without it CHIP_LINUX
 *   VESP_EFUSE_FD   descriptor of the eFuse file, see boot/efuse.h; without it nothing can be burnt
 *   VESP_TRUSTED    key digests of Secure Boot in hex, separated by commas; with it images must be signed
 *   VESP_CONTROL_FD descriptor of the page that vesp and the application share, see flash_file.h
 *   VESP_CRT_BUNDLE file of the certificates that stand for the bundle; without it the system's
 *   VESP_CLOCK      "unset": the clock begins in 1970; without it, the host's, see clock.c
 *   VESP_FLASH_SPEED "real": erase and program take as long as on a flash chip
 * and takes its end as a reset: exit status ESP_EXIT_RESTART is esp_restart(), ESP_EXIT_WATCHDOG the task watchdog,
 * anything else a panic or lost power.
 */
#ifndef PLUVIO_ESP_ESP_H
#define PLUVIO_ESP_ESP_H

#include "boot/boot.h"
#include "boot/slot.h"
#include "esp/flash_file.h"
#include "esp/include/esp_app_desc.h"
#include "esp/include/esp_partition.h"
#include "esp/include/esp_system.h"
#include "esp/options.h"

#include <pthread.h>

#define ESP_EXIT_RESTART  77
#define ESP_EXIT_WATCHDOG 78

#define ESP_EXTERNAL_PARTITIONS 8 /* that an application may register */

/* What a reset hands to the application. */
struct esp_start {
    struct flash *flash;
    uint32_t slot; /* address of the slot that runs */
    esp_reset_reason_t reset_reason;
    const struct chip *chip;
    struct efuse efuse;                              /* flash.flash NULL: there is none */
    struct key_digest trusted[SIGNATURE_BLOCKS_MAX]; /* Secure Boot's; none: it is off */
    unsigned trusted_count;
    const char *crt_bundle; /* NULL: the system's */
    const struct esp_options *options;
};

struct esp {
    struct esp_start start;
    struct flash_file file, efuse_file; /* behind start.flash, when vesp started the application */
    struct partition_table table;
    esp_partition_t partitions[PARTITIONS_MAX + ESP_EXTERNAL_PARTITIONS];
    unsigned count;
    const esp_partition_t *running;
    esp_app_desc_t app_desc;
    pthread_mutex_t lock; /* flash, NVS and OTA state */
};

extern struct esp esp_context;

/* Opens what vesp hands over; ends the process when it was not started by vesp. */
void esp_context_open(const struct esp_options *options);

/* Starts the context on any flash: reads the table, finds the running slot, mends otadata.  May be called again, which
 * is a reset: open updates and NVS are forgotten.  ERR_NOT_FOUND when no partition begins at the slot. */
enum err esp_context_start(const struct esp_start *start, struct why *why);

/* Our partition for ESP-IDF's pointer. */
struct stretch esp_stretch(const esp_partition_t *partition);

/* The number of the OTA slot that runs, BOOT_FACTORY when none does. */
int esp_running_slot(void);

/* What images are measured by on this node; asks for signatures when Secure Boot or the options do. */
struct slot_rules esp_slot_rules(void);

/* ESP_ERR_* for an error of the rooms below. */
esp_err_t esp_err_of(enum err err);

/* What a reset takes from memory: open updates, mounted NVS partitions. */
void esp_ota_forget_sessions(void);

/* The partition is about to be written to or erased: what was verified there counts no longer. */
void esp_ota_note_write(const esp_partition_t *partition);
void esp_nvs_forget(void);

/* Sets the level of every tag. */
void esp_log_start(int level);

/* Ends the process as a reset does, with one of the statuses above. */
void esp_end(int status) __attribute__((noreturn));

#endif
