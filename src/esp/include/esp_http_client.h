/*
 * esp_http_client.h - ESP-IDF's HTTP client (ESP-IDF 5.5) over libcurl, as far as OTA uses it.
 */
#ifndef PLUVIO_ESP_ESP_HTTP_CLIENT_H
#define PLUVIO_ESP_ESP_HTTP_CLIENT_H

#include "esp_err.h"

#include <stdbool.h>

#define ESP_ERR_HTTP_BASE                  0x7000
#define ESP_ERR_HTTP_MAX_REDIRECT          0x7001
#define ESP_ERR_HTTP_CONNECT               0x7002
#define ESP_ERR_HTTP_WRITE_DATA            0x7003
#define ESP_ERR_HTTP_FETCH_HEADER          0x7004
#define ESP_ERR_HTTP_INVALID_TRANSPORT     0x7005
#define ESP_ERR_HTTP_CONNECTING            0x7006
#define ESP_ERR_HTTP_EAGAIN                0x7007
#define ESP_ERR_HTTP_CONNECTION_CLOSED     0x7008
#define ESP_ERR_HTTP_NOT_MODIFIED          0x7009
#define ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE 0x700a
#define ESP_ERR_HTTP_READ_TIMEOUT          0x700b
#define ESP_ERR_HTTP_INCOMPLETE_DATA       0x700c

typedef struct esp_http_client *esp_http_client_handle_t;
typedef struct esp_http_client_event *esp_http_client_event_handle_t;

typedef enum {
    HTTP_EVENT_ERROR = 0,
    HTTP_EVENT_ON_CONNECTED,
    HTTP_EVENT_HEADERS_SENT,
    HTTP_EVENT_HEADER_SENT = HTTP_EVENT_HEADERS_SENT,
    HTTP_EVENT_ON_HEADER,
    HTTP_EVENT_ON_DATA,
    HTTP_EVENT_ON_FINISH,
    HTTP_EVENT_DISCONNECTED,
    HTTP_EVENT_REDIRECT
} esp_http_client_event_id_t;

typedef struct esp_http_client_event {
    esp_http_client_event_id_t event_id;
    esp_http_client_handle_t client;
    void *data;
    int data_len;
    void *user_data;
    char *header_key;
    char *header_value;
} esp_http_client_event_t;

typedef esp_err_t (*http_event_handle_cb)(esp_http_client_event_t *evt);

typedef enum {
    HTTP_TRANSPORT_UNKNOWN = 0,
    HTTP_TRANSPORT_OVER_TCP,
    HTTP_TRANSPORT_OVER_SSL
} esp_http_client_transport_t;
typedef enum { HTTP_AUTH_TYPE_NONE = 0, HTTP_AUTH_TYPE_BASIC, HTTP_AUTH_TYPE_DIGEST } esp_http_client_auth_type_t;
typedef enum {
    HTTP_METHOD_GET = 0,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_HEAD
} esp_http_client_method_t;

typedef enum {
    HttpStatus_Ok = 200,
    HttpStatus_PartialContent = 206,
    HttpStatus_NotModified = 304,
    HttpStatus_BadRequest = 400,
    HttpStatus_Unauthorized = 401,
    HttpStatus_Forbidden = 403,
    HttpStatus_NotFound = 404,
    HttpStatus_RangeNotSatisfiable = 416,
    HttpStatus_InternalError = 500
} HttpStatus_Code;

typedef struct {
    const char *url;
    const char *host;
    int port;
    const char *username;
    const char *password;
    esp_http_client_auth_type_t auth_type;
    const char *path;
    const char *query;
    const char *cert_pem;
    size_t cert_len;
    const char *client_cert_pem;
    size_t client_cert_len;
    const char *client_key_pem;
    size_t client_key_len;
    const char *user_agent;
    esp_http_client_method_t method;
    int timeout_ms;
    bool disable_auto_redirect;
    int max_redirection_count;
    int max_authorization_retries;
    http_event_handle_cb event_handler;
    esp_http_client_transport_t transport_type;
    int buffer_size;
    int buffer_size_tx;
    void *user_data;
    bool is_async;
    bool use_global_ca_store;
    bool skip_cert_common_name_check;
    const char *common_name;
    esp_err_t (*crt_bundle_attach)(void *conf);
    bool keep_alive_enable;
    int keep_alive_idle;
    int keep_alive_interval;
    int keep_alive_count;
} esp_http_client_config_t;

#ifdef __cplusplus
extern "C" {
#endif

/* The configuration's strings are copied where the client keeps them. */
esp_http_client_handle_t esp_http_client_init(const esp_http_client_config_t *config);
/* Sends the request; the answer's headers come with fetch_headers, its body with read. */
esp_err_t esp_http_client_open(esp_http_client_handle_t client, int write_len);
/* Content-Length, 0 for chunked answers, negative on error. */
int64_t esp_http_client_fetch_headers(esp_http_client_handle_t client);
/* Bytes read, 0 at the end, -ESP_ERR_HTTP_EAGAIN when nothing came within the timeout, -1 on error. */
int esp_http_client_read(esp_http_client_handle_t client, char *buffer, int len);
esp_err_t esp_http_client_close(esp_http_client_handle_t client);
esp_err_t esp_http_client_cleanup(esp_http_client_handle_t client);
esp_err_t esp_http_client_set_header(esp_http_client_handle_t client, const char *key, const char *value);
esp_err_t esp_http_client_delete_header(esp_http_client_handle_t client, const char *key);
int esp_http_client_get_status_code(esp_http_client_handle_t client);
/* -1 for chunked answers. */
int64_t esp_http_client_get_content_length(esp_http_client_handle_t client);
bool esp_http_client_is_complete_data_received(esp_http_client_handle_t client);
int esp_http_client_get_errno(esp_http_client_handle_t client);

#ifdef __cplusplus
}
#endif

#endif
