/*
 * esp_https_ota.h - updates over HTTPS (ESP-IDF 5.5, with the members that came in 6.x).
 *
 * Simple: esp_https_ota() does all but the restart.  Step by step: begin, perform until it is no longer
 * ESP_ERR_HTTPS_OTA_IN_PROGRESS, finish or abort.
 */
#ifndef PLUVIO_ESP_ESP_HTTPS_OTA_H
#define PLUVIO_ESP_ESP_HTTPS_OTA_H

#include "esp_app_desc.h"
#include "esp_bootloader_desc.h"
#include "esp_event.h"
#include "esp_http_client.h"
#include "esp_ota_ops.h"
#include <sdkconfig.h>

#define ESP_ERR_HTTPS_OTA_BASE        0x9000
#define ESP_ERR_HTTPS_OTA_IN_PROGRESS (ESP_ERR_HTTPS_OTA_BASE + 1)

typedef void *esp_https_ota_handle_t;
typedef esp_err_t (*http_client_init_cb_t)(esp_http_client_handle_t client);

/* Events of base ESP_HTTPS_OTA_EVENT, and what comes with them. */
typedef enum {
    ESP_HTTPS_OTA_START,
    ESP_HTTPS_OTA_CONNECTED,
    ESP_HTTPS_OTA_GET_IMG_DESC,
    ESP_HTTPS_OTA_VERIFY_CHIP_ID,       /* esp_chip_id_t */
    ESP_HTTPS_OTA_VERIFY_CHIP_REVISION, /* uint16_t: the least revision that the image takes */
    ESP_HTTPS_OTA_DECRYPT_CB,
    ESP_HTTPS_OTA_WRITE_FLASH,           /* int: bytes written so far */
    ESP_HTTPS_OTA_UPDATE_BOOT_PARTITION, /* esp_partition_subtype_t */
    ESP_HTTPS_OTA_FINISH,
    ESP_HTTPS_OTA_ABORT
} esp_https_ota_event_t;

typedef struct {
    const char *data_in;
    size_t data_in_len;
    char *data_out; /* allocated by the callback, freed by the caller */
    size_t data_out_len;
} decrypt_cb_arg_t;

typedef esp_err_t (*decrypt_cb_t)(decrypt_cb_arg_t *args, void *user_ctx);

/* The library is compiled once, so members that ESP-IDF has by options are always here. */
typedef struct {
    const esp_http_client_config_t *http_config;
    http_client_init_cb_t http_client_init_cb; /* called before connecting: headers, method, body */
    bool bulk_flash_erase;                     /* erase at once instead of sector by sector */
    bool partial_http_download;                /* in pieces of max_http_request_size */
    int max_http_request_size;                 /* 0: 65536 */
    uint32_t buffer_caps;
    bool ota_resumption;            /* go on after ota_image_bytes_written bytes */
    size_t ota_image_bytes_written; /* less than 1024: from the start */
    decrypt_cb_t decrypt_cb;        /* with CONFIG_ESP_HTTPS_OTA_DECRYPT_CB required, without it not called */
    void *decrypt_user_ctx;
    uint16_t enc_img_header_size;
    struct {
        const esp_partition_t *staging; /* where it is written; NULL: the next update partition */
        const esp_partition_t *final;   /* what it is meant for; NULL: the same */
        bool finalize_with_copy;
    } partition;
} esp_https_ota_config_t;

#ifdef __cplusplus
extern "C" {
#endif

ESP_EVENT_DECLARE_BASE(ESP_HTTPS_OTA_EVENT);

/* Everything but the reboot.  NOT_SUPPORTED with ota_resumption. */
esp_err_t esp_https_ota(const esp_https_ota_config_t *ota_config);

/* Connects and reads the answer's head.  INVALID_ARG without a way to verify the server (unless
 * CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP), HTTP_NOT_MODIFIED for 304, FAIL for other refusals. */
esp_err_t esp_https_ota_begin(const esp_https_ota_config_t *ota_config, esp_https_ota_handle_t *handle);
/* Reads and writes a piece.  ESP_ERR_HTTPS_OTA_IN_PROGRESS until all has been read; INVALID_VERSION for an image of
 * another chip. */
esp_err_t esp_https_ota_perform(esp_https_ota_handle_t https_ota_handle);
bool esp_https_ota_is_complete_data_received(esp_https_ota_handle_t https_ota_handle);
/* Verifies and selects the new slot; frees the handle in any case. */
esp_err_t esp_https_ota_finish(esp_https_ota_handle_t https_ota_handle);
esp_err_t esp_https_ota_abort(esp_https_ota_handle_t https_ota_handle);
/* After begin, before perform. */
esp_err_t esp_https_ota_get_img_desc(esp_https_ota_handle_t https_ota_handle, esp_app_desc_t *new_app_info);
esp_err_t esp_https_ota_get_bootloader_img_desc(esp_https_ota_handle_t https_ota_handle,
                                                esp_bootloader_desc_t *new_img_info);
/* Bytes written; -1 before perform. */
int esp_https_ota_get_image_len_read(esp_https_ota_handle_t https_ota_handle);
int esp_https_ota_get_status_code(esp_https_ota_handle_t https_ota_handle);
/* The body's length, -1 when it is not said; of a resumed download what remained. */
int esp_https_ota_get_image_size(esp_https_ota_handle_t https_ota_handle);

#ifdef __cplusplus
}
#endif

#endif
