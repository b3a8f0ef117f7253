/* One attempt to get a file that is not for this node's slots: staged in flash, verified, then handed over. */
#include "rmaker/rmaker.h"

#include "base/text.h"
#include "esp_http_client.h"
#include "esp_log.h"
#include "esp_ota_ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR        4096
#define CHECKPOINT    (64 * 1024) /* what another boot goes on from */
#define REDIRECTS_MAX 5
#define OK            200
#define PARTIAL       206

static const char *const tag = "esp_rmaker_ota_file";

#define OTA (rmaker_context.ota)

/* --- who takes what --------------------------------------------------------------------------- */

esp_err_t esp_rmaker_ota_register_file_handler(const char *target, const esp_rmaker_ota_file_handler_t *handler,
                                               void *priv)
{
    if (target == NULL || handler == NULL || handler->write == NULL)
        return ESP_ERR_INVALID_ARG;
    if (OTA.file_count == OTA_FILE_TYPES_MAX)
        return ESP_ERR_NO_MEM;
    OTA.files[OTA.file_count].target = target;
    OTA.files[OTA.file_count].handler = handler;
    OTA.files[OTA.file_count++].priv = priv;
    return ESP_OK;
}

static bool read_target(const char *metadata, char *to, size_t size)
{
    struct json_view v;
    struct bytes text = bytes_of_text(metadata != NULL ? metadata : "");
    unsigned room = json_view_count(text);
    struct json_token *tokens = room > 0 ? calloc(room, sizeof *tokens) : NULL;
    bool is_there = tokens != NULL && json_view_parse(&v, text, tokens, room) &&
                    json_view_text(&v, json_view_find(&v, 0, "esp.ota.target"), to, size);
    free(tokens);
    return is_there;
}

const esp_rmaker_ota_file_handler_t *rmaker_ota_find_file(const char *metadata, void **priv)
{
    static const esp_rmaker_ota_file_handler_t nobody = {.write = NULL}; /* its attempt is rejected */
    char target[64];
    if (!read_target(metadata, target, sizeof target))
        return NULL;
    for (unsigned i = 0; i < OTA.file_count; i++)
        if (strcmp(OTA.files[i].target, target) == 0) {
            *priv = OTA.files[i].priv;
            return OTA.files[i].handler;
        }
    return &nobody;
}

/* --- one attempt ------------------------------------------------------------------------------ */

struct run {
    const esp_rmaker_ota_data_t *data;
    const esp_rmaker_ota_file_handler_t *handler;
    void *priv;
    const esp_partition_t *where;
    esp_http_client_handle_t http;
    struct rmaker_resume resume;
    bool can_resume;
    int64_t at, total;                                  /* total 0: not known */
    char etag[sizeof((struct rmaker_resume *)0)->etag]; /* of this answer */
    uint8_t piece[SECTOR];
    char *text;
    size_t size;
};

static esp_err_t failed(struct run *r, const char *what, esp_err_t err)
{
    return rmaker_attempt_failed(r->text, r->size, what, err);
}

static const esp_partition_t *find_staging(const esp_rmaker_ota_file_handler_t *handler)
{
    if (handler->staging == NULL)
        return esp_ota_get_next_update_partition(NULL);
    return esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_ANY, handler->staging);
}

/* --- the way in ------------------------------------------------------------------------------- */

static esp_err_t open_once(struct run *r)
{
    char range[32];
    if (r->at > 0) {
        snprintf(range, sizeof range, "bytes=%lld-", (long long)r->at);
        esp_http_client_set_header(r->http, "Range", range);
        if (r->resume.etag[0])
            esp_http_client_set_header(r->http, "If-Range", r->resume.etag);
    }
    esp_err_t err = esp_http_client_open(r->http, 0);
    if (err == ESP_OK && esp_http_client_fetch_headers(r->http) < 0)
        err = ESP_ERR_HTTP_FETCH_HEADER;
    return err;
}

static esp_err_t on_http(esp_http_client_event_t *event)
{
    struct run *r = event->user_data;
    rmaker_attempt_take_etag(event, r->etag, sizeof r->etag);
    return ESP_OK;
}

static esp_err_t open_http(struct run *r)
{
    esp_http_client_config_t config = rmaker_attempt_http(r->data);
    config.event_handler = on_http;
    config.user_data = r;
    errno = 0;
    r->http = esp_http_client_init(&config);
    esp_err_t err = r->http != NULL ? open_once(r) : ESP_ERR_NO_MEM;
    for (int i = 0; err == ESP_OK && i < REDIRECTS_MAX && esp_http_client_get_status_code(r->http) / 100 == 3; i++) {
        esp_http_client_set_redirection(r->http);
        esp_http_client_close(r->http);
        err = open_once(r);
    }
    if (err != ESP_OK)
        return failed(r, "OTA Begin failed", err);
    int status = esp_http_client_get_status_code(r->http);
    if (status != OK && !(status == PARTIAL && r->at > 0)) {
        snprintf(r->text, r->size, "OTA Begin failed: HTTP status %d", status);
        return ESP_FAIL;
    }
    if (status == OK) { /* the range was not taken, or the file is another: from the start */
        r->at = 0;
        r->resume.kib = 0;
    }
    int64_t rest = esp_http_client_get_content_length(r->http);
    r->total = rest > 0 ? r->at + rest : r->data->filesize;
    return rmaker_attempt_size_fits(r->data, r->total, r->text, r->size) ? ESP_OK : ESP_FAIL;
}

