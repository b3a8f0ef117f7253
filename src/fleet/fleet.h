/*
 * fleet.h - the server's mind: nodes, images, jobs, executions, and every rule about them.
 *
 * Promises:
 *  F1  one call is one transaction; what a call reported as done survives a crash
 *  F2  a message to a node is a row, written with the state it belongs to, removed when the broker has it
 *  F3  execution states change in one function, by one table; a pair that is not in it changes nothing
 *  F4  an execution succeeds only by its node's word after its trial boot: a report, or that it asks from the new
 * version F5  reports may come twice, late, cut off or out of order: an end is not undone by an older word Refuses to
 * know: sockets, files, clocks, JSON, RainMaker's REST.
 *
 * All functions may be called from any thread; the store serialises them.  `now` is the present.
 */
#ifndef PLUVIO_FLEET_FLEET_H
#define PLUVIO_FLEET_FLEET_H

#include "base/log.h"
#include "fleet/decide.h"
#include "fleet/port.h"
#include "fleet/query.h"
#include "fleet/rights.h"
#include "image/image.h"
#include "wire/command.h"

struct fleet_memory;
struct fleet_batch;

/* What of the fleet a person sees: one organisation, and of it perhaps only the nodes that fit a query.  A copy of a
 * `struct fleet` with a view works as ever: what the view does not show is not there, and what is made belongs to the
 * organisation. */
struct fleet_view {
    char org[ID_LEN + 1]; /* "": the house */
    char scope_text[QUERY_SIZE];
    struct query scope;
    bool has_scope;
    time_ms now;
};

/* `scope` "": all nodes.  ERR_FORMAT. */
enum err fleet_view_init(struct fleet_view *v, const char *org, const char *scope, time_ms now, struct why *why);

struct fleet {
    struct fleet_store *store;
    struct entropy *entropy;
    struct log *log;
    struct fleet_bell *bell;
    struct fleet_policy policy; /* decide.h; changed before the first call only */
    struct fleet_memory *memory;
    struct fleet_batch *batch;     /* NULL: each call is its own transaction */
    const struct fleet_view *view; /* NULL: everything is seen */
};

/* Ports stay the caller's; `log` and `bell` may be NULL. */
void fleet_init(struct fleet *f, struct fleet_store *store, struct entropy *entropy, struct log *log,
                struct fleet_bell *bell);
void fleet_deinit(struct fleet *f);

/* Many calls in one transaction, for what comes in numbers: between begin and end the calls go to `fleet` of the batch,
 * from this thread alone.  A call that fails before it has written anything just fails; one that fails half-way spoils
 * the batch: later calls and the end answer ERR_BUSY, nothing is written, and the caller makes the calls again one by
 * one. */
struct fleet_batch {
    struct fleet fleet, *of;
    struct fleet_store *tx;
    int64_t changes; /* when the present call began */
    bool is_spoilt, is_ringing, changes_people;
};

enum err fleet_batch_begin(struct fleet_batch *b, struct fleet *f, struct why *why);
enum err fleet_batch_end(struct fleet_batch *b, struct why *why);

/* Another server has changed users, sessions or API tokens. */
void fleet_people_changed(struct fleet *f);

/* A hint: the calls to come are about these nodes. */
enum err fleet_batch_expect(struct fleet_batch *b, const char *const *ids, unsigned count, struct why *why);

/* Whenever a broker (a number below BROKERS_MAX) began anew, before its messages: nobody is connected to it. */
enum err fleet_start(struct fleet *f, unsigned broker, time_ms now, struct why *why);
/* The same for a broker that names its runs, each by a text of its own: does nothing for the run that was heard of
 * last, whoever among several servers heard of it. */
enum err fleet_on_broker(struct fleet *f, unsigned broker, const char *run, time_ms now, bool *is_new, struct why *why);

struct name_visitor {
    bool (*visit)(struct name_visitor *v, const char *name, const char *text);
};

/* --- organisations ---------------------------------------------------------------------------- */

/* ERR_EXISTS for a name that is taken. */
enum err fleet_org_add(struct fleet *f, const char *name, time_ms now, struct organisation *to, struct why *why);
/* ERR_NOT_FOUND. */
enum err fleet_org_get(struct fleet *f, const char *id, struct organisation *to, struct why *why);
enum err fleet_org_list(struct fleet *f, struct organisation *to, unsigned max, unsigned *count, struct why *why);
/* ERR_EXISTS while it has nodes, images, jobs or users. */
enum err fleet_org_delete(struct fleet *f, const char *id, struct why *why);
/* Whether there are any. */
bool fleet_has_orgs(struct fleet *f, time_ms now);

/* --- users ------------------------------------------------------------------------------------ */

enum err fleet_user_count(struct fleet *f, int64_t *count, struct why *why);
/* ERR_USER_EXISTS.  `hash` is finished; hashing takes long and belongs outside of a transaction. */
enum err fleet_user_add(struct fleet *f, const char *name, const char *hash, enum role role, time_ms now,
                        struct user *to, struct why *why);
/* A user who has to prove that the mailbox is theirs: `to->code` goes there.  Again before that: a new password and a
 * new code.  ERR_USER_EXISTS. */
enum err fleet_user_sign_up(struct fleet *f, const char *name, const char *hash, time_ms now, struct user *to,
                            struct why *why);
