#include "pluviod/http.h"

#include "base/text.h"
#include "pluviod/system.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WORKERS          2
#define LISTENER_THREADS 2           /* of each listener */
#define FILE_BLOCK       (64 * 1024) /* larger than a TLS record, so that downloads run at full speed */
#define CONNECTION_POOL  (12 * 1024)
#define STREAM_BLOCK     1024
#define CONNECTIONS_MAX  16384
#define IDLE_S           60
#define HEARTBEAT_S      15 /* a suspended stream does not notice that its client left */
#define TLS_PRIORITIES                                                                                                 \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"             \
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%SERVER_PRECEDENCE"

struct listener {
    struct http *http;
    enum rest_listener kind;
    struct MHD_Daemon *daemon;
};

/* One request, from its headers to its last byte. */
struct exchange {
    struct http *http;
    struct listener *listener;
    struct MHD_Connection *connection;
    struct rest_request request;
    struct rest_response response;
    const struct rest_route *route;
    struct buf body;
    int body_fd;
    char method[16], path[1024], node_id[NODE_ID_SIZE], address[INET_ADDRSTRLEN], body_file[600];
    bool is_too_big, has_io_error, is_handled;
    struct exchange *next; /* in the workers' queue */
};

/* One event stream. */
struct stream {
    struct http *http;
    struct MHD_Connection *connection;
    int64_t after;
    struct buf waiting;
    struct fleet_view *view; /* NULL: everything */
    size_t sent;
    time_t beat_at;
    bool is_suspended, is_rung;
    struct stream *next;
};

struct http {
    struct http_config config;
    struct listener listeners[3];
    pthread_mutex_t lock; /* queue and streams */
    pthread_cond_t work, rung;
    struct exchange *first, *last;
    struct stream *streams;
    pthread_t workers[WORKERS], ringer;
    unsigned worker_count;
    bool is_stopping, is_rung, has_ringer;
    atomic_uint next_body;
    pthread_mutex_t trust_lock;
    gnutls_x509_trust_list_t trust; /* whose nodes are let in */
};

/* --- request as rest sees it ------------------------------------------------------------------ */

static const struct exchange *exchange_of(const struct rest_request *q)
{
    return (const struct exchange *)(const void *)((const char *)q - offsetof(struct exchange, request));
}

static const char *get_query(const struct rest_request *q, const char *name)
{
    return MHD_lookup_connection_value(exchange_of(q)->connection, MHD_GET_ARGUMENT_KIND, name);
}

static const char *get_header(const struct rest_request *q, const char *name)
{
    return MHD_lookup_connection_value(exchange_of(q)->connection, MHD_HEADER_KIND, name);
}

/* Against the authorities as they are now, which the library's own list is not. */
static bool is_trusted(struct http *h, gnutls_x509_crt_t cert)
{
    unsigned status = 1;
    pthread_mutex_lock(&h->trust_lock);
    bool is_good =
        h->trust != NULL && gnutls_x509_trust_list_verify_crt(h->trust, &cert, 1, 0, &status, NULL) == 0 && status == 0;
    pthread_mutex_unlock(&h->trust_lock);
    return is_good;
}

/* The verified certificate's common name; false when there is none or no authority of ours signed it. */
static bool read_node_id(struct http *h, struct MHD_Connection *connection, char *to, size_t size)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    unsigned count = 0;
    gnutls_x509_crt_t cert;
    const gnutls_datum_t *chain = info ? gnutls_certificate_get_peers(info->tls_session, &count) : NULL;
    if (chain == NULL || count == 0 || gnutls_x509_crt_init(&cert) != 0)
        return false;
    bool is_good = gnutls_x509_crt_import(cert, chain, GNUTLS_X509_FMT_DER) == 0 && is_trusted(h, cert) &&
                   gnutls_x509_crt_get_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, 0, to, &size) == 0;
    gnutls_x509_crt_deinit(cert);
    return is_good;
}

