/* Images, jobs, and what people do with them. */
#include "sim/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define CHIP_OF_NODES 5 /* ESP32-C3, as the nodes say */

static enum err add_image(struct sim *s, struct why *why)
{
    unsigned i = s->image_count;
    struct image_facts facts = {.kind = IMAGE_APP, .has_app_desc = true, .file_len = (uint64_t)s->config.image_bytes};
    char name[24];
    snprintf(name, sizeof name, "image %u", i);
    snprintf(facts.app.version, sizeof facts.app.version, "2.%u", i);
    text_copy(facts.app.project_name, sizeof facts.app.project_name, "app");
    facts.chip = chip_find(CHIP_OF_NODES);
    facts.file_sha256[0] = (uint8_t)i;
    struct image_upload upload = {.name = name, .uploader = "sim", .facts = &facts};
    enum err err = fleet_image_add(&s->fleet, NULL, &upload, sim_server_now(s), &s->images[i], why);
    s->image_count += err == ERR_NONE;
    return err;
}

static enum err start(struct sim *s, const struct job_order *order, struct why *why)
{
    struct job *job = &s->jobs[s->job_count].job;
    enum err err = fleet_job_start(&s->fleet, order, sim_server_now(s), job, why);
    if (err == ERR_NONE)
        rollout_read(&s->jobs[s->job_count++].plan, job->plan, NULL);
    return err;
}

/* A plan out of what the language has. */
static void wild_plan(struct sim *s, char *to, size_t size)
{
    struct sim_random *r = &s->random;
    struct text t;
    text_init(&t, to, size);
    if (sim_below(r, 2) == 0) {
        unsigned permille = 0;
        for (int i = (int)sim_below(r, 4); i > 0 && permille < 900; i--) {
            permille += (unsigned)sim_between(r, 10, 400);
            if (permille < 1000)
                text_add(&t, "phase %u.%u%% success %d%% ended %d%% soak %dm;", permille / 10, permille % 10,
                         (int)sim_between(r, 30, 100), (int)sim_between(r, 10, 100), (int)sim_below(r, 120));
        }
    }
    if (sim_below(r, 3) == 0)
        text_add(&t, "rate %d/h x%d every %d %s;", (int)sim_between(r, 5, 500), (int)sim_between(r, 1, 3),
                 (int)sim_between(r, 1, 10), sim_below(r, 2) ? "started" : "succeeded");
    if (sim_below(r, 3) == 0)
        text_add(&t, "in-flight %d;", (int)sim_between(r, 1, 8));
    if (sim_below(r, 5) == 0)
        text_add(&t, "bytes %dk/s;", (int)sim_between(r, 1, 500));
    if (sim_below(r, 3) == 0) {
        static const char *const kinds[] = {"any", "failed", "rolled-back", "rejected", "network"};
        text_add(&t, "abort %s %d%% min %d%s%s;", kinds[sim_below(r, 5)], (int)sim_between(r, 5, 90),
                 (int)sim_between(r, 1, 10), sim_below(r, 2) ? " sequential" : "", sim_below(r, 2) ? " pause" : "");
    }
    if (sim_below(r, 3) == 0)
        text_add(&t, "retry %d backoff %dm", (int)sim_below(r, 4), (int)sim_between(r, 1, 60));
}

static enum err start_wild(struct sim *s, struct why *why)
{
    static const char *const queries[] = {"model = m0", "model in (m1, m2) and platform ~ \"esp*\"", "not online",
                                          "fw_version < 2", "id ~ \"*1\" or seen < 1h"};
    struct sim_random *r = &s->random;
    char plan[PLAN_SIZE], name[24], ids[8][24];
    struct job_order o = {.name = name,
                          .owner = "sim",
                          .plan = plan,
                          .image_id = s->images[sim_below(r, s->image_count)].id,
                          .priority = (int)sim_between(r, 1, 3)};
    wild_plan(s, plan, sizeof plan);
    snprintf(name, sizeof name, "job %u", s->job_count);
    switch (sim_below(r, 4)) {
    case 0:
        o.node_count = (unsigned)sim_between(r, 1, 8);
        for (unsigned i = 0; i < o.node_count; i++) {
            snprintf(ids[i], sizeof ids[i], "sim-%07u", (unsigned)sim_below(r, s->config.nodes));
            o.nodes[i] = ids[i];
        }
        break;
    case 1:
        o.query = queries[sim_below(r, 5)];
        break;
    default:
        o.is_for_everyone = true;
        break;
    }
    o.is_continuous = sim_below(r, 4) == 0;
    o.needs_approval = sim_below(r, 6) == 0;
    o.is_force_push = !o.needs_approval && sim_below(r, 2) == 0;
    if (sim_below(r, 5) == 0 && !o.needs_approval)
        o.timeout_s = sim_between(r, 600, 100000);
    if (sim_below(r, 5) == 0)
        o.exclude = queries[sim_below(r, 5)];
    if (sim_below(r, 5) == 0) {
        o.is_serial = true;
        o.serial_task_s = sim_between(r, 60, 3600);
        o.serial_max = (unsigned)sim_between(r, 1, 3);
    }
    return start(s, &o, why);
}

