/*
 * rmaker.h - what RainMaker's node API keeps: one named context, because the API has no handle.
 *
 * Uses ESP-IDF's public headers and the rooms below them that have no I/O, so the same source builds on a chip.
 */
#ifndef PLUVIO_RMAKER_RMAKER_H
#define PLUVIO_RMAKER_RMAKER_H

#include "base/buf.h"
#include "esp_http_client.h"
#include "esp_ota_ops.h"
#include "esp_rmaker_core.h"
#include "esp_rmaker_mqtt.h"
#include "esp_rmaker_ota.h"
#include "esp_rmaker_ota_file.h"
#include "esp_rmaker_user_mapping.h"
#include "esp_timer.h"
#include "freertos/queue.h"
#include "freertos/semphr.h"
#include "mqtt_client.h"
#include "ota/ota.h"
#include "rmaker/rmaker_options.h"
#include "wire/job.h"

#include <stdatomic.h>

#define WORK_QUEUE_LENGTH  16
#define AWAITED_MAX        8 /* publishes whose PUBACK somebody waits for; one more takes the place of the oldest */
#define OTA_FILE_TYPES_MAX 4 /* targets that the application has handlers for */

struct rmaker_ota {
    bool is_enabled;
    struct ota mind;
    struct ota_options options;
    esp_rmaker_ota_type_t type;
    esp_rmaker_ota_config_t config;
    SemaphoreHandle_t lock;   /* the mind, the job */
    struct job_offer *job;    /* NULL: none */
    bool was_rmaker_ota;      /* the trial flag was in flash */
    bool wants_attempt;       /* the mind said so; the workflow's loop runs it */
    const char *abort_text;   /* the attempt is to be left, and why; NULL: it goes on */
    void *https_attempt;      /* while esp_https_ota_begin() runs */
    esp_timer_handle_t timer; /* for the mind's next tick */
    atomic_bool is_tick_queued;
    struct {
        const char *target;
        const esp_rmaker_ota_file_handler_t *handler;
        void *priv;
    } files[OTA_FILE_TYPES_MAX];
    unsigned file_count;
};

struct rmaker_subscription {
    char topic[TOPIC_SIZE]; /* "": free */
    esp_rmaker_mqtt_subscribe_cb_t call;
    void *priv;
    uint8_t qos;
};

struct rmaker_mqtt {
    esp_mqtt_client_handle_t client;
    SemaphoreHandle_t lock; /* subscriptions and budget */
    struct rmaker_subscription subscriptions[CONFIG_ESP_RMAKER_MAX_MQTT_SUBSCRIPTIONS];
    atomic_bool is_connected; /* written by the MQTT task */
    atomic_bool is_stopped;
    unsigned failures; /* to connect, in a row */
    esp_timer_handle_t reconnect_timer;
    int budget;
    int64_t revived_us;
    struct {
        int message_id;
        esp_rmaker_work_fn_t call; /* NULL: free */
        void *arg;
    } awaited[AWAITED_MAX];
    int early_acks[AWAITED_MAX]; /* PUBACKs that came before their publish returned */
    unsigned next_awaited, next_early_ack;
    char *pieces; /* of a message that does not fit the client's buffer */
    size_t pieces_len;
    char piece_topic[TOPIC_SIZE], will_topic[TOPIC_SIZE];
};

struct rmaker_text { /* a name and a value on the heap, in a list */
    struct rmaker_text *next;
    char *name, *value;
};

struct rmaker {
    esp_rmaker_node_t node;
    esp_rmaker_node_info_t info;
    char node_id[NODE_ID_SIZE], host[256];
    char *client_cert, *client_key;
    bool is_initialised, is_working, has_begun, has_connectivity, waits_for_time;
    atomic_bool is_started; /* the node has described itself */
    QueueHandle_t work;
    struct rmaker_text *attributes;
    struct esp_rmaker_device *devices;
    SemaphoreHandle_t model_lock; /* devices, parameters and their values */
    esp_rmaker_system_serv_config_t system;
    char zone_text[ZONE_TEXT_SIZE]; /* POSIX; "": not looked up yet */
    struct rmaker_mqtt mqtt;
    struct {
        _Atomic(esp_rmaker_user_mapping_state_t) state;
        char *user_id, *secret_key; /* not acknowledged yet; NULL: nothing to say */
    } mapping;
    struct rmaker_ota ota;
};

