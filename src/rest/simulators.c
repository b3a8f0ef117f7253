/* Simulated nodes: rows without keys, and one credential that speaks for all of them (wire/topic.h). */
#include "rest/inner.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIMULATED_MAX    100000
#define SIMULATED_AT_ONE 500 /* rows in one transaction */
#define NAME_DIGITS      8

static enum err add_some(struct fleet *f, const char *simulator, int64_t from, int64_t to, time_ms now, struct why *why)
{
    struct fleet_batch batch;
    struct node node;
    char id[NODE_ID_SIZE];
    enum err err = fleet_batch_begin(&batch, f, why);
    if (err != ERR_NONE)
        return err;
    for (int64_t i = from; err == ERR_NONE && i < to; i++) {
        snprintf(id, sizeof id, "%s-%06" PRId64, simulator, i + 1);
        err = fleet_node_add(&batch.fleet, id, now, &node, why);
    }
    enum err ended = fleet_batch_end(&batch, why);
    return err ? err : ended;
}

static enum err remember(struct fleet *f, const char *name, int64_t count, time_ms now, struct why *why)
{
    char text[80];
    snprintf(text, sizeof text, "{\"node_count\":%" PRId64 ",\"created_at\":%" PRId64 "}", count, now / 1000);
    return fleet_simulator_put(f, name, text, why);
}

struct wish {
    int64_t count, bad, flaky;
    bool is_run; /* here, by the server */
    char fw_version[FW_VERSION_SIZE], project_name[33], platform[33], model[65];
};

static enum err take_percent(const struct json *doc, const char *key, int64_t *to, struct why *why)
{
    *to = 0;
    if (json_get(doc, key) != NULL && (!json_int(json_get(doc, key), to) || *to < 0 || *to > 100))
        return why_set(why, ERR_BODY, "%s must be a number from 0 to 100", key);
    return ERR_NONE;
}

/* Becomes an argument of a program: plain, and no option. */
static enum err take_word(const struct json *doc, const char *key, const char *otherwise, char *to, size_t size,
                          struct why *why)
{
    const char *value = member_text(doc, key);
    value = value ? value : otherwise;
    if (!text_is_plain_id(value, size - 1) || *value == '-')
        return why_set(why, ERR_BODY, "%s must have 1 to %zu of A-Z a-z 0-9 _ - .", key, size - 1);
    text_copy(to, size, value);
    return ERR_NONE;
}

static enum err read_wish(struct rest *rest, const struct json *doc, struct wish *w, struct why *why)
{
    enum err err;
    *w = (struct wish){.count = 0};
    if (!json_int(json_get(doc, "node_count"), &w->count) || w->count < 1 || w->count > SIMULATED_MAX)
        return why_set(why, ERR_BODY, "node_count must be a number from 1 to %d", SIMULATED_MAX);
    if (json_get(doc, "run") != NULL && !json_bool(json_get(doc, "run"), &w->is_run))
        return why_set(why, ERR_BODY, "run must be true or false");
    if (w->is_run && rest->runner == NULL)
        return why_set(why, ERR_BODY, "this server runs no simulators: pluvio-fleet gateway does");
    if (w->is_run && !rest->runner->has_room(rest->runner))
        return why_set(why, ERR_BODY, "the server runs as many simulators as it can: remove one first");
    if ((err = take_word(doc, "fw_version", "1.0", w->fw_version, sizeof w->fw_version, why)) != ERR_NONE ||
        (err = take_word(doc, "project_name", "app", w->project_name, sizeof w->project_name, why)) != ERR_NONE ||
        (err = take_word(doc, "platform", "esp32c3", w->platform, sizeof w->platform, why)) != ERR_NONE ||
        (err = take_word(doc, "model", "simulated", w->model, sizeof w->model, why)) != ERR_NONE ||
        (err = take_percent(doc, "bad_percent", &w->bad, why)) != ERR_NONE)
        return err;
    return take_percent(doc, "flaky_percent", &w->flaky, why);
}

static enum err run_it(struct rest *rest, const struct wish *w, const char *name, const char *cert, const char *key,
                       struct why *why)
{
    struct rest_simulation simulation = {.name = name,
                                         .cert = cert,
                                         .key = key,
                                         .node_count = w->count,
                                         .bad = (int)w->bad,
                                         .flaky = (int)w->flaky,
                                         .fw_version = w->fw_version,
                                         .project_name = w->project_name,
                                         .platform = w->platform,
                                         .model = w->model};
    return w->is_run ? rest->runner->start(rest->runner, &simulation, why) : ERR_NONE;
}

