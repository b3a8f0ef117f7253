/*
 * esp_rmaker_core.h - ESP RainMaker's node: identity, devices and parameters, connection, start.
 *
 * Names, values and behaviour are those of component esp_rainmaker 1.16, as far as they concern a node that is updated,
 * described and controlled through a RainMaker service.  Schedules, scenes, local control and provisioning are not part
 * of it.
 */
#ifndef PLUVIO_ESP_RMAKER_CORE_H
#define PLUVIO_ESP_RMAKER_CORE_H

#include "esp_err.h"
#include "esp_event.h"
#include "esp_rmaker_common_events.h"
#include "esp_rmaker_utils.h"
#include "esp_rmaker_work_queue.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ESP_RMAKER_CONFIG_VERSION      "2020-03-20"
#define MAX_VERSION_STRING_LEN         16
#define RMAKER_PARAM_FLAG_VALUE_CHANGE (1 << 0)

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

/* --- node ------------------------------------------------------------------------------------- */

typedef size_t esp_rmaker_handle_t;
typedef struct {
    esp_rmaker_handle_t handle;
} esp_rmaker_node_t;

typedef struct {
    bool enable_time_sync; /* wait for a set clock before connecting; Linux keeps its clock itself */
} esp_rmaker_config_t;

/* Strings belong to the node. */
typedef struct {
    char *name;
    char *type;
    char *fw_version;
    char *model;
    char *subtype; /* NULL: none, as for the next */
    char *readme;
} esp_rmaker_node_info_t;

/* Reads identity and credentials from the factory partition and makes the one node.  `name` and `type` are copied. NULL
 * when an argument is NULL, the credentials are missing or a node is there already. */
esp_rmaker_node_t *esp_rmaker_node_init(const esp_rmaker_config_t *config, const char *name, const char *type);
/* Frees the node.  ESP_ERR_INVALID_STATE once it was started. */
esp_err_t esp_rmaker_node_deinit(const esp_rmaker_node_t *node);
/* The node, NULL before its initialisation. */
const esp_rmaker_node_t *esp_rmaker_get_node(void);
/* NULL before the node's initialisation; the node's own text. */
char *esp_rmaker_get_node_id(void);
esp_rmaker_node_info_t *esp_rmaker_node_get_info(const esp_rmaker_node_t *node);
/* Name and value are copied and appear among the description's attributes. */
esp_err_t esp_rmaker_node_add_attribute(const esp_rmaker_node_t *node, const char *attr_name, const char *val);
/* Instead of PROJECT_VER, PROJECT_NAME and nothing.  Copied; ESP_ERR_INVALID_ARG for NULL, ESP_ERR_NO_MEM. */
esp_err_t esp_rmaker_node_add_fw_version(const esp_rmaker_node_t *node, const char *fw_version);
esp_err_t esp_rmaker_node_add_model(const esp_rmaker_node_t *node, const char *model);
esp_err_t esp_rmaker_node_add_subtype(const esp_rmaker_node_t *node, const char *subtype);
esp_err_t esp_rmaker_node_add_readme(const esp_rmaker_node_t *node, const char *readme);

/* Connects to the service, in the background. */
esp_err_t esp_rmaker_start(void);
/* Closes the connection. */
esp_err_t esp_rmaker_stop(void);
/* Publishes the description again: after devices or parameters were added while running. */
esp_err_t esp_rmaker_report_node_details(void);

/* --- values ----------------------------------------------------------------------------------- */

typedef enum {
    RMAKER_VAL_TYPE_INVALID = 0,
    RMAKER_VAL_TYPE_BOOLEAN,
    RMAKER_VAL_TYPE_INTEGER,
    RMAKER_VAL_TYPE_FLOAT,
    RMAKER_VAL_TYPE_STRING,
    RMAKER_VAL_TYPE_OBJECT, /* text of a JSON object */
    RMAKER_VAL_TYPE_ARRAY,  /* text of a JSON array */
} esp_rmaker_val_type_t;

typedef union {
    bool b;
    int i;
    float f;
    char *s;
} esp_rmaker_val_t;

typedef struct {
    esp_rmaker_val_type_t type;
    esp_rmaker_val_t val;
} esp_rmaker_param_val_t;

/* Strings are not copied by these; they are by the functions that take a value. */
esp_rmaker_param_val_t esp_rmaker_bool(bool bval);
esp_rmaker_param_val_t esp_rmaker_int(int ival);
esp_rmaker_param_val_t esp_rmaker_float(float fval);
esp_rmaker_param_val_t esp_rmaker_str(const char *sval);
esp_rmaker_param_val_t esp_rmaker_obj(const char *val);
esp_rmaker_param_val_t esp_rmaker_array(const char *val);

