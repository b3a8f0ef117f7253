#include "pluvio/commands.h"
#include "pluvio/calls.h"

#include "base/text.h"
#include "pluvio/listing.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* --- start ------------------------------------------------------------------------------------ */

static void write_list(struct json_out *out, const char *key, const char *joined)
{
    char text[2048], *save = NULL;
    text_copy(text, sizeof text, joined);
    json_out_array(out, key);
    for (char *at = strtok_r(text, ",", &save); at; at = strtok_r(NULL, ",", &save))
        json_out_text(out, NULL, at);
    json_out_end_array(out);
}

static void write_signing(struct json_out *out, const char *keys)
{
    if (keys == NULL)
        return;
    json_out_object(out, "secure_boot");
    if (strcmp(keys, "auto") == 0)
        json_out_bool(out, "auto_select_key", true);
    else
        write_list(out, "key_names", keys);
    json_out_end_object(out);
}

static void write_order(struct buf *body, const struct options *o, const char *image_id)
{
    static const struct {
        const char *option, *member;
    } texts[] = {{"description", "description"}, {"query", "query"}, {"exclude", "exclude"}, {"rollout", "rollout"}};
    struct json_out out;
    json_out_init(&out, body);
    json_out_object(&out, NULL);
    json_out_text(&out, "ota_job_name", option(o, "name"));
    json_out_text(&out, "ota_image_id", image_id);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (option(o, texts[i].option) != NULL)
            json_out_text(&out, texts[i].member, option(o, texts[i].option));
    if (option(o, "priority") != NULL)
        json_out_int(&out, "priority", strtol(option(o, "priority"), NULL, 10));
    if (option(o, "timeout") != NULL)
        json_out_int(&out, "timeout", strtol(option(o, "timeout"), NULL, 10));
    if (option(o, "metadata") != NULL)
        json_out_raw(&out, "metadata", option(o, "metadata"));
    write_signing(&out, option(o, "sign"));
    if (option(o, "all") != NULL)
        write_list(&out, "groups", "FFFF-FFFF");
    else if (option(o, "group") != NULL)
        write_list(&out, "groups", option(o, "group"));
    if (o->count > 0) {
        json_out_array(&out, "nodes");
        for (unsigned i = 0; i < o->count; i++)
            json_out_text(&out, NULL, o->arguments[i]);
        json_out_end_array(&out);
    }
    json_out_end_object(&out);
}

static enum err check_metadata(const char *text, struct why *why)
{
    struct json *doc;
    if (text == NULL)
        return ERR_NONE;
    enum err err = json_parse(bytes_of_text(text), &doc, why);
    if (err == ERR_NONE && !json_is_object(doc))
        err = why_set(why, ERR_USAGE, "it is no JSON object");
    json_free(doc);
    return err ? why_add(why, ERR_USAGE, "--metadata") : ERR_NONE;
}

/* Of job start and job plan. */
static const struct option_row order_rows[] = {
    {"image", 'i', "NAME|ID", "The image to install"},
    {"name", 'n', "NAME", "Name of the job (default: the image's name and a number)"},
    {"all", 'a', NULL, "Every node"},
    {"group", 'g', "ID,...", "The nodes of these groups"},
    {"query", 'q', "QUERY", "The nodes that fit: \"model = L1 and fw_version < 1.4\""},
    {"exclude", 'x', "QUERY", "Leave these out"},
    {"rollout", 'r', "ROLLOUT", "How it goes out: \"phase 1% soak 1h; phase 100%; abort any 5% min 20\""},
    {"force-push", 'f', NULL, "Tell the nodes at once; else they get it when they ask"},
    {"continuous", 'c', NULL, "Also for nodes that come later"},
    {"approval", 'A', NULL, "Only where the node's user says yes"},
    {"description", 'd', "TEXT", "What the update is for"},
    {"priority", 'p', "1..10", "1 goes first (default: 5)"},
    {"timeout", 't', "SECONDS", "The job ends after this"},
    {"sign", 'S', "KEY,...", "Sign the image with keys of the server first; auto: each node gets its own key's"},
    {"metadata", 'm', "JSON", "Download window, validity and your own keys, for the nodes"},
    {"watch", 'w', NULL, "Follow it to its end"},
    {NULL, 0, NULL, NULL},
};

