/*
 * esp_crt_bundle.h - the certificate bundle: here the file that the node was started with, or the system's.
 */
#ifndef PLUVIO_ESP_ESP_CRT_BUNDLE_H
#define PLUVIO_ESP_ESP_CRT_BUNDLE_H

#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Put into crt_bundle_attach of a client's configuration. */
esp_err_t esp_crt_bundle_attach(void *conf);

#ifdef __cplusplus
}
#endif

#endif
