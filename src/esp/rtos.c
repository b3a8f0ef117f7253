/* FreeRTOS over POSIX threads: tasks, queues, mutexes. */
#include "esp/rtos.h"

#include "esp/include/esp_timer.h"
#include "esp/include/freertos/semphr.h"
#include "esp/include/freertos/task.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void deadline_of(TickType_t ticks, struct timespec *to)
{
    clock_gettime(CLOCK_MONOTONIC, to);
    to->tv_sec += ticks / configTICK_RATE_HZ;
    to->tv_nsec += (long)(ticks % configTICK_RATE_HZ) * 1000000L;
    if (to->tv_nsec >= 1000000000L) {
        to->tv_sec++;
        to->tv_nsec -= 1000000000L;
    }
}

void rtos_condition_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

/* False when the time is over. */
static bool wait_until(pthread_cond_t *c, pthread_mutex_t *lock, TickType_t ticks, const struct timespec *deadline)
{
    if (ticks == 0)
        return false;
    if (ticks == portMAX_DELAY)
        return pthread_cond_wait(c, lock) == 0;
    return pthread_cond_timedwait(c, lock, deadline) != ETIMEDOUT;
}

/* --- tasks ------------------------------------------------------------------------------------ */

struct rtos_task {
    pthread_t thread;
    TaskFunction_t code;
    void *parameters;
};

static void *run_task(void *arg)
{
    struct rtos_task task = *(struct rtos_task *)arg;
    free(arg);
    task.code(task.parameters);
    return NULL;
}

BaseType_t xTaskCreate(TaskFunction_t code, const char *name, uint32_t stack_depth, void *parameters,
                       UBaseType_t priority, TaskHandle_t *created)
{
    struct rtos_task *task = malloc(sizeof *task);
    pthread_t thread;
    (void)name, (void)stack_depth, (void)priority;
    if (task == NULL)
        return pdFAIL;
    *task = (struct rtos_task){.code = code, .parameters = parameters};
    if (pthread_create(&thread, NULL, run_task, task) != 0) {
        free(task);
        return pdFAIL;
    }
    pthread_detach(thread);
    if (created != NULL)
        *created = NULL;
    return pdPASS;
}

void vTaskDelete(TaskHandle_t task)
{
    if (task == NULL)
        pthread_exit(NULL);
}

void vTaskDelay(TickType_t ticks)
{
    struct timespec deadline;
    deadline_of(ticks, &deadline);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) == EINTR)
        ;
}

TickType_t xTaskGetTickCount(void)
{
    return (TickType_t)(esp_timer_get_time() / 1000 * configTICK_RATE_HZ / 1000);
}

/* --- queues ----------------------------------------------------------------------------------- */

struct rtos_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned length, item_size, first, count;
    unsigned char items[];
};

QueueHandle_t xQueueCreate(UBaseType_t length, UBaseType_t item_size)
{
    QueueHandle_t q = calloc(1, sizeof *q + (size_t)length * item_size);
    if (q == NULL)
        return NULL;
    pthread_mutex_init(&q->lock, NULL);
    rtos_condition_init(&q->changed);
    q->length = length;
    q->item_size = item_size;
    return q;
}

void vQueueDelete(QueueHandle_t q)
{
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->changed);
    free(q);
}

BaseType_t xQueueSend(QueueHandle_t q, const void *item, TickType_t ticks)
{
    struct timespec deadline;
    BaseType_t done = pdFALSE;
    deadline_of(ticks == portMAX_DELAY ? 0 : ticks, &deadline);
    pthread_mutex_lock(&q->lock);
    while (q->count == q->length && wait_until(&q->changed, &q->lock, ticks, &deadline))
        ;
    if (q->count < q->length) {
        if (q->item_size > 0)
            memcpy(q->items + (size_t)((q->first + q->count) % q->length) * q->item_size, item, q->item_size);
        q->count++;
        done = pdTRUE;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return done;
}

BaseType_t xQueueReceive(QueueHandle_t q, void *item, TickType_t ticks)
{
    struct timespec deadline;
    BaseType_t done = pdFALSE;
    deadline_of(ticks == portMAX_DELAY ? 0 : ticks, &deadline);
    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && wait_until(&q->changed, &q->lock, ticks, &deadline))
        ;
    if (q->count > 0) {
        if (q->item_size > 0)
            memcpy(item, q->items + (size_t)q->first * q->item_size, q->item_size);
        q->first = (q->first + 1) % q->length;
        q->count--;
        done = pdTRUE;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return done;
}

/* A mutex is a queue of one thing that has no size: taking it is receiving. */
SemaphoreHandle_t xSemaphoreCreateMutex(void)
{
    SemaphoreHandle_t s = xQueueCreate(1, 0);
    if (s != NULL)
        xSemaphoreGive(s);
    return s;
}

void vSemaphoreDelete(SemaphoreHandle_t semaphore)
{
    vQueueDelete(semaphore);
}

BaseType_t xSemaphoreTake(SemaphoreHandle_t semaphore, TickType_t ticks)
{
    return xQueueReceive(semaphore, NULL, ticks);
}

BaseType_t xSemaphoreGive(SemaphoreHandle_t semaphore)
{
    return xQueueSend(semaphore, NULL, 0);
}
