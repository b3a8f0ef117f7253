/* http_client.h - what the HTTP client's files share: the client itself. */
#ifndef PLUVIO_ESP_HTTP_CLIENT_H
#define PLUVIO_ESP_HTTP_CLIENT_H

#include "base/buf.h"
#include "esp/include/esp_http_client.h"

#include <curl/curl.h>

struct header {
    char *key, *value;
    struct header *next;
};

struct esp_http_client {
    CURL *easy;
    CURLM *multi;
    char *url, *username, *password;
    esp_http_client_method_t method;
    esp_http_client_auth_type_t auth_type;
    struct header *headers;
    struct curl_slist *sent_headers;
    const char *post;
    int post_len;
    int timeout_ms, max_redirects, max_auth, redirects, auths;
    bool follows;
    http_event_handle_cb handler;
    void *user_data;
    CURLU *resolver;
    struct curl_slist *connect_to; /* for common_name */
    /* the request that runs */
    bool is_open, is_connected, is_sent, is_done, is_paused, has_head, is_chunked, keeps_alive, has_digest_round;
    int write_len; /* as open() was told */
    struct buf up; /* to be sent */
    size_t up_taken;
    bool is_up_paused, is_up_done;
    struct buf kept; /* of the body */
    size_t taken;
    int64_t received, length, range_total;
    char *location, *challenge;
    CURLcode result;
};

/* Replaces a text by a copy of another one; NULL is none. */
void http_set_text(char **to, const char *value);

/* Certificates, keys, versions and names, as the configuration has them. */
void http_set_tls(struct esp_http_client *c, const esp_http_client_config_t *config);

#endif