static void read_address(struct MHD_Connection *connection, char *to, size_t size)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr_in *in = info ? (const struct sockaddr_in *)(const void *)info->client_addr : NULL;
    if (in == NULL || in->sin_family != AF_INET || inet_ntop(AF_INET, &in->sin_addr, to, (socklen_t)size) == NULL)
        to[0] = '\0';
}

static struct exchange *new_exchange(struct listener *l, struct MHD_Connection *connection, const char *method,
                                     const char *path)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    x->http = l->http;
    x->listener = l;
    x->connection = connection;
    x->body_fd = -1;
    text_copy(x->method, sizeof x->method, method);
    text_copy(x->path, sizeof x->path, path);
    snprintf(x->body_file, sizeof x->body_file, "%s/body-%u", l->http->config.upload_folder,
             atomic_fetch_add(&l->http->next_body, 1));
    read_address(connection, x->address, sizeof x->address);
    x->request = (struct rest_request){.method = x->method,
                                       .address = x->address[0] ? x->address : NULL,
                                       .path = x->path,
                                       .listener = l->kind,
                                       .query = get_query,
                                       .header = get_header,
                                       .body_file = x->body_file,
                                       .now = system_now()};
    if (l->kind == REST_NODES && read_node_id(l->http, connection, x->node_id, sizeof x->node_id))
        x->request.node_id = x->node_id;
    rest_response_init(&x->response);
    return x;
}

static void free_exchange(struct exchange *x)
{
    if (x->body_fd >= 0)
        close(x->body_fd);
    if (x->route != NULL && x->route->body >= REST_BODY_BASE64)
        unlink(x->body_file); /* an upload that was cut leaves nothing */
    rest_response_deinit(&x->response);
    buf_deinit(&x->body);
    free(x);
}

/* --- answers ---------------------------------------------------------------------------------- */

struct file_part {
    int fd;
    int64_t at;
};

