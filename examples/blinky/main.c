/*
 * Blinky: an ordinary RainMaker application that can be updated over the air.
 *
 * The same source builds with ESP-IDF for a chip; there, app_main() would bring up Wi-Fi before esp_rmaker_start().
 */
#include "esp_app_desc.h"
#include "esp_log.h"
#include "esp_ota_ops.h"
#include "esp_rmaker_core.h"
#include "esp_rmaker_ota.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_flash.h"

#include <stdlib.h>

static const char *TAG = "blinky";

void app_main(void)
{
    esp_err_t err = nvs_flash_init();
    if (err == ESP_ERR_NVS_NO_FREE_PAGES || err == ESP_ERR_NVS_NEW_VERSION_FOUND) {
        ESP_ERROR_CHECK(nvs_flash_erase());
        err = nvs_flash_init();
    }
    ESP_ERROR_CHECK(err);

    /* PROJECT_VER was compiled in, the descriptor was packed around it: both tell the version that really runs. */
    ESP_LOGI(TAG, "Blinky %s (image %s) runs from %s", PROJECT_VER, esp_app_get_description()->version,
             esp_ota_get_running_partition()->label);

    esp_rmaker_config_t config = {.enable_time_sync = false};
    esp_rmaker_node_t *node = esp_rmaker_node_init(&config, "Blinky", "esp.device.light");
    if (node == NULL) {
        ESP_LOGE(TAG, "The node could not be initialised");
        vTaskDelay(pdMS_TO_TICKS(5000));
        abort();
    }
    ESP_ERROR_CHECK(esp_rmaker_ota_enable_default());
    ESP_ERROR_CHECK(esp_rmaker_start());

    for (bool is_on = true;; is_on = !is_on) {
        ESP_LOGI(TAG, "LED %s", is_on ? "on" : "off");
        vTaskDelay(pdMS_TO_TICKS(30000));
    }
}
