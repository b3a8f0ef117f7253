#include "rmaker/rmaker.h"

#include "base/text.h"
#include "codec/json.h"
#include "esp_app_desc.h"
#include "esp_log.h"
#include "esp_system.h"
#include "freertos/task.h"
#include "nvs_flash.h"
#include "rmaker/rmaker_options.h"

#include <stdlib.h>
#include <string.h>

#define FACTORY_PARTITION "fctry"
#define FACTORY_NAMESPACE "rmaker_creds"
#define CONFIG_VERSION    "2020-03-20"

ESP_EVENT_DEFINE_BASE(RMAKER_EVENT);
ESP_EVENT_DEFINE_BASE(RMAKER_COMMON_EVENT);

struct rmaker rmaker_context; /* the one named context of this room, see rmaker.h */

static const char *const tag = "esp_rmaker_core";

/* --- work queue ------------------------------------------------------------------------------- */

struct work {
    esp_rmaker_work_fn_t call;
    void *arg;
};

static void run_work(void *arg)
{
    struct work work;
    (void)arg;
    while (xQueueReceive(rmaker_context.work, &work, portMAX_DELAY) == pdTRUE)
        work.call(work.arg);
}

esp_err_t esp_rmaker_work_queue_add_task(esp_rmaker_work_fn_t work_fn, void *priv_data)
{
    struct work work = {work_fn, priv_data};
    if (rmaker_context.work == NULL)
        return ESP_ERR_INVALID_STATE;
    return xQueueSend(rmaker_context.work, &work, 0) == pdTRUE ? ESP_OK : ESP_FAIL;
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
    bool is_whole = take_text(handle, "node_id", r->node_id, sizeof r->node_id) &&
                    take_text(handle, "mqtt_host", r->host, sizeof r->host);
    r->client_cert = read_factory(handle, "client_cert");
    r->client_key = read_factory(handle, "client_key");
    nvs_close(handle);
    if (is_whole && r->client_cert && r->client_key)
        return ESP_OK;
    ESP_LOGE(tag, "The factory partition lacks node_id, mqtt_host, client_cert or client_key");
    return ESP_ERR_NOT_FOUND;
}

esp_rmaker_node_t *esp_rmaker_node_init(const esp_rmaker_config_t *config, const char *name, const char *type)
{
    struct rmaker *r = &rmaker_context;
    const esp_app_desc_t *app = esp_app_get_description();
    if (config == NULL || name == NULL || type == NULL || r->work != NULL)
        return NULL;
    esp_err_t err = esp_event_loop_create_default();
    if ((err != ESP_OK && err != ESP_ERR_INVALID_STATE) || read_identity(r) != ESP_OK)
        return NULL;
    r->work = xQueueCreate(WORK_QUEUE_LENGTH, sizeof(struct work));
    r->info = (esp_rmaker_node_info_t){strdup(name), strdup(type), strndup(app->version, 32),
                                       strndup(app->project_name, 32), NULL};
    if (r->work == NULL || xTaskCreate(run_work, "rmaker_queue", 4096, NULL, 5, NULL) != pdPASS)
        return NULL;
    esp_event_post(RMAKER_EVENT, RMAKER_EVENT_INIT_DONE, NULL, 0, portMAX_DELAY);
    ESP_LOGI(tag, "Node ID ----- %s", r->node_id);
    return &r->node;
}

char *esp_rmaker_get_node_id(void)
{
    return rmaker_context.node_id;
}

esp_rmaker_node_info_t *esp_rmaker_node_get_info(const esp_rmaker_node_t *node)
{
    return node ? &rmaker_context.info : NULL;
}

/* --- start ------------------------------------------------------------------------------------ */

static void write_config(struct buf *to)
{
    struct rmaker *r = &rmaker_context;
    struct json_out out;
    json_out_init(&out, to);
    json_out_object(&out, NULL);
    json_out_text(&out, "node_id", r->node_id);
    json_out_text(&out, "config_version", CONFIG_VERSION);
    json_out_object(&out, "info");
    json_out_text(&out, "name", r->info.name);
    json_out_text(&out, "fw_version", r->info.fw_version);
    json_out_text(&out, "type", r->info.type);
    if (r->info.subtype != NULL)
        json_out_text(&out, "subtype", r->info.subtype);
    json_out_text(&out, "model", r->info.model);
    json_out_text(&out, "project_name", esp_app_get_description()->project_name);
    json_out_text(&out, "platform", CONFIG_IDF_TARGET);
    json_out_end_object(&out);
    json_out_array(&out, "attributes");
    json_out_end_array(&out);
    json_out_array(&out, "devices");
    json_out_end_array(&out);
    json_out_array(&out, "services");
    json_out_end_array(&out);
    json_out_end_object(&out);
}

static void ignore_message(const char *topic, struct bytes payload)
{
    ESP_LOGI(tag, "%zu bytes on %s are for parts that this node does not have", payload.len, topic);
}

static void poll_commands(void)
{
    static const uint8_t poll[] = {1, 0, 3, 1, 0, 5, 2, 0, 0}; /* "anything for me?" in RainMaker's TLV8 */
    rmaker_publish(TOPIC_FROM_NODE, bytes_of(poll, sizeof poll));
}

/* The order in which a broker sees a RainMaker node start. */
static void on_connected(void *arg)
{
    struct rmaker *r = &rmaker_context;
    (void)arg;
    rmaker_ota_connected();
    if (r->is_started) {
        poll_commands();
        return;
    }
    r->is_started = true;
    struct buf text = {0};
    write_config(&text);
    rmaker_subscribe(TOPIC_TO_NODE, ignore_message);
    poll_commands();
    rmaker_publish(TOPIC_CONFIG, buf_bytes(&text));
    buf_deinit(&text);
    rmaker_subscribe(TOPIC_PARAMS_REMOTE, ignore_message);
    rmaker_publish(TOPIC_PARAMS_INIT, bytes_of_text("{}"));
    esp_event_post(RMAKER_EVENT, RMAKER_EVENT_STARTED, NULL, 0, portMAX_DELAY);
    rmaker_ota_started();
}

static void on_common_event(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    (void)arg, (void)base;
    if (id == RMAKER_MQTT_EVENT_CONNECTED)
        esp_rmaker_work_queue_add_task(on_connected, NULL);
    if (id == RMAKER_MQTT_EVENT_PUBLISHED)
        rmaker_ota_published(*(const int *)data);
}

esp_err_t esp_rmaker_start(void)
{
    if (rmaker_context.work == NULL)
        return ESP_ERR_INVALID_STATE;
    esp_event_handler_register(RMAKER_COMMON_EVENT, ESP_EVENT_ANY_ID, on_common_event, NULL);
    return rmaker_mqtt_start();
}

static void restart_now(void *arg)
{
    (void)arg;
    esp_restart();
}

esp_err_t esp_rmaker_reboot(int seconds)
{
    esp_timer_create_args_t args = {.callback = restart_now, .name = "rmaker_reboot"};
    esp_timer_handle_t timer;
    esp_err_t err = esp_timer_create(&args, &timer);
    if (err == ESP_OK)
        err = esp_timer_start_once(timer, (uint64_t)seconds * 1000000);
    esp_event_post(RMAKER_COMMON_EVENT, RMAKER_EVENT_REBOOT, NULL, 0, 0);
    return err;
}
