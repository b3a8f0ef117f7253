/*
 * gate.h - who is let in, as files: authorities in one file for HTTP and in a folder for the broker, denied nodes in a
 * list.
 *
 * Written anew from the store at start and after each change, then read again by both.
 */
#ifndef PLUVIO_PLUVIOD_GATE_H
#define PLUVIO_PLUVIOD_GATE_H

#include "broker/broker.h"
#include "pluviod/bus.h"
#include "pluviod/http.h"

struct gate {
    struct rest_gate port;
    struct fleet *fleet;
    struct log *log;
    const struct keys *keys;
    struct broker *broker; /* NULL while there is none; these three by gate_tell alone */
    struct http *http;
    struct bus_thread *bus;
    pthread_mutex_t lock;
    char trusted[600], authorities[600], denied[600];
};

/* Pointers stay the caller's.  Writes the files into `folder`. */
enum err gate_init(struct gate *g, const char *folder, struct fleet *fleet, const struct keys *keys, struct log *log,
                   struct why *why);

/* Who is told of changes from now on, NULL: nobody.  From any thread. */
void gate_tell_broker(struct gate *g, struct broker *broker);
void gate_tell_http(struct gate *g, struct http *http);
void gate_tell_bus(struct gate *g, struct bus_thread *bus);

#endif
