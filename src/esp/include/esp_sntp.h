/*
 * esp_sntp.h - network time: the host keeps it, so it is always set (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_ESP_SNTP_H
#define PLUVIO_ESP_ESP_SNTP_H

#include "esp_err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>

typedef enum { SNTP_SYNC_STATUS_RESET, SNTP_SYNC_STATUS_COMPLETED, SNTP_SYNC_STATUS_IN_PROGRESS } sntp_sync_status_t;
typedef enum { ESP_SNTP_OPMODE_POLL, ESP_SNTP_OPMODE_LISTENONLY } esp_sntp_operatingmode_t;
typedef void (*sntp_sync_time_cb_t)(struct timeval *tv);

#define SNTP_OPMODE_POLL ESP_SNTP_OPMODE_POLL

#ifdef __cplusplus
extern "C" {
#endif

void esp_sntp_setoperatingmode(esp_sntp_operatingmode_t operating_mode);
void esp_sntp_setservername(unsigned char idx, const char *server);
/* Calls the notification at once. */
void esp_sntp_init(void);
void esp_sntp_stop(void);
bool esp_sntp_enabled(void);
sntp_sync_status_t sntp_get_sync_status(void);
void sntp_set_time_sync_notification_cb(sntp_sync_time_cb_t callback);

#ifdef __cplusplus
}
#endif

#endif
