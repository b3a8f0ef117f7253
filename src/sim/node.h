/*
 * node.h - a simulated node: RainMaker's agent (the same mind as on a chip) over modelled flash, bootloader, download
 * and connection.
 *
 * It publishes through its world and is told what happens: a wake at its own time, a document, an acknowledgement, the
 * power going.  Knows nothing of the fleet's side.
 */
#ifndef PLUVIO_SIM_NODE_H
#define PLUVIO_SIM_NODE_H

#include "ota/ota.h"
#include "sim/random.h"

#define SIM_EPOCH_S 1760000000 /* the clock at the start of a simulation */
#define SIM_QUEUE   16         /* words to a mind that wait for it to be done with one */

struct sim_node;

/* How an image fares on a node. */
struct sim_fate {
    int64_t fails; /* of a million attempts, how many do not come to their end */
    const char *fails_text;
    bool rejects;       /* its header is refused */
    bool dies_on_trial; /* it boots and finds itself bad, or never connects */
    bool never_connects;
};

struct sim_world {
    /* The node has a word for the server; `ticket` 0 wants no acknowledgement. */
    void (*publish)(struct sim_world *w, struct sim_node *n, enum topic_kind topic, const char *payload,
                    unsigned ticket);
    /* It listens on otaurl, and is to be told of its documents. */
    void (*listen)(struct sim_world *w, struct sim_node *n);
    /* Its connection is gone; the broker notices at once, or after a while when the power went. */
    void (*leave)(struct sim_world *w, struct sim_node *n, bool is_sudden);
    /* Bytes of the image behind a URL, its version, and how it fares on the node. */
    int64_t (*look_up)(struct sim_world *w, struct sim_node *n, const char *url, const char **version,
                       struct sim_fate *fate);
    /* An image was confirmed on the node: the truth that the server's word is held against. */
    void (*confirmed)(struct sim_world *w, struct sim_node *n, const char *version);
    bool (*is_reachable)(struct sim_world *w); /* the broker */
};

struct sim_slot {
    char version[FW_VERSION_SIZE];
    enum { SIM_EMPTY, SIM_NEW, SIM_PENDING, SIM_VALID, SIM_INVALID, SIM_ABORTED } state;
};

struct sim_node {
    unsigned index;
    uint32_t life; /* counts power-ups: words of an earlier one do not reach it */
    uint32_t wake; /* counts wakes: only the last one asked for counts */
    char id[NODE_ID_SIZE], platform[33], model[33], project[33], network_id[NETWORK_ID_SIZE];
    int64_t bytes_per_s, clock_skew_s;
    struct ota ota;
    struct sim_random random;
    /* flash */
    struct sim_slot slots[2];
    int running, selected, target;
    char job_id[JOB_ID_SIZE];
    bool has_trial_flag;
    uint8_t rows[OTA_ROWS][OTA_ROW_BYTES];
    /* RAM and surroundings */
    bool is_on, is_connected, wants_attempt, wants_callback, is_in_callback, has_described;
    bool is_held; /* set by look_up: the download is a real one, and ends when sim_node_downloaded() says so */
    struct ota_terms terms;
    char url[200], offered_version[FW_VERSION_SIZE]; /* of the document it works on */
    int64_t offered_bytes;
    struct sim_fate fate;
    int64_t boot_at, connect_at, reboot_at, step_at; /* 0: not awaited */
    enum { SIM_NO_DOWNLOAD, SIM_OPENING, SIM_LOADING } download;
    char coming[FW_VERSION_SIZE];
    int64_t coming_bytes;
    long cut_after; /* effects until the power goes; -1: it stays */
    struct {
        enum ota_event_kind kind;
        unsigned ticket;
        char text[64];
    } words[SIM_QUEUE];
    unsigned word_count;
};

/* `version`: what it runs.  It is off; sim_node_power_on() starts it. */
void sim_node_init(struct sim_node *n, unsigned index, const char *id, const char *version,
                   const struct ota_options *options, uint64_t seed);
void sim_node_power_on(struct sim_node *n, struct sim_world *w, int64_t now);
void sim_node_power_off(struct sim_node *n, struct sim_world *w, int64_t now, int64_t back_at);

/* What happens to it. */
void sim_node_wake(struct sim_node *n, struct sim_world *w, int64_t now);
void sim_node_document(struct sim_node *n, struct sim_world *w, int64_t now, const char *json);
void sim_node_acknowledged(struct sim_node *n, struct sim_world *w, int64_t now, unsigned ticket);
/* A held download came to its end.  Nothing happens when the node has given it up meanwhile. */
void sim_node_downloaded(struct sim_node *n, struct sim_world *w, int64_t now, bool is_good);
void sim_node_disconnect(struct sim_node *n, struct sim_world *w, int64_t now, int64_t back_at);

/* When it wants to be woken; 0: not by itself. */
int64_t sim_node_next(const struct sim_node *n);
const char *sim_node_version(const struct sim_node *n);

#endif
