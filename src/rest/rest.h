/*
 * rest.h - RainMaker's REST paths over the fleet mind: request struct in, response struct out.
 *
 * Opens no socket; the HTTP library is joined on in pluviod.  A request is handled in one call, with
 * one before and one after it:
 *
 *     const struct rest_route *route = rest_find(rest, &request);   when the headers are in: limits, where a body goes
 *     rest_handle(rest, route, &request, &response);                when the body is in
 *     rest_afterwards(rest, now);                                   when the answer is out
 *
 * Promises: every answer but a file, a page and 401 is RainMaker's JSON; 401 is `{"message":"Unauthorized"}` because
 * clients of the original meet its gateway there.  Error codes are numbers (base/err.h).
 */
#ifndef PLUVIO_REST_REST_H
#define PLUVIO_REST_REST_H

#include "base/buf.h"
#include "base/log.h"
#include "fleet/fleet.h"
#include "keys/keys.h"
#include "rest/known.h"
#include "rest/limit.h"

#include <pthread.h>
#include <stdatomic.h>

#define REST_BODY_MAX    (64 * 1024)           /* JSON bodies */
#define REST_BASE64_MAX  (7 * 1024 * 1024)     /* a 5 MB image in base64, with its JSON around it */
#define REST_UPLOAD_MAX  (300LL * 1024 * 1024) /* packages by upload URL, and what one unpacks to */
#define FIRMWARE_MAX     (200LL * 1024 * 1024) /* images by upload URL */
#define COMPANION_MAX    (100LL * 1024 * 1024) /* files that belong to images */
#define IMAGE_BASE64_MAX (5 * 1024 * 1024)
#define URL_LIFE_S       86400 /* download URLs, as RainMaker's */
#define UPLOAD_LIFE_S    3600
#define ACCESS_LIFE_MS   (3600LL * 1000)
#define REFRESH_LIFE_MS  (30LL * 86400 * 1000)

enum rest_listener { REST_PUBLIC, REST_LOCAL, REST_NODES };

struct rest_request {
    const char *method, *path;
    enum rest_listener listener;
    const char *node_id;   /* REST_NODES: common name of the verified client certificate */
    const char *address;   /* the client's; NULL: not known */
    struct bytes body;     /* routes with a body in memory */
    const char *body_file; /* routes with a body in a file: its path; the handler may move it away */
    int64_t body_file_len;
    time_ms now;
    /* A query parameter or header by name, NULL when absent. */
    const char *(*query)(const struct rest_request *r, const char *name);
    const char *(*header)(const struct rest_request *r, const char *name);
    /* Set by the route table. */
    char parameter[80], second_parameter[80]; /* the path's variable parts */
    struct user user;                         /* routes that need a token */
    char org[ID_LEN + 1];                     /* the organisation that is acted in; "": the house */
    char session[SESSION_SIZE];               /* of an access token; "" for API tokens */
    bool is_gate_changed;                     /* set by handlers */
};

struct rest_response {
    int status;
    const char *type;  /* content type */
    struct buf body;   /* when file_fd is -1 and page.at is NULL */
    struct bytes page; /* static bytes, never freed */
    bool is_page_gzip;
    int file_fd; /* the HTTP layer closes it */
    int64_t file_at, file_len, file_size;
    char etag[72];
    int64_t upload_offset;   /* >= 0: the header Upload-Offset */
    char *location, *cookie; /* headers Location and Set-Cookie, on the heap; NULL: none */
    bool is_event_stream;    /* the HTTP layer sends rest_stream() until the client leaves */
    int64_t stream_after;
    const char *cache; /* Cache-Control; NULL: no-store */
};

enum rest_body { REST_NO_BODY, REST_BODY_MEMORY, REST_BODY_BASE64, REST_BODY_FILE };
enum rest_auth { REST_OPEN, REST_TOKEN, REST_SIGNED_URL, REST_NODE_CERT };

struct rest;

struct rest_route {
    const char *method, *path; /* a segment "*" takes any one, two of them at most */
    enum rest_auth auth;
    enum right right; /* what the user of a token must have */
    enum rest_body body;
    enum err (*handle)(struct rest *rest, struct rest_request *q, struct rest_response *p, struct why *why);
    const char *audit; /* "job.start": what the audit log calls it; NULL: nothing to remember */
    bool is_quick;     /* a few rows read, nothing hashed or written: need not leave the thread that it came to */
};

/* A file of the dashboard, as it is and as gzip has packed it (NULL: it gains nothing). */
struct web_page {
    const char *path, *type, *etag;
    bool is_named_by_content; /* it never changes under its path */
    const uint8_t *at, *end, *gzip_at, *gzip_end;
};

/* Who is let in has changed: authorities or deactivated nodes. */
struct rest_gate {
    void (*changed)(struct rest_gate *gate);
};

/* What else has to run for the server to be of use; `*missing` says what does not. */
struct rest_health {
    bool (*is_ready)(struct rest_health *health, const char **missing);
};

/* Since the start of the server. */
struct rest_counts {
    atomic_llong by_class[6];       /* answers, by hundreds of the status */
    atomic_llong messages;          /* that came from nodes over MQTT */
    atomic_llong files, file_bytes; /* downloads that began at the first byte, and bytes that were asked for */
};

#define REST_TALLIES 8

/* The fleet as it was counted a moment ago, for each organisation and scope that asks. */
struct rest_tallies {
    pthread_mutex_t lock;
    struct rest_tally {
        char org[ID_LEN + 1], scope[QUERY_SIZE];
        time_ms counted_at, until; /* until: so long it is good; 0: the place is free */
        bool is_wanted;            /* an older one was given away: rest_afterwards counts anew */
        bool is_counting;
        struct tally tally;
    } at[REST_TALLIES];
    atomic_bool has_wanted;
};