/* A new code for a user who forgot the password.  ERR_NOT_FOUND. */
enum err fleet_user_code(struct fleet *f, const char *name, time_ms now, struct user *to, struct why *why);
/* With the code: the user is verified, and has a new password when `hash` is not NULL.  ERR_CODE, ERR_CODE_TRIES,
 * ERR_VERIFIED. */
enum err fleet_user_prove(struct fleet *f, const char *name, const char *code, const char *hash, time_ms now,
                          struct why *why);
/* After a password was looked at: who fails too often waits (user.locked_until). */
enum err fleet_user_tried(struct fleet *f, const char *name, bool is_right, time_ms now, struct why *why);
enum err fleet_user_list(struct fleet *f, const char *after_name, struct user *to, unsigned max, unsigned *count,
                         struct why *why);

struct user_edit {
    bool has_role, has_disabled;
    enum role role;
    bool is_disabled;
    const char *hash;  /* NULL: the password stays */
    const char *scope; /* NULL: stays; "": all nodes */
};

/* Ends a lock, too.  ERR_NOT_FOUND; ERR_FORBIDDEN when nobody would be left who may do everything. */
enum err fleet_user_edit(struct fleet *f, const char *id, const struct user_edit *edit, time_ms now, struct user *to,
                         struct why *why);
/* With what is theirs alone: mappings, groups and tokens. */
enum err fleet_user_delete(struct fleet *f, const char *id, time_ms now, struct why *why);

struct api_token {
    char id[ID_LEN + 1], name[NAME_SIZE], user_id[ID_LEN + 1];
    enum role role;                 /* at most this, and at most its user's */
    time_ms created_at, expires_at; /* 0: it does not */
};

/* `digest`: of the token, which is kept nowhere.  `token->id` is set. */
enum err fleet_api_token_add(struct fleet *f, const char *digest, struct api_token *token, struct why *why);
/* The user with the token's role.  ERR_UNAUTHORIZED. */
enum err fleet_api_token_user(struct fleet *f, const char *digest, time_ms now, struct user *to, struct why *why);
/* `user_id` NULL: of everybody. */
enum err fleet_api_token_list(struct fleet *f, const char *user_id, struct api_token *to, unsigned max, unsigned *count,
                              struct why *why);
enum err fleet_api_token_drop(struct fleet *f, const char *user_id, const char *id, struct why *why);
enum err fleet_user_get(struct fleet *f, const char *name, struct user *to, struct why *why);
enum err fleet_user_get_id(struct fleet *f, const char *id, struct user *to, struct why *why);
enum err fleet_token_add(struct fleet *f, const char *digest, const char *user_id, time_ms expires_at, struct why *why);
/* ERR_REFRESH when unknown or expired; the token stays valid. */
enum err fleet_token_user(struct fleet *f, const char *digest, time_ms now, struct user *to, struct why *why);
enum err fleet_token_drop(struct fleet *f, const char *digest, struct why *why);
enum err fleet_tokens_drop(struct fleet *f, const char *user_id, struct why *why);

/* Changes whenever a user, a session or an API token may have changed in this process: what was asked of them before is
 * true while it stays. */
long long fleet_people_version(const struct fleet *f);

/* --- nodes ------------------------------------------------------------------------------------ */

/* `id` NULL or "": one is made.  ERR_EXISTS, ERR_NODE_ID. */
enum err fleet_node_add(struct fleet *f, const char *id, time_ms now, struct node *to, struct why *why);

/* With what is kept of it: mappings, memberships, parameters, keys.  Jobs have it behind them: what it had not begun is
 * excluded, what it was at is cancelled, or timed out where only its word was missing.  What it did before stays in the
 * history of jobs.  A node that still has its certificate may connect, and is not listened to.  ERR_NODE_NOT_FOUND. */
enum err fleet_node_delete(struct fleet *f, const char *id, time_ms now, struct why *why);

enum err fleet_node_count(struct fleet *f, int64_t *count, struct why *why);

/* A node that brings its own certificate, and what its maker tells of it; NULL members: nothing. */
struct node_order {
    const char *id, *type, *model, *subtype, *key_pem, *group_id;
    const char *const *tags;
    unsigned tag_count;
    bool may_exist; /* then what is told is changed */
};

enum err fleet_node_register(struct fleet *f, const struct node_order *order, time_ms now, struct node *to,
                             struct why *why);
enum err fleet_node_get(struct fleet *f, const char *id, struct node *to, struct why *why);
enum err fleet_node_list(struct fleet *f, const char *after, struct node *to, unsigned max, unsigned *count,
                         struct why *why);
/* The last config the node sent, as it sent it; freed by the caller.  ERR_NODE_NOT_FOUND; ERR_NOT_FOUND when it has
 * sent none. */
enum err fleet_node_config(struct fleet *f, const char *id, char **to, struct why *why);

/* Nodes that fit a query (query.h), in pages.  ERR_FORMAT with a column. */
enum err fleet_node_find(struct fleet *f, const char *query, const char *after, time_ms now, struct node *to,
                         unsigned max, unsigned *count, struct why *why);
/* `tags`: "key:value" each, `count` of them.  ERR_NODE_TAGS. */
enum err fleet_node_tags(struct fleet *f, const char *id, const char *const *tags, unsigned count, bool is_add,
                         struct node *to, struct why *why);

/* --- groups ----------------------------------------------------------------------------------- */

/* `owner`: the user whose groups are meant; "" means the administrators', which alone may have queries.  A group of
 * somebody else is not there (ERR_GROUP_NOT_FOUND). */
