/*
 * esp-mqtt over libmosquitto.  TLS is set up here with OpenSSL, because certificates and keys come as PEM in memory.
 * libmosquitto keeps unacknowledged messages and sends them again after a reconnect, longer than the original's 30 s.
 */
#include "esp/include/mqtt_client.h"

#include "esp/esp.h"
#include "esp/include/esp_log.h"

#include <arpa/inet.h>
#include <mosquitto.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECT_DEFAULT_MS 10000
#define KEEPALIVE_DEFAULT_S  120
#define PORT_TLS             8883
#define PORT_PLAIN           1883

static const char *const tag = "mqtt_client";
static const char *const base = "MQTT_EVENTS";

struct esp_mqtt_client {
    struct mosquitto *m;
    SSL_CTX *tls;
    char *host;
    int port, keepalive;
    esp_event_handler_t handler;
    void *arg;
    bool is_started;
};

static void tell(struct esp_mqtt_client *c, esp_mqtt_event_t *event)
{
    event->client = c;
    if (c->handler != NULL)
        c->handler(c->arg, base, event->event_id, event);
}

static void on_connect(struct mosquitto *m, void *user, int rc)
{
    (void)m;
    if (rc != 0)
        ESP_LOGE(tag, "Connection refused: %s", mosquitto_connack_string(rc));
    else
        tell(user, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_CONNECTED});
}

static void on_disconnect(struct mosquitto *m, void *user, int rc)
{
    (void)m, (void)rc;
    tell(user, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_DISCONNECTED});
}

static void on_publish(struct mosquitto *m, void *user, int message_id)
{
    (void)m;
    tell(user, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_PUBLISHED, .msg_id = message_id});
}

static void on_subscribe(struct mosquitto *m, void *user, int message_id, int count, const int *granted)
{
    (void)m, (void)count, (void)granted;
    tell(user, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_SUBSCRIBED, .msg_id = message_id});
}

static void on_message(struct mosquitto *m, void *user, const struct mosquitto_message *message)
{
    (void)m;
    tell(user, &(esp_mqtt_event_t){
                   .event_id = MQTT_EVENT_DATA,
                   .data = message->payload,
                   .data_len = message->payloadlen,
                   .total_data_len = message->payloadlen,
                   .topic = message->topic,
                   .topic_len = (int)strlen(message->topic),
                   .msg_id = message->mid,
                   .qos = message->qos,
                   .retain = message->retain,
               });
}

/* --- TLS -------------------------------------------------------------------------------------- */

static bool use_cert_chain(SSL_CTX *tls, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool is_good = cert != NULL && SSL_CTX_use_certificate(tls, cert) == 1;
    X509_free(cert);
    while (is_good && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        SSL_CTX_add0_chain_cert(tls, cert);
    BIO_free(bio);
    return is_good;
}

static bool use_key(SSL_CTX *tls, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    bool is_good = key != NULL && SSL_CTX_use_PrivateKey(tls, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return is_good;
}

static bool trust_pem(SSL_CTX *tls, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert;
    int count = 0;
    for (; (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; X509_free(cert))
        count += X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), cert);
    BIO_free(bio);
    return count > 0;
}

static bool trust_server(SSL_CTX *tls, const struct verification_t *v, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls);
    uint8_t address[16];
    bool is_ip = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    if (!v->skip_cert_common_name_check)
        is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, host) : X509_VERIFY_PARAM_set1_host(param, host, 0);
    if (v->certificate != NULL)
        return trust_pem(tls, v->certificate);
    if (esp_context.start.crt_bundle != NULL)
        return SSL_CTX_load_verify_locations(tls, esp_context.start.crt_bundle, NULL) == 1;
    return SSL_CTX_set_default_verify_paths(tls) == 1;
}

static SSL_CTX *make_tls(const esp_mqtt_client_config_t *config, const char *host)
{
    const struct authentication_t *a = &config->credentials.authentication;
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    bool is_good = tls != NULL && SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
                   trust_server(tls, &config->broker.verification, host) &&
                   (a->certificate == NULL || (use_cert_chain(tls, a->certificate) && a->key && use_key(tls, a->key)));
    if (is_good)
        return tls;
    ESP_LOGE(tag, "The certificates or the key for MQTT cannot be used");
    SSL_CTX_free(tls);
    return NULL;
}

/* --- the API ---------------------------------------------------------------------------------- */

static bool is_secure(const esp_mqtt_client_config_t *config)
{
    const char *uri = config->broker.address.uri;
    return uri ? strncmp(uri, "mqtts://", 8) == 0 : config->broker.address.transport == MQTT_TRANSPORT_OVER_SSL;
}

/* Host and port of the URI, or of the single members. */
static bool read_address(struct esp_mqtt_client *c, const esp_mqtt_client_config_t *config)
{
    const char *uri = config->broker.address.uri, *scheme = uri ? strstr(uri, "://") : NULL;
    c->host = strdup(scheme ? scheme + 3 : config->broker.address.hostname ? config->broker.address.hostname : "");
    if (c->host == NULL)
        return false;
    char *colon = strrchr(c->host, ':');
    c->port = config->broker.address.port ? (int)config->broker.address.port
              : is_secure(config)         ? PORT_TLS
                                          : PORT_PLAIN;
    if (scheme && colon != NULL) {
        c->port = (int)strtol(colon + 1, NULL, 10);
        *colon = '\0';
    }
    return *c->host != '\0';
}

