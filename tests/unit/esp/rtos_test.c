/* Goal: FreeRTOS, timers, event loops, the watchdog and the log do what OTA code counts on. */
#include "esp/esp.h"
#include "esp/include/esp_event.h"
#include "esp/include/esp_log.h"
#include "esp/include/esp_task_wdt.h"
#include "esp/include/esp_timer.h"
#include "esp/include/freertos/event_groups.h"
#include "esp/include/freertos/semphr.h"
#include "esp/include/freertos/timers.h"
#include "test.h"

#include <stdatomic.h>

static atomic_int count;

static void add_one(void *arg)
{
    atomic_fetch_add(&count, 1);
    if (arg != NULL)
        xSemaphoreGive(arg);
    vTaskDelete(NULL);
}

static void tasks_run_and_end(void **state)
{
    SemaphoreHandle_t done = xSemaphoreCreateCounting(10, 0);
    TaskHandle_t t = NULL;
    (void)state;
    atomic_store(&count, 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(xTaskCreate(add_one, "adder", 2048, done, 5, i == 0 ? &t : NULL), pdPASS);
    assert_non_null(t);
    for (int i = 0; i < 10; i++)
        assert_int_equal(xSemaphoreTake(done, portMAX_DELAY), pdTRUE);
    assert_int_equal(atomic_load(&count), 10);
    assert_int_equal(xSemaphoreTake(done, 5), pdFALSE);
    while (uxTaskGetNumberOfTasks() > 1) /* they are on their way out */
        vTaskDelay(1);
    vSemaphoreDelete(done);
}

static void wait_for_ever(void *arg)
{
    SemaphoreHandle_t *s = arg;
    xSemaphoreGive(s[0]);
    xSemaphoreTake(s[1], portMAX_DELAY);
    atomic_store(&count, -1);
    vTaskDelete(NULL);
}

static void a_task_is_deleted_where_it_waits(void **state)
{
    SemaphoreHandle_t s[2] = {xSemaphoreCreateBinary(), xSemaphoreCreateBinary()};
    TaskHandle_t t;
    (void)state;
    atomic_store(&count, 0);
    assert_int_equal(xTaskCreate(wait_for_ever, "waiter", 0, s, 1, &t), pdPASS);
    xSemaphoreTake(s[0], portMAX_DELAY);
    assert_ptr_equal(xTaskGetHandle("waiter"), t);
    assert_string_equal(pcTaskGetName(t), "waiter");
    vTaskDelete(t);
    while (xTaskGetHandle("waiter") != NULL)
        vTaskDelay(1);
    assert_int_equal(xSemaphoreGive(s[1]), pdTRUE); /* its lock is free */
    assert_int_equal(atomic_load(&count), 0);
    vSemaphoreDelete(s[0]);
    vSemaphoreDelete(s[1]);
}

static void queues_keep_order_and_length(void **state)
{
    QueueHandle_t q = xQueueCreate(3, sizeof(int));
    int item;
    (void)state;
    for (int i = 1; i <= 3; i++)
        assert_int_equal(xQueueSend(q, &i, 0), pdTRUE);
    item = 4;
    assert_int_equal(xQueueSend(q, &item, 2), errQUEUE_FULL);
    assert_int_equal(uxQueueMessagesWaiting(q), 3);
    assert_int_equal(uxQueueSpacesAvailable(q), 0);
    assert_int_equal(xQueuePeek(q, &item, 0), pdTRUE);
    assert_int_equal(item, 1);
    assert_int_equal(xQueueReceive(q, &item, 0), pdTRUE);
    item = 0;
    assert_int_equal(xQueueSendToFront(q, &item, 0), pdTRUE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(xQueueReceiveFromISR(q, &item, NULL), pdTRUE);
        assert_int_equal(item, i == 0 ? 0 : i + 1);
    }
    assert_int_equal(xQueueReceive(q, &item, 2), pdFALSE);
    vQueueDelete(q);
    assert_null(xQueueCreate(0, 4));
    q = xQueueCreate(1, sizeof(int));
    for (int i = 0; i < 5; i++)
        assert_int_equal(xQueueOverwrite(q, &i), pdPASS);
    assert_int_equal(xQueueReceive(q, &item, 0), pdTRUE);
    assert_int_equal(item, 4);
    vQueueDelete(q);
}

static void mutexes_are_held(void **state)
{
    SemaphoreHandle_t m = xSemaphoreCreateMutex(), r = xSemaphoreCreateRecursiveMutex();
    (void)state;
    assert_int_equal(xSemaphoreTake(m, 0), pdTRUE);
    assert_ptr_equal(xSemaphoreGetMutexHolder(m), xTaskGetCurrentTaskHandle());
    assert_int_equal(xSemaphoreTake(m, 2), pdFALSE);
    assert_int_equal(xSemaphoreGive(m), pdTRUE);
    assert_int_equal(xSemaphoreGive(m), errQUEUE_FULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(xSemaphoreTakeRecursive(r, 0), pdTRUE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(xSemaphoreGiveRecursive(r), pdTRUE);
    assert_int_equal(xSemaphoreGiveRecursive(r), pdFALSE);
    vSemaphoreDelete(m);
    vSemaphoreDelete(r);
}

static void set_later(void *arg)
{
    vTaskDelay(5);
    xEventGroupSetBits(arg, 2);
    vTaskDelay(5);
    xEventGroupSetBits(arg, 4);
    vTaskDelete(NULL);
}

static void bits_are_waited_for(void **state)
{
    EventGroupHandle_t g = xEventGroupCreate();
    (void)state;
    assert_int_equal(xEventGroupWaitBits(g, 1, pdFALSE, pdFALSE, 2), 0);
    assert_int_equal(xTaskCreate(set_later, "setter", 0, g, 1, NULL), pdPASS);
    assert_int_equal(xEventGroupWaitBits(g, 6, pdFALSE, pdFALSE, portMAX_DELAY) & 2, 2);
    assert_int_equal(xEventGroupWaitBits(g, 6, pdTRUE, pdTRUE, portMAX_DELAY), 6);
    assert_int_equal(xEventGroupGetBits(g), 0);
    assert_int_equal(xEventGroupSetBits(g, 9), 9);
    assert_int_equal(xEventGroupClearBits(g, 1), 9);
    assert_int_equal(xEventGroupSync(g, 1, 1, 0), 9);
    while (xTaskGetHandle("setter") != NULL)
        vTaskDelay(1);
    vEventGroupDelete(g);
}

static void notify(void *arg)
{
    for (int i = 0; i < 3; i++)
        xTaskNotifyGive((TaskHandle_t)arg);
    xTaskNotifyIndexed((TaskHandle_t)arg, 1, 0x55, eSetBits);
    vTaskDelete(NULL);
}

static void notifications_arrive(void **state)
{
    uint32_t value;
    (void)state;
    assert_int_equal(ulTaskNotifyTake(pdTRUE, 2), 0);
    assert_int_equal(xTaskCreate(notify, "notifier", 0, xTaskGetCurrentTaskHandle(), 1, NULL), pdPASS);
    assert_int_equal(xTaskNotifyWaitIndexed(1, 0, 0xffffffff, &value, portMAX_DELAY), pdTRUE);
    assert_int_equal(value, 0x55);
    assert_int_equal(ulTaskNotifyTake(pdFALSE, 0), 3);
    assert_int_equal(ulTaskNotifyTake(pdTRUE, 0), 2);
    assert_int_equal(xTaskNotify(xTaskGetCurrentTaskHandle(), 7, eSetValueWithoutOverwrite), pdPASS);
    assert_int_equal(xTaskNotify(xTaskGetCurrentTaskHandle(), 8, eSetValueWithoutOverwrite), pdFAIL);
    assert_int_equal(xTaskNotifyStateClear(NULL), pdTRUE);
    while (xTaskGetHandle("notifier") != NULL)
        vTaskDelay(1);
}

static void on_timer(TimerHandle_t t)
{
    atomic_fetch_add(&count, (int)(intptr_t)pvTimerGetTimerID(t));
}

static void timers_fire(void **state)
{
    TimerHandle_t once = xTimerCreate("once", 3, pdFALSE, (void *)1, on_timer);
    TimerHandle_t again = xTimerCreate("again", 2, pdTRUE, (void *)100, on_timer);
    (void)state;
    atomic_store(&count, 0);
    assert_false(xTimerIsTimerActive(once));
    assert_int_equal(xTimerStart(once, 0), pdPASS);
    assert_int_equal(xTimerStart(again, 0), pdPASS);
    while (atomic_load(&count) % 100 == 0 || atomic_load(&count) < 300)
        vTaskDelay(1);
    assert_int_equal(xTimerStop(again, 0), pdPASS);
    assert_false(xTimerIsTimerActive(again));
    assert_false(xTimerIsTimerActive(once));
    assert_int_equal(xTimerGetPeriod(again), 2);
    assert_string_equal(pcTimerGetName(once), "once");
    assert_null(xTimerCreate("none", 0, pdFALSE, NULL, on_timer));
    assert_int_equal(xTimerDelete(once, 0), pdPASS);
    assert_int_equal(xTimerDelete(again, 0), pdPASS);
}

static void time_goes_on(void **state)
{
    TickType_t wake = xTaskGetTickCount();
    int64_t from = esp_timer_get_time();
    (void)state;
    assert_int_equal(xTaskDelayUntil(&wake, 5), pdTRUE);
    assert_true(esp_timer_get_time() - from >= 4000);
    wake -= 100;
    assert_int_equal(xTaskDelayUntil(&wake, 5), pdFALSE);
    assert_int_equal(pdMS_TO_TICKS(1000), configTICK_RATE_HZ);
}

/* --- event loops ------------------------------------------------------------------------------ */

ESP_EVENT_DEFINE_BASE(TEST_EVENT);
ESP_EVENT_DEFINE_BASE(OTHER_EVENT);

static void add_event(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    (void)base;
    atomic_fetch_add((atomic_int *)arg, data ? *(int *)data + id : id);
}

static void loops_without_a_task_are_run(void **state)
{
    esp_event_loop_args_t args = {.queue_size = 2};
    esp_event_loop_handle_t loop;
    atomic_int sum = 0, all = 0;
    int data = 10;
    (void)state;
    assert_int_equal(esp_event_loop_create(&args, &loop), ESP_OK);
    assert_int_equal(esp_event_handler_register_with(loop, TEST_EVENT, 1, add_event, &sum), ESP_OK);
    assert_int_equal(esp_event_handler_register_with(loop, ESP_EVENT_ANY_BASE, ESP_EVENT_ANY_ID, add_event, &all),
                     ESP_OK);
    assert_int_equal(esp_event_handler_register_with(loop, ESP_EVENT_ANY_BASE, 1, add_event, &all),
                     ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_event_post_to(loop, TEST_EVENT, 1, &data, sizeof data, 0), ESP_OK);
    assert_int_equal(esp_event_post_to(loop, OTHER_EVENT, 2, NULL, 0, 0), ESP_OK);
    assert_int_equal(esp_event_post_to(loop, OTHER_EVENT, 3, NULL, 0, 2), ESP_ERR_TIMEOUT);
    assert_int_equal(esp_event_post_to(loop, ESP_EVENT_ANY_BASE, 3, NULL, 0, 0), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_event_loop_run(loop, 1), ESP_OK);
    assert_int_equal(atomic_load(&sum), 11);
    assert_int_equal(atomic_load(&all), 13);
    assert_int_equal(esp_event_handler_unregister_with(loop, TEST_EVENT, 1, add_event), ESP_OK);
    assert_int_equal(esp_event_handler_unregister_with(loop, TEST_EVENT, 1, add_event), ESP_ERR_NOT_FOUND);
    assert_int_equal(esp_event_post_to(loop, TEST_EVENT, 1, &data, sizeof data, 0), ESP_OK);
    assert_int_equal(esp_event_loop_delete(loop), ESP_OK);
    assert_int_equal(esp_event_post(TEST_EVENT, 1, NULL, 0, 0), ESP_ERR_INVALID_STATE);
}

/* A handler that posts to its own full loop is not waited for. */
static void post_more(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    (void)data;
    for (int i = 0; id == 0 && i < 100; i++)
        if (esp_event_post(base, 1, NULL, 0, portMAX_DELAY) == ESP_ERR_TIMEOUT)
            atomic_fetch_add((atomic_int *)arg, 1);
    if (id == 2)
        atomic_store(&count, 2);
}

static void the_default_loop_is_one(void **state)
{
    static atomic_int refused;
    esp_event_handler_instance_t instance;
    (void)state;
    assert_int_equal(esp_event_loop_create_default(), ESP_OK);
    assert_int_equal(esp_event_loop_create_default(), ESP_ERR_INVALID_STATE);
    assert_int_equal(esp_event_handler_instance_register(TEST_EVENT, ESP_EVENT_ANY_ID, post_more, &refused, &instance),
                     ESP_OK);
    atomic_store(&count, 0);
    assert_int_equal(esp_event_post(TEST_EVENT, 0, NULL, 0, portMAX_DELAY), ESP_OK);
    assert_int_equal(esp_event_post(TEST_EVENT, 2, NULL, 0, portMAX_DELAY), ESP_OK);
    while (atomic_load(&count) != 2)
        vTaskDelay(1);
    assert_true(atomic_load(&refused) > 0);
    assert_int_equal(esp_event_handler_instance_unregister(TEST_EVENT, ESP_EVENT_ANY_ID, instance), ESP_OK);
    assert_int_equal(esp_event_loop_delete_default(), ESP_OK);
    while (xTaskGetHandle("sys_evt") != NULL) /* it frees the loop */
        vTaskDelay(1);
    assert_int_equal(esp_event_loop_delete_default(), ESP_ERR_INVALID_STATE);
}

/* --- watchdog and log ------------------------------------------------------------------------- */

static atomic_int barks;

void esp_task_wdt_isr_user_handler(void)
{
    atomic_fetch_add(&barks, 1);
}

static void the_watchdog_barks(void **state)
{
    esp_task_wdt_config_t config = {.timeout_ms = 20};
    esp_task_wdt_user_handle_t user;
    (void)state;
    assert_int_equal(esp_task_wdt_reset(), ESP_ERR_NOT_FOUND);
    assert_int_equal(esp_task_wdt_init(&(esp_task_wdt_config_t){0}), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_task_wdt_init(&config), ESP_OK);
    assert_int_equal(esp_task_wdt_init(&config), ESP_ERR_INVALID_STATE);
    assert_int_equal(esp_task_wdt_add(NULL), ESP_OK);
    assert_int_equal(esp_task_wdt_add(NULL), ESP_ERR_INVALID_ARG);
    assert_int_equal(esp_task_wdt_status(NULL), ESP_OK);
    while (atomic_load(&barks) == 0)
        vTaskDelay(1);
    assert_int_equal(esp_task_wdt_reset(), ESP_OK);
    assert_int_equal(esp_task_wdt_delete(NULL), ESP_OK);
    assert_int_equal(esp_task_wdt_add_user("user", &user), ESP_OK);
    int before = atomic_load(&barks);
    while (atomic_load(&barks) == before)
        vTaskDelay(1);
    assert_int_equal(esp_task_wdt_reset_user(user), ESP_OK);
    assert_int_equal(esp_task_wdt_deinit(), ESP_ERR_INVALID_STATE);
    assert_int_equal(esp_task_wdt_delete_user(user), ESP_OK);
    assert_int_equal(esp_task_wdt_deinit(), ESP_OK);
}

static char printed[512];

static int __attribute__((format(printf, 1, 0))) keep(const char *format, va_list args)
{
    return vsnprintf(printed, sizeof printed, format, args);
}

static void tags_have_levels(void **state)
{
    vprintf_like_t before = esp_log_set_vprintf(keep);
    (void)state;
    esp_log_level_set("*", ESP_LOG_WARN);
    esp_log_level_set("loud", ESP_LOG_VERBOSE);
    printed[0] = '\0';
    ESP_LOGI("quiet", "not %d", 1);
    assert_string_equal(printed, "");
    ESP_LOGV("loud", "seen %d", 2);
    assert_non_null(strstr(printed, "loud: seen 2"));
    assert_int_equal(printed[0], 'V');
    assert_int_equal(esp_log_level_get("loud"), ESP_LOG_VERBOSE);
    assert_int_equal(esp_log_level_get("other"), ESP_LOG_WARN);
    ESP_LOG_BUFFER_HEX_LEVEL("loud", "\x01\xab", 2, ESP_LOG_INFO);
    assert_non_null(strstr(printed, "01 ab"));
    ESP_LOG_BUFFER_HEXDUMP("loud", "AB", 2, ESP_LOG_INFO);
    assert_non_null(strstr(printed, "|AB|"));
    esp_log_level_set("*", ESP_LOG_INFO);
    assert_int_equal(esp_log_level_get("loud"), ESP_LOG_INFO);
    esp_log_set_vprintf(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_and_end),
        cmocka_unit_test(a_task_is_deleted_where_it_waits),
        cmocka_unit_test(queues_keep_order_and_length),
        cmocka_unit_test(mutexes_are_held),
        cmocka_unit_test(bits_are_waited_for),
        cmocka_unit_test(notifications_arrive),
        cmocka_unit_test(timers_fire),
        cmocka_unit_test(time_goes_on),
        cmocka_unit_test(loops_without_a_task_are_run),
        cmocka_unit_test(the_default_loop_is_one),
        cmocka_unit_test(the_watchdog_barks),
        cmocka_unit_test(tags_have_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
