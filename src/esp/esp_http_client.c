/*
 * ESP-IDF's HTTP client as a pull: open sends the request, fetch_headers waits for the answer's head, read takes its
 * body.  libcurl pushes; what it pushes beyond a read is kept, and the transfer is paused when enough is kept.
 */
#include "esp/include/esp_http_client.h"

#include "base/text.h"
#include "esp/esp.h"
#include "esp/http_client.h"
#include "esp/include/esp_log.h"

#include <ctype.h>
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
#define AUTH_DEFAULT       10
#define CURL_BUFFER        (2 * 1024L)  /* small, because an update is to add little to the heap */
#define UPLOAD_BUFFER      (16 * 1024L) /* the least that libcurl takes */
#define KEPT_MAX           1            /* of the body, before the transfer is paused */
#define HEADER_MAX         2048
#define USER_AGENT         "ESP32 HTTP Client/1.0"

static const char *const tag = "HTTP_CLIENT";

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void tell(struct esp_http_client *c, esp_http_client_event_id_t id, void *data, int len, char *key, char *value)
{
    esp_http_client_event_t event = {.event_id = id,
                                     .client = c,
                                     .data = data,
                                     .data_len = len,
                                     .user_data = c->user_data,
                                     .header_key = key,
                                     .header_value = value};
    if (c->handler != NULL)
        c->handler(&event);
}

/* --- what libcurl calls ----------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct esp_http_client *c = user;
    size_t len = size * count;
    if (c->kept.len - c->taken >= KEPT_MAX) {
        c->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    c->has_head = true;
    buf_add(&c->kept, data, len);
    c->received += (int64_t)len;
    return c->kept.is_failed ? 0 : len;
}

static size_t on_upload(char *to, size_t size, size_t count, void *user)
{
    struct esp_http_client *c = user;
    size_t left = c->up.len - c->up_taken, n = left < size * count ? left : size * count;
    c->is_sent = true;
    if (n == 0 && !c->is_up_done) {
        c->is_up_paused = true;
        return CURL_READFUNC_PAUSE;
    }
    if (n > 0)
        memcpy(to, c->up.at + c->up_taken, n);
    c->up_taken += n;
    return n;
}

static void take_header(struct esp_http_client *c, char *key, char *value)
{
    if (strcasecmp(key, "Content-Length") == 0)
        c->length = strtoll(value, NULL, 10);
    else if (strcasecmp(key, "Transfer-Encoding") == 0)
        c->is_chunked = strstr(value, "chunked") != NULL;
    else if (strcasecmp(key, "Location") == 0)
        http_set_text(&c->location, value);
    else if (strcasecmp(key, "WWW-Authenticate") == 0)
        http_set_text(&c->challenge, value);
    else if (strcasecmp(key, "Connection") == 0)
        c->keeps_alive = strcasecmp(value, "close") != 0;
    else if (strcasecmp(key, "Content-Range") == 0) {
        const char *total = strchr(value, '/');
        c->range_total = total != NULL && isdigit((unsigned char)total[1]) ? strtoll(total + 1, NULL, 10) : -1;
    }
    tell(c, HTTP_EVENT_ON_HEADER, NULL, 0, key, value);
}

/* A status line starts a head; an answer of 100 or a challenge that libcurl answers itself is not the last one. */
static void start_head(struct esp_http_client *c)
{
    c->length = c->range_total = -1;
    c->is_chunked = false;
    c->keeps_alive = true;
    http_set_text(&c->location, NULL);
    http_set_text(&c->challenge, NULL);
}

static void end_head(struct esp_http_client *c)
{
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 401 && c->has_digest_round) {
        c->has_digest_round = false;
        return;
    }
    c->has_head = status >= 200;
}

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    struct esp_http_client *c = user;
    size_t len = size * count;
    char line[HEADER_MAX], *colon;
    snprintf(line, sizeof line, "%.*s", (int)len, data);
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0') {
        end_head(c);
        tell(c, HTTP_EVENT_ON_HEADERS_COMPLETE, NULL, 0, NULL, NULL);
    } else if (strncmp(line, "HTTP/", 5) == 0) {
        start_head(c);
        tell(c, HTTP_EVENT_ON_STATUS_CODE, NULL, 0, NULL, NULL);
    } else if ((colon = strchr(line, ':')) != NULL) {
        *colon = '\0';
        take_header(c, line, colon + 1 + strspn(colon + 1, " \t"));
    }
    return len;
}

