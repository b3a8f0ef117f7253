/* Parameters over MQTT: all of them at the start, changes afterwards, writes from outside; alerts. */
#include "rmaker/rmaker_model.h"

#include "esp_log.h"

#include <stdlib.h>
#include <string.h>

#define ALERT_MAX 100 /* characters */

static const char *const tag = "esp_rmaker_param";

/* --- reports ---------------------------------------------------------------------------------- */

enum which { ALL, CHANGED };

/* Parameters that may be read, device by device. */
static unsigned write_params(struct buf *to, enum which which)
{
    struct json_out out;
    unsigned count = 0;
    json_out_init(&out, to);
    json_out_object(&out, NULL);
    for (struct esp_rmaker_device *d = rmaker_context.devices; d != NULL; d = d->next) {
        bool is_open = false;
        for (struct esp_rmaker_param *p = d->params; p != NULL; p = p->next) {
            if (!(p->properties & PROP_FLAG_READ) || (which == CHANGED && !p->is_changed))
                continue;
            if (!is_open)
                json_out_object(&out, d->name);
            is_open = true;
            rmaker_write_value(&out, p->name, &p->val);
            p->is_changed = false;
            count++;
        }
        if (is_open)
            json_out_end_object(&out);
    }
    json_out_end_object(&out);
    return count;
}

