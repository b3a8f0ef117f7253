/*
 * odd_server.h - an HTTP server that does what it is told: every wrong answer that an update may meet.
 *
 * One thread for each connection; what it does is one script for all requests, changed between tests.
 */
#ifndef PLUVIO_ODD_SERVER_H
#define PLUVIO_ODD_SERVER_H

#include "base/buf.h"

#include <stdatomic.h>

enum odd_body {
    BODY_WHOLE,
    BODY_CUT,   /* after `at` bytes of the answer's body the connection is closed */
    BODY_RESET, /* the same with a reset */
    BODY_STALL, /* after `at` bytes nothing more comes, the connection stays */
    BODY_DRIP,  /* the first 2000 bytes one by one */
    BODY_PAUSE, /* `at` bytes, a pause of 20 ms, the rest */
    BODY_CHUNKED,
    BODY_CHUNKED_CUT, /* without the last chunk */
    BODY_UNTIL_CLOSE, /* no length at all */
};

struct odd_script {
    struct bytes content;
    int status; /* 0: 200, or 206 for a range */
    enum odd_body body;
    size_t at;
    long length_off; /* added to the Content-Length that is said */
    bool ignores_range, refuses_head, has_stalled_head;
    bool keeps_alive;                /* else every answer closes */
    const char *location;            /* of redirections */
    int redirects;                   /* how many requests are redirected; -1: all */
    const char *needs_authorization; /* what the header must be; NULL: nothing */
    const char *extra_header;
};

struct odd_server;

/* `tls_cert` and `tls_key` as PEM, NULL: plain HTTP.  `old_tls`: nothing newer than TLS 1.1. */
struct odd_server *odd_server_start(const char *tls_cert, const char *tls_key, bool old_tls);
void odd_server_stop(struct odd_server *s);
int odd_server_port(const struct odd_server *s);

/* From the next request on; forgets what was counted. */
void odd_server_play(struct odd_server *s, const struct odd_script *script);

/* Requests so far, and the last one's head. */
int odd_server_requests(struct odd_server *s);
const char *odd_server_last(struct odd_server *s);

/* A certificate and its key as PEM: for `cn`, valid from and to so many seconds from now, signed by another one of
 * these or by itself (NULL). */
struct odd_cert {
    char cert[4096], key[4096];
};
void odd_cert_make(struct odd_cert *c, const char *cn, long from_s, long to_s, const struct odd_cert *issuer,
                   bool is_ca);

#endif
