/*
 * esp_rmaker_common_events.h - events of RainMaker's common parts: reboot, MQTT, time zone.
 */
#ifndef PLUVIO_ESP_RMAKER_COMMON_EVENTS_H
#define PLUVIO_ESP_RMAKER_COMMON_EVENTS_H

#include "esp_event.h"

#ifdef __cplusplus
extern "C" {
#endif

ESP_EVENT_DECLARE_BASE(RMAKER_COMMON_EVENT);

typedef enum {
    RMAKER_EVENT_REBOOT, /* data: uint8_t, seconds until then */
    RMAKER_EVENT_WIFI_RESET,
    RMAKER_EVENT_FACTORY_RESET,
    RMAKER_MQTT_EVENT_CONNECTED,
    RMAKER_MQTT_EVENT_DISCONNECTED,
    RMAKER_MQTT_EVENT_PUBLISHED,   /* data: int, the message id that the broker acknowledged */
    RMAKER_EVENT_TZ_POSIX_CHANGED, /* data: the POSIX text with its terminator */
    RMAKER_EVENT_TZ_CHANGED,       /* data: the IANA name with its terminator */
    RMAKER_MQTT_EVENT_MSG_DELETED, /* data: int, the id of a message that was given up */
} esp_rmaker_common_event_t;

#ifdef __cplusplus
}
#endif

#endif
