/* ESP-IDF's event loops: a queue, a list of handlers, and for most a task. */
#include "esp/include/esp_event.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_QUEUE      64 /* of the default loop */
#define HANDLERS_AT_ONCE 16 /* that one event may have */

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

struct esp_event_loop {
    pthread_mutex_t lock;
    QueueHandle_t queue;
    TaskHandle_t task;
    struct subscription *subscriptions;
};

static struct esp_event_loop *default_loop; /* part of this room's context: the default loop has no handle */

/* --- running ---------------------------------------------------------------------------------- */

static bool is_same_base(esp_event_base_t a, esp_event_base_t b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void deliver(struct esp_event_loop *loop, const struct posted *e)
{
    struct subscription due[HANDLERS_AT_ONCE];
    int count = 0;
    pthread_mutex_lock(&loop->lock);
    for (struct subscription *s = loop->subscriptions; s != NULL && count < HANDLERS_AT_ONCE; s = s->next)
        if ((s->base == ESP_EVENT_ANY_BASE || is_same_base(s->base, e->base)) &&
            (s->id == ESP_EVENT_ANY_ID || s->id == e->id))
            due[count++] = *s;
    pthread_mutex_unlock(&loop->lock);
    for (int i = 0; i < count; i++)
        due[i].handler(due[i].arg, e->base, e->id, e->data);
    free(e->data);
}

static void drop_loop(struct esp_event_loop *loop)
{
    struct posted e;
    while (xQueueReceive(loop->queue, &e, 0) == pdTRUE)
        free(e.data);
    while (loop->subscriptions != NULL) {
        struct subscription *s = loop->subscriptions;
        loop->subscriptions = s->next;
        free(s);
    }
    vQueueDelete(loop->queue);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

static void run_loop(void *arg)
{
    struct esp_event_loop *loop = arg;
    struct posted e;
    while (xQueueReceive(loop->queue, &e, portMAX_DELAY) == pdTRUE && e.base != NULL)
        deliver(loop, &e);
    drop_loop(loop);
}

esp_err_t esp_event_loop_run(esp_event_loop_handle_t loop, TickType_t ticks_to_run)
{
    TickType_t start = xTaskGetTickCount();
    struct posted e;
    if (loop == NULL)
        return ESP_ERR_INVALID_ARG;
    for (;;) {
        TickType_t spent = xTaskGetTickCount() - start;
        TickType_t left = ticks_to_run == portMAX_DELAY ? portMAX_DELAY
                          : spent < ticks_to_run        ? ticks_to_run - spent
                                                        : 0;
        if (xQueueReceive(loop->queue, &e, left) != pdTRUE)
            return ESP_OK;
        deliver(loop, &e);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

esp_err_t esp_event_loop_create(const esp_event_loop_args_t *args, esp_event_loop_handle_t *event_loop)
{
    if (args == NULL || event_loop == NULL)
        return ESP_ERR_INVALID_ARG;
    struct esp_event_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return ESP_ERR_NO_MEM;
    pthread_mutex_init(&loop->lock, NULL);
    loop->queue = xQueueCreate(args->queue_size > 0 ? (UBaseType_t)args->queue_size : 1, sizeof(struct posted));
    if (loop->queue != NULL &&
        (args->task_name == NULL || xTaskCreate(run_loop, args->task_name, args->task_stack_size, loop,
                                                args->task_priority, &loop->task) == pdPASS)) {
        *event_loop = loop;
        return ESP_OK;
    }
    vQueueDelete(loop->queue);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
    return ESP_ERR_NO_MEM;
}

/* A loop's own task frees it, when it comes to this event. */
static const struct posted the_end = {NULL, 0, NULL};

esp_err_t esp_event_loop_delete(esp_event_loop_handle_t loop)
{
    struct posted e;
    if (loop == NULL)
        return ESP_ERR_INVALID_ARG;
    if (loop->task == NULL) {
        drop_loop(loop);
        return ESP_OK;
    }
    while (xQueueSendToFront(loop->queue, &the_end, 0) != pdTRUE)
        if (xQueueReceive(loop->queue, &e, 0) == pdTRUE)
            free(e.data);
    return ESP_OK;
}

esp_err_t esp_event_loop_create_default(void)
{
    esp_event_loop_args_t args = {.queue_size = EVENT_QUEUE, .task_name = "sys_evt"};
    return default_loop ? ESP_ERR_INVALID_STATE : esp_event_loop_create(&args, &default_loop);
}

esp_err_t esp_event_loop_delete_default(void)
{
    if (default_loop == NULL)
        return ESP_ERR_INVALID_STATE;
    esp_err_t err = esp_event_loop_delete(default_loop);
    default_loop = NULL;
    return err;
}

/* --- handlers --------------------------------------------------------------------------------- */

static esp_err_t add_handler(struct esp_event_loop *loop, const struct subscription *wanted, bool is_instance,
                             esp_event_handler_instance_t *instance)
{
    if (loop == NULL)
        return ESP_ERR_INVALID_STATE;
    if (wanted->handler == NULL || (wanted->base == ESP_EVENT_ANY_BASE && wanted->id != ESP_EVENT_ANY_ID))
        return ESP_ERR_INVALID_ARG;
    struct subscription *s = malloc(sizeof *s), *known = NULL;
    if (s == NULL)
        return ESP_ERR_NO_MEM;
    *s = *wanted;
    pthread_mutex_lock(&loop->lock);
    struct subscription **end = &loop->subscriptions; /* handlers run in the order of registration */
    for (; *end != NULL; end = &(*end)->next)
        if (!is_instance && is_same_base((*end)->base, s->base) && (*end)->id == s->id && (*end)->handler == s->handler)
            known = *end;
    if (known != NULL)
        known->arg = s->arg;
    else
        *end = s;
    pthread_mutex_unlock(&loop->lock);
    if (known != NULL)
        free(s);
    else if (instance != NULL)
        *instance = s;
    return ESP_OK;
}

static esp_err_t drop_handler(struct esp_event_loop *loop, esp_event_base_t base, int32_t id,
                              esp_event_handler_t handler, const void *instance)
{
    esp_err_t err = ESP_ERR_NOT_FOUND;
    if (loop == NULL)
        return ESP_ERR_INVALID_STATE;
    if (handler == NULL && instance == NULL)
        return ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&loop->lock);
    for (struct subscription **at = &loop->subscriptions; *at != NULL; at = &(*at)->next)
        if (instance ? *at == instance
                     : is_same_base((*at)->base, base) && (*at)->id == id && (*at)->handler == handler) {
            struct subscription *s = *at;
            *at = s->next;
            free(s);
            err = ESP_OK;
            break;
        }
    pthread_mutex_unlock(&loop->lock);
    return err;
}

esp_err_t esp_event_handler_register_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                          int32_t event_id, esp_event_handler_t event_handler, void *event_handler_arg)
{
    struct subscription s = {event_base, event_id, event_handler, event_handler_arg, NULL};
    return add_handler(event_loop, &s, false, NULL);
}

esp_err_t esp_event_handler_register(esp_event_base_t event_base, int32_t event_id, esp_event_handler_t event_handler,
                                     void *event_handler_arg)
{
    return esp_event_handler_register_with(default_loop, event_base, event_id, event_handler, event_handler_arg);
}

esp_err_t esp_event_handler_instance_register_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                                   int32_t event_id, esp_event_handler_t event_handler,
                                                   void *event_handler_arg, esp_event_handler_instance_t *instance)
{
    struct subscription s = {event_base, event_id, event_handler, event_handler_arg, NULL};
    return add_handler(event_loop, &s, true, instance);
}

esp_err_t esp_event_handler_instance_register(esp_event_base_t event_base, int32_t event_id,
                                              esp_event_handler_t event_handler, void *event_handler_arg,
                                              esp_event_handler_instance_t *instance)
{
    return esp_event_handler_instance_register_with(default_loop, event_base, event_id, event_handler,
                                                    event_handler_arg, instance);
}

esp_err_t esp_event_handler_unregister_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                            int32_t event_id, esp_event_handler_t event_handler)
{
    return drop_handler(event_loop, event_base, event_id, event_handler, NULL);
}

