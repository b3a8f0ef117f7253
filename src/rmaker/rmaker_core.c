/* The node: identity, work queue, the order of a start. */
#include "rmaker/rmaker.h"

#include "base/text.h"
#include "esp_app_desc.h"
#include "esp_log.h"
#include "esp_system.h"
#include "freertos/task.h"
#include "nvs_flash.h"

#include <stdlib.h>
#include <string.h>

#define WORK_TASK_STACK   8192
#define FACTORY_NAMESPACE CONFIG_ESP_RMAKER_FACTORY_NAMESPACE
#define FACTORY_PARTITION CONFIG_ESP_RMAKER_FACTORY_PARTITION_NAME
#define MICROSECONDS      1000000ULL

ESP_EVENT_DEFINE_BASE(RMAKER_EVENT);
ESP_EVENT_DEFINE_BASE(RMAKER_COMMON_EVENT);

struct rmaker rmaker_context; /* the one named context of this room, see rmaker.h */

static const char *const tag = "esp_rmaker_core";

/* --- work queue ------------------------------------------------------------------------------- */

struct work {
    esp_rmaker_work_fn_t call;
    void *arg;
};

struct delayed_work {
    struct work work;
    esp_timer_handle_t timer;
};

static void run_work(void *arg)
{
    struct work work;
    (void)arg;
    while (xQueueReceive(rmaker_context.work, &work, portMAX_DELAY) == pdTRUE)
        work.call(work.arg);
}

esp_err_t esp_rmaker_work_queue_init(void)
{
    if (rmaker_context.work == NULL)
        rmaker_context.work = xQueueCreate(WORK_QUEUE_LENGTH, sizeof(struct work));
    return rmaker_context.work != NULL ? ESP_OK : ESP_ERR_NO_MEM;
}

esp_err_t esp_rmaker_work_queue_start(void)
{
    if (rmaker_context.work == NULL)
        return ESP_ERR_INVALID_STATE;
    if (rmaker_context.is_working)
        return ESP_OK;
    rmaker_context.is_working = xTaskCreate(run_work, "rmaker_queue", WORK_TASK_STACK, NULL, 5, NULL) == pdPASS;
    return rmaker_context.is_working ? ESP_OK : ESP_ERR_NO_MEM;
}

esp_err_t esp_rmaker_work_queue_add_task(esp_rmaker_work_fn_t work_fn, void *priv_data)
{
    struct work work = {work_fn, priv_data};
    if (rmaker_context.work == NULL)
        return ESP_ERR_INVALID_STATE;
    return xQueueSend(rmaker_context.work, &work, 0) == pdTRUE ? ESP_OK : ESP_FAIL;
}

static void end_delay(void *arg)
{
    struct delayed_work *d = arg;
    esp_rmaker_work_queue_add_task(d->work.call, d->work.arg);
    esp_timer_delete(d->timer);
    free(d);
}

esp_err_t esp_rmaker_work_queue_add_delayed_task(esp_rmaker_work_fn_t work_fn, void *priv_data, uint64_t delay_seconds)
{
    struct delayed_work *d = calloc(1, sizeof *d);
    esp_timer_create_args_t args = {.callback = end_delay, .arg = d, .name = "rmaker_work"};
    if (d == NULL || esp_timer_create(&args, &d->timer) != ESP_OK) {
        free(d);
        return ESP_ERR_NO_MEM;
    }
    d->work = (struct work){work_fn, priv_data};
    return esp_timer_start_once(d->timer, delay_seconds * MICROSECONDS);
}

/* --- identity --------------------------------------------------------------------------------- */

/* Values of the factory partition are blobs without terminator. */
static char *read_factory(nvs_handle_t handle, const char *key)
{
    size_t len = 0;
    if (nvs_get_blob(handle, key, NULL, &len) != ESP_OK)
        return NULL;
    char *text = malloc(len + 1);
    if (text == NULL || nvs_get_blob(handle, key, text, &len) != ESP_OK) {
        free(text);
        return NULL;
    }
    text[len] = '\0';
    return text;
}

static bool take_text(nvs_handle_t handle, const char *key, char *to, size_t size)
{
    char *text = read_factory(handle, key);
    bool is_good = text != NULL && *text != '\0' && text_copy(to, size, text);
    free(text);
    return is_good;
}

