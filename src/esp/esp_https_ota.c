#include "esp/include/esp_https_ota.h"

#include "esp/esp.h"
#include "image/image.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 1024 /* header, segment header and app descriptor are in the first 1024 bytes */

ESP_EVENT_DEFINE_BASE(ESP_HTTPS_OTA_EVENT);

enum state { OTA_BEGIN = 1, OTA_IN_PROGRESS = 2, OTA_SUCCESS = 3, OTA_RESUME = 4 };

struct https_ota {
    enum state state;
    esp_http_client_handle_t http;
    const esp_partition_t *part;
    esp_ota_handle_t update;
    int image_length, written, buffer_size, head_len;
    bool is_bulk, is_resuming, has_update;
    char head[HEAD_BYTES];
    char *buffer;
};

static void post(esp_https_ota_event_t event, const void *data, size_t len)
{
    esp_event_post(ESP_HTTPS_OTA_EVENT, event, data, len, pdMS_TO_TICKS(2000));
}

/* --- begin ------------------------------------------------------------------------------------ */

static esp_err_t connect(struct https_ota *o)
{
    esp_err_t err = esp_http_client_open(o->http, 0);
    if (err != ESP_OK)
        return err;
    if (esp_http_client_fetch_headers(o->http) < 0)
        return ESP_FAIL;
    int status = esp_http_client_get_status_code(o->http);
    if (status == HttpStatus_NotModified)
        return ESP_ERR_HTTP_NOT_MODIFIED;
    if (o->is_resuming ? status != HttpStatus_PartialContent : status == HttpStatus_RangeNotSatisfiable)
        return ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE;
    return status >= 400 ? ESP_FAIL : ESP_OK;
}

/* A server that cannot continue sends the whole image. */
static esp_err_t start_over(struct https_ota *o)
{
    esp_http_client_close(o->http);
    esp_http_client_delete_header(o->http, "Range");
    o->is_resuming = false;
    o->written = 0;
    return connect(o);
}

static esp_err_t begin(struct https_ota *o, const esp_https_ota_config_t *c)
{
    char range[48];
    const esp_http_client_config_t *h = c->http_config;
    o->http = esp_http_client_init(h);
    if (o->http == NULL)
        return ESP_FAIL;
    if (c->ota_resumption) {
        o->is_resuming = true;
        o->written = c->ota_image_bytes_written < HEAD_BYTES ? 0 : (int)c->ota_image_bytes_written;
        snprintf(range, sizeof range, "bytes=%d-", o->written);
        esp_http_client_set_header(o->http, "Range", range);
    }
    esp_err_t err = c->http_client_init_cb ? c->http_client_init_cb(o->http) : ESP_OK;
    if (err == ESP_OK)
        err = connect(o);
    if (err == ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE && o->is_resuming)
        err = start_over(o);
    if (err != ESP_OK)
        return err;
    post(ESP_HTTPS_OTA_CONNECTED, NULL, 0);
    o->image_length = (int)esp_http_client_get_content_length(o->http);
    o->part = esp_ota_get_next_update_partition(NULL);
    o->buffer_size = h->buffer_size > HEAD_BYTES ? h->buffer_size : HEAD_BYTES;
    o->buffer = malloc((size_t)o->buffer_size);
    if (o->part == NULL || o->buffer == NULL)
        return o->part ? ESP_ERR_NO_MEM : ESP_FAIL;
    o->is_bulk = c->bulk_flash_erase;
    o->state = o->is_resuming && o->written > 0 ? OTA_RESUME : OTA_BEGIN;
    return ESP_OK;
}

static void drop(struct https_ota *o)
{
    if (o->http != NULL)
        esp_http_client_cleanup(o->http);
    free(o->buffer);
    free(o);
}

static bool has_server_verification(const esp_http_client_config_t *h)
{
    return h->cert_pem || h->use_global_ca_store || h->crt_bundle_attach;
}

esp_err_t esp_https_ota_begin(const esp_https_ota_config_t *ota_config, esp_https_ota_handle_t *handle)
{
    post(ESP_HTTPS_OTA_START, NULL, 0);
    if (handle != NULL)
        *handle = NULL;
    if (handle == NULL || ota_config == NULL || ota_config->http_config == NULL ||
        !has_server_verification(ota_config->http_config))
        return ESP_ERR_INVALID_ARG;
    struct https_ota *o = calloc(1, sizeof *o);
    if (o == NULL)
        return ESP_ERR_NO_MEM;
    esp_err_t err = begin(o, ota_config);
    if (err == ESP_OK)
        *handle = o;
    else
        drop(o);
    return err;
}

/* --- description ------------------------------------------------------------------------------ */

static esp_err_t read_head(struct https_ota *o)
{
    while (o->head_len < HEAD_BYTES) {
        int n = esp_http_client_read(o->http, o->head + o->head_len, HEAD_BYTES - o->head_len);
        if (n == -ESP_ERR_HTTP_EAGAIN)
            continue;
        if (n <= 0)
            return ESP_FAIL;
        o->head_len += n;
    }
    return ESP_OK;
}

esp_err_t esp_https_ota_get_img_desc(esp_https_ota_handle_t handle, esp_app_desc_t *desc)
{
    struct https_ota *o = handle;
    if (o == NULL || desc == NULL)
        return ESP_ERR_INVALID_ARG;
    if (o->state != OTA_BEGIN && o->state != OTA_RESUME)
        return ESP_ERR_INVALID_STATE;
    post(ESP_HTTPS_OTA_GET_IMG_DESC, NULL, 0);
    esp_err_t err = ESP_OK;
    if (o->state == OTA_RESUME)
        err = esp_partition_read(o->part, APP_DESC_OFFSET, desc, sizeof *desc);
    else if ((err = read_head(o)) == ESP_OK)
        memcpy(desc, o->head + APP_DESC_OFFSET, sizeof *desc);
    return err == ESP_OK && desc->magic_word == ESP_APP_DESC_MAGIC_WORD ? ESP_OK : ESP_FAIL;
}

