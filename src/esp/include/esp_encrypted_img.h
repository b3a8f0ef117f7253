/*
 * esp_encrypted_img.h - pre-encrypted images (espressif/esp_encrypted_img 2.3): AES-256-GCM, its key wrapped with the
 * device's RSA-3072 key, or agreed with its P-256 key.
 *
 * Which scheme is used is an option of the build: CONFIG_PRE_ENCRYPTED_OTA_USE_ECIES, else RSA.  ECIES derives the
 * device's key from an eFuse's HMAC key; here its 32 bytes are in the file that VESP_HMAC_KEY names.
 */
#ifndef PLUVIO_ESP_ESP_ENCRYPTED_IMG_H
#define PLUVIO_ESP_ESP_ENCRYPTED_IMG_H

#include <sdkconfig.h>

#include "esp_err.h"

#include <stdbool.h>

typedef struct esp_encrypted_img_handle *esp_decrypt_handle_t;

typedef struct {
    union {
        const char *rsa_priv_key; /* PEM */
        const char *rsa_pub_key;
    };
    size_t rsa_priv_key_len;
    int hmac_key_id; /* ECIES */
} esp_decrypt_cfg_t;

typedef struct {
    const char *data_in;
    size_t data_in_len;
    char *data_out; /* allocated here, freed by the caller */
    size_t data_out_len;
} pre_enc_decrypt_arg_t;

#ifdef __cplusplus
extern "C" {
#endif

/* NULL when the key cannot be used. */
esp_decrypt_handle_t esp_encrypted_img_decrypt_start(const esp_decrypt_cfg_t *cfg);
/* ESP_ERR_NOT_FINISHED while more is expected, ESP_OK at the end, ESP_FAIL. */
esp_err_t esp_encrypted_img_decrypt_data(esp_decrypt_handle_t ctx, pre_enc_decrypt_arg_t *args);
/* Compares the tag and frees the handle: only after ESP_OK may the image be booted. */
esp_err_t esp_encrypted_img_decrypt_end(esp_decrypt_handle_t ctx);
esp_err_t esp_encrypted_img_decrypt_abort(esp_decrypt_handle_t ctx);
bool esp_encrypted_img_is_complete_data_received(esp_decrypt_handle_t ctx);
/* 512. */
uint16_t esp_encrypted_img_get_header_size(void);
/* The device's public key as PEM, freed by the caller. */
esp_err_t esp_encrypted_img_export_public_key(esp_decrypt_handle_t ctx, uint8_t **pub_key, size_t *pub_key_len);

#ifdef __cplusplus
}
#endif

#endif