static ssize_t read_file_part(void *cls, uint64_t at, char *to, size_t max)
{
    struct file_part *part = cls;
    ssize_t n = pread(part->fd, to, max, (off_t)(part->at + (int64_t)at));
    return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_file_part(void *cls)
{
    struct file_part *part = cls;
    close(part->fd);
    free(part);
}

static struct MHD_Response *part_response(struct rest_response *p)
{
    struct file_part *part = malloc(sizeof *part);
    if (part == NULL)
        return NULL;
    *part = (struct file_part){p->file_fd, p->file_at};
    p->file_fd = -1;
    struct MHD_Response *r =
        MHD_create_response_from_callback((uint64_t)p->file_len, FILE_BLOCK, read_file_part, part, free_file_part);
    if (r == NULL)
        free_file_part(part);
    return r;
}

/* The kernel's own: nothing passes through here. */
static struct MHD_Response *sendfile_response(struct rest_response *p)
{
    struct MHD_Response *r =
        MHD_create_response_from_fd_at_offset64((uint64_t)p->file_len, p->file_fd, (uint64_t)p->file_at);
    if (r != NULL)
        p->file_fd = -1; /* the library closes it */
    return r;
}

static struct MHD_Response *file_response(struct rest_response *p, bool is_tls)
{
    struct MHD_Response *r = is_tls ? part_response(p) : sendfile_response(p);
    if (r != NULL && p->status == 206) {
        char range[80];
        snprintf(range, sizeof range, "bytes %" PRId64 "-%" PRId64 "/%" PRId64, p->file_at,
                 p->file_at + p->file_len - 1, p->file_size);
        MHD_add_response_header(r, "Content-Range", range);
    }
    return r;
}

/* Called by libmicrohttpd when the stream may be written to; suspends the connection when there is nothing to say. */
static ssize_t read_stream(void *cls, uint64_t at, char *to, size_t max)
{
    struct stream *s = cls;
    struct why why = {{0}};
    (void)at;
    for (;;) {
        if (s->sent < s->waiting.len) {
            size_t n = s->waiting.len - s->sent < max ? s->waiting.len - s->sent : max;
            memcpy(to, s->waiting.at + s->sent, n);
            s->sent += n;
            return (ssize_t)n;
        }
        s->waiting.len = s->sent = 0;
        if (rest_stream(s->http->config.rest, s->view, &s->after, &s->waiting, &why) != ERR_NONE ||
            s->waiting.is_failed)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        time_t now = time(NULL);
        if (s->waiting.len == 0 && now - s->beat_at >= HEARTBEAT_S)
            buf_add_text(&s->waiting, ":hb\n\n");
        if (s->waiting.len > 0) {
            s->beat_at = now;
            continue;
        }
        pthread_mutex_lock(&s->http->lock);
        bool is_over = s->http->is_stopping, is_rung = s->is_rung;
        s->is_rung = false;
        if (!is_over && !is_rung) {
            s->is_suspended = true;
            MHD_suspend_connection(s->connection);
        }
        pthread_mutex_unlock(&s->http->lock);
        if (is_over)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (!is_rung)
            return 0;
    }
}

static void free_stream(void *cls)
{
    struct stream *s = cls;
    pthread_mutex_lock(&s->http->lock);
    for (struct stream **at = &s->http->streams; *at != NULL; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            break;
        }
    pthread_mutex_unlock(&s->http->lock);
    buf_deinit(&s->waiting);
    free(s->view);
    free(s);
}

static struct MHD_Response *stream_response(struct exchange *x)
{
    struct fleet_view view;
    struct stream *s = calloc(1, sizeof *s);
    bool has_view = rest_view(x->http->config.rest, &x->request, &view);
    struct fleet_view *kept = has_view ? malloc(sizeof *kept) : NULL; /* most streams see everything */
    if (s == NULL || (has_view && kept == NULL)) {
        free(s);
        free(kept);
        return NULL;
    }
    if (has_view)
        *kept = view;
    *s = (struct stream){.http = x->http,
                         .connection = x->connection,
                         .view = kept,
                         .after = x->response.stream_after,
                         .beat_at = time(NULL)};
    buf_add_text(&s->waiting, ": welcome\n\n"); /* so that proxies and clients see the stream open at once */
    pthread_mutex_lock(&x->http->lock);
    s->next = x->http->streams;
    x->http->streams = s;
    pthread_mutex_unlock(&x->http->lock);
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, s, free_stream);
    if (r == NULL)
        free_stream(s);
    else
        MHD_add_response_header(r, "X-Accel-Buffering", "no");
    return r;
}

static struct MHD_Response *body_response(struct rest_response *p)
{
    if (p->page.at != NULL)
        return MHD_create_response_from_buffer(p->page.len, (void *)(uintptr_t)p->page.at, MHD_RESPMEM_PERSISTENT);
    size_t len = p->body.len;
    char *text = buf_take(&p->body);
    return text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
}

