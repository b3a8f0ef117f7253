/* ESP-IDF's timers: one task runs their callbacks, earliest first. */
#include "esp/include/esp_timer.h"

#include "esp/include/freertos/task.h"
#include "esp/rtos.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct esp_timer {
    esp_timer_create_args_t args;
    int64_t at_us, period_us; /* at 0: not running */
    struct esp_timer *next;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_once_t once;
    struct esp_timer *timers;
    int64_t start_us;
} clockwork = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT}; /* part of this room's context */

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static struct esp_timer *earliest(void)
{
    struct esp_timer *first = NULL;
    for (struct esp_timer *t = clockwork.timers; t != NULL; t = t->next)
        if (t->at_us != 0 && (first == NULL || t->at_us < first->at_us))
            first = t;
    return first;
}

static void run_timers(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&clockwork.lock);
    for (;;) {
        struct esp_timer *t = earliest();
        if (t == NULL) {
            pthread_cond_wait(&clockwork.changed, &clockwork.lock);
            continue;
        }
        if (t->at_us > monotonic_us()) {
            struct timespec until = {t->at_us / 1000000, t->at_us % 1000000 * 1000};
            pthread_cond_timedwait(&clockwork.changed, &clockwork.lock, &until);
            continue;
        }
        t->at_us = t->period_us ? t->at_us + t->period_us : 0;
        esp_timer_create_args_t args = t->args;
        pthread_mutex_unlock(&clockwork.lock);
        args.callback(args.arg);
        pthread_mutex_lock(&clockwork.lock);
    }
}

static void start_clockwork(void)
{
    rtos_condition_init(&clockwork.changed);
    clockwork.start_us = monotonic_us();
    xTaskCreate(run_timers, "esp_timer", 0, NULL, 0, NULL);
}

int64_t esp_timer_get_time(void)
{
    pthread_once(&clockwork.once, start_clockwork);
    return monotonic_us() - clockwork.start_us;
}

esp_err_t esp_timer_create(const esp_timer_create_args_t *create_args, esp_timer_handle_t *out_handle)
{
    pthread_once(&clockwork.once, start_clockwork);
    if (create_args == NULL || create_args->callback == NULL || out_handle == NULL)
        return ESP_ERR_INVALID_ARG;
    struct esp_timer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ESP_ERR_NO_MEM;
    t->args = *create_args;
    pthread_mutex_lock(&clockwork.lock);
    t->next = clockwork.timers;
    clockwork.timers = t;
    pthread_mutex_unlock(&clockwork.lock);
    *out_handle = t;
    return ESP_OK;
}

static esp_err_t start_timer(esp_timer_handle_t t, uint64_t first_us, uint64_t period_us)
{
    if (t == NULL)
        return ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&clockwork.lock);
    esp_err_t err = t->at_us ? ESP_ERR_INVALID_STATE : ESP_OK;
    if (err == ESP_OK) {
        t->at_us = monotonic_us() + (int64_t)first_us;
        t->period_us = (int64_t)period_us;
        pthread_cond_signal(&clockwork.changed);
    }
    pthread_mutex_unlock(&clockwork.lock);
    return err;
}

esp_err_t esp_timer_start_once(esp_timer_handle_t timer, uint64_t timeout_us)
{
    return start_timer(timer, timeout_us, 0);
}

esp_err_t esp_timer_start_periodic(esp_timer_handle_t timer, uint64_t period_us)
{
    return start_timer(timer, period_us, period_us);
}

esp_err_t esp_timer_restart(esp_timer_handle_t t, uint64_t timeout_us)
{
    if (t == NULL)
        return ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&clockwork.lock);
    esp_err_t err = t->at_us ? ESP_OK : ESP_ERR_INVALID_STATE;
    if (err == ESP_OK) {
        t->at_us = monotonic_us() + (int64_t)timeout_us;
        t->period_us = t->period_us ? (int64_t)timeout_us : 0;
        pthread_cond_signal(&clockwork.changed);
    }
    pthread_mutex_unlock(&clockwork.lock);
    return err;
}

bool esp_timer_is_active(esp_timer_handle_t t)
{
    pthread_mutex_lock(&clockwork.lock);
    bool is_active = t != NULL && t->at_us != 0;
    pthread_mutex_unlock(&clockwork.lock);
    return is_active;
}

esp_err_t esp_timer_get_period(esp_timer_handle_t t, uint64_t *period)
{
    if (t == NULL || period == NULL)
        return ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&clockwork.lock);
    *period = (uint64_t)t->period_us;
    pthread_mutex_unlock(&clockwork.lock);
    return ESP_OK;
}

esp_err_t esp_timer_get_expiry_time(esp_timer_handle_t t, uint64_t *expiry)
{
    if (t == NULL || expiry == NULL)
        return ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&clockwork.lock);
    esp_err_t err = t->period_us ? ESP_ERR_NOT_SUPPORTED : ESP_OK;
    *expiry = t->at_us ? (uint64_t)(t->at_us - clockwork.start_us) : 0;
    pthread_mutex_unlock(&clockwork.lock);
    return err;
}

int64_t esp_timer_get_next_alarm(void)
{
    pthread_mutex_lock(&clockwork.lock);
    struct esp_timer *t = earliest();
    int64_t at = t ? t->at_us - clockwork.start_us : INT64_MAX;
    pthread_mutex_unlock(&clockwork.lock);
    return at;
}

esp_err_t esp_timer_init(void)
{
    pthread_once(&clockwork.once, start_clockwork);
    return ESP_ERR_INVALID_STATE; /* as on the chip, where it was started before app_main() */
}

esp_err_t esp_timer_deinit(void)
{
    return ESP_ERR_INVALID_STATE;
}

esp_err_t esp_timer_stop(esp_timer_handle_t t)
{
    if (t == NULL)
        return ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&clockwork.lock);
    esp_err_t err = t->at_us ? ESP_OK : ESP_ERR_INVALID_STATE;
    t->at_us = 0;
    pthread_mutex_unlock(&clockwork.lock);
    return err;
}

esp_err_t esp_timer_delete(esp_timer_handle_t timer)
{
    esp_err_t err = ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&clockwork.lock);
    for (struct esp_timer **at = &clockwork.timers; *at != NULL; at = &(*at)->next)
        if (*at == timer) {
            err = timer->at_us ? ESP_ERR_INVALID_STATE : ESP_OK;
            if (err == ESP_OK) {
                *at = timer->next;
                free(timer);
            }
            break;
        }
    pthread_mutex_unlock(&clockwork.lock);
    return err;
}
