/* ESP-IDF's default event loop: one task runs the handlers. */
#include "esp/include/esp_event.h"

#include "esp/include/freertos/queue.h"
#include "esp/include/freertos/task.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

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
