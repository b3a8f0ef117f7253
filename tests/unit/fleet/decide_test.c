/* Goal: each decision has its reason, and the reasons stand in one order. */
#include "fleet/decide.h"
#include "test.h"

#define NOW 1760000000000

/* Everything that a decision looks at; as it stands, the node is offered the job. */
struct world {
    struct node node;
    struct job job;
    struct image image;
    struct execution e;
    struct rollout plan;
    struct job_state state, all;
    struct fleet_policy policy;
    struct facts facts;
};

static void make(struct world *w)
{
    *w = (struct world){
        .node = {.id = "n",
                 .fw_version = "1.0",
                 .platform = "esp32c3",
                 .project_name = "app",
                 .network_id = "A",
                 .is_online = true,
                 .subscribed_at = NOW - 100000},
        .job = {.id = "J", .name = "job"},
        .image =
            {.fw_version = "2.0", .platform = "esp32c3", .project_name = "app", .size_bytes = 1000, .is_ready = true},
        .e = {.job_id = "J", .node_id = "n"},
        .state = {.audience = 10},
        .policy = fleet_default_policy,
    };
    w->facts = (struct facts){.node = &w->node,
                              .job = &w->job,
                              .image = &w->image,
                              .plan = &w->plan,
                              .state = &w->state,
                              .all = &w->all,
                              .policy = &w->policy,
                              .occasion = ON_FETCH,
                              .now = NOW,
                              .is_target = true};
}

static void with_execution(struct world *w, enum execution_state state)
{
    w->facts.e = &w->e;
    w->e.state = state;
    w->e.offers = 1;
    w->e.offered_at = w->e.updated_at = NOW - 1000;
}

static void job_over(struct world *w)
{
    w->job.status = JOB_CANCELLED;
}
static void not_target(struct world *w)
{
    w->facts.is_target = false;
}
static void ended(struct world *w)
{
    with_execution(w, EX_ROLLED_BACK);
}
static void excluded(struct world *w)
{
    w->facts.is_excluded = true;
}
static void expired(struct world *w)
{
    w->job.expires_at = NOW;
}
static void image_gone(struct world *w)
{
    w->facts.image = NULL;
}
static void other_chip(struct world *w)
{
    strcpy(w->node.platform, "esp32");
}
static void other_project(struct world *w)
{
    strcpy(w->node.project_name, "heater");
}
static void secure_version(struct world *w)
{
    w->node.secure_version = 1;
}
static void slot_too_small(struct world *w)
{
    w->node.slot_bytes = 999;
}
static void not_signed(struct world *w)
{
    strcpy(w->node.key_digests, "aa bb"), strcpy(w->image.signed_by, "cc");
}
static void on_version(struct world *w)
{
    strcpy(w->node.fw_version, "2.0");
}
static void paused(struct world *w)
{
    w->job.is_paused = true;
}
static void not_yet(struct world *w)
{
    w->job.valid_from = NOW + 1;
}
static void ahead(struct world *w)
{
    w->facts.ahead = "another";
}
static void approval(struct world *w)
{
    w->job.needs_approval = true;
}
static void just_offered(struct world *w)
{
    with_execution(w, EX_OFFERED);
}
static void working(struct world *w)
{
    with_execution(w, EX_REBOOTING);
}
static void backoff(struct world *w)
{
    with_execution(w, EX_FAILED), w->e.deadline_at = NOW + 1;
}
static void offline(struct world *w)
{
    w->node.is_online = false, w->facts.occasion = ON_SLOT;
}
static void has_slot(struct world *w)
{
    with_execution(w, EX_WAITING);
    w->e.has_slot = true;
    w->e.deadline_at = NOW + 5;
}
static void not_counted(struct world *w)
{
    w->plan.phase_count = 1, w->state.audience = -1;
}
static void phase(struct world *w)
{
    w->plan.phase_count = 1;
    w->plan.phases[0].count = 2;
    w->state.started = 2;
}
static void no_network(struct world *w)
{
    w->job.is_serial = true;
    w->job.serial_max = 3;
    w->node.network_id[0] = '\0';
}
static void network(struct world *w)
{
    w->job.is_serial = true;
    w->job.serial_max = 3;
    w->facts.on_network = 3;
}
static void job_budget(struct world *w)
{
    w->plan.max_in_flight = 2, w->state.counts[EX_OFFERED] = 2;
}
static void global_budget(struct world *w)
{
    w->policy.max_in_flight = 2, w->all.counts[EX_REBOOTING] = 2;
}
static void rate(struct world *w)
{
    w->state.rate_at = (NOW + 7) * (int64_t)1000;
}
static void nothing(struct world *w)
{
    (void)w;
}

