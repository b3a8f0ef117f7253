/* Simulated nodes: rows without keys, and one credential that speaks for all of them (wire/topic.h). */
#include "rest/inner.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIMULATED_MAX    100000
#define SIMULATED_AT_ONE 1000 /* rows in one transaction */
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
