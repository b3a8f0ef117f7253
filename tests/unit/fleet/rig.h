/* rig.h - a fleet over a store in memory, with a counted clock and randomness. */
#ifndef PLUVIO_TEST_FLEET_RIG_H
#define PLUVIO_TEST_FLEET_RIG_H

#include "fleet/inner.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"
#include "test.h"

#include "base/text.h"

struct rig {
    struct test_entropy entropy;
    struct sqlite_store *sqlite;
    struct memory_store *memory;
    struct fleet fleet;
    time_ms now;
    struct image image;
};

static inline void rig_config(struct rig *r, const char *node, const char *version)
{
    char text[300];
    snprintf(text, sizeof text,
             "{\"node_id\":\"%s\",\"info\":{\"fw_version\":\"%s\",\"platform\":\"linux\",\"project_name\":\"blinky\"}}",
             node, version);
    assert_int_equal(fleet_on_config(&r->fleet, node, bytes_of_text(text), r->now, NULL), ERR_NONE);
}

static inline enum err rig_fetch(struct rig *r, const char *node, const char *version)
{
    struct fetch_message m = {{0}, {0}, {0}};
    text_copy(m.fw_version, sizeof m.fw_version, version);
    return fleet_on_fetch(&r->fleet, node, &m, r->now, NULL);
}

static inline enum err rig_report(struct rig *r, const char *node, const char *job, enum report_status status,
                                  const char *info)
{
    struct status_report s = {.status = status, .ts = r->now / 1000};
    text_copy(s.job_id, sizeof s.job_id, job);
    text_copy(s.info, sizeof s.info, info);
    return fleet_on_report(&r->fleet, node, &s, r->now, NULL);
}

static inline void rig_node(struct rig *r, const char *id, const char *version)
{
    struct node node;
    assert_int_equal(fleet_node_add(&r->fleet, id, r->now, &node, NULL), ERR_NONE);
    rig_config(r, id, version);
}

static inline struct image rig_image(struct rig *r, const char *name, const char *version)
{
    struct image_facts facts = {
        .kind = IMAGE_APP, .chip = chip_find(CHIP_LINUX), .has_app_desc = true, .file_len = 1000};
    struct image image;
    text_copy(facts.app.version, sizeof facts.app.version, version);
    text_copy(facts.app.project_name, sizeof facts.app.project_name, "blinky");
    facts.file_sha256[0] = (uint8_t)r->entropy.next;
    struct image_upload u = {.name = name, .uploader = "tester", .facts = &facts};
    assert_int_equal(fleet_image_add(&r->fleet, NULL, &u, r->now, &image, NULL), ERR_NONE);
    return image;
}

static inline struct job rig_job(struct rig *r, const char *name, const char *image_id, bool is_push, const char *node)
{
    struct job_order o = {.name = name,
                          .image_id = image_id,
                          .owner = "tester",
                          .is_force_push = is_push,
                          .is_for_everyone = node == NULL};
    struct job job;
    struct why why = {{0}};
    time_ms next;
    if (node != NULL)
        o.nodes[o.node_count++] = node;
    if (fleet_job_start(&r->fleet, &o, r->now, &job, &why) != ERR_NONE)
        fail_msg("%s", why.text);
    for (int i = 0; i < 50; i++)
        assert_int_equal(fleet_tick(&r->fleet, r->now, &next, NULL), ERR_NONE);
    return job;
}

static inline struct execution rig_execution(struct rig *r, const char *job, const char *node)
{
    struct execution e;
    assert_int_equal(fleet_execution(&r->fleet, job, node, r->now, &e, NULL), ERR_NONE);
    return e;
}

static inline unsigned rig_outbox(struct rig *r)
{
    static struct outgoing out[32];
    unsigned count, fresh = 0;
    assert_int_equal(fleet_outbox_list(&r->fleet, 0, out, 32, &count, NULL), ERR_NONE);
    for (unsigned i = 0; i < count; i++)
        fresh += !out[i].is_stale;
    return fresh;
}

static inline void rig_drain(struct rig *r)
{
    static struct outgoing out[32];
    unsigned count;
    fleet_outbox_list(&r->fleet, 0, out, 32, &count, NULL);
    for (unsigned i = 0; i < count; i++)
        if (out[i].is_stale)
            fleet_outbox_drop(&r->fleet, &out[i].row, r->now, NULL);
        else
            fleet_outbox_done(&r->fleet, out[i].row.id, NULL);
}

static inline struct job_summary rig_summary(struct rig *r, const char *job)
{
    struct job_summary s;
    assert_int_equal(fleet_job_get(&r->fleet, job, &s, NULL), ERR_NONE);
    return s;
}

static inline int rig_set_up_with(void **state, bool is_sqlite)
{
    struct rig *r = calloc(1, sizeof *r);
    test_entropy_init(&r->entropy);
    enum err err =
        is_sqlite ? sqlite_store_open(&r->sqlite, ":memory:", NULL, NULL) : memory_store_open(&r->memory, NULL);
    if (err != ERR_NONE)
        return -1;
    fleet_init(&r->fleet, is_sqlite ? sqlite_store_port(r->sqlite) : memory_store_port(r->memory), &r->entropy.entropy,
               NULL, NULL);
    r->now = 1760000000000;
    *state = r;
    return 0;
}

static inline int rig_set_up(void **state)
{
    return rig_set_up_with(state, true);
}

static inline int rig_set_up_memory(void **state)
{
    return rig_set_up_with(state, false);
}

static inline int rig_tear_down(void **state)
{
    struct rig *r = *state;
    fleet_deinit(&r->fleet);
    sqlite_store_close(r->sqlite);
    memory_store_close(r->memory);
    free(r);
    return 0;
}

/* Each story is told over both stores. */
#define WITH_RIG(test)                                                                                                 \
    cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down),                                                  \
        cmocka_unit_test_setup_teardown(test, rig_set_up_memory, rig_tear_down)

#endif
