/*
 * esp_netif_types.h - types of network interfaces (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_NETIF_TYPES_H
#define PLUVIO_ESP_ESP_NETIF_TYPES_H

#include "esp_event.h"
#include "esp_netif_ip_addr.h"

#include <stdbool.h>

typedef struct esp_netif_obj esp_netif_t;

typedef struct {
    esp_ip4_addr_t ip;
    esp_ip4_addr_t netmask;
    esp_ip4_addr_t gw;
} esp_netif_ip_info_t;

typedef enum {
    IP_EVENT_STA_GOT_IP,
    IP_EVENT_STA_LOST_IP,
    IP_EVENT_AP_STAIPASSIGNED,
    IP_EVENT_GOT_IP6,
    IP_EVENT_ETH_GOT_IP,
    IP_EVENT_ETH_LOST_IP,
    IP_EVENT_PPP_GOT_IP,
    IP_EVENT_PPP_LOST_IP
} ip_event_t;

typedef struct {
    esp_netif_t *esp_netif;
    esp_netif_ip_info_t ip_info;
    bool ip_changed;
} ip_event_got_ip_t;

#ifdef __cplusplus
extern "C" {
#endif

ESP_EVENT_DECLARE_BASE(IP_EVENT);

#ifdef __cplusplus
}
#endif

#endif
