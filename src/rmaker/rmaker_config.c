/* How the node describes itself (device specification 3.6). */
#include "rmaker/rmaker_model.h"

#include "esp_app_desc.h"

static void write_texts(struct json_out *out, const struct rmaker_text *list)
{
    for (; list != NULL; list = list->next) {
        json_out_object(out, NULL);
        json_out_text(out, "name", list->name);
        json_out_text(out, "value", list->value);
        json_out_end_object(out);
    }
}

static void write_properties(struct json_out *out, uint8_t flags)
{
    static const struct {
        uint8_t flag;
        const char *word;
    } words[] = {{PROP_FLAG_READ, "read"},
                 {PROP_FLAG_WRITE, "write"},
                 {PROP_FLAG_TIME_SERIES, "time_series"},
                 {PROP_FLAG_SIMPLE_TIME_SERIES, "simple_ts"}};
    json_out_array(out, "properties");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (flags & words[i].flag)
            json_out_text(out, NULL, words[i].word);
    json_out_end_array(out);
}

static void write_param(struct json_out *out, const struct esp_rmaker_param *p)
{
    static const char *const types[] = {"invalid", "bool", "int", "float", "string", "object", "array"};
    json_out_object(out, NULL);
    json_out_text(out, "name", p->name);
    if (p->type != NULL)
        json_out_text(out, "type", p->type);
    json_out_text(out, "data_type", types[p->val.type]);
    write_properties(out, p->properties);
    if (p->has_bounds || p->array_max > 0) {
        json_out_object(out, "bounds");
        if (p->has_bounds) {
            rmaker_write_value(out, "min", &p->min);
            rmaker_write_value(out, "max", &p->max);
            if (p->step.type == RMAKER_VAL_TYPE_FLOAT ? p->step.val.f > 0 : p->step.val.i != 0)
                rmaker_write_value(out, "step", &p->step);
        } else {
            json_out_int(out, "max", p->array_max);
        }
        json_out_end_object(out);
    }
    if (p->valid_strs != NULL) {
        json_out_array(out, "valid_strs");
        for (uint8_t i = 0; i < p->valid_count; i++)
            json_out_text(out, NULL, p->valid_strs[i]);
        json_out_end_array(out);
    }
    if (p->ui_type != NULL)
        json_out_text(out, "ui_type", p->ui_type);
    json_out_end_object(out);
}

static void write_optional(struct json_out *out, const char *key, const char *value)
{
    if (value != NULL)
        json_out_text(out, key, value);
}

static void write_device(struct json_out *out, const struct esp_rmaker_device *d)
{
    json_out_object(out, NULL);
    json_out_text(out, "name", d->name);
    write_optional(out, "type", d->type);
    write_optional(out, "subtype", d->subtype);
    write_optional(out, "model", d->model);
    if (d->attributes != NULL) {
        json_out_array(out, "attributes");
        write_texts(out, d->attributes);
        json_out_end_array(out);
    }
    if (d->primary != NULL)
        json_out_text(out, "primary", d->primary->name);
    if (d->params != NULL) {
        json_out_array(out, "params");
        for (const struct esp_rmaker_param *p = d->params; p != NULL; p = p->next)
            write_param(out, p);
        json_out_end_array(out);
    }
    json_out_end_object(out);
}

static void write_devices(struct json_out *out, const char *key, bool is_service)
{
    json_out_array(out, key);
    for (const struct esp_rmaker_device *d = rmaker_context.devices; d != NULL; d = d->next)
        if (d->is_service == is_service)
            write_device(out, d);
    json_out_end_array(out);
}

static void write_info(struct json_out *out)
{
    const esp_rmaker_node_info_t *info = &rmaker_context.info;
    json_out_object(out, "info");
    json_out_text(out, "name", info->name);
    json_out_text(out, "fw_version", info->fw_version);
    json_out_text(out, "type", info->type);
    write_optional(out, "subtype", info->subtype);
    write_optional(out, "readme", info->readme);
    json_out_text(out, "model", info->model);
    json_out_text(out, "project_name", esp_app_get_description()->project_name);
    json_out_text(out, "platform", CONFIG_IDF_TARGET);
    json_out_end_object(out);
}

void rmaker_write_config(struct buf *to)
{
    struct json_out out;
    json_out_init(&out, to);
    rmaker_model_lock();
    json_out_object(&out, NULL);
    json_out_text(&out, "node_id", rmaker_context.node_id);
    json_out_text(&out, "config_version", ESP_RMAKER_CONFIG_VERSION);
    write_info(&out);
    json_out_array(&out, "attributes");
    write_texts(&out, rmaker_context.attributes);
    if (OPTION_IS_ON(CONFIG_ESP_RMAKER_CMD_RESP_ENABLE)) {
        json_out_object(&out, NULL);
        json_out_text(&out, "name", "cmd-resp");
        json_out_text(&out, "value", "1");
        json_out_end_object(&out);
    }
    json_out_end_array(&out);
    write_devices(&out, "devices", false);
    write_devices(&out, "services", true);
    json_out_end_object(&out);
    rmaker_model_unlock();
}
