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

HANDLER(post_simulator)
{
    struct json *doc;
    struct id made = id_new(rest->entropy);
    char *cert = NULL, *key = NULL, name[32];
    int64_t count = 0;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    if (!json_int(json_get(doc, "node_count"), &count) || count < 1 || count > SIMULATED_MAX)
        err = why_set(why, ERR_BODY, "node_count must be a number from 1 to %d", SIMULATED_MAX);
    json_free(doc);
    snprintf(name, sizeof name, SIMULATOR_PREFIX "%s", made.text + strlen(made.text) - NAME_DIGITS);
    if (err == ERR_NONE)
        err = keys_issue_node(rest->keys, name, q->now, &cert, &key, why);
    for (int64_t i = 0; err == ERR_NONE && i < count; i += SIMULATED_AT_ONE)
        err = add_some(rest->fleet, name, i, i + SIMULATED_AT_ONE < count ? i + SIMULATED_AT_ONE : count, q->now, why);
    if (err == ERR_NONE)
        err = remember(rest->fleet, name, count, q->now, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "simulator", name);
        json_out_int(&out, "node_count", count);
        write_credentials(&out, rest, cert, key);
        json_out_end_object(&out);
    }
    free(cert);
    free(key);
    return err;
}

struct lister {
    struct name_visitor v;
    struct json_out *out;
};

static bool write_simulator(struct name_visitor *v, const char *name, const char *text)
{
    struct json_out *out = ((struct lister *)v)->out;
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
    json_out_end_object(out);
    json_free(doc);
    return true;
}

HANDLER(get_simulators)
{
    (void)q;
    struct json_out out = answer(p);
    struct lister l = {{write_simulator}, &out};
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