static void default_name(struct options *o, char *name, size_t size)
{
    struct timespec now; /* to the microsecond: scripts start jobs one right after the other */
    if (option(o, "name") != NULL)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(name, size, "%.200s %lld", option(o, "image"), now.tv_sec * 1000000LL + now.tv_nsec / 1000);
    for (unsigned i = 0; order_rows[i].name != NULL; i++)
        if (strcmp(order_rows[i].name, "name") == 0)
            o->values[i] = name;
}

/* Sends the order that the options describe to a path of REST. */
static enum err send_order(struct client *c, struct options *o, const char *path, struct json **doc, struct why *why)
{
    char image_id[64], name[300], with_flags[200];
    struct buf body = {0};
    if (option(o, "image") == NULL)
        return why_set(why, ERR_USAGE, "say which image: --image NAME");
    if (o->count == 0 && !option(o, "all") && !option(o, "group") && !option(o, "query"))
        return why_set(why, ERR_USAGE, "name nodes, or give --all, --group or --query");
    enum err err = check_metadata(option(o, "metadata"), why);
    if (err == ERR_NONE)
        err = client_open(c, why);
    if (err == ERR_NONE)
        err = find_named(c, &named_images, option(o, "image"), image_id, sizeof image_id, why);
    if (err != ERR_NONE)
        return err;
    default_name(o, name, sizeof name);
    write_order(&body, o, image_id);
    snprintf(with_flags, sizeof with_flags, "%s?force_push=%s&continuous=%s&user_approval=%s", path,
             option(o, "force-push") ? "true" : "false", option(o, "continuous") ? "true" : "false",
             option(o, "approval") ? "true" : "false");
    err = client_call(c, "POST", with_flags, body.at, doc, why);
    buf_deinit(&body);
    return err;
}

enum err command_job_start(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {
        order_rows, "[NODE-ID...]", "Start an update job for nodes, groups, a query, or all.", 0, ARGUMENTS_MAX};
    struct options o;
    struct client c;
    struct json *doc = NULL;
    options_parse(&o, argc, argv, &line);
    enum err err = send_order(&c, &o, "/v1/admin/otajob", &doc, why);
    if (err != ERR_NONE)
        return err;
    if (o.is_json)
        print_json(doc);
    else
        printf("Job %s started.\n", text_of(doc, "ota_job_id"));
    if (option(&o, "watch") != NULL)
        err = watch_job(&c, text_of(doc, "ota_job_id"), o.is_json, why);
    json_free(doc);
    return err;
}

/* --- plan ------------------------------------------------------------------------------------- */

#define CURVE_LINES 20
#define CURVE_WIDTH 50

static void print_time(int64_t seconds)
{
    if (seconds >= 86400)
        printf("%lld d %02lld h", (long long)(seconds / 86400), (long long)(seconds % 86400 / 3600));
    else if (seconds >= 3600)
        printf("%lld h %02lld min", (long long)(seconds / 3600), (long long)(seconds % 3600 / 60));
    else
        printf("%lld min %02lld s", (long long)(seconds / 60), (long long)(seconds % 60));
}

static void print_curve(const struct json *curve, int64_t nodes)
{
    int count = 0, i = 0;
    JSON_EACH (point, curve)
        count++;
    int every = count > CURVE_LINES ? (count + CURVE_LINES - 1) / CURVE_LINES : 1;
    JSON_EACH (point, curve) {
        if (i++ % every != 0 && i != count)
            continue;
        int64_t good = int_of(point, "success");
        printf("  %8.2f h %9" PRId64 " begun %9" PRId64 " updated  %s%.*s%s\n", (double)int_of(point, "at_s") / 3600,
               int_of(point, "begun"), good, style(STYLE_GREEN), nodes ? (int)(good * CURVE_WIDTH / nodes) : 0,
               "##################################################", style(STYLE_NONE));
    }
}