struct group_order {
    const char *name, *parent_id, *type, *description, *custom_data, *query; /* NULL: none */
    const char *const *nodes;
    unsigned node_count;
};

enum err fleet_group_add(struct fleet *f, const char *owner, const struct group_order *order, time_ms now,
                         struct group *to, struct why *why);
/* NULL members of the order stay as they are; parent, query and nodes are not changed here. */
enum err fleet_group_edit(struct fleet *f, const char *owner, const char *id, const struct group_order *order,
                          struct group *to, struct why *why);
enum err fleet_group_get(struct fleet *f, const char *owner, const char *id, struct group *to, struct why *why);
enum err fleet_group_find(struct fleet *f, const char *owner, const char *name, struct group *to, struct why *why);
enum err fleet_group_list(struct fleet *f, const char *owner, const char *after, struct group *to, unsigned max,
                          unsigned *count, struct why *why);
enum err fleet_group_children(struct fleet *f, const char *id, struct group *to, unsigned max, unsigned *count,
                              struct why *why);
enum err fleet_group_nodes(struct fleet *f, const char *owner, const char *id, const char *const *nodes, unsigned count,
                           bool is_add, time_ms now, struct why *why);
/* Node ids in the group, those of groups in it aside; a dynamic group's by its query. */
enum err fleet_group_members(struct fleet *f, const char *id, const char *after, time_ms now, char (*to)[NODE_ID_SIZE],
                             unsigned max, unsigned *count, struct why *why);
/* ERR_GROUP_HAS_GROUPS while groups lie in it; ERR_GROUP_IN_USE while an active job is for it. */
enum err fleet_group_delete(struct fleet *f, const char *owner, const char *id, struct why *why);

/* --- what nodes bring ------------------------------------------------------------------------- */

/* What the broker link and the nodes' HTTPS listener bring.  ERR_NODE_NOT_FOUND for nodes that were never added. */
enum err fleet_on_config(struct fleet *f, const char *node_id, struct bytes payload, time_ms now, struct why *why);
enum err fleet_on_fetch(struct fleet *f, const char *node_id, const struct fetch_message *m, time_ms now,
                        struct why *why);
enum err fleet_on_report(struct fleet *f, const char *node_id, const struct status_report *r, time_ms now,
                         struct why *why);
/* `broker`: who says so, a number below BROKERS_MAX; `at`: when it was so.  What is older than what is known, as when
 * two servers hear of one node's two connections, or of another broker than the node is at now, changes nothing. */
enum err fleet_on_presence(struct fleet *f, unsigned broker, const char *node_id, bool is_online, time_ms at,
                           struct why *why);
/* `address`: where the broker sees the node; NULL or "" when it does not tell. */
enum err fleet_on_subscribed(struct fleet *f, unsigned broker, const char *node_id, const char *address, time_ms at,
                             struct why *why);

/* The same decision as on a fetch, answered instead of sent: for nodes that ask over HTTPS.  ERR_NO_JOB;
 * ERR_NO_NETWORK; ERR_NONE with `verdict->decision` other than DECIDE_OFFER: the node has to wait until
 * verdict->next_at. */
enum err fleet_fetch_now(struct fleet *f, const char *node_id, time_ms now, struct job *job, struct image *image,
                         struct verdict *verdict, struct why *why);

/* The image of a job's stream, for a node that has been offered the job or works on it.  ERR_NO_JOB. */
enum err fleet_stream_image(struct fleet *f, const char *node_id, const char *job_id, time_ms now, struct image *to,
                            struct why *why);

/* --- images ----------------------------------------------------------------------------------- */

struct image_upload {
    const char *name, *fw_version, *model, *type; /* "" or NULL: taken from the image */
    const char *uploader;
    const struct image_facts *facts;
    const char *signed_by; /* digests of the keys whose signatures it carries, with blanks between; NULL: none */
    bool is_raw;           /* bytes of no format that is known here: version and model must be told */
};

/* Announces an upload: makes the row, not ready.  An existing image of that name that no job uses gives way. */
enum err fleet_image_announce(struct fleet *f, const char *name, const char *uploader, time_ms now, struct image *to,
                              struct why *why);

/* Turns what was read from the bytes into an image row.  `id` NULL: a new one.  ERR_IMAGE_VERSION, ERR_IMAGE_MODEL when
 * neither the image nor the upload tells them; the reasons of image_check_update. */
enum err fleet_image_add(struct fleet *f, const char *id, const struct image_upload *upload, time_ms now,
                         struct image *to, struct why *why);
enum err fleet_image_get(struct fleet *f, const char *id, struct image *to, struct why *why);
enum err fleet_image_list(struct fleet *f, const char *after, struct image *to, unsigned max, unsigned *count,
                          struct why *why);
enum err fleet_image_archive(struct fleet *f, const char *id, bool is_archived, time_ms now, struct why *why);
/* `*sha256` names bytes that no image uses any more and may go, "" when others do. */
enum err fleet_image_delete(struct fleet *f, const char *id, bool is_forced, time_ms now, char sha256[SHA256_TEXT],
                            struct why *why);

/* Files that belong to images.  announce: writes id; `file` has name, image and uploader.  ERR_IMAGE_NOT_FOUND,
 * ERR_TOO_BIG when there are too many. */
