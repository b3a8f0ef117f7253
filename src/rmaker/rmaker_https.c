/* One attempt to download over HTTPS, with ESP-IDF's advanced API: RainMaker's checks, texts and resume. */
#include "rmaker/rmaker.h"

#include "base/text.h"
#include "esp_https_ota.h"
#include "esp_log.h"
#include "esp_ota_ops.h"
#include "rmaker/rmaker_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TX_BUFFER      1024
#define CHECKPOINT_KIB 64 /* the original writes its position after every read; NVS wears out by that */

static const char *const tag = "esp_rmaker_ota";

struct attempt {
    const esp_rmaker_ota_data_t *data;
    esp_https_ota_handle_t handle;
    const esp_partition_t *slot;
    struct rmaker_resume resume;
    bool can_resume;
    int start, total;
    char etag[sizeof((struct rmaker_resume *)0)->etag]; /* of this answer */
    char *text;
    size_t size;
};

static esp_err_t failed(struct attempt *a, const char *what, esp_err_t err)
{
    return rmaker_attempt_failed(a->text, a->size, what, err);
}

static esp_err_t check_header(struct attempt *a)
{
    esp_app_desc_t offered;
    esp_err_t err = esp_https_ota_get_img_desc(a->handle, &offered);
    if (err != ESP_OK)
        return failed(a, "Failed to read image description", err);
    return rmaker_attempt_header(&offered) ? ESP_OK : ESP_ERR_INVALID_VERSION;
}

/* Only whole checkpoints are remembered, and they end on a sector: what is resumed is erased again first. */
static void save_position(struct attempt *a, int written)
{
    int kib = written / 1024 / CHECKPOINT_KIB * CHECKPOINT_KIB;
    if (!a->can_resume || kib <= a->resume.kib || kib > UINT16_MAX)
        return;
    struct rmaker_resume next = a->resume;
    next.kib = (uint16_t)kib;
    text_copy(next.etag, sizeof next.etag, a->etag);
    if (rmaker_store_set_resume(&next) == ESP_OK)
        a->resume = next;
}

static esp_err_t download(struct attempt *a)
{
    esp_err_t err;
    int last = -1;
    while ((err = esp_https_ota_perform(a->handle)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS) {
        int written = esp_https_ota_get_image_len_read(a->handle);
        save_position(a, written);
        if (!rmaker_attempt_goes_on(written != last ? written : -1, a->total, a->text, a->size))
            return ESP_FAIL;
        last = written;
    }
    if (err == ESP_ERR_INVALID_VERSION) {
        text_copy(a->text, a->size, "Chip revision mismatch");
        return err;
    }
    if (err != ESP_OK)
        return failed(a, "OTA failed", err);
    if (!esp_https_ota_is_complete_data_received(a->handle)) {
        text_copy(a->text, a->size, "Complete data was not received");
        return ESP_FAIL;
    }
    rmaker_store_clear_resume();
    rmaker_ota_tell(&(struct ota_event){.kind = OTA_ALL_RECEIVED});
    return ESP_OK;
}

static esp_err_t finish(struct attempt *a)
{
    int len = esp_https_ota_get_image_len_read(a->handle);
    if (!rmaker_attempt_verify(a->data, a->slot, (size_t)len, a->text, a->size)) {
        esp_https_ota_abort(a->handle);
        return ESP_FAIL;
    }
    rmaker_ota_tell(&(struct ota_event){.kind = OTA_IMAGE_GOOD});
    esp_err_t err = esp_https_ota_finish(a->handle);
    if (err == ESP_ERR_OTA_VALIDATE_FAILED) {
        text_copy(a->text, a->size, "Image validation failed");
        return ESP_FAIL;
    }
    return err == ESP_OK ? ESP_OK : failed(a, "OTA finish failed", err);
}

/* ESP-IDF's callback has no argument of the caller's: the attempt is in the room's context. */
static esp_err_t add_if_range(esp_http_client_handle_t client)
{
    const struct attempt *a = rmaker_context.ota.https_attempt;
    return a->start > 0 && a->resume.etag[0] ? esp_http_client_set_header(client, "If-Range", a->resume.etag) : ESP_OK;
}

static esp_err_t on_http(esp_http_client_event_t *event)
{
    struct attempt *a = event->user_data;
    rmaker_attempt_take_etag(event, a->etag, sizeof a->etag);
    return ESP_OK;
}

static esp_err_t begin(struct attempt *a)
{
    const esp_rmaker_ota_data_t *data = a->data;
    int url_len = (int)strlen(data->url);
    esp_http_client_config_t http = rmaker_attempt_http(data);
    http.buffer_size = CONFIG_ESP_RMAKER_OTA_HTTP_RX_BUFFER_SIZE;
    http.buffer_size_tx = url_len > TX_BUFFER ? url_len + 128 : TX_BUFFER;
    http.event_handler = on_http;
    http.user_data = a;
    esp_https_ota_config_t config = {
        .http_config = &http,
        .http_client_init_cb = add_if_range,
        .ota_resumption = a->start > 0,
        .ota_image_bytes_written = (size_t)a->start,
    };
    errno = 0;
    return esp_https_ota_begin(&config, &a->handle);
}

esp_err_t rmaker_https_attempt(const esp_rmaker_ota_data_t *data, char *text, size_t size)
{
    struct attempt a = {.data = data, .slot = esp_ota_get_next_update_partition(NULL), .text = text, .size = size};
    a.can_resume = OPTION_IS_ON(CONFIG_ESP_RMAKER_HTTP_OTA_RESUMPTION) && data->file_md5 != NULL && a.slot != NULL;
    if (a.can_resume)
        rmaker_store_get_resume(&a.resume, data->file_md5, a.slot->address);
    a.start = a.resume.kib * 1024;
    rmaker_context.ota.https_attempt = &a;
    esp_err_t err = begin(&a);
    rmaker_context.ota.https_attempt = NULL;
    if (err != ESP_OK)
        return failed(&a, "OTA Begin failed", err);
    int remaining = esp_https_ota_get_image_size(a.handle);
    bool is_resumed = esp_https_ota_get_status_code(a.handle) == HttpStatus_PartialContent;
    a.total = remaining > 0 ? remaining + (is_resumed ? a.start : 0) : data->filesize;
    if (is_resumed)
        ESP_LOGI(tag, "Resuming at %d of %d bytes", a.start, a.total);
    else
        a.resume.kib = 0;
    err = rmaker_attempt_size_fits(data, a.total, text, size) ? check_header(&a) : ESP_FAIL;
    if (err == ESP_OK)
        err = download(&a);
    if (err == ESP_OK)
        return finish(&a);
    esp_https_ota_abort(a.handle);
    return err;
}
