#include "contract.h"

#include "base/text.h"

#include <stdlib.h>

static int (*open_store)(struct contract *c);

static int set_up(void **state)
{
    struct contract *c = calloc(1, sizeof *c);
    *state = c;
    return open_store(c);
}

static int tear_down(void **state)
{
    struct contract *c = *state;
    c->close(c);
    free(c);
    return 0;
}

static struct fleet_store *begin(void **state)
{
    struct contract *c = *state;
    struct fleet_store *tx;
    assert_int_equal(c->store->ops->begin(c->store, false, &tx, NULL), ERR_NONE);
    return tx;
}

static void commit(struct fleet_store *tx)
{
    assert_int_equal(tx->ops->commit(tx, NULL), ERR_NONE);
}

static struct node put_node(struct fleet_store *tx, const char *id)
{
    struct node n = {.seen_at = 5,
                     .registered_at = 1,
                     .secure_version = 3,
                     .slot_bytes = 4000000000,
                     .is_astray = true,
                     .is_deactivated = true};
    text_copy(n.id, sizeof n.id, id);
    text_copy(n.model, sizeof n.model, "m'1\"");
    text_copy(n.tags, sizeof n.tags, "a:b\nc:d\n");
    assert_int_equal(tx->ops->node_put(tx, &n, NULL), ERR_NONE);
    return n;
}

static struct execution put_execution(struct fleet_store *tx, const char *job, const char *node,
                                      enum execution_state state, time_ms deadline)
{
    struct execution e = {.state = state, .deadline_at = deadline, .percent = -1, .offers = 2, .offered_at = 50};
    text_copy(e.job_id, sizeof e.job_id, job);
    text_copy(e.node_id, sizeof e.node_id, node);
    text_copy(e.network, sizeof e.network, "net");
    text_copy(e.info, sizeof e.info, "info");
    assert_int_equal(tx->ops->execution_put(tx, &e, NULL, NULL), ERR_NONE);
    return e;
}

static void rows_come_back_as_they_went(void **state)
{
    struct fleet_store *tx = begin(state);
    struct node n = put_node(tx, "n1"), n2;
    assert_int_equal(tx->ops->node_get(tx, "n1", &n2, NULL), ERR_NONE);
    assert_string_equal(n2.model, n.model);
    assert_string_equal(n2.tags, n.tags);
    assert_int_equal(n2.slot_bytes, n.slot_bytes);
    assert_int_equal(n2.secure_version, 3);
    assert_true(n2.is_astray && n2.is_deactivated);
    assert_false(n2.is_online);
    assert_int_equal(tx->ops->node_get(tx, "n2", &n2, NULL), ERR_NOT_FOUND);
    int64_t before = 0, after = 0;
    tx->ops->node_count(tx, &before, NULL);
    put_node(tx, "n2");
    assert_int_equal(tx->ops->node_delete(tx, "n2", NULL), ERR_NONE);
    assert_int_equal(tx->ops->node_delete(tx, "n2", NULL), ERR_NONE);
    assert_int_equal(tx->ops->node_get(tx, "n2", &n2, NULL), ERR_NOT_FOUND);
    tx->ops->node_count(tx, &after, NULL);
    assert_int_equal(after, before);

    struct job j = {.id = "J",
                    .name = "job",
                    .priority = 3,
                    .is_serial = true,
                    .serial_task_ms = 7,
                    .group_count = 2,
                    .groups = {"g1", "g2"},
                    .query = "type = a",
                    .plan = "phase 1%",
                    .expires_at = 9,
                    .has_named_nodes = true,
                    .metadata = "{\"a\":1}",
                    .stop_reason = "why"},
               j2;
    assert_int_equal(tx->ops->job_put(tx, &j, NULL), ERR_NONE);
    assert_int_equal(tx->ops->job_get(tx, "J", &j2, NULL), ERR_NONE);
    assert_int_equal(j2.group_count, 2);
    assert_string_equal(j2.groups[1], "g2");
    assert_string_equal(j2.query, j.query);
    assert_string_equal(j2.plan, j.plan);
    assert_string_equal(j2.metadata, j.metadata);
    assert_string_equal(j2.stop_reason, "why");
    assert_int_equal(j2.serial_task_ms, 7);
    assert_int_equal(j2.expires_at, 9);
    assert_true(j2.has_named_nodes && j2.is_serial && !j2.is_paused);

    struct execution e = put_execution(tx, "J", "n1", EX_OFFERED, 77), e2;
    assert_int_equal(tx->ops->execution_get(tx, "J", "n1", &e2, NULL), ERR_NONE);
    assert_memory_equal(&e, &e2, sizeof e);

    struct job_state s = {.job_id = "J",
                          .counts = {[EX_SUCCESS] = 5, [EX_EXCLUDED] = 1},
                          .failures = {0, 1, 2},
                          .audience = -1,
                          .phase = 2,
                          .rate_at = 1760000000123456,
                          .is_pushing = true,
                          .push_after = "n1",
                          .sweep = 1,
                          .sweep_after = "n0",
                          .refused = 4},
                     s2;
    assert_int_equal(tx->ops->job_state_get(tx, "J", &s2, NULL), ERR_NOT_FOUND);
    assert_int_equal(tx->ops->job_state_put(tx, &s, NULL), ERR_NONE);
    commit(tx);
    tx = begin(state);
    assert_int_equal(tx->ops->job_state_get(tx, "J", &s2, NULL), ERR_NONE);
    assert_memory_equal(&s, &s2, sizeof s);
    commit(tx);
}

