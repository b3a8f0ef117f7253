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

#define NAME_SIZE        257 /* RainMaker's names have 1 to 256 characters */
#define SHA256_TEXT      65
#define MD5_TEXT         33
#define QUERY_SIZE       513   /* a query's text */
#define PLAN_SIZE        513   /* a rollout's text */
#define TAGS_SIZE        513   /* all tags of a node, a line each */
#define ADDRESS_SIZE     46    /* an IPv6 address as text */
#define DIGESTS_SIZE     200   /* up to three key digests in hex, a blank between them */
#define EVENTS_KEPT      20000 /* older events are dropped; a stream that asks for them is told to reload */
#define TIMELINE_KEPT    100   /* rows of one execution; later progress rows are not kept, ends always are */
#define JOB_NODES_MAX    100
#define JOB_GROUPS_MAX   10
#define JOB_VARIANTS_MAX 8  /* signed forms of its image */
#define GROUP_DEPTH_MAX  8  /* groups in groups */
#define BROKERS_MAX      16 /* among which nodes may be divided */
#define GROUP_EVERYONE   "FFFF-FFFF"

struct node {
    char id[NODE_ID_SIZE], name[65], fw_version[FW_VERSION_SIZE], type[65], subtype[65], model[65], project_name[33],
        platform[33], network_id[17];
    char address[ADDRESS_SIZE];             /* where the broker saw it, "" when unknown */
    char key_digests[DIGESTS_SIZE];         /* of its eFuses, as it reported them; "" when it takes unsigned images */
    char expected_version[FW_VERSION_SIZE]; /* of its last successful execution */
    char tags[TAGS_SIZE];
    char org[ID_LEN + 1];    /* the organisation that it belongs to; "": the house */
    unsigned broker;         /* where it was last seen: a number below BROKERS_MAX */
    uint32_t secure_version; /* floor of its eFuses, 0 when it tells none */
    int64_t slot_bytes;      /* of the slot that takes updates, 0 when it tells none */
    bool is_online;
    bool is_deactivated;                 /* the broker does not let it in, and it is offered nothing */
    bool is_astray;                      /* it runs neither what it was given nor what it is being given */
    time_ms registered_at, activated_at; /* activated: first described itself */
    time_ms seen_at;                     /* last message or change of presence, a minute coarse */
    time_ms booted_at;                   /* last config: nodes send it once a boot */
    time_ms presence_at;                 /* when is_online changed last */
    time_ms subscribed_at;               /* last time it began to listen on otaurl; 0 when it is not listening */
};

#define ORG_PREFIX "org-" /* how ids of organisations begin; no user's and no node's does */

/* One tenant of the server: nodes, images, jobs, groups, keys and users that the others do not see. */
struct organisation {
    char id[ID_LEN + 1], name[NAME_SIZE];
    time_ms created_at;
};

struct group {
    char id[ID_LEN + 1], name[NAME_SIZE], parent_id[ID_LEN + 1], type[65], description[NAME_SIZE], custom_data[513];
    char query[QUERY_SIZE]; /* "" when its nodes are named; else it has no named nodes */
    char owner[ID_LEN + 1]; /* the user whose group it is; else the organisation's administrators', "": the house's */
    time_ms created_at;
    int64_t total; /* named nodes; kept by the store */
};

struct image {
    char id[ID_LEN + 1], name[NAME_SIZE], type[65], model[65], fw_version[FW_VERSION_SIZE], project_name[33],
        platform[33], sha256[SHA256_TEXT], md5[MD5_TEXT], uploader[NAME_SIZE];
    char signed_by[DIGESTS_SIZE]; /* digests of the keys whose signatures it carries */
    char org[ID_LEN + 1];
    uint32_t secure_version;
    int64_t size_bytes;
    bool is_archived, is_ready; /* not ready: an upload was announced, nothing confirmed */
    time_ms uploaded_at;
};

#define FILE_NAME_SIZE 101

/* A file that belongs to an image. */
struct file {
    char id[ID_LEN + 1], image_id[ID_LEN + 1], name[FILE_NAME_SIZE], type[65], description[NAME_SIZE],
        uploader[NAME_SIZE], metadata[513], sha256[SHA256_TEXT], md5[MD5_TEXT];
    int64_t size_bytes;
    bool is_ready; /* else it was announced, and is awaited */
    time_ms uploaded_at;
};

enum job_status { JOB_ACTIVE, JOB_FINISHED, JOB_CANCELLED };

