/*
 * esp_wifi.h - Wi-Fi as far as OTA code touches it: always connected, nothing to save (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_WIFI_H
#define PLUVIO_ESP_ESP_WIFI_H

#include "esp_event.h"
#include "esp_wifi_types.h"

#define ESP_ERR_WIFI_NOT_INIT    (ESP_ERR_WIFI_BASE + 1)
#define ESP_ERR_WIFI_NOT_STARTED (ESP_ERR_WIFI_BASE + 2)
#define ESP_ERR_WIFI_NOT_CONNECT (ESP_ERR_WIFI_BASE + 15)

#ifdef __cplusplus
extern "C" {
#endif

ESP_EVENT_DECLARE_BASE(WIFI_EVENT);

/* Taken note of and given back. */
esp_err_t esp_wifi_set_ps(wifi_ps_type_t type);
esp_err_t esp_wifi_get_ps(wifi_ps_type_t *type);
esp_err_t esp_wifi_get_mac(wifi_interface_t ifx, uint8_t mac[6]);
/* An access point named "linux" of full strength. */
esp_err_t esp_wifi_sta_get_ap_info(wifi_ap_record_t *ap_info);
esp_err_t esp_wifi_start(void);
esp_err_t esp_wifi_stop(void);
esp_err_t esp_wifi_connect(void);
esp_err_t esp_wifi_disconnect(void);

#ifdef __cplusplus
}
#endif

#endif