static esp_err_t read_identity(struct rmaker *r)
{
    nvs_handle_t handle;
    esp_err_t err = nvs_flash_init_partition(FACTORY_PARTITION);
    if (err == ESP_OK)
        err = nvs_open_from_partition(FACTORY_PARTITION, FACTORY_NAMESPACE, NVS_READONLY, &handle);
    if (err != ESP_OK) {
        ESP_LOGE(tag, "The factory partition cannot be read: %s", esp_err_to_name(err));
        return err;
    }
    bool is_whole = take_text(handle, "node_id", r->node_id, sizeof r->node_id) && text_is_plain_id(r->node_id, 64);
    if (OPTION_IS_ON(CONFIG_ESP_RMAKER_READ_MQTT_HOST_FROM_CONFIG))
        text_copy(r->host, sizeof r->host, CONFIG_ESP_RMAKER_MQTT_HOST);
    else
        is_whole = take_text(handle, "mqtt_host", r->host, sizeof r->host) && is_whole;
    r->client_cert = read_factory(handle, "client_cert");
    r->client_key = read_factory(handle, "client_key");
    nvs_close(handle);
    if (is_whole && r->client_cert && r->client_key)
        return ESP_OK;
    ESP_LOGE(tag, "The factory partition lacks node_id, mqtt_host, client_cert or client_key");
    free(r->client_cert);
    free(r->client_key);
    r->client_cert = r->client_key = NULL;
    return ESP_ERR_NOT_FOUND;
}

static bool fill_info(struct rmaker *r, const char *name, const char *type)
{
    const esp_app_desc_t *app = esp_app_get_description();
    r->info = (esp_rmaker_node_info_t){
        strdup(name), strdup(type), strndup(app->version, 32), strndup(app->project_name, 32), NULL, NULL};
    return r->info.name && r->info.type && r->info.fw_version && r->info.model;
}

esp_rmaker_node_t *esp_rmaker_node_init(const esp_rmaker_config_t *config, const char *name, const char *type)
{
    struct rmaker *r = &rmaker_context;
    if (config == NULL || name == NULL || type == NULL || r->is_initialised)
        return NULL;
    esp_err_t err = esp_event_loop_create_default();
    if ((err != ESP_OK && err != ESP_ERR_INVALID_STATE) || read_identity(r) != ESP_OK)
        return NULL;
    r->waits_for_time = config->enable_time_sync;
    r->model_lock = xSemaphoreCreateRecursiveMutex();
    if (r->model_lock == NULL || !fill_info(r, name, type) || rmaker_mqtt_init() != ESP_OK ||
        esp_rmaker_work_queue_init() != ESP_OK || esp_rmaker_work_queue_start() != ESP_OK)
        return NULL;
    r->is_initialised = true;
    if (config->enable_time_sync)
        esp_rmaker_time_sync_init(NULL);
    esp_rmaker_timezone_enable();
    esp_event_post(RMAKER_EVENT, RMAKER_EVENT_INIT_DONE, NULL, 0, portMAX_DELAY);
    ESP_LOGI(tag, "Node ID ----- %s", r->node_id);
    return &r->node;
}

esp_err_t esp_rmaker_node_deinit(const esp_rmaker_node_t *node)
{
    struct rmaker *r = &rmaker_context;
    if (node != &r->node || !r->is_initialised)
        return ESP_ERR_INVALID_ARG;
    if (r->has_begun)
        return ESP_ERR_INVALID_STATE;
    r->is_initialised = false;
    free(r->info.name), free(r->info.type), free(r->info.fw_version);
    free(r->info.model), free(r->info.subtype), free(r->info.readme);
    free(r->client_cert), free(r->client_key);
    vSemaphoreDelete(r->model_lock);
    memset(&r->info, 0, sizeof r->info);
    r->client_cert = r->client_key = NULL;
    return ESP_OK;
}

const esp_rmaker_node_t *esp_rmaker_get_node(void)
{
    return rmaker_context.is_initialised ? &rmaker_context.node : NULL;
}

