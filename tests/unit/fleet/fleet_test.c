/* Goal: the mind's rules, told as stories of nodes and jobs. */
#include "rig.h"

static void a_forced_job_goes_to_its_end(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job job = rig_job(r, "job", image.id, true, NULL);
    assert_int_equal(rig_outbox(r), 1);
    rig_drain(r);
    rig_report(r, "n1", job.id, REPORT_IN_PROGRESS, "Downloaded 40% Firmware Image");
    assert_int_equal(rig_execution(r, job.id, "n1").percent, 40);
    rig_report(r, "n1", job.id, REPORT_IN_PROGRESS, "Rebooting into new firmware (after 1 HTTPS attempt)");
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_REBOOTING);
    r->now += 12000;
    rig_report(r, "n1", job.id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    rig_config(r, "n1", "2.0");
    rig_fetch(r, "n1", "2.0");
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_SUCCESS);
    struct job_summary s = rig_summary(r, job.id);
    assert_int_equal(s.job.status, JOB_FINISHED);
    assert_int_equal(s.counts[EX_SUCCESS], 1);
    assert_int_equal(rig_outbox(r), 0);
}

static void a_job_without_push_waits_for_the_fetch(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, false, "n1");
    assert_int_equal(rig_outbox(r), 0);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_TRIGGERED);
    assert_int_equal(rig_fetch(r, "n1", "1.0"), ERR_NONE);
    assert_int_equal(rig_outbox(r), 1);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_OFFERED);
}

/* The node has no duplicate detection: one copy on one connection. */
static void an_offer_is_not_repeated_on_a_connection(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    rig_drain(r);
    r->now += 5000;
    rig_fetch(r, "n1", "1.0");
    assert_int_equal(rig_outbox(r), 0);
    r->now += 1000;
    fleet_on_presence(&r->fleet, 0, "n1", false, r->now, NULL);
    r->now += 1000;
    assert_int_equal(fleet_on_subscribed(&r->fleet, 0, "n1", NULL, r->now, NULL), ERR_NONE);
    assert_int_equal(rig_outbox(r), 1); /* what was sent while it was away is lost */
    rig_drain(r);
    r->now += 5000;
    rig_fetch(r, "n1", "1.0");
    assert_int_equal(rig_outbox(r), 0);
}

static void a_node_killed_while_downloading_gets_the_job_again(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    rig_drain(r);
    rig_report(r, "n1", job.id, REPORT_IN_PROGRESS, "Downloading Firmware Image");
    r->now += 2000;
    fleet_on_presence(&r->fleet, 0, "n1", false, r->now, NULL);
    r->now += 2000;
    rig_config(r, "n1", "1.0");
    fleet_on_subscribed(&r->fleet, 0, "n1", NULL, r->now, NULL);
    assert_int_equal(rig_outbox(r), 0); /* it might only have reconnected, and be working */
    r->now += 5000;
    rig_fetch(r, "n1", "1.0");
    assert_int_equal(rig_outbox(r), 1);
}

/* The broker took the final report, the server died before it wrote it. */
static void a_lost_success_is_found_by_the_next_fetch(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    rig_report(r, "n1", job.id, REPORT_IN_PROGRESS, "Rebooting into new firmware (after 1 HTTPS attempt)");
    r->now += 15000;
    rig_fetch(r, "n1", "2.0");
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_SUCCESS);
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_FINISHED);
}

/* A description may come from an image on trial, and silence says nothing: the node is asked. */
static void a_lost_success_is_asked_for(void **state)
{
    struct rig *r = *state;
    time_ms next;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    rig_report(r, "n1", job.id, REPORT_IN_PROGRESS, "Rebooting into new firmware (after 1 HTTPS attempt)");
    rig_drain(r);
    r->now += 15000;
    rig_config(r, "n1", "2.0");
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_ON_TRIAL);
    r->now += r->fleet.policy.trial_ms - 1;
    fleet_tick(&r->fleet, r->now, &next, NULL);
    assert_int_equal(rig_outbox(r), 0);
    r->now += 1;
    fleet_tick(&r->fleet, r->now, &next, NULL);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_ON_TRIAL);
    assert_int_equal(rig_outbox(r), 1);
    rig_report(r, "n1", job.id, REPORT_REJECTED, "Same version received");
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_SUCCESS);
}

