/*
 * esp_flash_encrypt.h - flash encryption, which is never on here (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_FLASH_ENCRYPT_H
#define PLUVIO_ESP_ESP_FLASH_ENCRYPT_H

#include "esp_err.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

bool esp_flash_encryption_enabled(void);

#ifdef __cplusplus
}
#endif

#endif
