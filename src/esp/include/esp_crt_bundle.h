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
void esp_crt_bundle_detach(void *conf);
/* Taken note of, no more: the bundle is what vesp was given. */
esp_err_t esp_crt_bundle_set(const uint8_t *x509_bundle, size_t bundle_size);

#ifdef __cplusplus
}
#endif

#endif
