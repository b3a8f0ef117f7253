/* Server and nodes together in one thread, from one seed. */
#include "pluvio-fleet/verbs.h"

#include "base/text.h"
#include "sim/sim.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct options {
    uint64_t seed, seeds;
    unsigned nodes;
    bool is_verbose, is_trace, is_quiet, is_sqlite, is_pull, is_hash, is_wild;
    const char *plan;
    double bad, flaky, offline, loss;
    int64_t hours;
};

static const struct argp_option options_known[] = {
    {"seed", 's', "N", 0, "One story with faults, of this seed", 0},
    {"seeds", 'S', "N", 0, "So many stories, from --seed (1) on", 0},
    {"nodes", 'n', "N", 0, "One campaign over so many nodes, without faults but those asked for", 0},
    {"plan", 'p', "ROLLOUT", 0, "The campaign's rollout: \"phase 1% soak 1h; phase 100%; rate 50/min\"", 0},
    {"pull", 'u', NULL, 0, "The campaign waits for nodes to ask, rather than pushing", 0},
    {"bad", 'b', "PERCENT", 0, "Nodes on which the campaign's image fails its trial", 0},
    {"flaky", 'f', "PERCENT", 0, "Downloads of the campaign that break", 0},
    {"offline", 'o', "PERCENT", 0, "Nodes that are never there", 0},
    {"loss", 'l', "PERCENT", 0, "Messages that are lost", 0},
    {"hours", 'H', "N", 0, "Simulated time at most (168)", 0},
    {"sqlite", 'q', NULL, 0, "Over the SQLite store (in memory) rather than the reference", 0},
    {"hash", 'h', NULL, 0, "Print the hash of each run alone", 0},
    {"verbose", 'v', NULL, 0, "Tell more", 0},
    {"trace", 't', NULL, 0, "Tell everything that happens, on standard error", 0},
    {0}};

static error_t take_option(int key, char *value, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case 's':
        o->seed = strtoull(value, NULL, 10);
        o->is_wild = true;
        break;
    case 'S':
        o->seeds = strtoull(value, NULL, 10);
        o->is_wild = true;
        break;
    case 'n':
        o->nodes = (unsigned)strtoul(value, NULL, 10);
        break;
    case 'p':
        o->plan = value;
        break;
    case 'u':
        o->is_pull = true;
        break;
    case 'b':
        o->bad = strtod(value, NULL);
        break;
    case 'f':
        o->flaky = strtod(value, NULL);
        break;
    case 'o':
        o->offline = strtod(value, NULL);
        break;
    case 'l':
        o->loss = strtod(value, NULL);
        break;
    case 'H':
        o->hours = strtoll(value, NULL, 10);
        break;
    case 'q':
        o->is_sqlite = true;
        break;
    case 'h':
        o->is_hash = true;
        break;
    case 'v':
        o->is_verbose = true;
        break;
    case 't':
        o->is_trace = true;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "%s is too much: simulate takes options alone", value);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static double clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_states(const struct sim_result *r)
{
    for (int i = 0; i < EX_STATES; i++)
        if (r->states[i] > 0)
            printf("  %-12s %" PRId64 "\n", execution_state_text((enum execution_state)i), r->states[i]);
}

static void print_curve(const struct sim_result *r, unsigned nodes)
{
    unsigned every = r->points > 20 ? r->points / 20 : 1;
    for (unsigned i = 0; i < r->points; i += every) {
        const struct sim_point *p = &r->curve[i];
        int stars = nodes ? (int)(p->succeeded * 50 / nodes) : 0;
        printf("  %8.2f h  %8" PRId64 " begun %8" PRId64 " succeeded  %.*s\n", (double)p->at_ms / 3600000, p->offered,
               p->succeeded, stars, "**************************************************");
    }
}

