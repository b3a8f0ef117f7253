/*
 * esp.h - what the stand-in for ESP-IDF keeps: one context, because ESP-IDF's APIs have no handle.
 *
 * vesp starts an application with these in its environment:
 *   VESP_FLASH_FD   descriptor of the flash file
 *   VESP_SLOT       address of the slot that runs
 *   VESP_RESET      number of the reset reason (esp_reset_reason_t)
 *   VESP_CRT_BUNDLE file of the certificates that stand for the bundle; without it the system's
 *   VESP_FLASH_SPEED "real": erase and program take as long as on a flash chip
 * and takes its end as a reset: exit status ESP_EXIT_RESTART is esp_restart(), anything else a panic or lost power.
 */
#ifndef PLUVIO_ESP_ESP_H
#define PLUVIO_ESP_ESP_H

#include "esp/flash_file.h"
#include "esp/include/esp_app_desc.h"
#include "esp/include/esp_partition.h"
#include "esp/include/esp_system.h"
#include "flash/partition.h"

#include <pthread.h>

#define ESP_EXIT_RESTART 77

struct esp {
    struct flash_file flash;
    struct partition_table table;
    esp_partition_t partitions[PARTITIONS_MAX];
    const esp_partition_t *running;
    esp_app_desc_t app_desc;
    esp_reset_reason_t reset_reason;
    const char *crt_bundle; /* NULL: the system's */
    pthread_mutex_t lock;   /* flash, NVS and OTA state */
};

extern struct esp esp_context;

/* Opens what vesp hands over; ends the process when it was not started by vesp. */
void esp_context_open(void);

/* Our partition for ESP-IDF's pointer. */
struct stretch esp_stretch(const esp_partition_t *partition);

/* ESP_ERR_* for an error of the rooms below. */
esp_err_t esp_err_of(enum err err);

#endif