/* What was ordered; changed by people alone. */
struct job {
    char id[ID_LEN + 1], name[NAME_SIZE], image_id[ID_LEN + 1], owner[NAME_SIZE], description[NAME_SIZE];
    enum job_status status;
    bool is_paused;
    bool is_archived, is_force_push, is_continuous, needs_approval, notifies;
    bool gives_image;     /* approval: users may have the image's URL */
    bool is_host_mcu;     /* the image is for another processor of the node: its header is not the node's affair */
    bool skips_project;   /* nodes of other projects are offered it too */
    bool is_for_everyone; /* every node, those that come later too while it is active and continuous */
    bool has_named_nodes;
    int priority; /* 1 highest .. 10 lowest */
    unsigned group_count;
    char groups[JOB_GROUPS_MAX][ID_LEN + 1];
    char query[QUERY_SIZE];   /* a rule: nodes that fit it; "" when none */
    char exclude[QUERY_SIZE]; /* nodes that fit it are left out; "" when none */
    char plan[PLAN_SIZE];     /* rollout.h; "" when none */
    char org[ID_LEN + 1];     /* it is for nodes of this organisation alone */
    char scope[QUERY_SIZE];   /* and for nodes that fit this: who started it looks after no others; "": all */
    time_ms created_at, ended_at;
    time_ms expires_at; /* its timeout, or the end of its validity; 0: never */
    time_ms valid_from; /* its validity; 0: at once */
    bool is_serial;     /* few nodes of one network at a time */
    unsigned serial_max;
    int64_t serial_task_ms, serial_min_wait_ms, serial_max_wait_ms;
    char stop_reason[160];           /* why it is paused or was cancelled, "" when a person did so without a word */
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
    EX_FAILED = 7,  /* will be offered again */
    EX_WAITING = 8, /* it asked and was given a later slot */
    EX_SUCCESS = 9,
    EX_REJECTED = 10,
    EX_ROLLED_BACK = 11,
    EX_GAVE_UP = 12, /* failed as often as the policy allows */
    EX_TIMED_OUT = 13,
    EX_CANCELLED = 14,
    EX_EXCLUDED = 15,
    EX_STATES
};

#define EX_FIRST_OVER EX_SUCCESS /* from here on executions have ended */

enum failure_kind {
    FAILURE_NONE = 0,
    FAILURE_NETWORK = 1,
    FAILURE_MEMORY = 2,
    FAILURE_IMAGE = 3,
    FAILURE_FLASH = 4,
    FAILURE_SERVER = 5,
    FAILURE_OTHER = 6,
    FAILURE_REJECTED = 7,
    FAILURE_ROLLED_BACK = 8,
    FAILURE_TIMED_OUT = 9,
    FAILURE_KINDS
};

struct execution {
    char job_id[ID_LEN + 1], node_id[NODE_ID_SIZE], info[STATUS_INFO_SIZE], from_version[FW_VERSION_SIZE];
    char network[ADDRESS_SIZE]; /* where its node was when it was offered: network id, else address */
    enum execution_state state;
    enum failure_kind failure; /* of the last failure */
    int percent;               /* of the download, -1 when unknown */
    unsigned offers, failures; /* failures: offers that ended so */
    unsigned timeline_count;
    bool is_approved;                            /* the user said yes */
    bool has_slot;                               /* its place in the rate is taken; deadline_at is the slot */
    time_ms offered_at, updated_at, deadline_at; /* deadline 0: none */
    int64_t node_ts;         /* seconds of the node's own clock in its last report, 0 when not believable */
    int64_t invalid_node_ts; /* what it said when it was not */
};

/* How far a job is: written with every step of an execution.  The one with the id "" is the sum of all jobs. */
struct job_state {
    char job_id[ID_LEN + 1];
    int64_t counts[EX_STATES];       /* executions in each state */
    int64_t failures[FAILURE_KINDS]; /* executions that failed or ended so, by their last kind */
    int64_t started;                 /* nodes that were offered the job at least once */
    int64_t refused;                 /* ended without an offer: the job was nothing for them */
    int64_t audience;                /* nodes it is for, as counted at counted_at */
    time_ms counted_at;
    unsigned phase;
    time_ms phase_at, gate_at; /* when the phase began; since when its gate holds, 0: it does not */
    int64_t rate_at, bytes_at; /* microseconds: when the next offer is due by nodes and by bytes a second */
    bool is_pushing;           /* force push: nodes are left */
    char push_after[NODE_ID_SIZE];
    int sweep; /* enum job_sweep: what is being done to its executions, row by row */
    char sweep_after[NODE_ID_SIZE];
};

struct timeline_row {
    time_ms at;
    bool is_from_node; /* else: the server's own doing */
    enum execution_state state;
    char info[STATUS_INFO_SIZE];
};

/* Failures that look alike. */
struct cluster {
    enum execution_state state;
    enum failure_kind failure;
    char info[STATUS_INFO_SIZE], platform[33], from_version[FW_VERSION_SIZE], model[65];
    int64_t count;
};

enum event_kind { EVENT_NODE, EVENT_IMAGE, EVENT_JOB, EVENT_EXECUTION, EVENT_GROUP };

