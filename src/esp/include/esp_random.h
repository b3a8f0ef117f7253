/*
 * esp_random.h - random numbers, the system's (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_RANDOM_H
#define PLUVIO_ESP_ESP_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

uint32_t esp_random(void);
void esp_fill_random(void *buf, size_t len);

#ifdef __cplusplus
}
#endif

#endif
