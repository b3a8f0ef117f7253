/*
 * esp_flash.h - the main flash by addresses (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_FLASH_H
#define PLUVIO_ESP_ESP_FLASH_H

#include "esp_err.h"
#include "esp_partition.h"
#include "spi_flash_mmap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NULL stands for the main flash in every call. */
extern esp_flash_t *esp_flash_default_chip;

esp_err_t esp_flash_get_size(esp_flash_t *chip, uint32_t *out_size);
esp_err_t esp_flash_get_physical_size(esp_flash_t *chip, uint32_t *flash_size);
esp_err_t esp_flash_read(esp_flash_t *chip, void *buffer, uint32_t address, uint32_t length);
esp_err_t esp_flash_write(esp_flash_t *chip, const void *buffer, uint32_t address, uint32_t length);
/* Both are multiples of 4096: INVALID_ARG. */
esp_err_t esp_flash_erase_region(esp_flash_t *chip, uint32_t start, uint32_t len);

#ifdef __cplusplus
}
#endif

#endif