void rest_tallies_init(struct rest_tallies *t);

/* How simulated nodes behave. */
struct rest_simulation {
    const char *name;       /* of the simulator */
    const char *cert, *key; /* PEM */
    int64_t node_count;
    int bad, flaky;         /* percent of images that fail their trial, of downloads that break */
    const char *fw_version; /* what they run at first */
    const char *project_name, *platform, *model;
};

/* Runs simulators beside the server. */
struct rest_runner {
    /* Starts it now, and again whenever the server starts, until it is stopped for good. */
    enum err (*start)(struct rest_runner *runner, const struct rest_simulation *simulation, struct why *why);
    /* Nothing happens when it is not run here. */
    void (*stop)(struct rest_runner *runner, const char *name);
    bool (*is_running)(struct rest_runner *runner, const char *name);
    bool (*has_room)(struct rest_runner *runner); /* for one more */
};

/* Brings a letter to a person; NULL in `struct rest`: nobody does. */
struct rest_mail {
    void (*send)(struct rest_mail *mail, const char *to, const char *subject, const char *text);
};

/* An OpenID Connect provider by which people sign in; NULL in `struct rest`: there is none. */
struct rest_provider {
    const char *issuer, *client_id;
    const char *claim; /* which claim of the identity token is the user's name */
    bool makes_users;  /* people who have no user here get one, of new_role */
    enum role new_role;
    /* GET, or POST of a form with the client's secret.  `answer` is freed by the caller.  ERR_NETWORK. */
    enum err (*call)(struct rest_provider *provider, const char *url, const char *form, struct buf *answer, int *status,
                     struct why *why);
};

/* Fetches a file by its URL, for jobs whose image lies elsewhere; NULL in `struct rest`: nobody does.  ERR_NETWORK. */
struct rest_fetch {
    enum err (*fetch)(struct rest_fetch *f, const char *url, const char *path, struct why *why);
};

struct sim_scratch;

struct rest {
    struct fleet *fleet;
    struct blob_store *blob;
    struct keys *keys;
    struct entropy *entropy;
    struct log *log;
    const char *public_url; /* "https://localhost:8443", in URLs given to nodes and clients */
    /* What nodes connect to, with ":port" when that is not 8883; each node to one of them. */
    const char *const *mqtt_hosts;
    unsigned mqtt_host_count;
    const char *version;
    const struct web_page *pages; /* the dashboard; ends with path NULL */
    struct sim_scratch *scratch;  /* for dry runs; NULL: there are none */
    struct rest_mail *mail;
    struct rest_provider *provider;
    struct rest_fetch *fetch;
    struct rest_gate *gate;            /* NULL: nobody has to know */
    struct rest_health *health;        /* NULL: nothing else */
    struct known_tokens *known;        /* NULL: each token is checked anew */
    struct limiter *users, *strangers; /* limits for users, and for addresses without a token; NULL: none */
    struct rest_counts *counts;        /* NULL: nobody counts */
    struct rest_tallies *tallies;      /* NULL: each question counts anew */
    struct rest_runner *runner;        /* NULL: simulators are run elsewhere */
    bool may_sign_up;                  /* strangers may make themselves end users */
    bool may_self_claim;               /* a node may claim its own certificate, without a user */
};

/* NULL with the error answer written when no route fits, or when the request is not allowed here. */
const struct rest_route *rest_find(struct rest *rest, struct rest_request *q, struct rest_response *p);

/* The most bytes of body that the route takes. */
int64_t rest_body_max(const struct rest_route *route);

void rest_handle(struct rest *rest, const struct rest_route *route, struct rest_request *q, struct rest_response *p);

/* Does what the answers so far need not wait for: large fleets are counted anew.  Called when an answer is out, from
 * any thread; takes long at times. */
void rest_afterwards(struct rest *rest, time_ms now);

/* Writes an error as RainMaker does. */
void rest_fail(struct rest_response *p, enum err err, const struct why *why);

/* The events after `*after` that `view` (NULL: all) shows, in the form of server-sent events; `*after` moves on.
 * Nothing new appends nothing. */
enum err rest_stream(struct rest *rest, const struct fleet_view *view, int64_t *after, struct buf *to, struct why *why);

/* What of the fleet the request may see; false: all of it, and `*to` is not set. */
bool rest_view(const struct rest *rest, const struct rest_request *q, struct fleet_view *to);

/* What a webhook is sent. */
void rest_webhook_body(const struct webhook *hook, const struct event *events, unsigned count, bool is_gap,
                       struct buf *to);

#define WEBHOOK_SIGNATURE_SIZE 96

/* The header Pluvio-Signature: "t=<epoch seconds>,v1=<hex HMAC-SHA-256 over "<t>.<body>">". */
void rest_webhook_sign(const struct keys *keys, const struct webhook *hook, struct bytes body, time_ms now,
                       char to[static WEBHOOK_SIGNATURE_SIZE]);

void rest_response_init(struct rest_response *p);
void rest_response_deinit(struct rest_response *p);

/* Which of the brokers is a node's; NULL: that of nobody in particular.  The others keep theirs when one is added. */
const char *rest_mqtt_host(const struct rest *rest, const char *node_id);

/* The URL a node downloads an image from, signed, valid for a day. */
void rest_image_url(const struct rest *rest, const struct image *image, time_ms now, char *to, size_t size);

/* Every route, for documents and tests. */
const struct rest_route *rest_routes(size_t *count);

/* Makes the first administrator when there is no user yet.  `*is_made` tells; `password` then opens the door. */
enum err rest_first_user(struct rest *rest, const char *name, const char *password, time_ms now, bool *is_made,
                         struct why *why);

#endif
