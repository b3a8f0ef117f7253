#include "rmaker/rmaker.h"

#include "base/text.h"
#include "esp_crt_bundle.h"
#include "esp_log.h"

#include <stdlib.h>
#include <string.h>

#define MQTT_PORT   8883
#define KEEPALIVE_S 120

static const char *const tag = "esp_rmaker_mqtt";

int rmaker_publish(enum topic_kind kind, struct bytes payload)
{
    char topic[TOPIC_SIZE];
    if (rmaker_context.mqtt == NULL || !topic_write(topic, sizeof topic, kind, rmaker_context.node_id, TOPIC_INGEST))
        return -1;
    return esp_mqtt_client_publish(rmaker_context.mqtt, topic, (const char *)payload.at, (int)payload.len, 1, 0);
}

esp_err_t rmaker_subscribe(enum topic_kind kind, rmaker_message_cb call)
{
    struct rmaker *r = &rmaker_context;
    if (r->subscription_count == SUBSCRIPTIONS_MAX)
        return ESP_ERR_NO_MEM;
    char *topic = r->subscriptions[r->subscription_count].topic;
    if (!topic_write(topic, TOPIC_SIZE, kind, r->node_id, TOPIC_PLAIN))
        return ESP_ERR_INVALID_SIZE;
    r->subscriptions[r->subscription_count++].call = call;
    return esp_mqtt_client_subscribe(r->mqtt, topic, 1) >= 0 ? ESP_OK : ESP_FAIL;
}

/* After every connect all topics are subscribed again: the session was clean. */
static void on_connect(void)
{
    struct rmaker *r = &rmaker_context;
    r->is_connected = true;
    ESP_LOGI(tag, "MQTT Connected");
    for (unsigned i = 0; i < r->subscription_count; i++)
        esp_mqtt_client_subscribe(r->mqtt, r->subscriptions[i].topic, 1);
    esp_event_post(RMAKER_COMMON_EVENT, RMAKER_MQTT_EVENT_CONNECTED, NULL, 0, portMAX_DELAY);
}

static void on_data(const esp_mqtt_event_t *e)
{
    struct rmaker *r = &rmaker_context;
    for (unsigned i = 0; i < r->subscription_count; i++)
        if (strlen(r->subscriptions[i].topic) == (size_t)e->topic_len &&
            memcmp(r->subscriptions[i].topic, e->topic, (size_t)e->topic_len) == 0)
            r->subscriptions[i].call(r->subscriptions[i].topic, bytes_of(e->data, (size_t)e->data_len));
}

static void on_event(void *arg, esp_event_base_t base, int32_t id, void *data)
{
    const esp_mqtt_event_t *e = data;
    (void)arg, (void)base;
    switch (id) {
    case MQTT_EVENT_CONNECTED:
        on_connect();
        break;
    case MQTT_EVENT_DISCONNECTED:
        if (rmaker_context.is_connected)
            ESP_LOGW(tag, "MQTT Disconnected. Will try reconnecting shortly...");
        rmaker_context.is_connected = false;
        esp_event_post(RMAKER_COMMON_EVENT, RMAKER_MQTT_EVENT_DISCONNECTED, NULL, 0, portMAX_DELAY);
        break;
    case MQTT_EVENT_PUBLISHED:
        esp_event_post(RMAKER_COMMON_EVENT, RMAKER_MQTT_EVENT_PUBLISHED, &e->msg_id, sizeof e->msg_id, portMAX_DELAY);
        break;
    case MQTT_EVENT_DATA:
        on_data(e);
        break;
    default:
        break;
    }
}

/* RainMaker keeps a bare host name; a port behind it is ours, for servers that do not listen on 8883. */
static uint32_t split_port(char *host)
{
    char *colon = strrchr(host, ':');
    if (colon == NULL)
        return MQTT_PORT;
    *colon = '\0';
    return (uint32_t)strtoul(colon + 1, NULL, 10);
}

esp_err_t rmaker_mqtt_start(void)
{
    struct rmaker *r = &rmaker_context;
    uint32_t port = split_port(r->host);
    esp_mqtt_client_config_t config = {
        .broker = {.address = {.hostname = r->host, .port = port, .transport = MQTT_TRANSPORT_OVER_SSL},
                   .verification = {.crt_bundle_attach = esp_crt_bundle_attach}},
        .credentials = {.client_id = r->node_id,
                        .authentication = {.certificate = r->client_cert, .key = r->client_key}},
        .session = {.keepalive = KEEPALIVE_S},
    };
    ESP_LOGI(tag, "Connecting to %s:%u", r->host, (unsigned)port);
    r->mqtt = esp_mqtt_client_init(&config);
    if (r->mqtt == NULL)
        return ESP_FAIL;
    esp_mqtt_client_register_event(r->mqtt, MQTT_EVENT_ANY, on_event, NULL);
    return esp_mqtt_client_start(r->mqtt);
}