static void print_result(const struct options *o, const struct sim_config *c, const struct sim_result *r, double took)
{
    if (o->is_hash) {
        printf("%016" PRIx64 "\n", r->hash);
        return;
    }
    printf("seed %" PRIu64 ": %u nodes, %u jobs (%u over), %.1f h, %" PRIu64 " steps, %" PRIu64 " messages, %" PRIu64
           " documents, at most %" PRId64 " at work, %u power cuts, %u broker and %u server restarts; hash %016" PRIx64
           "; %.2f s\n",
           c->seed, c->nodes, r->jobs, r->jobs_over, (double)r->now_ms / 3600000, r->steps, r->messages, r->documents,
           r->most_at_work, r->power_cuts, r->broker_restarts, r->server_restarts, r->hash, took);
    if (r->stopped[0])
        printf("  stopped: %s\n", r->stopped);
    if (c->is_wild && !o->is_verbose)
        return;
    print_states(r);
    if (!c->is_wild) {
        printf("  image bytes  %" PRId64 "\n", r->bytes);
        print_curve(r, c->nodes);
    }
}

static enum err run_with(const struct options *o, const struct sim_config *config, struct fleet_store *store,
                         struct why *why)
{
    struct sim *sim = NULL;
    double from = clock_s();
    enum err err = sim_new(&sim, config, store, why);
    if (err == ERR_NONE) {
        err = sim_run(sim, why);
        if (err != ERR_NONE || !o->is_quiet)
            print_result(o, config, sim_result(sim), clock_s() - from);
    }
    sim_free(sim);
    return err;
}

static enum err run(const struct options *o, const struct sim_config *config, struct why *why)
{
    struct memory_store *memory = NULL;
    struct sqlite_store *sqlite = NULL;
    enum err err = o->is_sqlite ? sqlite_store_open(&sqlite, ":memory:", NULL, why) : memory_store_open(&memory, why);
    if (err == ERR_NONE)
        err = run_with(o, config, o->is_sqlite ? sqlite_store_port(sqlite) : memory_store_port(memory), why);
    sqlite_store_close(sqlite);
    memory_store_close(memory);
    return err;
}

static void write_log(struct log *log, enum log_level level, const char *room, const char *text)
{
    (void)log, (void)level;
    fprintf(stderr, "%s: %s\n", room, text);
}

static struct sim_config campaign(const struct options *o)
{
    struct sim_config c = sim_calm(o->nodes);
    c.seed = o->seed;
    c.plan = o->plan;
    c.is_force_push = !o->is_pull;
    c.bad_image = (int64_t)(o->bad * 10000);
    c.flaky_image = (int64_t)(o->flaky * 10000);
    c.offline = (int64_t)(o->offline * 10000);
    c.loss = (int64_t)(o->loss * 10000);
    if (o->hours > 0)
        c.duration_ms = o->hours * 3600000;
    return c;
}

int verb_simulate(int argc, char **argv)
{
    static const struct argp parser = {
        options_known, take_option, "",  "Runs server and nodes together in one thread, from one seed.",
        NULL,          NULL,        NULL};
    struct options o = {.seed = 1, .seeds = 1};
    struct why why = {{0}};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    o.is_quiet = o.seeds > 1 && !o.is_verbose && !o.is_hash;
    if (!o.is_wild && o.nodes == 0)
        o.nodes = 1000;
    double from = clock_s();
    for (uint64_t i = 0; i < o.seeds; i++) {
        struct sim_config c = o.nodes > 0 ? campaign(&o) : sim_wild(o.seed + i);
        struct log log = {write_log, LOG_DEBUG};
        c.log = o.is_trace ? &log : NULL;
        enum err err = run(&o, &c, &why);
        if (err == ERR_NONE)
            continue;
        fprintf(stderr, "pluvio-fleet: %s\n", why_text(&why, err));
        if (c.is_wild)
            fprintf(stderr, "again: pluvio-fleet simulate --seed %" PRIu64 " --verbose%s\n", c.seed,
                    o.is_sqlite ? " --sqlite" : "");
        return err_exit_status(err);
    }
    if (o.is_quiet)
        printf("%" PRIu64 " seeds from %" PRIu64 " on, no violation, %.1f s\n", o.seeds, o.seed, clock_s() - from);
    return 0;
}
