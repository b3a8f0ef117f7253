/*
 * task.h - FreeRTOS tasks as threads, their delays and notifications.
 */
#ifndef PLUVIO_ESP_FREERTOS_TASK_H
#define PLUVIO_ESP_FREERTOS_TASK_H

#include "freertos/FreeRTOS.h"

typedef struct rtos_task *TaskHandle_t;
typedef TaskHandle_t xTaskHandle;
typedef void (*TaskFunction_t)(void *);

typedef enum { eRunning = 0, eReady, eBlocked, eSuspended, eDeleted, eInvalid } eTaskState;
typedef enum { eNoAction = 0, eSetBits, eIncrement, eSetValueWithOverwrite, eSetValueWithoutOverwrite } eNotifyAction;

#define tskIDLE_PRIORITY           ((UBaseType_t)0U)
#define taskSCHEDULER_SUSPENDED    ((BaseType_t)0)
#define taskSCHEDULER_NOT_STARTED  ((BaseType_t)1)
#define taskSCHEDULER_RUNNING      ((BaseType_t)2)
#define tskDEFAULT_INDEX_TO_NOTIFY 0
#define taskYIELD()                rtos_yield()

#ifdef __cplusplus
extern "C" {
#endif

/* pdPASS, or errCOULD_NOT_ALLOCATE_REQUIRED_MEMORY. */
BaseType_t xTaskCreate(TaskFunction_t code, const char *name, uint32_t stack_depth, void *parameters,
                       UBaseType_t priority, TaskHandle_t *created);
BaseType_t xTaskCreatePinnedToCore(TaskFunction_t code, const char *name, uint32_t stack_depth, void *parameters,
                                   UBaseType_t priority, TaskHandle_t *created, BaseType_t core);
TaskHandle_t xTaskCreateStatic(TaskFunction_t code, const char *name, uint32_t stack_depth, void *parameters,
                               UBaseType_t priority, StackType_t *stack, StaticTask_t *buffer);
TaskHandle_t xTaskCreateStaticPinnedToCore(TaskFunction_t code, const char *name, uint32_t stack_depth,
                                           void *parameters, UBaseType_t priority, StackType_t *stack,
                                           StaticTask_t *buffer, BaseType_t core);
/* NULL: the calling task ends and does not return.  Another one ends where it next waits. */
void vTaskDelete(TaskHandle_t task);
void vTaskDelay(TickType_t ticks);
/* Until `increment` ticks after `*previous_wake`; pdFALSE when that is past. */
BaseType_t xTaskDelayUntil(TickType_t *previous_wake, TickType_t increment);
void vTaskDelayUntil(TickType_t *previous_wake, TickType_t increment);
TickType_t xTaskGetTickCount(void);
TickType_t xTaskGetTickCountFromISR(void);
TaskHandle_t xTaskGetCurrentTaskHandle(void);
TaskHandle_t xTaskGetHandle(const char *name);
char *pcTaskGetName(TaskHandle_t task);
UBaseType_t uxTaskPriorityGet(TaskHandle_t task);
void vTaskPrioritySet(TaskHandle_t task, UBaseType_t priority);
UBaseType_t uxTaskGetNumberOfTasks(void);
/* A constant: nothing measures stacks here. */
UBaseType_t uxTaskGetStackHighWaterMark(TaskHandle_t task);
eTaskState eTaskGetState(TaskHandle_t task);
BaseType_t xTaskGetSchedulerState(void);
/* The calling task alone can be suspended. */
void vTaskSuspend(TaskHandle_t task);
void vTaskResume(TaskHandle_t task);

BaseType_t xTaskGenericNotify(TaskHandle_t task, UBaseType_t index, uint32_t value, eNotifyAction action,
                              uint32_t *previous);
BaseType_t xTaskGenericNotifyWait(UBaseType_t index, uint32_t clear_on_entry, uint32_t clear_on_exit, uint32_t *value,
                                  TickType_t ticks);
uint32_t ulTaskGenericNotifyTake(UBaseType_t index, BaseType_t clears, TickType_t ticks);
BaseType_t xTaskGenericNotifyStateClear(TaskHandle_t task, UBaseType_t index);

#ifdef __cplusplus
}
#endif

#define xTaskNotify(task, value, action)               xTaskGenericNotify(task, 0, value, action, NULL)
#define xTaskNotifyIndexed(task, index, value, action) xTaskGenericNotify(task, index, value, action, NULL)
#define xTaskNotifyAndQuery(task, value, action, prev) xTaskGenericNotify(task, 0, value, action, prev)
#define xTaskNotifyFromISR(task, value, action, woken) xTaskGenericNotify(task, 0, value, action, NULL)
#define xTaskNotifyGive(task)                          xTaskGenericNotify(task, 0, 0, eIncrement, NULL)
#define xTaskNotifyGiveIndexed(task, index)            xTaskGenericNotify(task, index, 0, eIncrement, NULL)
#define vTaskNotifyGiveFromISR(task, woken)            ((void)xTaskGenericNotify(task, 0, 0, eIncrement, NULL))
#define xTaskNotifyWait(entry, exit, value, ticks)     xTaskGenericNotifyWait(0, entry, exit, value, ticks)
#define xTaskNotifyWaitIndexed(i, entry, exit, v, t)   xTaskGenericNotifyWait(i, entry, exit, v, t)
#define ulTaskNotifyTake(clears, ticks)                ulTaskGenericNotifyTake(0, clears, ticks)
#define ulTaskNotifyTakeIndexed(index, clears, ticks)  ulTaskGenericNotifyTake(index, clears, ticks)
#define xTaskNotifyStateClear(task)                    xTaskGenericNotifyStateClear(task, 0)

#endif
