/*
 * esp_system.h - restart and its reasons (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_SYSTEM_H
#define PLUVIO_ESP_ESP_SYSTEM_H

#include "esp_err.h"

typedef enum {
    ESP_RST_UNKNOWN,
    ESP_RST_POWERON,
    ESP_RST_EXT,
    ESP_RST_SW,
    ESP_RST_PANIC,
    ESP_RST_INT_WDT,
    ESP_RST_TASK_WDT,
    ESP_RST_WDT,
    ESP_RST_DEEPSLEEP,
    ESP_RST_BROWNOUT,
    ESP_RST_SDIO
} esp_reset_reason_t;

typedef void (*shutdown_handler_t)(void);

#ifdef __cplusplus
extern "C" {
#endif

void esp_restart(void) __attribute__((noreturn));
esp_reset_reason_t esp_reset_reason(void);
/* At most five; called by esp_restart in reverse order. */
esp_err_t esp_register_shutdown_handler(shutdown_handler_t handle);

#ifdef __cplusplus
}
#endif

#endif