static void set_will(struct esp_mqtt_client *c, const struct last_will_t *w)
{
    if (w->topic != NULL && w->msg != NULL)
        mosquitto_will_set(c->m, w->topic, w->msg_len ? w->msg_len : (int)strlen(w->msg), w->msg, w->qos,
                           w->retain != 0);
}

esp_mqtt_client_handle_t esp_mqtt_client_init(const esp_mqtt_client_config_t *config)
{
    struct esp_mqtt_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    mosquitto_lib_init();
    c->keepalive = config->session.keepalive ? config->session.keepalive : KEEPALIVE_DEFAULT_S;
    c->m = mosquitto_new(config->credentials.client_id, !config->session.disable_clean_session, c);
    bool is_good = c->m != NULL && read_address(c, config);
    if (is_good && is_secure(config)) {
        c->tls = make_tls(config, c->host);
        is_good = c->tls != NULL && mosquitto_void_option(c->m, MOSQ_OPT_SSL_CTX, c->tls) == MOSQ_ERR_SUCCESS &&
                  mosquitto_int_option(c->m, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) == MOSQ_ERR_SUCCESS;
    }
    if (!is_good) {
        esp_mqtt_client_destroy(c);
        return NULL;
    }
    if (config->credentials.username != NULL)
        mosquitto_username_pw_set(c->m, config->credentials.username, config->credentials.authentication.password);
    int delay_ms = config->network.reconnect_timeout_ms ? config->network.reconnect_timeout_ms : RECONNECT_DEFAULT_MS;
    unsigned delay_s = delay_ms >= 1000 ? (unsigned)delay_ms / 1000 : 1;
    mosquitto_reconnect_delay_set(c->m, delay_s, delay_s, false);
    set_will(c, &config->session.last_will);
    mosquitto_connect_callback_set(c->m, on_connect);
    mosquitto_disconnect_callback_set(c->m, on_disconnect);
    mosquitto_publish_callback_set(c->m, on_publish);
    mosquitto_subscribe_callback_set(c->m, on_subscribe);
    mosquitto_message_callback_set(c->m, on_message);
    return c;
}

esp_err_t esp_mqtt_client_register_event(esp_mqtt_client_handle_t client, esp_mqtt_event_id_t event,
                                         esp_event_handler_t event_handler, void *event_handler_arg)
{
    if (client == NULL || event != MQTT_EVENT_ANY)
        return ESP_ERR_INVALID_ARG; /* handlers for single events are not kept apart here */
    client->handler = event_handler;
    client->arg = event_handler_arg;
    return ESP_OK;
}

esp_err_t esp_mqtt_client_start(esp_mqtt_client_handle_t c)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    /* The first attempt may fail; the loop tries again. */
    int rc = mosquitto_connect_async(c->m, c->host, c->port, c->keepalive);
    if (rc != MOSQ_ERR_SUCCESS)
        ESP_LOGW(tag, "%s:%d cannot be reached yet: %s", c->host, c->port, mosquitto_strerror(rc));
    c->is_started = mosquitto_loop_start(c->m) == MOSQ_ERR_SUCCESS;
    return c->is_started ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_mqtt_client_stop(esp_mqtt_client_handle_t c)
{
    if (c == NULL || !c->is_started)
        return ESP_FAIL;
    mosquitto_disconnect(c->m);
    mosquitto_loop_stop(c->m, false);
    c->is_started = false;
    return ESP_OK;
}

esp_err_t esp_mqtt_client_destroy(esp_mqtt_client_handle_t c)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    esp_mqtt_client_stop(c);
    if (c->m != NULL)
        mosquitto_destroy(c->m);
    SSL_CTX_free(c->tls);
    free(c->host);
    free(c);
    return ESP_OK;
}

int esp_mqtt_client_publish(esp_mqtt_client_handle_t client, const char *topic, const char *data, int len, int qos,
                            int retain)
{
    int message_id = -1;
    int size = len > 0 ? len : data ? (int)strlen(data) : 0;
    int rc = mosquitto_publish(client->m, &message_id, topic, size, data, qos, retain != 0);
    return rc == MOSQ_ERR_SUCCESS || rc == MOSQ_ERR_NO_CONN ? message_id : -1;
}

int esp_mqtt_client_subscribe_single(esp_mqtt_client_handle_t client, const char *topic, int qos)
{
    int message_id = -1;
    return mosquitto_subscribe(client->m, &message_id, topic, qos) == MOSQ_ERR_SUCCESS ? message_id : -1;
}

int esp_mqtt_client_unsubscribe(esp_mqtt_client_handle_t client, const char *topic)
{
    int message_id = -1;
    return mosquitto_unsubscribe(client->m, &message_id, topic) == MOSQ_ERR_SUCCESS ? message_id : -1;
}
