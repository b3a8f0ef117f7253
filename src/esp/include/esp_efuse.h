/*
 * esp_efuse.h - the secure version in the emulated eFuse (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_EFUSE_H
#define PLUVIO_ESP_ESP_EFUSE_H

#include "esp_err.h"

#include <stdbool.h>

#define ESP_ERR_EFUSE                        0x1600
#define ESP_OK_EFUSE_CNT                     (ESP_ERR_EFUSE + 0x01)
#define ESP_ERR_EFUSE_CNT_IS_FULL            (ESP_ERR_EFUSE + 0x02)
#define ESP_ERR_EFUSE_REPEATED_PROG          (ESP_ERR_EFUSE + 0x03)
#define ESP_ERR_CODING                       (ESP_ERR_EFUSE + 0x04)
#define ESP_ERR_NOT_ENOUGH_UNUSED_KEY_BLOCKS (ESP_ERR_EFUSE + 0x05)
#define ESP_ERR_DAMAGED_READING              (ESP_ERR_EFUSE + 0x06)
#define ESP_ERR_EFUSE_BURN_WR_DIS            (ESP_ERR_EFUSE + 0x07)

#ifdef __cplusplus
extern "C" {
#endif

uint32_t esp_efuse_read_secure_version(void);
bool esp_efuse_check_secure_version(uint32_t secure_version);
/* INVALID_ARG for more than there are bits, FAIL for less than the value. */
esp_err_t esp_efuse_update_secure_version(uint32_t secure_version);

#ifdef __cplusplus
}
#endif

#endif
