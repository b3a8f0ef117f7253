/*
 * esp-mqtt over libmosquitto.  TLS is set up here with OpenSSL, because certificates and keys come as PEM in memory.
 * libmosquitto keeps unacknowledged messages and sends them again after a reconnect, longer than the original's 30 s.
 */
#include "esp/include/mqtt_client.h"

#include "esp/esp.h"
#include "esp/include/esp_log.h"
#include "esp/rtos.h"

#include <arpa/inet.h>
#include <errno.h>
#include <mosquitto.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECT_DEFAULT_MS 10000
#define KEEPALIVE_DEFAULT_S  120
#define PORT_TLS             8883
#define PORT_PLAIN           1883

static const char *const tag = "mqtt_client";

ESP_EVENT_DEFINE_BASE(MQTT_EVENTS);

#define HANDLERS_MAX 8

struct esp_mqtt_client {
    struct mosquitto *m;
    SSL_CTX *tls;
    char *host;
    int port, keepalive;
    struct {
        esp_mqtt_event_id_t event;
        esp_event_handler_t handler;
        void *arg;
    } handlers[HANDLERS_MAX];
    atomic_int unconfirmed;
    bool is_started, reconnects;
    int delay_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_stopping, is_hurried; /* hurried: somebody asked to connect without waiting for the delay */
};

#define LOOP_MS 1000 /* of libmosquitto's loop without anything to do */

/* Until somebody stops the client or the delay is over; true: go on. */
static bool wait_delay(struct esp_mqtt_client *c)
{
    struct timespec deadline;
    rtos_deadline(pdMS_TO_TICKS(c->delay_ms), &deadline);
    pthread_mutex_lock(&c->lock);
    while (!c->is_stopping && !c->is_hurried && pthread_cond_timedwait(&c->changed, &c->lock, &deadline) != ETIMEDOUT)
        ;
    bool goes_on = !c->is_stopping && (c->reconnects || c->is_hurried);
    c->is_hurried = false;
    pthread_mutex_unlock(&c->lock);
    return goes_on;
}

static bool is_stopping(struct esp_mqtt_client *c)
{
    pthread_mutex_lock(&c->lock);
    bool is = c->is_stopping;
    pthread_mutex_unlock(&c->lock);
    return is;
}

static void tell(struct esp_mqtt_client *c, const esp_mqtt_event_t *what);

/* A connection that does not come about is an event, too: libmosquitto calls nobody. */
static int connect_again(struct esp_mqtt_client *c)
{
    int rc = mosquitto_reconnect(c->m);
    if (rc != MOSQ_ERR_SUCCESS && !is_stopping(c))
        tell(c, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_DISCONNECTED});
    return rc;
}

/* libmosquitto's own thread ends for good when a connection breaks inside TLS; a node must come back from anything. */
static void *run_client(void *arg)
{
    struct esp_mqtt_client *c = arg;
    int rc = connect_again(c);
    while (!is_stopping(c)) {
        if (rc == MOSQ_ERR_SUCCESS)
            rc = mosquitto_loop(c->m, LOOP_MS, 1);
        else if (wait_delay(c))
            rc = connect_again(c);
    }
    return NULL;
}

static void tell(struct esp_mqtt_client *c, const esp_mqtt_event_t *what)
{
    esp_mqtt_error_codes_t none = {0};
    esp_mqtt_event_t copy = *what, *event = &copy;
    event->client = c;
    event->protocol_ver = MQTT_PROTOCOL_V_3_1_1;
    if (event->error_handle == NULL)
        event->error_handle = &none;
    for (int i = 0; i < HANDLERS_MAX; i++)
        if (c->handlers[i].handler != NULL &&
            (c->handlers[i].event == MQTT_EVENT_ANY || c->handlers[i].event == event->event_id))
            c->handlers[i].handler(c->handlers[i].arg, MQTT_EVENTS, event->event_id, event);
}

static void on_connect(struct mosquitto *m, void *user, int rc, int flags)
{
    (void)m;
    if (rc == 0) {
        tell(user, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_CONNECTED, .session_present = flags & 1});
        return;
    }
    ESP_LOGE(tag, "Connection refused: %s", mosquitto_connack_string(rc));
    esp_mqtt_error_codes_t codes = {.error_type = MQTT_ERROR_TYPE_CONNECTION_REFUSED,
                                    .connect_return_code = (esp_mqtt_connect_return_code_t)rc};
    tell(user, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_ERROR, .error_handle = &codes});
}

