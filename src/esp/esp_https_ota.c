/* ESP-IDF's updates over HTTPS: the HTTP client's bytes into an OTA update, resumed, in pieces or decrypted. */
#include "esp/include/esp_https_ota.h"

#include "esp/esp.h"
#include "esp/include/esp_heap_caps.h"
#include "esp/include/esp_log.h"
#include "image/image.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES      1024  /* header, segment header and app descriptor are in the first 1024 bytes */
#define PARTIAL_DEFAULT 65536 /* bytes of one request */
#define STALLS_MAX      10    /* time-outs in a row after which a server that keeps the connection is given up */
#define DECRYPT_SILENT  2     /* what the original returns when the callback gives nothing: its state's number */

static const char *const tag = "esp_https_ota";

ESP_EVENT_DEFINE_BASE(ESP_HTTPS_OTA_EVENT);

enum state { OTA_BEGIN = 1, OTA_IN_PROGRESS = 2, OTA_SUCCESS = 3, OTA_RESUME = 4 };

struct https_ota {
    enum state state;
    const esp_https_ota_config_t *config; /* during begin only */
    esp_http_client_handle_t http;
    const esp_partition_t *staging, *final;
    bool copies;
    esp_ota_handle_t update;
    int image_length, written, buffer_size, head_len, stalls, redirects, max_redirects, auths, max_auth;
    bool is_bulk, is_resuming, has_update, has_head_in_flash;
    bool is_partial;
    int piece, received, total; /* partial download: bytes of a request; of the file: had so far, and in all */
    decrypt_cb_t decrypt;
    void *decrypt_context;
    uint16_t sealed_header;
    char head[HEAD_BYTES];
    char *buffer;
};

static void post(esp_https_ota_event_t event, const void *data, size_t len)
{
    esp_event_post(ESP_HTTPS_OTA_EVENT, event, data, len, pdMS_TO_TICKS(esp_context.start.options->event_post_ms));
}

/* --- connecting ------------------------------------------------------------------------------- */

static bool is_redirect(int status)
{
    return status == HttpStatus_MovedPermanently || status == HttpStatus_Found || status == HttpStatus_SeeOther ||
           status == HttpStatus_TemporaryRedirect || status == HttpStatus_PermanentRedirect;
}

static esp_err_t follow(struct https_ota *o)
{
    esp_http_client_flush_response(o->http, NULL);
    if (o->redirects++ >= o->max_redirects) {
        ESP_LOGE(tag, "More than %d redirections", o->max_redirects);
        return ESP_ERR_HTTP_MAX_REDIRECT;
    }
    return esp_http_client_set_redirection(o->http);
}

static esp_err_t authorize(struct https_ota *o)
{
    esp_http_client_flush_response(o->http, NULL);
    if (o->max_auth < 0 || o->auths++ >= o->max_auth)
        return ESP_FAIL;
    esp_http_client_add_auth(o->http);
    return ESP_OK;
}

/* What a status means; `*again` when another request has to be made. */
static esp_err_t judge_status(struct https_ota *o, int status, bool *again)
{
    *again = false;
    if (is_redirect(status)) {
        *again = true;
        return follow(o);
    }
    if (status == HttpStatus_Unauthorized) {
        *again = true;
        return authorize(o);
    }
    if (status == HttpStatus_NotModified)
        return ESP_ERR_HTTP_NOT_MODIFIED;
    if (status == HttpStatus_RangeNotSatisfiable)
        return ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE;
    if (status >= HttpStatus_BadRequest) {
        ESP_LOGE(tag, "The server answers with status %d", status);
        return ESP_FAIL;
    }
    return ESP_OK;
}

static esp_err_t request_once(struct https_ota *o)
{
    char *body = NULL;
    int len = esp_http_client_get_post_field(o->http, &body);
    esp_err_t err = esp_http_client_open(o->http, len);
    if (err == ESP_OK && len > 0 && esp_http_client_write(o->http, body, len) != len)
        err = ESP_ERR_HTTP_WRITE_DATA;
    if (err == ESP_OK && esp_http_client_fetch_headers(o->http) < 0)
        err = ESP_FAIL;
    return err;
}

/* Until an answer comes that leads nowhere else. */
static esp_err_t connect(struct https_ota *o)
{
    bool again = false;
    esp_err_t err;
    do {
        err = request_once(o);
        if (err == ESP_OK)
            err = judge_status(o, esp_http_client_get_status_code(o->http), &again);
    } while (err == ESP_OK && again);
    /* A server that does not know ranges sends everything: not what was asked for. */
    if (err == ESP_OK && o->is_resuming && esp_http_client_get_status_code(o->http) != HttpStatus_PartialContent)
        err = ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE;
    return err;
}

