/*
 * esp_types.h - standard types (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_TYPES_H
#define PLUVIO_ESP_ESP_TYPES_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#endif
