/*
 * task.h - FreeRTOS tasks as threads.
 */
#ifndef PLUVIO_ESP_FREERTOS_TASK_H
#define PLUVIO_ESP_FREERTOS_TASK_H

#include "freertos/FreeRTOS.h"

typedef struct rtos_task *TaskHandle_t;
typedef void (*TaskFunction_t)(void *);

#ifdef __cplusplus
extern "C" {
#endif

/* Stack depth and priority are taken note of, no more. */
BaseType_t xTaskCreate(TaskFunction_t code, const char *name, uint32_t stack_depth, void *parameters,
                       UBaseType_t priority, TaskHandle_t *created);
/* NULL: the calling task ends and does not return. */
void vTaskDelete(TaskHandle_t task);
void vTaskDelay(TickType_t ticks);
TickType_t xTaskGetTickCount(void);

#ifdef __cplusplus
}
#endif

#endif
