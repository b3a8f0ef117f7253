/*
 * http.h - the HTTP listeners: libmicrohttpd under `rest`.
 *
 * A request's body is gathered as it comes (in memory or in a file, by its route), then a worker handles it while the
 * connection is suspended, so a slow handler holds up nobody.  Event streams are suspended until the bell rings.
 */
#ifndef PLUVIO_PLUVIOD_HTTP_H
#define PLUVIO_PLUVIOD_HTTP_H

#include "rest/rest.h"

struct http;

struct http_config {
    struct rest *rest;
    struct log *log;
    const char *upload_folder; /* bodies in files; what a crash left is removed at start */
    const char *address, *http_address;
    int https_port, http_port, node_port; /* 0: no such listener */
    const char *cert_path, *key_path, *ca_path;
};

enum err http_start(struct http **http, const struct http_config *config, struct why *why);

/* The file of authorities has changed; connections that are open stay as they are. */
void http_trust_changed(struct http *http);

/* Wakes the event streams.  From any thread. */
void http_ring(struct http *http);
void http_stop(struct http *http);

#endif