static int on_connected(void *user, char *remote, char *local, int remote_port, int local_port)
{
    struct esp_http_client *c = user;
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    c->is_connected = true;
    tell(c, HTTP_EVENT_ON_CONNECTED, NULL, 0, NULL, NULL);
    tell(c, HTTP_EVENT_HEADERS_SENT, NULL, 0, NULL, NULL);
    return CURL_PREREQFUNC_OK;
}

/* --- life ------------------------------------------------------------------------------------- */

static char *url_of_parts(const esp_http_client_config_t *config)
{
    struct buf url = {0};
    bool is_secure = config->transport_type == HTTP_TRANSPORT_OVER_SSL;
    buf_addf(&url, "%s://%s", is_secure ? "https" : "http", config->host);
    if (config->port > 0)
        buf_addf(&url, ":%d", config->port);
    buf_addf(&url, "%s%s", config->path && config->path[0] == '/' ? "" : "/", config->path ? config->path : "");
    if (config->query != NULL)
        buf_addf(&url, "?%s", config->query);
    return buf_take(&url);
}

/* A name that the certificate carries in place of the host's: the connection goes to the host, all else to the name. */
static void set_common_name(struct esp_http_client *c, const char *name)
{
    char *host = NULL, *port = NULL;
    struct buf route = {0};
    if (curl_url_get(c->resolver, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(c->resolver, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        buf_addf(&route, "%s:%s:%s:%s", name, port, host, port);
        c->connect_to = route.is_failed ? NULL : curl_slist_append(NULL, route.at);
        curl_url_set(c->resolver, CURLUPART_HOST, name, 0);
        curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO, c->connect_to);
        esp_http_client_set_header(c, "Host", host);
    }
    curl_free(host);
    curl_free(port);
    buf_deinit(&route);
}

static void set_options(struct esp_http_client *c, const esp_http_client_config_t *config)
{
    CURL *e = c->easy;
    curl_easy_setopt(e, CURLOPT_USERAGENT, config->user_agent ? config->user_agent : USER_AGENT);
    ALLOW_HTTP_ONLY(e);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, CURL_BUFFER);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, config->keep_alive_enable ? 1L : 0L);
    if (config->keep_alive_idle > 0)
        curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, (long)config->keep_alive_idle);
    if (config->keep_alive_interval > 0)
        curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, (long)config->keep_alive_interval);
    if (config->addr_type != HTTP_ADDR_TYPE_UNSPEC)
        curl_easy_setopt(e, CURLOPT_IPRESOLVE,
                         (long)(config->addr_type == HTTP_ADDR_TYPE_INET ? CURL_IPRESOLVE_V4 : CURL_IPRESOLVE_V6));
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(e, CURLOPT_READDATA, c);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, c);
    http_set_tls(c, config);
    if (config->common_name != NULL && !config->skip_cert_common_name_check)
        set_common_name(c, config->common_name);
}

static void drop(struct esp_http_client *c)
{
    curl_easy_cleanup(c->easy);
    if (c->multi != NULL)
        curl_multi_cleanup(c->multi);
    curl_url_cleanup(c->resolver);
    curl_slist_free_all(c->connect_to);
    esp_http_client_delete_all_headers(c);
    buf_deinit(&c->kept);
    buf_deinit(&c->up);
    free(c->url);
    free(c->username);
    free(c->password);
    free(c->location);
    free(c->challenge);
    free(c);
}