static void on_disconnect(struct mosquitto *m, void *user, int rc)
{
    struct esp_mqtt_client *c = user;
    if (rc != 0) { /* not by ourselves */
        esp_mqtt_error_codes_t codes = {.error_type = MQTT_ERROR_TYPE_TCP_TRANSPORT,
                                        .esp_transport_sock_errno = rc == MOSQ_ERR_ERRNO ? errno : 0};
        tell(c, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_ERROR, .error_handle = &codes});
    }
    (void)m;
    tell(c, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_DISCONNECTED});
}

static void on_publish(struct mosquitto *m, void *user, int message_id)
{
    struct esp_mqtt_client *c = user;
    (void)m;
    atomic_fetch_sub(&c->unconfirmed, 1);
    tell(c, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_PUBLISHED, .msg_id = message_id});
}

static void on_subscribe(struct mosquitto *m, void *user, int message_id, int count, const int *granted)
{
    char codes[32];
    (void)m;
    int n = count < (int)sizeof codes ? count : (int)sizeof codes;
    for (int i = 0; i < n; i++)
        codes[i] = (char)granted[i];
    tell(user,
         &(esp_mqtt_event_t){.event_id = MQTT_EVENT_SUBSCRIBED, .msg_id = message_id, .data = codes, .data_len = n});
}

static void on_unsubscribe(struct mosquitto *m, void *user, int message_id)
{
    (void)m;
    tell(user, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_UNSUBSCRIBED, .msg_id = message_id});
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
    host = v->common_name ? v->common_name : host; /* the name that the certificate is expected to carry */
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

#define ALPN_MAX 256

/* Names of application protocols, as servers on port 443 tell MQTT from HTTP: each with its length before it. */
static bool offer_protocols(SSL_CTX *tls, const char *const *protocols)
{
    unsigned char wire[ALPN_MAX];
    unsigned len = 0;
    for (; protocols != NULL && *protocols != NULL; protocols++) {
        size_t n = strlen(*protocols);
        if (n == 0 || n > 255 || len + 1 + n > sizeof wire)
            return false;
        wire[len++] = (unsigned char)n;
        memcpy(wire + len, *protocols, n);
        len += (unsigned)n;
    }
    return len == 0 || SSL_CTX_set_alpn_protos(tls, wire, len) == 0;
}