static void a_trial_without_a_word_is_given_up(void **state)
{
    struct rig *r = *state;
    time_ms next;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    rig_report(r, "n1", job.id, REPORT_IN_PROGRESS, "Rebooting into new firmware (after 1 HTTPS attempt)");
    r->now += 15000;
    rig_config(r, "n1", "2.0");
    r->now += r->fleet.policy.lost_ms;
    fleet_tick(&r->fleet, r->now, &next, NULL);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_TIMED_OUT);
    rig_fetch(r, "n1", "2.0"); /* it was there all the time */
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_FINISHED);
}

static void a_rollback_is_told_from_a_refusal(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, NULL);
    rig_report(r, "n1", job.id, REPORT_IN_PROGRESS, "Rebooting into new firmware (after 1 HTTPS attempt)");
    r->now += 12000;
    rig_report(r, "n1", job.id, REPORT_REJECTED, "Firmware rolled back");
    rig_report(r, "n2", job.id, REPORT_REJECTED, "Project Name mismatch");
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_ROLLED_BACK);
    assert_int_equal(rig_execution(r, job.id, "n2").state, EX_REJECTED);
    rig_fetch(r, "n1", "1.0");
    assert_int_equal(rig_execution(r, job.id, "n1").offers, 1); /* never again */
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_FINISHED);
}

static void a_lost_rollback_is_found_by_the_old_version(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    rig_report(r, "n1", job.id, REPORT_IN_PROGRESS, "Rebooting into new firmware (after 1 HTTPS attempt)");
    r->now += 3000;
    rig_fetch(r, "n1", "1.0"); /* within the seconds before its reboot it is still the old one */
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_REBOOTING);
    r->now += 20000;
    rig_config(r, "n1", "1.0");
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_ROLLED_BACK);
}

/* A node built without rollback says success before it reboots. */
static void success_before_the_reboot_is_provisional(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    rig_report(r, "n1", job.id, REPORT_SUCCESS, "HTTPS OTA Upgrade finished successfully (after 1 attempt)");
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_PROVISIONAL);
    r->now += 12000;
    rig_config(r, "n1", "2.0");
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_SUCCESS);
}

/* A node that fails an attempt tries again by itself; what is bounded is how often it is offered the job. */
static void failures_are_bounded(void **state)
{
    struct rig *r = *state;
    time_ms next;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    for (unsigned round = 0; round <= r->fleet.policy.retries; round++) {
        assert_int_equal(rig_execution(r, job.id, "n1").state, EX_OFFERED);
        assert_int_equal(rig_outbox(r), 1);
        rig_drain(r);
        rig_report(r, "n1", job.id, REPORT_FAILED, "OTA Attempt 1/3 failed: x");
        rig_report(r, "n1", job.id, REPORT_FAILED, "OTA Attempt 2/3 failed: x");
        assert_int_equal(rig_execution(r, job.id, "n1").state, EX_IN_PROGRESS);
        rig_report(r, "n1", job.id, REPORT_FAILED, "OTA Attempt 3/3 failed: x (errno=104: Connection reset by peer)");
        rig_fetch(r, "n1", "1.0"); /* too early */
        assert_int_equal(rig_outbox(r), 0);
        struct execution e = rig_execution(r, job.id, "n1");
        assert_int_equal(e.failure, FAILURE_NETWORK);
        r->now = e.deadline_at > r->now ? e.deadline_at : r->now;
        fleet_tick(&r->fleet, r->now, &next, NULL);
    }
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_GAVE_UP);
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_FINISHED);
    r->now += 300000;
    rig_fetch(r, "n1", "1.0");
    assert_int_equal(rig_outbox(r), 0);
    assert_int_equal(rig_report(r, "n1", job.id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully"),
                     ERR_JOB_FINISHED);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_SUCCESS); /* truth wins */
}

