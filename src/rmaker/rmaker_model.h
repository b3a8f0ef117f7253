/*
 * rmaker_model.h - devices and parameters as the room keeps them; for rmaker_model.c and rmaker_params.c.
 */
#ifndef PLUVIO_RMAKER_MODEL_H
#define PLUVIO_RMAKER_MODEL_H

#include "codec/json.h"
#include "rmaker/rmaker.h"

#define PARAMS_IN_A_WRITE_MAX 32 /* of one device; more in one message are left out */

struct esp_rmaker_param {
    struct esp_rmaker_param *next;
    struct esp_rmaker_device *device;
    char *name, *type, *ui_type;
    uint8_t properties;
    esp_rmaker_param_val_t val;
    bool has_bounds, is_changed; /* changed: not reported yet */
    esp_rmaker_param_val_t min, max, step;
    const char **valid_strs;
    uint8_t valid_count;
    int array_max;
};

struct esp_rmaker_device {
    struct esp_rmaker_device *next;
    char *name, *type, *subtype, *model;
    void *priv;
    bool is_service, is_of_node;
    esp_rmaker_device_write_cb_t write_cb;
    esp_rmaker_device_bulk_write_cb_t bulk_cb;
    esp_rmaker_device_read_cb_t read_cb;
    struct rmaker_text *attributes;
    struct esp_rmaker_param *params, *primary;
};

/* The API gives pointers to const of what it owns and changes. */
struct esp_rmaker_device *rmaker_device_of(const esp_rmaker_device_t *device);
struct esp_rmaker_param *rmaker_param_of(const esp_rmaker_param_t *param);

void rmaker_model_lock(void);
void rmaker_model_unlock(void);

/* One value under `key`. */
void rmaker_write_value(struct json_out *out, const char *key, const esp_rmaker_param_val_t *val);

/* A copy with texts of its own; false when memory is out.  The other frees what that took. */
bool rmaker_value_dup(esp_rmaker_param_val_t *to, esp_rmaker_param_val_t from);
void rmaker_value_free(esp_rmaker_param_val_t *val);

#endif
