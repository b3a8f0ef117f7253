/*
 * esp_bootloader_desc.h - the descriptor of a second-stage bootloader (ESP-IDF 5.5): 80 bytes at offset 0x20.
 */
#ifndef PLUVIO_ESP_ESP_BOOTLOADER_DESC_H
#define PLUVIO_ESP_ESP_BOOTLOADER_DESC_H

#include <stdint.h>

#define ESP_BOOTLOADER_DESC_MAGIC_BYTE 80

typedef struct {
    uint8_t magic_byte;
    uint8_t reserved[2];
    uint8_t secure_version;
    uint32_t version;
    char idf_ver[32];
    char date_time[24];
    uint8_t reserved2[16];
} esp_bootloader_desc_t;

#endif
