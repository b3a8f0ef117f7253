#include "rmaker/rmaker.h"

#include "base/text.h"
#include "nvs_flash.h"

#include <string.h>

#define NAMESPACE "rmaker_ota"

static bool open_store(nvs_open_mode_t mode, nvs_handle_t *handle)
{
    nvs_flash_init();
    return nvs_open(NAMESPACE, mode, handle) == ESP_OK;
}

esp_err_t rmaker_store_set_blob(const char *key, const void *at, size_t len)
{
    nvs_handle_t handle;
    if (!open_store(NVS_READWRITE, &handle))
        return ESP_FAIL;
    esp_err_t err = nvs_set_blob(handle, key, at, len);
    nvs_close(handle);
    return err;
}

esp_err_t rmaker_store_get_blob(const char *key, void *to, size_t *len)
{
    nvs_handle_t handle;
    if (!open_store(NVS_READONLY, &handle))
        return ESP_ERR_NVS_NOT_FOUND;
    esp_err_t err = nvs_get_blob(handle, key, to, len);
    nvs_close(handle);
    return err;
}

/* The identity goes last when a download begins and stays while it runs, so that a position is never taken for another
 * file's. */
esp_err_t rmaker_store_set_resume(const char *md5, uint16_t kib)
{
    nvs_handle_t handle;
    if (!open_store(NVS_READWRITE, &handle))
        return ESP_FAIL;
    esp_err_t err = nvs_set_u16(handle, KEY_WRITTEN, kib);
    if (err == ESP_OK)
        err = nvs_set_str(handle, KEY_MD5, md5);
    nvs_close(handle);
    return err;
}

uint16_t rmaker_store_get_resume(const char *md5)
{
    nvs_handle_t handle;
    char stored[64] = "";
    size_t len = sizeof stored;
    uint16_t kib = 0;
    if (!open_store(NVS_READONLY, &handle))
        return 0;
    if (nvs_get_str(handle, KEY_MD5, stored, &len) != ESP_OK || strcmp(stored, md5) != 0 ||
        nvs_get_u16(handle, KEY_WRITTEN, &kib) != ESP_OK)
        kib = 0;
    nvs_close(handle);
    return kib;
}

void rmaker_store_erase(const char *key)
{
    nvs_handle_t handle;
    if (!open_store(NVS_READWRITE, &handle))
        return;
    nvs_erase_key(handle, key);
    nvs_close(handle);
}
