/* RainMaker's MQTT connection: subscriptions that outlive it, a budget of messages, back-off with jitter. */
#include "rmaker/rmaker.h"

#include "base/text.h"
#include "esp_crt_bundle.h"
#include "esp_log.h"
#include "esp_mac.h"
#include "esp_random.h"
#include "rmaker/rmaker_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECT_BASE_MS   1000
#define RECONNECT_DOUBLINGS 7 /* up to 128 s, and evenly less: nodes that lost one broker do not come back at once */
#define NETWORK_TIMEOUT_MS  10000
#define MESSAGE_SIZE_MAX    (160 * 1024) /* longer ones are passed over */

static const char *const tag = "esp_rmaker_mqtt";

#define MQTT (rmaker_context.mqtt)

/* --- budget ----------------------------------------------------------------------------------- */

static void add_to_budget(int64_t by)
{
    int64_t sum = MQTT.budget + by;
    MQTT.budget = sum < CONFIG_ESP_RMAKER_MQTT_MAX_BUDGET ? (int)sum : CONFIG_ESP_RMAKER_MQTT_MAX_BUDGET;
}

/* What time has given back since the last look, without a timer. */
static void revive_budget(void)
{
    int64_t period = CONFIG_ESP_RMAKER_MQTT_BUDGET_REVIVE_PERIOD * 1000000LL, now = esp_timer_get_time();
    int64_t periods = (now - MQTT.revived_us) / period;
    MQTT.revived_us += periods * period;
    add_to_budget(periods * CONFIG_ESP_RMAKER_MQTT_BUDGET_REVIVE_COUNT);
}

static bool change_budget(int by)
{
    xSemaphoreTake(MQTT.lock, portMAX_DELAY);
    revive_budget();
    bool is_there = MQTT.budget + by >= 0;
    if (is_there)
        add_to_budget(by);
    xSemaphoreGive(MQTT.lock);
    return is_there;
}

