/*
 * esp_netif.h - network interfaces: the host's network is there before the application is (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_NETIF_H
#define PLUVIO_ESP_ESP_NETIF_H

#include "esp_err.h"
#include "esp_event.h"
#include "esp_netif_types.h"

#ifdef __cplusplus
extern "C" {
#endif

esp_err_t esp_netif_init(void);
esp_err_t esp_netif_deinit(void);
/* One interface stands for all; it is connected from the start. */
esp_netif_t *esp_netif_create_default_wifi_sta(void);
esp_netif_t *esp_netif_create_default_wifi_ap(void);
esp_netif_t *esp_netif_get_handle_from_ifkey(const char *if_key);
esp_netif_t *esp_netif_next_unsafe(esp_netif_t *esp_netif);
void esp_netif_destroy(esp_netif_t *esp_netif);
const char *esp_netif_get_desc(esp_netif_t *esp_netif);
/* 127.0.0.1. */
esp_err_t esp_netif_get_ip_info(esp_netif_t *esp_netif, esp_netif_ip_info_t *ip_info);
esp_err_t esp_netif_get_netif_impl_name(esp_netif_t *esp_netif, char *name);
bool esp_netif_is_netif_up(esp_netif_t *esp_netif);

#ifdef __cplusplus
}
#endif

#endif