/* Whatever a transaction did, its rollback leaves nothing of it. */
static void a_rollback_leaves_no_trace(void **state)
{
    struct fleet_store *tx = begin(state);
    struct node n = put_node(tx, "kept");
    struct job_state s = {.job_id = "J", .started = 1};
    struct execution e;
    unsigned count;
    int64_t total;
    time_ms next;
    n.is_online = true;
    tx->ops->node_put(tx, &n, NULL);
    put_execution(tx, "J", "kept", EX_OFFERED, 100);
    tx->ops->job_state_put(tx, &s, NULL);
    commit(tx);

    tx = begin(state);
    put_node(tx, "gone");
    put_execution(tx, "J", "kept", EX_SUCCESS, 0);
    put_execution(tx, "J", "gone", EX_WAITING, 3);
    s.started = 2;
    tx->ops->job_state_put(tx, &s, NULL);
    tx->ops->nodes_all_offline(tx, 0, 9, NULL);
    tx->ops->outbox_add(tx, &(struct outbox_row){.node_id = "gone", .job_id = "J"}, NULL, NULL);
    tx->ops->event_add(tx, &(struct event){.kind = EVENT_NODE}, NULL);
    assert_true(tx->ops->changes(tx) >= 6);
    tx->ops->rollback(tx);

    tx = begin(state);
    assert_int_equal(tx->ops->changes(tx), 0);
    assert_int_equal(tx->ops->node_get(tx, "gone", &n, NULL), ERR_NOT_FOUND);
    assert_int_equal(tx->ops->node_get(tx, "kept", &n, NULL), ERR_NONE);
    assert_true(n.is_online);
    tx->ops->node_count(tx, &total, NULL);
    assert_int_equal(total, 1);
    tx->ops->execution_get(tx, "J", "kept", &e, NULL);
    assert_int_equal(e.state, EX_OFFERED);
    tx->ops->job_state_get(tx, "J", &s, NULL);
    assert_int_equal(s.started, 1);
    tx->ops->executions_due(tx, 1000, &e, 1, &count, &next, NULL);
    assert_int_equal(count, 1);
    assert_string_equal(e.node_id, "kept");
    struct outbox_row row;
    tx->ops->outbox_list(tx, 0, &row, 1, &count, NULL);
    assert_int_equal(count, 0);
    int64_t first, last;
    tx->ops->event_bounds(tx, &first, &last, NULL);
    assert_int_equal(last, 0);
    commit(tx);
}