static esp_err_t report(enum topic_kind topic, enum which which)
{
    struct buf text = {0};
    rmaker_model_lock();
    unsigned count = write_params(&text, which);
    rmaker_model_unlock();
    bool is_sent = count == 0 && which == CHANGED;
    if (!is_sent && text.len > CONFIG_ESP_RMAKER_MAX_PARAM_DATA_SIZE && which == CHANGED)
        ESP_LOGW(tag, "A report of %u bytes is longer than ESP_RMAKER_MAX_PARAM_DATA_SIZE", (unsigned)text.len);
    if (!is_sent && !text.is_failed)
        is_sent = rmaker_publish(topic, buf_bytes(&text)) >= 0;
    buf_deinit(&text);
    return is_sent ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_rmaker_param_report(const esp_rmaker_param_t *param)
{
    if (param == NULL)
        return ESP_ERR_INVALID_ARG;
    rmaker_param_of(param)->is_changed = true;
    /* Before the first connection there is nobody to tell, and with it the whole state is reported anyway. */
    return rmaker_context.is_started || esp_rmaker_is_mqtt_connected() ? report(TOPIC_PARAMS_LOCAL, CHANGED) : ESP_OK;
}

esp_err_t esp_rmaker_param_notify(const esp_rmaker_param_t *param)
{
    return esp_rmaker_param_report(param);
}

esp_err_t esp_rmaker_param_update_and_report(const esp_rmaker_param_t *param, esp_rmaker_param_val_t val)
{
    esp_err_t err = esp_rmaker_param_update(param, val);
    return err == ESP_OK ? esp_rmaker_param_report(param) : err;
}

esp_err_t esp_rmaker_param_update_and_notify(const esp_rmaker_param_t *param, esp_rmaker_param_val_t val)
{
    return esp_rmaker_param_update_and_report(param, val);
}

esp_err_t esp_rmaker_raise_alert(const char *alert_str)
{
    char text[ALERT_MAX + 1];
    struct buf payload = {0};
    struct json_out out;
    if (alert_str == NULL)
        return ESP_ERR_INVALID_ARG;
    snprintf(text, sizeof text, "%s", alert_str);
    json_out_init(&out, &payload);
    json_out_object(&out, NULL);
    json_out_text(&out, "esp.alert.str", text);
    json_out_end_object(&out);
    bool is_sent = !payload.is_failed && rmaker_publish(TOPIC_ALERT, buf_bytes(&payload)) >= 0;
    buf_deinit(&payload);
    return is_sent ? ESP_OK : ESP_FAIL;
}

/* --- writes ----------------------------------------------------------------------------------- */

/* Takes a value of the parameter's own type out of the message; texts are on the heap. */
static bool read_value(const struct json_view *v, int at, esp_rmaker_val_type_t type, esp_rmaker_param_val_t *to)
{
    struct bytes raw = json_view_raw(v, at);
    int64_t number;
    double real;
    *to = (esp_rmaker_param_val_t){type, {.i = 0}};
    switch (type) {
    case RMAKER_VAL_TYPE_BOOLEAN:
        return json_view_bool(v, at, &to->val.b);
    case RMAKER_VAL_TYPE_INTEGER:
        if (!json_view_int(v, at, &number) || number > INT32_MAX || number < INT32_MIN)
            return false;
        to->val.i = (int)number;
        return true;
    case RMAKER_VAL_TYPE_FLOAT:
        if (!json_view_double(v, at, &real))
            return false;
        to->val.f = (float)real;
        return true;
    default:
        break;
    }
    bool is_string = type == RMAKER_VAL_TYPE_STRING;
    if (raw.len == 0 && !json_view_is_text(v, at))
        return false;
    if ((type == RMAKER_VAL_TYPE_OBJECT && raw.at[0] != '{') || (type == RMAKER_VAL_TYPE_ARRAY && raw.at[0] != '['))
        return false;
    to->val.s = calloc(1, raw.len + 1);
    if (to->val.s == NULL)
        return false;
    if (!is_string)
        memcpy(to->val.s, raw.at, raw.len);
    if (!is_string || json_view_text(v, at, to->val.s, raw.len + 1))
        return true;
    rmaker_value_free(to);
    return false;
}

static void call_back(struct esp_rmaker_device *d, esp_rmaker_param_write_req_t *reqs, uint8_t count,
                      esp_rmaker_req_src_t src)
{
    esp_rmaker_write_ctx_t ctx = {src};
    if (d->bulk_cb != NULL) {
        d->bulk_cb(d, reqs, count, d->priv, &ctx);
        return;
    }
    for (uint8_t i = 0; d->write_cb != NULL && i < count; i++)
        if (d->write_cb(d, reqs[i].param, reqs[i].val, d->priv, &ctx) != ESP_OK)
            ESP_LOGE(tag, "%s of %s was not written", reqs[i].param->name, d->name);
}

static void write_device(const struct json_view *v, int object, struct esp_rmaker_device *d, esp_rmaker_req_src_t src)
{
    esp_rmaker_param_write_req_t reqs[PARAMS_IN_A_WRITE_MAX];
    uint8_t count = 0;
    for (struct esp_rmaker_param *p = d->params; p != NULL && count < PARAMS_IN_A_WRITE_MAX; p = p->next) {
        int at = json_view_find(v, object, p->name);
        if (at < 0)
            continue;
        if (!(p->properties & PROP_FLAG_WRITE) || !read_value(v, at, p->val.type, &reqs[count].val)) {
            ESP_LOGW(tag, "%s of %s cannot be written, or not with that", p->name, d->name);
            continue;
        }
        reqs[count++].param = p;
    }
    call_back(d, reqs, count, src);
    for (uint8_t i = 0; i < count; i++)
        rmaker_value_free(&reqs[i].val);
}

esp_err_t rmaker_params_write(struct bytes payload, esp_rmaker_req_src_t src)
{
    struct json_view v;
    unsigned room = json_view_count(payload);
    struct json_token *tokens = room > 0 ? calloc(room, sizeof *tokens) : NULL;
    bool is_good = tokens != NULL && json_view_parse(&v, payload, tokens, room) && json_view_is_object(&v, 0);
    for (struct esp_rmaker_device *d = is_good ? rmaker_context.devices : NULL; d != NULL; d = d->next) {
        int at = json_view_find(&v, 0, d->name);
        if (json_view_is_object(&v, at))
            write_device(&v, at, d, src);
    }
    free(tokens);
    return is_good ? ESP_OK : ESP_ERR_INVALID_ARG;
}

static void on_remote(const char *topic, void *payload, size_t payload_len, void *priv_data)
{
    (void)priv_data;
    ESP_LOGI(tag, "Received params: %.*s", (int)payload_len, (const char *)payload);
    if (rmaker_params_write(bytes_of(payload, payload_len), ESP_RMAKER_REQ_SRC_CLOUD) != ESP_OK)
        ESP_LOGW(tag, "%u bytes on %s are no JSON object", (unsigned)payload_len, topic);
}

void rmaker_params_start(void)
{
    rmaker_subscribe(TOPIC_PARAMS_REMOTE, on_remote);
    report(TOPIC_PARAMS_INIT, ALL);
}
