/*
 * esp_netif_ip_addr.h - IP addresses (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_NETIF_IP_ADDR_H
#define PLUVIO_ESP_ESP_NETIF_IP_ADDR_H

#include <stdint.h>

typedef struct {
    uint32_t addr; /* in network order */
} esp_ip4_addr_t;

#define IPSTR "%d.%d.%d.%d"
#define IP2STR(ipaddr)                                                                                                 \
    esp_ip4_byte(ipaddr, 0), esp_ip4_byte(ipaddr, 1), esp_ip4_byte(ipaddr, 2), esp_ip4_byte(ipaddr, 3)

#define esp_ip4_byte(ipaddr, i) ((int)((const uint8_t *)&(ipaddr)->addr)[i])

#endif
