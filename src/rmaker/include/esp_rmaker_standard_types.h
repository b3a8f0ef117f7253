/*
 * esp_rmaker_standard_types.h - RainMaker's words for kinds of parameters, devices and services.
 */
#ifndef PLUVIO_ESP_RMAKER_STANDARD_TYPES_H
#define PLUVIO_ESP_RMAKER_STANDARD_TYPES_H

#define ESP_RMAKER_UI_TOGGLE     "esp.ui.toggle"
#define ESP_RMAKER_UI_SLIDER     "esp.ui.slider"
#define ESP_RMAKER_UI_DROPDOWN   "esp.ui.dropdown"
#define ESP_RMAKER_UI_TEXT       "esp.ui.text"
#define ESP_RMAKER_UI_HUE_SLIDER "esp.ui.hue-slider"
#define ESP_RMAKER_UI_HUE_CIRCLE "esp.ui.hue-circle"
#define ESP_RMAKER_UI_PUSHBUTTON "esp.ui.push-btn-big"
#define ESP_RMAKER_UI_TRIGGER    "esp.ui.trigger"
#define ESP_RMAKER_UI_HIDDEN     "esp.ui.hidden"
#define ESP_RMAKER_UI_QR_SCAN    "esp.ui.qrscan"

#define ESP_RMAKER_PARAM_NAME           "esp.param.name"
#define ESP_RMAKER_PARAM_POWER          "esp.param.power"
#define ESP_RMAKER_PARAM_BRIGHTNESS     "esp.param.brightness"
#define ESP_RMAKER_PARAM_HUE            "esp.param.hue"
#define ESP_RMAKER_PARAM_SATURATION     "esp.param.saturation"
#define ESP_RMAKER_PARAM_INTENSITY      "esp.param.intensity"
#define ESP_RMAKER_PARAM_CCT            "esp.param.cct"
#define ESP_RMAKER_PARAM_SPEED          "esp.param.speed"
#define ESP_RMAKER_PARAM_DIRECTION      "esp.param.direction"
#define ESP_RMAKER_PARAM_TEMPERATURE    "esp.param.temperature"
#define ESP_RMAKER_PARAM_OTA_URL        "esp.param.ota_url"
#define ESP_RMAKER_PARAM_OTA_STATUS     "esp.param.ota_status"
#define ESP_RMAKER_PARAM_OTA_INFO       "esp.param.ota_info"
#define ESP_RMAKER_PARAM_TIMEZONE       "esp.param.tz"
#define ESP_RMAKER_PARAM_TIMEZONE_POSIX "esp.param.tz_posix"
#define ESP_RMAKER_PARAM_REBOOT         "esp.param.reboot"
#define ESP_RMAKER_PARAM_FACTORY_RESET  "esp.param.factory-reset"
#define ESP_RMAKER_PARAM_WIFI_RESET     "esp.param.wifi-reset"
#define ESP_RMAKER_PARAM_TOGGLE         "esp.param.toggle"
#define ESP_RMAKER_PARAM_RANGE          "esp.param.range"
#define ESP_RMAKER_PARAM_MODE           "esp.param.mode"
#define ESP_RMAKER_PARAM_CONNECTED      "esp.param.connected"

#define ESP_RMAKER_DEVICE_SWITCH      "esp.device.switch"
#define ESP_RMAKER_DEVICE_LIGHTBULB   "esp.device.lightbulb"
#define ESP_RMAKER_DEVICE_LIGHT       "esp.device.light"
#define ESP_RMAKER_DEVICE_FAN         "esp.device.fan"
#define ESP_RMAKER_DEVICE_TEMP_SENSOR "esp.device.temperature-sensor"
#define ESP_RMAKER_DEVICE_OUTLET      "esp.device.outlet"
#define ESP_RMAKER_DEVICE_PLUG        "esp.device.plug"
#define ESP_RMAKER_DEVICE_SOCKET      "esp.device.socket"
#define ESP_RMAKER_DEVICE_LOCK        "esp.device.lock"
#define ESP_RMAKER_DEVICE_THERMOSTAT  "esp.device.thermostat"
#define ESP_RMAKER_DEVICE_OTHER       "esp.device.other"

#define ESP_RMAKER_SERVICE_OTA          "esp.service.ota"
#define ESP_RMAKER_SERVICE_TIME         "esp.service.time"
#define ESP_RMAKER_SERVICE_SYSTEM       "esp.service.system"
#define ESP_RMAKER_SERVICE_CONNECTIVITY "esp.service.connectivity"

#endif