static void print_plan(const struct json *doc)
{
    const struct json *bad = json_get(doc, "if_half_fail");
    int64_t nodes = int_of(doc, "nodes"), simulated = int_of(doc, "simulated_nodes");
    printf("%lld nodes", (long long)nodes);
    if (simulated > 0 && simulated < nodes)
        printf(", a sample of %lld simulated", (long long)simulated);
    printf(". ");
    if (int_of(doc, "finish_s") > 0) {
        printf("Done after ");
        print_time(int_of(doc, "finish_s"));
        printf(", ");
    }
    printf("%lld MB go out, at most %lld nodes at work at a time.\n", (long long)(int_of(doc, "bytes") / 1000000),
           (long long)int_of(doc, "most_at_work"));
    print_curve(json_get(doc, "curve"), nodes);
    if (simulated > 0)
        printf("If the image failed on half of the nodes, %lld would have booted it%s%s.\n",
               (long long)int_of(bad, "nodes_hit"), *text_of(bad, "stopped") ? " before the job stops: " : "",
               text_of(bad, "stopped"));
    JSON_EACH (risk, json_get(doc, "risks"))
        printf("%s!%s %s\n", style(STYLE_YELLOW), style(STYLE_NONE), json_text(risk));
}

enum err command_job_plan(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {order_rows, "[NODE-ID...]",
                                             "Simulate a job before starting it: how long, how much, what if.", 0,
                                             ARGUMENTS_MAX};
    struct options o;
    struct client c;
    struct json *doc = NULL;
    options_parse(&o, argc, argv, &line);
    enum err err = send_order(&c, &o, "/v1/admin/otajob/plan", &doc, why);
    if (err == ERR_NONE && o.is_json)
        print_json(doc);
    else if (err == ERR_NONE)
        print_plan(doc);
    json_free(doc);
    return err;
}

/* --- list, cancel ----------------------------------------------------------------------------- */

static void print_job_head(void)
{
    printf("%s%-32s %-10s %7s %7s %7s %7s  %s%s\n", style(STYLE_BOLD), "NAME", "STATUS", "NODES", "SUCCESS", "FAILED",
           "REJECT", "ID", style(STYLE_NONE));
}

static void print_job(const struct json *job)
{
    printf("%-32s %-10s %7" PRId64 " %7" PRId64 " %7" PRId64 " %7" PRId64 "  %s\n", text_of(job, "ota_job_name"),
           text_of(job, "status"), int_of(job, "total_count"), int_of(job, "success_count"),
           int_of(job, "failed_count"), int_of(job, "rejected_count"), text_of(job, "ota_job_id"));
}

enum err command_job_list(int argc, char **argv, struct why *why)
{
    static const struct listing all_jobs = {.path = "/v1/admin/otajob",
                                            .members = "ota_jobs",
                                            .help = "List jobs, newest first.",
                                            .all_help = "Archived jobs too",
                                            .print_head = print_job_head,
                                            .print_row = print_job};
    return list_all(&all_jobs, argc, argv, why);
}

