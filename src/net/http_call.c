#include "net/http_call.h"

#include <curl/curl.h>
#include <string.h>
#include <unistd.h>

/* The option was renamed in 7.85; Ubuntu 22.04 has 7.81. */
#if LIBCURL_VERSION_NUM >= 0x075500
#define ALLOW_HTTP_ONLY(curl) curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https")
#else
#define ALLOW_HTTP_ONLY(curl) curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS))
#endif

#define ANSWER_MAX (64 * 1024 * 1024)
#define CONNECT_MS 10000L
#define STALL_S    60L

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct buf *to = user;
    if (to->len + size * count > ANSWER_MAX)
        return 0;
    buf_add(to, data, size * count);
    return to->is_failed ? 0 : size * count;
}

static size_t on_read(char *to, size_t size, size_t count, void *user)
{
    const struct http_call *call = user;
    ssize_t n = read(call->body_fd, to, size * count);
    return n < 0 ? CURL_READFUNC_ABORT : (size_t)n;
}

static int on_progress(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    const struct http_call *call = user;
    (void)down_total, (void)down;
    call->on_progress(call->progress_arg, up, up_total);
    return 0;
}

static void set_body(CURL *curl, const struct http_call *call)
{
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    if (call->body_fd >= 0) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl, CURLOPT_READDATA, call);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_len);
    } else if (call->body.at != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.at);
    }
    if (call->on_progress != NULL) {
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, call);
    }
}

enum err http_call(const struct http_call *call, struct http_answer *answer, struct why *why)
{
    char text[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    long status = 0;
    *answer = (struct http_answer){0};
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for a request");
    for (int i = 0; i < HTTP_CALL_HEADERS && call->headers[i] != NULL; i++)
        headers = curl_slist_append(headers, call->headers[i]);
    headers = curl_slist_append(headers, "Expect:"); /* an upload need not wait for the server's permission */
    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    ALLOW_HTTP_ONLY(curl);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALL_S);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer->body);
    if (call->ca_file != NULL && *call->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
    set_body(curl, call);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    answer->status = (int)status;
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (rc == CURLE_OK)
        return ERR_NONE;
    buf_deinit(&answer->body);
    return why_set(why, ERR_NETWORK, "%s %.120s: %s", call->method, call->url, text[0] ? text : curl_easy_strerror(rc));
}

void http_escape(struct buf *to, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                        strchr("-_.~", *c) != NULL;
        buf_addf(to, is_plain ? "%c" : "%%%02X", *c);
    }
}
