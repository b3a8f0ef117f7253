/*
 * FreeRTOS.h - types and constants of FreeRTOS; tasks and queues are POSIX threads and conditions.
 *
 * Stack depths, priorities and cores are taken note of, no more; "FromISR" calls are the ordinary ones without waiting.
 */
#ifndef PLUVIO_ESP_FREERTOS_FREERTOS_H
#define PLUVIO_ESP_FREERTOS_FREERTOS_H

#include <sdkconfig.h>

/* ESP-IDF's port brings these, and firmware counts on it. */
#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef int BaseType_t;
typedef unsigned int UBaseType_t;
typedef uint32_t TickType_t;
typedef uint8_t StackType_t;
typedef uint32_t configSTACK_DEPTH_TYPE;

/* Space for objects that the caller provides; this layer has its own. */
typedef struct {
    void *unused[8];
} StaticTask_t, StaticQueue_t, StaticEventGroup_t, StaticTimer_t;
typedef StaticQueue_t StaticSemaphore_t;

typedef struct {
    uint32_t unused;
} portMUX_TYPE;

#define pdFALSE                               ((BaseType_t)0)
#define pdTRUE                                ((BaseType_t)1)
#define pdFAIL                                pdFALSE
#define pdPASS                                pdTRUE
#define errQUEUE_EMPTY                        ((BaseType_t)0)
#define errQUEUE_FULL                         ((BaseType_t)0)
#define errCOULD_NOT_ALLOCATE_REQUIRED_MEMORY (-1)

/* The library is compiled once: a build's CONFIG_FREERTOS_HZ does not change the length of a tick. */
#define configTICK_RATE_HZ                    1000
#define configMAX_PRIORITIES                  25
#define configMINIMAL_STACK_SIZE              1536
#define configMAX_TASK_NAME_LEN               16
#define configNUM_CORES                       1
#define portNUM_PROCESSORS                    1
#define configTASK_NOTIFICATION_ARRAY_ENTRIES 4
#define configASSERT(x)                       assert(x)
#define portMAX_DELAY                         ((TickType_t)0xffffffffU)
#define portTICK_PERIOD_MS                    ((TickType_t)(1000 / configTICK_RATE_HZ))
#define portTICK_RATE_MS                      portTICK_PERIOD_MS
#define pdMS_TO_TICKS(ms)                     ((TickType_t)(((uint64_t)(ms)*configTICK_RATE_HZ) / 1000))
#define pdTICKS_TO_MS(ticks)                  ((TickType_t)(((uint64_t)(ticks)*1000) / configTICK_RATE_HZ))
#define tskNO_AFFINITY                        0x7fffffff
#define portMUX_INITIALIZER_UNLOCKED                                                                                   \
    {                                                                                                                  \
        0                                                                                                              \
    }

#ifdef __cplusplus
extern "C" {
#endif

void rtos_enter_critical(void);
void rtos_exit_critical(void);
void rtos_yield(void);

#ifdef __cplusplus
}
#endif

#define portENTER_CRITICAL(mux)      ((void)(mux), rtos_enter_critical())
#define portEXIT_CRITICAL(mux)       ((void)(mux), rtos_exit_critical())
#define portENTER_CRITICAL_ISR(mux)  portENTER_CRITICAL(mux)
#define portEXIT_CRITICAL_ISR(mux)   portEXIT_CRITICAL(mux)
#define portENTER_CRITICAL_SAFE(mux) portENTER_CRITICAL(mux)
#define portEXIT_CRITICAL_SAFE(mux)  portEXIT_CRITICAL(mux)
#define taskENTER_CRITICAL(mux)      portENTER_CRITICAL(mux)
#define taskEXIT_CRITICAL(mux)       portEXIT_CRITICAL(mux)
#define portYIELD()                  rtos_yield()
#define portYIELD_FROM_ISR(...)      ((void)0)
#define xPortGetCoreID()             0
#define xPortInIsrContext()          0
#define xPortGetFreeHeapSize()       ((size_t)(256 * 1024))

#endif