char *esp_rmaker_get_node_id(void)
{
    return rmaker_context.is_initialised ? rmaker_context.node_id : NULL;
}

esp_rmaker_node_info_t *esp_rmaker_node_get_info(const esp_rmaker_node_t *node)
{
    return node ? &rmaker_context.info : NULL;
}

static esp_err_t replace(const esp_rmaker_node_t *node, char **member, const char *text)
{
    char *copy = node != NULL && text != NULL ? strdup(text) : NULL;
    if (copy == NULL)
        return node == NULL || text == NULL ? ESP_ERR_INVALID_ARG : ESP_ERR_NO_MEM;
    free(*member);
    *member = copy;
    return ESP_OK;
}

esp_err_t esp_rmaker_node_add_fw_version(const esp_rmaker_node_t *node, const char *fw_version)
{
    return replace(node, &rmaker_context.info.fw_version, fw_version);
}

esp_err_t esp_rmaker_node_add_model(const esp_rmaker_node_t *node, const char *model)
{
    return replace(node, &rmaker_context.info.model, model);
}

esp_err_t esp_rmaker_node_add_subtype(const esp_rmaker_node_t *node, const char *subtype)
{
    return replace(node, &rmaker_context.info.subtype, subtype);
}

esp_err_t esp_rmaker_node_add_readme(const esp_rmaker_node_t *node, const char *readme)
{
    return replace(node, &rmaker_context.info.readme, readme);
}

esp_err_t esp_rmaker_node_add_attribute(const esp_rmaker_node_t *node, const char *attr_name, const char *val)
{
    if (node == NULL || attr_name == NULL || val == NULL)
        return ESP_ERR_INVALID_ARG;
    return rmaker_text_add(&rmaker_context.attributes, attr_name, val) ? ESP_OK : ESP_ERR_NO_MEM;
}

/* --- start ------------------------------------------------------------------------------------ */

static void ignore_message(const char *topic, void *payload, size_t payload_len, void *priv_data)
{
    (void)payload, (void)priv_data;
    ESP_LOGI(tag, "%u bytes on %s are for parts that this node does not have", (unsigned)payload_len, topic);
}

static void poll_commands(void)
{
    static const uint8_t poll[] = {1, 0, 3, 1, 0, 5, 2, 0, 0}; /* "anything for me?" in RainMaker's TLV8 */
    if (OPTION_IS_ON(CONFIG_ESP_RMAKER_CMD_RESP_ENABLE))
        rmaker_publish(TOPIC_FROM_NODE, bytes_of(poll, sizeof poll));
}

esp_err_t esp_rmaker_report_node_details(void)
{
    struct buf text = {0};
    rmaker_write_config(&text);
    bool is_sent = !text.is_failed && rmaker_publish(TOPIC_CONFIG, buf_bytes(&text)) >= 0;
    buf_deinit(&text);
    if (is_sent)
        esp_event_post(RMAKER_EVENT, RMAKER_EVENT_CONFIG_REPORTED, NULL, 0, portMAX_DELAY);
    return is_sent ? ESP_OK : ESP_FAIL;
}

static void tell_connected(void *arg)
{
    static const char connected[] = "{\"Connectivity\":{\"Connected\":true}}";
    (void)arg;
    if (esp_rmaker_is_mqtt_connected())
        rmaker_publish(TOPIC_PARAMS_LOCAL, bytes_of_text(connected));
}

/* The order in which a broker sees a RainMaker node start. */
static void on_connected(void *arg)
{
    struct rmaker *r = &rmaker_context;
    (void)arg;
    rmaker_ota_connected();
    if (r->has_connectivity)
        esp_rmaker_work_queue_add_delayed_task(tell_connected, NULL, CONFIG_ESP_RMAKER_CONNECTIVITY_REPORT_DELAY);
    rmaker_mapping_connected();
    if (r->is_started) {
        poll_commands();
        return;
    }
    r->is_started = true;
    if (OPTION_IS_ON(CONFIG_ESP_RMAKER_CMD_RESP_ENABLE))
        rmaker_subscribe(TOPIC_TO_NODE, ignore_message);
    poll_commands();
    esp_rmaker_report_node_details();
    rmaker_params_start();
    esp_event_post(RMAKER_EVENT, RMAKER_EVENT_STARTED, NULL, 0, portMAX_DELAY);
    rmaker_ota_started();
}