esp_http_client_handle_t esp_http_client_init(const esp_http_client_config_t *config)
{
    pthread_once(&once, start_library);
    if (config == NULL || (config->url == NULL && (config->host == NULL || config->path == NULL)))
        return NULL;
    struct esp_http_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->easy = curl_easy_init();
    c->multi = curl_multi_init();
    c->resolver = curl_url();
    c->url = config->url ? strdup(config->url) : url_of_parts(config);
    if (c->easy == NULL || c->multi == NULL || c->resolver == NULL || c->url == NULL ||
        curl_url_set(c->resolver, CURLUPART_URL, c->url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
        ESP_LOGE(tag, "Error parse url %s", c->url ? c->url : "");
        drop(c);
        return NULL;
    }
    c->timeout_ms = config->timeout_ms ? config->timeout_ms : TIMEOUT_DEFAULT_MS;
    c->max_redirects = config->max_redirection_count ? config->max_redirection_count : REDIRECTS_DEFAULT;
    c->max_auth = config->max_authorization_retries == 0    ? AUTH_DEFAULT
                  : config->max_authorization_retries == -1 ? 0
                                                            : config->max_authorization_retries;
    c->follows = !config->disable_auto_redirect;
    c->handler = config->event_handler;
    c->user_data = config->user_data;
    c->method = config->method;
    c->auth_type = config->auth_type;
    c->length = c->range_total = -1;
    http_set_text(&c->username, config->username);
    http_set_text(&c->password, config->password);
    set_options(c, config);
    return c;
}

/* --- transfer --------------------------------------------------------------------------------- */

/* Lets libcurl work once; false when nothing happened within the time limit. */
static bool work(struct esp_http_client *c)
{
    int running = 0, messages = 0, ready = 0;
    size_t kept = c->kept.len;
    bool had_head = c->has_head, was_connected = c->is_connected, was_up_paused = c->is_up_paused;
    curl_multi_perform(c->multi, &running);
    CURLMsg *message = curl_multi_info_read(c->multi, &messages);
    if (message != NULL && message->msg == CURLMSG_DONE) {
        c->is_done = true;
        c->result = message->data.result;
        return true;
    }
    if (c->kept.len > kept || c->has_head != had_head || c->is_connected != was_connected ||
        c->is_up_paused != was_up_paused)
        return true;
    curl_multi_poll(c->multi, NULL, 0, c->timeout_ms, &ready);
    return ready > 0;
}

/* A timer of libcurl's may wake it with nothing to do, so the limit is measured here. */
static bool work_within_limit(struct esp_http_client *c)
{
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        if (work(c))
            return true;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < c->timeout_ms);
    return false;
}

static void set_auth(struct esp_http_client *c)
{
    long kind = c->auth_type == HTTP_AUTH_TYPE_DIGEST ? CURLAUTH_DIGEST : CURLAUTH_BASIC;
    bool has_one = c->auth_type != HTTP_AUTH_TYPE_NONE && c->username != NULL;
    c->has_digest_round = has_one && kind == CURLAUTH_DIGEST;
    curl_easy_setopt(c->easy, CURLOPT_USERNAME, has_one ? c->username : NULL);
    curl_easy_setopt(c->easy, CURLOPT_PASSWORD, has_one ? c->password ? c->password : "" : NULL);
    curl_easy_setopt(c->easy, CURLOPT_HTTPAUTH, has_one ? kind : (long)CURLAUTH_NONE);
}

static const char *const method_names[HTTP_METHOD_MAX] = {
    "GET",     "POST", "PUT",  "PATCH", "DELETE", "HEAD",     "NOTIFY",    "SUBSCRIBE", "UNSUBSCRIBE",
    "OPTIONS", "COPY", "MOVE", "LOCK",  "UNLOCK", "PROPFIND", "PROPPATCH", "MKCOL",     "REPORT"};

