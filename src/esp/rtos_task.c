/* FreeRTOS tasks over POSIX threads. */
#include "esp/rtos.h"

#include "esp/include/esp_timer.h"
#include "esp/include/freertos/task.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LEN    16
#define STACK_BYTES (256 * 1024) /* libraries below need more than a chip's few KB; only touched pages count */

struct rtos_task {
    pthread_t thread;
    TaskFunction_t code;
    void *parameters;
    char name[NAME_LEN];
    UBaseType_t priority;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    uint32_t notified[configTASK_NOTIFICATION_ARRAY_ENTRIES];
    bool has_notification[configTASK_NOTIFICATION_ARRAY_ENTRIES], is_suspended;
    struct rtos_task *next;
};

static struct {
    pthread_mutex_t lock;
    struct rtos_task *tasks;
    unsigned count;
} scheduler = {.lock = PTHREAD_MUTEX_INITIALIZER}; /* part of this room's context */

static _Thread_local struct rtos_task *self;

/* --- waiting ---------------------------------------------------------------------------------- */

void rtos_deadline(TickType_t ticks, struct timespec *to)
{
    clock_gettime(CLOCK_MONOTONIC, to);
    if (ticks == portMAX_DELAY)
        return;
    to->tv_sec += ticks / configTICK_RATE_HZ;
    to->tv_nsec += (long)(ticks % configTICK_RATE_HZ) * (1000000000L / configTICK_RATE_HZ);
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

void rtos_unlock(void *mutex)
{
    pthread_mutex_unlock(mutex);
}

bool rtos_wait(pthread_cond_t *c, pthread_mutex_t *lock, TickType_t ticks, const struct timespec *deadline)
{
    bool is_signalled = false;
    if (ticks == 0)
        return false;
    pthread_cleanup_push(rtos_unlock, lock);
    is_signalled = ticks == portMAX_DELAY ? pthread_cond_wait(c, lock) == 0
                                          : pthread_cond_timedwait(c, lock, deadline) != ETIMEDOUT;
    pthread_cleanup_pop(0);
    return is_signalled;
}

/* --- life ------------------------------------------------------------------------------------- */

static struct rtos_task *new_task(TaskFunction_t code, const char *name, void *parameters, UBaseType_t priority)
{
    struct rtos_task *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->code = code;
    t->parameters = parameters;
    t->priority = priority;
    snprintf(t->name, sizeof t->name, "%s", name ? name : "");
    pthread_mutex_init(&t->lock, NULL);
    rtos_condition_init(&t->changed);
    pthread_mutex_lock(&scheduler.lock);
    t->next = scheduler.tasks;
    scheduler.tasks = t;
    scheduler.count++;
    pthread_mutex_unlock(&scheduler.lock);
    return t;
}

static void drop_task(void *arg)
{
    struct rtos_task *t = arg;
    pthread_mutex_lock(&scheduler.lock);
    for (struct rtos_task **at = &scheduler.tasks; *at != NULL; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            scheduler.count--;
            break;
        }
    pthread_mutex_unlock(&scheduler.lock);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
    free(t);
}

static void *run_task(void *arg)
{
    self = arg;
    pthread_cleanup_push(drop_task, arg);
    self->code(self->parameters);
    pthread_cleanup_pop(1);
    return NULL;
}

void rtos_adopt_main_task(void)
{
    self = new_task(NULL, "main", NULL, 1);
    if (self != NULL)
        self->thread = pthread_self();
}

void rtos_end_main_task(void)
{
    if (self != NULL)
        drop_task(self);
    self = NULL;
}

static bool start_thread(struct rtos_task *t)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    bool is_started = pthread_create(&t->thread, &attr, run_task, t) == 0;
    pthread_attr_destroy(&attr);
    return is_started;
}

BaseType_t xTaskCreate(TaskFunction_t code, const char *name, uint32_t stack_depth, void *parameters,
                       UBaseType_t priority, TaskHandle_t *created)
{
    struct rtos_task *t = new_task(code, name, parameters, priority);
    (void)stack_depth;
    if (t == NULL)
        return errCOULD_NOT_ALLOCATE_REQUIRED_MEMORY;
    if (created != NULL)
        *created = t; /* before it runs, so that it may read its own handle */
    if (start_thread(t))
        return pdPASS;
    if (created != NULL)
        *created = NULL;
    drop_task(t);
    return errCOULD_NOT_ALLOCATE_REQUIRED_MEMORY;
}