enum err command_job_cancel(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {{NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "JOB",
                                             "Offer a job to no further node. What nodes have begun goes on.", 1, 1};
    struct options o;
    struct client c;
    struct json *doc = NULL;
    char id[64], body[128];
    options_parse(&o, argc, argv, &line);
    enum err err = client_open(&c, why);
    if (err == ERR_NONE)
        err = find_named(&c, &named_jobs, o.arguments[0], id, sizeof id, why);
    if (err != ERR_NONE)
        return err;
    snprintf(body, sizeof body, "{\"ota_job_id\":\"%.40s\"}", id);
    err = client_call(&c, "PUT", "/v1/admin/otajob", body, &doc, why);
    if (err == ERR_NONE && o.is_json)
        print_json(doc);
    else if (err == ERR_NONE)
        printf("Job %s cancelled.\n", text_of(doc, "ota_job_name"));
    json_free(doc);
    return err;
}

/* --- pause, resume, exclude, retry, why, clusters --------------------------------------------- */

static const struct option_row no_rows[] = {{NULL, 0, NULL, NULL}};

/* Options are members of the same name. */
static void write_options(struct json_out *out, const struct option_row *rows, const struct options *o)
{
    for (const struct option_row *r = rows; r->name != NULL; r++) {
        const char *value = option(o, r->name);
        if (value == NULL)
            continue;
        if (r->argument == NULL)
            json_out_bool(out, r->name, true);
        else if (strcmp(r->argument, "JSON") == 0 || strcmp(r->argument, "N") == 0)
            json_out_raw(out, r->name, value);
        else
            json_out_text(out, r->name, value);
    }
}

/* A verb of a job: its id and one text more go to REST. */
static enum err job_verb(int argc, char **argv, const struct command_line *line, const char *path, const char *member,
                         const char *said, struct why *why)
{
    struct options o;
    struct client c;
    struct json *doc = NULL;
    struct json_out out;
    struct buf body = {0};
    char id[64];
    options_parse(&o, argc, argv, line);
    enum err err = client_open(&c, why);
    if (err == ERR_NONE)
        err = find_named(&c, &named_jobs, o.arguments[0], id, sizeof id, why);
    if (err != ERR_NONE)
        return err;
    json_out_init(&out, &body);
    json_out_object(&out, NULL);
    json_out_text(&out, "ota_job_id", id);
    if (member != NULL && o.count > 1)
        json_out_text(&out, member, o.arguments[1]);
    write_options(&out, line->rows, &o);
    json_out_end_object(&out);
    err = client_call(&c, "POST", path, body.at, &doc, why);
    buf_deinit(&body);
    if (err == ERR_NONE && o.is_json)
        print_json(doc);
    else if (err == ERR_NONE)
        printf("Job %s %s.\n", text_of(doc, "ota_job_name"), said);
    json_free(doc);
    return err;
}

enum err command_job_edit(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {
        {"rollout", 'r', "PLAN", "Its rollout, anew"},    {"exclude", 'x', "QUERY", "Nodes to leave out"},
        {"priority", 'p', "N", "1 (first) to 10 (last)"}, {"metadata", 'm', "JSON", "What nodes are told with the job"},
        {"description", 'd', "TEXT", "What it is for"},   {NULL, 0, NULL, NULL},
    };
    static const struct command_line line = {rows, "JOB", "Change a paused job.", 1, 1};
    return job_verb(argc, argv, &line, "/v1/admin/otajob/edit", NULL, "is changed", why);
}

enum err command_job_pause(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {no_rows, "JOB [REASON]", "Offer a job to nobody until it is resumed.", 1,
                                             2};
    return job_verb(argc, argv, &line, "/v1/admin/otajob/pause", "reason", "is paused", why);
}

enum err command_job_approve(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {no_rows, "JOB",
                                             "Say yes, as a second person, to a job that waits for one.", 1, 1};
    return job_verb(argc, argv, &line, "/v1/admin/otajob/approve", NULL, "is approved", why);
}

enum err command_job_resume(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {no_rows, "JOB", "Let a paused job go on.", 1, 1};
    return job_verb(argc, argv, &line, "/v1/admin/otajob/resume", NULL, "goes on", why);
}

enum err command_job_exclude(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {no_rows, "JOB QUERY",
                                             "Leave out nodes that fit a query, also those that failed already.", 2, 2};
    return job_verb(argc, argv, &line, "/v1/admin/otajob/exclude", "query", "leaves them out", why);
}

enum err command_job_retry(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {{"all", 'a', NULL, "Also nodes that rolled back or rejected it"},
                                             {NULL, 0, NULL, NULL}};
    static const struct command_line line = {rows, "JOB", "Offer a job again to nodes that gave up or timed out.", 1,
                                             1};
    return job_verb(argc, argv, &line, "/v1/admin/otajob/retry", NULL, "is tried again", why);
}

/* GET of a path with a job's id; further text is added by the caller. */
static enum err job_question(const struct options *o, const char *path, const char *node, struct json **doc,
                             struct why *why)
{
    struct client c;
    char id[64], with_id[300];
    enum err err = client_open(&c, why);
    if (err == ERR_NONE)
        err = find_named(&c, &named_jobs, o->arguments[0], id, sizeof id, why);
    if (err != ERR_NONE)
        return err;
    snprintf(with_id, sizeof with_id, "%s?ota_job_id=%s%s%.64s", path, id, node ? "&node_id=" : "", node ? node : "");
    return client_call(&c, "GET", with_id, NULL, doc, why);
}

static void print_verdict(const struct json *doc)
{
    time_t next = (time_t)(int_of(doc, "next_ms") / 1000);
    char text[40] = "";
    struct tm when;
    if (json_get(doc, "next_ms") != NULL && localtime_r(&next, &when) != NULL)
        strftime(text, sizeof text, "; next at %Y-%m-%d %H:%M:%S", &when);
    printf("%s (%s)%s.\n", text_of(doc, "reason"), text_of(doc, "decision"), text);
}

enum err command_job_why(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {no_rows, "JOB NODE-ID",
                                             "Why a node was or was not offered a job, and when next.", 2, 2};
    struct options o;
    struct json *doc = NULL;
    options_parse(&o, argc, argv, &line);
    enum err err = job_question(&o, "/v1/admin/otajob/why", o.arguments[1], &doc, why);
    if (err == ERR_NONE && o.is_json)
        print_json(doc);
    else if (err == ERR_NONE)
        print_verdict(doc);
    json_free(doc);
    return err;
}

static enum err why_of(struct client *c, const char *job_id, const char *node_id, const char *name, bool is_json,
                       struct why *why)
{
    struct buf path = {0};
    struct json *doc = NULL;
    buf_addf(&path, "/v1/admin/otajob/why?ota_job_id=%s&node_id=", job_id);
    http_escape(&path, node_id);
    enum err err = client_call(c, "GET", path.at, NULL, &doc, why);
    buf_deinit(&path);
    if (err == ERR_NONE && is_json)
        print_json(doc);
    else if (err == ERR_NONE) {
        printf("%s: ", name);
        print_verdict(doc);
    }
    json_free(doc);
    return err;
}

/* Every job that is under way, or one. */
enum err command_why(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {
        no_rows, "NODE-ID [JOB]", "Why a node was or was not offered a job, or any that is under way, and when next.",
        1, 2};
    struct options o;
    struct client c;
    struct json *doc = NULL;
    char id[64];
    unsigned active = 0;
    options_parse(&o, argc, argv, &line);
    enum err err = client_open(&c, why);
    if (err == ERR_NONE && o.count > 1) {
        err = find_named(&c, &named_jobs, o.arguments[1], id, sizeof id, why);
        return err ? err : why_of(&c, id, o.arguments[0], o.arguments[1], o.is_json, why);
    }
    if (err == ERR_NONE)
        err = client_call(&c, "GET", "/v1/admin/otajob?num_records=100", NULL, &doc, why);
    JSON_EACH (job, err == ERR_NONE ? json_get(doc, "ota_jobs") : NULL) {
        if (err != ERR_NONE || strcmp(text_of(job, "status"), "active") != 0)
            continue;
        active++;
        err = why_of(&c, text_of(job, "ota_job_id"), o.arguments[0], text_of(job, "ota_job_name"), o.is_json, why);
    }
    if (err == ERR_NONE && active == 0 && !o.is_json)
        printf("No job is under way.\n");
    json_free(doc);
    return err;
}

enum err command_job_clusters(int argc, char **argv, struct why *why)
{
    static const struct command_line line = {no_rows, "JOB", "Failures of a job that look alike, the largest first.", 1,
                                             1};
    struct options o;
    struct json *doc = NULL;
    options_parse(&o, argc, argv, &line);
    enum err err = job_question(&o, "/v1/admin/otajob/clusters", NULL, &doc, why);
    if (err == ERR_NONE && o.is_json)
        print_json(doc);
    else if (err == ERR_NONE)
        JSON_EACH (row, json_get(doc, "clusters"))
            printf("%6" PRId64 " nodes  %-12s %-10s %s\n              pluvio job exclude %s '%s'\n",
                   int_of(row, "nodes"), text_of(row, "state"), text_of(row, "kind"), text_of(row, "info"),
                   o.arguments[0], text_of(row, "query"));
    json_free(doc);
    return err;
}

enum err command_job_watch(int argc, char **argv, struct why *why)
{
    static const struct option_row rows[] = {{NULL, 0, NULL, NULL}};
    static const struct command_line line = {
        rows, "JOB", "Follow a job live to its end. Exit status 1 when a node did not succeed.", 1, 1};
    struct options o;
    struct client c;
    char id[64];
    options_parse(&o, argc, argv, &line);
    enum err err = client_open(&c, why);
    if (err == ERR_NONE)
        err = find_named(&c, &named_jobs, o.arguments[0], id, sizeof id, why);
    return err ? err : watch_job(&c, id, o.is_json, why);
}

/* --- watch ------------------------------------------------------------------------------------ */

#define POLL_MS     400
#define SHOWN_MAX   20 /* nodes drawn at once; the others are counted */
#define BAR_CELLS   24
#define SILENCE_MAX 75 /* polls without an answer, half a minute: a server may be restarting */

static const struct look {
    const char *state, *sign;
    enum style style;
    int percent; /* where the bar stands, -1: the download's percentage */
} looks[] = {
    {"triggered", "·", STYLE_DIM, 0},    {"offered", "→", STYLE_BLUE, 0},      {"in-progress", "↓", STYLE_BLUE, -1},
    {"rebooting", "↻", STYLE_BLUE, 100}, {"on-trial", "?", STYLE_YELLOW, 100}, {"provisional", "?", STYLE_YELLOW, 100},
    {"delayed", "…", STYLE_YELLOW, 0},   {"failed", "!", STYLE_YELLOW, 0},     {"success", "✓", STYLE_GREEN, 100},
    {"rejected", "✗", STYLE_RED, 0},     {"rolled-back", "↶", STYLE_RED, 0},   {"gave-up", "✗", STYLE_RED, 0},
    {"waiting", "·", STYLE_DIM, 0},      {"timed-out", "✗", STYLE_RED, 0},     {"cancelled", "-", STYLE_DIM, 0},
    {"excluded", "-", STYLE_DIM, 0},
};

static const struct look *look_of(const char *state)
{
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
        if (strcmp(looks[i].state, state) == 0)
            return &looks[i];
    return &looks[0];
}

struct watch {
    unsigned lines; /* drawn last time, to draw over */
    bool is_terminal;
    struct {
        char node[65], state[16];
        int64_t percent;
    } last[SHOWN_MAX];
};

static unsigned terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 40 ? size.ws_col : 100;
}