static void set_range(struct https_ota *o, int from, int to)
{
    char range[48];
    if (to < 0)
        snprintf(range, sizeof range, "bytes=%d-", from);
    else
        snprintf(range, sizeof range, "bytes=%d-%d", from, to);
    esp_http_client_set_header(o->http, "Range", range);
}

/* A server that cannot continue sends the whole image. */
static esp_err_t start_over(struct https_ota *o)
{
    ESP_LOGW(tag, "The server cannot resume: starting over");
    esp_http_client_close(o->http);
    esp_http_client_delete_header(o->http, "Range");
    o->is_resuming = false;
    o->written = 0;
    return connect(o);
}

static esp_err_t connect_whole(struct https_ota *o)
{
    if (o->is_resuming)
        set_range(o, o->written, -1);
    esp_err_t err = connect(o);
    if (err != ESP_OK && o->is_resuming && err != ESP_ERR_HTTP_CONNECT)
        err = start_over(o);
    if (err == ESP_OK)
        o->image_length = (int)esp_http_client_get_content_length(o->http);
    return err;
}

/* --- in pieces -------------------------------------------------------------------------------- */

/* The length of the whole: by HEAD, or where HEAD is refused by the total of a ranged answer. */
static esp_err_t ask_length(struct https_ota *o)
{
    esp_http_client_method_t method = o->config->http_config->method;
    esp_http_client_set_method(o->http, HTTP_METHOD_HEAD);
    esp_err_t err = connect(o);
    int status = esp_http_client_get_status_code(o->http);
    int64_t length = esp_http_client_get_content_length(o->http);
    esp_http_client_close(o->http);
    esp_http_client_set_method(o->http, method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : method);
    if (err == ESP_ERR_HTTP_NOT_MODIFIED || err == ESP_ERR_HTTP_CONNECT || err == ESP_ERR_HTTP_MAX_REDIRECT)
        return err;
    if (err != ESP_OK || status != HttpStatus_Ok || length < 0) {
        set_range(o, 0, 0);
        err = connect(o);
        length = esp_http_client_get_content_range(o->http);
        esp_http_client_close(o->http);
    }
    if (err == ESP_OK && length <= 0)
        return ESP_FAIL;
    o->total = o->image_length = (int)length;
    return err;
}

static esp_err_t request_piece(struct https_ota *o)
{
    bool is_last = o->total - o->received <= o->piece;
    set_range(o, o->received, is_last ? -1 : o->received + o->piece - 1);
    esp_err_t err = connect(o);
    if (err == ESP_OK && esp_http_client_get_status_code(o->http) != HttpStatus_PartialContent &&
        (o->received > 0 || !is_last)) {
        ESP_LOGE(tag, "The server does not answer ranges, which a download in pieces needs");
        err = ESP_FAIL;
    }
    return err;
}

static esp_err_t connect_partial(struct https_ota *o)
{
    bool was_resuming = o->is_resuming;
    o->is_resuming = false; /* each piece's status is looked at by itself */
    esp_err_t err = ask_length(o);
    o->is_resuming = was_resuming;
    o->received = o->written;
    if (err == ESP_OK && o->received >= o->total)
        o->received = o->written = 0;
    if (err == ESP_OK)
        err = request_piece(o);
    if (err == ESP_OK && o->is_resuming)
        o->image_length -= o->written; /* as for other resumed downloads: what remains */
    return err;
}

/* --- begin ------------------------------------------------------------------------------------ */

static esp_err_t choose_partitions(struct https_ota *o)
{
    const esp_https_ota_config_t *c = o->config;
    o->staging =
        c->partition.staging ? esp_partition_verify(c->partition.staging) : esp_ota_get_next_update_partition(NULL);
    o->final = c->partition.final ? esp_partition_verify(c->partition.final) : o->staging;
    o->copies = c->partition.finalize_with_copy;
    if (o->staging == NULL || o->final == NULL) {
        ESP_LOGE(tag, "There is no partition to write the update to");
        return ESP_FAIL;
    }
    return ESP_OK;
}

