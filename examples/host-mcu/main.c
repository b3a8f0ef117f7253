/*
 * Host MCU: a node that updates the microcontroller beside it, too.
 *
 * A job whose metadata is {"esp.ota.target":"host_mcu"} is for the other processor: the agent downloads the file into
 * the partition `staging`, verifies it, and hands it over page by page.  The other processor stands in the partition
 * `mcu` here; on a board, write_page() would speak its bootloader's protocol over a UART.  A job without that member
 * updates the node itself, as ever.
 */
#include "esp_app_desc.h"
#include "esp_log.h"
#include "esp_partition.h"
#include "esp_rmaker_core.h"
#include "esp_rmaker_ota.h"
#include "esp_rmaker_ota_file.h"
#include "nvs_flash.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 256 /* of the other processor's bootloader */

static const char *TAG = "host-mcu";

struct mcu {
    const esp_partition_t *flash;
    size_t size, written;
    bool is_in_bootloader;
};

static esp_err_t begin(const esp_rmaker_ota_data_t *data, size_t size, void *priv)
{
    struct mcu *mcu = priv;
    if (size > mcu->flash->size) {
        ESP_LOGE(TAG, "%u bytes do not fit the other processor", (unsigned)size);
        return ESP_ERR_INVALID_SIZE;
    }
    ESP_LOGI(TAG, "Resetting the other processor into its bootloader, for version %s, %u bytes",
             data->fw_version ? data->fw_version : "?", (unsigned)size);
    mcu->is_in_bootloader = true;
    mcu->size = size;
    mcu->written = 0;
    return esp_partition_erase_range(mcu->flash, 0, mcu->flash->size);
}

static esp_err_t write_page(struct mcu *mcu, const uint8_t *page, size_t len)
{
    uint8_t echo[PAGE];
    esp_err_t err = esp_partition_write(mcu->flash, mcu->written, page, len);
    if (err == ESP_OK)
        err = esp_partition_read(mcu->flash, mcu->written, echo, len);
    if (err == ESP_OK && memcmp(page, echo, len) != 0)
        err = ESP_ERR_INVALID_RESPONSE;
    mcu->written += len;
    return err;
}

static esp_err_t write_bytes(size_t offset, const void *bytes, size_t len, void *priv)
{
    struct mcu *mcu = priv;
    if (offset != mcu->written)
        return ESP_ERR_INVALID_STATE; /* the agent hands bytes over in order */
    for (size_t at = 0; at < len; at += PAGE) {
        esp_err_t err = write_page(mcu, (const uint8_t *)bytes + at, len - at < PAGE ? len - at : PAGE);
        if (err != ESP_OK)
            return err;
    }
    return ESP_OK;
}

static esp_err_t end(void *priv)
{
    struct mcu *mcu = priv;
    mcu->is_in_bootloader = false;
    ESP_LOGI(TAG, "The other processor has %u of %u bytes and runs", (unsigned)mcu->written, (unsigned)mcu->size);
    return mcu->written == mcu->size ? ESP_OK : ESP_FAIL;
}

static void give_up(void *priv)
{
    ESP_LOGE(TAG, "The other processor stays in its bootloader after %u bytes",
             (unsigned)((struct mcu *)priv)->written);
}

void app_main(void)
{
    static struct mcu mcu;
    static const esp_rmaker_ota_file_handler_t handler = {
        .staging = "staging", .begin = begin, .write = write_bytes, .end = end, .abort = give_up};
    esp_rmaker_config_t config = {.enable_time_sync = false};
    ESP_ERROR_CHECK(nvs_flash_init());
    mcu.flash = esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_ANY, "mcu");
    if (mcu.flash == NULL || esp_rmaker_node_init(&config, "Gateway", "esp.device.gateway") == NULL) {
        ESP_LOGE(TAG, "The partition mcu or the node's credentials are missing");
        abort();
    }
    ESP_LOGI(TAG, "Host MCU %s", esp_app_get_description()->version);
    ESP_ERROR_CHECK(esp_rmaker_ota_register_file_handler("host_mcu", &handler, &mcu));
    ESP_ERROR_CHECK(esp_rmaker_ota_enable_default());
    ESP_ERROR_CHECK(esp_rmaker_start());
}