/* --- devices and services --------------------------------------------------------------------- */

typedef struct esp_rmaker_device esp_rmaker_device_t;
typedef struct esp_rmaker_param esp_rmaker_param_t;

typedef enum {
    PROP_FLAG_WRITE = (1 << 0),
    PROP_FLAG_READ = (1 << 1),
    PROP_FLAG_TIME_SERIES = (1 << 2),
    PROP_FLAG_PERSIST = (1 << 3), /* kept in flash, partition nvs, namespace = the device's name */
    PROP_FLAG_SIMPLE_TIME_SERIES = (1 << 4),
} esp_param_property_flags_t;

typedef enum {
    ESP_RMAKER_REQ_SRC_INIT, /* a persistent value, read when the parameter was added */
    ESP_RMAKER_REQ_SRC_CLOUD,
    ESP_RMAKER_REQ_SRC_SCHEDULE,
    ESP_RMAKER_REQ_SRC_SCENE_ACTIVATE,
    ESP_RMAKER_REQ_SRC_SCENE_DEACTIVATE,
    ESP_RMAKER_REQ_SRC_LOCAL,
    ESP_RMAKER_REQ_SRC_CMD_RESP,
    ESP_RMAKER_REQ_SRC_MAX,
} esp_rmaker_req_src_t;

typedef struct {
    esp_rmaker_req_src_t src;
} esp_rmaker_write_ctx_t;

typedef struct {
    esp_rmaker_req_src_t src;
} esp_rmaker_read_ctx_t;

typedef struct {
    esp_rmaker_param_t *param;
    esp_rmaker_param_val_t val;
} esp_rmaker_param_write_req_t;

/* Somebody writes a parameter.  The value is not taken over by itself: the callback calls esp_rmaker_param_update() or
 * esp_rmaker_param_update_and_report().  Runs on the MQTT task. */
typedef esp_err_t (*esp_rmaker_device_write_cb_t)(const esp_rmaker_device_t *device, const esp_rmaker_param_t *param,
                                                  const esp_rmaker_param_val_t val, void *priv_data,
                                                  esp_rmaker_write_ctx_t *ctx);
/* All parameters of one device that one message writes, at once. */
typedef esp_err_t (*esp_rmaker_device_bulk_write_cb_t)(const esp_rmaker_device_t *device,
                                                       const esp_rmaker_param_write_req_t write_req[], uint8_t count,
                                                       void *priv_data, esp_rmaker_write_ctx_t *ctx);
typedef esp_err_t (*esp_rmaker_device_read_cb_t)(const esp_rmaker_device_t *device, const esp_rmaker_param_t *param,
                                                 void *priv_data, esp_rmaker_read_ctx_t *ctx);

/* Texts are copied, `priv_data` is kept.  NULL without a name or memory. */
esp_rmaker_device_t *esp_rmaker_device_create(const char *dev_name, const char *type, void *priv_data);
esp_rmaker_device_t *esp_rmaker_service_create(const char *serv_name, const char *type, void *priv_data);
/* Frees device and parameters; ESP_ERR_INVALID_STATE while it belongs to a node. */
esp_err_t esp_rmaker_device_delete(const esp_rmaker_device_t *device);
esp_err_t esp_rmaker_device_add_cb(const esp_rmaker_device_t *device, esp_rmaker_device_write_cb_t write_cb,
                                   esp_rmaker_device_read_cb_t read_cb);
esp_err_t esp_rmaker_device_add_bulk_cb(const esp_rmaker_device_t *device, esp_rmaker_device_bulk_write_cb_t write_cb,
                                        esp_rmaker_device_read_cb_t read_cb);
/* From now on it is the node's.  ESP_ERR_INVALID_ARG for NULL or a name that the node has already. */
esp_err_t esp_rmaker_node_add_device(const esp_rmaker_node_t *node, const esp_rmaker_device_t *device);
esp_err_t esp_rmaker_node_remove_device(const esp_rmaker_node_t *node, const esp_rmaker_device_t *device);
esp_rmaker_device_t *esp_rmaker_node_get_device_by_name(const esp_rmaker_node_t *node, const char *device_name);
esp_err_t esp_rmaker_device_add_attribute(const esp_rmaker_device_t *device, const char *attr_name, const char *val);
esp_err_t esp_rmaker_device_add_subtype(const esp_rmaker_device_t *device, const char *subtype);
esp_err_t esp_rmaker_device_add_model(const esp_rmaker_device_t *device, const char *model);
char *esp_rmaker_device_get_name(const esp_rmaker_device_t *device);
char *esp_rmaker_device_get_type(const esp_rmaker_device_t *device);
void *esp_rmaker_device_get_priv_data(const esp_rmaker_device_t *device);