static void add_headers(struct MHD_Response *r, const struct rest_response *p, enum rest_listener listener)
{
    if (listener == REST_PUBLIC)
        MHD_add_response_header(r, "Strict-Transport-Security", "max-age=31536000");
    MHD_add_response_header(r, "Content-Type", p->type);
    MHD_add_response_header(r, "Cache-Control", p->cache ? p->cache : "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (p->etag[0])
        MHD_add_response_header(r, "ETag", p->etag);
    if (p->location != NULL)
        MHD_add_response_header(r, "Location", p->location);
    if (p->cookie != NULL)
        MHD_add_response_header(r, "Set-Cookie", p->cookie);
    if (p->upload_offset >= 0) {
        char offset[24];
        snprintf(offset, sizeof offset, "%" PRId64, p->upload_offset);
        MHD_add_response_header(r, "Upload-Offset", offset);
    }
    if (p->file_size > 0)
        MHD_add_response_header(r, "Accept-Ranges", "bytes");
    if (p->page.at != NULL) {
        MHD_add_response_header(r, "Content-Security-Policy",
                                "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src "
                                "'self'; connect-src 'self'; "
                                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
        MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
        MHD_add_response_header(r, "Vary", "Accept-Encoding");
        if (p->is_page_gzip)
            MHD_add_response_header(r, "Content-Encoding", "gzip");
    } else
        MHD_add_response_header(r, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
}

static enum MHD_Result send_response(struct exchange *x)
{
    struct rest_response *p = &x->response;
    bool is_file = p->file_fd >= 0;
    struct MHD_Response *r = is_file              ? file_response(p, x->listener->kind != REST_LOCAL)
                             : p->is_event_stream ? stream_response(x)
                                                  : body_response(p);
    if (r == NULL)
        return MHD_NO;
    add_headers(r, p, x->listener->kind);
    enum MHD_Result rc = MHD_queue_response(x->connection, (unsigned)p->status, r);
    MHD_destroy_response(r);
    return rc;
}

/* --- workers ---------------------------------------------------------------------------------- */

static void *work(void *arg)
{
    struct http *h = arg;
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (h->first == NULL && !h->is_stopping)
            pthread_cond_wait(&h->work, &h->lock);
        struct exchange *x = h->first;
        if (x == NULL)
            break;
        h->first = x->next;
        pthread_mutex_unlock(&h->lock);
        rest_handle(h->config.rest, x->route, &x->request, &x->response);
        pthread_mutex_lock(&h->lock);
        x->is_handled = true;
        MHD_resume_connection(x->connection);
        pthread_mutex_unlock(&h->lock);
        rest_afterwards(h->config.rest, system_now());
        pthread_mutex_lock(&h->lock);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static void enqueue(struct exchange *x)
{
    struct http *h = x->http;
    pthread_mutex_lock(&h->lock);
    MHD_suspend_connection(x->connection);
    x->next = NULL;
    if (h->first == NULL)
        h->first = x;
    else
        h->last->next = x;
    h->last = x;
    pthread_cond_signal(&h->work);
    pthread_mutex_unlock(&h->lock);
}

/* --- streams' bell ---------------------------------------------------------------------------- */

static void wake_streams(struct http *h)
{
    for (struct stream *s = h->streams; s != NULL; s = s->next) {
        s->is_rung = !s->is_suspended;
        if (s->is_suspended) {
            s->is_suspended = false;
            MHD_resume_connection(s->connection);
        }
    }
}

static void *ring_streams(void *arg)
{
    struct http *h = arg;
    pthread_mutex_lock(&h->lock);
    while (!h->is_stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += HEARTBEAT_S;
        while (!h->is_rung && !h->is_stopping && pthread_cond_timedwait(&h->rung, &h->lock, &until) != ETIMEDOUT)
            ;
        h->is_rung = false;
        wake_streams(h);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

void http_ring(struct http *h)
{
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    h->is_rung = true;
    pthread_cond_signal(&h->rung);
    pthread_mutex_unlock(&h->lock);
}

/* --- libmicrohttpd's callbacks ---------------------------------------------------------------- */

static bool take_file_bytes(struct exchange *x, const char *data, size_t len)
{
    if (x->body_fd < 0)
        x->body_fd = open(x->body_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    while (x->body_fd >= 0 && len > 0) {
        ssize_t n = write(x->body_fd, data, len);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return x->body_fd >= 0;
}

/* What exceeds the limit is read and thrown away, so that the client can read the answer. */
static void take_body(struct exchange *x, const char *data, size_t len)
{
    x->request.body_file_len += (int64_t)len;
    x->is_too_big |= x->request.body_file_len > rest_body_max(x->route);
    if (x->is_too_big || x->has_io_error)
        buf_deinit(&x->body);
    else if (x->route->body == REST_BODY_FILE)
        x->has_io_error = !take_file_bytes(x, data, len);
    else
        buf_add(&x->body, data, len);
}

static enum MHD_Result refuse(struct exchange *x, enum err err, const char *text)
{
    struct why why;
    text_copy(why.text, sizeof why.text, text);
    rest_fail(&x->response, err, &why);
    return send_response(x);
}

static enum MHD_Result end_of_body(struct exchange *x)
{
    char text[120];
    snprintf(text, sizeof text, "the body has more than the %" PRId64 " bytes that this path takes",
             rest_body_max(x->route));
    if (x->is_too_big)
        return refuse(x, x->route->body == REST_BODY_FILE ? ERR_IMAGE_200MB : ERR_TOO_BIG, text);
    if (x->has_io_error || x->body.is_failed)
        return refuse(x, ERR_NO_SPACE, "the body could not be kept: is the disk full?");
    if (x->route->body == REST_BODY_FILE && x->body_fd < 0 && !take_file_bytes(x, "", 0))
        return refuse(x, ERR_NO_SPACE, "the body could not be kept: is the disk full?");
    if (x->body_fd >= 0)
        close(x->body_fd);
    x->body_fd = -1;
    x->request.body = buf_bytes(&x->body);
    if (x->route->is_quick) {
        rest_handle(x->http->config.rest, x->route, &x->request, &x->response);
        return send_response(x);
    }
    enqueue(x);
    return MHD_YES;
}

static bool announces_too_much(struct exchange *x)
{
    const char *length = get_header(&x->request, "Content-Length");
    return length != NULL && strtoll(length, NULL, 10) > rest_body_max(x->route) && x->route->body != REST_NO_BODY;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *data, size_t *len, void **con_cls)
{
    struct exchange *x = *con_cls;
    (void)version;
    if (x == NULL) {
        x = *con_cls = new_exchange(cls, connection, method, path);
        if (x == NULL)
            return MHD_NO;
        x->route = rest_find(x->http->config.rest, &x->request, &x->response);
        if (x->route == NULL)
            return send_response(x);
        if (announces_too_much(x)) {
            x->is_too_big = true;
            return end_of_body(x);
        }
        return MHD_YES;
    }
    if (x->is_handled)
        return send_response(x);
    if (*len > 0) {
        take_body(x, data, *len);
        *len = 0;
        return MHD_YES;
    }
    return end_of_body(x);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls, (void)connection, (void)code;
    if (*con_cls != NULL)
        free_exchange(*con_cls);
    *con_cls = NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

static char *read_text(const char *path)
{
    struct buf text = {0};
    char chunk[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && (n = read(fd, chunk, sizeof chunk)) > 0;)
        buf_add(&text, chunk, (size_t)n);
    if (fd >= 0)
        close(fd);
    return buf_take(&text);
}

void http_trust_changed(struct http *h)
{
    gnutls_x509_trust_list_t list = NULL, old;
    char *text = read_text(h->config.ca_path);
    const gnutls_datum_t pem = {(unsigned char *)text, text ? (unsigned)strlen(text) : 0};
    bool is_good = text != NULL && gnutls_x509_trust_list_init(&list, 0) == 0 &&
                   gnutls_x509_trust_list_add_trust_mem(list, &pem, NULL, GNUTLS_X509_FMT_PEM, 0, 0) > 0;
    free(text);
    if (!is_good) {
        log_line(h->config.log, LOG_ERROR, "http", "%s cannot be read: the authorities stay as they were",
                 h->config.ca_path);
        if (list != NULL)
            gnutls_x509_trust_list_deinit(list, 1);
        return;
    }
    pthread_mutex_lock(&h->trust_lock);
    old = h->trust;
    h->trust = list;
    pthread_mutex_unlock(&h->trust_lock);
    if (old != NULL)
        gnutls_x509_trust_list_deinit(old, 1);
}

static void on_library_log(void *cls, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void on_library_log(void *cls, const char *format, va_list args)
{
    struct http *h = cls;
    char text[200];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    log_line(h->config.log, LOG_DEBUG, "http", "%s", text);
}

static enum err listen_on(struct http *h, enum rest_listener kind, const char *address, int port, struct why *why)
{
    struct listener *l = &h->listeners[kind];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    *l = (struct listener){h, kind, NULL};
    if (port == 0)
        return ERR_NONE;
    if (inet_pton(AF_INET, address, &in.sin_addr) != 1)
        return why_set(why, ERR_CONFIG, "%s is no IPv4 address to listen on", address);
    bool is_tls = kind != REST_LOCAL;
    char *cert = is_tls ? read_text(h->config.cert_path) : NULL, *key = is_tls ? read_text(h->config.key_path) : NULL,
         *ca = kind == REST_NODES ? read_text(h->config.ca_path) : NULL;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, key},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, cert},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {kind == REST_NODES ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, ca},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (is_tls ? MHD_USE_TLS : 0u);
    l->daemon = MHD_start_daemon(
        flags, (uint16_t)port, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, h,
        MHD_OPTION_SOCK_ADDR, &in, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)LISTENER_THREADS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_POOL, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)1024, MHD_OPTION_ARRAY, is_tls ? tls : none, MHD_OPTION_END);
    int saved = errno;
    free(cert);
    free(key);
    free(ca);
    if (l->daemon == NULL)
        return why_set(why, ERR_NETWORK, "listen on %s port %d: %s", address, port,
                       saved ? strerror(saved) : "TLS set-up failed");
    return ERR_NONE;
}

#define UPLOAD_KEPT_S 86400 /* an announced upload whose confirmation never came */

static bool is_left_over(int folder, const char *name)
{
    struct stat st;
    bool is_cut = strncmp(name, "body-", 5) == 0; /* under way when we were killed */
    bool is_old = fstatat(folder, name, &st, 0) == 0 && time(NULL) - st.st_mtime > UPLOAD_KEPT_S;
    return is_cut || (strncmp(name, "upload-", 7) == 0 && is_old);
}

static enum err tidy_uploads(const char *path, struct why *why)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return why_set(why, ERR_IO, "make the folder %s: %s", path, strerror(errno));
    DIR *folder = opendir(path);
    for (struct dirent *e; folder != NULL && (e = readdir(folder)) != NULL;)
        if (is_left_over(dirfd(folder), e->d_name))
            unlinkat(dirfd(folder), e->d_name, 0);
    if (folder != NULL)
        closedir(folder);
    return ERR_NONE;
}

enum err http_start(struct http **http, const struct http_config *config, struct why *why)
{
    struct http *h = calloc(1, sizeof *h);
    if (h == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for the HTTP server");
    *http = h;
    h->config = *config;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->work, NULL);
    pthread_cond_init(&h->rung, NULL);
    pthread_mutex_init(&h->trust_lock, NULL);
    http_trust_changed(h);
    enum err err = tidy_uploads(config->upload_folder, why);
    for (; err == ERR_NONE && h->worker_count < WORKERS; h->worker_count++)
        if (pthread_create(&h->workers[h->worker_count], NULL, work, h) != 0)
            err = why_set(why, ERR_NO_MEMORY, "no thread for the HTTP server");
    if (err == ERR_NONE)
        h->has_ringer = pthread_create(&h->ringer, NULL, ring_streams, h) == 0;
    if (err == ERR_NONE)
        err = listen_on(h, REST_PUBLIC, config->address, config->https_port, why);
    if (err == ERR_NONE)
        err = listen_on(h, REST_LOCAL, config->http_address, config->http_port, why);
    if (err == ERR_NONE)
        err = listen_on(h, REST_NODES, config->address, config->node_port, why);
    return err;
}

void http_stop(struct http *h)
{
    if (h == NULL)
        return;
    for (int i = 0; i < 3; i++)
        if (h->listeners[i].daemon != NULL) {
            int fd = MHD_quiesce_daemon(h->listeners[i].daemon);
            if (fd >= 0)
                close(fd);
        }
    pthread_mutex_lock(&h->lock);
    h->is_stopping = true;
    wake_streams(h); /* libmicrohttpd wants nothing suspended when it stops */
    pthread_cond_broadcast(&h->work);
    pthread_cond_broadcast(&h->rung);
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->worker_count; i++)
        pthread_join(h->workers[i], NULL);
    if (h->has_ringer)
        pthread_join(h->ringer, NULL);
    for (int i = 0; i < 3; i++)
        if (h->listeners[i].daemon != NULL)
            MHD_stop_daemon(h->listeners[i].daemon);
    if (h->trust != NULL)
        gnutls_x509_trust_list_deinit(h->trust, 1);
    free(h);
}
