/* RainMaker's usual parameters, devices and the service `System`: tables of what each is made of. */
#include "rmaker/rmaker.h"

#include "esp_rmaker_standard_devices.h"
#include "esp_rmaker_standard_params.h"
#include "esp_rmaker_standard_types.h"

#include <string.h>

#define READ_WRITE (PROP_FLAG_READ | PROP_FLAG_WRITE)

static esp_rmaker_param_t *make(const char *name, const char *type, esp_rmaker_param_val_t val, uint8_t properties,
                                const char *ui)
{
    esp_rmaker_param_t *p = esp_rmaker_param_create(name, type, val, properties);
    if (p != NULL && ui != NULL)
        esp_rmaker_param_add_ui_type(p, ui);
    return p;
}

static esp_rmaker_param_t *make_range(const char *name, const char *type, int val, const char *ui, int min, int max)
{
    esp_rmaker_param_t *p = make(name, type, esp_rmaker_int(val), READ_WRITE, ui);
    if (p != NULL)
        esp_rmaker_param_add_bounds(p, esp_rmaker_int(min), esp_rmaker_int(max), esp_rmaker_int(1));
    return p;
}

esp_rmaker_param_t *esp_rmaker_name_param_create(const char *param_name, const char *val)
{
    return make(param_name, ESP_RMAKER_PARAM_NAME, esp_rmaker_str(val), READ_WRITE | PROP_FLAG_PERSIST, NULL);
}

esp_rmaker_param_t *esp_rmaker_power_param_create(const char *param_name, bool val)
{
    return make(param_name, ESP_RMAKER_PARAM_POWER, esp_rmaker_bool(val), READ_WRITE, ESP_RMAKER_UI_TOGGLE);
}

esp_rmaker_param_t *esp_rmaker_brightness_param_create(const char *param_name, int val)
{
    return make_range(param_name, ESP_RMAKER_PARAM_BRIGHTNESS, val, ESP_RMAKER_UI_SLIDER, 0, 100);
}

esp_rmaker_param_t *esp_rmaker_hue_param_create(const char *param_name, int val)
{
    return make_range(param_name, ESP_RMAKER_PARAM_HUE, val, ESP_RMAKER_UI_HUE_SLIDER, 0, 360);
}

esp_rmaker_param_t *esp_rmaker_saturation_param_create(const char *param_name, int val)
{
    return make_range(param_name, ESP_RMAKER_PARAM_SATURATION, val, ESP_RMAKER_UI_SLIDER, 0, 100);
}

esp_rmaker_param_t *esp_rmaker_intensity_param_create(const char *param_name, int val)
{
    return make_range(param_name, ESP_RMAKER_PARAM_INTENSITY, val, ESP_RMAKER_UI_SLIDER, 0, 100);
}

esp_rmaker_param_t *esp_rmaker_cct_param_create(const char *param_name, int val)
{
    esp_rmaker_param_t *p =
        make(param_name, ESP_RMAKER_PARAM_CCT, esp_rmaker_int(val), READ_WRITE, ESP_RMAKER_UI_SLIDER);
    if (p != NULL)
        esp_rmaker_param_add_bounds(p, esp_rmaker_int(2700), esp_rmaker_int(6500), esp_rmaker_int(100));
    return p;
}

esp_rmaker_param_t *esp_rmaker_direction_param_create(const char *param_name, int val)
{
    return make_range(param_name, ESP_RMAKER_PARAM_DIRECTION, val, ESP_RMAKER_UI_DROPDOWN, 0, 1);
}

esp_rmaker_param_t *esp_rmaker_speed_param_create(const char *param_name, int val)
{
    return make_range(param_name, ESP_RMAKER_PARAM_SPEED, val, ESP_RMAKER_UI_SLIDER, 0, 5);
}

esp_rmaker_param_t *esp_rmaker_temperature_param_create(const char *param_name, float val)
{
    return make(param_name, ESP_RMAKER_PARAM_TEMPERATURE, esp_rmaker_float(val), PROP_FLAG_READ | PROP_FLAG_TIME_SERIES,
                ESP_RMAKER_UI_TEXT);
}

esp_rmaker_param_t *esp_rmaker_ota_status_param_create(const char *param_name)
{
    return make(param_name, ESP_RMAKER_PARAM_OTA_STATUS, esp_rmaker_str(""), PROP_FLAG_READ, NULL);
}

esp_rmaker_param_t *esp_rmaker_ota_info_param_create(const char *param_name)
{
    return make(param_name, ESP_RMAKER_PARAM_OTA_INFO, esp_rmaker_str(""), PROP_FLAG_READ, NULL);
}

esp_rmaker_param_t *esp_rmaker_ota_url_param_create(const char *param_name)
{
    return make(param_name, ESP_RMAKER_PARAM_OTA_URL, esp_rmaker_str(""), PROP_FLAG_WRITE, NULL);
}

esp_rmaker_param_t *esp_rmaker_timezone_param_create(const char *param_name, const char *val)
{
    return make(param_name, ESP_RMAKER_PARAM_TIMEZONE, esp_rmaker_str(val), READ_WRITE, NULL);
}

esp_rmaker_param_t *esp_rmaker_timezone_posix_param_create(const char *param_name, const char *val)
{
    return make(param_name, ESP_RMAKER_PARAM_TIMEZONE_POSIX, esp_rmaker_str(val), READ_WRITE, NULL);
}

esp_rmaker_param_t *esp_rmaker_reboot_param_create(const char *param_name)
{
    return make(param_name, ESP_RMAKER_PARAM_REBOOT, esp_rmaker_bool(false), READ_WRITE, NULL);
}

