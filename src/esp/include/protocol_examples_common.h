/*
 * protocol_examples_common.h - what ESP-IDF's examples connect with: the host's network is there already.
 */
#ifndef PLUVIO_ESP_PROTOCOL_EXAMPLES_COMMON_H
#define PLUVIO_ESP_PROTOCOL_EXAMPLES_COMMON_H

#include "esp_err.h"
#include "esp_netif.h"

#define EXAMPLE_NETIF_DESC_STA "example_netif_sta"
#define EXAMPLE_NETIF_DESC_ETH "example_netif_eth"
#define EXAMPLE_INTERFACE      get_example_netif()

#ifdef __cplusplus
extern "C" {
#endif

/* Posts IP_EVENT_STA_GOT_IP when a default event loop runs. */
esp_err_t example_connect(void);
esp_err_t example_disconnect(void);
esp_err_t example_configure_stdin_stdout(void);
esp_netif_t *get_example_netif(void);
esp_netif_t *get_example_netif_from_desc(const char *desc);

#ifdef __cplusplus
}
#endif

#endif
