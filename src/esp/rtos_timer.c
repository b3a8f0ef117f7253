/* FreeRTOS software timers over esp_timer: both are run by one task. */
#include "esp/include/freertos/timers.h"

#include "esp/include/esp_timer.h"

#include <stdlib.h>

struct rtos_timer {
    esp_timer_handle_t timer;
    const char *name;
    TickType_t period;
    bool reloads;
    void *id;
    TimerCallbackFunction_t callback;
    int64_t expires_us;
};

static uint64_t period_us(const struct rtos_timer *t)
{
    return (uint64_t)t->period * (1000000u / configTICK_RATE_HZ);
}

static void on_timer(void *arg)
{
    struct rtos_timer *t = arg;
    t->callback(t);
}

TimerHandle_t xTimerCreate(const char *name, TickType_t period, BaseType_t reloads, void *id,
                           TimerCallbackFunction_t callback)
{
    struct rtos_timer *t = period > 0 ? calloc(1, sizeof *t) : NULL;
    if (t == NULL)
        return NULL;
    *t = (struct rtos_timer){.name = name, .period = period, .reloads = reloads, .id = id, .callback = callback};
    esp_timer_create_args_t args = {.callback = on_timer, .arg = t, .name = name};
    if (esp_timer_create(&args, &t->timer) == ESP_OK)
        return t;
    free(t);
    return NULL;
}

TimerHandle_t xTimerCreateStatic(const char *name, TickType_t period, BaseType_t reloads, void *id,
                                 TimerCallbackFunction_t callback, StaticTimer_t *buffer)
{
    (void)buffer;
    return xTimerCreate(name, period, reloads, id, callback);
}

BaseType_t xTimerStart(TimerHandle_t t, TickType_t ticks)
{
    (void)ticks;
    esp_timer_stop(t->timer); /* starting one that runs starts it anew */
    t->expires_us = esp_timer_get_time() + (int64_t)period_us(t);
    esp_err_t err =
        t->reloads ? esp_timer_start_periodic(t->timer, period_us(t)) : esp_timer_start_once(t->timer, period_us(t));
    return err == ESP_OK ? pdPASS : pdFAIL;
}

BaseType_t xTimerReset(TimerHandle_t t, TickType_t ticks)
{
    return xTimerStart(t, ticks);
}

BaseType_t xTimerStop(TimerHandle_t t, TickType_t ticks)
{
    (void)ticks;
    esp_timer_stop(t->timer);
    return pdPASS;
}

BaseType_t xTimerChangePeriod(TimerHandle_t t, TickType_t period, TickType_t ticks)
{
    t->period = period;
    return xTimerStart(t, ticks);
}

BaseType_t xTimerDelete(TimerHandle_t t, TickType_t ticks)
{
    (void)ticks;
    esp_timer_stop(t->timer);
    esp_timer_delete(t->timer);
    free(t);
    return pdPASS;
}

BaseType_t xTimerIsTimerActive(TimerHandle_t t)
{
    return esp_timer_is_active(t->timer);
}

void *pvTimerGetTimerID(TimerHandle_t t)
{
    return t->id;
}

void vTimerSetTimerID(TimerHandle_t t, void *id)
{
    t->id = id;
}

const char *pcTimerGetName(TimerHandle_t t)
{
    return t->name;
}

TickType_t xTimerGetPeriod(TimerHandle_t t)
{
    return t->period;
}

TickType_t xTimerGetExpiryTime(TimerHandle_t t)
{
    return (TickType_t)(t->expires_us / (1000000 / configTICK_RATE_HZ));
}

BaseType_t xTimerStartFromISR(TimerHandle_t t, BaseType_t *woken)
{
    if (woken != NULL)
        *woken = pdFALSE;
    return xTimerStart(t, 0);
}

BaseType_t xTimerStopFromISR(TimerHandle_t t, BaseType_t *woken)
{
    if (woken != NULL)
        *woken = pdFALSE;
    return xTimerStop(t, 0);
}

BaseType_t xTimerResetFromISR(TimerHandle_t t, BaseType_t *woken)
{
    return xTimerStartFromISR(t, woken);
}
