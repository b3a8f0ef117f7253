/*
 * esp_rmaker_ota_file.h - updates that are not for this node's own flash: another processor's image, a file of the
 * application's.
 *
 * Pluvio's own, beside RainMaker's API: RainMaker hands the metadata `{"esp.ota.target":"host_mcu"}` to the
 * application, which then has to download by itself.  Here the application registers a handler for the target's name;
 * the default callbacks download the file into a partition, verify size and digests that the job names, and only then
 * hand the bytes over, in order.  Reports, attempts, windows and resumption are those of every update; there is no
 * reboot.
 *
 *     static const esp_rmaker_ota_file_handler_t host = {.begin = reset_host, .write = flash_host, .end = start_host};
 *     esp_rmaker_ota_register_file_handler("host_mcu", &host, NULL);
 */
#ifndef PLUVIO_ESP_RMAKER_OTA_FILE_H
#define PLUVIO_ESP_RMAKER_OTA_FILE_H

#include "esp_rmaker_ota.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    /* Label of the data partition that holds the file until it is verified; NULL: the slot that the next update of this
     * node would take, whose image is lost by that. */
    const char *staging;
    /* The file is whole and verified: `size` bytes.  Anything but ESP_OK ends the attempt as failed.  May be NULL. */
    esp_err_t (*begin)(const esp_rmaker_ota_data_t *data, size_t size, void *priv);
    /* The next `len` bytes (up to 4096), from `offset` on; they are the core's and valid until it returns. */
    esp_err_t (*write)(size_t offset, const void *bytes, size_t len, void *priv);
    /* All bytes were written.  ESP_OK makes the job a success.  May be NULL. */
    esp_err_t (*end)(void *priv);
    /* After `begin`, instead of `end`, when something failed.  May be NULL. */
    void (*abort)(void *priv);
} esp_rmaker_ota_file_handler_t;

/* From now on jobs whose metadata has the member `esp.ota.target` with the text `target` go to `handler`.  Both are
 * kept, not copied.  A job for a target that nobody registered is rejected by the default callbacks.
 * ESP_ERR_INVALID_ARG for a NULL argument or a handler without `write`, ESP_ERR_NO_MEM after four targets. */
esp_err_t esp_rmaker_ota_register_file_handler(const char *target, const esp_rmaker_ota_file_handler_t *handler,
                                               void *priv);

#ifdef __cplusplus
}
#endif

#endif
