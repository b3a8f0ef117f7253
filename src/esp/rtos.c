/* FreeRTOS over POSIX threads: tasks, queues, mutexes; and the two tasks of ESP-IDF that run others' code: timers,
 * events. */
#include "esp/include/esp_event.h"
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

static void condition_init(pthread_cond_t *c)
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

/* --- tasks
 * -------------------------------------------------------------------------------------------------------------- */

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

/* --- queues
 * -------------------------------------------------------------------------------------------------------------- */

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
    condition_init(&q->changed);
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

/* --- timers
 * -------------------------------------------------------------------------------------------------------------- */

struct esp_timer {
    esp_timer_create_args_t args;
    int64_t at_us, period_us; /* at 0: not running */
    struct esp_timer *next;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_once_t once;
    struct esp_timer *timers;
    int64_t start_us;
} clockwork = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT}; /* part of this room's context */

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static struct esp_timer *earliest(void)
{
    struct esp_timer *first = NULL;
    for (struct esp_timer *t = clockwork.timers; t != NULL; t = t->next)
        if (t->at_us != 0 && (first == NULL || t->at_us < first->at_us))
            first = t;
    return first;
}

static void *run_timers(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&clockwork.lock);
    for (;;) {
        struct esp_timer *t = earliest();
        if (t == NULL) {
            pthread_cond_wait(&clockwork.changed, &clockwork.lock);
            continue;
        }
        if (t->at_us > monotonic_us()) {
            struct timespec until = {t->at_us / 1000000, t->at_us % 1000000 * 1000};
            pthread_cond_timedwait(&clockwork.changed, &clockwork.lock, &until);
            continue;
        }
        t->at_us = t->period_us ? t->at_us + t->period_us : 0;
        esp_timer_create_args_t args = t->args;
        pthread_mutex_unlock(&clockwork.lock);
        args.callback(args.arg);
        pthread_mutex_lock(&clockwork.lock);
    }
    return NULL;
}

static void start_clockwork(void)
{
    pthread_t thread;
    condition_init(&clockwork.changed);
    clockwork.start_us = monotonic_us();
    if (pthread_create(&thread, NULL, run_timers, NULL) == 0)
        pthread_detach(thread);
}

int64_t esp_timer_get_time(void)
{
    pthread_once(&clockwork.once, start_clockwork);
    return monotonic_us() - clockwork.start_us;
}

esp_err_t esp_timer_create(const esp_timer_create_args_t *create_args, esp_timer_handle_t *out_handle)
{
    pthread_once(&clockwork.once, start_clockwork);
    if (create_args == NULL || create_args->callback == NULL || out_handle == NULL)
        return ESP_ERR_INVALID_ARG;
    struct esp_timer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ESP_ERR_NO_MEM;
    t->args = *create_args;
    pthread_mutex_lock(&clockwork.lock);
    t->next = clockwork.timers;
    clockwork.timers = t;
    pthread_mutex_unlock(&clockwork.lock);
    *out_handle = t;
    return ESP_OK;
}

static esp_err_t start_timer(esp_timer_handle_t t, uint64_t first_us, uint64_t period_us)
{
    if (t == NULL)
        return ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&clockwork.lock);
    esp_err_t err = t->at_us ? ESP_ERR_INVALID_STATE : ESP_OK;
    if (err == ESP_OK) {
        t->at_us = monotonic_us() + (int64_t)first_us;
        t->period_us = (int64_t)period_us;
        pthread_cond_signal(&clockwork.changed);
    }
    pthread_mutex_unlock(&clockwork.lock);
    return err;
}

esp_err_t esp_timer_start_once(esp_timer_handle_t timer, uint64_t timeout_us)
{
    return start_timer(timer, timeout_us, 0);
}

esp_err_t esp_timer_start_periodic(esp_timer_handle_t timer, uint64_t period_us)
{
    return start_timer(timer, period_us, period_us);
}

esp_err_t esp_timer_stop(esp_timer_handle_t t)
{
    if (t == NULL)
        return ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&clockwork.lock);
    esp_err_t err = t->at_us ? ESP_OK : ESP_ERR_INVALID_STATE;
    t->at_us = 0;
    pthread_mutex_unlock(&clockwork.lock);
    return err;
}

