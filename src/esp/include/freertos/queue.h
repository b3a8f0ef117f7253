/*
 * queue.h - FreeRTOS queues.
 */
#ifndef PLUVIO_ESP_FREERTOS_QUEUE_H
#define PLUVIO_ESP_FREERTOS_QUEUE_H

#include "freertos/FreeRTOS.h"

typedef struct rtos_queue *QueueHandle_t;

#ifdef __cplusplus
extern "C" {
#endif

QueueHandle_t xQueueCreate(UBaseType_t length, UBaseType_t item_size);
void vQueueDelete(QueueHandle_t queue);
BaseType_t xQueueSend(QueueHandle_t queue, const void *item, TickType_t ticks_to_wait);
BaseType_t xQueueReceive(QueueHandle_t queue, void *item, TickType_t ticks_to_wait);

#ifdef __cplusplus
}
#endif

#endif
