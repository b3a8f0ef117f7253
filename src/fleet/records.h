/*
 * records.h - the nouns of the fleet: node, image, job, execution, and the rows that leave it.
 *
 * Plain structs with bounded strings; a store keeps them, nobody else.  Numbers of states are written to databases,
 * never renumber.
 */
#ifndef PLUVIO_FLEET_RECORDS_H
#define PLUVIO_FLEET_RECORDS_H

#include "base/id.h"
#include "wire/message.h"

#define NAME_SIZE     257 /* RainMaker's names have 1 to 256 characters */
#define SHA256_TEXT   65
#define MD5_TEXT      33
#define EVENTS_KEPT   20000 /* older events are dropped; a stream that asks for them is told to reload */
#define TIMELINE_KEPT 100   /* rows of one execution; later progress rows are not kept, ends always are */

struct node {
    char id[NODE_ID_SIZE], name[65], fw_version[FW_VERSION_SIZE], type[65], subtype[65], model[65], project_name[33],
        platform[33], network_id[17];
    bool is_online;
    time_ms registered_at, activated_at; /* activated: first described itself */
    time_ms seen_at;                     /* last message or change of presence */
    time_ms booted_at;                   /* last config: nodes send it once a boot */
    time_ms presence_at;                 /* when is_online changed last */
    time_ms subscribed_at;               /* last time it began to listen on otaurl; 0 when it is not listening */
};

struct image {
    char id[ID_LEN + 1], name[NAME_SIZE], type[65], model[65], fw_version[FW_VERSION_SIZE], project_name[33],
        platform[33], sha256[SHA256_TEXT], md5[MD5_TEXT], uploader[NAME_SIZE];
    uint32_t secure_version;
    int64_t size_bytes;
    bool is_archived, is_ready; /* not ready: an upload was announced, nothing confirmed */
    time_ms uploaded_at;
};

enum job_status { JOB_ACTIVE, JOB_FINISHED, JOB_CANCELLED };

struct job {
    char id[ID_LEN + 1], name[NAME_SIZE], image_id[ID_LEN + 1], owner[NAME_SIZE], description[NAME_SIZE];
    enum job_status status;
    bool is_archived, is_force_push, is_continuous;
    bool is_for_everyone; /* every node, those that come later too while it is active */
    int priority;         /* 1 highest .. 10 lowest */
    time_ms created_at, ended_at;
    char push_after[NODE_ID_SIZE];   /* force push: nodes up to this id were pushed to */
    bool is_pushing;                 /* force push: nodes are left */
    char metadata[METADATA_MAX + 1]; /* JSON object, "" when none */
};

enum execution_state {
    EX_TRIGGERED = 0, /* the job exists for the node; no row is kept for it */
    EX_OFFERED = 1,
    EX_IN_PROGRESS = 2,
    EX_REBOOTING = 3,
    EX_ON_TRIAL = 4,    /* the new version was seen, its confirmation not yet */
    EX_PROVISIONAL = 5, /* installed, said a node without rollback; its reboot was not seen yet */
    EX_DELAYED = 6,
    EX_FAILED = 7, /* may be offered again */
    EX_SUCCESS = 8,
    EX_REJECTED = 9,
    EX_ROLLED_BACK = 10,
    EX_GAVE_UP = 11, /* failed as often as the policy allows */
    EX_STATES
};

struct execution {
    char job_id[ID_LEN + 1], node_id[NODE_ID_SIZE], info[STATUS_INFO_SIZE], from_version[FW_VERSION_SIZE];
    enum execution_state state;
    int percent; /* of the download, -1 when unknown */
    unsigned offers, failures;
    time_ms offered_at, updated_at, deadline_at; /* deadline 0: none */
    int64_t node_ts;         /* seconds of the node's own clock in its last report, 0 when not believable */
    int64_t invalid_node_ts; /* what it said when it was not */
};

struct timeline_row {
    time_ms at;
    bool is_from_node; /* else: the server's own doing */
    enum execution_state state;
    char info[STATUS_INFO_SIZE];
};

enum event_kind { EVENT_NODE, EVENT_IMAGE, EVENT_JOB, EVENT_EXECUTION };

struct event {
    int64_t id; /* rising; 0 before it is stored */
    enum event_kind kind;
    time_ms at;
    char node_id[NODE_ID_SIZE], job_id[ID_LEN + 1], image_id[ID_LEN + 1], info[STATUS_INFO_SIZE];
    enum execution_state state; /* executions */
    int percent;
};

/* A job document to be sent to a node; it is spelled, with a fresh URL, when it is sent. */
struct outbox_row {
    int64_t id;
    char node_id[NODE_ID_SIZE], job_id[ID_LEN + 1];
    time_ms at;
};

struct user {
    char id[ID_LEN + 1], name[NAME_SIZE], password_hash[128];
    bool is_admin;
    time_ms created_at;
};

const char *execution_state_text(enum execution_state state); /* our word: "rolled-back" */
const char *execution_state_word(enum execution_state state); /* RainMaker's word: "rejected" */
bool execution_is_over(enum execution_state state);
const char *job_status_text(enum job_status status);

#endif
