/* The test agent: everything of RainMaker's node API that a broker can see.  AGENT_PARAMS: OTA using params. */
#include "esp_app_desc.h"
#include "esp_log.h"
#include "esp_rmaker_core.h"
#include "esp_rmaker_ota.h"
#include "esp_rmaker_standard_devices.h"
#include "esp_rmaker_standard_params.h"
#include "esp_rmaker_standard_types.h"
#include "esp_rmaker_user_mapping.h"
#include "nvs_flash.h"

#include <stdlib.h>
#include <string.h>

static const char *TAG = "agent";

/* Power is taken over; a hue of 13 brings bad luck and is refused; the name persists. */
static esp_err_t on_write(const esp_rmaker_device_t *device, const esp_rmaker_param_t *param,
                          const esp_rmaker_param_val_t val, void *priv, esp_rmaker_write_ctx_t *ctx)
{
    (void)priv;
    ESP_LOGI(TAG, "%s of %s is written, source %d", esp_rmaker_param_get_name(param),
             esp_rmaker_device_get_name(device), (int)ctx->src);
    if (strcmp(esp_rmaker_param_get_name(param), ESP_RMAKER_DEF_HUE_NAME) == 0 && val.val.i == 13) {
        esp_rmaker_raise_alert("Hue 13 was asked for");
        return ESP_FAIL;
    }
    return ctx->src == ESP_RMAKER_REQ_SRC_INIT ? esp_rmaker_param_update(param, val)
                                               : esp_rmaker_param_update_and_report(param, val);
}

static void on_ota_event(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    (void)arg, (void)base;
    ESP_LOGI(TAG, "OTA event %d: %s", (int)id, data ? (const char *)data : "");
}

static void add_light(esp_rmaker_node_t *node)
{
    static const char *modes[] = {"day", "night"};
    esp_rmaker_device_t *light = esp_rmaker_lightbulb_device_create("Light", NULL, true);
    esp_rmaker_param_t *mode =
        esp_rmaker_param_create("Mode", ESP_RMAKER_PARAM_MODE, esp_rmaker_str("day"), PROP_FLAG_READ | PROP_FLAG_WRITE);
    esp_rmaker_device_add_cb(light, on_write, NULL);
    esp_rmaker_device_add_param(light, esp_rmaker_hue_param_create(ESP_RMAKER_DEF_HUE_NAME, 180));
    esp_rmaker_param_add_valid_str_list(mode, modes, 2);
    esp_rmaker_device_add_param(light, mode);
    esp_rmaker_device_add_param(
        light, esp_rmaker_param_create("Scene", NULL, esp_rmaker_obj("{\"a\":1}"), PROP_FLAG_READ | PROP_FLAG_WRITE));
    esp_rmaker_device_add_attribute(light, "serial", "0001");
    esp_rmaker_node_add_device(node, light);
}

void app_main(void)
{
    char user[] = "u1", secret[] = "s3cret";
    esp_rmaker_config_t config = {.enable_time_sync = false};
    ESP_ERROR_CHECK(nvs_flash_init());
    esp_rmaker_node_t *node = esp_rmaker_node_init(&config, "Agent", "esp.device.lightbulb");
    if (node == NULL)
        abort();
    ESP_LOGI(TAG, "Agent %s", esp_app_get_description()->version);
    esp_event_handler_register(RMAKER_OTA_EVENT, ESP_EVENT_ANY_ID, on_ota_event, NULL);
    esp_rmaker_node_add_attribute(node, "site", "roof");
    add_light(node);
    ESP_ERROR_CHECK(esp_rmaker_timezone_service_enable());
    ESP_ERROR_CHECK(esp_rmaker_connectivity_enable());
    esp_rmaker_system_serv_config_t system = {.flags = SYSTEM_SERV_FLAG_REBOOT};
    ESP_ERROR_CHECK(esp_rmaker_system_service_enable(&system));
#ifdef AGENT_PARAMS
    ESP_ERROR_CHECK(esp_rmaker_ota_enable(NULL, OTA_USING_PARAMS));
#else
    ESP_ERROR_CHECK(esp_rmaker_ota_enable_default());
#endif
    ESP_ERROR_CHECK(esp_rmaker_start_user_node_mapping(user, secret));
    ESP_ERROR_CHECK(esp_rmaker_start());
}
