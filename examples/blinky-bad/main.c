/*
 * Blinky whose self-test fails: the update installs, boots, finds itself wanting and goes back.
 */
#include "esp_app_desc.h"
#include "esp_log.h"
#include "esp_rmaker_core.h"
#include "esp_rmaker_ota.h"
#include "nvs_flash.h"

#include <stdlib.h>

static const char *TAG = "blinky";

static esp_rmaker_ota_diag_status_t self_test(esp_rmaker_ota_diag_priv_t *diag, void *priv)
{
    (void)priv;
    ESP_LOGE(TAG, "Self-test of %s failed in state %d: the LED does not light up", PROJECT_VER, (int)diag->state);
    return OTA_DIAG_STATUS_FAIL;
}

void app_main(void)
{
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_LOGI(TAG, "Blinky %s (image %s)", PROJECT_VER, esp_app_get_description()->version);
    esp_rmaker_config_t config = {.enable_time_sync = false};
    if (esp_rmaker_node_init(&config, "Blinky", "esp.device.light") == NULL)
        abort();
    esp_rmaker_ota_config_t ota = {.ota_diag = self_test};
    ESP_ERROR_CHECK(esp_rmaker_ota_enable(&ota, OTA_USING_TOPICS));
    ESP_ERROR_CHECK(esp_rmaker_start());
}