static void on_disconnected(void *arg)
{
    (void)arg;
    rmaker_ota_disconnected();
}

static void on_common_event(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    (void)arg, (void)base, (void)data;
    switch (id) {
    case RMAKER_MQTT_EVENT_CONNECTED:
        esp_rmaker_work_queue_add_task(on_connected, NULL);
        break;
    case RMAKER_MQTT_EVENT_DISCONNECTED:
        esp_rmaker_work_queue_add_task(on_disconnected, NULL);
        break;
    case RMAKER_EVENT_TZ_POSIX_CHANGED:
        rmaker_ota_zone_changed();
        break;
    default:
        break;
    }
}

static void connect_now(void *arg)
{
    (void)arg;
    /* Certificates have dates: without a clock none of them can be checked. */
    if (rmaker_context.waits_for_time)
        esp_rmaker_time_wait_for_sync(portMAX_DELAY);
    if (rmaker_mqtt_start() != ESP_OK)
        ESP_LOGE(tag, "The MQTT client cannot be started");
}

esp_err_t esp_rmaker_start(void)
{
    if (!rmaker_context.is_initialised)
        return ESP_ERR_INVALID_STATE;
    rmaker_context.has_begun = true;
    esp_event_handler_register(RMAKER_COMMON_EVENT, ESP_EVENT_ANY_ID, on_common_event, NULL);
    return esp_rmaker_work_queue_add_task(connect_now, NULL);
}

esp_err_t esp_rmaker_stop(void)
{
    return rmaker_mqtt_stop();
}

esp_err_t esp_rmaker_connectivity_enable(void)
{
    rmaker_context.has_connectivity = true;
    return ESP_OK;
}

/* --- reboot and resets ------------------------------------------------------------------------ */

static void restart_now(void *arg)
{
    (void)arg;
    esp_restart();
}

static esp_err_t call_later(void (*call)(void *), int seconds)
{
    esp_timer_create_args_t args = {.callback = call, .name = "rmaker_reboot"};
    esp_timer_handle_t timer;
    esp_err_t err = esp_timer_create(&args, &timer);
    return err == ESP_OK ? esp_timer_start_once(timer, (uint64_t)seconds * MICROSECONDS) : err;
}

esp_err_t esp_rmaker_reboot(int8_t seconds)
{
    uint8_t delay = seconds > 0 ? (uint8_t)seconds : 0;
    esp_event_post(RMAKER_COMMON_EVENT, RMAKER_EVENT_REBOOT, &delay, sizeof delay, 0);
    if (seconds <= 0)
        esp_restart();
    return call_later(restart_now, seconds);
}

static void reset_now(void *arg)
{
    int8_t reboot_seconds = (int8_t)(intptr_t)arg;
    nvs_flash_deinit();
    nvs_flash_erase();
    if (reboot_seconds >= 0)
        esp_rmaker_reboot(reboot_seconds);
}

static esp_err_t reset(int32_t event, bool is_all, int8_t reset_seconds, int8_t reboot_seconds)
{
    esp_event_post(RMAKER_COMMON_EVENT, event, NULL, 0, 0);
    if (!is_all) /* the host's network is none of the node's */
        return reboot_seconds >= 0 ? esp_rmaker_reboot((int8_t)(reset_seconds + reboot_seconds)) : ESP_OK;
    esp_rmaker_reset_user_node_mapping();
    return esp_rmaker_work_queue_add_delayed_task(reset_now, (void *)(intptr_t)reboot_seconds,
                                                  reset_seconds > 0 ? (uint64_t)reset_seconds : 0);
}

esp_err_t esp_rmaker_wifi_reset(int8_t reset_seconds, int8_t reboot_seconds)
{
    return reset(RMAKER_EVENT_WIFI_RESET, false, reset_seconds, reboot_seconds);
}

esp_err_t esp_rmaker_factory_reset(int8_t reset_seconds, int8_t reboot_seconds)
{
    return reset(RMAKER_EVENT_FACTORY_RESET, true, reset_seconds, reboot_seconds);
}
