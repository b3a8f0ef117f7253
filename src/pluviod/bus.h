/*
 * bus.h - the server's MQTT connection: libmosquitto under `link`, in one thread.
 *
 * The thread reads from the broker, drains the outbox when rung, and runs what the fleet mind has due.
 */
#ifndef PLUVIO_PLUVIOD_BUS_H
#define PLUVIO_PLUVIOD_BUS_H

#include "link/link.h"
#include "rest/rest.h"

struct bus_thread;

struct bus_config {
    struct fleet *fleet;
    struct link_urls *urls;
    struct blob_store *blob;
    struct log *log;
    const char *socket_path; /* the broker's Unix socket */
    const char *fault;       /* see pluviod --fault; "" for none */
    struct rest_counts *counts;
};

enum err bus_start(struct bus_thread **bus, const struct bus_config *config, struct why *why);

/* Wakes the thread: something waits in the outbox.  From any thread. */
void bus_ring(struct bus_thread *bus);
/* From any thread. */
bool bus_is_connected(const struct bus_thread *bus);
void bus_stop(struct bus_thread *bus);

#endif