static void take_config(struct https_ota *o, const esp_https_ota_config_t *c)
{
    const esp_http_client_config_t *h = c->http_config;
    o->config = c;
    o->is_resuming = c->ota_resumption;
    o->written = c->ota_resumption && c->ota_image_bytes_written >= HEAD_BYTES ? (int)c->ota_image_bytes_written : 0;
    o->is_partial = c->partial_http_download;
    o->piece = c->max_http_request_size > 0 ? c->max_http_request_size : PARTIAL_DEFAULT;
    o->is_bulk = c->bulk_flash_erase;
    o->decrypt = esp_context.start.options->has_decrypt_cb ? c->decrypt_cb : NULL;
    o->decrypt_context = c->decrypt_user_ctx;
    o->sealed_header = o->decrypt ? c->enc_img_header_size : 0;
    o->max_redirects = h->max_redirection_count ? h->max_redirection_count : 10;
    o->max_auth = h->max_authorization_retries ? h->max_authorization_retries : 10;
    o->buffer_size = h->buffer_size > HEAD_BYTES ? h->buffer_size : HEAD_BYTES;
}

static esp_err_t begin(struct https_ota *o, const esp_https_ota_config_t *c)
{
    take_config(o, c);
    o->http = esp_http_client_init(c->http_config);
    if (o->http == NULL)
        return ESP_FAIL;
    esp_err_t err = c->http_client_init_cb ? c->http_client_init_cb(o->http) : ESP_OK;
    if (err == ESP_OK)
        err = o->is_partial ? connect_partial(o) : connect_whole(o);
    if (err != ESP_OK)
        return err;
    post(ESP_HTTPS_OTA_CONNECTED, NULL, 0);
    if (o->image_length > 0)
        o->image_length -= o->sealed_header;
    err = choose_partitions(o);
    o->buffer = err == ESP_OK ? heap_caps_malloc((size_t)o->buffer_size, c->buffer_caps) : NULL;
    if (err == ESP_OK && o->buffer == NULL)
        err = ESP_ERR_NO_MEM;
    o->config = NULL;
    o->state = o->is_resuming && o->written > 0 ? OTA_RESUME : OTA_BEGIN;
    return err;
}

static void drop(struct https_ota *o)
{
    if (o->http != NULL)
        esp_http_client_cleanup(o->http);
    free(o->buffer);
    free(o);
}

static esp_err_t check_config(const esp_https_ota_config_t *c)
{
    const struct esp_options *options = esp_context.start.options;
    if (c == NULL || c->http_config == NULL)
        return ESP_ERR_INVALID_ARG;
    const esp_http_client_config_t *h = c->http_config;
    if (!h->cert_pem && !h->use_global_ca_store && !h->crt_bundle_attach && !options->allows_http) {
        ESP_LOGE(tag, "No option for server verification is enabled in esp_http_client config.");
        return ESP_ERR_INVALID_ARG;
    }
    if (options->has_decrypt_cb && c->decrypt_cb == NULL)
        return ESP_ERR_INVALID_ARG;
    if (options->has_decrypt_cb && c->ota_resumption)
        return ESP_ERR_NOT_SUPPORTED;
    return c->partial_http_download && !options->has_partial ? ESP_ERR_NOT_SUPPORTED : ESP_OK;
}

