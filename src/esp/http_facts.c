/* The HTTP client's settings, and what it knows of an answer. */
#include "esp/esp.h"
#include "esp/http_client.h"
#include "esp/include/esp_tls_errors.h"

#include <stdlib.h>
#include <string.h>

void http_set_text(char **to, const char *value)
{
    free(*to);
    *to = value ? strdup(value) : NULL;
}

/* --- what the request is ---------------------------------------------------------------------- */

esp_err_t esp_http_client_set_url(esp_http_client_handle_t c, const char *url)
{
    char *whole = NULL;
    if (c == NULL || url == NULL)
        return ESP_ERR_INVALID_ARG;
    if (curl_url_set(c->resolver, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return ESP_ERR_INVALID_ARG;
    if (curl_url_get(c->resolver, CURLUPART_URL, &whole, 0) == CURLUE_OK)
        http_set_text(&c->url, whole);
    curl_free(whole);
    return ESP_OK;
}

esp_err_t esp_http_client_get_url(esp_http_client_handle_t c, char *url, const int len)
{
    if (c == NULL || url == NULL || len <= 0)
        return ESP_ERR_INVALID_ARG;
    snprintf(url, (size_t)len, "%s", c->url);
    return ESP_OK;
}

esp_err_t esp_http_client_set_method(esp_http_client_handle_t c, esp_http_client_method_t method)
{
    if (c == NULL || (unsigned)method >= HTTP_METHOD_MAX)
        return ESP_ERR_INVALID_ARG;
    c->method = method;
    return ESP_OK;
}

esp_err_t esp_http_client_set_timeout_ms(esp_http_client_handle_t c, int timeout_ms)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    c->timeout_ms = timeout_ms;
    return ESP_OK;
}

esp_err_t esp_http_client_set_post_field(esp_http_client_handle_t c, const char *data, int len)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    c->post = data;
    c->post_len = data ? len : 0;
    char *type = NULL;
    esp_http_client_get_header(c, "Content-Type", &type);
    if (data != NULL && type == NULL)
        return esp_http_client_set_header(c, "Content-Type", "application/x-www-form-urlencoded");
    return ESP_OK;
}

int esp_http_client_get_post_field(esp_http_client_handle_t c, char **data)
{
    if (c == NULL || c->post == NULL)
        return 0;
    *data = (char *)(uintptr_t)c->post;
    return c->post_len;
}

static struct header **find_header(struct esp_http_client *c, const char *key)
{
    struct header **at = &c->headers;
    while (*at != NULL && strcasecmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

esp_err_t esp_http_client_delete_header(esp_http_client_handle_t c, const char *key)
{
    struct header **at = find_header(c, key), *h = *at;
    if (h != NULL) {
        *at = h->next;
        free(h->key);
        free(h->value);
        free(h);
    }
    return ESP_OK;
}

esp_err_t esp_http_client_delete_all_headers(esp_http_client_handle_t c)
{
    while (c->headers != NULL)
        esp_http_client_delete_header(c, c->headers->key);
    return ESP_OK;
}

esp_err_t esp_http_client_set_header(esp_http_client_handle_t c, const char *key, const char *value)
{
    if (c == NULL || key == NULL)
        return ESP_ERR_INVALID_ARG;
    esp_http_client_delete_header(c, key);
    if (value == NULL)
        return ESP_OK;
    struct header *h = calloc(1, sizeof *h);
    if (h != NULL) {
        h->key = strdup(key);
        h->value = strdup(value);
    }
    if (h == NULL || h->key == NULL || h->value == NULL) {
        if (h != NULL) {
            free(h->key);
            free(h->value);
        }
        free(h);
        return ESP_ERR_NO_MEM;
    }
    *find_header(c, key) = h;
    return ESP_OK;
}

esp_err_t esp_http_client_get_header(esp_http_client_handle_t c, const char *key, char **value)
{
    if (c == NULL || key == NULL || value == NULL)
        return ESP_ERR_INVALID_ARG;
    struct header *h = *find_header(c, key);
    *value = h ? h->value : NULL;
    return ESP_OK;
}

esp_err_t esp_http_client_set_username(esp_http_client_handle_t c, const char *username)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    http_set_text(&c->username, username);
    return ESP_OK;
}

esp_err_t esp_http_client_set_password(esp_http_client_handle_t c, const char *password)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    http_set_text(&c->password, password);
    return ESP_OK;
}