static void lists_come_in_pages(void **state)
{
    struct fleet_store *tx = begin(state);
    static struct node page[10];
    char id[16], after[NODE_ID_SIZE] = "";
    unsigned count, seen = 0;
    int64_t total;
    for (int i = 0; i < 25; i++) {
        snprintf(id, sizeof id, "n%02d", 24 - i);
        put_node(tx, id);
        put_node(tx, id); /* again: the same row */
    }
    tx->ops->node_count(tx, &total, NULL);
    assert_int_equal(total, 25);
    do {
        assert_int_equal(tx->ops->node_list(tx, after, page, 10, &count, NULL), ERR_NONE);
        for (unsigned i = 0; i < count; i++) {
            assert_true(strcmp(page[i].id, after) > 0);
            text_copy(after, sizeof after, page[i].id);
        }
        seen += count;
    } while (count == 10);
    assert_int_equal(seen, 25);
    commit(tx);
}

struct stopper {
    struct node_visitor port;
    unsigned left;
    char last[NODE_ID_SIZE];
};

static bool stop(struct node_visitor *v, const struct node *node)
{
    struct stopper *s = (struct stopper *)v;
    text_copy(s->last, sizeof s->last, node->id);
    return --s->left > 0;
}

static void scans_stop_when_told(void **state)
{
    struct fleet_store *tx = begin(state);
    struct stopper s = {{stop}, 2, ""};
    put_node(tx, "a");
    put_node(tx, "b");
    put_node(tx, "c");
    put_node(tx, "d");
    assert_int_equal(tx->ops->node_scan(tx, "a", &s.port, NULL), ERR_NONE);
    assert_string_equal(s.last, "c");
    commit(tx);
}

struct gathering {
    struct alike_visitor port;
    int64_t all, old_and_online, never_seen;
};

static void gather(struct alike_visitor *v, const struct node *node, int64_t count)
{
    struct gathering *g = (struct gathering *)v;
    g->all += count;
    g->old_and_online += strcmp(node->fw_version, "1.0") == 0 && node->is_online ? count : 0;
    g->never_seen += node->activated_at == 0 ? count : 0;
}

static void alike_nodes_are_counted(void **state)
{
    struct fleet_store *tx = begin(state);
    struct gathering all = {{gather}, 0, 0, 0}, acme = all, none = all;
    const char *const ids[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++) {
        struct node n = put_node(tx, ids[i]);
        text_copy(n.fw_version, sizeof n.fw_version, i < 3 ? "1.0" : "2.0");
        text_copy(n.org, sizeof n.org, i < 2 ? "acme" : "");
        n.is_online = i != 1;
        n.activated_at = i == 4 ? 0 : 1000 + i;
        tx->ops->node_put(tx, &n, NULL);
    }
    assert_int_equal(tx->ops->nodes_alike(tx, NULL, &all.port, NULL), ERR_NONE);
    assert_int_equal(tx->ops->nodes_alike(tx, "acme", &acme.port, NULL), ERR_NONE);
    assert_int_equal(tx->ops->nodes_alike(tx, "none", &none.port, NULL), ERR_NONE);
    assert_int_equal(all.all, 5);
    assert_int_equal(all.old_and_online, 2);
    assert_int_equal(all.never_seen, 1);
    assert_int_equal(acme.all, 2);
    assert_int_equal(acme.old_and_online, 1);
    assert_int_equal(none.all, 0);
    commit(tx);
}

static void all_offline_is_one_row(void **state)
{
    struct fleet_store *tx = begin(state);
    struct node n = put_node(tx, "n");
    n.is_online = true;
    n.subscribed_at = n.presence_at = 7;
    tx->ops->node_put(tx, &n, NULL);
    tx->ops->node_get(tx, "n", &n, NULL);
    assert_true(n.is_online);
    tx->ops->nodes_all_offline(tx, 0, 99, NULL);
    commit(tx);
    tx = begin(state);
    tx->ops->node_get(tx, "n", &n, NULL);
    assert_false(n.is_online);
    assert_int_equal(n.subscribed_at, 0);
    assert_int_equal(n.presence_at, 99);
    n.is_online = true;
    tx->ops->node_put(tx, &n, NULL);
    tx->ops->node_get(tx, "n", &n, NULL);
    assert_true(n.is_online);
    commit(tx);
}