extern struct rmaker rmaker_context;

/* --- MQTT (rmaker_mqtt.c) --------------------------------------------------------------------- */

/* Publishes with QoS 1, in the basic-ingest form where the topic has one; the message id, or -1. */
int rmaker_publish(enum topic_kind kind, struct bytes payload);
/* A request for blocks of a stream, which no budget refuses. */
bool rmaker_publish_request(const char *topic, struct bytes payload);
/* The same as rmaker_publish(); after its PUBACK `call` runs on the work queue.  False when it cannot be published. */
bool rmaker_publish_for(enum topic_kind kind, struct bytes payload, esp_rmaker_work_fn_t call, void *arg);
esp_err_t rmaker_subscribe(enum topic_kind kind, esp_rmaker_mqtt_subscribe_cb_t call);
esp_err_t rmaker_mqtt_init(void);
esp_err_t rmaker_mqtt_start(void);
esp_err_t rmaker_mqtt_stop(void);

/* --- the node's model (rmaker_model.c, rmaker_config.c, rmaker_params.c) ----------------------- */

/* False, and nothing in the list, when memory is out. */
bool rmaker_text_add(struct rmaker_text **list, const char *name, const char *value);

/* The whole description for the topic `config`. */
void rmaker_write_config(struct buf *to);

/* Reports all parameters and takes writes from now on. */
void rmaker_params_start(void);

/* One write of several parameters: {"<device>":{"<param>":<value>,...},...}.  ESP_ERR_INVALID_ARG when it is no JSON
 * object. */
esp_err_t rmaker_params_write(struct bytes payload, esp_rmaker_req_src_t src);

/* --- user mapping (rmaker_mapping.c) ---------------------------------------------------------- */

void rmaker_mapping_connected(void);

/* --- OTA -------------------------------------------------------------------------------------- */

/* Parts of the start-up, called by core in this order. */
void rmaker_ota_connected(void); /* on every connect, before the node description is published */
void rmaker_ota_started(void);   /* once per boot, after it */
void rmaker_ota_disconnected(void);
void rmaker_ota_zone_changed(void);
enum ota_mind_state rmaker_ota_state(void);

/* Tells the mind and does what it says. */
void rmaker_ota_tell(const struct ota_event *event);

/* One URL written to the OTA service's parameter.  ESP_FAIL while busy. */
esp_err_t rmaker_ota_take_url(const char *url);

/* The service `OTA` (rmaker_ota_params.c). */
esp_err_t rmaker_ota_params_enable(void);
esp_err_t rmaker_ota_params_report(enum report_status status, const char *info);

/* One attempt.  It tells the mind what it meets (header, bytes, all received, image good); ESP_OK: the new slot is
 * selected; ESP_ERR_INVALID_VERSION: rejected; else failed.  `text` says why, "" where the mind knows. */
typedef esp_err_t (*rmaker_attempt_t)(const esp_rmaker_ota_data_t *data, char *text, size_t size);
esp_err_t rmaker_https_attempt(const esp_rmaker_ota_data_t *data, char *text, size_t size);
esp_err_t rmaker_stream_attempt(const esp_rmaker_ota_data_t *data, char *text, size_t size);
esp_err_t rmaker_file_attempt(const esp_rmaker_ota_data_t *data, char *text, size_t size);

