/* Goal: jobs as RainMaker's notes have them (C.2, C.3, C.5, C.6), their targets, and what people do with them. */
#include "rig.h"

/* --- orders ----------------------------------------------------------------------------------- */

static void no_name(struct job_order *o)
{
    o->name = "";
}
static void no_image(struct job_order *o)
{
    o->image_id = NULL;
}
static void strange_image(struct job_order *o)
{
    o->image_id = "none";
}
static void no_targets(struct job_order *o)
{
    o->is_for_everyone = false;
}
static void strange_node(struct job_order *o)
{
    o->nodes[o->node_count++] = "nobody";
}
static void strange_group(struct job_order *o)
{
    o->groups[o->group_count++] = "nothing";
}
static void rule_and_nodes(struct job_order *o)
{
    o->query = "type = a", o->nodes[o->node_count++] = "n1";
}
static void low_priority(struct job_order *o)
{
    o->priority = 11;
}
static void long_timeout(struct job_order *o)
{
    o->timeout_s = 2592001;
}
static void timed_approval(struct job_order *o)
{
    o->timeout_s = 1, o->needs_approval = true;
}
static void lonely_notify(struct job_order *o)
{
    o->notifies = true;
}
static void pushed_approval(struct job_order *o)
{
    o->is_force_push = o->needs_approval = true;
}
static void given_image(struct job_order *o)
{
    o->gives_image = true;
}
static void taskless(struct job_order *o)
{
    o->is_serial = true;
}
static void half_wait(struct job_order *o)
{
    o->is_serial = true, o->serial_task_s = 1, o->serial_min_wait_s = 5;
}
static void bad_query(struct job_order *o)
{
    o->is_for_everyone = false, o->query = "colour = red";
}
static void bad_exclude(struct job_order *o)
{
    o->exclude = "type";
}
static void bad_plan(struct job_order *o)
{
    o->plan = "phase";
}

static void orders_are_refused_with_their_codes(void **state)
{
    static const struct {
        void (*spoil)(struct job_order *o);
        enum err err;
        int code;
    } rows[] = {
        {no_name, ERR_JOB_NAME, 105001},
        {no_image, ERR_IMAGE_ID, 104018},
        {strange_image, ERR_IMAGE_NOT_FOUND, 104015},
        {no_targets, ERR_JOB_TARGETS, 105002},
        {strange_node, ERR_JOB_NO_NODES, 105048},
        {strange_group, ERR_JOB_NO_NODES, 105048},
        {rule_and_nodes, ERR_JOB_RULE, 105052},
        {low_priority, ERR_JOB_PRIORITY, 105054},
        {long_timeout, ERR_JOB_TIMEOUT, 105055},
        {timed_approval, ERR_JOB_TIMEOUT_APPROVAL, 105056},
        {lonely_notify, ERR_JOB_NOTIFY, 105057},
        {pushed_approval, ERR_JOB_PUSH_APPROVAL, 190030},
        {given_image, ERR_JOB_IMAGE_ACCESS, 105073},
        {taskless, ERR_JOB_SERIAL_TASK, 105074},
        {half_wait, ERR_JOB_SERIAL_WAIT, 105075},
        {bad_query, ERR_QUERY, 190033},
        {bad_exclude, ERR_QUERY, 190033},
        {bad_plan, ERR_PLAN, 190034},
    };
    struct rig *r = *state;
    struct job job;
    struct audience audience;
    rig_node(r, "n1", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct job_order o = {.name = "job", .image_id = image.id, .owner = "t", .is_for_everyone = true};
        struct why why = {{0}};
        rows[i].spoil(&o);
        assert_int_equal(fleet_job_start(&r->fleet, &o, r->now, &job, &why), rows[i].err);
        assert_int_equal(err_rainmaker_code(rows[i].err), rows[i].code);
        assert_true(why.text[0] != '\0');
        if (rows[i].spoil != no_name && rows[i].spoil != no_image) /* which a question about nodes does not need */
            assert_int_equal(fleet_job_audience(&r->fleet, &o, r->now, &audience, NULL), rows[i].err);
    }
    unsigned count;
    struct job_summary page[1];
    fleet_job_list(&r->fleet, "", page, 1, &count, NULL);
    assert_int_equal(count, 0);
}

/* --- targets ---------------------------------------------------------------------------------- */

static struct group make_group(struct rig *r, const char *name, const char *parent, const char *query, const char *node)
{
    struct group_order o = {
        .name = name, .parent_id = parent, .query = query, .nodes = &node, .node_count = node != NULL};
    struct group g;
    struct why why = {{0}};
    if (fleet_group_add(&r->fleet, "", &o, r->now, &g, &why) != ERR_NONE)
        fail_msg("%s", why.text);
    return g;
}