enum err fleet_file_announce(struct fleet *f, struct file *file, time_ms now, struct why *why);
/* The bytes of an announced file are there: digests and size, and what else was told of it.  ERR_FILE_NOT_FOUND. */
enum err fleet_file_add(struct fleet *f, const struct file *file, time_ms now, struct why *why);
enum err fleet_file_get(struct fleet *f, const char *id, struct file *to, struct why *why);
/* Those of an image that are there. */
enum err fleet_file_list(struct fleet *f, const char *image_id, struct file *to, unsigned max, unsigned *count,
                         struct why *why);
/* All, announced ones too, after the id `after`. */
enum err fleet_file_scan(struct fleet *f, const char *after, struct file *to, unsigned max, unsigned *count,
                         struct why *why);
/* `to`: what it was; its bytes may be unused now (fleet_blob_is_used). */
enum err fleet_file_delete(struct fleet *f, const char *id, time_ms now, struct file *to, struct why *why);

/* That `signed_id` is `image_id` with signatures; `text`: the door's own.  Scanned by image, "" for all: names are
 * "image/signed image". */
enum err fleet_signed_put(struct fleet *f, const char *image_id, const char *signed_id, const char *text,
                          struct why *why);
enum err fleet_signed_scan(struct fleet *f, const char *image_id, struct name_visitor *v, struct why *why);

/* Whether any image row names these bytes; what none names may be removed. */
enum err fleet_blob_is_used(struct fleet *f, const char *sha256, bool *is_used, struct why *why);

/* --- jobs ------------------------------------------------------------------------------------- */

struct job_order {
    const char *name, *image_id, *description, *owner, *metadata; /* metadata: JSON object text or NULL */
    const char *nodes[JOB_NODES_MAX], *groups[JOB_GROUPS_MAX];
    unsigned node_count, group_count;
    const char *query, *exclude, *plan;     /* NULL: none */
    const char *variants[JOB_VARIANTS_MAX]; /* images: the job's, as each of several keys has signed it */
    unsigned variant_count;
    bool is_for_everyone, is_force_push, is_continuous, needs_approval, notifies, gives_image, is_host_mcu,
        skips_project;
    int priority;                    /* 0: the default, 5 */
    int64_t timeout_s;               /* 0: none */
    time_ms valid_from, valid_until; /* of its metadata; 0: none */
    bool is_serial;
    unsigned serial_max; /* 0: three */
    int64_t serial_task_s, serial_min_wait_s, serial_max_wait_s;
};

struct job_summary {
    struct job job;
    struct job_state state;
    int64_t total, counts[EX_STATES]; /* counts[EX_TRIGGERED] are the targets without execution */
};

/* What the job's plan judges it by. */
void job_score(const struct job_state *s, struct rollout_score *to);

/* Who a job would be for. */
struct audience {
    int64_t total, online, on_version, other_chip, other_project, never_seen, excluded;
    struct audience_part {
        char platform[33], model[65], fw_version[FW_VERSION_SIZE];
        int64_t count;
    } parts[20]; /* the largest kinds of nodes; the rest is in no part */
    unsigned part_count;
};

/* Counts without starting anything; the errors of fleet_job_start. */
enum err fleet_job_audience(struct fleet *f, const struct job_order *order, time_ms now, struct audience *to,
                            struct why *why);

enum err fleet_job_start(struct fleet *f, const struct job_order *order, time_ms now, struct job *to, struct why *why);
enum err fleet_job_get(struct fleet *f, const char *id, struct job_summary *to, struct why *why);
enum err fleet_job_list(struct fleet *f, const char *after, struct job_summary *to, unsigned max, unsigned *count,
                        struct why *why);
enum err fleet_job_cancel(struct fleet *f, const char *id, time_ms now, struct job_summary *to, struct why *why);
enum err fleet_job_archive(struct fleet *f, const char *id, bool is_archived, time_ms now, struct job_summary *to,
                           struct why *why);
/* Pushes again to the nodes that have not ended. */
enum err fleet_job_retrigger(struct fleet *f, const char *id, time_ms now, struct why *why);
/* ERR_JOB_INACTIVE.  Resuming is refused while a rule that stops the job is still crossed (ERR_JOB_CROSSED): change the
 * plan, or leave out who fails. */
enum err fleet_job_pause(struct fleet *f, const char *id, const char *reason, time_ms now, struct job_summary *to,
                         struct why *why);
enum err fleet_job_resume(struct fleet *f, const char *id, time_ms now, struct job_summary *to, struct why *why);

/* The second person's yes, where fleet_policy.needs_two: the job goes on.  ERR_FORBIDDEN for who started it or changed
 * it last; ERR_JOB_NOT_HELD. */
enum err fleet_job_approve(struct fleet *f, const char *id, const char *person, time_ms now, struct job_summary *to,
                           struct why *why);

struct job_edit {
    const char *editor;                                  /* who changes it; NULL: nobody in particular */
    const char *description, *metadata, *plan, *exclude; /* NULL: stays */
    int priority;                                        /* 0: stays */
};

/* Changes a paused job.  ERR_JOB_NOT_PAUSED. */
enum err fleet_job_edit(struct fleet *f, const char *id, const struct job_edit *edit, time_ms now,
                        struct job_summary *to, struct why *why);
/* Leaves out nodes that fit the query, also those that failed already; what was left out before stays out. */
enum err fleet_job_exclude(struct fleet *f, const char *id, const char *query, time_ms now, struct job_summary *to,
                           struct why *why);