static void what_cannot_change_ends_at_once(void **state)
{
    struct rig *r = *state;
    rig_node(r, "same", "2.0");
    struct node node;
    fleet_node_add(&r->fleet, "chip", r->now, &node, NULL);
    const char *config = "{\"info\":{\"fw_version\":\"1.0\",\"platform\":\"esp32c3\"}}";
    char *kept = NULL;
    assert_int_equal(fleet_on_config(&r->fleet, "chip", bytes_of_text(config), r->now, NULL), ERR_NONE);
    assert_int_equal(fleet_node_config(&r->fleet, "chip", &kept, NULL), ERR_NONE);
    assert_string_equal(kept, config);
    free(kept);
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, NULL);
    assert_string_equal(rig_execution(r, job.id, "same").info, "Runs 2.0 already");
    assert_string_equal(rig_execution(r, job.id, "chip").info, "Image is for linux, node is esp32c3");
    assert_int_equal(rig_outbox(r), 0);
    assert_int_equal(rig_summary(r, job.id).job.status, JOB_FINISHED);
}

static void old_and_double_reports_change_nothing(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    rig_report(r, "n1", job.id, REPORT_SUCCESS, "OTA Upgrade finished and verified successfully");
    static const enum report_status late[] = {REPORT_IN_PROGRESS, REPORT_DELAYED,  REPORT_FAILED,
                                              REPORT_SUCCESS,     REPORT_REJECTED, REPORT_INVALID};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(rig_report(r, "n1", job.id, late[i], "late"), ERR_JOB_FINISHED);
        assert_int_equal(rig_execution(r, job.id, "n1").state, EX_SUCCESS);
    }
    assert_int_equal(rig_summary(r, job.id).counts[EX_SUCCESS], 1);
}

static void strangers_are_refused(void **state)
{
    struct rig *r = *state;
    struct fetch_message m = {"n2", "1.0", ""};
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    assert_int_equal(rig_report(r, "nobody", job.id, REPORT_SUCCESS, ""), ERR_NODE_NOT_FOUND);
    assert_int_equal(rig_report(r, "n1", "no-such-job", REPORT_SUCCESS, ""), ERR_JOB_NOT_FOUND);
    assert_int_equal(rig_report(r, "n2", job.id, REPORT_SUCCESS, ""), ERR_NO_JOB);
    assert_int_equal(fleet_on_fetch(&r->fleet, "n1", &m, r->now, NULL), ERR_FORMAT);
    assert_int_equal(fleet_on_config(&r->fleet, "n1", bytes_of_text("{broken"), r->now, NULL), ERR_FORMAT);
    assert_int_equal(rig_summary(r, job.id).counts[EX_SUCCESS], 0);
}

static void a_push_to_many_goes_in_batches(void **state)
{
    struct rig *r = *state;
    char id[16];
    r->fleet.policy.push_batch = 7;
    for (int i = 0; i < 30; i++) {
        snprintf(id, sizeof id, "n%02d", i);
        rig_node(r, id, "1.0");
    }
    struct image image = rig_image(r, "two", "2.0");
    struct job_order o = {
        .name = "job", .image_id = image.id, .owner = "t", .is_force_push = true, .is_for_everyone = true};
    struct job job;
    time_ms next = 0;
    assert_int_equal(fleet_job_start(&r->fleet, &o, r->now, &job, NULL), ERR_NONE);
    assert_int_equal(rig_outbox(r), 0); /* starting is one row, however many nodes */
    fleet_tick(&r->fleet, r->now, &next, NULL);
    assert_int_equal(rig_outbox(r), 7);
    assert_int_equal(next, r->now);
    for (int i = 0; i < 6; i++)
        fleet_tick(&r->fleet, r->now, &next, NULL);
    assert_int_equal(rig_outbox(r), 30);
    assert_true(next > r->now);
    assert_int_equal(rig_summary(r, job.id).counts[EX_OFFERED], 30);
}