static void draw_bar(int percent)
{
    int full = percent * BAR_CELLS / 100;
    for (int i = 0; i < BAR_CELLS; i++)
        fputs(i < full ? "█" : "░", stdout);
}

static void draw_node(const struct json *e)
{
    const struct look *look = look_of(text_of(e, "state"));
    int percent = look->percent >= 0 ? look->percent : (int)int_of(e, "percent");
    int room = (int)terminal_columns() - 24 - BAR_CELLS - 24;
    printf("\033[2K  %-22.22s %s", text_of(e, "node_id"), style(look->style));
    draw_bar(percent);
    printf(" %s %-12s%s %.*s\n", look->sign, text_of(e, "state"), style(STYLE_NONE), room > 0 ? room : 0,
           text_of(e, "additional_info"));
}

static void draw(struct watch *w, const struct json *job, const struct json *status)
{
    unsigned shown = 0;
    if (w->lines > 0)
        printf("\033[%uA", w->lines);
    printf("\033[2K%s%s%s  %s  %" PRId64 "/%" PRId64 " done, %" PRId64 " succeeded\n", style(STYLE_BOLD),
           text_of(job, "ota_job_name"), style(STYLE_NONE), text_of(job, "status"), int_of(job, "completed_count"),
           int_of(job, "total_count"), int_of(job, "success_count"));
    JSON_EACH (e, json_get(status, "node_ota_status"))
        if (shown < SHOWN_MAX) {
            draw_node(e);
            shown++;
        }
    w->lines = shown + 1;
    fflush(stdout);
}