static esp_err_t save_position(struct run *r)
{
    int64_t kib = r->at / CHECKPOINT * CHECKPOINT / 1024;
    if (!r->can_resume || kib <= r->resume.kib || kib > UINT16_MAX)
        return ESP_OK;
    r->resume.kib = (uint16_t)kib;
    text_copy(r->resume.etag, sizeof r->resume.etag, r->etag);
    return rmaker_store_set_resume(&r->resume);
}

/* A sector at a time: read whole, erased, written.  The length is 0 at the end. */
static esp_err_t take_sector(struct run *r, int *len)
{
    *len = 0;
    while (*len < SECTOR) {
        int n = esp_http_client_read(r->http, (char *)r->piece + *len, SECTOR - *len);
        if (n < 0)
            return failed(r, "OTA failed", ESP_FAIL);
        if (n == 0)
            break;
        *len += n;
    }
    if (*len == 0)
        return ESP_OK;
    if (r->at + *len > r->where->size)
        return failed(r, "OTA failed", ESP_ERR_INVALID_SIZE);
    esp_err_t err = esp_partition_erase_range(r->where, (size_t)r->at, SECTOR);
    if (err == ESP_OK)
        err = esp_partition_write(r->where, (size_t)r->at, r->piece, (size_t)*len);
    return err == ESP_OK ? ESP_OK : failed(r, "OTA failed", err);
}

static esp_err_t download(struct run *r)
{
    int len;
    do {
        esp_err_t err = take_sector(r, &len);
        if (err != ESP_OK)
            return err;
        r->at += len;
        save_position(r);
        if (!rmaker_attempt_goes_on(r->at, r->total, r->text, r->size))
            return ESP_FAIL;
    } while (len == SECTOR);
    if (r->at == 0 || (r->total > 0 && r->at != r->total) || !esp_http_client_is_complete_data_received(r->http)) {
        text_copy(r->text, r->size, "Complete data was not received");
        return ESP_FAIL;
    }
    rmaker_store_clear_resume();
    return ESP_OK;
}

/* --- the way out ------------------------------------------------------------------------------ */

static esp_err_t hand_over(struct run *r)
{
    esp_err_t err = r->handler->begin != NULL ? r->handler->begin(r->data, (size_t)r->at, r->priv) : ESP_OK;
    bool has_begun = err == ESP_OK;
    for (size_t at = 0; err == ESP_OK && at < (size_t)r->at; at += SECTOR) {
        size_t n = (size_t)r->at - at < SECTOR ? (size_t)r->at - at : SECTOR;
        err = esp_partition_read(r->where, at, r->piece, n);
        if (err == ESP_OK)
            err = r->handler->write(at, r->piece, n, r->priv);
    }
    if (err == ESP_OK && r->handler->end != NULL)
        err = r->handler->end(r->priv);
    if (err == ESP_OK)
        return ESP_OK;
    if (has_begun && r->handler->abort != NULL)
        r->handler->abort(r->priv);
    return failed(r, "OTA finish failed", err);
}

static esp_err_t run_file(struct run *r)
{
    esp_err_t err = open_http(r);
    if (err == ESP_OK && !rmaker_attempt_header(NULL))
        err = ESP_FAIL;
    if (err == ESP_OK)
        err = download(r);
    if (err != ESP_OK)
        return err;
    rmaker_ota_tell(&(struct ota_event){.kind = OTA_ALL_RECEIVED});
    if (!rmaker_attempt_verify(r->data, r->where, (size_t)r->at, r->text, r->size))
        return ESP_FAIL;
    return hand_over(r);
}

esp_err_t rmaker_file_attempt(const esp_rmaker_ota_data_t *data, char *text, size_t size)
{
    struct run *r = calloc(1, sizeof *r);
    if (r == NULL)
        return rmaker_attempt_failed(text, size, "OTA Begin failed", ESP_ERR_NO_MEM);
    r->data = data, r->text = text, r->size = size;
    r->handler = rmaker_ota_find_file(data->metadata, &r->priv);
    if (r->handler == NULL || r->handler->write == NULL) {
        text_copy(text, size, "No handler for this esp.ota.target");
        free(r);
        return ESP_ERR_INVALID_VERSION;
    }
    r->where = find_staging(r->handler);
    esp_err_t err;
    if (r->where == NULL) {
        err = failed(r, "OTA Begin failed", ESP_ERR_NOT_FOUND);
    } else {
        r->can_resume = OPTION_IS_ON(CONFIG_ESP_RMAKER_HTTP_OTA_RESUMPTION) && data->file_md5 != NULL;
        if (r->can_resume)
            rmaker_store_get_resume(&r->resume, data->file_md5, r->where->address);
        r->at = r->resume.kib * 1024;
        ESP_LOGI(tag, "For another target: into %s, from byte %lld", r->where->label, (long long)r->at);
        err = run_file(r);
    }
    if (r->http != NULL)
        esp_http_client_cleanup(r->http);
    free(r);
    return err;
}
