/*
 * esp_image_format.h - verifies images in flash (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_IMAGE_FORMAT_H
#define PLUVIO_ESP_ESP_IMAGE_FORMAT_H

#include "esp_app_format.h"
#include "esp_err.h"
#include "esp_flash_partitions.h"

#include <stdbool.h>

#define ESP_ERR_IMAGE_BASE       0x2000
#define ESP_ERR_IMAGE_FLASH_FAIL (ESP_ERR_IMAGE_BASE + 1)
#define ESP_ERR_IMAGE_INVALID    (ESP_ERR_IMAGE_BASE + 2)

#define ESP_IMAGE_HASH_LEN 32

typedef struct {
    uint32_t start_addr;
    esp_image_header_t image;
    esp_image_segment_header_t segments[ESP_IMAGE_MAX_SEGMENTS];
    uint32_t segment_data[ESP_IMAGE_MAX_SEGMENTS];
    uint32_t image_len;
    uint8_t image_digest[ESP_IMAGE_HASH_LEN];
    uint32_t secure_version;
    uint32_t mmu_page_size;
} esp_image_metadata_t;

typedef enum { ESP_IMAGE_VERIFY = 0, ESP_IMAGE_VERIFY_SILENT = 1 } esp_image_load_mode_t;

#ifdef __cplusplus
extern "C" {
#endif

/* Verifies the image at `part`; `data` gets what it holds, all 0 on an error.  INVALID_ARG, IMAGE_INVALID, FAIL for
 * another chip. */
esp_err_t esp_image_verify(esp_image_load_mode_t mode, const esp_partition_pos_t *part, esp_image_metadata_t *data);
/* Headers and segments alone. */
esp_err_t esp_image_get_metadata(const esp_partition_pos_t *part, esp_image_metadata_t *metadata);
/* Bytes of a header's flash size, 0 for a code that is none. */
int esp_image_get_flash_size(esp_image_flash_size_t app_flash_size);
uint32_t esp_image_bootloader_offset_get(void);
void esp_image_bootloader_offset_set(const uint32_t offset);

#ifdef __cplusplus
}
#endif

#endif