static void set_request(struct esp_http_client *c)
{
    bool has_body = c->write_len != 0;
    curl_easy_setopt(c->easy, CURLOPT_NOBODY, c->method == HTTP_METHOD_HEAD ? 1L : 0L);
    curl_easy_setopt(c->easy, CURLOPT_UPLOAD, has_body ? 1L : 0L);
    if (!has_body && c->method != HTTP_METHOD_HEAD)
        curl_easy_setopt(c->easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, c->method == HTTP_METHOD_HEAD ? NULL : method_names[c->method]);
    curl_easy_setopt(c->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(has_body ? c->write_len : -1));
    if (has_body) /* servers are not asked whether they want it */
        c->sent_headers = curl_slist_append(c->sent_headers, "Expect:");
    for (struct header *h = c->headers; h != NULL; h = h->next) {
        struct buf line = {0};
        buf_addf(&line, "%s: %s", h->key, h->value);
        if (!line.is_failed)
            c->sent_headers = curl_slist_append(c->sent_headers, line.at);
        buf_deinit(&line);
    }
    /* A POST without body says so. */
    if (!has_body && (c->method == HTTP_METHOD_POST || c->method == HTTP_METHOD_PUT || c->method == HTTP_METHOD_PATCH))
        c->sent_headers = curl_slist_append(c->sent_headers, "Content-Length: 0");
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->sent_headers);
    curl_easy_setopt(c->easy, CURLOPT_CURLU, c->resolver);
    curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)c->timeout_ms);
    set_auth(c);
}

static void forget_answer(struct esp_http_client *c)
{
    c->is_connected = c->is_sent = c->is_done = c->is_paused = c->has_head = false;
    c->is_up_paused = c->is_up_done = false;
    c->received = 0;
    c->kept.len = c->taken = c->up.len = c->up_taken = 0;
    c->result = CURLE_OK;
    start_head(c);
}

esp_err_t esp_http_client_open(esp_http_client_handle_t c, int write_len)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    esp_http_client_close(c);
    forget_answer(c);
    c->write_len = write_len;
    set_request(c);
    c->is_open = curl_multi_add_handle(c->multi, c->easy) == CURLM_OK;
    while (c->is_open && !c->is_done && !c->has_head && !(write_len ? c->is_sent : c->is_connected) &&
           work_within_limit(c))
        ;
    if (c->is_connected && (!c->is_done || c->has_head))
        return ESP_OK;
    ESP_LOGE(tag, "Connection to %s failed: %s", c->url, curl_easy_strerror(c->result));
    tell(c, HTTP_EVENT_ERROR, NULL, 0, NULL, NULL);
    return ESP_ERR_HTTP_CONNECT;
}

esp_err_t esp_http_client_prepare(esp_http_client_handle_t c)
{
    return c ? ESP_OK : ESP_ERR_INVALID_ARG;
}

/* Connecting and sending are one here. */
esp_err_t esp_http_client_request_send(esp_http_client_handle_t c, int write_len)
{
    return esp_http_client_open(c, write_len);
}

static void resume_upload(struct esp_http_client *c)
{
    if (!c->is_up_paused)
        return;
    c->is_up_paused = false;
    curl_easy_pause(c->easy, CURLPAUSE_CONT);
}

int esp_http_client_write(esp_http_client_handle_t c, const char *buffer, int len)
{
    if (c == NULL || !c->is_open || len < 0)
        return -1;
    if (c->up_taken == c->up.len)
        c->up.len = c->up_taken = 0;
    buf_add(&c->up, buffer, (size_t)len);
    resume_upload(c);
    while (!c->is_done && c->up_taken < c->up.len)
        if (!work_within_limit(c))
            return -1;
    return c->up_taken == c->up.len && !c->up.is_failed ? len : -1;
}

int64_t esp_http_client_fetch_headers(esp_http_client_handle_t c)
{
    if (c == NULL || !c->is_open)
        return ESP_FAIL;
    c->is_up_done = true;
    resume_upload(c);
    while (!c->is_done && !c->has_head)
        if (!work_within_limit(c))
            return -ESP_ERR_HTTP_EAGAIN;
    if (!c->has_head)
        return ESP_FAIL;
    return c->length < 0 ? 0 : c->length;
}

static void resume_download(struct esp_http_client *c)
{
    if (!c->is_paused)
        return;
    c->is_paused = false;
    curl_easy_pause(c->easy, CURLPAUSE_CONT);
}

