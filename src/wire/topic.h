/*
 * topic.h - the MQTT topics of RainMaker nodes, one table of them.
 *
 * Plain form: node/<node id>/<suffix>.  Nodes publish in the basic-ingest form by default:
 * $aws/rules/<rule>/node/<node id>/<suffix>; it means the same.
 */
#ifndef PLUVIO_WIRE_TOPIC_H
#define PLUVIO_WIRE_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#define TOPIC_SIZE   150 /* the node's own topic buffer */
#define NODE_ID_SIZE 65  /* 64 characters and a terminator */

enum topic_kind {
    TOPIC_CONFIG,
    TOPIC_PARAMS_LOCAL,
    TOPIC_PARAMS_INIT,
    TOPIC_ALERT,
    TOPIC_USER_MAPPING,
    TOPIC_OTAFETCH,
    TOPIC_OTASTATUS,
    TOPIC_FROM_NODE,
    TOPIC_OTAURL,
    TOPIC_PARAMS_REMOTE,
    TOPIC_TO_NODE,
    TOPIC_COUNT
};

enum topic_form { TOPIC_PLAIN, TOPIC_INGEST };

struct topic {
    enum topic_kind kind;
    char node_id[NODE_ID_SIZE];
};

/* Takes either form.  False for topics that are none of ours, or a node id that is not plain (text_is_plain_id). */
bool topic_parse(struct topic *topic, const char *text);

/* False when it does not fit `size`.  Topics from the cloud have no basic-ingest form: the plain one is written. */
bool topic_write(char *to, size_t size, enum topic_kind kind, const char *node_id, enum topic_form form);

/* Notices of the broker's plugin, which nodes can neither publish nor read: <prefix><node id>/<notice>.  Their payload:
 * the time in milliseconds, then, behind a blank, the node's address; both may be missing. */
#define TOPIC_NOTICE_PREFIX     "pluvio/presence/"
#define TOPIC_NOTICES           TOPIC_NOTICE_PREFIX "+/+" /* subscribed to last: it opens the broker to nodes */
#define TOPIC_NOTICE_SUBSCRIBED "otaurl"                  /* the node listens on otaurl now */
#define TOPIC_NOTICE_CONNECTED  "connected"               /* it is connected; of brokers that know no more */
#define TOPIC_NOTICE_GONE       "disconnected"            /* its connection ended */
/* Told by the plugin to a server that subscribes to it, before anything else: a name for this run of the broker. */
#define TOPIC_RUN "pluvio/run"
/* Told by the server to the plugin: ids of nodes that are not let in, a line each; all of them every time. */
#define TOPIC_DENIED "pluvio/denied"
/* As the plugin spells requests for blocks, which shared subscriptions would not find under $aws. */
#define TOPIC_THINGS_PLAIN "pluvio/things/"
#define TOPIC_THINGS       "$aws/things/"

/* A simulator is a credential that speaks for simulated nodes over one connection: named sim-<id>, for the nodes
 * sim-<id>-<number>.  No other node's id begins so. */
#define SIMULATOR_PREFIX "sim-"
bool simulator_is_name(const char *id);
bool simulator_speaks_for(const char *simulator, const char *node_id);

/* The notice in a topic, one of TOPIC_NOTICE_*; NULL when the topic is none.  Our plugin's form, and what others tell
 * of the connections of their clients: AWS IoT Core's $aws/events, EMQX's $SYS/brokers. */
const char *topic_notice(const char *text, char node_id[NODE_ID_SIZE]);

#endif
