/* The task watchdog: whoever is watched and does not say so in time resets the node. */
#include "esp/include/esp_task_wdt.h"

#include "esp/esp.h"
#include "esp/include/esp_log.h"
#include "esp/include/esp_timer.h"
#include "esp/rtos.h"

#include <stdlib.h>
#include <string.h>

static const char *const tag = "task_wdt";

struct esp_task_wdt_user_handle_s {
    TaskHandle_t task; /* NULL: a user that is no task */
    char name[32];
    int64_t fed_us;
    struct esp_task_wdt_user_handle_s *next;
};

static struct {
    pthread_mutex_t lock;
    struct esp_task_wdt_user_handle_s *users;
    esp_timer_handle_t timer;
    uint32_t timeout_ms;
    bool panics;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER}; /* part of this room's context */

void __attribute__((weak)) esp_task_wdt_isr_user_handler(void)
{
}

static bool is_late(const struct esp_task_wdt_user_handle_s *u, int64_t now)
{
    return now - u->fed_us > (int64_t)dog.timeout_ms * 1000;
}

static void look(void *arg)
{
    int64_t now = esp_timer_get_time();
    bool has_late = false;
    (void)arg;
    pthread_mutex_lock(&dog.lock);
    for (struct esp_task_wdt_user_handle_s *u = dog.users; u != NULL; u = u->next)
        if (is_late(u, now)) {
            ESP_LOGE(tag, "Task watchdog got triggered: %s did not reset it in time", u->name);
            u->fed_us = now;
            has_late = true;
        }
    bool panics = dog.panics;
    pthread_mutex_unlock(&dog.lock);
    if (!has_late)
        return;
    esp_task_wdt_isr_user_handler();
    if (panics) {
        ESP_LOGE(tag, "Aborting.");
        esp_end(ESP_EXIT_WATCHDOG);
    }
}

esp_err_t esp_task_wdt_reconfigure(const esp_task_wdt_config_t *config)
{
    if (config == NULL || config->timeout_ms == 0)
        return ESP_ERR_INVALID_ARG;
    if (dog.timer == NULL)
        return ESP_ERR_INVALID_STATE;
    esp_timer_stop(dog.timer);
    dog.timeout_ms = config->timeout_ms;
    dog.panics = config->trigger_panic;
    return esp_timer_start_periodic(dog.timer, (uint64_t)config->timeout_ms * 1000 / 8 + 1000);
}

esp_err_t esp_task_wdt_init(const esp_task_wdt_config_t *config)
{
    esp_timer_create_args_t args = {.callback = look, .name = tag};
    if (config == NULL || config->timeout_ms == 0)
        return ESP_ERR_INVALID_ARG;
    if (dog.timer != NULL)
        return ESP_ERR_INVALID_STATE;
    esp_err_t err = esp_timer_create(&args, &dog.timer);
    return err ? err : esp_task_wdt_reconfigure(config);
}

/* ESP-IDF starts it by its options before app_main(); here the first user does. */
static void start_by_options(void)
{
    const struct esp_options *o = esp_context.start.options;
    if (dog.timer != NULL)
        return;
    esp_task_wdt_config_t config = {.timeout_ms = (uint32_t)o->wdt_timeout_s * 1000, .trigger_panic = o->wdt_panics};
    esp_task_wdt_init(&config);
}

esp_err_t esp_task_wdt_deinit(void)
{
    if (dog.timer == NULL || dog.users != NULL)
        return ESP_ERR_INVALID_STATE;
    esp_timer_stop(dog.timer);
    esp_timer_delete(dog.timer);
    dog.timer = NULL;
    return ESP_OK;
}

static struct esp_task_wdt_user_handle_s *find(TaskHandle_t task)
{
    struct esp_task_wdt_user_handle_s *u = dog.users;
    while (u != NULL && u->task != task)
        u = u->next;
    return u;
}

static esp_err_t add(TaskHandle_t task, const char *name, esp_task_wdt_user_handle_t *to)
{
    struct esp_task_wdt_user_handle_s *u = calloc(1, sizeof *u);
    if (u == NULL)
        return ESP_ERR_NO_MEM;
    u->task = task;
    u->fed_us = esp_timer_get_time();
    snprintf(u->name, sizeof u->name, "%s", name ? name : "");
    start_by_options();
    pthread_mutex_lock(&dog.lock);
    bool is_known = task != NULL && find(task) != NULL;
    if (!is_known) {
        u->next = dog.users;
        dog.users = u;
    }
    pthread_mutex_unlock(&dog.lock);
    if (is_known)
        free(u);
    else if (to != NULL)
        *to = u;
    return is_known ? ESP_ERR_INVALID_ARG : ESP_OK;
}

static esp_err_t drop(struct esp_task_wdt_user_handle_s *user)
{
    esp_err_t err = ESP_ERR_NOT_FOUND;
    for (struct esp_task_wdt_user_handle_s **at = &dog.users; user != NULL && *at != NULL; at = &(*at)->next)
        if (*at == user) {
            *at = user->next;
            free(user);
            return ESP_OK;
        }
    return err;
}

esp_err_t esp_task_wdt_add(TaskHandle_t task)
{
    task = task ? task : xTaskGetCurrentTaskHandle();
    return add(task, pcTaskGetName(task), NULL);
}

esp_err_t esp_task_wdt_add_user(const char *user_name, esp_task_wdt_user_handle_t *user_handle_ret)
{
    return user_name != NULL && user_handle_ret != NULL ? add(NULL, user_name, user_handle_ret) : ESP_ERR_INVALID_ARG;
}

esp_err_t esp_task_wdt_reset(void)
{
    pthread_mutex_lock(&dog.lock);
    struct esp_task_wdt_user_handle_s *u = find(xTaskGetCurrentTaskHandle());
    if (u != NULL)
        u->fed_us = esp_timer_get_time();
    pthread_mutex_unlock(&dog.lock);
    return u ? ESP_OK : ESP_ERR_NOT_FOUND;
}

esp_err_t esp_task_wdt_reset_user(esp_task_wdt_user_handle_t user)
{
    if (user == NULL)
        return ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&dog.lock);
    user->fed_us = esp_timer_get_time();
    pthread_mutex_unlock(&dog.lock);
    return ESP_OK;
}

esp_err_t esp_task_wdt_delete(TaskHandle_t task)
{
    pthread_mutex_lock(&dog.lock);
    esp_err_t err = drop(find(task ? task : xTaskGetCurrentTaskHandle()));
    pthread_mutex_unlock(&dog.lock);
    return err;
}

esp_err_t esp_task_wdt_delete_user(esp_task_wdt_user_handle_t user)
{
    pthread_mutex_lock(&dog.lock);
    esp_err_t err = drop(user);
    pthread_mutex_unlock(&dog.lock);
    return err;
}

esp_err_t esp_task_wdt_status(TaskHandle_t task)
{
    if (dog.timer == NULL)
        return ESP_ERR_INVALID_STATE;
    pthread_mutex_lock(&dog.lock);
    bool is_known = find(task ? task : xTaskGetCurrentTaskHandle()) != NULL;
    pthread_mutex_unlock(&dog.lock);
    return is_known ? ESP_OK : ESP_ERR_NOT_FOUND;
}
