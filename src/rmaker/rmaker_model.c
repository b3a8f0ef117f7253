/* Devices, services, parameters: the node's model, and how it describes itself. */
#include "rmaker/rmaker_model.h"

#include "esp_log.h"
#include "nvs.h"

#include <stdlib.h>
#include <string.h>

struct esp_rmaker_device *rmaker_device_of(const esp_rmaker_device_t *device)
{
    return (struct esp_rmaker_device *)(uintptr_t)device;
}

struct esp_rmaker_param *rmaker_param_of(const esp_rmaker_param_t *param)
{
    return (struct esp_rmaker_param *)(uintptr_t)param;
}

void rmaker_model_lock(void)
{
    if (rmaker_context.model_lock != NULL)
        xSemaphoreTakeRecursive(rmaker_context.model_lock, portMAX_DELAY);
}

void rmaker_model_unlock(void)
{
    if (rmaker_context.model_lock != NULL)
        xSemaphoreGiveRecursive(rmaker_context.model_lock);
}

bool rmaker_text_add(struct rmaker_text **list, const char *name, const char *value)
{
    struct rmaker_text *t = calloc(1, sizeof *t);
    if (t != NULL) {
        t->name = strdup(name);
        t->value = strdup(value);
    }
    if (t == NULL || t->name == NULL || t->value == NULL) {
        if (t != NULL)
            free(t->name), free(t->value);
        free(t);
        return false;
    }
    rmaker_model_lock();
    while (*list != NULL)
        list = &(*list)->next;
    *list = t;
    rmaker_model_unlock();
    return true;
}

/* --- values ----------------------------------------------------------------------------------- */

esp_rmaker_param_val_t esp_rmaker_bool(bool bval)
{
    return (esp_rmaker_param_val_t){RMAKER_VAL_TYPE_BOOLEAN, {.b = bval}};
}

esp_rmaker_param_val_t esp_rmaker_int(int ival)
{
    return (esp_rmaker_param_val_t){RMAKER_VAL_TYPE_INTEGER, {.i = ival}};
}

esp_rmaker_param_val_t esp_rmaker_float(float fval)
{
    return (esp_rmaker_param_val_t){RMAKER_VAL_TYPE_FLOAT, {.f = fval}};
}

static esp_rmaker_param_val_t text_value(esp_rmaker_val_type_t type, const char *text)
{
    return (esp_rmaker_param_val_t){type, {.s = (char *)(uintptr_t)text}};
}

esp_rmaker_param_val_t esp_rmaker_str(const char *sval)
{
    return text_value(RMAKER_VAL_TYPE_STRING, sval);
}

esp_rmaker_param_val_t esp_rmaker_obj(const char *val)
{
    return text_value(RMAKER_VAL_TYPE_OBJECT, val);
}

esp_rmaker_param_val_t esp_rmaker_array(const char *val)
{
    return text_value(RMAKER_VAL_TYPE_ARRAY, val);
}

static bool is_text(esp_rmaker_val_type_t type)
{
    return type >= RMAKER_VAL_TYPE_STRING && type <= RMAKER_VAL_TYPE_ARRAY;
}

bool rmaker_value_dup(esp_rmaker_param_val_t *to, esp_rmaker_param_val_t from)
{
    *to = from;
    if (is_text(from.type) && from.val.s != NULL)
        to->val.s = strdup(from.val.s);
    return !is_text(from.type) || from.val.s == NULL || to->val.s != NULL;
}

void rmaker_value_free(esp_rmaker_param_val_t *val)
{
    if (is_text(val->type))
        free(val->val.s);
    *val = (esp_rmaker_param_val_t){RMAKER_VAL_TYPE_INVALID, {.i = 0}};
}

void rmaker_write_value(struct json_out *out, const char *key, const esp_rmaker_param_val_t *val)
{
    char number[40];
    switch (val->type) {
    case RMAKER_VAL_TYPE_BOOLEAN:
        json_out_bool(out, key, val->val.b);
        break;
    case RMAKER_VAL_TYPE_INTEGER:
        json_out_int(out, key, val->val.i);
        break;
    case RMAKER_VAL_TYPE_FLOAT:
        snprintf(number, sizeof number, "%.5f", (double)val->val.f); /* the original's digits */
        json_out_raw(out, key, number);
        break;
    case RMAKER_VAL_TYPE_STRING:
        json_out_text(out, key, val->val.s ? val->val.s : "");
        break;
    case RMAKER_VAL_TYPE_OBJECT:
    case RMAKER_VAL_TYPE_ARRAY:
        json_out_raw(out, key, val->val.s ? val->val.s : val->type == RMAKER_VAL_TYPE_OBJECT ? "{}" : "[]");
        break;
    case RMAKER_VAL_TYPE_INVALID:
        json_out_raw(out, key, "null");
        break;
    }
}