/* Offers the job again to nodes that gave up or timed out, with `is_all` also to those that rolled back or rejected it.
 */
enum err fleet_job_retry(struct fleet *f, const char *id, bool is_all, time_ms now, struct job_summary *to,
                         struct why *why);

/* Failures that look alike, the largest first. */
enum err fleet_job_clusters(struct fleet *f, const char *id, struct cluster *to, unsigned max, unsigned *count,
                            struct why *why);
/* The query that fits a cluster's nodes: what fleet_job_exclude takes. */
void cluster_query(const struct cluster *cluster, char to[QUERY_SIZE]);

#define COURSE_POINTS 128

struct course_point {
    time_ms at;
    int64_t ended, succeeded; /* by then */
};

/* How many had ended over time, from the first end to the last; executions that ended again count where they are now.
 * Reads all of the job's executions. */
enum err fleet_job_course(struct fleet *f, const char *id, struct course_point to[static COURSE_POINTS],
                          unsigned *count, struct why *why);

#define NODE_RUN_JOBS 200 /* the latest jobs, which are looked through */

struct node_run {
    struct execution execution;
    char job_name[NAME_SIZE];
};

/* What jobs did on one node, the latest job first.  ERR_NOT_FOUND. */
enum err fleet_node_runs(struct fleet *f, const char *node_id, struct node_run *to, unsigned max, unsigned *count,
                         struct why *why);

/* The job's executions in the order of node ids; targets without a row appear as EX_TRIGGERED. */
enum err fleet_job_executions(struct fleet *f, const char *job_id, const char *after, time_ms now, struct execution *to,
                              unsigned max, unsigned *count, struct why *why);
enum err fleet_execution(struct fleet *f, const char *job_id, const char *node_id, time_ms now, struct execution *to,
                         struct why *why);
enum err fleet_timeline(struct fleet *f, const char *job_id, const char *node_id, struct timeline_row *to, unsigned max,
                        unsigned *count, struct why *why);

/* Why the node was or was not offered the job, and when next: the decision itself (decide.h), asked without booking
 * anything. */
enum err fleet_why(struct fleet *f, const char *job_id, const char *node_id, time_ms now, struct verdict *to,
                   struct why *why);

/* --- the whole ----------------------------------------------------------------------------------- */

#define TALLY_KINDS 100

struct tally {
    int64_t nodes, online, never_seen, deactivated, astray;
    struct tally_kind {
        char platform[33], model[65], project[33], fw_version[FW_VERSION_SIZE];
        int64_t nodes;
    } kinds[TALLY_KINDS]; /* the first that were met, the largest first; the rest is in none */
    unsigned kind_count;
};

/* Counts all nodes; for those who see a part of the nodes by a query, every node is read. */
enum err fleet_tally(struct fleet *f, struct tally *to, struct why *why);

/* --- users and their nodes -------------------------------------------------------------------- */

/* A node has one primary user; a new one takes the place of all that were there. */
struct own_node {
    char node_id[NODE_ID_SIZE], via[ID_LEN + 1]; /* via: the shared group that brought it, "" when none did */
    bool is_primary;                             /* else the primary user has shared it */
    time_ms mapped_at;
};

/* An administrator's mapping, without the node's word. */
enum err fleet_user_node(struct fleet *f, const char *user_id, const char *node_id, bool is_mapped, time_ms now,
                         struct why *why);
/* ERR_NOT_THE_USERS when the node is not the user's. */
enum err fleet_user_has_node(struct fleet *f, const char *user_id, const char *node_id, struct why *why);
enum err fleet_user_nodes(struct fleet *f, const char *user_id, const char *after, struct own_node *to, unsigned max,
                          unsigned *count, struct why *why);
/* ERR_NOT_THE_USERS. */
enum err fleet_user_node_get(struct fleet *f, const char *user_id, const char *node_id, struct own_node *to,
                             struct why *why);

#define MAP_SECRET_SIZE 65
#define MAP_LIFE_MS     300000 /* how long a node may take to confirm */

enum map_status { MAP_REQUESTED, MAP_CONFIRMED, MAP_TIMED_OUT, MAP_DISCARDED };

/* A user wants a node whose hands hold `secret_key` as well: the node will say so.  ERR_NODE_NOT_FOUND, ERR_BODY. */
enum err fleet_map_request(struct fleet *f, const char *user_id, const char *node_id, const char *secret_key,
                           time_ms now, char request_id[ID_LEN + 1], struct why *why);
/* ERR_NOT_FOUND for a request that is none of the user's. */
enum err fleet_map_status(struct fleet *f, const char *user_id, const char *request_id, time_ms now,
                          enum map_status *status, struct why *why);
/* The other way: the node signs a challenge.  `challenge` is what it shall sign; whoever checked the signature calls
 * fleet_map_proved. */
enum err fleet_map_challenge(struct fleet *f, const char *user_id, int64_t life_ms, time_ms now,
                             char request_id[ID_LEN + 1], char challenge[MAP_SECRET_SIZE], struct why *why);
/* The challenge of a request that is still open.  ERR_NOT_FOUND. */
enum err fleet_map_challenge_get(struct fleet *f, const char *user_id, const char *request_id, time_ms now,
                                 char challenge[MAP_SECRET_SIZE], struct why *why);
enum err fleet_map_proved(struct fleet *f, const char *user_id, const char *request_id, const char *node_id,
                          time_ms now, struct why *why);
