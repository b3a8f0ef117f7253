/*
 * esp_timer.h - one-shot and periodic timers (ESP-IDF 5.5), run by one task.
 */
#ifndef PLUVIO_ESP_ESP_TIMER_H
#define PLUVIO_ESP_ESP_TIMER_H

#include "esp_err.h"

#include <stdbool.h>

typedef struct esp_timer *esp_timer_handle_t;
typedef void (*esp_timer_cb_t)(void *arg);
typedef enum { ESP_TIMER_TASK, ESP_TIMER_ISR, ESP_TIMER_MAX } esp_timer_dispatch_t;

typedef struct {
    esp_timer_cb_t callback;
    void *arg;
    esp_timer_dispatch_t dispatch_method;
    const char *name;
    bool skip_unhandled_events;
} esp_timer_create_args_t;

#ifdef __cplusplus
extern "C" {
#endif

esp_err_t esp_timer_create(const esp_timer_create_args_t *create_args, esp_timer_handle_t *out_handle);
esp_err_t esp_timer_start_once(esp_timer_handle_t timer, uint64_t timeout_us);
esp_err_t esp_timer_start_periodic(esp_timer_handle_t timer, uint64_t period_us);
/* From now on with another time; a periodic timer with another period.  INVALID_STATE when it does not run. */
esp_err_t esp_timer_restart(esp_timer_handle_t timer, uint64_t timeout_us);
bool esp_timer_is_active(esp_timer_handle_t timer);
esp_err_t esp_timer_get_period(esp_timer_handle_t timer, uint64_t *period);
esp_err_t esp_timer_get_expiry_time(esp_timer_handle_t timer, uint64_t *expiry);
/* Microseconds since boot at which the next timer is due; INT64_MAX without one. */
int64_t esp_timer_get_next_alarm(void);
/* The timers' task is there before anybody asks. */
esp_err_t esp_timer_init(void);
esp_err_t esp_timer_deinit(void);
esp_err_t esp_timer_stop(esp_timer_handle_t timer);
esp_err_t esp_timer_delete(esp_timer_handle_t timer);
/* Microseconds since the application started. */
int64_t esp_timer_get_time(void);

#ifdef __cplusplus
}
#endif

#endif
