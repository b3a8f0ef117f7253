/*
 * esp_secure_boot.h - whether images must be signed (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_SECURE_BOOT_H
#define PLUVIO_ESP_ESP_SECURE_BOOT_H

#include "esp_err.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* True when the node was made with `vesp new --trust`. */
bool esp_secure_boot_enabled(void);

#ifdef __cplusplus
}
#endif

#endif
