/*
 * queue.h - FreeRTOS queues.
 */
#ifndef PLUVIO_ESP_FREERTOS_QUEUE_H
#define PLUVIO_ESP_FREERTOS_QUEUE_H

#include "freertos/FreeRTOS.h"

typedef struct rtos_queue *QueueHandle_t;
typedef QueueHandle_t xQueueHandle;

#ifdef __cplusplus
extern "C" {
#endif

/* Items are copied; NULL without memory or for a length of 0. */
QueueHandle_t xQueueCreate(UBaseType_t length, UBaseType_t item_size);
QueueHandle_t xQueueCreateStatic(UBaseType_t length, UBaseType_t item_size, uint8_t *storage, StaticQueue_t *buffer);
void vQueueDelete(QueueHandle_t queue);
/* Waits at most `ticks` for room; pdTRUE or errQUEUE_FULL. */
BaseType_t xQueueSend(QueueHandle_t queue, const void *item, TickType_t ticks);
BaseType_t xQueueSendToBack(QueueHandle_t queue, const void *item, TickType_t ticks);
BaseType_t xQueueSendToFront(QueueHandle_t queue, const void *item, TickType_t ticks);
BaseType_t xQueueOverwrite(QueueHandle_t queue, const void *item);
BaseType_t xQueueReceive(QueueHandle_t queue, void *item, TickType_t ticks);
BaseType_t xQueuePeek(QueueHandle_t queue, void *item, TickType_t ticks);
UBaseType_t uxQueueMessagesWaiting(QueueHandle_t queue);
UBaseType_t uxQueueSpacesAvailable(QueueHandle_t queue);
BaseType_t xQueueReset(QueueHandle_t queue);
BaseType_t xQueueSendFromISR(QueueHandle_t queue, const void *item, BaseType_t *woken);
BaseType_t xQueueReceiveFromISR(QueueHandle_t queue, void *item, BaseType_t *woken);

#ifdef __cplusplus
}
#endif

#define xQueueSendToBackFromISR(queue, item, woken) xQueueSendFromISR(queue, item, woken)

#endif
