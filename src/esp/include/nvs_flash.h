/*
 * nvs_flash.h - start, stop and erase of NVS partitions (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_NVS_FLASH_H
#define PLUVIO_ESP_NVS_FLASH_H

#include "esp_partition.h"
#include "nvs.h"

#define NVS_KEY_SIZE 32

typedef struct {
    uint8_t eky[NVS_KEY_SIZE]; /* the data key */
    uint8_t tky[NVS_KEY_SIZE]; /* the tweak key */
} nvs_sec_cfg_t;

#ifdef __cplusplus
extern "C" {
#endif

esp_err_t nvs_flash_init(void);
esp_err_t nvs_flash_init_partition(const char *partition_label);
esp_err_t nvs_flash_deinit(void);
esp_err_t nvs_flash_deinit_partition(const char *partition_label);
/* Erases and de-initialises. */
esp_err_t nvs_flash_erase(void);
esp_err_t nvs_flash_erase_partition(const char *part_name);
esp_err_t nvs_flash_init_partition_ptr(const esp_partition_t *partition);
esp_err_t nvs_flash_erase_partition_ptr(const esp_partition_t *partition);
/* The same for encrypted partitions; NULL: not encrypted. */
esp_err_t nvs_flash_secure_init(nvs_sec_cfg_t *cfg);
esp_err_t nvs_flash_secure_init_partition(const char *partition_label, nvs_sec_cfg_t *cfg);
/* Random keys, written to a partition of type nvs_keys. */
esp_err_t nvs_flash_generate_keys(const esp_partition_t *partition, nvs_sec_cfg_t *cfg);
/* NVS_KEYS_NOT_INITIALIZED for a blank partition, NVS_CORRUPT_KEY_PART. */
esp_err_t nvs_flash_read_security_cfg(const esp_partition_t *partition, nvs_sec_cfg_t *cfg);

#ifdef __cplusplus
}
#endif

#endif
