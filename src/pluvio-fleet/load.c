/*
 * Nodes with a connection each at a real server: worker processes hold real MQTT connections with TLS and certificates,
 * make real downloads and run the node's mind; this one adds up what they count and holds it against the server's.
 */
#include "pluvio-fleet/load.h"
#include "pluvio-fleet/verbs.h"

#include "base/err.h"
#include "base/text.h"
#include "codec/json.h"
#include "net/http_call.h"
#include "wire/topic.h"

#include <argp.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TELL_MS        5000
#define POLL_MS        100
#define SETTLE_MS      480000
#define SETTLE_STEP_MS 500
#define WORKERS_LEAST  2
#define NODE_FILES     3   /* a node's socket, and the pair of them by which libmosquitto wakes itself */
#define WORKER_FILES   100 /* everything else that a process opens */

static int64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- adding up -------------------------------------------------------------------------------- */

#define SUM(shared, settings, member) sum(shared, settings, offsetof(struct load_counts, member))

static int64_t sum(const struct load_shared *shared, const struct load_settings *s, size_t at)
{
    int64_t total = 0;
    for (unsigned i = 0; i < s->workers; i++)
        total += atomic_load((const atomic_llong *)(const void *)((const char *)&shared->workers[i] + at));
    return total;
}

static bool is_all_done(const struct load_shared *shared, const struct load_settings *s)
{
    for (unsigned i = 0; i < s->workers; i++)
        if (!atomic_load(&shared->workers[i].is_done))
            return false;
    return true;
}

/* Milliseconds that so much of all took at most, by the histogram's upper bounds. */
static double quantile(const struct load_shared *shared, const struct load_settings *s, enum load_latency kind,
                       double part, int64_t *count)
{
    int64_t all = 0, seen = 0;
    for (unsigned w = 0; w < s->workers; w++)
        for (int i = 0; i < LOAD_BUCKETS; i++)
            all += atomic_load(&shared->workers[w].latency[kind][i]);
    *count = all;
    for (int i = 0; i < LOAD_BUCKETS && all > 0; i++) {
        for (unsigned w = 0; w < s->workers; w++)
            seen += atomic_load(&shared->workers[w].latency[kind][i]);
        if ((double)seen >= part * (double)all)
            return 0.1 * pow(1.05, i);
    }
    return 0;
}

static void tell(const struct load_shared *shared, const struct load_settings *s, int64_t now)
{
    if (s->is_quiet)
        return;
    printf("%" PRId64 " s: %" PRId64 " registered, %" PRId64 " connected, %" PRId64 " messages, %" PRId64
           " documents, %" PRId64 " downloads, %" PRId64 " confirmed\n",
           now / 1000, SUM(shared, s, registered), SUM(shared, s, connected), SUM(shared, s, messages),
           SUM(shared, s, documents), SUM(shared, s, downloads), SUM(shared, s, confirmed));
    fflush(stdout);
}

static void report(const struct load_shared *shared, const struct load_settings *s, int64_t took)
{
    static const char *const names[] = {"connect", "puback", "download"};
    printf("{\"nodes\":%u,\"seconds\":%.1f,\"connects\":%" PRId64 ",\"refused\":%" PRId64 ",\"lost\":%" PRId64
           ",\"messages\":%" PRId64 ",\"acknowledged\":%" PRId64 ",\"documents\":%" PRId64 ",\"repeats\":%" PRId64
           ",\"downloads\":%" PRId64 ",\"download_failures\":%" PRId64 ",\"bytes\":%" PRId64 ",\"confirmed\":%" PRId64
           ",\"on_target\":%" PRId64,
           s->nodes, (double)took / 1000, SUM(shared, s, connects), SUM(shared, s, refused), SUM(shared, s, lost),
           SUM(shared, s, messages), SUM(shared, s, acknowledged), SUM(shared, s, documents), SUM(shared, s, repeats),
           SUM(shared, s, downloads), SUM(shared, s, download_failures), SUM(shared, s, bytes),
           SUM(shared, s, confirmed), SUM(shared, s, on_target));
    for (int i = 0; i < LOAD_LATENCIES; i++) {
        int64_t count;
        double half = quantile(shared, s, (enum load_latency)i, 0.5, &count);
        printf(",\"%s_ms\":{\"count\":%" PRId64 ",\"median\":%.1f,\"p99\":%.1f}", names[i], count, half,
               quantile(shared, s, (enum load_latency)i, 0.99, &count));
    }
    printf("}\n");
}