/* What a node says of its user (topic user/mapping). */
enum err fleet_on_mapping(struct fleet *f, const char *node_id, struct bytes payload, time_ms now, struct why *why);

/* The public key that a node proves itself with; PEM. */
enum err fleet_node_key_put(struct fleet *f, const char *node_id, const char *pem, struct why *why);
/* `to` on the heap, NULL when it is not known. */
enum err fleet_node_key(struct fleet *f, const char *node_id, char **to, struct why *why);

/* --- sharing ---------------------------------------------------------------------------------- */

#define SHARE_MAX           25   /* nodes or groups in one request */
#define SHARE_METADATA_SIZE 1025 /* what the asker wants the other one to read: a JSON object */

enum share_what { SHARE_NODES, SHARE_GROUPS };
enum share_status { SHARE_PENDING, SHARE_ACCEPTED, SHARE_DECLINED };

/* A primary user offers nodes, or an owner offers groups, to another user. */
struct share {
    char id[ID_LEN + 1], from_id[ID_LEN + 1], from_name[NAME_SIZE], to_id[ID_LEN + 1], to_name[NAME_SIZE];
    char ids[SHARE_MAX][NODE_ID_SIZE], metadata[SHARE_METADATA_SIZE];
    enum share_what what;
    enum share_status status;
    unsigned count;
    bool makes_primary; /* the other becomes the primary user; the asker keeps the nodes as a secondary */
    time_ms at;
};

/* `share`: what, to_name, ids, count, makes_primary and metadata are read, the rest is written.  ERR_NOT_THE_USERS when
 * the asker is not the primary user of a node (or owner of a group); ERR_NOT_FOUND when there is no such other user. */
enum err fleet_share_ask(struct fleet *f, const struct user *from, struct share *share, time_ms now, struct why *why);
/* Requests that the user made (`as_asker`) or was sent, after the request `after`.  */
enum err fleet_share_list(struct fleet *f, enum share_what what, const char *user_id, bool as_asker, const char *after,
                          struct share *to, unsigned max, unsigned *count, struct why *why);
/* ERR_MAP_REQUEST for a request that is none of the user's. */
enum err fleet_share_get(struct fleet *f, enum share_what what, const char *user_id, const char *id, struct share *to,
                         struct why *why);
/* Yes or no of who was asked.  ERR_MAP_REQUEST when it is answered already. */
enum err fleet_share_answer(struct fleet *f, enum share_what what, const char *user_id, const char *id, bool accepts,
                            time_ms now, struct why *why);
/* The asker takes it back. */
enum err fleet_share_cancel(struct fleet *f, enum share_what what, const char *user_id, const char *id,
                            struct why *why);
/* A primary user takes what was shared from `name`, or a secondary user lets go. */
enum err fleet_share_end(struct fleet *f, enum share_what what, const struct user *user, const char *name,
                         const char *const *ids, unsigned count, struct why *why);

struct share_users {
    char names[32][NAME_SIZE];
    bool are_primary[32];
    unsigned count;
};

/* Whose a node or group is.  ERR_NOT_THE_USERS when it is not the asking user's, too. */
enum err fleet_share_users(struct fleet *f, enum share_what what, const char *user_id, const char *id,
                           struct share_users *to, struct why *why);
/* Groups that others have shared with the user. */
enum err fleet_shared_groups(struct fleet *f, const char *user_id, struct group *to, unsigned max, unsigned *count,
                             struct why *why);

/* --- automations ------------------------------------------------------------------------------ */

struct json;

/* `order`: RainMaker's, with node_id, events and actions; all of them nodes of the user's.  ERR_BODY,
 * ERR_NOT_THE_USERS, ERR_TOO_BIG. */
enum err fleet_automation_add(struct fleet *f, const char *user_id, const struct json *order, time_ms now,
                              char id[ID_LEN + 1], struct why *why);
/* ERR_AUTOMATION for one that is not the user's. */
enum err fleet_automation_edit(struct fleet *f, const char *user_id, const char *id, const struct json *changes,
                               time_ms now, struct why *why);
enum err fleet_automation_drop(struct fleet *f, const char *user_id, const char *id, struct why *why);
/* Names are ids, texts the orders. */
enum err fleet_automation_list(struct fleet *f, const char *user_id, struct name_visitor *v, struct why *why);

/* --- claiming --------------------------------------------------------------------------------- */

struct claim {
    char mac[13], node_id[NODE_ID_SIZE], user_id[ID_LEN + 1];
    bool is_done; /* the node has had a certificate */
};

/* The claim of a MAC address, a new one when there is none; its node id is made here, or is the MAC when no user claims
 * (`user_id` "").  ERR_FORBIDDEN when it is somebody else's. */
enum err fleet_claim_begin(struct fleet *f, const char *mac, const char *user_id, time_ms now, struct claim *to,
                           struct why *why);
/* The claim of a node id, of the same user.  ERR_MAP_REQUEST. */
enum err fleet_claim_find(struct fleet *f, const char *user_id, const char *node_id, struct claim *to, struct why *why);
/* The node gets its certificate: it is registered from now on. */
enum err fleet_claim_end(struct fleet *f, const struct claim *claim, time_ms now, struct why *why);

/* --- parameters ------------------------------------------------------------------------------- */

#define PARAMS_MAX METADATA_MAX /* characters of what is sent to a node */
#define KEPT_MAX   (64 * 1024)  /* characters of what is kept of a node's parameters, or of its user's metadata */