static void one_job_at_a_time_by_priority(void **state)
{
    struct rig *r = *state;
    rig_node(r, "n1", "1.0");
    struct job low = rig_job(r, "low", rig_image(r, "two", "2.0").id, false, "n1");
    struct job_order o = {.name = "high", .image_id = rig_image(r, "three", "3.0").id, .owner = "t", .priority = 1};
    struct image three = rig_image(r, "four", "4.0");
    struct job high;
    o.image_id = three.id;
    o.nodes[o.node_count++] = "n1";
    assert_int_equal(fleet_job_start(&r->fleet, &o, r->now, &high, NULL), ERR_NONE);
    rig_fetch(r, "n1", "1.0");
    assert_int_equal(rig_execution(r, high.id, "n1").state, EX_OFFERED);
    assert_int_equal(rig_execution(r, low.id, "n1").state, EX_TRIGGERED);
}

static void cancelled_jobs_are_offered_to_nobody(void **state)
{
    struct rig *r = *state;
    struct job_summary s;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    assert_int_equal(fleet_job_cancel(&r->fleet, job.id, r->now, &s, NULL), ERR_NONE);
    assert_int_equal(rig_outbox(r), 0); /* the waiting message is stale */
    assert_int_equal(fleet_job_cancel(&r->fleet, job.id, r->now, &s, NULL), ERR_JOB_OVER);
    r->now += 60000;
    rig_fetch(r, "n1", "1.0");
    assert_int_equal(rig_outbox(r), 0);
}

static void orders_are_checked(void **state)
{
    struct rig *r = *state;
    struct job job;
    rig_node(r, "n1", "1.0");
    struct image image = rig_image(r, "two", "2.0");
    struct job_order good = {.name = "job", .image_id = image.id, .owner = "t", .is_for_everyone = true}, o;
    o = good, o.name = "";
    assert_int_equal(fleet_job_start(&r->fleet, &o, r->now, &job, NULL), ERR_JOB_NAME);
    o = good, o.image_id = "none";
    assert_int_equal(fleet_job_start(&r->fleet, &o, r->now, &job, NULL), ERR_IMAGE_NOT_FOUND);
    o = good, o.is_for_everyone = false;
    assert_int_equal(fleet_job_start(&r->fleet, &o, r->now, &job, NULL), ERR_JOB_TARGETS);
    o.nodes[o.node_count++] = "nobody";
    assert_int_equal(fleet_job_start(&r->fleet, &o, r->now, &job, NULL), ERR_JOB_NO_NODES);
    assert_int_equal(fleet_job_start(&r->fleet, &good, r->now, &job, NULL), ERR_NONE);
    assert_int_equal(fleet_job_start(&r->fleet, &good, r->now, &job, NULL), ERR_JOB_EXISTS);
    char sha[SHA256_TEXT];
    assert_int_equal(fleet_image_delete(&r->fleet, image.id, true, r->now, sha, NULL), ERR_IMAGE_IN_ACTIVE_USE);
    assert_int_equal(fleet_image_archive(&r->fleet, image.id, true, r->now, NULL), ERR_NONE);
    o = good, o.name = "another";
    assert_int_equal(fleet_job_start(&r->fleet, &o, r->now, &job, NULL), ERR_IMAGE_ARCHIVED);
}

static void events_tell_what_happened_and_where_a_gap_is(void **state)
{
    struct rig *r = *state;
    static struct event events[50];
    unsigned count;
    bool is_gap;
    int64_t last;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    assert_int_equal(fleet_events(&r->fleet, 0, events, 50, &count, &is_gap, NULL), ERR_NONE);
    assert_false(is_gap);
    assert_int_equal(events[count - 1].kind, EVENT_EXECUTION);
    assert_string_equal(events[count - 1].job_id, job.id);
    fleet_event_last(&r->fleet, &last, NULL);
    assert_int_equal(last, events[count - 1].id);
    fleet_events(&r->fleet, last, events, 50, &count, &is_gap, NULL);
    assert_int_equal(count, 0);
}

/* A broker that died had the last words of a node: once it has been back for long, it is asked, and an unmodified node
 * answers that it has this version. */
