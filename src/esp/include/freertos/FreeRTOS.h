/*
 * FreeRTOS.h - types and constants of FreeRTOS; tasks and queues are POSIX threads and conditions.
 */
#ifndef PLUVIO_ESP_FREERTOS_FREERTOS_H
#define PLUVIO_ESP_FREERTOS_FREERTOS_H

#include <stddef.h>
#include <stdint.h>

typedef int BaseType_t;
typedef unsigned int UBaseType_t;
typedef uint32_t TickType_t;

#define pdFALSE            0
#define pdTRUE             1
#define pdFAIL             pdFALSE
#define pdPASS             pdTRUE
#define portMAX_DELAY      ((TickType_t)0xffffffffU)
#define configTICK_RATE_HZ 1000
#define portTICK_PERIOD_MS ((TickType_t)(1000 / configTICK_RATE_HZ))
#define pdMS_TO_TICKS(ms)  ((TickType_t)(((uint64_t)(ms)*configTICK_RATE_HZ) / 1000))
#define tskNO_AFFINITY     0x7fffffff

#endif