esp_rmaker_param_t *esp_rmaker_factory_reset_param_create(const char *param_name)
{
    return make(param_name, ESP_RMAKER_PARAM_FACTORY_RESET, esp_rmaker_bool(false), READ_WRITE, NULL);
}

esp_rmaker_param_t *esp_rmaker_wifi_reset_param_create(const char *param_name)
{
    return make(param_name, ESP_RMAKER_PARAM_WIFI_RESET, esp_rmaker_bool(false), READ_WRITE, NULL);
}

/* --- devices ---------------------------------------------------------------------------------- */

static esp_rmaker_device_t *assemble(const char *name, const char *type, void *priv, esp_rmaker_param_t *primary)
{
    esp_rmaker_device_t *d = esp_rmaker_device_create(name, type, priv);
    if (d == NULL)
        return NULL;
    esp_rmaker_device_add_param(d, esp_rmaker_name_param_create(ESP_RMAKER_DEF_NAME_PARAM, name));
    esp_rmaker_device_add_param(d, primary);
    esp_rmaker_device_assign_primary_param(d, primary);
    return d;
}

esp_rmaker_device_t *esp_rmaker_switch_device_create(const char *dev_name, void *priv_data, bool power)
{
    return assemble(dev_name, ESP_RMAKER_DEVICE_SWITCH, priv_data,
                    esp_rmaker_power_param_create(ESP_RMAKER_DEF_POWER_NAME, power));
}

esp_rmaker_device_t *esp_rmaker_lightbulb_device_create(const char *dev_name, void *priv_data, bool power)
{
    return assemble(dev_name, ESP_RMAKER_DEVICE_LIGHTBULB, priv_data,
                    esp_rmaker_power_param_create(ESP_RMAKER_DEF_POWER_NAME, power));
}

esp_rmaker_device_t *esp_rmaker_fan_device_create(const char *dev_name, void *priv_data, bool power)
{
    return assemble(dev_name, ESP_RMAKER_DEVICE_FAN, priv_data,
                    esp_rmaker_power_param_create(ESP_RMAKER_DEF_POWER_NAME, power));
}

esp_rmaker_device_t *esp_rmaker_temp_sensor_device_create(const char *dev_name, void *priv_data, float temperature)
{
    return assemble(dev_name, ESP_RMAKER_DEVICE_TEMP_SENSOR, priv_data,
                    esp_rmaker_temperature_param_create(ESP_RMAKER_DEF_TEMPERATURE_NAME, temperature));
}

/* --- the service `System` --------------------------------------------------------------------- */

static const struct verb {
    uint16_t flag;
    const char *type;
    esp_rmaker_param_t *(*create)(const char *name);
    const char *name;
} verbs[] = {
    {SYSTEM_SERV_FLAG_REBOOT, ESP_RMAKER_PARAM_REBOOT, esp_rmaker_reboot_param_create, ESP_RMAKER_DEF_REBOOT_NAME},
    {SYSTEM_SERV_FLAG_FACTORY_RESET, ESP_RMAKER_PARAM_FACTORY_RESET, esp_rmaker_factory_reset_param_create,
     ESP_RMAKER_DEF_FACTORY_RESET_NAME},
    {SYSTEM_SERV_FLAG_WIFI_RESET, ESP_RMAKER_PARAM_WIFI_RESET, esp_rmaker_wifi_reset_param_create,
     ESP_RMAKER_DEF_WIFI_RESET_NAME},
};

static esp_err_t on_system(const esp_rmaker_device_t *device, const esp_rmaker_param_t *param,
                           const esp_rmaker_param_val_t val, void *priv_data, esp_rmaker_write_ctx_t *ctx)
{
    const esp_rmaker_system_serv_config_t *c = &rmaker_context.system;
    const char *type = esp_rmaker_param_get_type(param);
    (void)device, (void)priv_data, (void)ctx;
    if (!val.val.b)
        return ESP_OK;
    esp_rmaker_param_update_and_report(param, val);
    if (strcmp(type, ESP_RMAKER_PARAM_REBOOT) == 0)
        return esp_rmaker_reboot(c->reboot_seconds);
    if (strcmp(type, ESP_RMAKER_PARAM_FACTORY_RESET) == 0)
        return esp_rmaker_factory_reset(c->reset_seconds, c->reset_reboot_seconds);
    return esp_rmaker_wifi_reset(c->reset_seconds, c->reset_reboot_seconds);
}

esp_err_t esp_rmaker_system_service_enable(esp_rmaker_system_serv_config_t *config)
{
    if (config == NULL || (config->flags & SYSTEM_SERV_FLAGS_ALL) == 0)
        return ESP_ERR_INVALID_ARG;
    esp_rmaker_device_t *service = esp_rmaker_service_create("System", ESP_RMAKER_SERVICE_SYSTEM, NULL);
    if (service == NULL)
        return ESP_ERR_NO_MEM;
    rmaker_context.system = *config;
    int8_t *seconds[] = {&rmaker_context.system.reboot_seconds, &rmaker_context.system.reset_seconds,
                         &rmaker_context.system.reset_reboot_seconds};
    for (size_t i = 0; i < 3; i++)
        if (*seconds[i] == 0)
            *seconds[i] = 2;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (config->flags & verbs[i].flag)
            esp_rmaker_device_add_param(service, verbs[i].create(verbs[i].name));
    esp_rmaker_device_add_cb(service, on_system, NULL);
    return esp_rmaker_node_add_device(esp_rmaker_get_node(), service);
}