esp_err_t esp_rmaker_mqtt_increase_budget(uint8_t budget)
{
    return MQTT.lock != NULL && change_budget(budget) ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_rmaker_mqtt_decrease_budget(uint8_t budget)
{
    return MQTT.lock != NULL && change_budget(-(int)budget) ? ESP_OK : ESP_FAIL;
}

bool esp_rmaker_mqtt_is_budget_available(void)
{
    return !OPTION_IS_ON(CONFIG_ESP_RMAKER_MQTT_ENABLE_BUDGETING) ||
           (MQTT.lock != NULL && change_budget(0) && MQTT.budget > 0);
}

/* --- publishing ------------------------------------------------------------------------------- */

static int publish(const char *topic, const void *data, size_t len, uint8_t qos, bool must_go)
{
    if (MQTT.client == NULL)
        return -1;
    bool is_paid = !OPTION_IS_ON(CONFIG_ESP_RMAKER_MQTT_ENABLE_BUDGETING) || change_budget(-1);
    if (!is_paid && !must_go) {
        ESP_LOGE(tag, "The budget of messages is used up: nothing is published on %s", topic);
        return -1;
    }
    return esp_mqtt_client_publish(MQTT.client, topic, data, (int)len, qos, 0);
}

int rmaker_publish(enum topic_kind kind, struct bytes payload)
{
    char topic[TOPIC_SIZE];
    enum topic_form form = OPTION_IS_ON(CONFIG_ESP_RMAKER_MQTT_USE_BASIC_INGEST_TOPICS) ? TOPIC_INGEST : TOPIC_PLAIN;
    if (!topic_write(topic, sizeof topic, kind, rmaker_context.node_id, form))
        return -1;
    /* What an update says has limits of its own; a budget that other messages have used up must not make it silent. */
    return publish(topic, payload.at, payload.len, RMAKER_MQTT_QOS1, kind == TOPIC_OTASTATUS || kind == TOPIC_OTAFETCH);
}

bool rmaker_publish_request(const char *topic, struct bytes payload)
{
    return publish(topic, payload.at, payload.len, RMAKER_MQTT_QOS1, true) >= 0;
}

/* True when the PUBACK came already: from another task, before the publish returned. */
static bool await_ack(int message_id, esp_rmaker_work_fn_t call, void *arg)
{
    bool is_here = false;
    xSemaphoreTake(MQTT.lock, portMAX_DELAY);
    for (unsigned i = 0; i < AWAITED_MAX; i++)
        if (MQTT.early_acks[i] == message_id) {
            MQTT.early_acks[i] = -1;
            is_here = true;
        }
    unsigned at = MQTT.next_awaited % AWAITED_MAX;
    if (!is_here) {
        MQTT.awaited[at].message_id = message_id;
        MQTT.awaited[at].call = call;
        MQTT.awaited[at].arg = arg;
        MQTT.next_awaited++;
    }
    xSemaphoreGive(MQTT.lock);
    return is_here;
}

bool rmaker_publish_for(enum topic_kind kind, struct bytes payload, esp_rmaker_work_fn_t call, void *arg)
{
    int message_id = rmaker_publish(kind, payload);
    if (message_id >= 0 && await_ack(message_id, call, arg))
        esp_rmaker_work_queue_add_task(call, arg);
    return message_id >= 0;
}

static void on_puback(int message_id)
{
    esp_rmaker_work_fn_t call = NULL;
    void *arg = NULL;
    xSemaphoreTake(MQTT.lock, portMAX_DELAY);
    for (unsigned i = 0; i < AWAITED_MAX && call == NULL; i++)
        if (MQTT.awaited[i].call != NULL && MQTT.awaited[i].message_id == message_id) {
            call = MQTT.awaited[i].call;
            arg = MQTT.awaited[i].arg;
            MQTT.awaited[i].call = NULL;
        }
    if (call == NULL)
        MQTT.early_acks[MQTT.next_early_ack++ % AWAITED_MAX] = message_id;
    xSemaphoreGive(MQTT.lock);
    if (call != NULL)
        esp_rmaker_work_queue_add_task(call, arg);
    esp_event_post(RMAKER_COMMON_EVENT, RMAKER_MQTT_EVENT_PUBLISHED, &message_id, sizeof message_id, portMAX_DELAY);
}

esp_err_t esp_rmaker_mqtt_publish(const char *topic, void *data, size_t data_len, uint8_t qos, int *msg_id)
{
    if (topic == NULL || data == NULL)
        return ESP_FAIL;
    int id = publish(topic, data, data_len, qos, false);
    if (msg_id != NULL)
        *msg_id = id;
    return id >= 0 ? ESP_OK : ESP_FAIL;
}

void esp_rmaker_create_mqtt_topic(char *buf, size_t buf_size, const char *topic_suffix, const char *rule)
{
    if (OPTION_IS_ON(CONFIG_ESP_RMAKER_MQTT_USE_BASIC_INGEST_TOPICS) && rule != NULL && rule[0] != '\0')
        snprintf(buf, buf_size, "$aws/rules/%s/node/%s/%s", rule, rmaker_context.node_id, topic_suffix);
    else
        snprintf(buf, buf_size, "node/%s/%s", rmaker_context.node_id, topic_suffix);
}

bool esp_rmaker_is_mqtt_connected(void)
{
    return MQTT.is_connected;
}

/* --- subscriptions ---------------------------------------------------------------------------- */

static struct rmaker_subscription *find_subscription(const char *topic)
{
    for (unsigned i = 0; i < CONFIG_ESP_RMAKER_MAX_MQTT_SUBSCRIPTIONS; i++)
        if (strcmp(MQTT.subscriptions[i].topic, topic) == 0)
            return &MQTT.subscriptions[i];
    return NULL;
}

esp_err_t esp_rmaker_mqtt_subscribe(const char *topic, esp_rmaker_mqtt_subscribe_cb_t cb, uint8_t qos, void *priv_data)
{
    if (topic == NULL || cb == NULL || topic[0] == '\0')
        return ESP_FAIL;
    xSemaphoreTake(MQTT.lock, portMAX_DELAY);
    struct rmaker_subscription *s = find_subscription(topic);
    if (s == NULL)
        s = find_subscription("");
    bool fits = s != NULL && text_copy(s->topic, sizeof s->topic, topic);
    if (fits) {
        s->call = cb;
        s->priv = priv_data;
        s->qos = qos;
    } else if (s != NULL) {
        s->topic[0] = '\0';
    }
    xSemaphoreGive(MQTT.lock);
    if (!fits)
        return s == NULL ? ESP_ERR_NO_MEM : ESP_ERR_INVALID_SIZE;
    /* Without a connection it is subscribed with the next one. */
    return !MQTT.is_connected || esp_mqtt_client_subscribe(MQTT.client, topic, qos) >= 0 ? ESP_OK : ESP_FAIL;
}

/* The topic itself; the original takes any whose name begins so. */
esp_err_t esp_rmaker_mqtt_unsubscribe(const char *topic)
{
    if (topic == NULL || topic[0] == '\0')
        return ESP_FAIL;
    xSemaphoreTake(MQTT.lock, portMAX_DELAY);
    struct rmaker_subscription *s = find_subscription(topic);
    if (s != NULL)
        s->topic[0] = '\0';
    xSemaphoreGive(MQTT.lock);
    if (s == NULL)
        return ESP_FAIL;
    return !MQTT.is_connected || esp_mqtt_client_unsubscribe(MQTT.client, topic) >= 0 ? ESP_OK : ESP_FAIL;
}

esp_err_t rmaker_subscribe(enum topic_kind kind, esp_rmaker_mqtt_subscribe_cb_t call)
{
    char topic[TOPIC_SIZE];
    if (!topic_write(topic, sizeof topic, kind, rmaker_context.node_id, TOPIC_PLAIN))
        return ESP_ERR_INVALID_SIZE;
    return esp_rmaker_mqtt_subscribe(topic, call, RMAKER_MQTT_QOS1, NULL);
}

/* A filter with `+` for whole levels. */
static bool is_match(const char *filter, const char *topic)
{
    for (; *filter && *topic; filter++, topic++) {
        if (*filter == '+') {
            while (topic[1] && topic[1] != '/')
                topic++;
            continue;
        }
        if (*filter != *topic)
            return false;
    }
    return *filter == *topic;
}

static void deliver(const char *topic, char *data, size_t len)
{
    for (unsigned i = 0; i < CONFIG_ESP_RMAKER_MAX_MQTT_SUBSCRIPTIONS; i++) {
        xSemaphoreTake(MQTT.lock, portMAX_DELAY);
        struct rmaker_subscription s = MQTT.subscriptions[i];
        xSemaphoreGive(MQTT.lock);
        if (s.topic[0] && is_match(s.topic, topic))
            s.call(topic, data, len, s.priv);
    }
}

/* --- events of the client --------------------------------------------------------------------- */

/* After every connect all topics are subscribed again: the session was clean. */
static void on_connect(void)
{
    MQTT.is_connected = true;
    MQTT.failures = 0;
    ESP_LOGI(tag, "MQTT Connected");
    for (unsigned i = 0; i < CONFIG_ESP_RMAKER_MAX_MQTT_SUBSCRIPTIONS; i++) {
        xSemaphoreTake(MQTT.lock, portMAX_DELAY);
        struct rmaker_subscription s = MQTT.subscriptions[i];
        xSemaphoreGive(MQTT.lock);
        if (s.topic[0])
            esp_mqtt_client_subscribe(MQTT.client, (const char *)s.topic, s.qos);
    }
    esp_event_post(RMAKER_COMMON_EVENT, RMAKER_MQTT_EVENT_CONNECTED, NULL, 0, portMAX_DELAY);
}

static void reconnect(void *arg)
{
    (void)arg;
    esp_mqtt_client_reconnect(MQTT.client);
}

/* Full jitter, after the cap. */
static void on_disconnect(void)
{
    unsigned doublings = MQTT.failures < RECONNECT_DOUBLINGS ? MQTT.failures : RECONNECT_DOUBLINGS;
    uint32_t delay_ms = 1 + esp_random() % ((uint32_t)RECONNECT_BASE_MS << doublings);
    MQTT.failures++;
    if (MQTT.is_connected)
        ESP_LOGW(tag, "MQTT Disconnected. Will try reconnecting in %u ms...", (unsigned)delay_ms);
    MQTT.is_connected = false;
    esp_event_post(RMAKER_COMMON_EVENT, RMAKER_MQTT_EVENT_DISCONNECTED, NULL, 0, portMAX_DELAY);
    if (!MQTT.is_stopped) {
        esp_timer_stop(MQTT.reconnect_timer);
        esp_timer_start_once(MQTT.reconnect_timer, (uint64_t)delay_ms * 1000);
    }
}

static void forget_pieces(void)
{
    free(MQTT.pieces);
    MQTT.pieces = NULL;
}

/* A message longer than the client's buffer comes in pieces, one message at a time; the first has the topic. */
static void on_data(const esp_mqtt_event_t *e)
{
    size_t total = (size_t)e->total_data_len, at = (size_t)e->current_data_offset, len = (size_t)e->data_len;
    if (at == 0) {
        forget_pieces();
        if (e->topic_len <= 0 || (size_t)e->topic_len >= sizeof MQTT.piece_topic || total > MESSAGE_SIZE_MAX)
            return;
        memcpy(MQTT.piece_topic, e->topic, (size_t)e->topic_len);
        MQTT.piece_topic[e->topic_len] = '\0';
        if (len == total) {
            deliver(MQTT.piece_topic, e->data, len);
            return;
        }
        MQTT.pieces = malloc(total);
        MQTT.pieces_len = total;
    }
    if (MQTT.pieces == NULL || total != MQTT.pieces_len || len > total || at > total - len)
        return;
    memcpy(MQTT.pieces + at, e->data, len);
    if (at + len == total) {
        deliver(MQTT.piece_topic, MQTT.pieces, total);
        forget_pieces();
    }
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
        on_disconnect();
        break;
    case MQTT_EVENT_PUBLISHED:
        on_puback(e->msg_id);
        break;
    case MQTT_EVENT_DELETED:
        esp_event_post(RMAKER_COMMON_EVENT, RMAKER_MQTT_EVENT_MSG_DELETED, &e->msg_id, sizeof e->msg_id, portMAX_DELAY);
        break;
    case MQTT_EVENT_DATA:
        on_data(e);
        break;
    default:
        break;
    }
}

