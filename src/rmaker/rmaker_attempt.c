/* What every way to download has in common: texts, the mind's interest in progress, the digests that a job names. */
#include "rmaker/rmaker.h"

#include "base/text.h"
#include "codec/encode.h"
#include "crypto/digest.h"
#include "esp_app_desc.h"
#include "esp_crt_bundle.h"
#include "esp_log.h"
#include "esp_ota_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define READ_BYTES 4096
#define TIMEOUT_MS 5000

static const char *const tag = "esp_rmaker_ota";

esp_err_t rmaker_attempt_failed(char *text, size_t size, const char *what, esp_err_t err)
{
    snprintf(text, size, "%s: %s (errno=%d: %s)", what, esp_err_to_name(err), errno,
             errno != 0 ? strerror(errno) : "Invalid");
    return ESP_FAIL;
}

bool rmaker_attempt_goes_on(int64_t received, int64_t total, char *text, size_t size)
{
    static const struct ota_event tick = {.kind = OTA_TICK};
    struct ota_event bytes = {.kind = OTA_BYTES, .value = received, .total = total};
    rmaker_ota_tell(received >= 0 ? &bytes : &tick);
    if (rmaker_context.ota.abort_text == NULL)
        return true;
    text_copy(text, size, rmaker_context.ota.abort_text);
    return false;
}

void rmaker_attempt_take_etag(const esp_http_client_event_t *event, char *to, size_t size)
{
    if (event->event_id == HTTP_EVENT_ON_HEADER && strcasecmp(event->header_key, "ETag") == 0 &&
        (event->header_value[0] != '"' || !text_copy(to, size, event->header_value)))
        to[0] = '\0';
}

bool rmaker_attempt_header(const esp_app_desc_t *offered)
{
    struct app_desc running, other;
    struct ota_event event = {.kind = OTA_HEADER_READ};
    if (offered != NULL) {
        app_desc_read(&other, (const uint8_t *)offered);
        app_desc_read(&running, (const uint8_t *)esp_app_get_description());
        event.running = &running;
        event.offered = &other;
    }
    rmaker_ota_tell(&event);
    return rmaker_ota_state() == OTA_DOWNLOADING;
}

bool rmaker_attempt_size_fits(const esp_rmaker_ota_data_t *data, int64_t total, char *text, size_t size)
{
    if (data->filesize <= 0 || total <= 0 || total == data->filesize)
        return true;
    snprintf(text, size, "File size mismatch: %lld instead of %d bytes", (long long)total, data->filesize);
    return false;
}

esp_http_client_config_t rmaker_attempt_http(const esp_rmaker_ota_data_t *data)
{
    bool has_bundle = OPTION_IS_ON(CONFIG_ESP_RMAKER_USE_CERT_BUNDLE);
    return (esp_http_client_config_t){
        .url = data->url,
        .cert_pem = has_bundle          ? NULL
                    : data->server_cert ? data->server_cert
                                        : rmaker_default_cert,
        .crt_bundle_attach = has_bundle ? esp_crt_bundle_attach : NULL,
        .timeout_ms = TIMEOUT_MS,
        .keep_alive_enable = true,
        .skip_cert_common_name_check = OPTION_IS_ON(CONFIG_ESP_RMAKER_SKIP_COMMON_NAME_CHECK),
    };
}

struct check {
    const char *name, *expected; /* NULL: not asked for */
    enum digest_kind kind;
    size_t bytes;
    struct digest digest;
};

static bool is_right(struct check *c, char *text, size_t size)
{
    uint8_t raw[SHA384_LEN];
    char hex[2 * SHA384_LEN + 1];
    digest_final(&c->digest, raw);
    hex_encode(hex, bytes_of(raw, c->bytes));
    if (strcasecmp(hex, c->expected) == 0)
        return true;
    ESP_LOGE(tag, "The file's %s is %s, the job says %s", c->name, hex, c->expected);
    snprintf(text, size, "File %s mismatch", c->name);
    return false;
}

/* The bytes that lie in flash now are read, whatever was hashed on their way. */
static bool hash_partition(struct check *checks, unsigned count, const esp_partition_t *where, size_t len)
{
    uint8_t *piece = malloc(READ_BYTES);
    bool is_read = piece != NULL;
    for (size_t at = 0; is_read && at < len; at += READ_BYTES) {
        size_t n = len - at < READ_BYTES ? len - at : READ_BYTES;
        is_read = esp_partition_read(where, at, piece, n) == ESP_OK;
        for (unsigned i = 0; is_read && i < count; i++)
            if (checks[i].expected != NULL)
                digest_update(&checks[i].digest, bytes_of(piece, n));
    }
    free(piece);
    return is_read;
}

bool rmaker_attempt_verify(const esp_rmaker_ota_data_t *data, const esp_partition_t *where, size_t len, char *text,
                           size_t size)
{
    const struct job_offer *job = rmaker_context.ota.job;
    const char *sha256 =
        job != NULL && data->ota_job_id == job->job_id && job->file_sha256[0] ? job->file_sha256 : NULL;
    /* A `file_md5` that is no MD5 is what it is to the original: a token. */
    const char *md5 = data->file_md5 != NULL && job_digest_is_hex(data->file_md5, 32) ? data->file_md5 : NULL;
    struct check checks[] = {{"MD5", md5, DIGEST_MD5, MD5_LEN, {NULL}},
                             {"SHA-256", sha256, DIGEST_SHA256, SHA256_LEN, {NULL}}};
    if (!rmaker_attempt_size_fits(data, (int64_t)len, text, size))
        return false;
    if (md5 == NULL && sha256 == NULL)
        return true;
    for (unsigned i = 0; i < 2; i++)
        if (checks[i].expected != NULL)
            digest_init(&checks[i].digest, checks[i].kind);
    bool is_good = hash_partition(checks, 2, where, len);
    if (!is_good)
        text_copy(text, size, "The written file cannot be read");
    for (unsigned i = 0; is_good && i < 2; i++)
        is_good = checks[i].expected == NULL || is_right(&checks[i], text, size);
    for (unsigned i = 0; i < 2; i++)
        digest_deinit(&checks[i].digest);
    return is_good;
}
