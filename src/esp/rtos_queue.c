/* FreeRTOS queues, semaphores and event groups over conditions. */
#include "esp/rtos.h"

#include "esp/include/freertos/event_groups.h"
#include "esp/include/freertos/semphr.h"
#include "esp/include/freertos/task.h"

#include <stdlib.h>
#include <string.h>

struct rtos_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned length, item_size, first, count;
    TaskHandle_t holder; /* of a mutex */
    unsigned depth;      /* of a recursive mutex */
    bool is_recursive, is_mutex;
    unsigned char items[];
};

/* --- queues ----------------------------------------------------------------------------------- */

QueueHandle_t xQueueCreate(UBaseType_t length, UBaseType_t item_size)
{
    QueueHandle_t q = length > 0 ? calloc(1, sizeof *q + (size_t)length * item_size) : NULL;
    if (q == NULL)
        return NULL;
    pthread_mutex_init(&q->lock, NULL);
    rtos_condition_init(&q->changed);
    q->length = length;
    q->item_size = item_size;
    return q;
}

QueueHandle_t xQueueCreateStatic(UBaseType_t length, UBaseType_t item_size, uint8_t *storage, StaticQueue_t *buffer)
{
    (void)storage, (void)buffer;
    return xQueueCreate(length, item_size);
}

void vQueueDelete(QueueHandle_t q)
{
    if (q == NULL)
        return;
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->changed);
    free(q);
}

static void put(QueueHandle_t q, const void *item, bool at_front)
{
    unsigned at = (q->first + q->count) % q->length;
    if (at_front)
        at = q->first = (q->first + q->length - 1) % q->length;
    if (q->item_size > 0)
        memcpy(q->items + (size_t)at * q->item_size, item, q->item_size);
    q->count++;
    pthread_cond_broadcast(&q->changed);
}

static BaseType_t send(QueueHandle_t q, const void *item, TickType_t ticks, bool at_front)
{
    struct timespec deadline;
    BaseType_t done = errQUEUE_FULL;
    rtos_deadline(ticks, &deadline);
    pthread_mutex_lock(&q->lock);
    while (q->count == q->length && rtos_wait(&q->changed, &q->lock, ticks, &deadline))
        ;
    if (q->count < q->length) {
        put(q, item, at_front);
        done = pdTRUE;
    }
    pthread_mutex_unlock(&q->lock);
    return done;
}

BaseType_t xQueueSend(QueueHandle_t q, const void *item, TickType_t ticks)
{
    return send(q, item, ticks, false);
}

BaseType_t xQueueSendToBack(QueueHandle_t q, const void *item, TickType_t ticks)
{
    return send(q, item, ticks, false);
}

BaseType_t xQueueSendToFront(QueueHandle_t q, const void *item, TickType_t ticks)
{
    return send(q, item, ticks, true);
}

/* For queues of one item. */
BaseType_t xQueueOverwrite(QueueHandle_t q, const void *item)
{
    pthread_mutex_lock(&q->lock);
    if (q->count == q->length) {
        q->count--;
        q->first = (q->first + 1) % q->length;
    }
    put(q, item, false);
    pthread_mutex_unlock(&q->lock);
    return pdPASS;
}

static BaseType_t receive(QueueHandle_t q, void *item, TickType_t ticks, bool takes)
{
    struct timespec deadline;
    BaseType_t done = pdFALSE;
    rtos_deadline(ticks, &deadline);
    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && rtos_wait(&q->changed, &q->lock, ticks, &deadline))
        ;
    if (q->count > 0) {
        if (q->item_size > 0 && item != NULL)
            memcpy(item, q->items + (size_t)q->first * q->item_size, q->item_size);
        if (takes) {
            q->first = (q->first + 1) % q->length;
            q->count--;
            pthread_cond_broadcast(&q->changed);
        }
        done = pdTRUE;
    }
    pthread_mutex_unlock(&q->lock);
    return done;
}

BaseType_t xQueueReceive(QueueHandle_t q, void *item, TickType_t ticks)
{
    return receive(q, item, ticks, true);
}

BaseType_t xQueuePeek(QueueHandle_t q, void *item, TickType_t ticks)
{
    return receive(q, item, ticks, false);
}