static size_t take_kept(struct esp_http_client *c, char *buffer, size_t max)
{
    size_t have = c->kept.len - c->taken, n = have < max ? have : max;
    if (n > 0)
        memcpy(buffer, c->kept.at + c->taken, n);
    c->taken += n;
    if (c->taken == c->kept.len)
        c->kept.len = c->taken = 0;
    return n;
}

static bool ended_well(const struct esp_http_client *c)
{
    return c->result == CURLE_OK || c->result == CURLE_PARTIAL_FILE;
}

int esp_http_client_read(esp_http_client_handle_t c, char *buffer, int len)
{
    size_t done = 0;
    bool is_late = false;
    if (c == NULL || buffer == NULL || len < 0)
        return -1;
    while (!is_late) {
        done += take_kept(c, buffer + done, (size_t)len - done);
        if (done == (size_t)len || !c->is_open || (c->is_done && c->kept.len == 0))
            break;
        if (!c->is_done) {
            resume_download(c);
            is_late = c->kept.len == 0 && !work_within_limit(c) && c->kept.len == 0;
        }
    }
    if (done > 0) {
        tell(c, HTTP_EVENT_ON_DATA, buffer, (int)done, NULL, NULL);
        return (int)done;
    }
    return is_late ? -ESP_ERR_HTTP_EAGAIN : ended_well(c) || len == 0 ? 0 : ESP_FAIL;
}

int esp_http_client_read_response(esp_http_client_handle_t c, char *buffer, int len)
{
    int done = 0;
    while (done < len) {
        int n = esp_http_client_read(c, buffer + done, len - done);
        if (n <= 0)
            break;
        done += n;
    }
    return done;
}

esp_err_t esp_http_client_flush_response(esp_http_client_handle_t c, int *len)
{
    char chunk[512];
    int total = 0, n;
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    while ((n = esp_http_client_read(c, chunk, sizeof chunk)) > 0)
        total += n;
    if (len != NULL)
        *len = total;
    return n < 0 ? ESP_FAIL : ESP_OK;
}

void esp_http_client_clear_response_buffer(esp_http_client_handle_t c)
{
    if (c != NULL)
        c->kept.len = c->taken = 0;
}

esp_err_t esp_http_client_close(esp_http_client_handle_t c)
{
    if (c == NULL)
        return ESP_FAIL;
    if (c->is_open) {
        curl_multi_remove_handle(c->multi, c->easy);
        c->is_open = false;
        if (c->is_connected)
            tell(c, HTTP_EVENT_DISCONNECTED, NULL, 0, NULL, NULL);
    }
    curl_slist_free_all(c->sent_headers);
    c->sent_headers = NULL;
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, NULL);
    return ESP_OK;
}

esp_err_t esp_http_client_cancel_request(esp_http_client_handle_t c)
{
    return esp_http_client_close(c);
}

esp_err_t esp_http_client_cleanup(esp_http_client_handle_t c)
{
    if (c == NULL)
        return ESP_FAIL;
    esp_http_client_close(c);
    drop(c);
    return ESP_OK;
}

/* --- the whole request ------------------------------------------------------------------------ */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static esp_err_t do_once(struct esp_http_client *c)
{
    char chunk[DEFAULT_HTTP_BUF_SIZE];
    int n = 0;
    esp_err_t err = esp_http_client_open(c, c->post ? c->post_len : 0);
    if (err != ESP_OK)
        return err;
    if (c->post != NULL && c->post_len > 0 && esp_http_client_write(c, c->post, c->post_len) != c->post_len)
        return ESP_ERR_HTTP_WRITE_DATA;
    int64_t head = esp_http_client_fetch_headers(c);
    if (head < 0)
        return head == -ESP_ERR_HTTP_EAGAIN ? ESP_ERR_HTTP_EAGAIN : ESP_ERR_HTTP_FETCH_HEADER;
    int status = esp_http_client_get_status_code(c);
    bool is_ours = (c->follows && is_redirect(status)) || (status == 401 && c->username != NULL);
    http_event_handle_cb handler = c->handler;
    if (is_ours)
        c->handler = NULL; /* the body of an answer that leads on is nobody's */
    while ((n = esp_http_client_read(c, chunk, sizeof chunk)) > 0)
        ;
    c->handler = handler;
    if (n == -ESP_ERR_HTTP_EAGAIN)
        return ESP_ERR_HTTP_EAGAIN;
    return n < 0 ? ESP_FAIL : esp_http_client_is_complete_data_received(c) ? ESP_OK : ESP_ERR_HTTP_INCOMPLETE_DATA;
}