BaseType_t xTaskCreatePinnedToCore(TaskFunction_t code, const char *name, uint32_t stack_depth, void *parameters,
                                   UBaseType_t priority, TaskHandle_t *created, BaseType_t core)
{
    (void)core;
    return xTaskCreate(code, name, stack_depth, parameters, priority, created);
}

TaskHandle_t xTaskCreateStaticPinnedToCore(TaskFunction_t code, const char *name, uint32_t stack_depth,
                                           void *parameters, UBaseType_t priority, StackType_t *stack,
                                           StaticTask_t *buffer, BaseType_t core)
{
    TaskHandle_t t = NULL;
    (void)stack, (void)buffer, (void)core;
    return xTaskCreate(code, name, stack_depth, parameters, priority, &t) == pdPASS ? t : NULL;
}

TaskHandle_t xTaskCreateStatic(TaskFunction_t code, const char *name, uint32_t stack_depth, void *parameters,
                               UBaseType_t priority, StackType_t *stack, StaticTask_t *buffer)
{
    return xTaskCreateStaticPinnedToCore(code, name, stack_depth, parameters, priority, stack, buffer, tskNO_AFFINITY);
}

/* Another task ends where it next waits. */
void vTaskDelete(TaskHandle_t task)
{
    if (task == NULL || task == self)
        pthread_exit(NULL);
    pthread_cancel(task->thread);
}

/* --- time ------------------------------------------------------------------------------------- */

static void sleep_until(const struct timespec *t)
{
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, t, NULL) == EINTR)
        ;
}

void vTaskDelay(TickType_t ticks)
{
    struct timespec deadline;
    rtos_deadline(ticks, &deadline);
    while (ticks == portMAX_DELAY) {
        struct timespec day = {24 * 3600, 0};
        nanosleep(&day, NULL);
    }
    sleep_until(&deadline);
}

TickType_t xTaskGetTickCount(void)
{
    return (TickType_t)(esp_timer_get_time() / (1000000 / configTICK_RATE_HZ));
}

TickType_t xTaskGetTickCountFromISR(void)
{
    return xTaskGetTickCount();
}

BaseType_t xTaskDelayUntil(TickType_t *previous_wake, TickType_t increment)
{
    TickType_t now = xTaskGetTickCount(), wake = *previous_wake + increment;
    *previous_wake = wake;
    if ((int32_t)(wake - now) <= 0)
        return pdFALSE;
    vTaskDelay(wake - now);
    return pdTRUE;
}

void vTaskDelayUntil(TickType_t *previous_wake, TickType_t increment)
{
    xTaskDelayUntil(previous_wake, increment);
}

void rtos_yield(void)
{
    sched_yield();
}

/* --- facts ------------------------------------------------------------------------------------ */

/* A thread that is no task gets a place in the list when it first asks. */
TaskHandle_t xTaskGetCurrentTaskHandle(void)
{
    if (self == NULL) {
        self = new_task(NULL, "thread", NULL, 0);
        if (self != NULL)
            self->thread = pthread_self();
    }
    return self;
}

TaskHandle_t xTaskGetHandle(const char *name)
{
    struct rtos_task *t;
    pthread_mutex_lock(&scheduler.lock);
    for (t = scheduler.tasks; t != NULL && strcmp(t->name, name) != 0; t = t->next)
        ;
    pthread_mutex_unlock(&scheduler.lock);
    return t;
}

char *pcTaskGetName(TaskHandle_t task)
{
    task = task ? task : xTaskGetCurrentTaskHandle();
    return task ? task->name : NULL;
}

UBaseType_t uxTaskPriorityGet(TaskHandle_t task)
{
    task = task ? task : xTaskGetCurrentTaskHandle();
    return task ? task->priority : 0;
}

void vTaskPrioritySet(TaskHandle_t task, UBaseType_t priority)
{
    task = task ? task : xTaskGetCurrentTaskHandle();
    if (task != NULL)
        task->priority = priority;
}

UBaseType_t uxTaskGetNumberOfTasks(void)
{
    pthread_mutex_lock(&scheduler.lock);
    unsigned count = scheduler.count;
    pthread_mutex_unlock(&scheduler.lock);
    return count;
}

UBaseType_t uxTaskGetStackHighWaterMark(TaskHandle_t task)
{
    (void)task;
    return STACK_BYTES / 2; /* nothing measures it here */
}

eTaskState eTaskGetState(TaskHandle_t task)
{
    return task == self ? eRunning : task->is_suspended ? eSuspended : eReady;
}

BaseType_t xTaskGetSchedulerState(void)
{
    return taskSCHEDULER_RUNNING;
}