static void groups_have_members(void **state)
{
    struct fleet_store *tx = begin(state);
    struct group g = {.id = "g", .name = "lab"}, child = {.id = "h", .name = "bench", .parent_id = "g"}, found;
    struct membership m[4];
    char ids[4][NODE_ID_SIZE];
    unsigned count;
    tx->ops->group_put(tx, &g, NULL);
    tx->ops->group_put(tx, &child, NULL);
    put_node(tx, "n1");
    tx->ops->member_add(tx, "g", "n1", 10, NULL);
    tx->ops->member_add(tx, "g", "n1", 20, NULL); /* again: the first time stays */
    tx->ops->member_add(tx, "h", "n1", 30, NULL);
    tx->ops->member_add(tx, "g", "n0", 30, NULL);
    tx->ops->groups_of_node(tx, "n1", m, 4, &count, NULL);
    assert_int_equal(count, 2);
    assert_string_equal(m[0].group_id, "g");
    assert_int_equal(m[0].joined_at, 10);
    tx->ops->member_list(tx, "g", "", ids, 4, &count, NULL);
    assert_int_equal(count, 2);
    assert_string_equal(ids[0], "n0");
    tx->ops->member_list(tx, "g", "n0", ids, 4, &count, NULL);
    assert_int_equal(count, 1);
    assert_int_equal(tx->ops->group_find_name(tx, "", "bench", &found, NULL), ERR_NONE);
    assert_string_equal(found.id, "h");
    text_copy(child.name, sizeof child.name, "bench 2");
    tx->ops->group_put(tx, &child, NULL);
    assert_int_equal(tx->ops->group_find_name(tx, "", "bench", &found, NULL), ERR_NOT_FOUND);
    tx->ops->group_children(tx, "g", &found, 1, &count, NULL);
    assert_int_equal(count, 1);
    assert_string_equal(found.name, "bench 2");
    tx->ops->group_get(tx, "g", &found, NULL);
    assert_int_equal(found.total, 2);
    tx->ops->member_remove(tx, "g", "n0", NULL);
    tx->ops->member_remove(tx, "g", "n0", NULL);
    tx->ops->group_get(tx, "g", &found, NULL);
    assert_int_equal(found.total, 1);
    tx->ops->group_delete(tx, "g", NULL);
    assert_int_equal(tx->ops->group_get(tx, "g", &found, NULL), ERR_NOT_FOUND);
    tx->ops->groups_of_node(tx, "n1", m, 4, &count, NULL);
    assert_int_equal(count, 1);
    commit(tx);
}

static void put_job(struct fleet_store *tx, const char *id, int priority, enum job_status status)
{
    struct job j = {.priority = priority, .status = status, .image_id = "I", .created_at = 1};
    text_copy(j.id, sizeof j.id, id);
    snprintf(j.name, sizeof j.name, "job %s", id);
    assert_int_equal(tx->ops->job_put(tx, &j, NULL), ERR_NONE);
}

struct collector {
    struct job_visitor port;
    char text[64];
};

static bool collect(struct job_visitor *v, const struct job *job)
{
    struct collector *c = (struct collector *)v;
    strcat(c->text, job->id);
    return true;
}

static void active_jobs_come_in_the_order_they_are_offered(void **state)
{
    struct fleet_store *tx = begin(state);
    struct collector c = {{collect}, ""};
    struct job page[3];
    unsigned count;
    int64_t jobs, active, before, after;
    tx->ops->version(tx, &before, NULL);
    put_job(tx, "a", 5, JOB_ACTIVE);
    put_job(tx, "b", 5, JOB_ACTIVE);
    put_job(tx, "c", 1, JOB_ACTIVE);
    put_job(tx, "d", 1, JOB_CANCELLED);
    put_job(tx, "e", 10, JOB_ACTIVE);
    put_job(tx, "e", 9, JOB_ACTIVE); /* changed: still as old */
    tx->ops->version(tx, &after, NULL);
    assert_true(after != before);
    tx->ops->job_scan_active(tx, &c.port, NULL);
    assert_string_equal(c.text, "cbae");
    tx->ops->image_uses(tx, "I", &jobs, &active, NULL);
    assert_int_equal(jobs, 5);
    assert_int_equal(active, 4);
    tx->ops->job_list(tx, "", page, 3, &count, NULL);
    assert_string_equal(page[0].id, "e");
    tx->ops->job_list(tx, page[2].id, page, 3, &count, NULL);
    assert_int_equal(count, 2);
    assert_string_equal(page[1].id, "a");
    commit(tx);
}