/* Whether the answer asks for another request; `*err` says when that cannot be. */
static bool leads_on(struct esp_http_client *c, esp_err_t *err)
{
    int status = esp_http_client_get_status_code(c);
    if (is_redirect(status) && c->follows && c->location != NULL) {
        *err = c->redirects >= c->max_redirects ? ESP_ERR_HTTP_MAX_REDIRECT : esp_http_client_set_redirection(c);
        if (*err == ESP_OK && status == 303 && c->method != HTTP_METHOD_HEAD) {
            c->method = HTTP_METHOD_GET;
            c->post = NULL;
        }
        return *err == ESP_OK;
    }
    if (status == 401 && c->username != NULL && c->auths < c->max_auth && c->challenge != NULL) {
        esp_http_client_add_auth(c);
        return true;
    }
    return false;
}

esp_err_t esp_http_client_perform(esp_http_client_handle_t c)
{
    esp_err_t err;
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    c->redirects = c->auths = 0;
    do
        err = do_once(c);
    while (err == ESP_OK && leads_on(c, &err));
    if (err == ESP_OK)
        tell(c, HTTP_EVENT_ON_FINISH, NULL, 0, NULL, NULL);
    else
        tell(c, HTTP_EVENT_ERROR, NULL, 0, NULL, NULL);
    esp_http_client_close(c);
    return err;
}

/* --- redirection and authentication ----------------------------------------------------------- */

esp_err_t esp_http_client_set_redirection(esp_http_client_handle_t c)
{
    char *scheme = NULL, *url = NULL;
    if (c == NULL || c->location == NULL)
        return ESP_ERR_INVALID_ARG;
    bool was_secure = esp_http_client_get_transport_type(c) == HTTP_TRANSPORT_OVER_SSL;
    CURLU *next = curl_url_dup(c->resolver);
    CURLUcode code = curl_url_set(next, CURLUPART_URL, c->location, CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OK)
        code = curl_url_get(next, CURLUPART_SCHEME, &scheme, 0);
    bool is_secure = code == CURLUE_OK && strcasecmp(scheme, "https") == 0;
    curl_free(scheme);
    if (code != CURLUE_OK || (was_secure && !is_secure)) {
        curl_url_cleanup(next);
        ESP_LOGE(tag, "Redirection to %s is not followed", c->location);
        return code != CURLUE_OK ? ESP_ERR_INVALID_ARG : ESP_ERR_HTTP_REDIRECT_DOWNGRADE;
    }
    curl_easy_setopt(c->easy, CURLOPT_CURLU, NULL);
    curl_url_cleanup(c->resolver);
    c->resolver = next;
    if (curl_url_get(next, CURLUPART_URL, &url, 0) == CURLUE_OK)
        http_set_text(&c->url, url);
    curl_free(url);
    c->redirects++;
    tell(c, HTTP_EVENT_REDIRECT, NULL, 0, NULL, NULL);
    return ESP_OK;
}

esp_err_t esp_http_client_reset_redirect_counter(esp_http_client_handle_t c)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    c->redirects = 0;
    return ESP_OK;
}

void esp_http_client_add_auth(esp_http_client_handle_t c)
{
    if (c == NULL || c->challenge == NULL)
        return;
    c->auths++;
    c->auth_type = strncasecmp(c->challenge, "Digest", 6) == 0 ? HTTP_AUTH_TYPE_DIGEST : HTTP_AUTH_TYPE_BASIC;
}

bool esp_http_client_set_auth_data(esp_http_client_handle_t c, const char *auth_data, int len)
{
    if (c == NULL || auth_data == NULL || len <= 0)
        return false;
    free(c->challenge);
    c->challenge = strndup(auth_data, (size_t)len);
    return c->challenge != NULL;
}