esp_err_t esp_https_ota_begin(const esp_https_ota_config_t *ota_config, esp_https_ota_handle_t *handle)
{
    post(ESP_HTTPS_OTA_START, NULL, 0);
    if (handle != NULL)
        *handle = NULL;
    esp_err_t err = handle ? check_config(ota_config) : ESP_ERR_INVALID_ARG;
    if (err != ESP_OK)
        return err;
    struct https_ota *o = calloc(1, sizeof *o);
    if (o == NULL)
        return ESP_ERR_NO_MEM;
    err = begin(o, ota_config);
    if (err == ESP_OK)
        *handle = o;
    else
        drop(o);
    return err;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A server that holds the line and sends nothing is given up after a while; the original would wait for ever. */
static int read_body(struct https_ota *o, char *to, int len)
{
    int n = esp_http_client_read(o->http, to, len);
    o->stalls = n == -ESP_ERR_HTTP_EAGAIN ? o->stalls + 1 : 0;
    if (o->stalls >= STALLS_MAX) {
        ESP_LOGE(tag, "Nothing came for %d time-outs", o->stalls);
        return -1;
    }
    if (n > 0)
        o->received += n;
    return n;
}

static esp_err_t read_head(struct https_ota *o)
{
    while (o->head_len < HEAD_BYTES) {
        int n = read_body(o, o->head + o->head_len, HEAD_BYTES - o->head_len);
        if (n == -ESP_ERR_HTTP_EAGAIN)
            continue;
        if (n <= 0) {
            ESP_LOGE(tag, "The answer ends after %d bytes: that is no image", o->head_len);
            return ESP_FAIL;
        }
        o->head_len += n;
    }
    return ESP_OK;
}

/* The descriptor's bytes: of the body, or of what was written before the download was resumed. */
static esp_err_t read_desc(struct https_ota *o, void *desc, size_t len)
{
    if (o == NULL || desc == NULL)
        return ESP_ERR_INVALID_ARG;
    if (esp_context.start.options->has_decrypt_cb)
        return ESP_ERR_NOT_SUPPORTED;
    if (o->state != OTA_BEGIN && o->state != OTA_RESUME)
        return ESP_ERR_INVALID_STATE;
    post(ESP_HTTPS_OTA_GET_IMG_DESC, NULL, 0);
    if (o->state == OTA_RESUME)
        return esp_partition_read(o->staging, APP_DESC_OFFSET, desc, len) == ESP_OK ? ESP_OK : ESP_FAIL;
    esp_err_t err = read_head(o);
    if (err == ESP_OK)
        memcpy(desc, o->head + APP_DESC_OFFSET, len);
    return err;
}

esp_err_t esp_https_ota_get_img_desc(esp_https_ota_handle_t handle, esp_app_desc_t *desc)
{
    esp_err_t err = read_desc(handle, desc, sizeof *desc);
    return err ? err : desc->magic_word == ESP_APP_DESC_MAGIC_WORD ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_https_ota_get_bootloader_img_desc(esp_https_ota_handle_t handle, esp_bootloader_desc_t *desc)
{
    esp_err_t err = read_desc(handle, desc, sizeof *desc);
    return err ? err : desc->magic_byte == ESP_BOOTLOADER_DESC_MAGIC_BYTE ? ESP_OK : ESP_FAIL;
}

/* --- writing ---------------------------------------------------------------------------------- */

static esp_err_t write_plain(struct https_ota *o, const void *data, size_t len)
{
    esp_err_t err = esp_ota_write(o->update, data, len);
    if (err != ESP_OK)
        return err;
    o->written += (int)len;
    post(ESP_HTTPS_OTA_WRITE_FLASH, &o->written, sizeof o->written);
    return ESP_ERR_HTTPS_OTA_IN_PROGRESS;
}

/* Through the application's callback.  Plain bytes of the first piece are looked at before they are written. */
static esp_err_t decrypt(struct https_ota *o, const char *data, size_t len, decrypt_cb_arg_t *args)
{
    *args = (decrypt_cb_arg_t){.data_in = data, .data_in_len = len};
    post(ESP_HTTPS_OTA_DECRYPT_CB, NULL, 0);
    esp_err_t err = o->decrypt(args, o->decrypt_context);
    if (err != ESP_OK)
        return err;
    return args->data_out_len > 0 && args->data_out != NULL ? ESP_OK : DECRYPT_SILENT;
}

static esp_err_t verify_header(const struct https_ota *o, const char *data, size_t len)
{
    esp_image_header_t header;
    if (len < sizeof header)
        return ESP_FAIL;
    memcpy(&header, data, sizeof header);
    esp_chip_id_t chip = header.chip_id;
    uint16_t revision = header.min_chip_rev_full;
    post(ESP_HTTPS_OTA_VERIFY_CHIP_ID, &chip, sizeof chip);
    post(ESP_HTTPS_OTA_VERIFY_CHIP_REVISION, &revision, sizeof revision);
    esp_app_desc_t desc, *known = NULL;
    if (len >= APP_DESC_OFFSET + sizeof desc) {
        memcpy(&desc, data + APP_DESC_OFFSET, sizeof desc);
        known = desc.magic_word == ESP_APP_DESC_MAGIC_WORD ? &desc : NULL;
    }
    return esp_ota_check_image_validity(o->final->type, &header, known);
}

static esp_err_t write_piece(struct https_ota *o, const char *data, size_t len)
{
    decrypt_cb_arg_t args = {0};
    bool is_image = o->final->type == ESP_PARTITION_TYPE_APP || o->final->type == ESP_PARTITION_TYPE_BOOTLOADER;
    esp_err_t err = o->decrypt ? decrypt(o, data, len, &args) : ESP_OK;
    if (o->decrypt != NULL) {
        data = args.data_out;
        len = args.data_out_len;
    }
    if (err == ESP_OK && is_image && !o->has_head_in_flash) {
        err = verify_header(o, data, len);
        o->has_head_in_flash = err == ESP_OK;
    }
    if (err == ESP_OK)
        err = write_plain(o, data, len);
    if (o->decrypt != NULL)
        free(args.data_out);
    return err;
}

/* --- perform ---------------------------------------------------------------------------------- */

static esp_err_t open_update(struct https_ota *o)
{
    bool is_resuming = o->state == OTA_RESUME;
    size_t erase =
        o->is_bulk ? (o->image_length > 0 ? (size_t)o->image_length : OTA_SIZE_UNKNOWN) : OTA_WITH_SEQUENTIAL_WRITES;
    esp_err_t err = is_resuming ? esp_ota_resume(o->staging, erase, (size_t)o->written, &o->update)
                                : esp_ota_begin(o->staging, erase, &o->update);
    o->has_update = o->update != 0;
    if (err == ESP_OK && o->final != o->staging)
        err = esp_ota_set_final_partition(o->update, o->final, o->copies);
    return err;
}

static esp_err_t first_perform(struct https_ota *o)
{
    bool is_resuming = o->state == OTA_RESUME;
    bool is_image = o->final->type == ESP_PARTITION_TYPE_APP || o->final->type == ESP_PARTITION_TYPE_BOOTLOADER;
    esp_err_t err = open_update(o);
    if (err != ESP_OK)
        return err;
    o->state = OTA_IN_PROGRESS;
    o->has_head_in_flash = is_resuming; /* it was looked at then */
    if (is_resuming || !is_image)
        return o->head_len > 0 ? write_piece(o, o->head, (size_t)o->head_len) : ESP_ERR_HTTPS_OTA_IN_PROGRESS;
    err = read_head(o);
    return err ? err : write_piece(o, o->head, (size_t)o->head_len);
}

static bool has_all(struct https_ota *o)
{
    if (o->is_partial)
        return o->received >= o->total;
    return esp_http_client_is_complete_data_received(o->http);
}

static esp_err_t next_piece(struct https_ota *o)
{
    if (!esp_http_client_is_complete_data_received(o->http))
        return ESP_FAIL;
    esp_http_client_close(o->http);
    esp_err_t err = request_piece(o);
    return err ? err : ESP_ERR_HTTPS_OTA_IN_PROGRESS;
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
    int n = read_body(o, o->buffer, o->buffer_size);
    if (n > 0)
        return write_piece(o, o->buffer, (size_t)n);
    if (n == -ESP_ERR_HTTP_EAGAIN)
        return ESP_ERR_HTTPS_OTA_IN_PROGRESS;
    if (n == 0 && o->is_partial && !has_all(o))
        return next_piece(o);
    if (n < 0 || !has_all(o)) {
        ESP_LOGE(tag, "The connection was closed before all data was received");
        return ESP_FAIL;
    }
    o->state = OTA_SUCCESS;
    return ESP_OK;
}

/* --- end -------------------------------------------------------------------------------------- */

bool esp_https_ota_is_complete_data_received(esp_https_ota_handle_t handle)
{
    struct https_ota *o = handle;
    return o != NULL && o->state >= OTA_IN_PROGRESS && has_all(o);
}

static bool is_ota_slot(const esp_partition_t *p)
{
    return p->type == ESP_PARTITION_TYPE_APP && p->subtype >= ESP_PARTITION_SUBTYPE_APP_OTA_MIN &&
           p->subtype < ESP_PARTITION_SUBTYPE_APP_OTA_MAX;
}

esp_err_t esp_https_ota_finish(esp_https_ota_handle_t handle)
{
    struct https_ota *o = handle;
    if (o == NULL)
        return ESP_ERR_INVALID_ARG;
    bool has_begun = o->state == OTA_IN_PROGRESS || o->state == OTA_SUCCESS;
    esp_err_t err = !has_begun ? ESP_OK : o->has_update ? esp_ota_end(o->update) : ESP_FAIL;
    if (err == ESP_OK && o->state == OTA_SUCCESS && is_ota_slot(o->final)) {
        err = esp_ota_set_boot_partition(o->staging);
        if (err == ESP_OK)
            post(ESP_HTTPS_OTA_UPDATE_BOOT_PARTITION, &o->final->subtype, sizeof o->final->subtype);
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
    esp_err_t err = o->has_update ? esp_ota_abort(o->update) : ESP_OK;
    drop(o);
    return err;
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
    return o == NULL || o->state < OTA_IN_PROGRESS || o->state == OTA_RESUME ? -1 : o->written;
}

int esp_https_ota_get_status_code(esp_https_ota_handle_t handle)
{
    struct https_ota *o = handle;
    return o && o->http ? esp_http_client_get_status_code(o->http) : -1;
}

int esp_https_ota_get_image_size(esp_https_ota_handle_t handle)
{
    const struct https_ota *o = handle;
    return o ? o->image_length : -1;
}
