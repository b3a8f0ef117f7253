#include "odd_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct odd_server {
    int listener, port;
    pthread_t thread;
    SSL_CTX *tls;
    pthread_mutex_t lock;
    struct odd_script script;
    int requests, redirected;
    char last[4096];
    atomic_int connections;
    atomic_bool is_over;
};

struct connection {
    struct odd_server *server;
    int fd;
    SSL *ssl;
};

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static bool send_all(struct connection *c, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n =
            c->ssl ? SSL_write(c->ssl, at, (int)(len < 16000 ? len : 16000)) : send(c->fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static ssize_t receive(struct connection *c, char *to, size_t size)
{
    return c->ssl ? SSL_read(c->ssl, to, (int)size) : recv(c->fd, to, size, 0);
}

/* A body is read to its end before anything is answered, and dropped. */
static bool drop_body(struct connection *c, const char *head, size_t have)
{
    const char *length = strstr(head, "Content-Length: "), *body = strstr(head, "\r\n\r\n") + 4;
    char dropped[512];
    long left = length && length < body ? strtol(length + 16, NULL, 10) - (long)(have - (size_t)(body - head)) : 0;
    while (left > 0) {
        ssize_t n = receive(c, dropped, left < (long)sizeof dropped ? (size_t)left : sizeof dropped);
        if (n <= 0)
            return false;
        left -= n;
    }
    return true;
}

static bool read_head(struct connection *c, char *to, size_t size)
{
    size_t have = 0;
    while (have + 1 < size) {
        ssize_t n = receive(c, to + have, size - 1 - have);
        if (n <= 0)
            return false;
        have += (size_t)n;
        to[have] = '\0';
        if (strstr(to, "\r\n\r\n") != NULL)
            return drop_body(c, to, have);
    }
    return false;
}

static void wait_for_end(struct connection *c)
{
    char byte;
    while (!atomic_load(&c->server->is_over)) {
        ssize_t n = recv(c->fd, &byte, 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return;
        pause_ms(2);
    }
}

/* The body, as the script has it.  False ends the connection. */
static bool send_body(struct connection *c, const struct odd_script *s, struct bytes body)
{
    size_t at = s->at < body.len ? s->at : body.len;
    char line[32];
    switch (s->body) {
    case BODY_WHOLE:
    case BODY_UNTIL_CLOSE:
        return send_all(c, body.at, body.len) && s->body == BODY_WHOLE;
    case BODY_CUT:
        send_all(c, body.at, at);
        return false;
    case BODY_RESET: {
        struct linger hard = {1, 0};
        send_all(c, body.at, at);
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        return false;
    }
    case BODY_STALL:
        send_all(c, body.at, at);
        wait_for_end(c);
        return false;
    case BODY_DRIP:
        for (size_t i = 0; i < body.len && i < 2000; i++)
            send_all(c, body.at + i, 1);
        return body.len <= 2000 || send_all(c, body.at + 2000, body.len - 2000);
    case BODY_PAUSE:
        send_all(c, body.at, at);
        pause_ms(20);
        return send_all(c, body.at + at, body.len - at);
    case BODY_CHUNKED:
    case BODY_CHUNKED_CUT:
        for (size_t done = 0; done < body.len; done += 1000) {
            size_t n = body.len - done < 1000 ? body.len - done : 1000;
            snprintf(line, sizeof line, "%zx\r\n", n);
            if (!send_all(c, line, strlen(line)) || !send_all(c, body.at + done, n) || !send_all(c, "\r\n", 2))
                return false;
        }
        return s->body == BODY_CHUNKED && send_all(c, "0\r\n\r\n", 5);
    }
    return false;
}

static bool answer_range(const struct odd_script *s, const char *head, struct bytes *body, char *line, size_t size)
{
    unsigned long from = 0, to = 0;
    const char *range = strstr(head, "Range: bytes=");
    if (range == NULL || s->ignores_range)
        return false;
    int n = sscanf(range, "Range: bytes=%lu-%lu", &from, &to);
    size_t end = n == 2 && to + 1 < s->content.len ? to + 1 : s->content.len;
    if (n < 1 || from >= s->content.len)
        return false;
    *body = bytes_of(s->content.at + from, end - from);
    snprintf(line, size, "Content-Range: bytes %lu-%zu/%zu\r\n", from, end - 1, s->content.len);
    return true;
}

static bool answer(struct connection *c, const struct odd_script *s, const char *head, bool is_redirected)
{
    char range[96] = "", text[1024];
    struct bytes body = s->content;
    bool is_head = strncmp(head, "HEAD", 4) == 0;
    bool is_range = answer_range(s, head, &body, range, sizeof range);
    int status = is_redirected                                                     ? s->status
                 : s->needs_authorization && !strstr(head, s->needs_authorization) ? 401
                 : is_head && s->refuses_head                                      ? 405
                 : s->status && s->redirects == 0                                  ? s->status
                 : is_range                                                        ? 206
                                                                                   : 200;
    bool has_body = status == 200 || status == 206;
    bool has_length = s->body != BODY_CHUNKED && s->body != BODY_CHUNKED_CUT && s->body != BODY_UNTIL_CLOSE;
    if (!has_body)
        body.len = 0;
    if (s->has_stalled_head) {
        wait_for_end(c);
        return false;
    }
    int n = snprintf(text, sizeof text, "HTTP/1.1 %d Odd\r\n%s%s", status, range,
                     s->keeps_alive ? "" : "Connection: close\r\n");
    if (has_length || !has_body)
        n += snprintf(text + n, sizeof text - (size_t)n, "Content-Length: %ld\r\n",
                      (long)body.len + (has_body ? s->length_off : 0));
    else if (s->body != BODY_UNTIL_CLOSE)
        n += snprintf(text + n, sizeof text - (size_t)n, "Transfer-Encoding: chunked\r\n");
    if (is_redirected && s->location != NULL)
        n += snprintf(text + n, sizeof text - (size_t)n, "Location: %s\r\n", s->location);
    if (status == 401)
        n += snprintf(text + n, sizeof text - (size_t)n, "WWW-Authenticate: Basic realm=\"odd\"\r\n");
    n += snprintf(text + n, sizeof text - (size_t)n, "%s\r\n", s->extra_header ? s->extra_header : "");
    if (!send_all(c, text, (size_t)n))
        return false;
    return (is_head || !has_body || send_body(c, s, body)) && s->keeps_alive;
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    struct odd_server *server = c->server;
    char head[4096];
    bool goes_on = c->ssl == NULL || SSL_accept(c->ssl) == 1;
    while (goes_on && read_head(c, head, sizeof head)) {
        pthread_mutex_lock(&server->lock);
        struct odd_script script = server->script;
        bool is_redirected = script.redirects < 0 || server->redirected < script.redirects;
        server->redirected += is_redirected;
        server->requests++;
        snprintf(server->last, sizeof server->last, "%s", head);
        /* a copy: the client may be done, and the test have freed its content, before the last send returns */
        struct buf content = {0};
        buf_add(&content, script.content.at, script.content.len);
        pthread_mutex_unlock(&server->lock);
        script.content = bytes_of(content.at, content.len);
        goes_on = answer(c, &script, head, is_redirected);
        buf_deinit(&content);
    }
    if (c->ssl != NULL)
        SSL_free(c->ssl); /* without a goodbye, which is what a cut looks like */
    close(c->fd);
    free(c);
    atomic_fetch_sub(&server->connections, 1);
    return NULL;
}

static void *listen_on(void *arg)
{
    struct odd_server *s = arg;
    for (;;) {
        int one = 1, fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = calloc(1, sizeof *c);
        pthread_t thread;
        if (c == NULL)
            abort();
        *c = (struct connection){.server = s, .fd = fd};
        if (s->tls != NULL) {
            c->ssl = SSL_new(s->tls);
            SSL_set_fd(c->ssl, fd);
        }
        atomic_fetch_add(&s->connections, 1);
        if (pthread_create(&thread, NULL, serve, c) != 0)
            abort();
        pthread_detach(thread);
    }
}

static SSL_CTX *make_tls(const char *cert, const char *key, bool is_old)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    BIO *cert_bio = BIO_new_mem_buf(cert, -1), *key_bio = BIO_new_mem_buf(key, -1);
    X509 *x = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    if (SSL_CTX_use_certificate(tls, x) != 1 || SSL_CTX_use_PrivateKey(tls, k) != 1)
        abort();
    if (is_old) {
        SSL_CTX_set_security_level(tls, 0);
        SSL_CTX_set_min_proto_version(tls, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(tls, TLS1_1_VERSION);
    }
    X509_free(x);
    EVP_PKEY_free(k);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    return tls;
}

struct odd_server *odd_server_start(const char *tls_cert, const char *tls_key, bool old_tls)
{
    struct odd_server *s = calloc(1, sizeof *s);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    if (s == NULL)
        abort();
    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&s->lock, NULL);
    s->tls = tls_cert ? make_tls(tls_cert, tls_key, old_tls) : NULL;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s->listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(s->listener, 64) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&a, &len) != 0 ||
        pthread_create(&s->thread, NULL, listen_on, s) != 0)
        abort();
    s->port = ntohs(a.sin_port);
    return s;
}