/* What attempts have in common (rmaker_attempt.c). */
esp_err_t rmaker_attempt_failed(char *text, size_t size, const char *what, esp_err_t err);
/* Tells how far it is; false, with `text`, when the mind wants the attempt to end. */
bool rmaker_attempt_goes_on(int64_t received, int64_t total, char *text, size_t size);
/* What every connection for a download has in common: whom it trusts, how long it waits. */
esp_http_client_config_t rmaker_attempt_http(const esp_rmaker_ota_data_t *data);
/* PEM of the authority for downloads by a build without certificate bundle (rmaker_cert.c). */
extern const char rmaker_default_cert[];
/* A strong ETag in an answer's head, "" while there is none: a weak one promises nothing about bytes. */
void rmaker_attempt_take_etag(const esp_http_client_event_t *event, char *to, size_t size);
/* The mind's verdict on a header: true when the download may go on. */
bool rmaker_attempt_header(const esp_app_desc_t *offered);
/* The length that the server announces (0: none) against the job's, before anything is erased. */
bool rmaker_attempt_size_fits(const esp_rmaker_ota_data_t *data, int64_t total, char *text, size_t size);
/* Size and digests that the job names, against what lies in the partition now. */
bool rmaker_attempt_verify(const esp_rmaker_ota_data_t *data, const esp_partition_t *where, size_t len, char *text,
                           size_t size);

/* The handler that the application registered for the metadata's `esp.ota.target`; NULL: none, or no such member. */
const esp_rmaker_ota_file_handler_t *rmaker_ota_find_file(const char *metadata, void **priv);

/* --- RainMaker's OTA keys in the partition nvs, namespace rmaker_ota (rmaker_store.c) --------- */

#define KEY_JOB_ID        "rmaker_ota_id"
#define KEY_TRIAL         "ota_update"
#define KEY_TARGET        "ota_target" /* ours: which image the trial flag is for */
#define KEY_BLAME         "ota_fail_rsn"
#define KEY_BLAME_JOB     "ota_fail_jid"
#define KEY_CYCLES        "ota_test_cnt"
#define KEY_CYCLES_JOB    "ota_test_jid"
#define KEY_WRITTEN       "ota_written"
#define KEY_MD5           "ota_file_md5"
#define KEY_ETAG          "ota_etag" /* ours: what a server called the content */
#define KEY_SLOT          "ota_slot" /* ours: where it was written to */
#define KEY_STREAM_BLOCKS "mqtt_ota_off"
#define KEY_STREAM_MD5    "mqtt_ota_md5"
#define KEY_STREAM_BLOCK  "mqtt_ota_blk" /* ours: bytes of a block, without which a count of them says nothing */

esp_err_t rmaker_store_set_blob(const char *key, const void *at, size_t len);
esp_err_t rmaker_store_get_blob(const char *key, void *to, size_t *len);
esp_err_t rmaker_store_set_text(const char *key, const char *text);
/* "" when it is not there or does not fit. */
void rmaker_store_get_text(const char *key, char *to, size_t size);
esp_err_t rmaker_store_set_number(const char *key, uint32_t value);
uint32_t rmaker_store_get_number(const char *key);
void rmaker_store_erase(const char *key);

/* What the mind wants to know at boot, and what it wants written. */
void rmaker_store_read_saved(struct ota_saved *saved);
esp_err_t rmaker_store_set_row(unsigned index, const struct ota_row *row);
esp_err_t rmaker_store_set_trial(bool has_flag);
void rmaker_store_clear_trial(void);

/* A download over HTTPS that may go on: bound to the file's digest, the slot and, if the server gave one, its ETag. */
struct rmaker_resume {
    char md5[65], etag[100];
    uint32_t slot;
    uint16_t kib;
};
/* 0 in `kib` when nothing fits `md5` and `slot`. */
void rmaker_store_get_resume(struct rmaker_resume *to, const char *md5, uint32_t slot);
esp_err_t rmaker_store_set_resume(const struct rmaker_resume *resume);
void rmaker_store_clear_resume(void);

/* --- time (rmaker_time.c) --------------------------------------------------------------------- */

/* The POSIX text of the node's zone: what was set, else the default. */
const char *rmaker_zone_text(void);
/* The POSIX text of a zone of the IANA's names; NULL when it is not known. */
const char *rmaker_zone_find(const char *name);

#endif
