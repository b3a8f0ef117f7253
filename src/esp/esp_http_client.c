/*
 * ESP-IDF's HTTP client as a pull: open sends the request, fetch_headers waits for the answer's head, read takes its
 * body. libcurl pushes; what it pushes beyond a read is kept, and the transfer is paused when too much is kept.
 */
#include "esp/include/esp_http_client.h"

#include "base/buf.h"
#include "esp/esp.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The option was renamed in 7.85; Ubuntu 22.04 has 7.81. */
#if LIBCURL_VERSION_NUM >= 0x075500
#define ALLOW_HTTP_ONLY(curl) curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https")
#else
#define ALLOW_HTTP_ONLY(curl) curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS))
#endif

#define TIMEOUT_DEFAULT_MS 5000
#define REDIRECTS_DEFAULT  10
#define KEPT_MAX           (64 * 1024)
#define USER_AGENT         "ESP32 HTTP Client/1.0"

struct header {
    char *line; /* "Key: value" */
    struct header *next;
};

struct esp_http_client {
    CURL *easy;
    CURLM *multi;
    struct curl_slist *sent_headers;
    struct header *headers;
    struct buf kept;
    size_t taken;
    int timeout_ms;
    int64_t received; /* bytes of body */
    bool is_open, is_done, is_paused, has_head;
    CURLcode result;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct esp_http_client *c = user;
    size_t len = size * count;
    if (c->kept.len - c->taken > KEPT_MAX) {
        c->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    c->has_head = true;
    buf_add(&c->kept, data, len);
    c->received += (int64_t)len;
    return c->kept.is_failed ? 0 : len;
}

/* An empty line ends the head; the one of a redirect does not count. */
static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    struct esp_http_client *c = user;
    size_t len = size * count;
    if (len <= 2) {
        long status = 0;
        curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        c->has_head = status >= 200 && (status < 300 || status > 308 || status == 304);
    }
    (void)data;
    return len;
}

static struct curl_blob blob_of(const char *pem, size_t len)
{
    return (struct curl_blob){(void *)(uintptr_t)pem, len ? len : strlen(pem), CURL_BLOB_COPY};
}

static void set_tls(struct esp_http_client *c, const esp_http_client_config_t *config)
{
    if (config->cert_pem != NULL) {
        struct curl_blob ca = blob_of(config->cert_pem, config->cert_len);
        curl_easy_setopt(c->easy, CURLOPT_CAINFO_BLOB, &ca);
    } else if (config->crt_bundle_attach != NULL && esp_context.crt_bundle != NULL)
        curl_easy_setopt(c->easy, CURLOPT_CAINFO, esp_context.crt_bundle);
    if (config->client_cert_pem != NULL && config->client_key_pem != NULL) {
        struct curl_blob cert = blob_of(config->client_cert_pem, config->client_cert_len),
                         key = blob_of(config->client_key_pem, config->client_key_len);
        curl_easy_setopt(c->easy, CURLOPT_SSLCERT_BLOB, &cert);
        curl_easy_setopt(c->easy, CURLOPT_SSLKEY_BLOB, &key);
    }
    if (config->skip_cert_common_name_check)
        curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, 0L);
}

esp_http_client_handle_t esp_http_client_init(const esp_http_client_config_t *config)
{
    pthread_once(&once, start_library);
    struct esp_http_client *c = calloc(1, sizeof *c);
    if (c == NULL || config->url == NULL || (c->easy = curl_easy_init()) == NULL ||
        (c->multi = curl_multi_init()) == NULL) {
        if (c != NULL)
            curl_easy_cleanup(c->easy);
        free(c);
        return NULL;
    }
    c->timeout_ms = config->timeout_ms ? config->timeout_ms : TIMEOUT_DEFAULT_MS;
    curl_easy_setopt(c->easy, CURLOPT_URL, config->url);
    curl_easy_setopt(c->easy, CURLOPT_USERAGENT, config->user_agent ? config->user_agent : USER_AGENT);
    ALLOW_HTTP_ONLY(c->easy);
    curl_easy_setopt(c->easy, CURLOPT_FOLLOWLOCATION, config->disable_auto_redirect ? 0L : 1L);
    curl_easy_setopt(c->easy, CURLOPT_MAXREDIRS,
                     (long)(config->max_redirection_count ? config->max_redirection_count : REDIRECTS_DEFAULT));
    curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)c->timeout_ms);
    curl_easy_setopt(c->easy, CURLOPT_TCP_KEEPALIVE, config->keep_alive_enable ? 1L : 0L);
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
    if (config->method == HTTP_METHOD_HEAD)
        curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
    set_tls(c, config);
    return c;
}

/* --- transfer --------------------------------------------------------------------------------- */