/* --- devices ---------------------------------------------------------------------------------- */

static esp_rmaker_device_t *create(const char *name, const char *type, void *priv, bool is_service)
{
    struct esp_rmaker_device *d = name != NULL ? calloc(1, sizeof *d) : NULL;
    if (d == NULL)
        return NULL;
    d->name = strdup(name);
    d->type = type != NULL ? strdup(type) : NULL;
    d->priv = priv;
    d->is_service = is_service;
    if (d->name != NULL && (type == NULL || d->type != NULL))
        return d;
    free(d->name), free(d->type), free(d);
    return NULL;
}

esp_rmaker_device_t *esp_rmaker_device_create(const char *dev_name, const char *type, void *priv_data)
{
    return create(dev_name, type, priv_data, false);
}

esp_rmaker_device_t *esp_rmaker_service_create(const char *serv_name, const char *type, void *priv_data)
{
    return create(serv_name, type, priv_data, true);
}

static void free_texts(struct rmaker_text *list)
{
    while (list != NULL) {
        struct rmaker_text *next = list->next;
        free(list->name), free(list->value), free(list);
        list = next;
    }
}

static void free_param(struct esp_rmaker_param *p)
{
    rmaker_value_free(&p->val);
    free(p->name), free(p->type), free(p->ui_type), free(p);
}

esp_err_t esp_rmaker_device_delete(const esp_rmaker_device_t *device)
{
    struct esp_rmaker_device *d = rmaker_device_of(device);
    if (d == NULL)
        return ESP_ERR_INVALID_ARG;
    if (d->is_of_node)
        return ESP_ERR_INVALID_STATE;
    while (d->params != NULL) {
        struct esp_rmaker_param *next = d->params->next;
        free_param(d->params);
        d->params = next;
    }
    free_texts(d->attributes);
    free(d->name), free(d->type), free(d->subtype), free(d->model), free(d);
    return ESP_OK;
}

esp_err_t esp_rmaker_device_add_cb(const esp_rmaker_device_t *device, esp_rmaker_device_write_cb_t write_cb,
                                   esp_rmaker_device_read_cb_t read_cb)
{
    if (device == NULL)
        return ESP_ERR_INVALID_ARG;
    rmaker_device_of(device)->write_cb = write_cb;
    rmaker_device_of(device)->read_cb = read_cb;
    return ESP_OK;
}

esp_err_t esp_rmaker_device_add_bulk_cb(const esp_rmaker_device_t *device, esp_rmaker_device_bulk_write_cb_t write_cb,
                                        esp_rmaker_device_read_cb_t read_cb)
{
    if (device == NULL)
        return ESP_ERR_INVALID_ARG;
    rmaker_device_of(device)->bulk_cb = write_cb;
    rmaker_device_of(device)->read_cb = read_cb;
    return ESP_OK;
}

esp_rmaker_device_t *esp_rmaker_node_get_device_by_name(const esp_rmaker_node_t *node, const char *device_name)
{
    if (node == NULL || device_name == NULL)
        return NULL;
    for (struct esp_rmaker_device *d = rmaker_context.devices; d != NULL; d = d->next)
        if (strcmp(d->name, device_name) == 0)
            return d;
    return NULL;
}

esp_err_t esp_rmaker_node_add_device(const esp_rmaker_node_t *node, const esp_rmaker_device_t *device)
{
    struct esp_rmaker_device *d = rmaker_device_of(device);
    if (node == NULL || d == NULL || esp_rmaker_node_get_device_by_name(node, d->name) != NULL)
        return ESP_ERR_INVALID_ARG;
    rmaker_model_lock();
    struct esp_rmaker_device **at = &rmaker_context.devices;
    while (*at != NULL)
        at = &(*at)->next;
    *at = d;
    d->is_of_node = true;
    rmaker_model_unlock();
    return ESP_OK;
}

esp_err_t esp_rmaker_node_remove_device(const esp_rmaker_node_t *node, const esp_rmaker_device_t *device)
{
    bool is_found = false;
    if (node == NULL || device == NULL)
        return ESP_ERR_INVALID_ARG;
    rmaker_model_lock();
    for (struct esp_rmaker_device **at = &rmaker_context.devices; *at != NULL && !is_found; at = &(*at)->next)
        if (*at == device) {
            *at = device->next;
            rmaker_device_of(device)->next = NULL;
            rmaker_device_of(device)->is_of_node = false;
            is_found = true;
            break;
        }
    rmaker_model_unlock();
    return is_found ? ESP_OK : ESP_ERR_NOT_FOUND;
}

