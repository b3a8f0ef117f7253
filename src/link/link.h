/*
 * link.h - the link to the brokers: what nodes publish becomes fleet calls, outbox rows become messages to nodes.
 *
 * Opens no socket: the MQTT library is joined on in pluviod through `struct bus`.  One thread owns a link.
 *
 * Promises: an outbox row is deleted after the broker acknowledged its message, so a crash sends it again rather than
 * not at all; a message that cannot be read costs one line in the log and nothing else.
 */
#ifndef PLUVIO_LINK_LINK_H
#define PLUVIO_LINK_LINK_H

#include "base/log.h"
#include "fleet/fleet.h"
#include "link/streams.h"

#define LINK_IN_FLIGHT 200  /* messages sent and not acknowledged; more wait in the outbox */
#define LINK_DRAIN     64   /* rows of the outbox that are looked at together */
#define LINK_BATCH     256  /* messages, and acknowledgements, that are written in one transaction */
#define LINK_WAITING   8192 /* messages that wait while the store is away; see link_is_full */

enum bus_sent {
    BUS_SENT,
    BUS_FULL, /* not now */
    BUS_AWAY  /* that broker is not connected */
};

struct bus {
    /* Publishes with QoS 1, not retained, at one of the brokers.  `*message_id` comes back in link_acknowledged. */
    enum bus_sent (*publish)(struct bus *bus, unsigned broker, const char *topic, struct bytes payload,
                             int *message_id);
};

/* Spells the download URL of an image. */
struct link_urls {
    void (*image_url)(struct link_urls *urls, const struct image *image, time_ms now, char *to, size_t size);
};

/* A message from the broker that waits for its transaction. */
struct link_message {
    char *topic; /* on the heap, with the payload behind it */
    struct bytes payload;
    time_ms at;
    unsigned broker; /* that it came from */
};

struct link {
    struct fleet *fleet;
    struct bus *bus;
    struct link_urls *urls;
    struct log *log;
    struct {
        int64_t row;
        int message_id;
        unsigned broker;
        bool is_used;
    } in_flight[LINK_IN_FLIGHT];
    struct link_message waiting[LINK_WAITING];
    unsigned waiting_count;
    int64_t done[LINK_BATCH + LINK_IN_FLIGHT]; /* outbox rows that a broker has */
    unsigned done_count;
    bool is_store_away; /* since the last try */
    int64_t drained;    /* rows up to this one were looked at: sent, in flight, or for a broker that is away */
    struct outgoing draining[LINK_DRAIN];
    struct streams streams;
};

/* `blob`: where images lie, for streams; NULL: there are none. */
void link_init(struct link *l, struct fleet *fleet, struct bus *bus, struct link_urls *urls, struct blob_store *blob,
               struct log *log);

/* The topics a server subscribes to, NULL at the end.  Where several servers share the load, each is subscribed to
 * behind LINK_SHARED. */
extern const char *const link_subscriptions[];
#define LINK_SHARED "$share/pluvio/"

/* Forgets what waits. */
void link_deinit(struct link *l);

/* A message from a broker.  It is copied and waits for link_flush. */
void link_receive(struct link *l, unsigned broker, const char *topic, struct bytes payload, time_ms now);

/* Hands what was received to the fleet mind, in one transaction for many; one by one when one of the messages breaks
 * it.  While the store is away they wait: nothing that a node said is thrown away. */
void link_flush(struct link *l);
/* So many messages wait that no more should be read from the brokers, who keep them. */
bool link_is_full(const struct link *l);

/* Sends blocks of files that nodes asked for, as far as room is in flight; asks the store for nothing. */
void link_send_blocks(struct link *l);

/* Sends what waits in the outbox, as far as room is in flight.  True when more waits. */
bool link_drain(struct link *l, time_ms now);

void link_acknowledged(struct link *l, unsigned broker, int message_id);

/* A connection is there: what waited for it is looked at again. */
void link_connected(struct link *l);
/* A connection is gone: what was in flight on it goes back to the outbox. */
void link_disconnected(struct link *l, unsigned broker);

#endif