/* `is_whole`: all its parameters, else those that changed.  ERR_FORMAT, ERR_TOO_BIG. */
enum err fleet_on_params(struct fleet *f, const char *node_id, struct bytes payload, bool is_whole, time_ms now,
                         struct why *why);
/* A JSON object as text, on the heap; NULL when the node has told none. */
enum err fleet_node_params(struct fleet *f, const char *node_id, char **to, struct why *why);
/* Sends parameters to a node; what they are then, it tells itself.  ERR_NODE_NOT_FOUND, ERR_TOO_BIG. */
enum err fleet_params_send(struct fleet *f, const char *node_id, const char *params, time_ms now, struct why *why);

/* What its user keeps with a node: merged (RFC 7396); `metadata` NULL takes all away.  ERR_BODY, ERR_TOO_BIG. */
enum err fleet_node_metadata_put(struct fleet *f, const char *node_id, const char *metadata, struct why *why);
enum err fleet_node_metadata(struct fleet *f, const char *node_id, char **to, struct why *why);

/* --- commands --------------------------------------------------------------------------------- */

#define COMMAND_NODES_MAX 25

enum command_status { COMMAND_REQUESTED, COMMAND_IN_PROGRESS, COMMAND_SUCCESS, COMMAND_FAILURE, COMMAND_TIMED_OUT };

struct command_order {
    const char *nodes[COMMAND_NODES_MAX];
    unsigned node_count, number;
    struct bytes data;
    int64_t life_ms;
    bool is_override; /* what waits under the same number gives way */
};

/* One node's part of a request. */
struct command_request {
    char id[ID_LEN + 1], node_id[NODE_ID_SIZE], user_id[ID_LEN + 1];
    enum command_status status;
    unsigned device_status; /* RainMaker's, 0 to 4 */
    struct command command;
    uint8_t answer[COMMAND_DATA_MAX];
    size_t answer_len;
    time_ms at, until, answered_at; /* answered 0: not yet */
};

/* Sends a command to nodes that are connected, and keeps it for the others.  ERR_NODE_NOT_FOUND, ERR_TOO_BIG,
 * ERR_TRAFFIC. */
enum err fleet_command(struct fleet *f, const struct user *user, const struct command_order *o, time_ms now,
                       char id[ID_LEN + 1], struct why *why);
/* A node's answer, or its poll.  */
enum err fleet_on_command(struct fleet *f, const char *node_id, const struct command *c, time_ms now, struct why *why);
/* The nodes of a request of the user's.  ERR_MAP_REQUEST. */
enum err fleet_command_get(struct fleet *f, const char *user_id, const char *id, time_ms now,
                           struct command_request *to, unsigned max, unsigned *count, struct why *why);

/* --- updates that a user says yes to ---------------------------------------------------------- */

/* The update that the node's user may say yes to; `verdict` as in fleet_fetch_now.  ERR_NO_JOB, ERR_NO_NETWORK,
 * ERR_TRAFFIC. */
enum err fleet_approval_get(struct fleet *f, const char *node_id, time_ms now, struct job *job, struct image *image,
                            struct why *why);
/* The user says yes: the node is offered the job.  ERR_JOB_NO_NODE, ERR_NO_JOB (it is not the one on offer),
 * ERR_NODE_OFFLINE. */
enum err fleet_approve(struct fleet *f, const char *node_id, const char *job_id, time_ms now, struct why *why);

/* --- who is let in ---------------------------------------------------------------------------- */

/* A maker's certificate authority, whose nodes are let in beside those of our own; `name`: its fingerprint. */
enum err fleet_authority_add(struct fleet *f, const char *name, const char *pem, struct why *why);
/* ERR_NOT_FOUND. */
enum err fleet_authority_drop(struct fleet *f, const char *name, struct why *why);
enum err fleet_authority_scan(struct fleet *f, struct name_visitor *v, struct why *why);

/* A node that is deactivated is not let in by the broker (fleet_denied_scan) and has no updates.  ERR_NODE_NOT_FOUND.
 */
enum err fleet_node_activate(struct fleet *f, const char *node_id, bool is_active, time_ms now, struct why *why);
/* The ids of those nodes, in rising order; `text` is "". */
enum err fleet_denied_scan(struct fleet *f, struct name_visitor *v, struct why *why);

/* Keys that sign images; `text`: the door's own, which holds the private half sealed.  get: NULL when there is none. */
enum err fleet_sign_key_put(struct fleet *f, const char *name, const char *text, struct why *why);
enum err fleet_sign_key_get(struct fleet *f, const char *name, char **to, struct why *why);
enum err fleet_sign_key_drop(struct fleet *f, const char *name, struct why *why);
enum err fleet_sign_key_scan(struct fleet *f, struct name_visitor *v, struct why *why);

/* Simulators, by name; `text`: the door's own. */
enum err fleet_simulator_put(struct fleet *f, const char *name, const char *text, struct why *why);
enum err fleet_simulator_drop(struct fleet *f, const char *name, struct why *why);
enum err fleet_simulator_scan(struct fleet *f, struct name_visitor *v, struct why *why);

/* --- what clients come back for, and what is remembered ---------------------------------------- */

#define REQUEST_LIFE_MS (7 * 86400000LL) /* what clients come back for is kept so long */

