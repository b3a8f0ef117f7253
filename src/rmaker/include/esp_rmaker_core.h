/*
 * esp_rmaker_core.h - ESP RainMaker's node: identity, connection, start.
 *
 * Of RainMaker's core this holds what updates need; devices, parameters and schedules are not part of it.
 */
#ifndef PLUVIO_ESP_RMAKER_CORE_H
#define PLUVIO_ESP_RMAKER_CORE_H

#include "esp_err.h"
#include "esp_event.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

ESP_EVENT_DECLARE_BASE(RMAKER_EVENT);

typedef enum {
    RMAKER_EVENT_INIT_DONE = 1,
    RMAKER_EVENT_CLAIM_STARTED,
    RMAKER_EVENT_CLAIM_SUCCESSFUL,
    RMAKER_EVENT_CLAIM_FAILED,
    RMAKER_EVENT_USER_NODE_MAPPING_DONE,
    RMAKER_EVENT_LOCAL_CTRL_STARTED,
    RMAKER_EVENT_USER_NODE_MAPPING_RESET,
    RMAKER_EVENT_LOCAL_CTRL_STOPPED,
    RMAKER_EVENT_STARTED,
    RMAKER_EVENT_CONFIG_REPORTED,
} esp_rmaker_event_t;

ESP_EVENT_DECLARE_BASE(RMAKER_COMMON_EVENT);

typedef enum {
    RMAKER_EVENT_REBOOT,
    RMAKER_EVENT_WIFI_RESET,
    RMAKER_EVENT_FACTORY_RESET,
    RMAKER_MQTT_EVENT_CONNECTED,
    RMAKER_MQTT_EVENT_DISCONNECTED,
    RMAKER_MQTT_EVENT_PUBLISHED, /* data: int, the message id */
} esp_rmaker_common_event_t;

typedef size_t esp_rmaker_handle_t;
typedef struct {
    esp_rmaker_handle_t handle;
} esp_rmaker_node_t;

typedef struct {
    bool enable_time_sync; /* Linux keeps its clock itself */
} esp_rmaker_config_t;

typedef struct {
    char *name;
    char *type;
    char *fw_version;
    char *model;
    char *subtype;
} esp_rmaker_node_info_t;

/* Reads identity and credentials from the fctry partition.  NULL when they are missing or it was called before. */
esp_rmaker_node_t *esp_rmaker_node_init(const esp_rmaker_config_t *config, const char *name, const char *type);
char *esp_rmaker_get_node_id(void);
esp_rmaker_node_info_t *esp_rmaker_node_get_info(const esp_rmaker_node_t *node);

/* Connects to the service, in the background. */
esp_err_t esp_rmaker_start(void);

/* = esp_rmaker_ota_enable(NULL, OTA_USING_TOPICS) */
esp_err_t esp_rmaker_ota_enable_default(void);

/* Runs a function on the RainMaker task. */
typedef void (*esp_rmaker_work_fn_t)(void *priv_data);
esp_err_t esp_rmaker_work_queue_add_task(esp_rmaker_work_fn_t work_fn, void *priv_data);

/* Posts RMAKER_EVENT_REBOOT now and restarts after `seconds`. */
esp_err_t esp_rmaker_reboot(int seconds);

#ifdef __cplusplus
}
#endif

#endif