static struct job start(struct rig *r, struct job_order o)
{
    static unsigned number;
    struct job job;
    struct why why = {{0}};
    char name[24];
    snprintf(name, sizeof name, "job %u", number++);
    o.name = name;
    o.owner = "t";
    if (fleet_job_start(&r->fleet, &o, r->now, &job, &why) != ERR_NONE)
        fail_msg("%s", why.text);
    return job;
}

static bool is_offered(struct rig *r, const char *node, const struct job *job)
{
    rig_fetch(r, node, "1.0");
    struct execution e;
    return fleet_execution(&r->fleet, job->id, node, r->now, &e, NULL) == ERR_NONE && e.state == EX_OFFERED;
}

static void tick(struct rig *r)
{
    time_ms next = r->now;
    for (int i = 0; i < 100 && next <= r->now; i++)
        assert_int_equal(fleet_tick(&r->fleet, r->now, &next, NULL), ERR_NONE);
}

static void groups_are_static_nested_and_dynamic(void **state)
{
    struct rig *r = *state;
    for (int i = 1; i <= 4; i++) {
        char id[4] = {'n', (char)('0' + i)};
        rig_node(r, id, "1.0");
    }
    struct group outer = make_group(r, "outer", NULL, NULL, "n1");
    make_group(r, "inner", outer.id, NULL, "n2");
    struct group rule = make_group(r, "rule", NULL, "id = n3", NULL);
    struct image image = rig_image(r, "two", "2.0");
    struct job_order o = {.image_id = image.id, .groups = {outer.id, rule.id}, .group_count = 2};
    struct job job = start(r, o);
    assert_int_equal(rig_summary(r, job.id).total, 3);
    assert_true(is_offered(r, "n1", &job));
    assert_true(is_offered(r, "n2", &job));
    assert_true(is_offered(r, "n3", &job));
    assert_false(is_offered(r, "n4", &job));
    /* A query may ask for a group by its name. */
    struct node page[8];
    unsigned count;
    assert_int_equal(
        fleet_node_find(&r->fleet, "group = outer and not group = inner", "", r->now, page, 8, &count, NULL), ERR_NONE);
    assert_int_equal(count, 1);
    assert_string_equal(page[0].id, "n1");
}