/* A text kept under a request's id, for a client that asks later.  fleet_request_get: NULL when there is none. */
enum err fleet_request_put(struct fleet *f, const char *id, const char *text, time_ms now, struct why *why);
enum err fleet_request_get(struct fleet *f, const char *id, char **to, struct why *why);

/* The audit log: each entry's hash covers the one before, so that none can be taken out or changed unnoticed.
 * `entry`: a JSON object as text. */
enum err fleet_audit_add(struct fleet *f, const char *entry, struct why *why);

struct audit_visitor {
    /* `hash`: 64 hex digits.  False: enough. */
    bool (*visit)(struct audit_visitor *v, int64_t number, const char *hash, const char *entry);
};

/* The number of the last entry; 0: there is none. */
enum err fleet_audit_last(struct fleet *f, int64_t *number, struct why *why);
/* Entries from number `first` (1 and up) on. */
enum err fleet_audit_scan(struct fleet *f, int64_t first, struct audit_visitor *v, struct why *why);
/* `*broken` becomes the number of the first entry that is not as it was written, 0 when all are; `*count` how many
 * there are.  One is missing at the end only if `*count` is less than somebody remembers. */
enum err fleet_audit_verify(struct fleet *f, int64_t *count, int64_t *broken, struct why *why);

/* --- webhooks --------------------------------------------------------------------------------- */

#define WEBHOOKS_MAX     50
#define WEBHOOK_URL_SIZE 512
#define DELIVERIES_KEPT  100 /* of each webhook */
#define WEBHOOK_FIRST_MS 2000LL
#define WEBHOOK_MOST_MS  3600000LL
#define WEBHOOK_BATCH    50 /* events in one delivery */

struct webhook {
    char id[ID_LEN + 1], url[WEBHOOK_URL_SIZE], description[NAME_SIZE];
    unsigned kinds; /* a bit for each event_kind; 0: all */
    bool is_paused;
    int64_t cursor;    /* the last event that it has */
    unsigned failures; /* since the last success */
    time_ms next_at;   /* no try before */
    time_ms created_at;
};

struct delivery {
    int64_t number, first, last; /* events; first 0: older ones are gone, and it was told so */
    int status;                  /* HTTP's, 0: no answer */
    int64_t took_ms;
    time_ms at;
    char story[160]; /* what went wrong, "" */
};

/* It begins with what happens from now on.  ERR_TOO_BIG when there are too many. */
enum err fleet_webhook_add(struct fleet *f, struct webhook *hook, time_ms now, struct why *why);
enum err fleet_webhook_get(struct fleet *f, const char *id, struct webhook *to, struct why *why);
enum err fleet_webhook_list(struct fleet *f, struct webhook *to, unsigned max, unsigned *count, struct why *why);
/* Writes url, description, kinds and is_paused; one that failed is tried at once. */
enum err fleet_webhook_edit(struct fleet *f, const struct webhook *hook, struct why *why);
enum err fleet_webhook_drop(struct fleet *f, const char *id, struct why *why);
/* Sends again from that event on.  ERR_BODY when there is no such event any more. */
enum err fleet_webhook_replay(struct fleet *f, const char *id, int64_t from, struct why *why);

/* A webhook that is due, with the events to send; `*count` 0 and hook->id "": none is, ask again at `*next_at` (0: when
 * rung).  `*last`: the event up to which this goes, those that it does not want included. */
enum err fleet_webhook_due(struct fleet *f, time_ms now, struct webhook *hook, struct event *to, unsigned max,
                           unsigned *count, int64_t *last, bool *is_gap, time_ms *next_at, struct why *why);
/* What became of a try. */
enum err fleet_webhook_tried(struct fleet *f, const char *id, const struct delivery *d, struct why *why);
/* The newest first. */
enum err fleet_webhook_deliveries(struct fleet *f, const char *id, struct delivery *to, unsigned max, unsigned *count,
                                  struct why *why);

/* --- what is due, and what goes out ----------------------------------------------------------- */

/* Does what time or a big push makes due; `*next_at` becomes when to call again at the latest. */
enum err fleet_tick(struct fleet *f, time_ms now, time_ms *next_at, struct why *why);

struct outgoing {
    struct outbox_row row;
    bool is_stale;   /* the node has moved on since, or the job was stopped: fleet_outbox_drop(); the rest is not set */
    unsigned broker; /* where its node was seen last, when the policy has several */
    struct image image;
    char text[METADATA_MAX + 1]; /* of a message, or the job's metadata */
};

/* Whether rows that were listed may still be sent; see the store's port. */
bool fleet_outbox_is_ours(struct fleet *f);
/* Whether fleet_tick and webhooks are this server's affair. */
bool fleet_leads(struct fleet *f);

enum err fleet_outbox_list(struct fleet *f, int64_t after, struct outgoing *to, unsigned max, unsigned *count,
                           struct why *why);
enum err fleet_outbox_done(struct fleet *f, int64_t id, struct why *why);
/* A stale row leaves without having been sent: its node waits again, or is done with a job that was cancelled. */
enum err fleet_outbox_drop(struct fleet *f, const struct outbox_row *row, time_ms now, struct why *why);

/* Events after `after`.  `*is_gap` says that older ones were dropped, so the reader has to load its picture anew. */
enum err fleet_events(struct fleet *f, int64_t after, struct event *to, unsigned max, unsigned *count, bool *is_gap,
                      struct why *why);
enum err fleet_event_last(struct fleet *f, int64_t *id, struct why *why);

#endif
