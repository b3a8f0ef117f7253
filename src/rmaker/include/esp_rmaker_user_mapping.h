/*
 * esp_rmaker_user_mapping.h - telling the service to whom this node belongs.
 */
#ifndef PLUVIO_ESP_RMAKER_USER_MAPPING_H
#define PLUVIO_ESP_RMAKER_USER_MAPPING_H

#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    ESP_RMAKER_USER_MAPPING_RESET = 0,
    ESP_RMAKER_USER_MAPPING_STARTED, /* the message is on its way */
    ESP_RMAKER_USER_MAPPING_REQ_SENT,
    ESP_RMAKER_USER_MAPPING_DONE, /* the broker acknowledged it; RMAKER_EVENT_USER_NODE_MAPPING_DONE was posted */
} esp_rmaker_user_mapping_state_t;

/* Publishes user id and secret key on the topic user/mapping, now or at the next connection.  Both are copied.
 * ESP_ERR_INVALID_ARG for NULL, ESP_ERR_NO_MEM. */
esp_err_t esp_rmaker_start_user_node_mapping(char *user_id, char *secret_key);

/* Publishes that the node belongs to nobody any more. */
esp_err_t esp_rmaker_reset_user_node_mapping(void);

esp_rmaker_user_mapping_state_t esp_rmaker_user_node_mapping_get_state(void);

#ifdef __cplusplus
}
#endif

#endif
