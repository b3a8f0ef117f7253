/*
 * esp_rmaker_standard_devices.h - RainMaker's usual devices: a name, a primary parameter.
 */
#ifndef PLUVIO_ESP_RMAKER_STANDARD_DEVICES_H
#define PLUVIO_ESP_RMAKER_STANDARD_DEVICES_H

#include "esp_rmaker_core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Switch, lightbulb and fan have Name and Power, the sensor Name and Temperature.  `priv_data` is kept.  NULL without a
 * name or memory. */
esp_rmaker_device_t *esp_rmaker_switch_device_create(const char *dev_name, void *priv_data, bool power);
esp_rmaker_device_t *esp_rmaker_lightbulb_device_create(const char *dev_name, void *priv_data, bool power);
esp_rmaker_device_t *esp_rmaker_fan_device_create(const char *dev_name, void *priv_data, bool power);
esp_rmaker_device_t *esp_rmaker_temp_sensor_device_create(const char *dev_name, void *priv_data, float temperature);

#ifdef __cplusplus
}
#endif

#endif