static void look_for_lost_words(struct rig *r, const char *last_info, enum execution_state last_state)
{
    struct fleet_policy *p = &r->fleet.policy;
    time_ms next = 0;
    struct status_report said = {.status = REPORT_IN_PROGRESS};
    text_copy(said.info, sizeof said.info, last_info);
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    assert_int_equal(rig_outbox(r), 1);
    rig_drain(r);
    text_copy(said.job_id, sizeof said.job_id, job.id);
    fleet_on_report(&r->fleet, "n1", &said, r->now, NULL);
    assert_int_equal(rig_execution(r, job.id, "n1").state, last_state);
    fleet_on_presence(&r->fleet, 0, "n1", false, r->now, NULL);
    r->now += 10000;
    fleet_on_subscribed(&r->fleet, 0, "n1", NULL, r->now, NULL);
    r->now += p->trial_ms / 2;
    fleet_tick(&r->fleet, r->now, &next, NULL);
    assert_int_equal(rig_outbox(r), 0); /* it may be on trial */
    r->now += p->trial_ms;
    fleet_tick(&r->fleet, r->now, &next, NULL);
    assert_int_equal(rig_outbox(r), 1);
    static struct outgoing out[4];
    unsigned count = 0;
    fleet_outbox_list(&r->fleet, 0, out, 4, &count, NULL);
    assert_int_equal(count, 1);
    assert_false(out[0].is_stale);
    said.status = REPORT_REJECTED;
    text_copy(said.info, sizeof said.info, "Same version received");
    fleet_on_report(&r->fleet, "n1", &said, r->now, NULL);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_SUCCESS);
    struct node n;
    fleet_node_get(&r->fleet, "n1", &n, NULL);
    assert_string_equal(n.fw_version, "2.0");
}

static void a_node_whose_last_words_were_lost_is_asked(void **state)
{
    look_for_lost_words(*state, "Rebooting into new firmware (after 1 HTTPS attempt)", EX_REBOOTING);
}

static void a_node_whose_words_since_the_download_were_lost_is_asked(void **state)
{
    look_for_lost_words(*state, "Downloading Firmware Image", EX_IN_PROGRESS);
}

/* One that did not go away meanwhile works, however long that takes. */
static void a_slow_download_is_left_alone(void **state)
{
    struct rig *r = *state;
    time_ms next = 0;
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    rig_drain(r);
    rig_report(r, "n1", job.id, REPORT_IN_PROGRESS, "Downloading Firmware Image");
    for (time_ms end = r->now + r->fleet.policy.silence_ms - 1000; r->now < end; r->now += 10000) {
        fleet_tick(&r->fleet, r->now, &next, NULL);
        assert_int_equal(rig_outbox(r), 0);
        assert_int_equal(rig_execution(r, job.id, "n1").state, EX_IN_PROGRESS);
    }
    r->now += 11000;
    fleet_tick(&r->fleet, r->now, &next, NULL);
    assert_int_not_equal(rig_execution(r, job.id, "n1").state, EX_IN_PROGRESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(a_forced_job_goes_to_its_end),
        WITH_RIG(a_job_without_push_waits_for_the_fetch),
        WITH_RIG(an_offer_is_not_repeated_on_a_connection),
        WITH_RIG(a_node_killed_while_downloading_gets_the_job_again),
        WITH_RIG(a_lost_success_is_found_by_the_next_fetch),
        WITH_RIG(a_lost_success_is_asked_for),
        WITH_RIG(a_trial_without_a_word_is_given_up),
        WITH_RIG(a_rollback_is_told_from_a_refusal),
        WITH_RIG(a_lost_rollback_is_found_by_the_old_version),
        WITH_RIG(success_before_the_reboot_is_provisional),
        WITH_RIG(failures_are_bounded),
        WITH_RIG(what_cannot_change_ends_at_once),
        WITH_RIG(old_and_double_reports_change_nothing),
        WITH_RIG(strangers_are_refused),
        WITH_RIG(a_push_to_many_goes_in_batches),
        WITH_RIG(a_node_whose_last_words_were_lost_is_asked),
        WITH_RIG(a_node_whose_words_since_the_download_were_lost_is_asked),
        WITH_RIG(a_slow_download_is_left_alone),
        WITH_RIG(one_job_at_a_time_by_priority),
        WITH_RIG(cancelled_jobs_are_offered_to_nobody),
        WITH_RIG(orders_are_checked),
        WITH_RIG(events_tell_what_happened_and_where_a_gap_is),
    };
    return cmocka_run_group_tests_name("fleet", tests, NULL, NULL);
}