/* --- suspending ------------------------------------------------------------------------------- */

/* A task can only suspend itself: a thread cannot be stopped from outside at a safe place. */
void vTaskSuspend(TaskHandle_t task)
{
    struct rtos_task *t = xTaskGetCurrentTaskHandle();
    if (t == NULL || (task != NULL && task != t))
        return;
    pthread_mutex_lock(&t->lock);
    t->is_suspended = true;
    while (t->is_suspended && rtos_wait(&t->changed, &t->lock, portMAX_DELAY, NULL))
        ;
    pthread_mutex_unlock(&t->lock);
}

void vTaskResume(TaskHandle_t task)
{
    if (task == NULL)
        return;
    pthread_mutex_lock(&task->lock);
    task->is_suspended = false;
    pthread_cond_broadcast(&task->changed);
    pthread_mutex_unlock(&task->lock);
}

/* --- notifications ---------------------------------------------------------------------------- */

BaseType_t xTaskGenericNotify(TaskHandle_t t, UBaseType_t index, uint32_t value, eNotifyAction action,
                              uint32_t *previous)
{
    BaseType_t done = pdPASS;
    if (t == NULL || index >= configTASK_NOTIFICATION_ARRAY_ENTRIES)
        return pdFAIL;
    pthread_mutex_lock(&t->lock);
    uint32_t *now = &t->notified[index];
    if (previous != NULL)
        *previous = *now;
    if (action == eSetValueWithoutOverwrite && t->has_notification[index])
        done = pdFAIL;
    else if (action == eSetBits)
        *now |= value;
    else if (action == eIncrement)
        ++*now;
    else if (action != eNoAction)
        *now = value;
    t->has_notification[index] = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    return done;
}

BaseType_t xTaskGenericNotifyWait(UBaseType_t index, uint32_t clear_on_entry, uint32_t clear_on_exit, uint32_t *value,
                                  TickType_t ticks)
{
    struct rtos_task *t = xTaskGetCurrentTaskHandle();
    struct timespec deadline;
    if (t == NULL || index >= configTASK_NOTIFICATION_ARRAY_ENTRIES)
        return pdFALSE;
    rtos_deadline(ticks, &deadline);
    pthread_mutex_lock(&t->lock);
    if (!t->has_notification[index])
        t->notified[index] &= ~clear_on_entry;
    while (!t->has_notification[index] && rtos_wait(&t->changed, &t->lock, ticks, &deadline))
        ;
    bool has_one = t->has_notification[index];
    if (value != NULL)
        *value = t->notified[index];
    if (has_one)
        t->notified[index] &= ~clear_on_exit;
    t->has_notification[index] = false;
    pthread_mutex_unlock(&t->lock);
    return has_one;
}

uint32_t ulTaskGenericNotifyTake(UBaseType_t index, BaseType_t clears, TickType_t ticks)
{
    struct rtos_task *t = xTaskGetCurrentTaskHandle();
    struct timespec deadline;
    if (t == NULL || index >= configTASK_NOTIFICATION_ARRAY_ENTRIES)
        return 0;
    rtos_deadline(ticks, &deadline);
    pthread_mutex_lock(&t->lock);
    while (t->notified[index] == 0 && rtos_wait(&t->changed, &t->lock, ticks, &deadline))
        ;
    uint32_t value = t->notified[index];
    if (value > 0)
        t->notified[index] = clears ? 0 : value - 1;
    t->has_notification[index] = false;
    pthread_mutex_unlock(&t->lock);
    return value;
}

BaseType_t xTaskGenericNotifyStateClear(TaskHandle_t task, UBaseType_t index)
{
    struct rtos_task *t = task ? task : xTaskGetCurrentTaskHandle();
    if (t == NULL || index >= configTASK_NOTIFICATION_ARRAY_ENTRIES)
        return pdFALSE;
    pthread_mutex_lock(&t->lock);
    bool had_one = t->has_notification[index];
    t->has_notification[index] = false;
    pthread_mutex_unlock(&t->lock);
    return had_one;
}

/* --- critical sections ------------------------------------------------------------------------ */

static pthread_mutex_t critical; /* one for all: on the chip they stop everything as well */
static pthread_once_t critical_once = PTHREAD_ONCE_INIT;

static void make_critical(void)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&critical, &recursive);
    pthread_mutexattr_destroy(&recursive);
}

void rtos_enter_critical(void)
{
    pthread_once(&critical_once, make_critical);
    pthread_mutex_lock(&critical);
}

void rtos_exit_critical(void)
{
    pthread_mutex_unlock(&critical);
}