esp_err_t esp_event_handler_unregister(esp_event_base_t event_base, int32_t event_id, esp_event_handler_t event_handler)
{
    return drop_handler(default_loop, event_base, event_id, event_handler, NULL);
}

esp_err_t esp_event_handler_instance_unregister_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                                     int32_t event_id, esp_event_handler_instance_t instance)
{
    return drop_handler(event_loop, event_base, event_id, NULL, instance);
}

esp_err_t esp_event_handler_instance_unregister(esp_event_base_t event_base, int32_t event_id,
                                                esp_event_handler_instance_t instance)
{
    return drop_handler(default_loop, event_base, event_id, NULL, instance);
}

/* --- posting ---------------------------------------------------------------------------------- */

esp_err_t esp_event_post_to(esp_event_loop_handle_t loop, esp_event_base_t event_base, int32_t event_id,
                            const void *event_data, size_t event_data_size, TickType_t ticks_to_wait)
{
    struct posted e = {event_base, event_id, NULL};
    if (loop == NULL)
        return ESP_ERR_INVALID_STATE;
    if (event_base == ESP_EVENT_ANY_BASE || event_id == ESP_EVENT_ANY_ID)
        return ESP_ERR_INVALID_ARG;
    if (event_data != NULL && event_data_size > 0) {
        e.data = malloc(event_data_size);
        if (e.data == NULL)
            return ESP_ERR_NO_MEM;
        memcpy(e.data, event_data, event_data_size);
    }
    /* A handler that posts must not wait for itself. */
    if (loop->task != NULL && xTaskGetCurrentTaskHandle() == loop->task)
        ticks_to_wait = 0;
    if (xQueueSend(loop->queue, &e, ticks_to_wait) == pdTRUE)
        return ESP_OK;
    free(e.data);
    return ESP_ERR_TIMEOUT;
}

esp_err_t esp_event_post(esp_event_base_t event_base, int32_t event_id, const void *event_data, size_t event_data_size,
                         TickType_t ticks_to_wait)
{
    return esp_event_post_to(default_loop, event_base, event_id, event_data, event_data_size, ticks_to_wait);
}

esp_err_t esp_event_isr_post(esp_event_base_t event_base, int32_t event_id, const void *event_data,
                             size_t event_data_size, BaseType_t *task_unblocked)
{
    if (task_unblocked != NULL)
        *task_unblocked = pdFALSE;
    return esp_event_post(event_base, event_id, event_data, event_data_size, 0);
}