/* --- start ------------------------------------------------------------------------------------ */

/* RainMaker keeps a bare host name; a port behind it is ours, for servers that do not listen on 8883. */
static uint32_t split_port(char *host)
{
    char *colon = strrchr(host, ':');
    if (colon == NULL)
        return OPTION_IS_ON(CONFIG_ESP_RMAKER_MQTT_PORT_443) ? 443 : 8883;
    *colon = '\0';
    return (uint32_t)strtoul(colon + 1, NULL, 10);
}

/* AWS's platform user name; brokers other than AWS take it for nothing. */
static void write_user_name(char *to, size_t size)
{
    uint8_t mac[6] = {0};
    esp_read_mac(mac, ESP_MAC_WIFI_STA);
    snprintf(to, size,
             "?Platform=APN3|A0|RM|" CONFIG_ESP_RMAKER_MQTT_PRODUCT_SKU "|" CONFIG_ESP_RMAKER_MQTT_PRODUCT_NAME
             "|" CONFIG_ESP_RMAKER_MQTT_PRODUCT_VERSION "|%02X%02X%02X%02X%02X%02X",
             mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void fill_will(esp_mqtt_client_config_t *config)
{
    static const char lost[] = "{\"Connectivity\":{\"Connected\":false}}";
    if (!rmaker_context.has_connectivity)
        return;
    topic_write(MQTT.will_topic, sizeof MQTT.will_topic, TOPIC_PARAMS_LOCAL, rmaker_context.node_id, TOPIC_PLAIN);
    config->session.last_will.topic = MQTT.will_topic;
    config->session.last_will.msg = lost;
    config->session.last_will.msg_len = (int)strlen(lost);
    config->session.last_will.qos = 1;
}

esp_err_t rmaker_mqtt_init(void)
{
    esp_timer_create_args_t timer = {.callback = reconnect, .name = "rmaker_mqtt"};
    MQTT.lock = xSemaphoreCreateMutex();
    MQTT.budget = CONFIG_ESP_RMAKER_MQTT_DEFAULT_BUDGET;
    MQTT.revived_us = esp_timer_get_time();
    for (unsigned i = 0; i < AWAITED_MAX; i++)
        MQTT.early_acks[i] = -1;
    return MQTT.lock != NULL && esp_timer_create(&timer, &MQTT.reconnect_timer) == ESP_OK ? ESP_OK : ESP_ERR_NO_MEM;
}

esp_err_t rmaker_mqtt_start(void)
{
    static const char *const alpn[] = {"x-amzn-mqtt-ca", NULL};
    struct rmaker *r = &rmaker_context;
    char user[96];
    uint32_t port = split_port(r->host);
    esp_mqtt_client_config_t config = {
        .broker = {.address = {.hostname = r->host, .port = port, .transport = MQTT_TRANSPORT_OVER_SSL},
                   .verification = {.crt_bundle_attach = esp_crt_bundle_attach}},
        .credentials = {.client_id = r->node_id,
                        .authentication = {.certificate = r->client_cert, .key = r->client_key}},
        .session = {.keepalive = CONFIG_ESP_RMAKER_MQTT_KEEP_ALIVE_INTERVAL,
                    .disable_clean_session = OPTION_IS_ON(CONFIG_ESP_RMAKER_MQTT_PERSISTENT_SESSION)},
        /* The client's own delay is the longest of ours; reconnect() cuts it short. */
        .network = {.reconnect_timeout_ms = RECONNECT_BASE_MS << RECONNECT_DOUBLINGS, .timeout_ms = NETWORK_TIMEOUT_MS},
    };
    if (port == 443)
        config.broker.verification.alpn_protos = (const char **)(uintptr_t)alpn;
    write_user_name(user, sizeof user);
    if (OPTION_IS_ON(CONFIG_ESP_RMAKER_MQTT_SEND_USERNAME))
        config.credentials.username = user;
    fill_will(&config);
    ESP_LOGI(tag, "Connecting to %s:%u", r->host, (unsigned)port);
    MQTT.client = esp_mqtt_client_init(&config);
    if (MQTT.client == NULL)
        return ESP_FAIL;
    esp_mqtt_client_register_event(MQTT.client, MQTT_EVENT_ANY, on_event, NULL);
    return esp_mqtt_client_start(MQTT.client);
}

esp_err_t rmaker_mqtt_stop(void)
{
    MQTT.is_stopped = true;
    esp_timer_stop(MQTT.reconnect_timer);
    return MQTT.client != NULL ? esp_mqtt_client_stop(MQTT.client) : ESP_ERR_INVALID_STATE;
}