static void executions_are_found_by_what_is_due(void **state)
{
    struct fleet_store *tx = begin(state);
    struct execution page[8];
    unsigned count;
    time_ms next;
    int64_t load;
    put_execution(tx, "J", "a", EX_OFFERED, 300);
    put_execution(tx, "J", "b", EX_WAITING, 100);
    put_execution(tx, "J", "c", EX_WAITING, 200);
    put_execution(tx, "J", "d", EX_WAITING, 0);
    put_execution(tx, "J", "e", EX_SUCCESS, 0);
    put_execution(tx, "K", "a", EX_REBOOTING, 400);
    tx->ops->executions_due(tx, 250, page, 8, &count, &next, NULL);
    assert_int_equal(count, 2);
    assert_string_equal(page[0].node_id, "b");
    assert_string_equal(page[1].node_id, "c");
    assert_int_equal(next, 300);
    tx->ops->executions_waiting(tx, "J", page, 8, &count, NULL);
    assert_int_equal(count, 2);
    tx->ops->executions_open(tx, "a", page, 8, &count, NULL);
    assert_int_equal(count, 2);
    tx->ops->execution_list(tx, "J", "b", page, 2, &count, NULL);
    assert_int_equal(count, 2);
    assert_string_equal(page[0].node_id, "c");
    tx->ops->network_load(tx, "net", "", 0, &load, NULL);
    assert_int_equal(load, 2);
    tx->ops->network_load(tx, "net", "K", 50, &load, NULL);
    assert_int_equal(load, 1);
    tx->ops->network_load(tx, "net", "K", 51, &load, NULL);
    assert_int_equal(load, 0);
    put_execution(tx, "K", "a", EX_SUCCESS, 0);
    put_execution(tx, "J", "b", EX_OFFERED, 0);
    tx->ops->executions_due(tx, 1000, page, 8, &count, &next, NULL);
    assert_int_equal(count, 2);
    assert_int_equal(next, 0);
    tx->ops->network_load(tx, "net", "", 0, &load, NULL);
    assert_int_equal(load, 2);
    commit(tx);
}

/* Every change of state moves an execution between the indices, whether it was read before or not. */
static void indices_follow_every_change(void **state)
{
    static const struct {
        enum execution_state state;
        time_ms deadline;
    } shapes[] = {{EX_OFFERED, 0}, {EX_OFFERED, 10}, {EX_WAITING, 0},     {EX_WAITING, 10},
                  {EX_FAILED, 20}, {EX_SUCCESS, 0},  {EX_IN_PROGRESS, 20}};
    struct fleet_store *tx = begin(state);
    const unsigned n = sizeof shapes / sizeof shapes[0];
    for (unsigned from = 0; from < n; from++)
        for (unsigned to = 0; to < n; to++)
            for (int is_read = 0; is_read < 2; is_read++) {
                struct execution e, page[4];
                unsigned count;
                time_ms next;
                put_execution(tx, "J", "n", shapes[from].state, shapes[from].deadline);
                for (int i = 0; is_read && i < 10; i++) { /* reading others forgets this one */
                    char id[8];
                    snprintf(id, sizeof id, "x%d", i);
                    tx->ops->execution_get(tx, "J", id, &e, NULL);
                }
                put_execution(tx, "J", "n", shapes[to].state, shapes[to].deadline);
                tx->ops->executions_open(tx, "n", page, 4, &count, NULL);
                assert_int_equal(count, shapes[to].state < EX_FIRST_OVER);
                tx->ops->executions_due(tx, 100, page, 4, &count, &next, NULL);
                assert_int_equal(count, shapes[to].deadline > 0);
                tx->ops->executions_waiting(tx, "J", page, 4, &count, NULL);
                assert_int_equal(count, shapes[to].state == EX_WAITING && shapes[to].deadline > 0);
            }
    commit(tx);
}