static esp_err_t replace(bool is_there, char **member, const char *text)
{
    char *copy = is_there && text != NULL ? strdup(text) : NULL;
    if (copy == NULL)
        return is_there && text != NULL ? ESP_ERR_NO_MEM : ESP_ERR_INVALID_ARG;
    free(*member);
    *member = copy;
    return ESP_OK;
}

esp_err_t esp_rmaker_device_add_attribute(const esp_rmaker_device_t *device, const char *attr_name, const char *val)
{
    if (device == NULL || attr_name == NULL || val == NULL)
        return ESP_ERR_INVALID_ARG;
    return rmaker_text_add(&rmaker_device_of(device)->attributes, attr_name, val) ? ESP_OK : ESP_ERR_NO_MEM;
}

esp_err_t esp_rmaker_device_add_subtype(const esp_rmaker_device_t *device, const char *subtype)
{
    return device == NULL ? ESP_ERR_INVALID_ARG : replace(true, &rmaker_device_of(device)->subtype, subtype);
}

esp_err_t esp_rmaker_device_add_model(const esp_rmaker_device_t *device, const char *model)
{
    return device == NULL ? ESP_ERR_INVALID_ARG : replace(true, &rmaker_device_of(device)->model, model);
}

char *esp_rmaker_device_get_name(const esp_rmaker_device_t *device)
{
    return device ? device->name : NULL;
}

char *esp_rmaker_device_get_type(const esp_rmaker_device_t *device)
{
    return device ? device->type : NULL;
}

void *esp_rmaker_device_get_priv_data(const esp_rmaker_device_t *device)
{
    return device ? device->priv : NULL;
}

/* --- parameters ------------------------------------------------------------------------------- */

esp_rmaker_param_t *esp_rmaker_param_create(const char *param_name, const char *type, esp_rmaker_param_val_t val,
                                            uint8_t properties)
{
    struct esp_rmaker_param *p =
        param_name != NULL && val.type != RMAKER_VAL_TYPE_INVALID ? calloc(1, sizeof *p) : NULL;
    if (p == NULL)
        return NULL;
    p->name = strdup(param_name);
    p->type = type != NULL ? strdup(type) : NULL;
    p->properties = properties;
    if (rmaker_value_dup(&p->val, val) && p->name != NULL && (type == NULL || p->type != NULL))
        return p;
    free_param(p);
    return NULL;
}

static esp_rmaker_param_t *find_param(const esp_rmaker_device_t *device, const char *name, const char *type)
{
    for (struct esp_rmaker_param *p = device ? device->params : NULL; p != NULL; p = p->next)
        if ((name != NULL && strcmp(p->name, name) == 0) ||
            (type != NULL && p->type != NULL && strcmp(p->type, type) == 0))
            return p;
    return NULL;
}

esp_rmaker_param_t *esp_rmaker_device_get_param_by_name(const esp_rmaker_device_t *device, const char *param_name)
{
    return param_name ? find_param(device, param_name, NULL) : NULL;
}

esp_rmaker_param_t *esp_rmaker_device_get_param_by_type(const esp_rmaker_device_t *device, const char *param_type)
{
    return param_type ? find_param(device, NULL, param_type) : NULL;
}

/* --- persistent values: partition nvs, namespace = the device's name, key = the parameter's ---- */

static bool open_values(const struct esp_rmaker_param *p, nvs_open_mode_t mode, nvs_handle_t *handle)
{
    return p->properties & PROP_FLAG_PERSIST && p->device != NULL && nvs_open(p->device->name, mode, handle) == ESP_OK;
}

static void store_value(const struct esp_rmaker_param *p)
{
    nvs_handle_t handle;
    if (!open_values(p, NVS_READWRITE, &handle))
        return;
    esp_err_t err = is_text(p->val.type) ? nvs_set_blob(handle, p->name, p->val.val.s ? p->val.val.s : "",
                                                        p->val.val.s ? strlen(p->val.val.s) : 0)
                                         : nvs_set_blob(handle, p->name, &p->val.val, sizeof p->val.val.i);
    if (err == ESP_OK)
        nvs_commit(handle);
    else
        ESP_LOGE("esp_rmaker_param", "%s of %s cannot be kept: %s", p->name, p->device->name, esp_err_to_name(err));
    nvs_close(handle);
}

static bool load_value(struct esp_rmaker_param *p, nvs_handle_t handle)
{
    size_t len = 0;
    if (nvs_get_blob(handle, p->name, NULL, &len) != ESP_OK)
        return false;
    if (!is_text(p->val.type)) {
        len = sizeof p->val.val.i;
        return nvs_get_blob(handle, p->name, &p->val.val, &len) == ESP_OK;
    }
    char *text = calloc(1, len + 1);
    if (text == NULL || (len > 0 && nvs_get_blob(handle, p->name, text, &len) != ESP_OK)) {
        free(text);
        return false;
    }
    free(p->val.val.s);
    p->val.val.s = text;
    return true;
}