/* --- parameters ------------------------------------------------------------------------------- */

/* Texts are copied.  NULL without a name or memory, or for a value of no type. */
esp_rmaker_param_t *esp_rmaker_param_create(const char *param_name, const char *type, esp_rmaker_param_val_t val,
                                            uint8_t properties);
/* From now on it is the device's.  A persistent one gets its value from flash, and the write callback is called with
 * it. */
esp_err_t esp_rmaker_device_add_param(const esp_rmaker_device_t *device, const esp_rmaker_param_t *param);
esp_rmaker_param_t *esp_rmaker_device_get_param_by_name(const esp_rmaker_device_t *device, const char *param_name);
esp_rmaker_param_t *esp_rmaker_device_get_param_by_type(const esp_rmaker_device_t *device, const char *param_type);
/* The parameter that stands for its device in an app. */
esp_err_t esp_rmaker_device_assign_primary_param(const esp_rmaker_device_t *device, const esp_rmaker_param_t *param);
esp_err_t esp_rmaker_param_add_ui_type(const esp_rmaker_param_t *param, const char *ui_type);
/* Of a number; `step` 0: none.  ESP_ERR_INVALID_ARG for another type than the parameter's. */
esp_err_t esp_rmaker_param_add_bounds(const esp_rmaker_param_t *param, esp_rmaker_param_val_t min,
                                      esp_rmaker_param_val_t max, esp_rmaker_param_val_t step);
/* `strs` is kept, not copied. */
esp_err_t esp_rmaker_param_add_valid_str_list(const esp_rmaker_param_t *param, const char *strs[], uint8_t count);
esp_err_t esp_rmaker_param_add_array_max_count(const esp_rmaker_param_t *param, int count);
char *esp_rmaker_param_get_name(const esp_rmaker_param_t *param);
char *esp_rmaker_param_get_type(const esp_rmaker_param_t *param);
/* The parameter's own; NULL for NULL. */
esp_rmaker_param_val_t *esp_rmaker_param_get_val(esp_rmaker_param_t *param);

/* Takes the value over, without a message; it is reported with the next report.  ESP_ERR_INVALID_ARG for another type.
 */
esp_err_t esp_rmaker_param_update(const esp_rmaker_param_t *param, esp_rmaker_param_val_t val);
/* The same, and reports it on params/local. */
esp_err_t esp_rmaker_param_update_and_report(const esp_rmaker_param_t *param, esp_rmaker_param_val_t val);
/* The same for what users are to be told of; on a RainMaker service it makes a notification. */
esp_err_t esp_rmaker_param_update_and_notify(const esp_rmaker_param_t *param, esp_rmaker_param_val_t val);
esp_err_t esp_rmaker_param_report(const esp_rmaker_param_t *param);
esp_err_t esp_rmaker_param_notify(const esp_rmaker_param_t *param);

/* A text for the node's users, up to 100 characters, on the topic alert. */
esp_err_t esp_rmaker_raise_alert(const char *alert_str);

/* --- parts that are switched on ----------------------------------------------------------------- */

/* = esp_rmaker_ota_enable(NULL, OTA_USING_TOPICS) */
esp_err_t esp_rmaker_ota_enable_default(void);

/* Adds the service `Time` with the parameters TZ and TZ-POSIX, through which an app sets the node's zone. */
esp_err_t esp_rmaker_timezone_service_enable(void);

#define SYSTEM_SERV_FLAG_REBOOT        (1 << 0)
#define SYSTEM_SERV_FLAG_FACTORY_RESET (1 << 1)
#define SYSTEM_SERV_FLAG_WIFI_RESET    (1 << 2)
#define SYSTEM_SERV_FLAGS_ALL          (SYSTEM_SERV_FLAG_REBOOT | SYSTEM_SERV_FLAG_FACTORY_RESET | SYSTEM_SERV_FLAG_WIFI_RESET)

typedef struct {
    uint16_t flags;
    int8_t reboot_seconds; /* between request and reboot; 0: 2 */
    int8_t reset_seconds;
    int8_t reset_reboot_seconds;
} esp_rmaker_system_serv_config_t;

/* Adds the service `System`, through which an app reboots or resets the node. */
esp_err_t esp_rmaker_system_service_enable(esp_rmaker_system_serv_config_t *config);

/* The message that the broker publishes when this node is lost, and `Connected` true a while after each connection. */
esp_err_t esp_rmaker_connectivity_enable(void);

#ifdef __cplusplus
}
#endif

#endif
