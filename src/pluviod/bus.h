/*
 * bus.h - the server's MQTT connections: libmosquitto under `link`, one for each broker, all in one thread.
 *
 * The thread reads from the brokers, drains the outbox when rung, and runs what the fleet mind has due.
 *
 * At a broker of our own the server has a session under one name, subscribed to for itself.  At brokers that several
 * servers use, subscriptions are shared and the session's name has the server's number in the store; what waits in the
 * session of a server that is gone is taken over by the one that found it so (bus_inherit).
 */
#ifndef PLUVIO_PLUVIOD_BUS_H
#define PLUVIO_PLUVIOD_BUS_H

#include "link/link.h"
#include "rest/rest.h"

struct bus_thread;

struct bus_broker {
    const char *host; /* or, with port 0, the path of a Unix socket */
    int port;
    bool has_tls;
    const char *user, *password; /* NULL: none */
};

struct bus_config {
    struct fleet *fleet;
    struct link_urls *urls;
    struct blob_store *blob;
    struct log *log;
    const struct bus_broker *brokers;
    unsigned broker_count;
    bool is_shared;              /* other servers use them too */
    const char *ca, *cert, *key; /* of TLS; cert NULL: none */
    int64_t (*server)(void *of); /* our number among the servers; it may change.  NULL unless is_shared */
    void *of;
    const char *denied; /* file of nodes that are not let in, told to brokers that cannot read it; NULL */
    const char *fault;  /* see pluviod --fault; "" for none */
    struct rest_counts *counts;
};

enum err bus_start(struct bus_thread **bus, const struct bus_config *config, struct why *why);

/* These may be called from any thread, with NULL. */
/* Wakes the thread: something waits in the outbox. */
void bus_ring(struct bus_thread *bus);
/* Who is let in has changed. */
void bus_denied_changed(struct bus_thread *bus);
/* That server is gone: takes over what brokers keep for it. */
void bus_inherit(struct bus_thread *bus, int64_t server);
/* To every broker. */
bool bus_is_connected(struct bus_thread *bus);
void bus_stop(struct bus_thread *bus);

#endif