/* Who joins later is a target of a continuous job alone. */
static void later_members_belong_to_continuous_jobs(void **state)
{
    struct rig *r = *state;
    const char *late[] = {"n2"};
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    struct group g = make_group(r, "g", NULL, NULL, "n1");
    struct image image = rig_image(r, "two", "2.0");
    struct job once = start(r, (struct job_order){.image_id = image.id, .groups = {g.id}, .group_count = 1});
    struct job always =
        start(r, (struct job_order){
                     .image_id = image.id, .groups = {g.id}, .group_count = 1, .is_continuous = true, .priority = 9});
    r->now += 1000;
    assert_int_equal(fleet_group_nodes(&r->fleet, "", g.id, late, 1, true, r->now, NULL), ERR_NONE);
    rig_node(r, "n3", "1.0");
    struct job aged = start(r, (struct job_order){.image_id = image.id, .query = "registered < 10s", .priority = 10});
    struct execution e, page[4];
    unsigned count;
    time_ms later = r->now + 3600000;
    assert_int_equal(fleet_execution(&r->fleet, aged.id, "n3", r->now, &e, NULL), ERR_NONE);
    assert_int_equal(fleet_execution(&r->fleet, aged.id, "n3", later, &e, NULL), ERR_JOB_NO_NODES);
    assert_int_equal(fleet_job_executions(&r->fleet, aged.id, "", later, page, 4, &count, NULL), ERR_NONE);
    assert_int_equal(count, 0);
    assert_int_equal(fleet_execution(&r->fleet, once.id, "n2", r->now, &e, NULL), ERR_JOB_NO_NODES);
    assert_int_equal(fleet_execution(&r->fleet, always.id, "n2", r->now, &e, NULL), ERR_NONE);
    assert_true(is_offered(r, "n2", &always));
    rig_report(r, "n1", once.id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    assert_int_equal(rig_summary(r, once.id).job.status, JOB_FINISHED);
    rig_report(r, "n2", always.id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    rig_report(r, "n1", always.id, REPORT_REJECTED, "Same version received");
    assert_int_equal(rig_summary(r, always.id).job.status, JOB_ACTIVE); /* it never finishes */
}

static void groups_are_refused_with_their_codes(void **state)
{
    struct rig *r = *state;
    struct group g;
    const char *node = "n1", *nobody = "nobody";
    rig_node(r, "n1", "1.0");
    struct group rule = make_group(r, "rule", NULL, "type = a", NULL), plain = make_group(r, "plain", NULL, NULL, "n1");
    const struct {
        struct group_order order;
        int code;
    } rows[] = {
        {{.name = ""}, 190036},
        {{.name = "plain"}, 108007},
        {{.name = "x", .query = "type = a"}, 108075},
        {{.name = "x", .query = "type ="}, 190033},
        {{.name = "x", .query = "type = b", .nodes = &node, .node_count = 1}, 108076},
        {{.name = "x", .query = "type = b", .parent_id = plain.id}, 108149},
        {{.name = "x", .parent_id = rule.id}, 108149},
        {{.name = "x", .parent_id = "none"}, 108023},
        {{.name = "x", .nodes = &nobody, .node_count = 1}, 105019},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(err_rainmaker_code(fleet_group_add(&r->fleet, "", &rows[i].order, r->now, &g, NULL)),
                         rows[i].code);
    assert_int_equal(fleet_group_nodes(&r->fleet, "", rule.id, &node, 1, true, r->now, NULL), ERR_GROUP_RULE_NODES);
    assert_int_equal(fleet_group_find(&r->fleet, "", "x", &g, NULL), ERR_GROUP_NO_NAME);
    make_group(r, "child", plain.id, NULL, NULL);
    assert_int_equal(fleet_group_delete(&r->fleet, "", plain.id, NULL), ERR_GROUP_HAS_GROUPS);
    struct image image = rig_image(r, "two", "2.0");
    start(r, (struct job_order){.image_id = image.id, .groups = {rule.id}, .group_count = 1});
    assert_int_equal(fleet_group_delete(&r->fleet, "", rule.id, NULL), ERR_GROUP_IN_USE);
    char id[ID_LEN + 1] = "";
    text_copy(id, sizeof id, plain.id);
    for (int depth = 0; depth < GROUP_DEPTH_MAX - 1; depth++) {
        char name[8] = {'d', (char)('0' + depth)};
        struct group deep = make_group(r, name, id, NULL, NULL);
        text_copy(id, sizeof id, deep.id);
        if (depth == GROUP_DEPTH_MAX - 2)
            assert_int_equal(
                fleet_group_add(&r->fleet, "", &(struct group_order){.name = "y", .parent_id = id}, r->now, &g, NULL),
                ERR_GROUP_DEPTH);
    }
}

static void an_audience_is_counted_before_the_start(void **state)
{
    struct rig *r = *state;
    struct audience a;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    rig_node(r, "n3", "2.0");
    fleet_on_presence(&r->fleet, 0, "n2", false, r->now, NULL);
    struct image image = rig_image(r, "two", "2.0");
    struct job_order o = {.name = "x", .image_id = image.id, .is_for_everyone = true, .exclude = "id = n1"};
    assert_int_equal(fleet_job_audience(&r->fleet, &o, r->now, &a, NULL), ERR_NONE);
    assert_int_equal(a.total, 2);
    assert_int_equal(a.excluded, 1);
    assert_int_equal(a.online, 1);
    assert_int_equal(a.on_version, 1);
    assert_int_equal(a.part_count, 2);
}

static void nodes_are_counted_without_an_image(void **state)
{
    struct rig *r = *state;
    struct audience a;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "2.0");
    struct job_order o = {.name = "x", .query = "fw_version = 2.0"};
    assert_int_equal(fleet_job_audience(&r->fleet, &o, r->now, &a, NULL), ERR_NONE);
    assert_int_equal(a.total, 1);
    assert_string_equal(a.parts[0].fw_version, "2.0");
}

/* A node that is left out asks first: it holds up no phase, and ends the job for nobody else. */
static void the_left_out_neither_hold_up_nor_end_a_job(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    rig_node(r, "n3", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job job = start(r, (struct job_order){.image_id = image.id,
                                                 .is_for_everyone = true,
                                                 .exclude = "id = n3",
                                                 .plan = "phase 1 nodes; phase 100%"});
    rig_fetch(r, "n3", "1.0");
    assert_int_equal(rig_execution(r, job.id, "n3").state, EX_EXCLUDED);
    bool first = is_offered(r, "n1", &job), second = is_offered(r, "n2", &job);
    assert_true(first != second);
    rig_report(r, first ? "n1" : "n2", job.id, REPORT_SUCCESS, "");
    struct job_summary s = rig_summary(r, job.id);
    assert_int_equal(s.job.status, JOB_ACTIVE);
    assert_int_equal(s.state.phase, 1);
    assert_int_equal(s.total, 3);
    r->now += 60000;
    assert_true(is_offered(r, first ? "n2" : "n1", &job));
    rig_report(r, first ? "n2" : "n1", job.id, REPORT_SUCCESS, "");
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_FINISHED);
}

/* --- those who look on ------------------------------------------------------------------------- */

static void the_fleet_is_tallied_by_kind(void **state)
{
    struct rig *r = *state;
    struct tally *t = calloc(1, sizeof *t);
    struct node node;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "2.0");
    rig_node(r, "n3", "1.0");
    fleet_node_add(&r->fleet, "n4", r->now, &node, NULL);
    fleet_on_presence(&r->fleet, 0, "n2", false, r->now, NULL);
    assert_int_equal(fleet_tally(&r->fleet, t, NULL), ERR_NONE);
    assert_int_equal(t->nodes, 4);
    assert_int_equal(t->online, 2);
    assert_int_equal(t->never_seen, 1);
    assert_int_equal(t->kind_count, 3);
    assert_string_equal(t->kinds[0].fw_version, "1.0");
    assert_int_equal(t->kinds[0].nodes, 2);
    free(t);
}

static void a_course_is_told_however_long_it_was(void **state)
{
    struct rig *r = *state;
    struct course_point points[COURSE_POINTS];
    unsigned count;
    const char *const names[] = {"n1", "n2", "n3"};
    for (int i = 0; i < 3; i++)
        rig_node(r, names[i], "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job job = start(r, (struct job_order){.image_id = image.id, .is_for_everyone = true, .is_force_push = true});
    assert_int_equal(fleet_job_course(&r->fleet, job.id, points, &count, NULL), ERR_NONE);
    assert_int_equal(count, 0);
    tick(r);
    rig_drain(r);
    for (int i = 0; i < 3; i++) {
        r->now += i == 2 ? 30LL * 86400 * 1000 : 1500;
        rig_report(r, names[i], job.id, i == 1 ? REPORT_REJECTED : REPORT_SUCCESS,
                   i == 1 ? "Firmware rolled back" : "");
    }
    assert_int_equal(fleet_job_course(&r->fleet, job.id, points, &count, NULL), ERR_NONE);
    assert_true(count >= 2 && count <= 3); /* the first two may share a step by then */
    assert_int_equal(points[count - 1].ended, 3);
    assert_int_equal(points[count - 1].succeeded, 2);
    assert_true(points[count - 1].at >= r->now && points[0].at < r->now);
    assert_int_not_equal(fleet_job_course(&r->fleet, "none", points, &count, NULL), ERR_NONE);
}

static void a_node_has_its_jobs(void **state)
{
    struct rig *r = *state;
    struct node_run runs[4];
    unsigned count;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    rig_job(r, "first", image.id, true, "n1");
    r->now += 1000;
    rig_job(r, "other", image.id, true, "n2");
    tick(r);
    assert_int_equal(fleet_node_runs(&r->fleet, "n1", runs, 4, &count, NULL), ERR_NONE);
    assert_int_equal(count, 1);
    assert_string_equal(runs[0].job_name, "first");
    assert_string_equal(runs[0].execution.node_id, "n1");
    assert_int_not_equal(fleet_node_runs(&r->fleet, "nobody", runs, 4, &count, NULL), ERR_NONE);
}

/* --- people ----------------------------------------------------------------------------------- */

static void paused_jobs_wait_and_go_on(void **state)
{
    struct rig *r = *state;
    struct job_summary s;
    struct verdict v;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job job = start(r, (struct job_order){.image_id = image.id, .is_for_everyone = true, .is_force_push = true});
    struct job_edit change = {.plan = "in-flight 1", .priority = 2};
    assert_int_equal(fleet_job_edit(&r->fleet, job.id, &change, r->now, &s, NULL), ERR_JOB_NOT_PAUSED);
    assert_int_equal(fleet_job_pause(&r->fleet, job.id, "a look", r->now, &s, NULL), ERR_NONE);
    tick(r);
    assert_int_equal(rig_outbox(r), 0);
    assert_false(is_offered(r, "n1", &job));
    fleet_why(&r->fleet, job.id, "n1", r->now, &v, NULL);
    assert_int_equal(v.decision, DECIDE_JOB_PAUSED);
    assert_non_null(strstr(v.text, "a look"));
    assert_int_equal(fleet_job_edit(&r->fleet, job.id, &change, r->now, &s, NULL), ERR_NONE);
    assert_int_equal(s.job.priority, 2);
    assert_int_equal(fleet_job_resume(&r->fleet, job.id, r->now, &s, NULL), ERR_NONE);
    tick(r);
    assert_int_equal(rig_outbox(r), 1); /* the plan lets one at a time */
    rig_drain(r);
    const char *first = rig_execution(r, job.id, "n1").state == EX_OFFERED ? "n1" : "n2";
    rig_report(r, first, job.id, REPORT_REJECTED, "Project Name mismatch");
    tick(r);
    assert_int_equal(rig_outbox(r), 1); /* its place went to the other one */
}

/* An offer that had not left when the job was paused is made again when it goes on; when cancelled, it is no offer. */
static void offers_that_never_left_are_taken_back(void **state)
{
    struct rig *r = *state;
    struct job_summary s;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job job = start(r, (struct job_order){.image_id = image.id, .is_for_everyone = true});
    rig_fetch(r, "n1", "1.0");
    fleet_job_pause(&r->fleet, job.id, NULL, r->now, &s, NULL);
    rig_drain(r);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_WAITING);
    tick(r);
    assert_int_equal(rig_outbox(r), 0);
    r->now += 1000;
    fleet_job_resume(&r->fleet, job.id, r->now, &s, NULL);
    tick(r);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_OFFERED);
    assert_int_equal(rig_outbox(r), 1);
    rig_drain(r);
    rig_fetch(r, "n2", "1.0");
    fleet_job_cancel(&r->fleet, job.id, r->now, &s, NULL);
    rig_drain(r);
    assert_int_equal(rig_execution(r, job.id, "n2").state, EX_CANCELLED);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_OFFERED); /* that one may have begun */
}

