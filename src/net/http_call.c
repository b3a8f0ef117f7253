#include "net/http_call.h"

#include "net/curl_lib.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* The option was renamed in 7.85; Ubuntu 22.04 has 7.81. */
#if LIBCURL_VERSION_NUM >= 0x075500
#define ALLOW_HTTP_ONLY(lib, curl) (lib)->easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https")
#else
#define ALLOW_HTTP_ONLY(lib, curl) (lib)->easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS))
#endif

#define ANSWER_MAX (64 * 1024 * 1024)
#define CONNECT_MS 10000L
#define STALL_S    60L

struct body_taker {
    const struct curl_lib *lib;
    CURL *curl;
    int fd; /* 0: into memory */
    struct buf *to;
};

static bool goes_to_file(const struct body_taker *t)
{
    long status = 0;
    t->lib->easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    return t->fd > 0 && status >= 200 && status < 300;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    const struct body_taker *t = user;
    struct buf *to = t->to;
    if (goes_to_file(t))
        return write(t->fd, data, size * count) == (ssize_t)(size * count) ? size * count : 0;
    if (to->len + size * count > ANSWER_MAX)
        return 0;
    buf_add(to, data, size * count);
    return to->is_failed ? 0 : size * count;
}

struct header_taker {
    const struct http_call *call;
    struct http_answer *answer;
};

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    const struct header_taker *t = user;
    size_t len = size * count, name = strlen(t->call->wanted);
    if (len > name + 1 && strncasecmp(data, t->call->wanted, name) == 0 && data[name] == ':') {
        const char *from = data + name + 1, *end = data + len;
        while (from < end && *from == ' ')
            from++;
        while (end > from && (end[-1] == '\r' || end[-1] == '\n'))
            end--;
        snprintf(t->answer->wanted, sizeof t->answer->wanted, "%.*s", (int)(end - from), from);
    }
    return len;
}

struct body_reader {
    int fd;
    int64_t left;
};

static size_t on_read(char *to, size_t size, size_t count, void *user)
{
    struct body_reader *r = user;
    size_t most = size * count;
    ssize_t n = read(r->fd, to, (int64_t)most < r->left ? most : (size_t)r->left);
    r->left -= n > 0 ? n : 0;
    return n < 0 ? CURL_READFUNC_ABORT : (size_t)n;
}

static int on_progress(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    const struct http_call *call = user;
    (void)down_total, (void)down;
    call->on_progress(call->progress_arg, up, up_total);
    return 0;
}

/* By the address, after names were looked up: a name may lead anywhere. */
static bool is_own_host(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        uint32_t ip = ntohl(in->sin_addr.s_addr);
        return ip >> 24 == 127 || ip >> 24 == 0 || ip >> 16 == 0xa9fe;
    }
    const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
    return address->sa_family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(&in->sin6_addr) ||
           IN6_IS_ADDR_LINKLOCAL(&in->sin6_addr) || IN6_IS_ADDR_V4MAPPED(&in->sin6_addr) ||
           IN6_IS_ADDR_UNSPECIFIED(&in->sin6_addr);
}

static curl_socket_t open_guarded(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)user, (void)purpose;
    return is_own_host(&address->addr) ? CURL_SOCKET_BAD
                                       : socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void set_body(const struct curl_lib *lib, CURL *curl, const struct http_call *call, struct body_reader *reader)
{
    lib->easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    if (call->body_fd >= 0) {
        lib->easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        lib->easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        lib->easy_setopt(curl, CURLOPT_READDATA, reader);
        lib->easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_len);
    } else if (call->body.at != NULL) {
        lib->easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        lib->easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.at);
    }
    if (call->on_progress != NULL) {
        lib->easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        lib->easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        lib->easy_setopt(curl, CURLOPT_XFERINFODATA, call);
    }
}

enum err http_call(const struct http_call *call, struct http_answer *answer, struct why *why)
{
    char text[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    long status = 0;
    struct curl_lib lib;
    *answer = (struct http_answer){0};
    enum err err = curl_lib_open(&lib, why);
    if (err != ERR_NONE)
        return err;
    CURL *curl = lib.easy_init();
    if (curl == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for a request");
    for (int i = 0; i < HTTP_CALL_HEADERS && call->headers[i] != NULL; i++)
        headers = lib.slist_append(headers, call->headers[i]);
    headers = lib.slist_append(headers, "Expect:"); /* an upload need not wait for the server's permission */
    lib.easy_setopt(curl, CURLOPT_URL, call->url);
    lib.easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    ALLOW_HTTP_ONLY(&lib, curl);
    lib.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (call->timeout_ms > 0)
        lib.easy_setopt(curl, CURLOPT_TIMEOUT_MS, call->timeout_ms);
    if (call->refuses_own_hosts)
        lib.easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_guarded);
    lib.easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    lib.easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    lib.easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALL_S);
    lib.easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
    lib.easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    struct body_taker body = {&lib, curl, call->answer_fd, &answer->body};
    lib.easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    if (call->ca_file != NULL && *call->ca_file)
        lib.easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
    struct header_taker taker = {call, answer};
    if (call->wanted != NULL) {
        lib.easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
        lib.easy_setopt(curl, CURLOPT_HEADERDATA, &taker);
    }
    if (strcmp(call->method, "HEAD") == 0)
        lib.easy_setopt(curl, CURLOPT_NOBODY, 1L);
    struct body_reader reader = {call->body_fd, call->body_len};
    set_body(&lib, curl, call, &reader);
    CURLcode rc = lib.easy_perform(curl);
    lib.easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    answer->status = (int)status;
    lib.slist_free_all(headers);
    lib.easy_cleanup(curl);
    if (rc == CURLE_OK)
        return ERR_NONE;
    buf_deinit(&answer->body);
    return why_set(why, ERR_NETWORK, "%s %.120s: %s", call->method, call->url, text[0] ? text : lib.easy_strerror(rc));
}

void http_escape(struct buf *to, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                        strchr("-_.~", *c) != NULL;
        buf_addf(to, is_plain ? "%c" : "%%%02X", *c);
    }
}
