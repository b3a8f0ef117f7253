/*
 * esp_rmaker_work_queue.h - RainMaker's one task for everything that may block.
 */
#ifndef PLUVIO_ESP_RMAKER_WORK_QUEUE_H
#define PLUVIO_ESP_RMAKER_WORK_QUEUE_H

#include "esp_err.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*esp_rmaker_work_fn_t)(void *priv_data);

/* esp_rmaker_node_init() does both. */
esp_err_t esp_rmaker_work_queue_init(void);
esp_err_t esp_rmaker_work_queue_start(void);

/* Runs a function on RainMaker's task, after what is queued already.  ESP_ERR_INVALID_STATE before the node's
 * initialisation, ESP_FAIL when the queue is full. */
esp_err_t esp_rmaker_work_queue_add_task(esp_rmaker_work_fn_t work_fn, void *priv_data);

/* The same after `delay_seconds`.  ESP_ERR_NO_MEM. */
esp_err_t esp_rmaker_work_queue_add_delayed_task(esp_rmaker_work_fn_t work_fn, void *priv_data, uint64_t delay_seconds);

#ifdef __cplusplus
}
#endif

#endif
