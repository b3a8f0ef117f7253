/*
 * esp_rmaker_standard_params.h - RainMaker's usual parameters, ready made.
 *
 * Each makes a parameter of the standard type with its user interface and bounds; NULL without a name or memory.
 */
#ifndef PLUVIO_ESP_RMAKER_STANDARD_PARAMS_H
#define PLUVIO_ESP_RMAKER_STANDARD_PARAMS_H

#include "esp_rmaker_core.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ESP_RMAKER_DEF_NAME_PARAM          "Name"
#define ESP_RMAKER_DEF_POWER_NAME          "Power"
#define ESP_RMAKER_DEF_BRIGHTNESS_NAME     "Brightness"
#define ESP_RMAKER_DEF_HUE_NAME            "Hue"
#define ESP_RMAKER_DEF_SATURATION_NAME     "Saturation"
#define ESP_RMAKER_DEF_INTENSITY_NAME      "Intensity"
#define ESP_RMAKER_DEF_CCT_NAME            "CCT"
#define ESP_RMAKER_DEF_SPEED_NAME          "Speed"
#define ESP_RMAKER_DEF_DIRECTION_NAME      "Direction"
#define ESP_RMAKER_DEF_TEMPERATURE_NAME    "Temperature"
#define ESP_RMAKER_DEF_OTA_STATUS_NAME     "Status"
#define ESP_RMAKER_DEF_OTA_INFO_NAME       "Info"
#define ESP_RMAKER_DEF_OTA_URL_NAME        "URL"
#define ESP_RMAKER_DEF_TIMEZONE_NAME       "TZ"
#define ESP_RMAKER_DEF_TIMEZONE_POSIX_NAME "TZ-POSIX"
#define ESP_RMAKER_DEF_REBOOT_NAME         "Reboot"
#define ESP_RMAKER_DEF_FACTORY_RESET_NAME  "Factory-Reset"
#define ESP_RMAKER_DEF_WIFI_RESET_NAME     "Wi-Fi-Reset"
#define ESP_RMAKER_DEF_CONNECTED_NAME      "Connected"

esp_rmaker_param_t *esp_rmaker_name_param_create(const char *param_name, const char *val);
esp_rmaker_param_t *esp_rmaker_power_param_create(const char *param_name, bool val);
esp_rmaker_param_t *esp_rmaker_brightness_param_create(const char *param_name, int val);
esp_rmaker_param_t *esp_rmaker_hue_param_create(const char *param_name, int val);
esp_rmaker_param_t *esp_rmaker_saturation_param_create(const char *param_name, int val);
esp_rmaker_param_t *esp_rmaker_intensity_param_create(const char *param_name, int val);
esp_rmaker_param_t *esp_rmaker_cct_param_create(const char *param_name, int val);
esp_rmaker_param_t *esp_rmaker_direction_param_create(const char *param_name, int val);
esp_rmaker_param_t *esp_rmaker_speed_param_create(const char *param_name, int val);
esp_rmaker_param_t *esp_rmaker_temperature_param_create(const char *param_name, float val);
esp_rmaker_param_t *esp_rmaker_ota_status_param_create(const char *param_name);
esp_rmaker_param_t *esp_rmaker_ota_info_param_create(const char *param_name);
esp_rmaker_param_t *esp_rmaker_ota_url_param_create(const char *param_name);
esp_rmaker_param_t *esp_rmaker_timezone_param_create(const char *param_name, const char *val);
esp_rmaker_param_t *esp_rmaker_timezone_posix_param_create(const char *param_name, const char *val);
esp_rmaker_param_t *esp_rmaker_reboot_param_create(const char *param_name);
esp_rmaker_param_t *esp_rmaker_factory_reset_param_create(const char *param_name);
esp_rmaker_param_t *esp_rmaker_wifi_reset_param_create(const char *param_name);

#ifdef __cplusplus
}
#endif

#endif