/* --- the server's word ------------------------------------------------------------------------ */

#define PAGE 100

/* The answer to a question, or NULL when there is none. */
static struct json *ask(const struct load_settings *s, const char *url)
{
    char header[2100];
    struct http_answer answer = {0};
    struct json *doc = NULL;
    snprintf(header, sizeof header, "Authorization: %s", s->token);
    struct http_call call = {.method = "GET", .url = url, .headers = {header}, .body_fd = -1, .timeout_ms = 60000};
    if (http_call(&call, &answer, NULL) != ERR_NONE || answer.status != 200 ||
        json_parse(buf_bytes(&answer.body), &doc, NULL) != ERR_NONE)
        doc = NULL;
    buf_deinit(&answer.body);
    return doc;
}

/* A page of the nodes that run the target; `after` moves on, and is "" after the last. */
static int64_t count_page(const struct load_settings *s, char after[NODE_ID_SIZE])
{
    struct buf url = {0};
    buf_addf(&url, "%s/v1/admin/nodes?num_records=%d&start_id=%s&query=", s->server, PAGE, after);
    http_escape(&url, "fw_version = ");
    http_escape(&url, s->target);
    struct json *doc = ask(s, url.at);
    int64_t count = doc != NULL ? 0 : -1;
    JSON_EACH (id, json_get(doc, "nodes"))
        count += json_text(id) != NULL && strncmp(json_text(id), s->prefix, strlen(s->prefix)) == 0;
    if (doc != NULL)
        text_copy(after, NODE_ID_SIZE, json_text(json_get(doc, "next_id")));
    json_free(doc);
    buf_deinit(&url);
    return count;
}

/* How many of our nodes run the target, as the server sees it; -1 when it does not say. */
static int64_t ask_server(const struct load_settings *s)
{
    char after[NODE_ID_SIZE] = "";
    int64_t total = 0, count;
    do {
        count = count_page(s, after);
        total += count;
    } while (count >= 0 && after[0] != '\0');
    return count < 0 ? -1 : total;
}

/* How many nodes a job has begun with and not ended; -1 when the server does not say. */
static int64_t open_in_job(const struct load_settings *s, const char *id)
{
    struct buf url = {0};
    int64_t total = -1, completed = 0, triggered = 0;
    buf_addf(&url, "%s/v1/admin/otajob?ota_job_id=", s->server);
    http_escape(&url, id);
    struct json *job = ask(s, url.at);
    json_int(json_get(job, "total_count"), &total);
    json_int(json_get(job, "completed_count"), &completed);
    json_int(json_get(json_get(job, "states"), "triggered"), &triggered);
    json_free(job);
    buf_deinit(&url);
    return total < 0 ? -1 : total - completed - triggered;
}

/* Whether a worker before this one has the job too. */
static bool is_known_before(const struct load_shared *shared, unsigned worker, const char *id)
{
    for (unsigned i = 0; i < worker; i++)
        for (unsigned k = 0; k < atomic_load(&shared->workers[i].job_count); k++)
            if (strcmp(shared->workers[i].jobs[k], id) == 0)
                return true;
    return false;
}

/* The same of all jobs whose documents came to our nodes. */
static int64_t open_in_jobs(const struct load_settings *s, const struct load_shared *shared)
{
    int64_t total = 0;
    for (unsigned i = 0; i < s->workers; i++)
        for (unsigned k = 0; k < atomic_load(&shared->workers[i].job_count); k++) {
            const char *id = shared->workers[i].jobs[k];
            int64_t count = is_known_before(shared, i, id) ? 0 : open_in_job(s, id);
            if (count < 0)
                return -1;
            total += count;
        }
    return total;
}

static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

/* Waits; true when somebody wants us to stop. */
static bool is_stopped_within(int64_t ms)
{
    const sigset_t set = stop_signals();
    const struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return sigtimedwait(&set, NULL, &limit) > 0;
}

struct comparison {
    int64_t ours, theirs; /* nodes on the target, as they say themselves and as the server says; -1: it does not say */
    int64_t open;         /* nodes whose part in a job has not ended, as the server says */
};

/*
 * What nodes said last may be on its way, may wait for a server that takes over what another one left, or is lost with
 * a broker: the server then asks the nodes, who must still be there to answer.
 */
