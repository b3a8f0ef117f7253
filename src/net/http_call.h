/*
 * http_call.h - one HTTP request and its answer, over libcurl.
 *
 * For the command line, webhooks and object stores.  Follows no redirects: nothing that we call sends any.
 */
#ifndef PLUVIO_NET_HTTP_CALL_H
#define PLUVIO_NET_HTTP_CALL_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

#define HTTP_CALL_HEADERS 8

struct http_call {
    const char *method, *url;
    const char *headers[HTTP_CALL_HEADERS]; /* "Name: value"; NULL ends the list */
    struct bytes body;
    int body_fd; /* >= 0: the body comes from there, `body_len` bytes from where it stands */
    int64_t body_len;
    int answer_fd;       /* > 0: the body of a good answer (2xx) goes there, instead of into memory */
    const char *wanted;  /* a header of the answer, NULL: none */
    const char *ca_file; /* authorities to trust, NULL: the system's */
    /* Called now and then while a body is sent, with the bytes sent so far; NULL: not called. */
    void (*on_progress)(void *arg, int64_t sent, int64_t total);
    void *progress_arg;
    long timeout_ms;        /* for all of it; 0: none */
    bool refuses_own_hosts; /* loopback and link-local addresses are not called, whatever names lead there */
};

struct http_answer {
    int status;
    char wanted[80]; /* its value, "" when it did not come */
    struct buf body;
};

/* ERR_NETWORK when no answer came; any answer, 500 too, is ERR_NONE.  The caller frees answer->body. */
enum err http_call(const struct http_call *call, struct http_answer *answer, struct why *why);

/* Appends `text` percent-encoded. */
void http_escape(struct buf *to, const char *text);

#endif