void odd_server_stop(struct odd_server *s)
{
    atomic_store(&s->is_over, true);
    shutdown(s->listener, SHUT_RDWR);
    close(s->listener);
    pthread_join(s->thread, NULL);
    while (atomic_load(&s->connections) > 0)
        pause_ms(1);
    SSL_CTX_free(s->tls);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int odd_server_port(const struct odd_server *s)
{
    return s->port;
}

void odd_server_play(struct odd_server *s, const struct odd_script *script)
{
    pthread_mutex_lock(&s->lock);
    s->script = *script;
    s->requests = s->redirected = 0;
    pthread_mutex_unlock(&s->lock);
}

int odd_server_requests(struct odd_server *s)
{
    pthread_mutex_lock(&s->lock);
    int n = s->requests;
    pthread_mutex_unlock(&s->lock);
    return n;
}

const char *odd_server_last(struct odd_server *s)
{
    return s->last;
}

/* --- certificates ----------------------------------------------------------------------------- */

static void to_pem(BIO *bio, char *to, size_t size)
{
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    if (len < 0 || (size_t)len >= size)
        abort();
    memcpy(to, text, (size_t)len);
    to[len] = '\0';
    BIO_free(bio);
}

void odd_cert_make(struct odd_cert *c, const char *cn, long from_s, long to_s, const struct odd_cert *issuer,
                   bool is_ca)
{
    static int serial = 1;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *signer = key;
    X509 *x = X509_new(), *issuer_cert = NULL;
    char san[160];
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), from_s);
    X509_gmtime_adj(X509_getm_notAfter(x), to_s);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
    if (issuer != NULL) {
        BIO *cert_bio = BIO_new_mem_buf(issuer->cert, -1), *key_bio = BIO_new_mem_buf(issuer->key, -1);
        issuer_cert = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
        signer = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
        BIO_free(cert_bio);
        BIO_free(key_bio);
    }
    X509_set_issuer_name(x, X509_get_subject_name(issuer_cert ? issuer_cert : x));
    bool is_address = cn[0] >= '0' && cn[0] <= '9';
    snprintf(san, sizeof san, "%s:%s", is_address ? "IP" : "DNS", cn);
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer_cert ? issuer_cert : x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, san);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    e = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    if (X509_sign(x, signer, EVP_sha256()) == 0)
        abort();
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x);
    to_pem(bio, c->cert, sizeof c->cert);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    to_pem(bio, c->key, sizeof c->key);
    if (signer != key)
        EVP_PKEY_free(signer);
    X509_free(issuer_cert);
    X509_free(x);
    EVP_PKEY_free(key);
}