/* Without a terminal: one line for each change. */
static void tell_changes(struct watch *w, const struct json *status, bool is_json)
{
    unsigned i = 0;
    JSON_EACH (e, json_get(status, "node_ota_status")) {
        if (i == SHOWN_MAX)
            break;
        bool is_new = strcmp(w->last[i].node, text_of(e, "node_id")) != 0 ||
                      strcmp(w->last[i].state, text_of(e, "state")) != 0 || w->last[i].percent != int_of(e, "percent");
        text_copy(w->last[i].node, sizeof w->last[i].node, text_of(e, "node_id"));
        text_copy(w->last[i].state, sizeof w->last[i].state, text_of(e, "state"));
        w->last[i].percent = int_of(e, "percent");
        i++;
        if (!is_new)
            continue;
        if (is_json)
            print_json(e);
        else
            printf("%-22s %-12s %3" PRId64 "%%  %s\n", text_of(e, "node_id"), text_of(e, "state"), int_of(e, "percent"),
                   text_of(e, "additional_info"));
    }
    fflush(stdout);
}

static enum err poll_once(struct client *c, const char *job_id, struct json **job, struct json **status,
                          struct why *why)
{
    char path[160];
    *job = *status = NULL;
    snprintf(path, sizeof path, "/v1/admin/otajob?ota_job_id=%.64s", job_id);
    enum err err = client_call(c, "GET", path, NULL, job, why);
    if (err != ERR_NONE)
        return err;
    snprintf(path, sizeof path, "/v1/admin/otajob/status?ota_job_id=%.64s", job_id);
    return client_call(c, "GET", path, NULL, status, why);
}