static SSL_CTX *make_tls(const esp_mqtt_client_config_t *config, const char *host)
{
    const struct authentication_t *a = &config->credentials.authentication;
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    bool is_good = tls != NULL && SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
                   trust_server(tls, &config->broker.verification, host) &&
                   offer_protocols(tls, config->broker.verification.alpn_protos) &&
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

/* Host and port of the URI: "mqtts://user@host:port/path", an IPv6 address in brackets. */
static bool read_uri(struct esp_mqtt_client *c, const char *uri)
{
    const char *host = strstr(uri, "://"), *at;
    host = host ? host + 3 : uri;
    size_t len = strcspn(host, "/?");
    if ((at = memchr(host, '@', len)) != NULL) {
        len -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    size_t name = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?");
    name = name < len ? name : len;
    if (name < len && host[name] == ':')
        c->port = (int)strtol(host + name + 1, NULL, 10);
    free(c->host);
    c->host = host[0] == '[' ? strndup(host + 1, name - 2) : strndup(host, name);
    return c->host != NULL && *c->host != '\0';
}

static bool read_address(struct esp_mqtt_client *c, const esp_mqtt_client_config_t *config)
{
    const struct address_t *a = &config->broker.address;
    c->port = a->port ? (int)a->port : is_secure(config) ? PORT_TLS : PORT_PLAIN;
    return read_uri(c, a->uri ? a->uri : a->hostname ? a->hostname : "");
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
    pthread_mutex_init(&c->lock, NULL);
    rtos_condition_init(&c->changed);
    c->reconnects = !config->network.disable_auto_reconnect;
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
    c->delay_ms = delay_ms;
    mosquitto_threaded_set(c->m, true);
    set_will(c, &config->session.last_will);
    mosquitto_connect_with_flags_callback_set(c->m, on_connect);
    mosquitto_disconnect_callback_set(c->m, on_disconnect);
    mosquitto_publish_callback_set(c->m, on_publish);
    mosquitto_subscribe_callback_set(c->m, on_subscribe);
    mosquitto_unsubscribe_callback_set(c->m, on_unsubscribe);
    mosquitto_message_callback_set(c->m, on_message);
    return c;
}

esp_err_t esp_mqtt_client_register_event(esp_mqtt_client_handle_t client, esp_mqtt_event_id_t event,
                                         esp_event_handler_t event_handler, void *event_handler_arg)
{
    if (client == NULL || event_handler == NULL)
        return ESP_ERR_INVALID_ARG;
    for (int i = 0; i < HANDLERS_MAX; i++)
        if (client->handlers[i].handler == NULL) {
            client->handlers[i].event = event;
            client->handlers[i].arg = event_handler_arg;
            client->handlers[i].handler = event_handler;
            return ESP_OK;
        }
    return ESP_ERR_NO_MEM;
}

esp_err_t esp_mqtt_client_unregister_event(esp_mqtt_client_handle_t client, esp_mqtt_event_id_t event,
                                           esp_event_handler_t event_handler)
{
    if (client == NULL)
        return ESP_ERR_INVALID_ARG;
    for (int i = 0; i < HANDLERS_MAX; i++)
        if (client->handlers[i].handler == event_handler && client->handlers[i].event == event) {
            client->handlers[i].handler = NULL;
            return ESP_OK;
        }
    return ESP_ERR_NOT_FOUND;
}

esp_err_t esp_mqtt_client_set_uri(esp_mqtt_client_handle_t client, const char *uri)
{
    return client != NULL && uri != NULL && read_uri(client, uri) ? ESP_OK : ESP_ERR_INVALID_ARG;
}

esp_err_t esp_mqtt_client_start(esp_mqtt_client_handle_t c)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    if (c->is_started)
        return ESP_FAIL;
    tell(c, &(esp_mqtt_event_t){.event_id = MQTT_EVENT_BEFORE_CONNECT});
    /* The first attempt may fail; the loop tries again. */
    int rc = mosquitto_connect_async(c->m, c->host, c->port, c->keepalive);
    if (rc != MOSQ_ERR_SUCCESS)
        ESP_LOGW(tag, "%s:%d cannot be reached yet: %s", c->host, c->port, mosquitto_strerror(rc));
    c->is_stopping = false;
    c->is_started = pthread_create(&c->thread, NULL, run_client, c) == 0;
    return c->is_started ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_mqtt_client_stop(esp_mqtt_client_handle_t c)
{
    if (c == NULL || !c->is_started)
        return ESP_FAIL;
    pthread_mutex_lock(&c->lock);
    c->is_stopping = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    mosquitto_disconnect(c->m);
    pthread_join(c->thread, NULL);
    c->is_started = false;
    return ESP_OK;
}

esp_err_t esp_mqtt_client_disconnect(esp_mqtt_client_handle_t c)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    return mosquitto_disconnect(c->m) == MOSQ_ERR_SUCCESS ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_mqtt_client_reconnect(esp_mqtt_client_handle_t c)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    pthread_mutex_lock(&c->lock);
    bool is_started = c->is_started;
    c->is_hurried = is_started;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return is_started ? ESP_OK : ESP_FAIL;
}

int esp_mqtt_client_get_outbox_size(esp_mqtt_client_handle_t client)
{
    return client ? atomic_load(&client->unconfirmed) : 0;
}

esp_err_t esp_mqtt_client_destroy(esp_mqtt_client_handle_t c)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    esp_mqtt_client_stop(c);
    if (c->m != NULL)
        mosquitto_destroy(c->m);
    SSL_CTX_free(c->tls);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c->host);
    free(c);
    return ESP_OK;
}

int esp_mqtt_client_publish(esp_mqtt_client_handle_t client, const char *topic, const char *data, int len, int qos,
                            int retain)
{
    int message_id = -1;
    int size = len > 0 ? len : data ? (int)strlen(data) : 0;
    atomic_fetch_add(&client->unconfirmed, 1); /* before it is sent: its confirmation may come at once */
    int rc = mosquitto_publish(client->m, &message_id, topic, size, data, qos, retain != 0);
    if (rc == MOSQ_ERR_SUCCESS || rc == MOSQ_ERR_NO_CONN)
        return qos == 0 ? 0 : message_id;
    atomic_fetch_sub(&client->unconfirmed, 1);
    return -1;
}

int esp_mqtt_client_enqueue(esp_mqtt_client_handle_t client, const char *topic, const char *data, int len, int qos,
                            int retain, bool store)
{
    (void)store;
    return esp_mqtt_client_publish(client, topic, data, len, qos, retain);
}

int esp_mqtt_client_subscribe_multiple(esp_mqtt_client_handle_t client, const esp_mqtt_topic_t *topic_list, int size)
{
    int message_id = -1;
    for (int i = 0; i < size; i++) {
        message_id = esp_mqtt_client_subscribe_single(client, topic_list[i].filter, topic_list[i].qos);
        if (message_id < 0)
            return -1;
    }
    return message_id;
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
