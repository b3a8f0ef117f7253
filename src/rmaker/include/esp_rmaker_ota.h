/*
 * esp_rmaker_ota.h - ESP RainMaker's OTA API (component esp_rainmaker 1.16).
 *
 * Names, values and member order are RainMaker's; behaviour follows its device specification, differences are listed in
 * docs/differences.md.
 */
#ifndef PLUVIO_ESP_RMAKER_OTA_H
#define PLUVIO_ESP_RMAKER_OTA_H

#include "esp_err.h"
#include "esp_event.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

ESP_EVENT_DECLARE_BASE(RMAKER_OTA_EVENT);

/* PEM of the authorities that a build without certificate bundle trusts when the config names none; not there in builds
 * that download over MQTT. */
extern const char *ESP_RMAKER_OTA_DEFAULT_SERVER_CERT;

/* Data of IN_PROGRESS to DELAYED and of INVALID is the report's text with its terminator; STARTING and REQ_FOR_REBOOT
 * have none. */
typedef enum {
    RMAKER_OTA_EVENT_INVALID = 0,
    RMAKER_OTA_EVENT_STARTING,
    RMAKER_OTA_EVENT_IN_PROGRESS,
    RMAKER_OTA_EVENT_SUCCESSFUL,
    RMAKER_OTA_EVENT_FAILED,
    RMAKER_OTA_EVENT_REJECTED,
    RMAKER_OTA_EVENT_DELAYED,
    RMAKER_OTA_EVENT_REQ_FOR_REBOOT,
} esp_rmaker_ota_event_t;

typedef enum {
    OTA_STATUS_IN_PROGRESS = 1,
    OTA_STATUS_SUCCESS,
    OTA_STATUS_FAILED,
    OTA_STATUS_DELAYED,
    OTA_STATUS_REJECTED,
} ota_status_t;

typedef enum { OTA_USING_PARAMS = 1, OTA_USING_TOPICS } esp_rmaker_ota_type_t;

typedef void *esp_rmaker_ota_handle_t;

/* The strings belong to the core and are valid until the callback returns. */
typedef struct {
    char *url;
    char *stream_id;
    int filesize; /* 0 when unknown */
    char *fw_version;
    char *file_md5;
    char *ota_job_id;
    const char *server_cert;
    char *priv;
    char *metadata; /* the job's metadata object as text, NULL when absent */
} esp_rmaker_ota_data_t;

/* Runs on the work queue; its return value is not looked at, only what it reports. */
typedef esp_err_t (*esp_rmaker_ota_cb_t)(esp_rmaker_ota_handle_t handle, esp_rmaker_ota_data_t *ota_data);

typedef enum { OTA_DIAG_STATUS_FAIL, OTA_DIAG_STATUS_PENDING, OTA_DIAG_STATUS_SUCCESS } esp_rmaker_ota_diag_status_t;
typedef enum { OTA_DIAG_STATE_INIT, OTA_DIAG_STATE_POST_MQTT } esp_rmaker_ota_diag_state_t;

typedef struct {
    esp_rmaker_ota_diag_state_t state;
    bool rmaker_ota; /* the image on trial was installed by RainMaker's OTA */
} esp_rmaker_ota_diag_priv_t;

typedef esp_rmaker_ota_diag_status_t (*esp_rmaker_post_ota_diag_t)(esp_rmaker_ota_diag_priv_t *ota_diag_priv,
                                                                   void *priv);

typedef struct {
    esp_rmaker_ota_cb_t ota_cb;
    esp_rmaker_post_ota_diag_t ota_diag;
    const char *server_cert;
    void *priv;
} esp_rmaker_ota_config_t;

/* Once, after the node's initialisation and before esp_rmaker_start().  NULL: all defaults.  Evaluates a trial boot at
 * once.  ESP_ERR_INVALID_ARG for another type, ESP_FAIL for a second call. */
esp_err_t esp_rmaker_ota_enable(esp_rmaker_ota_config_t *ota_config, esp_rmaker_ota_type_t type);

/* Publishes a status and posts its event.  success, failed and rejected are kept in flash and sent until they are
 * acknowledged.  `additional_info` NULL is taken as an empty text.  ESP_FAIL for a NULL handle, which posts nothing,
 * and when nothing could be published now; ESP_ERR_INVALID_STATE when there is no job to report for. */
esp_err_t esp_rmaker_ota_report_status(esp_rmaker_ota_handle_t ota_handle, ota_status_t status, char *additional_info);

/* The whole workflow: metadata gate, attempts, reports, reboot.  The first does what the build chose, HTTPS or MQTT
 * (CONFIG_ESP_RMAKER_OTA_USE_MQTT); of the other two only that one is there.  `ota_data` is read, not kept.  ESP_OK
 * after the new image was selected, ESP_FAIL otherwise, also for a job that was put off. */
esp_err_t esp_rmaker_ota_default_cb(esp_rmaker_ota_handle_t handle, esp_rmaker_ota_data_t *ota_data);
esp_err_t esp_rmaker_ota_https_cb(esp_rmaker_ota_handle_t handle, esp_rmaker_ota_data_t *ota_data);
esp_err_t esp_rmaker_ota_mqtt_cb(esp_rmaker_ota_handle_t handle, esp_rmaker_ota_data_t *ota_data);

/* Asks the service for a job now.  ESP_OK also while an earlier question is not acknowledged yet; ESP_ERR_INVALID_STATE
 * without a connection, ESP_FAIL when it cannot be published: both are tried again by themselves. */
esp_err_t esp_rmaker_ota_fetch(void);
/* The same after so many seconds. */
esp_err_t esp_rmaker_ota_fetch_with_delay(int time);

/* The application's verdict on an image on trial.  ESP_ERR_INVALID_STATE when none is; mark_valid is
 * ESP_ERR_INVALID_ARG before OTA was enabled, also within the diagnosis at INIT.  mark_invalid rolls back and does not
 * return. */
esp_err_t esp_rmaker_ota_mark_valid(void);
esp_err_t esp_rmaker_ota_mark_invalid(void);

#ifdef __cplusplus
}
#endif

#endif
