/*
 * rmaker.h - what RainMaker's node API keeps: one named context, because the API has no handle.
 *
 * Uses ESP-IDF's public headers and the rooms `wire` and `ota` only, so the same source builds on a chip.
 */
#ifndef PLUVIO_RMAKER_RMAKER_H
#define PLUVIO_RMAKER_RMAKER_H

#include "esp_rmaker_core.h"
#include "esp_rmaker_ota.h"
#include "esp_timer.h"
#include "freertos/queue.h"
#include "freertos/semphr.h"
#include "mqtt_client.h"
#include "ota/ota.h"
#include "wire/message.h"

#include <stdatomic.h>

#define SUBSCRIPTIONS_MAX 10
#define WORK_QUEUE_LENGTH 16

typedef void (*rmaker_message_cb)(const char *topic, struct bytes payload);

struct rmaker {
    esp_rmaker_node_t node;
    esp_rmaker_node_info_t info;
    char node_id[NODE_ID_SIZE], host[256];
    char *client_cert, *client_key;
    QueueHandle_t work;
    esp_mqtt_client_handle_t mqtt;
    struct {
        char topic[TOPIC_SIZE];
        rmaker_message_cb call;
    } subscriptions[SUBSCRIPTIONS_MAX];
    unsigned subscription_count;
    atomic_bool is_connected; /* written by the MQTT task */
    bool is_started;
    struct {
        bool is_enabled;
        struct ota mind;
        esp_rmaker_ota_config_t config;
        SemaphoreHandle_t lock; /* the mind and the job */
        struct job_document job;
        bool was_rmaker_ota; /* the trial flag was in flash */
        bool is_fetching;    /* an otafetch waits for its PUBACK */
        int fetch_message, acknowledged_message, fetch_failures;
        esp_timer_handle_t trial_timer, fetch_timer;
        char last_info[STATUS_INFO_SIZE];
    } ota;
};

extern struct rmaker rmaker_context;

/* Publishes with QoS 1 in the basic-ingest form; the message id, or -1. */
int rmaker_publish(enum topic_kind kind, struct bytes payload);
esp_err_t rmaker_subscribe(enum topic_kind kind, rmaker_message_cb call);
esp_err_t rmaker_mqtt_start(void);

/* OTA's part of the start-up, called by core in this order. */
void rmaker_ota_connected(void); /* on every connect, before the node description is published */
void rmaker_ota_started(void);   /* once per boot, after it */
void rmaker_ota_published(int message_id);

/* One attempt over HTTPS.  ESP_OK, ESP_ERR_INVALID_VERSION for a rejection, ESP_FAIL; `text` says why. */
esp_err_t rmaker_https_attempt(const esp_rmaker_ota_data_t *data, char *text, size_t size);

esp_err_t rmaker_report(enum report_status status, const char *info);

/* RainMaker's OTA keys in the partition nvs, namespace rmaker_ota. */
esp_err_t rmaker_store_set_blob(const char *key, const void *at, size_t len);
esp_err_t rmaker_store_get_blob(const char *key, void *to, size_t *len);
esp_err_t rmaker_store_set_resume(const char *md5, uint16_t kib);
uint16_t rmaker_store_get_resume(const char *md5);
void rmaker_store_erase(const char *key);

#define KEY_JOB_ID  "rmaker_ota_id"
#define KEY_TRIAL   "ota_update"
#define KEY_WRITTEN "ota_written"
#define KEY_MD5     "ota_file_md5"

#endif
