/*
 * esp_app_desc.h - the application descriptor (ESP-IDF 5.5): 256 bytes at offset 0x20 of an image.
 */
#ifndef PLUVIO_ESP_ESP_APP_DESC_H
#define PLUVIO_ESP_ESP_APP_DESC_H

#include "esp_err.h"

#define ESP_APP_DESC_MAGIC_WORD 0xABCD5432

typedef struct {
    uint32_t magic_word;
    uint32_t secure_version;
    uint32_t reserv1[2];
    char version[32];
    char project_name[32];
    char time[16];
    char date[16];
    char idf_ver[32];
    uint8_t app_elf_sha256[32];
    uint16_t min_efuse_blk_rev_full;
    uint16_t max_efuse_blk_rev_full;
    uint8_t mmu_page_size;
    uint8_t reserv3[3]; /* the first one is the flash mode since ESP-IDF 6.1 */
    uint32_t reserv2[18];
} esp_app_desc_t;

#ifdef __cplusplus
extern "C" {
#endif

/* The running image's, read from its slot. */
const esp_app_desc_t *esp_app_get_description(void);
/* Hex of the ELF's SHA-256, cut to what fits; returns the bytes written with the terminator. */
int esp_app_get_elf_sha256(char *dst, size_t size);
char *esp_app_get_elf_sha256_str(void);
/* Their names before ESP-IDF 5.0. */
const esp_app_desc_t *esp_ota_get_app_description(void);
int esp_ota_get_app_elf_sha256(char *dst, size_t size);

#ifdef __cplusplus
}
#endif

#endif
