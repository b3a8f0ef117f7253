/* OTA using params (device specification 5): the service `OTA`, to which somebody writes a URL. */
#include "rmaker/rmaker.h"

#include "esp_log.h"
#include "esp_rmaker_standard_params.h"
#include "esp_rmaker_standard_types.h"

#include <string.h>

#define SERVICE_NAME "OTA"

static const char *const tag = "esp_rmaker_ota_using_params";

static esp_err_t on_write(const esp_rmaker_device_t *device, const esp_rmaker_param_t *param,
                          const esp_rmaker_param_val_t val, void *priv_data, esp_rmaker_write_ctx_t *ctx)
{
    (void)device, (void)priv_data, (void)ctx;
    if (strcmp(esp_rmaker_param_get_type(param), ESP_RMAKER_PARAM_OTA_URL) != 0)
        return ESP_FAIL;
    if (val.val.s == NULL || val.val.s[0] == '\0')
        return ESP_FAIL;
    ESP_LOGI(tag, "Received OTA URL: %s", val.val.s);
    esp_err_t err = rmaker_ota_take_url(val.val.s);
    if (err != ESP_OK) {
        ESP_LOGE(tag, "An OTA is in progress, or the URL is longer than %d characters", JOB_URL_SIZE - 1);
        return err;
    }
    esp_rmaker_param_update_and_report(param, val);
    return ESP_OK;
}

esp_err_t rmaker_ota_params_enable(void)
{
    const esp_rmaker_node_t *node = esp_rmaker_get_node();
    if (node == NULL)
        return ESP_FAIL;
    esp_rmaker_device_t *service = esp_rmaker_service_create(SERVICE_NAME, ESP_RMAKER_SERVICE_OTA, NULL);
    esp_rmaker_param_t *params[] = {esp_rmaker_ota_status_param_create(ESP_RMAKER_DEF_OTA_STATUS_NAME),
                                    esp_rmaker_ota_info_param_create(ESP_RMAKER_DEF_OTA_INFO_NAME),
                                    esp_rmaker_ota_url_param_create(ESP_RMAKER_DEF_OTA_URL_NAME)};
    if (service == NULL)
        return ESP_ERR_NO_MEM;
    for (size_t i = 0; i < 3; i++)
        if (params[i] == NULL || esp_rmaker_device_add_param(service, params[i]) != ESP_OK)
            return ESP_ERR_NO_MEM;
    esp_rmaker_device_add_cb(service, on_write, NULL);
    return esp_rmaker_node_add_device(node, service);
}

/* Two messages, the text first: the order in which the original has them. */
esp_err_t rmaker_ota_params_report(enum report_status status, const char *info)
{
    const esp_rmaker_device_t *service = esp_rmaker_node_get_device_by_name(esp_rmaker_get_node(), SERVICE_NAME);
    if (service == NULL)
        return ESP_FAIL;
    esp_rmaker_param_update_and_report(esp_rmaker_device_get_param_by_type(service, ESP_RMAKER_PARAM_OTA_INFO),
                                       esp_rmaker_str(info));
    esp_rmaker_param_update_and_report(esp_rmaker_device_get_param_by_type(service, ESP_RMAKER_PARAM_OTA_STATUS),
                                       esp_rmaker_str(report_status_text(status)));
    return ESP_OK;
}
