/*
 * esp_task_wdt.h - the task watchdog (ESP-IDF 5.5): tasks that subscribed must reset it in time.
 *
 * With `trigger_panic` (CONFIG_ESP_TASK_WDT_PANIC) a late task resets the node, and an image on trial is rolled back;
 * without, a line is logged, as on the chip.
 */
#ifndef PLUVIO_ESP_ESP_TASK_WDT_H
#define PLUVIO_ESP_ESP_TASK_WDT_H

#include "esp_err.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

typedef struct {
    uint32_t timeout_ms;
    uint32_t idle_core_mask; /* there are no idle tasks here */
    bool trigger_panic;
} esp_task_wdt_config_t;

typedef struct esp_task_wdt_user_handle_s *esp_task_wdt_user_handle_t;

#ifdef __cplusplus
extern "C" {
#endif

/* INVALID_STATE when it runs already. */
esp_err_t esp_task_wdt_init(const esp_task_wdt_config_t *config);
esp_err_t esp_task_wdt_reconfigure(const esp_task_wdt_config_t *config);
esp_err_t esp_task_wdt_deinit(void);
/* NULL: the calling task.  INVALID_ARG when it is watched already. */
esp_err_t esp_task_wdt_add(TaskHandle_t task_handle);
esp_err_t esp_task_wdt_add_user(const char *user_name, esp_task_wdt_user_handle_t *user_handle_ret);
esp_err_t esp_task_wdt_reset(void);
esp_err_t esp_task_wdt_reset_user(esp_task_wdt_user_handle_t user_handle);
esp_err_t esp_task_wdt_delete(TaskHandle_t task_handle);
esp_err_t esp_task_wdt_delete_user(esp_task_wdt_user_handle_t user_handle);
esp_err_t esp_task_wdt_status(TaskHandle_t task_handle);
/* An application may define it: called when a task is late. */
void esp_task_wdt_isr_user_handler(void);

#ifdef __cplusplus
}
#endif

#endif
