/* Time and time zone: RainMaker's common part, the service `Time`. */
#include "rmaker/rmaker.h"

#include "base/text.h"
#include "base/zone.h"
#include "esp_log.h"
#include "esp_rmaker_standard_params.h"
#include "esp_rmaker_standard_types.h"
#include "esp_sntp.h"
#include "freertos/task.h"
#include "nvs.h"
#include "nvs_flash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define NAMESPACE      "rmaker_time"
#define CLOCK_IS_SET_S 1546300800 /* 2019-01-01 */
#define WAIT_MS        500

static const char *const tag = "esp_rmaker_time";

/* --- clock ------------------------------------------------------------------------------------ */

esp_err_t esp_rmaker_time_sync_init(esp_rmaker_time_config_t *config)
{
    if (esp_sntp_enabled())
        return ESP_OK;
    esp_sntp_setoperatingmode(ESP_SNTP_OPMODE_POLL);
    esp_sntp_setservername(0, config != NULL && config->sntp_server_name != NULL ? config->sntp_server_name
                                                                                 : "pool.ntp.org");
    esp_sntp_init();
    return ESP_OK;
}

bool esp_rmaker_time_check(void)
{
    return time(NULL) > CLOCK_IS_SET_S;
}

esp_err_t esp_rmaker_time_wait_for_sync(uint32_t ticks_to_wait)
{
    for (uint32_t waited = 0; !esp_rmaker_time_check(); waited += pdMS_TO_TICKS(WAIT_MS)) {
        if (ticks_to_wait != portMAX_DELAY && waited >= ticks_to_wait)
            return ESP_ERR_INVALID_STATE;
        vTaskDelay(pdMS_TO_TICKS(WAIT_MS));
    }
    return ESP_OK;
}

esp_err_t esp_rmaker_get_local_time_str(char *buf, size_t buf_len)
{
    struct tm local;
    time_t now = time(NULL);
    char text[64];
    localtime_r(&now, &local);
    strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y %z[%Z]", &local);
    int n = snprintf(buf, buf_len, "%s, DST: %s", text, local.tm_isdst > 0 ? "Yes" : "No");
    return n > 0 && (size_t)n < buf_len ? ESP_OK : ESP_ERR_NO_MEM;
}

/* --- zone ------------------------------------------------------------------------------------- */

static bool get(const char *key, char *to, size_t size)
{
    nvs_handle_t handle;
    nvs_flash_init();
    if (nvs_open(NAMESPACE, NVS_READONLY, &handle) != ESP_OK)
        return false;
    bool is_there = nvs_get_str(handle, key, to, &size) == ESP_OK && to[0] != '\0';
    nvs_close(handle);
    return is_there;
}

static esp_err_t set(const char *tz, const char *posix)
{
    nvs_handle_t handle;
    nvs_flash_init();
    if (nvs_open(NAMESPACE, NVS_READWRITE, &handle) != ESP_OK)
        return ESP_FAIL;
    esp_err_t err = nvs_set_str(handle, "tz_posix", posix);
    if (err == ESP_OK)
        err = tz != NULL ? nvs_set_str(handle, "tz", tz) : nvs_erase_key(handle, "tz");
    if (err == ESP_OK || err == ESP_ERR_NVS_NOT_FOUND)
        err = nvs_commit(handle);
    nvs_close(handle);
    return err;
}

const char *rmaker_zone_text(void)
{
    char *to = rmaker_context.zone_text;
    if (to[0] == '\0' && !get("tz_posix", to, ZONE_TEXT_SIZE)) {
        const char *posix = rmaker_zone_find(CONFIG_ESP_RMAKER_DEF_TIMEZONE);
        text_copy(to, ZONE_TEXT_SIZE, posix != NULL ? posix : CONFIG_ESP_RMAKER_DEF_TIMEZONE);
    }
    return to;
}

static void apply(void)
{
    setenv("TZ", rmaker_zone_text(), 1);
    tzset();
}