/* Lets libcurl work until something changed or the time is over; false then. */
static bool work(struct esp_http_client *c)
{
    int running = 0, messages = 0, ready = 0;
    curl_multi_perform(c->multi, &running);
    CURLMsg *message = curl_multi_info_read(c->multi, &messages);
    if (message != NULL && message->msg == CURLMSG_DONE) {
        c->is_done = true;
        c->result = message->data.result;
        return true;
    }
    if (c->kept.len > c->taken)
        return true;
    curl_multi_poll(c->multi, NULL, 0, c->timeout_ms, &ready);
    return ready > 0;
}

esp_err_t esp_http_client_open(esp_http_client_handle_t c, int write_len)
{
    if (c == NULL || write_len > 0)
        return ESP_ERR_INVALID_ARG;
    for (struct header *h = c->headers; h != NULL; h = h->next)
        c->sent_headers = curl_slist_append(c->sent_headers, h->line);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->sent_headers);
    c->is_done = c->has_head = c->is_paused = false;
    c->received = 0;
    c->kept.len = c->taken = 0;
    c->is_open = curl_multi_add_handle(c->multi, c->easy) == CURLM_OK;
    /* As on the chip, open connects: an unreachable server is seen here. */
    while (c->is_open && !c->is_done && !c->has_head && work(c))
        ;
    return c->has_head || (c->is_done && c->result == CURLE_OK) ? ESP_OK : ESP_ERR_HTTP_CONNECT;
}

int64_t esp_http_client_fetch_headers(esp_http_client_handle_t c)
{
    while (!c->is_done && !c->has_head)
        if (!work(c))
            return -ESP_ERR_HTTP_EAGAIN;
    if (!c->has_head && c->result != CURLE_OK)
        return ESP_FAIL;
    int64_t length = esp_http_client_get_content_length(c);
    return length < 0 ? 0 : length;
}

int esp_http_client_read(esp_http_client_handle_t c, char *buffer, int len)
{
    size_t max = (size_t)len;
    while (c->kept.len == c->taken && !c->is_done) {
        c->kept.len = c->taken = 0;
        if (c->is_paused) {
            c->is_paused = false;
            curl_easy_pause(c->easy, CURLPAUSE_CONT);
        }
        if (!work(c) && c->kept.len == 0)
            return -ESP_ERR_HTTP_EAGAIN;
    }
    size_t have = c->kept.len - c->taken, n = have < max ? have : max;
    if (n == 0)
        return c->result == CURLE_OK || c->result == CURLE_PARTIAL_FILE ? 0 : ESP_FAIL;
    memcpy(buffer, c->kept.at + c->taken, n);
    c->taken += n;
    return (int)n;
}

esp_err_t esp_http_client_close(esp_http_client_handle_t c)
{
    if (c->is_open)
        curl_multi_remove_handle(c->multi, c->easy);
    c->is_open = false;
    curl_slist_free_all(c->sent_headers);
    c->sent_headers = NULL;
    return ESP_OK;
}

esp_err_t esp_http_client_cleanup(esp_http_client_handle_t c)
{
    if (c == NULL)
        return ESP_FAIL;
    esp_http_client_close(c);
    curl_easy_cleanup(c->easy);
    curl_multi_cleanup(c->multi);
    while (c->headers != NULL) {
        struct header *h = c->headers;
        c->headers = h->next;
        free(h->line);
        free(h);
    }
    buf_deinit(&c->kept);
    free(c);
    return ESP_OK;
}

/* --- headers and facts ------------------------------------------------------------------------ */

esp_err_t esp_http_client_delete_header(esp_http_client_handle_t c, const char *key)
{
    size_t len = strlen(key);
    for (struct header **at = &c->headers; *at != NULL; at = &(*at)->next)
        if (strncasecmp((*at)->line, key, len) == 0 && (*at)->line[len] == ':') {
            struct header *h = *at;
            *at = h->next;
            free(h->line);
            free(h);
            break;
        }
    return ESP_OK;
}

esp_err_t esp_http_client_set_header(esp_http_client_handle_t c, const char *key, const char *value)
{
    struct header *h = malloc(sizeof *h);
    struct buf line = {0};
    esp_http_client_delete_header(c, key);
    buf_addf(&line, "%s: %s", key, value);
    if (h == NULL || line.is_failed) {
        free(h);
        buf_deinit(&line);
        return ESP_ERR_NO_MEM;
    }
    *h = (struct header){buf_take(&line), c->headers};
    c->headers = h;
    return ESP_OK;
}

int esp_http_client_get_status_code(esp_http_client_handle_t c)
{
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

int64_t esp_http_client_get_content_length(esp_http_client_handle_t c)
{
    curl_off_t length = -1;
    curl_easy_getinfo(c->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length;
}

bool esp_http_client_is_complete_data_received(esp_http_client_handle_t c)
{
    int64_t length = esp_http_client_get_content_length(c);
    return c->is_done && c->result == CURLE_OK && (length < 0 || c->received == length);
}

int esp_http_client_get_errno(esp_http_client_handle_t c)
{
    long number = 0;
    curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &number);
    return (int)number;
}