UBaseType_t uxQueueMessagesWaiting(QueueHandle_t q)
{
    pthread_mutex_lock(&q->lock);
    unsigned count = q->count;
    pthread_mutex_unlock(&q->lock);
    return count;
}

UBaseType_t uxQueueSpacesAvailable(QueueHandle_t q)
{
    return q->length - uxQueueMessagesWaiting(q);
}

BaseType_t xQueueReset(QueueHandle_t q)
{
    pthread_mutex_lock(&q->lock);
    q->first = q->count = 0;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    return pdPASS;
}

static void tell_no_switch(BaseType_t *woken)
{
    if (woken != NULL)
        *woken = pdFALSE;
}

BaseType_t xQueueSendFromISR(QueueHandle_t q, const void *item, BaseType_t *woken)
{
    tell_no_switch(woken);
    return send(q, item, 0, false);
}

BaseType_t xQueueReceiveFromISR(QueueHandle_t q, void *item, BaseType_t *woken)
{
    tell_no_switch(woken);
    return receive(q, item, 0, true);
}

/* --- semaphores: queues of items without size ------------------------------------------------- */

SemaphoreHandle_t xSemaphoreCreateCounting(UBaseType_t max, UBaseType_t initial)
{
    SemaphoreHandle_t s = xQueueCreate(max, 0);
    if (s != NULL)
        s->count = initial;
    return s;
}

SemaphoreHandle_t xSemaphoreCreateBinary(void)
{
    return xSemaphoreCreateCounting(1, 0);
}

SemaphoreHandle_t xSemaphoreCreateMutex(void)
{
    SemaphoreHandle_t s = xSemaphoreCreateCounting(1, 1);
    if (s != NULL)
        s->is_mutex = true;
    return s;
}

SemaphoreHandle_t xSemaphoreCreateRecursiveMutex(void)
{
    SemaphoreHandle_t s = xSemaphoreCreateMutex();
    if (s != NULL)
        s->is_recursive = true;
    return s;
}

SemaphoreHandle_t xSemaphoreCreateBinaryStatic(StaticSemaphore_t *buffer)
{
    (void)buffer;
    return xSemaphoreCreateBinary();
}

SemaphoreHandle_t xSemaphoreCreateMutexStatic(StaticSemaphore_t *buffer)
{
    (void)buffer;
    return xSemaphoreCreateMutex();
}

SemaphoreHandle_t xSemaphoreCreateRecursiveMutexStatic(StaticSemaphore_t *buffer)
{
    (void)buffer;
    return xSemaphoreCreateRecursiveMutex();
}

SemaphoreHandle_t xSemaphoreCreateCountingStatic(UBaseType_t max, UBaseType_t initial, StaticSemaphore_t *buffer)
{
    (void)buffer;
    return xSemaphoreCreateCounting(max, initial);
}

void vSemaphoreDelete(SemaphoreHandle_t semaphore)
{
    vQueueDelete(semaphore);
}

BaseType_t xSemaphoreTake(SemaphoreHandle_t s, TickType_t ticks)
{
    BaseType_t done = receive(s, NULL, ticks, true);
    if (done && s->is_mutex)
        s->holder = xTaskGetCurrentTaskHandle();
    return done;
}

BaseType_t xSemaphoreGive(SemaphoreHandle_t s)
{
    if (s->is_mutex)
        s->holder = NULL;
    return send(s, NULL, 0, false);
}

BaseType_t xSemaphoreTakeRecursive(SemaphoreHandle_t s, TickType_t ticks)
{
    TaskHandle_t me = xTaskGetCurrentTaskHandle();
    pthread_mutex_lock(&s->lock);
    bool is_mine = s->depth > 0 && s->holder == me;
    s->depth += is_mine;
    pthread_mutex_unlock(&s->lock);
    if (is_mine)
        return pdTRUE;
    if (!receive(s, NULL, ticks, true))
        return pdFALSE;
    pthread_mutex_lock(&s->lock);
    s->holder = me;
    s->depth = 1;
    pthread_mutex_unlock(&s->lock);
    return pdTRUE;
}