static esp_err_t change(const char *tz, const char *posix)
{
    struct zone zone;
    if (posix == NULL || !zone_parse(&zone, posix))
        return ESP_ERR_INVALID_ARG;
    esp_err_t err = set(tz, posix);
    if (err != ESP_OK)
        return err;
    text_copy(rmaker_context.zone_text, ZONE_TEXT_SIZE, posix);
    apply();
    rmaker_ota_zone_changed();
    if (tz != NULL)
        esp_event_post(RMAKER_COMMON_EVENT, RMAKER_EVENT_TZ_CHANGED, tz, strlen(tz) + 1, portMAX_DELAY);
    esp_event_post(RMAKER_COMMON_EVENT, RMAKER_EVENT_TZ_POSIX_CHANGED, posix, strlen(posix) + 1, portMAX_DELAY);
    return ESP_OK;
}

esp_err_t esp_rmaker_time_set_timezone_posix(const char *tz_posix)
{
    return change(NULL, tz_posix);
}

esp_err_t esp_rmaker_time_set_timezone(const char *tz)
{
    return change(tz, tz != NULL ? rmaker_zone_find(tz) : NULL);
}

static char *dup(const char *key)
{
    char text[ZONE_TEXT_SIZE];
    return get(key, text, sizeof text) ? strdup(text) : NULL;
}

char *esp_rmaker_time_get_timezone(void)
{
    return dup("tz");
}

char *esp_rmaker_time_get_timezone_posix(void)
{
    return dup("tz_posix");
}

esp_err_t esp_rmaker_timezone_enable_tz(const char *tz_posix)
{
    struct zone zone;
    if (tz_posix == NULL || !zone_parse(&zone, tz_posix))
        return ESP_ERR_INVALID_ARG;
    text_copy(rmaker_context.zone_text, ZONE_TEXT_SIZE, tz_posix);
    apply();
    return ESP_OK;
}

esp_err_t esp_rmaker_timezone_enable(void)
{
    apply();
    return ESP_OK;
}

/* --- the service `Time` ----------------------------------------------------------------------- */

static void report_other(const esp_rmaker_device_t *device, const char *type, const char *text)
{
    esp_rmaker_param_update_and_report(esp_rmaker_device_get_param_by_type(device, type), esp_rmaker_str(text));
}

static esp_err_t on_write(const esp_rmaker_device_t *device, const esp_rmaker_param_t *param,
                          const esp_rmaker_param_val_t val, void *priv_data, esp_rmaker_write_ctx_t *ctx)
{
    bool is_name = strcmp(esp_rmaker_param_get_type(param), ESP_RMAKER_PARAM_TIMEZONE) == 0;
    (void)priv_data, (void)ctx;
    esp_err_t err = is_name ? esp_rmaker_time_set_timezone(val.val.s) : esp_rmaker_time_set_timezone_posix(val.val.s);
    if (err != ESP_OK) {
        ESP_LOGE(tag, "\"%s\" is no time zone", val.val.s);
        return err;
    }
    esp_rmaker_param_update_and_report(param, val);
    if (is_name)
        report_other(device, ESP_RMAKER_PARAM_TIMEZONE_POSIX, rmaker_zone_text());
    return ESP_OK;
}

esp_err_t esp_rmaker_timezone_service_enable(void)
{
    char name[ZONE_TEXT_SIZE] = "", posix[ZONE_TEXT_SIZE] = "";
    const esp_rmaker_node_t *node = esp_rmaker_get_node();
    esp_rmaker_device_t *service = esp_rmaker_service_create("Time", ESP_RMAKER_SERVICE_TIME, NULL);
    if (node == NULL || service == NULL)
        return ESP_ERR_NO_MEM;
    get("tz", name, sizeof name);
    get("tz_posix", posix, sizeof posix);
    esp_rmaker_device_add_param(service, esp_rmaker_timezone_param_create(ESP_RMAKER_DEF_TIMEZONE_NAME, name));
    esp_rmaker_device_add_param(service,
                                esp_rmaker_timezone_posix_param_create(ESP_RMAKER_DEF_TIMEZONE_POSIX_NAME, posix));
    esp_rmaker_device_add_cb(service, on_write, NULL);
    return esp_rmaker_node_add_device(node, service);
}