esp_err_t esp_timer_delete(esp_timer_handle_t timer)
{
    esp_err_t err = ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&clockwork.lock);
    for (struct esp_timer **at = &clockwork.timers; *at != NULL; at = &(*at)->next)
        if (*at == timer) {
            err = timer->at_us ? ESP_ERR_INVALID_STATE : ESP_OK;
            if (err == ESP_OK) {
                *at = timer->next;
                free(timer);
            }
            break;
        }
    pthread_mutex_unlock(&clockwork.lock);
    return err;
}

/* --- events
 * -------------------------------------------------------------------------------------------------------------- */

#define EVENT_QUEUE 64

struct posted {
    esp_event_base_t base;
    int32_t id;
    void *data; /* on the heap, NULL when the event has none */
};

struct subscription {
    esp_event_base_t base;
    int32_t id;
    esp_event_handler_t handler;
    void *arg;
    struct subscription *next;
};

static struct {
    pthread_mutex_t lock;
    QueueHandle_t queue;
    struct subscription *subscriptions;
} loop = {.lock = PTHREAD_MUTEX_INITIALIZER}; /* part of this room's context: the default loop has no handle */

#define HANDLERS_AT_ONCE 16

static void deliver(const struct posted *e)
{
    struct subscription due[HANDLERS_AT_ONCE];
    int count = 0;
    pthread_mutex_lock(&loop.lock);
    for (struct subscription *s = loop.subscriptions; s != NULL && count < HANDLERS_AT_ONCE; s = s->next)
        if ((s->base == ESP_EVENT_ANY_BASE || s->base == e->base) && (s->id == ESP_EVENT_ANY_ID || s->id == e->id))
            due[count++] = *s;
    pthread_mutex_unlock(&loop.lock);
    for (int i = 0; i < count; i++)
        due[i].handler(due[i].arg, e->base, e->id, e->data);
}

static void run_loop(void *arg)
{
    struct posted e;
    (void)arg;
    while (xQueueReceive(loop.queue, &e, portMAX_DELAY) == pdTRUE) {
        deliver(&e);
        free(e.data);
    }
}

esp_err_t esp_event_loop_create_default(void)
{
    if (loop.queue != NULL)
        return ESP_ERR_INVALID_STATE;
    loop.queue = xQueueCreate(EVENT_QUEUE, sizeof(struct posted));
    if (loop.queue == NULL || xTaskCreate(run_loop, "sys_evt", 0, NULL, 0, NULL) != pdPASS)
        return ESP_ERR_NO_MEM;
    return ESP_OK;
}

esp_err_t esp_event_handler_register(esp_event_base_t event_base, int32_t event_id, esp_event_handler_t event_handler,
                                     void *event_handler_arg)
{
    struct subscription *s = malloc(sizeof *s);
    if (event_handler == NULL) {
        free(s);
        return ESP_ERR_INVALID_ARG;
    }
    if (s == NULL)
        return ESP_ERR_NO_MEM;
    *s = (struct subscription){event_base, event_id, event_handler, event_handler_arg, NULL};
    pthread_mutex_lock(&loop.lock);
    struct subscription **end = &loop.subscriptions; /* handlers run in the order of registration */
    while (*end != NULL)
        end = &(*end)->next;
    *end = s;
    pthread_mutex_unlock(&loop.lock);
    return ESP_OK;
}

esp_err_t esp_event_handler_unregister(esp_event_base_t event_base, int32_t event_id, esp_event_handler_t event_handler)
{
    esp_err_t err = ESP_ERR_NOT_FOUND;
    pthread_mutex_lock(&loop.lock);
    for (struct subscription **at = &loop.subscriptions; *at != NULL; at = &(*at)->next)
        if ((*at)->base == event_base && (*at)->id == event_id && (*at)->handler == event_handler) {
            struct subscription *s = *at;
            *at = s->next;
            free(s);
            err = ESP_OK;
            break;
        }
    pthread_mutex_unlock(&loop.lock);
    return err;
}

esp_err_t esp_event_post(esp_event_base_t event_base, int32_t event_id, const void *event_data, size_t event_data_size,
                         TickType_t ticks_to_wait)
{
    struct posted e = {event_base, event_id, NULL};
    if (loop.queue == NULL)
        return ESP_ERR_INVALID_STATE;
    if (event_data != NULL && event_data_size > 0) {
        e.data = malloc(event_data_size);
        if (e.data == NULL)
            return ESP_ERR_NO_MEM;
        memcpy(e.data, event_data, event_data_size);
    }
    if (xQueueSend(loop.queue, &e, ticks_to_wait) == pdTRUE)
        return ESP_OK;
    free(e.data);
    return ESP_ERR_TIMEOUT;
}
