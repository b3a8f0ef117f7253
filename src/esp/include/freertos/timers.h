/*
 * timers.h - FreeRTOS software timers, whose callbacks one task runs.
 */
#ifndef PLUVIO_ESP_FREERTOS_TIMERS_H
#define PLUVIO_ESP_FREERTOS_TIMERS_H

#include "freertos/task.h"

typedef struct rtos_timer *TimerHandle_t;
typedef TimerHandle_t xTimerHandle;
typedef void (*TimerCallbackFunction_t)(TimerHandle_t timer);

#ifdef __cplusplus
extern "C" {
#endif

/* NULL without memory or for a period of 0. */
TimerHandle_t xTimerCreate(const char *name, TickType_t period, BaseType_t reloads, void *id,
                           TimerCallbackFunction_t callback);
TimerHandle_t xTimerCreateStatic(const char *name, TickType_t period, BaseType_t reloads, void *id,
                                 TimerCallbackFunction_t callback, StaticTimer_t *buffer);
BaseType_t xTimerStart(TimerHandle_t timer, TickType_t ticks);
BaseType_t xTimerStop(TimerHandle_t timer, TickType_t ticks);
BaseType_t xTimerReset(TimerHandle_t timer, TickType_t ticks);
BaseType_t xTimerChangePeriod(TimerHandle_t timer, TickType_t period, TickType_t ticks);
BaseType_t xTimerDelete(TimerHandle_t timer, TickType_t ticks);
BaseType_t xTimerIsTimerActive(TimerHandle_t timer);
void *pvTimerGetTimerID(TimerHandle_t timer);
void vTimerSetTimerID(TimerHandle_t timer, void *id);
const char *pcTimerGetName(TimerHandle_t timer);
TickType_t xTimerGetPeriod(TimerHandle_t timer);
TickType_t xTimerGetExpiryTime(TimerHandle_t timer);
BaseType_t xTimerStartFromISR(TimerHandle_t timer, BaseType_t *woken);
BaseType_t xTimerStopFromISR(TimerHandle_t timer, BaseType_t *woken);
BaseType_t xTimerResetFromISR(TimerHandle_t timer, BaseType_t *woken);

#ifdef __cplusplus
}
#endif

#endif