static enum err verdict(const struct json *job, struct why *why)
{
    int64_t total = int_of(job, "total_count"), good = int_of(job, "success_count");
    if (good == total && strcmp(text_of(job, "status"), "finished") == 0)
        return ERR_NONE;
    return why_set(why, ERR_JOB_FAILED, "job %s is %s: %" PRId64 " of %" PRId64 " nodes succeeded",
                   text_of(job, "ota_job_name"), text_of(job, "status"), good, total);
}

enum err watch_job(struct client *c, const char *job_id, bool is_json, struct why *why)
{
    struct watch w = {.is_terminal = !is_json && isatty(STDOUT_FILENO)};
    unsigned silence = 0;
    for (;;) {
        struct json *job, *status;
        enum err err = poll_once(c, job_id, &job, &status, why);
        bool is_over = false;
        if (err == ERR_NONE) {
            silence = 0;
            if (w.is_terminal)
                draw(&w, job, status);
            else
                tell_changes(&w, status, is_json);
            is_over = strcmp(text_of(job, "status"), "active") != 0;
            if (is_over)
                err = verdict(job, why);
        }
        json_free(job);
        json_free(status);
        if (is_over || (err != ERR_NONE && (err != ERR_NETWORK || ++silence > SILENCE_MAX)))
            return err;
        poll(NULL, 0, POLL_MS);
    }
}