static const struct {
    enum decision decision;
    void (*change)(struct world *w);
    time_ms next_at; /* relative; 0: none; -1: some */
} rows[] = {
    {DECIDE_ENDED, ended, 0},
    {DECIDE_JOB_OVER, job_over, 0},
    {DECIDE_NOT_TARGET, not_target, 0},
    {DECIDE_EXCLUDED, excluded, 0},
    {DECIDE_EXPIRED, expired, 0},
    {DECIDE_IMAGE_GONE, image_gone, 0},
    {DECIDE_OTHER_CHIP, other_chip, 0},
    {DECIDE_OTHER_PROJECT, other_project, 0},
    {DECIDE_SECURE_VERSION, secure_version, 0},
    {DECIDE_SLOT_TOO_SMALL, slot_too_small, 0},
    {DECIDE_NOT_SIGNED, not_signed, 0},
    {DECIDE_ON_VERSION, on_version, 0},
    {DECIDE_JOB_PAUSED, paused, 0},
    {DECIDE_NOT_YET, not_yet, 1},
    {DECIDE_OTHER_JOB_FIRST, ahead, 0},
    {DECIDE_AWAITS_APPROVAL, approval, 0},
    {DECIDE_JUST_OFFERED, just_offered, -1},
    {DECIDE_WORKING, working, 0},
    {DECIDE_BACKOFF, backoff, 1},
    {DECIDE_OFFLINE, offline, 0},
    {DECIDE_SLOT_NOT_COME, has_slot, 5},
    {DECIDE_NOT_COUNTED, not_counted, -1},
    {DECIDE_PHASE, phase, -1},
    {DECIDE_NO_NETWORK, no_network, 0},
    {DECIDE_NETWORK, network, -1},
    {DECIDE_JOB_BUDGET, job_budget, -1},
    {DECIDE_GLOBAL_BUDGET, global_budget, -1},
    {DECIDE_RATE, rate, 7},
    {DECIDE_OFFER, nothing, 0},
};

#define ROWS (sizeof rows / sizeof rows[0])

static void each_reason_is_told_with_its_next_time(void **state)
{
    bool is_seen[DECISIONS] = {false};
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct world w;
        struct verdict v;
        make(&w);
        rows[i].change(&w);
        fleet_decide(&w.facts, &v);
        if (v.decision != rows[i].decision)
            fail_msg("%s, not %s", decision_text(v.decision), decision_text(rows[i].decision));
        assert_true(v.text[0] != '\0');
        if (rows[i].next_at >= 0)
            assert_int_equal(v.next_at, rows[i].next_at ? NOW + rows[i].next_at : 0);
        else
            assert_true(v.next_at > NOW);
        is_seen[v.decision] = true;
    }
    for (int d = 0; d < DECISIONS; d++)
        if (!is_seen[d])
            fail_msg("%s was not provoked", decision_text((enum decision)d));
}

/* Of two reasons the one that stands first is told, except where one makes the other impossible. */
static void every_pair_is_decided_by_their_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t k = i + 1; k < ROWS; k++) {
            struct world w;
            struct verdict v;
            make(&w);
            rows[k].change(&w);
            rows[i].change(&w);
            fleet_decide(&w.facts, &v);
            bool is_first = v.decision == rows[i].decision;
            /* Executions exclude each other, and who is at work is past headers, exclusions and budgets. */
            bool is_special = w.facts.e != NULL || rows[i].change == not_target || rows[i].change == no_network;
            if (!is_first && !is_special)
                fail_msg("%s before %s gave %s", decision_text(rows[i].decision), decision_text(rows[k].decision),
                         decision_text(v.decision));
        }
}

static void who_is_at_work_is_not_held_to_budgets(void **state)
{
    static void (*const changes[])(struct world *) = {phase, network, job_budget, global_budget, rate};
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct world w;
        struct verdict v;
        make(&w);
        with_execution(&w, EX_IN_PROGRESS);
        w.node.booted_at = NOW - 500; /* it lost its work and asks */
        changes[i](&w);
        fleet_decide(&w.facts, &v);
        assert_int_equal(v.decision, DECIDE_OFFER);
    }
}

static void a_host_processors_image_is_compared_with_nothing(void **state)
{
    static void (*const changes[])(struct world *) = {other_chip,     other_project, secure_version,
                                                      slot_too_small, not_signed,    on_version};
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct world w;
        struct verdict v;
        make(&w);
        changes[i](&w);
        w.job.is_host_mcu = true;
        fleet_decide(&w.facts, &v);
        assert_int_equal(v.decision, DECIDE_OFFER);
    }
}

static void one_of_the_nodes_keys_is_enough(void **state)
{
    struct world w;
    struct verdict v;
    (void)state;
    make(&w);
    strcpy(w.node.key_digests, "aa BB");
    strcpy(w.image.signed_by, "cc bb");
    fleet_decide(&w.facts, &v);
    assert_int_equal(v.decision, DECIDE_OFFER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reason_is_told_with_its_next_time),
        cmocka_unit_test(every_pair_is_decided_by_their_order),
        cmocka_unit_test(who_is_at_work_is_not_held_to_budgets),
        cmocka_unit_test(a_host_processors_image_is_compared_with_nothing),
        cmocka_unit_test(one_of_the_nodes_keys_is_enough),
    };
    return cmocka_run_group_tests_name("fleet decide", tests, NULL, NULL);
}