static void restore_value(struct esp_rmaker_param *p)
{
    nvs_handle_t handle;
    esp_rmaker_write_ctx_t ctx = {ESP_RMAKER_REQ_SRC_INIT};
    if (!open_values(p, NVS_READONLY, &handle))
        return;
    bool is_there = load_value(p, handle);
    nvs_close(handle);
    if (is_there && p->device->bulk_cb != NULL)
        p->device->bulk_cb(p->device, &(esp_rmaker_param_write_req_t){p, p->val}, 1, p->device->priv, &ctx);
    else if (is_there && p->device->write_cb != NULL)
        p->device->write_cb(p->device, p, p->val, p->device->priv, &ctx);
}

esp_err_t esp_rmaker_device_add_param(const esp_rmaker_device_t *device, const esp_rmaker_param_t *param)
{
    struct esp_rmaker_param *p = rmaker_param_of(param), **at;
    if (device == NULL || p == NULL || find_param(device, p->name, NULL) != NULL)
        return ESP_ERR_INVALID_ARG;
    rmaker_model_lock();
    for (at = &rmaker_device_of(device)->params; *at != NULL; at = &(*at)->next)
        ;
    *at = p;
    p->device = rmaker_device_of(device);
    rmaker_model_unlock();
    restore_value(p);
    return ESP_OK;
}

esp_err_t esp_rmaker_device_assign_primary_param(const esp_rmaker_device_t *device, const esp_rmaker_param_t *param)
{
    if (device == NULL || param == NULL)
        return ESP_ERR_INVALID_ARG;
    rmaker_device_of(device)->primary = rmaker_param_of(param);
    return ESP_OK;
}

esp_err_t esp_rmaker_param_add_ui_type(const esp_rmaker_param_t *param, const char *ui_type)
{
    return param == NULL ? ESP_ERR_INVALID_ARG : replace(true, &rmaker_param_of(param)->ui_type, ui_type);
}

esp_err_t esp_rmaker_param_add_bounds(const esp_rmaker_param_t *param, esp_rmaker_param_val_t min,
                                      esp_rmaker_param_val_t max, esp_rmaker_param_val_t step)
{
    struct esp_rmaker_param *p = rmaker_param_of(param);
    if (p == NULL || min.type != p->val.type || max.type != p->val.type || step.type != p->val.type ||
        is_text(p->val.type))
        return ESP_ERR_INVALID_ARG;
    p->has_bounds = true;
    p->min = min, p->max = max, p->step = step;
    return ESP_OK;
}

esp_err_t esp_rmaker_param_add_valid_str_list(const esp_rmaker_param_t *param, const char *strs[], uint8_t count)
{
    if (param == NULL || strs == NULL || param->val.type != RMAKER_VAL_TYPE_STRING)
        return ESP_ERR_INVALID_ARG;
    rmaker_param_of(param)->valid_strs = strs;
    rmaker_param_of(param)->valid_count = count;
    return ESP_OK;
}

esp_err_t esp_rmaker_param_add_array_max_count(const esp_rmaker_param_t *param, int count)
{
    if (param == NULL || param->val.type != RMAKER_VAL_TYPE_ARRAY)
        return ESP_ERR_INVALID_ARG;
    rmaker_param_of(param)->array_max = count;
    return ESP_OK;
}

char *esp_rmaker_param_get_name(const esp_rmaker_param_t *param)
{
    return param ? param->name : NULL;
}

char *esp_rmaker_param_get_type(const esp_rmaker_param_t *param)
{
    return param ? param->type : NULL;
}

esp_rmaker_param_val_t *esp_rmaker_param_get_val(esp_rmaker_param_t *param)
{
    return param ? &param->val : NULL;
}

esp_err_t esp_rmaker_param_update(const esp_rmaker_param_t *param, esp_rmaker_param_val_t val)
{
    struct esp_rmaker_param *p = rmaker_param_of(param);
    esp_rmaker_param_val_t copy;
    if (p == NULL || val.type != p->val.type)
        return ESP_ERR_INVALID_ARG;
    if (!rmaker_value_dup(&copy, val))
        return ESP_ERR_NO_MEM;
    rmaker_model_lock();
    rmaker_value_free(&p->val);
    p->val = copy;
    p->is_changed = true;
    store_value(p);
    rmaker_model_unlock();
    return ESP_OK;
}