static struct comparison settle(const struct load_settings *s, const struct load_shared *shared)
{
    int64_t until = monotonic_ms() + SETTLE_MS;
    const bool is_whole = is_all_done(shared, s); /* else it was ended early, with nodes at work */
    struct comparison v;
    do {
        v.theirs = ask_server(s);
        v.ours = SUM(shared, s, on_target);
        v.open = v.theirs == v.ours ? open_in_jobs(s, shared) : -1;
    } while ((v.theirs != v.ours || (is_whole && v.open != 0)) && monotonic_ms() < until &&
             !is_stopped_within(SETTLE_STEP_MS));
    return v;
}

static bool is_agreed(const struct load_settings *s, const struct comparison *v)
{
    printf("nodes on %s: %" PRId64 " as they say themselves, %" PRId64 " as the server says: %s\n", s->target, v->ours,
           v->theirs, v->ours == v->theirs ? "they agree" : "THEY DIFFER");
    if (v->open > 0)
        printf("%" PRId64 " nodes are still at work in their jobs, as the server says\n", v->open);
    return v->ours == v->theirs;
}

/* --- processes -------------------------------------------------------------------------------- */

static bool start_workers(const struct load_settings *s, struct load_shared *shared, pid_t *pids)
{
    for (unsigned i = 0; i < s->workers; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            const sigset_t set = stop_signals();
            signal(SIGINT, SIG_IGN);
            sigprocmask(SIG_UNBLOCK, &set, NULL);
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            _exit(load_worker(s, shared, i));
        }
        if (pids[i] < 0)
            return false;
    }
    return true;
}

/* False when one of them failed. */
static bool watch(const struct load_settings *s, struct load_shared *shared)
{
    int64_t from = monotonic_ms(), tell_at = TELL_MS;
    int status;
    while (!is_stopped_within(POLL_MS)) {
        int64_t now = monotonic_ms() - from;
        if (now >= tell_at) {
            tell(shared, s, now);
            tell_at = now + TELL_MS;
        }
        if (waitpid(-1, &status, WNOHANG) > 0)
            return false;
        if ((s->seconds > 0 && now >= s->seconds * 1000) || (s->target != NULL && is_all_done(shared, s)))
            return true;
    }
    return true;
}

static int run(const struct load_settings *s)
{
    struct load_shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[LOAD_WORKERS_MAX];
    int64_t from = monotonic_ms();
    if (shared == MAP_FAILED || (mkdir(s->folder, 0700) != 0 && access(s->folder, W_OK) != 0)) {
        fprintf(stderr, "pluvio-fleet: no memory, or no folder %s\n", s->folder);
        return 71;
    }
    const sigset_t set = stop_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
    bool is_good = start_workers(s, shared, pids) && watch(s, shared);
    int64_t took = monotonic_ms() - from;
    tell(shared, s, took);
    const struct comparison v = is_good && s->target != NULL ? settle(s, shared) : (struct comparison){0};
    report(shared, s, took);
    if (!is_good)
        fprintf(stderr, "pluvio-fleet: a worker failed\n");
    else if (s->target != NULL)
        is_good = is_agreed(s, &v);
    atomic_store(&shared->is_over, true);
    while (wait(NULL) > 0)
        ;
    munmap(shared, sizeof *shared);
    return is_good ? 0 : 1;
}

/* The nodes that one process has descriptors for, by the limit that its owner may raise. */
static unsigned nodes_of_a_worker(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max == RLIM_INFINITY)
        return UINT32_MAX;
    return files.rlim_max > WORKER_FILES + NODE_FILES ? (unsigned)((files.rlim_max - WORKER_FILES) / NODE_FILES) : 1;
}

/* As many processes as the nodes need, when nobody said how many; false when that many cannot hold them. */
static bool choose_workers(struct load_settings *s)
{
    unsigned room = nodes_of_a_worker(), needed = (s->nodes - 1) / room + 1;
    if (s->workers == 0)
        s->workers = needed > WORKERS_LEAST ? needed : WORKERS_LEAST;
    if (needed > s->workers || s->workers > LOAD_WORKERS_MAX) {
        fprintf(stderr,
                "pluvio-fleet: %u nodes need %u processes, because one may open descriptors for %u of them; at most "
                "%d processes are started.  Give more --workers, or raise the limit: ulimit -Hn\n",
                s->nodes, needed, room, LOAD_WORKERS_MAX);
        return false;
    }
    return true;
}

/* --- the command line ------------------------------------------------------------------------- */

enum {
    OPTION_PREFIX = 1000,
    OPTION_PLATFORM,
    OPTION_MODEL,
    OPTION_PROJECT,
    OPTION_NO_DOWNLOADS,
    OPTION_TARGET,
    OPTION_CA,
    OPTION_FETCH
};

