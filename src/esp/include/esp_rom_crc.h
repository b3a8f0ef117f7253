/*
 * esp_rom_crc.h - CRCs as the boot ROM computes them (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_ROM_CRC_H
#define PLUVIO_ESP_ESP_ROM_CRC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* CRC-32 continued from `crc`: zlib's crc32(). */
uint32_t esp_rom_crc32_le(uint32_t crc, uint8_t const *buf, uint32_t len);

#ifdef __cplusplus
}
#endif

#endif