static void a_crossed_limit_stops_in_the_same_call(void **state)
{
    struct rig *r = *state;
    struct job_summary s;
    struct cluster clusters[4];
    unsigned count;
    char id[8];
    for (int i = 0; i < 6; i++) {
        snprintf(id, sizeof id, "n%d", i);
        rig_node(r, id, "1.0");
    }
    struct image image = rig_image(r, "two", "2.0");
    struct job job = start(
        r,
        (struct job_order){.image_id = image.id, .is_for_everyone = true, .plan = "abort rolled-back 50% min 2 pause"});
    for (int i = 0; i < 4; i++) {
        snprintf(id, sizeof id, "n%d", i);
        rig_fetch(r, id, "1.0");
    }
    assert_int_equal(rig_outbox(r), 4);
    rig_report(r, "n0", job.id, REPORT_REJECTED, "Firmware rolled back");
    assert_false(rig_summary(r, job.id).job.is_paused);
    rig_report(r, "n1", job.id, REPORT_REJECTED, "Firmware rolled back");
    s = rig_summary(r, job.id);
    assert_true(s.job.is_paused);
    assert_non_null(strstr(s.job.stop_reason, "2 of 2 nodes"));
    assert_int_equal(rig_outbox(r), 0); /* what waited to be sent is not sent any more */
    assert_false(is_offered(r, "n4", &job));
    assert_int_equal(fleet_job_resume(&r->fleet, job.id, r->now, &s, NULL), ERR_JOB_CROSSED);
    assert_int_equal(fleet_job_clusters(&r->fleet, job.id, clusters, 4, &count, NULL), ERR_NONE);
    assert_int_equal(count, 1);
    assert_int_equal(clusters[0].count, 2);
    char query[QUERY_SIZE];
    cluster_query(&clusters[0], query);
    assert_non_null(strstr(query, "platform = \"linux\""));
    assert_int_equal(fleet_job_exclude(&r->fleet, job.id, "id in (n0, n1, n5)", r->now, &s, NULL), ERR_NONE);
    tick(r);
    assert_int_equal(rig_execution(r, job.id, "n0").state, EX_EXCLUDED);
    assert_int_equal(fleet_job_resume(&r->fleet, job.id, r->now, &s, NULL), ERR_NONE);
    assert_true(is_offered(r, "n4", &job));
    rig_fetch(r, "n5", "1.0");
    assert_int_equal(rig_execution(r, job.id, "n5").state, EX_EXCLUDED);
    assert_int_equal(rig_summary(r, job.id).counts[EX_EXCLUDED], 3);
}