HANDLER(post_simulator)
{
    struct json *doc;
    struct id made = id_new(rest->entropy);
    struct wish wish;
    char *cert = NULL, *key = NULL, name[32];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = read_wish(rest, doc, &wish, why);
    json_free(doc);
    int64_t count = wish.count;
    snprintf(name, sizeof name, SIMULATOR_PREFIX "%s", made.text + strlen(made.text) - NAME_DIGITS);
    if (err == ERR_NONE)
        err = keys_issue_node(rest->keys, name, q->now, &cert, &key, why);
    for (int64_t i = 0; err == ERR_NONE && i < count; i += SIMULATED_AT_ONE)
        err = add_some(rest->fleet, name, i, i + SIMULATED_AT_ONE < count ? i + SIMULATED_AT_ONE : count, q->now, why);
    if (err == ERR_NONE)
        err = remember(rest->fleet, name, count, q->now, why);
    if (err == ERR_NONE)
        err = run_it(rest, &wish, name, cert, key, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "simulator", name);
        json_out_int(&out, "node_count", count);
        write_credentials(&out, rest, name, cert, key);
        json_out_end_object(&out);
    }
    free(cert);
    free(key);
    return err;
}

struct lister {
    struct name_visitor v;
    struct json_out *out;
    struct rest_runner *runner;
};

static bool write_simulator(struct name_visitor *v, const char *name, const char *text)
{
    struct json_out *out = ((struct lister *)v)->out;
    struct rest_runner *runner = ((struct lister *)v)->runner;
    struct json *doc;
    int64_t count = 0, at = 0;
    if (json_parse(bytes_of_text(text), &doc, NULL) != ERR_NONE)
        return true;
    json_int(json_get(doc, "node_count"), &count);
    json_int(json_get(doc, "created_at"), &at);
    json_out_object(out, NULL);
    json_out_text(out, "simulator", name);
    json_out_int(out, "node_count", count);
    json_out_int(out, "created_at", at);
    json_out_bool(out, "running", runner != NULL && runner->is_running(runner, name));
    json_out_end_object(out);
    json_free(doc);
    return true;
}

HANDLER(get_simulators)
{
    (void)q;
    struct json_out out = answer(p);
    struct lister l = {{write_simulator}, &out, rest->runner};
    json_out_array(&out, "simulators");
    enum err err = fleet_simulator_scan(rest->fleet, &l.v, why);
    json_out_end_array(&out);
    json_out_end_object(&out);
    return err;
}

/* Some of its nodes in one transaction; `*count` tells how many there were. */
static enum err delete_some(struct fleet *f, const char *simulator, struct node *page, time_ms now, unsigned *count,
                            struct why *why)
{
    struct fleet_batch batch;
    char after[NODE_ID_SIZE];
    unsigned found = 0;
    snprintf(after, sizeof after, "%s-", simulator);
    *count = 0;
    enum err err = fleet_node_list(f, after, page, SIMULATED_AT_ONE, &found, why);
    if (err != ERR_NONE || (err = fleet_batch_begin(&batch, f, why)) != ERR_NONE)
        return err;
    while (err == ERR_NONE && *count < found && simulator_speaks_for(simulator, page[*count].id))
        err = fleet_node_delete(&batch.fleet, page[(*count)++].id, now, why);
    enum err ended = fleet_batch_end(&batch, why);
    return err ? err : ended;
}

HANDLER(delete_simulator)
{
    const char *name = query(q, "simulator");
    unsigned count = 1, total = 0;
    if (name == NULL || !simulator_is_name(name))
        return why_set(why, ERR_BODY, "simulator must be a simulator's name, " SIMULATOR_PREFIX "...");
    if (rest->runner != NULL)
        rest->runner->stop(rest->runner, name);
    struct node *page = calloc(SIMULATED_AT_ONE, sizeof *page);
    enum err err = page ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
    while (err == ERR_NONE && count > 0) {
        err = delete_some(rest->fleet, name, page, q->now, &count, why);
        total += count;
    }
    free(page);
    if (err == ERR_NONE)
        err = fleet_simulator_drop(rest->fleet, name, why);
    if (err != ERR_NONE)
        return err;
    struct json_out out = answer_success(p);
    json_out_int(&out, "node_count", total);
    json_out_end_object(&out);
    return ERR_NONE;
}