enum err sim_prepare(struct sim *s, struct why *why)
{
    enum err err = ERR_NONE;
    unsigned images = s->config.is_wild ? (unsigned)sim_between(&s->random, 1, 3) : 1;
    for (unsigned i = 0; err == ERR_NONE && i < images; i++)
        err = add_image(s, why);
    if (err != ERR_NONE)
        return err;
    if (s->config.is_wild) {
        sim_put(s, (struct sim_event){.at_ms = 1 + sim_below(&s->random, 2 * HOUR), .kind = SIM_PERSON});
        return start_wild(s, why);
    }
    struct job_order o = {.name = "job",
                          .owner = "sim",
                          .plan = s->config.plan,
                          .image_id = s->images[0].id,
                          .is_for_everyone = true,
                          .is_force_push = s->config.is_force_push};
    return start(s, &o, why);
}

/* --- people ----------------------------------------------------------------------------------- */

static void note_stop(struct sim *s, unsigned i, bool is_stopped, enum err err)
{
    if (err == ERR_NONE)
        s->jobs[i].is_stopped = is_stopped;
}

static void approve_some(struct sim *s, unsigned i, time_ms now)
{
    for (int k = 0; k < 5; k++)
        fleet_approve(&s->fleet, s->nodes[sim_below(&s->random, s->config.nodes)].id, s->jobs[i].job.id, now, NULL);
}

static void act_on_job(struct sim *s, unsigned i)
{
    struct job_summary sum;
    time_ms now = sim_server_now(s);
    const char *id = s->jobs[i].job.id;
    struct job_edit edit = {.plan = "in-flight 2; retry 1", .priority = 2};
    switch (sim_below(&s->random, 12)) {
    case 0:
        note_stop(s, i, true, fleet_job_pause(&s->fleet, id, "a look", now, &sum, NULL));
        break;
    case 1:
    case 2:
        note_stop(s, i, false, fleet_job_resume(&s->fleet, id, now, &sum, NULL));
        break;
    case 3:
        if (fleet_job_edit(&s->fleet, id, &edit, now, &sum, NULL) == ERR_NONE)
            rollout_read(&s->jobs[i].plan, edit.plan, NULL);
        break;
    case 4:
        fleet_job_exclude(&s->fleet, id, "model = m1", now, &sum, NULL);
        break;
    case 5:
        if (fleet_job_retry(&s->fleet, id, sim_below(&s->random, 2) == 0, now, &sum, NULL) == ERR_NONE)
            s->jobs[i].is_stopped = sum.job.is_paused;
        break;
    case 6:
        fleet_job_retrigger(&s->fleet, id, now, NULL);
        break;
    case 7:
        if (sim_below(&s->random, 4) == 0)
            note_stop(s, i, true, fleet_job_cancel(&s->fleet, id, now, &sum, NULL));
        break;
    default:
        approve_some(s, i, now);
        break;
    }
}

/* Somebody does something with some job, or starts one. */
void sim_person_acts(struct sim *s)
{
    if (s->server_back_at == 0) {
        if (s->job_count < SIM_JOBS_MAX - 1 && sim_below(&s->random, 4) == 0) {
            struct why why = {{0}};
            if (start_wild(s, &why) != ERR_NONE)
                sim_violated(s, "a job cannot be started: %s", why.text);
        } else
            act_on_job(s, (unsigned)sim_below(&s->random, s->job_count));
        sim_tick_later(s, s->now);
        sim_check_step(s);
    }
    sim_put(s, (struct sim_event){.at_ms = s->now + 1 + sim_below(&s->random, 2 * HOUR), .kind = SIM_PERSON});
}