static void an_abort_without_pause_cancels(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job job =
        start(r, (struct job_order){.image_id = image.id, .is_for_everyone = true, .plan = "abort any 1% min 1"});
    rig_fetch(r, "n1", "1.0");
    rig_fetch(r, "n2", "1.0");
    rig_report(r, "n1", job.id, REPORT_REJECTED, "Project Name mismatch");
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_CANCELLED);
    /* What was under way ends as it ends. */
    assert_int_equal(rig_report(r, "n2", job.id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully"),
                     ERR_JOB_OVER);
    assert_int_equal(rig_execution(r, job.id, "n2").state, EX_SUCCESS);
}

static void failed_nodes_are_tried_again_when_asked(void **state)
{
    struct rig *r = *state;
    struct job_summary s;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job job = start(r, (struct job_order){.image_id = image.id, .is_for_everyone = true, .plan = "retry 0"});
    rig_fetch(r, "n1", "1.0");
    rig_fetch(r, "n2", "1.0");
    rig_drain(r);
    rig_report(r, "n1", job.id, REPORT_FAILED, "OTA failed");
    rig_report(r, "n2", job.id, REPORT_REJECTED, "Firmware rolled back");
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_GAVE_UP);
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_FINISHED);
    assert_int_equal(fleet_job_retry(&r->fleet, job.id, false, r->now, &s, NULL), ERR_NONE);
    tick(r);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_OFFERED);
    assert_int_equal(rig_execution(r, job.id, "n2").state, EX_ROLLED_BACK);
    rig_report(r, "n1", job.id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_FINISHED);
    assert_int_equal(fleet_job_retry(&r->fleet, job.id, true, r->now, &s, NULL), ERR_NONE);
    tick(r);
    assert_int_equal(rig_execution(r, job.id, "n2").state, EX_OFFERED);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_SUCCESS);
}

