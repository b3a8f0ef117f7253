/* espressif's esp_encrypted_img over room image's reader. */
#include "esp/include/esp_encrypted_img.h"

#include "esp/include/esp_log.h"
#include "image/encrypted.h"

#include <stdlib.h>
#include <string.h>

static const char *const tag = "esp_encrypted_img";

struct esp_encrypted_img_handle {
    struct private_key *key;
    struct encrypted_reader reader;
};

/* The eFuse's key block is a file of 32 bytes here. */
static enum err open_efuse_key(struct private_key **key, struct why *why)
{
    uint8_t hmac_key[32], scalar[32];
    const char *path = getenv("VESP_HMAC_KEY");
    FILE *f = path ? fopen(path, "rb") : NULL;
    bool is_whole = f != NULL && fread(hmac_key, 1, sizeof hmac_key, f) == sizeof hmac_key;
    if (f != NULL)
        fclose(f);
    if (!is_whole)
        return why_set(why, ERR_KEY, "VESP_HMAC_KEY names no file of 32 bytes, which stand for the eFuse's HMAC key");
    encrypted_device_scalar(scalar, hmac_key);
    return private_key_open_scalar(key, scalar, why);
}

esp_decrypt_handle_t esp_encrypted_img_decrypt_start(const esp_decrypt_cfg_t *cfg)
{
    struct why why = {{0}};
    if (cfg == NULL)
        return NULL;
    struct esp_encrypted_img_handle *h = calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    enum err err;
    if (cfg->rsa_priv_key != NULL) {
        size_t len = strnlen(cfg->rsa_priv_key, cfg->rsa_priv_key_len);
        err = private_key_open_pem(&h->key, bytes_of((const uint8_t *)cfg->rsa_priv_key, len), &why);
    } else
        err = open_efuse_key(&h->key, &why);
    if (err != ERR_NONE) {
        ESP_LOGE(tag, "%s", why.text);
        free(h);
        return NULL;
    }
    encrypted_reader_init(&h->reader, h->key);
    return h;
}

esp_err_t esp_encrypted_img_decrypt_data(esp_decrypt_handle_t h, pre_enc_decrypt_arg_t *args)
{
    struct why why = {{0}};
    size_t len = 0;
    if (h == NULL || args == NULL || args->data_in == NULL)
        return ESP_ERR_INVALID_ARG;
    args->data_out = malloc(args->data_in_len ? args->data_in_len : 1);
    args->data_out_len = 0;
    if (args->data_out == NULL)
        return ESP_ERR_NO_MEM;
    struct bytes in = bytes_of((const uint8_t *)args->data_in, args->data_in_len);
    enum err err = encrypted_reader_push(&h->reader, in, (uint8_t *)args->data_out, &len, &why);
    if (err != ERR_NONE || len == 0) {
        free(args->data_out);
        args->data_out = NULL;
    }
    args->data_out_len = err == ERR_NONE ? len : 0;
    if (err != ERR_NONE) {
        ESP_LOGE(tag, "%s", why.text);
        return ESP_FAIL;
    }
    return encrypted_reader_left(&h->reader) == 0 ? ESP_OK : ESP_ERR_NOT_FINISHED;
}

static void drop(esp_decrypt_handle_t h)
{
    private_key_close(h->key);
    free(h);
}

esp_err_t esp_encrypted_img_decrypt_end(esp_decrypt_handle_t h)
{
    struct why why = {{0}};
    if (h == NULL)
        return ESP_ERR_INVALID_ARG;
    enum err err = encrypted_reader_finish(&h->reader, &why);
    if (err != ERR_NONE)
        ESP_LOGE(tag, "%s", why.text);
    drop(h);
    return err == ERR_NONE ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_encrypted_img_decrypt_abort(esp_decrypt_handle_t h)
{
    if (h == NULL)
        return ESP_ERR_INVALID_ARG;
    encrypted_reader_finish(&h->reader, NULL);
    drop(h);
    return ESP_OK;
}

bool esp_encrypted_img_is_complete_data_received(esp_decrypt_handle_t h)
{
    return h != NULL && encrypted_reader_left(&h->reader) == 0;
}

uint16_t esp_encrypted_img_get_header_size(void)
{
    return ENCRYPTED_HEADER_LEN;
}

esp_err_t esp_encrypted_img_export_public_key(esp_decrypt_handle_t h, uint8_t **pub_key, size_t *pub_key_len)
{
    struct buf pem = {0};
    if (h == NULL || pub_key == NULL || pub_key_len == NULL)
        return ESP_ERR_INVALID_ARG;
    if (public_key_write_pem(&h->key->public_key, &pem, NULL) != ERR_NONE) {
        buf_deinit(&pem);
        return ESP_FAIL;
    }
    *pub_key_len = pem.len + 1;
    *pub_key = (uint8_t *)buf_take(&pem);
    return ESP_OK;
}