BaseType_t xSemaphoreGiveRecursive(SemaphoreHandle_t s)
{
    pthread_mutex_lock(&s->lock);
    bool is_mine = s->depth > 0 && s->holder == xTaskGetCurrentTaskHandle();
    if (is_mine && --s->depth == 0) {
        s->holder = NULL;
        put(s, NULL, false);
    }
    pthread_mutex_unlock(&s->lock);
    return is_mine;
}

TaskHandle_t xSemaphoreGetMutexHolder(SemaphoreHandle_t s)
{
    return s->holder;
}

BaseType_t xSemaphoreGiveFromISR(SemaphoreHandle_t s, BaseType_t *woken)
{
    tell_no_switch(woken);
    return xSemaphoreGive(s);
}

BaseType_t xSemaphoreTakeFromISR(SemaphoreHandle_t s, BaseType_t *woken)
{
    tell_no_switch(woken);
    return xSemaphoreTake(s, 0);
}

/* --- event groups ----------------------------------------------------------------------------- */

struct rtos_event_group {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    EventBits_t bits;
};

EventGroupHandle_t xEventGroupCreate(void)
{
    EventGroupHandle_t g = calloc(1, sizeof *g);
    if (g != NULL) {
        pthread_mutex_init(&g->lock, NULL);
        rtos_condition_init(&g->changed);
    }
    return g;
}

EventGroupHandle_t xEventGroupCreateStatic(StaticEventGroup_t *buffer)
{
    (void)buffer;
    return xEventGroupCreate();
}

void vEventGroupDelete(EventGroupHandle_t g)
{
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->changed);
    free(g);
}

EventBits_t xEventGroupSetBits(EventGroupHandle_t g, EventBits_t bits)
{
    pthread_mutex_lock(&g->lock);
    g->bits |= bits;
    EventBits_t now = g->bits;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return now;
}

BaseType_t xEventGroupSetBitsFromISR(EventGroupHandle_t g, EventBits_t bits, BaseType_t *woken)
{
    tell_no_switch(woken);
    xEventGroupSetBits(g, bits);
    return pdPASS;
}

EventBits_t xEventGroupClearBits(EventGroupHandle_t g, EventBits_t bits)
{
    pthread_mutex_lock(&g->lock);
    EventBits_t before = g->bits;
    g->bits &= ~bits;
    pthread_mutex_unlock(&g->lock);
    return before;
}

EventBits_t xEventGroupGetBits(EventGroupHandle_t g)
{
    return xEventGroupClearBits(g, 0);
}

static bool is_met(EventBits_t have, EventBits_t wanted, BaseType_t all)
{
    return all ? (have & wanted) == wanted : (have & wanted) != 0;
}

EventBits_t xEventGroupWaitBits(EventGroupHandle_t g, EventBits_t wanted, BaseType_t clears, BaseType_t all,
                                TickType_t ticks)
{
    struct timespec deadline;
    rtos_deadline(ticks, &deadline);
    pthread_mutex_lock(&g->lock);
    while (!is_met(g->bits, wanted, all) && rtos_wait(&g->changed, &g->lock, ticks, &deadline))
        ;
    EventBits_t have = g->bits;
    if (clears && is_met(have, wanted, all))
        g->bits &= ~wanted;
    pthread_mutex_unlock(&g->lock);
    return have;
}

EventBits_t xEventGroupSync(EventGroupHandle_t g, EventBits_t set, EventBits_t wanted, TickType_t ticks)
{
    struct timespec deadline;
    rtos_deadline(ticks, &deadline);
    pthread_mutex_lock(&g->lock);
    g->bits |= set;
    EventBits_t have = g->bits;
    if ((have & wanted) == wanted) {
        g->bits &= ~wanted; /* whoever is last lets all go */
        pthread_cond_broadcast(&g->changed);
    } else {
        while ((g->bits & wanted) != wanted && (g->bits & set) != 0 &&
               rtos_wait(&g->changed, &g->lock, ticks, &deadline))
            ;
        have = (g->bits & set) == 0 ? wanted : g->bits;
    }
    pthread_mutex_unlock(&g->lock);
    return have;
}