static void cancelled_and_archived_with_their_codes(void **state)
{
    struct rig *r = *state;
    struct job_summary s;
    rig_node(r, "n1", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job job =
        start(r, (struct job_order){.image_id = image.id, .is_for_everyone = true, .needs_approval = true});
    assert_int_equal(err_rainmaker_code(fleet_job_retrigger(&r->fleet, job.id, r->now, NULL)), 105079);
    assert_int_equal(err_rainmaker_code(fleet_job_archive(&r->fleet, job.id, true, r->now, &s, NULL)), 105032);
    assert_int_equal(err_http_status(ERR_JOB_NOT_OVER), 404);
    assert_int_equal(fleet_job_cancel(&r->fleet, job.id, r->now, &s, NULL), ERR_NONE);
    assert_int_equal(err_rainmaker_code(fleet_job_cancel(&r->fleet, job.id, r->now, &s, NULL)), 105015);
    assert_int_equal(err_rainmaker_code(fleet_job_cancel(&r->fleet, "none", r->now, &s, NULL)), 105015);
    assert_int_equal(err_rainmaker_code(fleet_job_retrigger(&r->fleet, job.id, r->now, NULL)), 105081);
    assert_int_equal(err_rainmaker_code(fleet_job_retrigger(&r->fleet, "none", r->now, NULL)), 105012);
    assert_int_equal(fleet_job_archive(&r->fleet, job.id, true, r->now, &s, NULL), ERR_NONE);
    assert_true(s.job.is_archived);
    struct execution e;
    assert_int_equal(err_rainmaker_code(fleet_execution(&r->fleet, "none", "n1", r->now, &e, NULL)), 105012);
    assert_int_equal(err_rainmaker_code(fleet_execution(&r->fleet, job.id, "nobody", r->now, &e, NULL)), 105048);
}

static void a_jobs_time_runs_out(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    rig_node(r, "n3", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job job = start(r, (struct job_order){.image_id = image.id, .is_for_everyone = true, .timeout_s = 600});
    rig_fetch(r, "n1", "1.0");
    rig_fetch(r, "n2", "1.0");
    rig_report(r, "n2", job.id, REPORT_DELAYED, "Not within download window.");
    r->now += 600 * 1000;
    assert_false(is_offered(r, "n3", &job));
    tick(r);
    struct job_summary s = rig_summary(r, job.id);
    assert_int_equal(s.job.status, JOB_FINISHED);
    assert_int_equal(s.counts[EX_TIMED_OUT], 3); /* n3 asked after the end, and was told */
    assert_int_equal(rig_report(r, "n1", job.id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully"),
                     ERR_JOB_OVER);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_SUCCESS); /* late, and true */
}

/* --- approval --------------------------------------------------------------------------------- */

static void users_say_yes(void **state)
{
    struct rig *r = *state;
    struct job got;
    struct image image, two = rig_image(r, "two", "2.0");
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    struct user ann;
    assert_int_equal(fleet_user_add(&r->fleet, "ann", "hash", ROLE_USER, r->now, &ann, NULL), ERR_NONE);
    assert_int_equal(err_rainmaker_code(fleet_user_has_node(&r->fleet, ann.id, "n1", NULL)), 103020);
    assert_int_equal(fleet_user_node(&r->fleet, ann.id, "n1", true, r->now, NULL), ERR_NONE);
    assert_int_equal(fleet_user_has_node(&r->fleet, ann.id, "n1", NULL), ERR_NONE);
    assert_int_equal(err_rainmaker_code(fleet_approval_get(&r->fleet, "n1", r->now, &got, &image, NULL)), 105061);
    struct job first = start(
        r, (struct job_order){
               .image_id = two.id, .nodes = {"n1"}, .node_count = 1, .needs_approval = true, .description = "better"});
    struct job other =
        start(r, (struct job_order){
                     .image_id = two.id, .nodes = {"n1"}, .node_count = 1, .needs_approval = true, .priority = 9});
    rig_fetch(r, "n1", "1.0");
    assert_int_equal(rig_outbox(r), 0);
    assert_int_equal(fleet_approval_get(&r->fleet, "n1", r->now, &got, &image, NULL), ERR_NONE);
    assert_string_equal(got.id, first.id);
    assert_int_equal(err_rainmaker_code(fleet_approve(&r->fleet, "n2", first.id, r->now, NULL)), 105036);
    assert_int_equal(err_rainmaker_code(fleet_approve(&r->fleet, "n1", other.id, r->now, NULL)), 105061);
    fleet_on_presence(&r->fleet, 0, "n1", false, r->now, NULL);
    assert_int_equal(err_rainmaker_code(fleet_approve(&r->fleet, "n1", first.id, r->now, NULL)), 102001);
    fleet_on_subscribed(&r->fleet, 0, "n1", "10.0.0.1", r->now, NULL);
    assert_int_equal(rig_outbox(r), 0);
    assert_int_equal(fleet_approve(&r->fleet, "n1", first.id, r->now, NULL), ERR_NONE);
    assert_int_equal(rig_outbox(r), 1);
    assert_string_equal(execution_state_word(rig_execution(r, first.id, "n1").state), "started");
    assert_int_equal(err_rainmaker_code(fleet_approval_get(&r->fleet, "n1", r->now, &got, &image, NULL)), 105061);
}

/* --- network by network ----------------------------------------------------------------------- */

static void few_nodes_of_a_network_at_a_time(void **state)
{
    struct rig *r = *state;
    char id[8], config[200];
    struct image image = rig_image(r, "two", "2.0"), got;
    struct job job;
    struct verdict v;
    for (int i = 0; i < 5; i++) {
        struct node node;
        snprintf(id, sizeof id, "n%d", i);
        fleet_node_add(&r->fleet, id, r->now, &node, NULL);
        snprintf(config, sizeof config,
                 "{\"info\":{\"fw_version\":\"1.0\"},\"attributes\":[{\"name\":\"network-id\",\"value\":\"%s\"}]}",
                 i < 4 ? "0000ABCD" : "");
        fleet_on_config(&r->fleet, id, bytes_of_text(config), r->now, NULL);
    }
    struct job_order o = {.image_id = image.id,
                          .is_for_everyone = true,
                          .is_serial = true,
                          .serial_task_s = 600,
                          .serial_min_wait_s = 30,
                          .serial_max_wait_s = 90};
    struct job made = start(r, o);
    for (int i = 0; i < 3; i++) {
        snprintf(id, sizeof id, "n%d", i);
        assert_int_equal(fleet_fetch_now(&r->fleet, id, r->now, &job, &got, &v, NULL), ERR_NONE);
        assert_int_equal(v.decision, DECIDE_OFFER);
    }
    assert_int_equal(fleet_fetch_now(&r->fleet, "n3", r->now, &job, &got, &v, NULL), ERR_NONE);
    assert_int_equal(v.decision, DECIDE_NETWORK);
    assert_in_range(v.next_at, r->now + 30000, r->now + 90000);
    assert_int_equal(err_rainmaker_code(fleet_fetch_now(&r->fleet, "n4", r->now, &job, &got, &v, NULL)), 105076);
    fleet_on_subscribed(&r->fleet, 0, "n4", "10.0.0.9", r->now, NULL); /* the broker's word serves as well */
    assert_int_equal(rig_execution(r, made.id, "n4").state, EX_OFFERED);
    rig_report(r, "n0", made.id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    assert_int_equal(fleet_fetch_now(&r->fleet, "n3", r->now, &job, &got, &v, NULL), ERR_NONE);
    assert_int_equal(v.decision, DECIDE_OFFER);
}

/* --- slots ------------------------------------------------------------------------------------ */

/* What is beyond the rate is promised a slot, and gets it without asking again. */
static void slots_are_promised_and_kept(void **state)
{
    struct rig *r = *state;
    char id[8];
    for (int i = 0; i < 4; i++) {
        snprintf(id, sizeof id, "n%d", i);
        rig_node(r, id, "1.0");
    }
    struct image image = rig_image(r, "two", "2.0");
    struct job job = start(r, (struct job_order){.image_id = image.id, .is_for_everyone = true, .plan = "rate 60/h"});
    for (int i = 0; i < 4; i++) {
        snprintf(id, sizeof id, "n%d", i);
        rig_fetch(r, id, "1.0");
    }
    assert_int_equal(rig_outbox(r), 1);
    for (int i = 1; i < 4; i++) {
        snprintf(id, sizeof id, "n%d", i);
        struct execution e = rig_execution(r, job.id, id);
        assert_int_equal(e.state, EX_WAITING);
        assert_int_equal(e.deadline_at, r->now + i * 60000);
    }
    rig_fetch(r, "n3", "1.0"); /* asking again does not lose the slot */
    assert_int_equal(rig_execution(r, job.id, "n3").deadline_at, r->now + 180000);
    for (int i = 1; i < 4; i++) {
        r->now += 60000;
        tick(r);
        assert_int_equal(rig_outbox(r), 1 + (unsigned)i);
    }
}

static void a_stray_node_is_noticed_and_offered_again(void **state)
{
    struct rig *r = *state;
    struct node node;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job job = start(r, (struct job_order){.image_id = image.id, .is_for_everyone = true});
    rig_fetch(r, "n1", "1.0");
    rig_report(r, "n1", job.id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    rig_config(r, "n1", "2.0");
    fleet_node_get(&r->fleet, "n1", &node, NULL);
    assert_false(node.is_astray);
    assert_string_equal(node.expected_version, "2.0");
    r->now += 3600000;
    rig_config(r, "n1", "1.5"); /* flashed by hand */
    fleet_node_get(&r->fleet, "n1", &node, NULL);
    assert_true(node.is_astray);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_WAITING);
    tick(r);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_OFFERED);
    rig_config(r, "n1", "2.0");
    fleet_node_get(&r->fleet, "n1", &node, NULL);
    assert_false(node.is_astray);
}

/* A node that goes for good: what it had not begun is excluded, what it was at ends, and the job ends without it. */
static void a_deleted_node_is_behind_its_jobs(void **state)
{
    struct rig *r = *state;
    struct node node;
    char *params = NULL;
    rig_node(r, "idle", "1.0");
    rig_node(r, "busy", "1.0");
    rig_node(r, "done", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job_order o = {
        .name = "j", .image_id = image.id, .owner = "t", .nodes = {"idle", "busy", "done"}, .node_count = 3};
    struct job job;
    assert_int_equal(fleet_job_start(&r->fleet, &o, r->now, &job, NULL), ERR_NONE);
    rig_fetch(r, "busy", "1.0");
    rig_fetch(r, "done", "1.0");
    rig_report(r, "busy", job.id, REPORT_IN_PROGRESS, "Downloaded 10% Firmware Image");
    rig_report(r, "done", job.id, REPORT_IN_PROGRESS, "Rebooting into new firmware");
    rig_config(r, "done", "2.0");
    rig_report(r, "done", job.id, REPORT_SUCCESS, "OTA Upgrade successful");
    assert_int_equal(fleet_on_params(&r->fleet, "busy", bytes_of_text("{\"a\":{\"b\":1}}"), true, r->now, NULL),
                     ERR_NONE);
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_ACTIVE);
    assert_int_equal(fleet_node_delete(&r->fleet, "none", r->now, NULL), ERR_NODE_NOT_FOUND);
    assert_int_equal(fleet_node_delete(&r->fleet, "idle", r->now, NULL), ERR_NONE);
    assert_int_equal(fleet_node_delete(&r->fleet, "busy", r->now, NULL), ERR_NONE);
    assert_int_equal(rig_execution(r, job.id, "idle").state, EX_EXCLUDED);
    assert_int_equal(rig_execution(r, job.id, "busy").state, EX_CANCELLED);
    assert_int_equal(rig_execution(r, job.id, "done").state, EX_SUCCESS);
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_FINISHED);
    assert_int_equal(fleet_node_get(&r->fleet, "busy", &node, NULL), ERR_NODE_NOT_FOUND);
    assert_int_equal(fleet_node_params(&r->fleet, "busy", &params, NULL), ERR_NODE_NOT_FOUND);
    /* One of that name that comes later begins anew. */
    rig_node(r, "busy", "1.0");
    assert_int_equal(fleet_node_params(&r->fleet, "busy", &params, NULL), ERR_NONE);
    assert_null(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(orders_are_refused_with_their_codes),
        WITH_RIG(groups_are_static_nested_and_dynamic),
        WITH_RIG(later_members_belong_to_continuous_jobs),
        WITH_RIG(groups_are_refused_with_their_codes),
        WITH_RIG(an_audience_is_counted_before_the_start),
        WITH_RIG(nodes_are_counted_without_an_image),
        WITH_RIG(the_left_out_neither_hold_up_nor_end_a_job),
        WITH_RIG(the_fleet_is_tallied_by_kind),
        WITH_RIG(a_course_is_told_however_long_it_was),
        WITH_RIG(a_node_has_its_jobs),
        WITH_RIG(paused_jobs_wait_and_go_on),
        WITH_RIG(offers_that_never_left_are_taken_back),
        WITH_RIG(a_crossed_limit_stops_in_the_same_call),
        WITH_RIG(an_abort_without_pause_cancels),
        WITH_RIG(failed_nodes_are_tried_again_when_asked),
        WITH_RIG(cancelled_and_archived_with_their_codes),
        WITH_RIG(a_jobs_time_runs_out),
        WITH_RIG(users_say_yes),
        WITH_RIG(few_nodes_of_a_network_at_a_time),
        WITH_RIG(slots_are_promised_and_kept),
        WITH_RIG(a_stray_node_is_noticed_and_offered_again),
        WITH_RIG(a_deleted_node_is_behind_its_jobs),
    };
    return cmocka_run_group_tests_name("fleet jobs", tests, NULL, NULL);
}