static void timelines_are_kept_in_order(void **state)
{
    struct fleet_store *tx = begin(state);
    struct execution e = put_execution(tx, "J", "n", EX_OFFERED, 0);
    struct timeline_row row = {5, true, EX_OFFERED, "one\nline"}, rows[4];
    unsigned count;
    tx->ops->execution_put(tx, &e, &row, NULL);
    row = (struct timeline_row){6, false, EX_SUCCESS, ""};
    tx->ops->execution_put(tx, &e, &row, NULL);
    tx->ops->timeline_list(tx, "J", "n", rows, 4, &count, NULL);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].at, 5);
    assert_true(rows[0].is_from_node);
    assert_non_null(strstr(rows[0].info, "line"));
    assert_int_equal(rows[1].state, EX_SUCCESS);
    assert_string_equal(rows[1].info, "");
    tx->ops->timeline_list(tx, "J", "other", rows, 4, &count, NULL);
    assert_int_equal(count, 0);
    commit(tx);
}

static void what_leaves_is_numbered(void **state)
{
    struct fleet_store *tx = begin(state);
    struct outbox_row row = {.node_id = "n", .job_id = "J"}, rows[4];
    struct event e = {.kind = EVENT_JOB, .info = "i"}, events[4];
    unsigned count;
    int64_t first, last;
    tx->ops->outbox_add(tx, &row, NULL, NULL);
    row.topic = TOPIC_PARAMS_REMOTE;
    tx->ops->outbox_add(tx, &row, "{\"Light\":{}}", NULL);
    tx->ops->outbox_list(tx, 0, rows, 4, &count, NULL);
    assert_int_equal(rows[1].topic, TOPIC_PARAMS_REMOTE);
    char text[40];
    tx->ops->outbox_text(tx, rows[1].id, text, sizeof text, NULL);
    assert_string_equal(text, "{\"Light\":{}}");
    tx->ops->outbox_text(tx, rows[0].id, text, sizeof text, NULL);
    assert_string_equal(text, "");
    assert_int_equal(count, 2);
    assert_true(rows[1].id > rows[0].id);
    tx->ops->outbox_delete(tx, rows[0].id, NULL);
    tx->ops->outbox_list(tx, rows[0].id, rows, 4, &count, NULL);
    assert_int_equal(count, 1);
    for (int i = 0; i < EVENTS_KEPT + 10; i++)
        tx->ops->event_add(tx, &e, NULL);
    commit(tx);
    tx = begin(state);
    tx->ops->event_bounds(tx, &first, &last, NULL);
    assert_int_equal(last - first, EVENTS_KEPT - 1);
    tx->ops->event_list(tx, last - 2, events, 4, &count, NULL);
    assert_int_equal(count, 2);
    assert_int_equal(events[1].id, last);
    commit(tx);
}

static void users_and_their_tokens(void **state)
{
    struct fleet_store *tx = begin(state);
    struct user u = {.id = "u", .name = "ann", .role = ROLE_ADMIN}, found;
    char id[ID_LEN + 1];
    time_ms at;
    tx->ops->user_put(tx, &u, NULL);
    assert_int_equal(tx->ops->user_get(tx, "ann", &found, NULL), ERR_NONE);
    assert_int_equal(tx->ops->user_get(tx, "bob", &found, NULL), ERR_NOT_FOUND);
    struct user bob = {.id = "b", .name = "bob", .code = "123456", .role = ROLE_VIEWER, .is_verified = true}, page[3];
    unsigned count = 0;
    bob.is_disabled = true, bob.failures = 3, bob.locked_until = 4, bob.code_until = 5;
    tx->ops->user_put(tx, &bob, NULL);
    assert_int_equal(tx->ops->user_list(tx, "", page, 3, &count, NULL), ERR_NONE);
    assert_int_equal(count, 2);
    assert_string_equal(page[1].code, "123456");
    assert_int_equal(page[1].role, ROLE_VIEWER);
    assert_true(page[1].is_verified && page[1].is_disabled && page[1].failures == 3 && page[1].locked_until == 4 &&
                page[1].code_until == 5);
    assert_int_equal(tx->ops->user_delete(tx, &bob, NULL), ERR_NONE);
    assert_int_equal(tx->ops->user_list(tx, "ann", page, 3, &count, NULL), ERR_NONE);
    assert_int_equal(count, 0);
    tx->ops->token_put(tx, "d", "u", 9, NULL);
    assert_int_equal(tx->ops->token_get(tx, "d", id, &at, NULL), ERR_NONE);
    assert_int_equal(at, 9);
    tx->ops->tokens_delete_user(tx, "u", NULL);
    assert_int_equal(tx->ops->token_get(tx, "d", id, &at, NULL), ERR_NOT_FOUND);
    commit(tx);
}