static const struct argp_option options_known[] = {
    {"server", 's', "URL", 0, "The server (http://127.0.0.1:8080)", 0},
    {"token", 't', "TOKEN", 0, "Of an administrator; default: PLUVIO_TOKEN", 0},
    {"folder", 'o', "FOLDER", 0, "Where the nodes' credentials are kept (pluvio-load)", 0},
    {"nodes", 'n', "N", 0, "How many (1000)", 0},
    {"workers", 'w', "N", 0, "In so many processes (as many as their descriptors need, 2 at least)", 0},
    {"rate", 'r', "NODES/S", 0, "How many connect in a second (500)", 0},
    {"prefix", OPTION_PREFIX, "TEXT", 0, "What their ids begin with (load)", 0},
    {"version", 'V', "VERSION", 0, "What they run at first (1.0)", 0},
    {"target", OPTION_TARGET, "VERSION", 0,
     "End when all run it and their jobs have ended, and compare with the server", 0},
    {"project", OPTION_PROJECT, "NAME", 0, "Their project (app)", 0},
    {"platform", OPTION_PLATFORM, "CHIP", 0, "Their platform (esp32c3)", 0},
    {"model", OPTION_MODEL, "NAME", 0, "Their model (load)", 0},
    {"bad", 'B', "PERCENT", 0, "Nodes on which an image fails its trial", 0},
    {"fetch-every", OPTION_FETCH, "SECONDS", 0, "Each asks for updates so often, beside what its agent does", 0},
    {"ca", OPTION_CA, "FILE", 0, "Authority of the image downloads (default: the server's own)", 0},
    {"no-downloads", OPTION_NO_DOWNLOADS, NULL, 0, "Do not fetch the images", 0},
    {"seconds", 'S', "N", 0, "Leave after so many seconds (default: at Ctrl-C)", 0},
    {"quiet", 'q', NULL, 0, "Only the report", 0},
    {0}};

static error_t take_option(int key, char *value, struct argp_state *state)
{
    struct load_settings *s = state->input;
    const struct {
        int key;
        const char **to;
    } texts[] = {{'s', &s->server},
                 {'t', &s->token},
                 {'o', &s->folder},
                 {OPTION_PREFIX, &s->prefix},
                 {'V', &s->version},
                 {OPTION_TARGET, &s->target},
                 {OPTION_PROJECT, &s->project},
                 {OPTION_PLATFORM, &s->platform},
                 {OPTION_MODEL, &s->model},
                 {OPTION_CA, &s->ca_file}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].key == key) {
            *texts[i].to = value;
            return 0;
        }
    switch (key) {
    case 'n':
        s->nodes = (unsigned)strtoul(value, NULL, 10);
        break;
    case 'w':
        s->workers = (unsigned)strtoul(value, NULL, 10);
        break;
    case 'r':
        s->connect_per_s = strtod(value, NULL);
        break;
    case 'B':
        s->bad = strtod(value, NULL);
        break;
    case OPTION_FETCH:
        s->fetch_every_s = strtoll(value, NULL, 10);
        break;
    case OPTION_NO_DOWNLOADS:
        s->has_downloads = false;
        break;
    case 'S':
        s->seconds = strtoll(value, NULL, 10);
        break;
    case 'q':
        s->is_quiet = true;
        break;
    case ARGP_KEY_END:
        if (s->token == NULL)
            argp_error(state, "give --token, or PLUVIO_TOKEN");
        if (s->nodes < 1 || !(s->connect_per_s > 0))
            argp_error(state, "--nodes and --rate must be at least 1");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int verb_load(int argc, char **argv)
{
    static const struct argp parser = {options_known,
                                       take_option,
                                       NULL,
                                       "Nodes with a connection each at a real server, from registration to their "
                                       "confirmed boot: MQTT with TLS and a certificate, and real downloads.",
                                       NULL,
                                       NULL,
                                       NULL};
    struct load_settings s = {.server = "http://127.0.0.1:8080",
                              .token = getenv("PLUVIO_TOKEN"),
                              .folder = "pluvio-load",
                              .prefix = "load",
                              .version = "1.0",
                              .project = "app",
                              .platform = "esp32c3",
                              .model = "load",
                              .connect_per_s = 500,
                              .nodes = 1000,
                              .has_downloads = true};
    argp_parse(&parser, argc, argv, 0, NULL, &s);
    return choose_workers(&s) ? run(&s) : 64;
}
