/*
 * esp_rmaker_mqtt.h - RainMaker's MQTT connection, for the application's own topics.
 */
#ifndef PLUVIO_ESP_RMAKER_MQTT_H
#define PLUVIO_ESP_RMAKER_MQTT_H

#include "esp_err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RMAKER_MQTT_QOS0 0
#define RMAKER_MQTT_QOS1 1

/* Runs on the MQTT task; the payload is valid until it returns. */
typedef void (*esp_rmaker_mqtt_subscribe_cb_t)(const char *topic, void *payload, size_t payload_len, void *priv_data);

/* Publishes `data_len` bytes.  `msg_id`, unless NULL, gets the id that comes again with RMAKER_MQTT_EVENT_PUBLISHED.
 * ESP_FAIL when the budget of messages is used up or there is no connection to be had. */
esp_err_t esp_rmaker_mqtt_publish(const char *topic, void *data, size_t data_len, uint8_t qos, int *msg_id);

/* Subscribes now and after every connection; `+` is understood in the topic.  ESP_ERR_NO_MEM after ten topics. */
esp_err_t esp_rmaker_mqtt_subscribe(const char *topic, esp_rmaker_mqtt_subscribe_cb_t cb, uint8_t qos, void *priv_data);
esp_err_t esp_rmaker_mqtt_unsubscribe(const char *topic);

bool esp_rmaker_is_mqtt_connected(void);

/* Adds to the budget of messages, or takes from it; at 0 messages are refused, it grows again with time. */
esp_err_t esp_rmaker_mqtt_increase_budget(uint8_t budget);
esp_err_t esp_rmaker_mqtt_decrease_budget(uint8_t budget);
bool esp_rmaker_mqtt_is_budget_available(void);

/* Writes node/<node id>/<suffix>, or with basic ingest $aws/rules/<rule>/node/<node id>/<suffix>.  `rule` NULL or
 * empty: the plain form. */
void esp_rmaker_create_mqtt_topic(char *buf, size_t buf_size, const char *topic_suffix, const char *rule);

#ifdef __cplusplus
}
#endif

#endif
