/*
 * event_groups.h - FreeRTOS event groups: bits that tasks wait for.
 */
#ifndef PLUVIO_ESP_FREERTOS_EVENT_GROUPS_H
#define PLUVIO_ESP_FREERTOS_EVENT_GROUPS_H

#include "freertos/FreeRTOS.h"

typedef struct rtos_event_group *EventGroupHandle_t;
typedef TickType_t EventBits_t;

#ifdef __cplusplus
extern "C" {
#endif

EventGroupHandle_t xEventGroupCreate(void);
EventGroupHandle_t xEventGroupCreateStatic(StaticEventGroup_t *buffer);
void vEventGroupDelete(EventGroupHandle_t group);
/* The bits after setting. */
EventBits_t xEventGroupSetBits(EventGroupHandle_t group, EventBits_t bits);
BaseType_t xEventGroupSetBitsFromISR(EventGroupHandle_t group, EventBits_t bits, BaseType_t *woken);
/* The bits before clearing. */
EventBits_t xEventGroupClearBits(EventGroupHandle_t group, EventBits_t bits);
EventBits_t xEventGroupGetBits(EventGroupHandle_t group);
/* Waits for one or all; the bits as they were before clearing, or when the time was over. */
EventBits_t xEventGroupWaitBits(EventGroupHandle_t group, EventBits_t wanted, BaseType_t clears, BaseType_t all,
                                TickType_t ticks);
EventBits_t xEventGroupSync(EventGroupHandle_t group, EventBits_t set, EventBits_t wanted, TickType_t ticks);

#ifdef __cplusplus
}
#endif

#define xEventGroupGetBitsFromISR(group) xEventGroupGetBits(group)

#endif