/* --- perform ---------------------------------------------------------------------------------- */

static esp_err_t write_part(struct https_ota *o, const void *data, int len)
{
    esp_err_t err = esp_ota_write(o->update, data, (size_t)len);
    if (err != ESP_OK)
        return err;
    o->written += len;
    post(ESP_HTTPS_OTA_WRITE_FLASH, &o->written, sizeof o->written);
    return ESP_ERR_HTTPS_OTA_IN_PROGRESS;
}

static esp_err_t first_perform(struct https_ota *o)
{
    bool is_resuming = o->state == OTA_RESUME;
    size_t erase =
        o->is_bulk ? (o->image_length > 0 ? (size_t)o->image_length : OTA_SIZE_UNKNOWN) : OTA_WITH_SEQUENTIAL_WRITES;
    esp_err_t err = is_resuming ? esp_ota_resume(o->part, OTA_WITH_SEQUENTIAL_WRITES, (size_t)o->written, &o->update)
                                : esp_ota_begin(o->part, erase, &o->update);
    if (err != ESP_OK)
        return err;
    o->has_update = true;
    o->state = OTA_IN_PROGRESS;
    if (is_resuming)
        return ESP_ERR_HTTPS_OTA_IN_PROGRESS;
    if ((err = read_head(o)) != ESP_OK)
        return err;
    uint16_t chip = get_u16((const uint8_t *)o->head + 12);
    post(ESP_HTTPS_OTA_VERIFY_CHIP_ID, &chip, sizeof chip);
    if (chip != CHIP_LINUX)
        return ESP_ERR_INVALID_VERSION;
    return write_part(o, o->head, o->head_len);
}

esp_err_t esp_https_ota_perform(esp_https_ota_handle_t handle)
{
    struct https_ota *o = handle;
    if (o == NULL)
        return ESP_ERR_INVALID_ARG;
    if (o->state == OTA_BEGIN || o->state == OTA_RESUME)
        return first_perform(o);
    if (o->state != OTA_IN_PROGRESS)
        return ESP_FAIL;
    int n = esp_http_client_read(o->http, o->buffer, o->buffer_size);
    if (n > 0)
        return write_part(o, o->buffer, n);
    if (n == -ESP_ERR_HTTP_EAGAIN)
        return ESP_ERR_HTTPS_OTA_IN_PROGRESS;
    if (n < 0 || !esp_http_client_is_complete_data_received(o->http))
        return ESP_FAIL;
    o->state = OTA_SUCCESS;
    return ESP_OK;
}

/* --- end -------------------------------------------------------------------------------------- */

bool esp_https_ota_is_complete_data_received(esp_https_ota_handle_t handle)
{
    struct https_ota *o = handle;
    return o != NULL && o->state >= OTA_IN_PROGRESS && esp_http_client_is_complete_data_received(o->http);
}

esp_err_t esp_https_ota_finish(esp_https_ota_handle_t handle)
{
    struct https_ota *o = handle;
    if (o == NULL)
        return ESP_ERR_INVALID_ARG;
    esp_err_t err = o->has_update ? esp_ota_end(o->update) : ESP_FAIL;
    if (err == ESP_OK && o->state == OTA_SUCCESS) {
        err = esp_ota_set_boot_partition(o->part);
        post(ESP_HTTPS_OTA_UPDATE_BOOT_PARTITION, &o->part->subtype, sizeof o->part->subtype);
    }
    drop(o);
    post(ESP_HTTPS_OTA_FINISH, NULL, 0);
    return err;
}

esp_err_t esp_https_ota_abort(esp_https_ota_handle_t handle)
{
    struct https_ota *o = handle;
    if (o == NULL)
        return ESP_ERR_INVALID_ARG;
    post(ESP_HTTPS_OTA_ABORT, NULL, 0);
    if (o->has_update)
        esp_ota_abort(o->update);
    drop(o);
    return ESP_OK;
}

esp_err_t esp_https_ota(const esp_https_ota_config_t *ota_config)
{
    esp_https_ota_handle_t handle;
    if (ota_config != NULL && ota_config->ota_resumption)
        return ESP_ERR_NOT_SUPPORTED;
    esp_err_t err = esp_https_ota_begin(ota_config, &handle);
    if (err != ESP_OK)
        return err;
    while ((err = esp_https_ota_perform(handle)) == ESP_ERR_HTTPS_OTA_IN_PROGRESS)
        ;
    if (err != ESP_OK) {
        esp_https_ota_abort(handle);
        return err;
    }
    return esp_https_ota_finish(handle);
}

int esp_https_ota_get_image_len_read(esp_https_ota_handle_t handle)
{
    const struct https_ota *o = handle;
    return o == NULL || o->state < OTA_IN_PROGRESS ? -1 : o->written;
}

int esp_https_ota_get_status_code(esp_https_ota_handle_t handle)
{
    struct https_ota *o = handle;
    return o ? esp_http_client_get_status_code(o->http) : -1;
}

int esp_https_ota_get_image_size(esp_https_ota_handle_t handle)
{
    const struct https_ota *o = handle;
    return o ? o->image_length : -1;
}