esp_err_t esp_http_client_set_authtype(esp_http_client_handle_t c, esp_http_client_auth_type_t auth_type)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    c->auth_type = auth_type;
    return ESP_OK;
}

esp_err_t esp_http_client_get_user_data(esp_http_client_handle_t c, void **data)
{
    if (c == NULL || data == NULL)
        return ESP_ERR_INVALID_ARG;
    *data = c->user_data;
    return ESP_OK;
}

esp_err_t esp_http_client_set_user_data(esp_http_client_handle_t c, void *data)
{
    if (c == NULL)
        return ESP_ERR_INVALID_ARG;
    c->user_data = data;
    return ESP_OK;
}

/* --- what the answer is ----------------------------------------------------------------------- */

int esp_http_client_get_status_code(esp_http_client_handle_t c)
{
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

int64_t esp_http_client_get_content_length(esp_http_client_handle_t c)
{
    return c->is_chunked ? -1 : c->length;
}

int64_t esp_http_client_get_content_range(esp_http_client_handle_t c)
{
    return c->range_total;
}

bool esp_http_client_is_chunked_response(esp_http_client_handle_t c)
{
    return c->is_chunked || c->length < 0;
}

/* libcurl takes chunks apart by itself. */
esp_err_t esp_http_client_get_chunk_length(esp_http_client_handle_t c, int *len)
{
    if (c == NULL || len == NULL)
        return ESP_FAIL;
    *len = (int)(c->kept.len - c->taken);
    return c->is_chunked ? ESP_OK : ESP_FAIL;
}

bool esp_http_client_is_complete_data_received(esp_http_client_handle_t c)
{
    if (c->method == HTTP_METHOD_HEAD)
        return c->has_head;
    /* All bytes that were announced may be here before libcurl has noticed that it is done. */
    if (c->length >= 0 && !c->is_chunked)
        return c->has_head && c->received == c->length;
    return c->is_done && c->result == CURLE_OK;
}

bool esp_http_client_is_persistent_connection(esp_http_client_handle_t c)
{
    return c->keeps_alive;
}

esp_http_client_transport_t esp_http_client_get_transport_type(esp_http_client_handle_t c)
{
    char *scheme = NULL;
    esp_http_client_transport_t type = HTTP_TRANSPORT_UNKNOWN;
    if (c != NULL && curl_url_get(c->resolver, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
        type = strcasecmp(scheme, "https") == 0 ? HTTP_TRANSPORT_OVER_SSL : HTTP_TRANSPORT_OVER_TCP;
    curl_free(scheme);
    return type;
}

int esp_http_client_get_errno(esp_http_client_handle_t c)
{
    long number = 0;
    curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &number);
    return (int)number;
}

esp_err_t esp_http_client_get_and_clear_last_tls_error(esp_http_client_handle_t c, int *esp_tls_error_code,
                                                       int *esp_tls_flags)
{
    long verified = 0;
    curl_easy_getinfo(c->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    esp_err_t err = c->result == CURLE_COULDNT_RESOLVE_HOST       ? ESP_ERR_ESP_TLS_CANNOT_RESOLVE_HOSTNAME
                    : c->result == CURLE_COULDNT_CONNECT          ? ESP_ERR_ESP_TLS_FAILED_CONNECT_TO_HOST
                    : c->result == CURLE_OPERATION_TIMEDOUT       ? ESP_ERR_ESP_TLS_CONNECTION_TIMEOUT
                    : c->result == CURLE_PEER_FAILED_VERIFICATION ? ESP_ERR_MBEDTLS_SSL_HANDSHAKE_FAILED
                    : c->result == CURLE_SSL_CONNECT_ERROR        ? ESP_ERR_MBEDTLS_SSL_HANDSHAKE_FAILED
                                                                  : ESP_OK;
    if (esp_tls_error_code != NULL)
        *esp_tls_error_code = err ? (int)c->result : 0;
    if (esp_tls_flags != NULL)
        *esp_tls_flags = (int)verified;
    c->result = CURLE_OK;
    return err;
}
