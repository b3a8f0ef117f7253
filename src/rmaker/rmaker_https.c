/* One attempt to download over HTTPS, with ESP-IDF's advanced API: RainMaker's checks, texts and resume. */
#include "rmaker/rmaker.h"

#include "base/text.h"
#include "esp_crt_bundle.h"
#include "esp_https_ota.h"
#include "esp_log.h"
#include "rmaker/rmaker_options.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS     5000
#define TX_BUFFER      1024
#define CHECKPOINT_KIB 64 /* the original writes its position after every read; NVS wears out by that */

static const char *const tag = "esp_rmaker_ota";

struct attempt {
    const esp_rmaker_ota_data_t *data;
    esp_https_ota_handle_t handle;
    int start, total, last_percent, saved_kib;
    char *text;
    size_t size;
};

static esp_err_t failed(struct attempt *a, const char *what, esp_err_t err)
{
    snprintf(a->text, a->size, "%s: %s", what, esp_err_to_name(err));
    return ESP_FAIL;
}

static esp_err_t rejected(struct attempt *a, const char *why)
{
    snprintf(a->text, a->size, "%s", why);
    return ESP_ERR_INVALID_VERSION;
}

static esp_err_t check_header(struct attempt *a)
{
    struct app_desc running, offered;
    esp_app_desc_t raw;
    struct ota_header_options options = {
        .skip_project_name = OPTION_IS_ON(CONFIG_ESP_RMAKER_SKIP_PROJECT_NAME_CHECK),
        .skip_version = OPTION_IS_ON(CONFIG_ESP_RMAKER_SKIP_VERSION_CHECK),
        .skip_secure_version = OPTION_IS_ON(CONFIG_ESP_RMAKER_SKIP_SECURE_VERSION_CHECK),
    };
    esp_err_t err = esp_https_ota_get_img_desc(a->handle, &raw);
    if (err != ESP_OK)
        return failed(a, "Failed to read image description", err);
    app_desc_read(&offered, (const uint8_t *)&raw);
    app_desc_read(&running, (const uint8_t *)esp_app_get_description());
    const char *why = ota_check_header(&running, &offered, &options);
    return why ? rejected(a, why) : ESP_OK;
}

static void report_progress(struct attempt *a, int written)
{
    char info[64];
    if (!OPTION_IS_ON(CONFIG_ESP_RMAKER_OTA_PROGRESS_SUPPORT) || a->total <= 0)
        return;
    int percent = (int)((int64_t)written * 100 / a->total);
    percent -= percent % CONFIG_ESP_RMAKER_OTA_PROGRESS_INTERVAL;
    if (percent <= a->last_percent || percent >= 100)
        return;
    a->last_percent = percent;
    snprintf(info, sizeof info, "Downloaded %d%% Firmware Image", percent);
    rmaker_report(REPORT_IN_PROGRESS, info);
}

/* Only whole checkpoints are remembered, and they end on a sector: what is resumed is erased again first. */
static void save_position(struct attempt *a, int written)
{
    int kib = written / 1024 / CHECKPOINT_KIB * CHECKPOINT_KIB;
    if (!OPTION_IS_ON(CONFIG_ESP_RMAKER_HTTP_OTA_RESUMPTION) || a->data->file_md5 == NULL || kib <= a->saved_kib ||
        kib > UINT16_MAX)
        return;
    if (rmaker_store_set_resume(a->data->file_md5, (uint16_t)kib) == ESP_OK)
        a->saved_kib = kib;
}

static esp_err_t download(struct attempt *a)
{
    esp_err_t err;
    rmaker_report(REPORT_IN_PROGRESS, "Downloading Firmware Image");
    while ((err = esp_https_ota_perform(a->handle)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS) {
        int written = esp_https_ota_get_image_len_read(a->handle);
        save_position(a, written);
        report_progress(a, written);
    }
    if (err == ESP_ERR_INVALID_VERSION)
        return rejected(a, "Chip revision mismatch");
    if (err != ESP_OK)
        return failed(a, "OTA failed", err);
    if (!esp_https_ota_is_complete_data_received(a->handle)) {
        text_copy(a->text, a->size, "Complete data was not received");
        return ESP_FAIL;
    }
    rmaker_store_erase(KEY_WRITTEN);
    rmaker_store_erase(KEY_MD5);
    rmaker_report(REPORT_IN_PROGRESS, "Firmware Image download complete");
    return ESP_OK;
}

static esp_err_t finish(struct attempt *a)
{
    esp_err_t err = esp_https_ota_finish(a->handle);
    a->handle = NULL;
    if (err == ESP_ERR_OTA_VALIDATE_FAILED) {
        text_copy(a->text, a->size, "Image validation failed");
        return ESP_FAIL;
    }
    return err == ESP_OK ? ESP_OK : failed(a, "OTA finish failed", err);
}

esp_err_t rmaker_https_attempt(const esp_rmaker_ota_data_t *data, char *text, size_t size)
{
    struct attempt a = {.data = data, .text = text, .size = size};
    bool can_resume = OPTION_IS_ON(CONFIG_ESP_RMAKER_HTTP_OTA_RESUMPTION) && data->file_md5 != NULL;
    int url_room = (int)strlen(data->url) + 128;
    esp_http_client_config_t http = {
        .url = data->url,
        .cert_pem = data->server_cert,
        .crt_bundle_attach = data->server_cert ? NULL : esp_crt_bundle_attach,
        .timeout_ms = TIMEOUT_MS,
        .buffer_size = CONFIG_ESP_RMAKER_OTA_HTTP_RX_BUFFER_SIZE,
        .buffer_size_tx = url_room > TX_BUFFER ? url_room : TX_BUFFER,
        .keep_alive_enable = true,
        .skip_cert_common_name_check = OPTION_IS_ON(CONFIG_ESP_RMAKER_SKIP_COMMON_NAME_CHECK),
    };
    a.saved_kib = can_resume ? rmaker_store_get_resume(data->file_md5) : 0;
    a.start = a.saved_kib * 1024;
    esp_https_ota_config_t config = {
        .http_config = &http,
        .ota_resumption = a.start > 0,
        .ota_image_bytes_written = (size_t)a.start,
    };
    esp_err_t err = esp_https_ota_begin(&config, &a.handle);
    if (err != ESP_OK)
        return failed(&a, "OTA Begin failed", err);
    int remaining = esp_https_ota_get_image_size(a.handle);
    bool is_resumed = esp_https_ota_get_status_code(a.handle) == HttpStatus_PartialContent;
    a.total = remaining > 0 ? remaining + (is_resumed ? a.start : 0) : data->filesize;
    if (is_resumed)
        ESP_LOGI(tag, "Resuming at %d of %d bytes", a.start, a.total);
    err = check_header(&a);
    if (err == ESP_OK)
        err = download(&a);
    if (err == ESP_OK)
        return finish(&a);
    esp_https_ota_abort(a.handle);
    return err;
}
