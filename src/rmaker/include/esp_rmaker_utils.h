/*
 * esp_rmaker_utils.h - reboot, resets, time and time zone.
 */
#ifndef PLUVIO_ESP_RMAKER_UTILS_H
#define PLUVIO_ESP_RMAKER_UTILS_H

#include "esp_err.h"
#include "esp_rmaker_common_events.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Posts RMAKER_EVENT_REBOOT now and restarts after `seconds`; 0: at once. */
esp_err_t esp_rmaker_reboot(int8_t seconds);

/* Forgets the network (on Linux: nothing) or everything but the factory partition after `reset_seconds`, and restarts
 * `reboot_seconds` after that; negative: does not restart. */
esp_err_t esp_rmaker_wifi_reset(int8_t reset_seconds, int8_t reboot_seconds);
esp_err_t esp_rmaker_factory_reset(int8_t reset_seconds, int8_t reboot_seconds);

typedef struct esp_rmaker_time_config {
    char *sntp_server_name;
    void (*sync_time_cb)(void *tv);
} esp_rmaker_time_config_t;

/* Linux keeps its clock itself; on a chip SNTP is started once. */
esp_err_t esp_rmaker_time_sync_init(esp_rmaker_time_config_t *config);

/* True when the clock is later than the beginning of 2019: an earlier one was never set. */
bool esp_rmaker_time_check(void);

/* Waits for that, at most so many ticks; ESP_ERR_INVALID_STATE when it did not come. */
esp_err_t esp_rmaker_time_wait_for_sync(uint32_t ticks_to_wait);

/* The node's zone by its IANA name ("Europe/Berlin"), kept over reboots.  ESP_ERR_INVALID_ARG for a name that is not
 * known, which changes nothing. */
esp_err_t esp_rmaker_time_set_timezone(const char *tz);

/* The same by its POSIX text ("CET-1CEST,M3.5.0,M10.5.0/3"); ESP_ERR_INVALID_ARG for a text that is none. */
esp_err_t esp_rmaker_time_set_timezone_posix(const char *tz_posix);

/* What was set, on the heap, for the caller to free; NULL when nothing was. */
char *esp_rmaker_time_get_timezone(void);
char *esp_rmaker_time_get_timezone_posix(void);

/* Takes the zone from flash, else the default (Asia/Shanghai).  esp_rmaker_node_init() does it. */
esp_err_t esp_rmaker_timezone_enable(void);
esp_err_t esp_rmaker_timezone_enable_tz(const char *tz_posix);

/* Local time as text ("Sat Nov 21 18:00:00 2026 +0100[CET], DST: No"). */
esp_err_t esp_rmaker_get_local_time_str(char *buf, size_t buf_len);

#ifdef __cplusplus
}
#endif

#endif