struct event {
    int64_t id; /* rising; 0 before it is stored */
    enum event_kind kind;
    time_ms at;
    char node_id[NODE_ID_SIZE], job_id[ID_LEN + 1], image_id[ID_LEN + 1], info[STATUS_INFO_SIZE];
    enum execution_state state; /* executions */
    int percent;
};

/* A job document to be sent to a node; it is spelled, with a fresh URL, when it is sent. */
/* What the rules seldom look into is kept as a text on a card: of a kind, under a key, of which the mind (or a door)
 * knows the form.  Numbers are kept in databases: never change one. */
enum card_kind {
    CARD_CONFIG = 1,           /* node: its last description, as it came */
    CARD_PARAMS = 2,           /* node: its parameters, as it told them */
    CARD_METADATA = 3,         /* node: what its user keeps with it */
    CARD_NODE_KEY = 4,         /* node: its public key, PEM */
    CARD_MAP = 5,              /* node/user: role, since when */
    CARD_MAPPED = 6,           /* user/node: the same */
    CARD_MAP_REQUEST = 7,      /* request */
    CARD_MAP_WAITING = 8,      /* node/request */
    CARD_USER_GROUP = 9,       /* user/group */
    CARD_CLAIM = 10,           /* MAC address: node, user */
    CARD_REQUEST = 11,         /* what a client asked for and comes back to: registrations, node ids */
    CARD_AUTHORITY = 12,       /* name of a maker's certificate authority: PEM */
    CARD_TOKEN = 13,           /* digest of an API token */
    CARD_AUDIT = 14,           /* number of an entry, 16 hex digits */
    CARD_DENIED = 15,          /* node that the broker does not let in */
    CARD_WEBHOOK = 16,         /* id */
    CARD_DELIVERY = 17,        /* webhook/number, 16 hex digits */
    CARD_SIGN_KEY = 19,        /* name of an image-signing key: sealed */
    CARD_SHARE = 20,           /* request to share nodes or groups */
    CARD_SHARED = 21,          /* user/request: of both sides */
    CARD_GROUP_USER = 22,      /* group/user: who else has the group */
    CARD_USER_SHARED = 23,     /* user/group: the same */
    CARD_COMMAND = 24,         /* request/node: a command and its answer */
    CARD_COMMAND_WAITING = 25, /* node/request: not answered yet */
    CARD_FILE = 26,            /* id: a file that belongs to an image */
    CARD_FILE_OF = 27,         /* image/file */
    CARD_FILE_BYTES = 28,      /* SHA-256/file */
    CARD_SIGNED = 29,          /* image/signed image: by which keys, when, by whom */
    CARD_VARIANT = 30,         /* job/image: what nodes with a key of their own are given */
    CARD_VARIANT_OF = 31,      /* image/job */
    CARD_ORG = 32,             /* id of an organisation: its name, since when */
    CARD_AUTOMATION = 33,      /* id */
    CARD_AUTOMATION_OF = 34,   /* node/automation */
    CARD_AUTOMATION_BY = 35,   /* user/automation */
    CARD_SIMULATOR = 36,       /* name: how many nodes it has, since when */
    CARD_BROKER = 37,          /* number of a broker: which run of it was last heard of */
    CARD_HELD = 18,            /* job that waits for a second person: who had a hand in it last */
};
#define CARD_KEY_SIZE 200

/* A job document when `topic` is TOPIC_OTAURL, else a message of its own text. */
struct outbox_row {
    int64_t id;
    enum topic_kind topic;
    char node_id[NODE_ID_SIZE], job_id[ID_LEN + 1];
    time_ms at;
};

/* What a user may do, each more than the one before. */
enum role {
    ROLE_USER,     /* an end user: their own nodes */
    ROLE_VIEWER,   /* sees the whole fleet, changes nothing */
    ROLE_OPERATOR, /* images, jobs, groups, tags */
    ROLE_ADMIN,    /* nodes, users below, keys, audit */
    ROLE_SUPER,    /* everything */
    ROLES
};

#define CODE_SIZE 7 /* six digits, by which a person proves that a mailbox is theirs */

struct user {
    char id[ID_LEN + 1], name[NAME_SIZE], password_hash[128], code[CODE_SIZE];
    char org[ID_LEN + 1];   /* "": the house */
    char scope[QUERY_SIZE]; /* the nodes that the user looks after; "": all of the organisation */
    enum role role;
    bool is_verified, is_disabled;
    unsigned failures;    /* wrong passwords and codes since the last right one */
    time_ms locked_until; /* no password is looked at before */
    time_ms code_until;
    time_ms created_at;
};

const char *execution_state_text(enum execution_state state); /* our word: "rolled-back" */
const char *execution_state_word(enum execution_state state); /* RainMaker's word: "rejected" */
bool execution_is_over(enum execution_state state);
/* RainMaker's: "not_activated", "online", "offline", "deactivated". */
const char *node_status_text(const struct node *node);
const char *job_status_text(enum job_status status);

#endif