struct card_list {
    struct card_visitor v;
    char keys[200];
    int most;
};

static bool note_card(struct card_visitor *v, const char *key, const char *text)
{
    struct card_list *l = (struct card_list *)v;
    strcat(strcat(strcat(strcat(l->keys, key), "="), text), " ");
    return --l->most > 0;
}

static const char *cards(struct fleet_store *tx, struct card_list *l, const char *prefix, const char *after, int most)
{
    *l = (struct card_list){.v = {note_card}, .most = most};
    assert_int_equal(tx->ops->card_scan(tx, CARD_MAP, prefix, after, &l->v, NULL), ERR_NONE);
    return l->keys;
}

static void cards_lie_by_kind_and_key(void **state)
{
    struct fleet_store *tx = begin(state);
    struct card_list l;
    char *text;
    static const char *const keys[] = {"n1/u1", "n1/u2", "n10/u1", "n2/u1"};
    for (int i = 0; i < 4; i++)
        tx->ops->card_put(tx, CARD_MAP, keys[i], bytes_of("old!", 3), NULL);
    tx->ops->card_put(tx, CARD_MAPPED, "n1/u3", bytes_of_text("other"), NULL);
    tx->ops->card_put(tx, CARD_MAP, "n1/u2", bytes_of_text("new"), NULL);
    assert_string_equal(cards(tx, &l, "n1/", "", 9), "n1/u1=old n1/u2=new ");
    assert_string_equal(cards(tx, &l, "n1/", "n1/u1", 9), "n1/u2=new ");
    assert_string_equal(cards(tx, &l, "", "", 9), "n1/u1=old n1/u2=new n10/u1=old n2/u1=old ");
    assert_string_equal(cards(tx, &l, "", "n1/u2", 1), "n10/u1=old ");
    assert_string_equal(cards(tx, &l, "n3", "", 9), "");
    assert_int_equal(tx->ops->card_get(tx, CARD_MAP, "n1/u2", &text, NULL), ERR_NONE);
    assert_string_equal(text, "new");
    free(text);
    assert_int_equal(tx->ops->card_get(tx, CARD_MAP, "n1", &text, NULL), ERR_NOT_FOUND);
    commit(tx);
    tx = begin(state);
    tx->ops->card_delete(tx, CARD_MAP, "n1/u1", NULL);
    tx->ops->card_delete(tx, CARD_MAP, "n7/u1", NULL);
    tx->ops->rollback(tx);
    tx = begin(state);
    assert_string_equal(cards(tx, &l, "n1/", "", 9), "n1/u1=old n1/u2=new ");
    tx->ops->card_delete(tx, CARD_MAP, "n1/u1", NULL);
    assert_string_equal(cards(tx, &l, "n1/", "", 9), "n1/u2=new ");
    commit(tx);
}

int contract_run(const char *name, int (*open)(struct contract *c))
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rows_come_back_as_they_went),
        TEST(cards_lie_by_kind_and_key),
        TEST(a_rollback_leaves_no_trace),
        TEST(lists_come_in_pages),
        TEST(scans_stop_when_told),
        TEST(alike_nodes_are_counted),
        TEST(all_offline_is_one_row),
        TEST(groups_have_members),
        TEST(active_jobs_come_in_the_order_they_are_offered),
        TEST(executions_are_found_by_what_is_due),
        TEST(indices_follow_every_change),
        TEST(timelines_are_kept_in_order),
        TEST(what_leaves_is_numbered),
        TEST(users_and_their_tokens),
    };
    open_store = open;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
