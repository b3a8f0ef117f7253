#include "sim/plan.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DAY_MS (24 * (int64_t)3600000)

static void add_risk(struct sim_plan *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_risk(struct sim_plan *p, const char *format, ...)
{
    va_list args;
    if (p->risk_count == SIM_PLAN_RISKS)
        return;
    va_start(args, format);
    vsnprintf(p->risks[p->risk_count++], sizeof p->risks[0], format, args);
    va_end(args);
}

static int64_t scaled(int64_t n, double scale)
{
    int64_t to = (int64_t)((double)n * scale + 0.5);
    return n > 0 && to < 1 ? 1 : to;
}

/* The plan for a sample: what counts nodes or bytes of all shrinks with it. */
static void scale_plan(struct rollout *r, double scale)
{
    for (unsigned i = 0; i < r->phase_count; i++)
        r->phases[i].count = scaled(r->phases[i].count, scale);
    for (unsigned i = 0; i < r->abort_count; i++)
        r->aborts[i].min = scaled(r->aborts[i].min, scale);
    r->rate.per_hour = scaled(r->rate.per_hour, scale);
    r->rate.max_per_hour = scaled(r->rate.max_per_hour, scale);
    r->rate.growth_every = scaled(r->rate.growth_every, scale);
    r->max_in_flight = scaled(r->max_in_flight, scale);
    r->bytes_per_second = scaled(r->bytes_per_second, scale);
}

static enum err run(const struct sim_config *config, struct sim_scratch *scratch, struct sim_result *to,
                    struct why *why)
{
    struct sim *sim = NULL;
    struct fleet_store *store = scratch->open(scratch);
    if (store == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for a simulation");
    enum err err = sim_new(&sim, config, store, why);
    if (err == ERR_NONE && (err = sim_run(sim, why)) == ERR_NONE)
        *to = *sim_result(sim);
    sim_free(sim);
    scratch->close(scratch);
    return err;
}

static void tell_risks(const struct sim_plan_request *q, const struct rollout *plan, struct sim_plan *p)
{
    const struct audience *a = q->audience;
    long long bytes = (long long)(p->bytes / 1000000);
    if (a->total > a->online)
        add_risk(p, "%lld of %lld nodes are not connected now; they get the update when they come back",
                 (long long)(a->total - a->online), (long long)a->total);
    if (a->on_version > 0)
        add_risk(p, "%lld nodes run that version already", (long long)a->on_version);
    if (a->other_chip > 0)
        add_risk(p, "%lld nodes have another chip: the job is nothing for them", (long long)a->other_chip);
    if (a->other_project > 0)
        add_risk(p, "%lld nodes run another project: the job is nothing for them", (long long)a->other_project);
    if (plan->abort_count == 0)
        add_risk(p, "nothing stops the job when nodes fail; add for example: abort any 5%% min 20");
    if (plan->phase_count == 0 && plan->rate.per_hour == 0 && plan->max_in_flight == 0)
        add_risk(p, "all nodes begin at once, %lld MB; add phases, a rate or in-flight", bytes);
    if (p->finish_ms == 0)
        add_risk(p, "the job does not end within 60 days by this plan");
}

static void take_curve(const struct sim_result *r, double scale, struct sim_plan *p)
{
    for (; p->points < r->points; p->points++) {
        const struct sim_point *from = &r->curve[p->points];
        p->curve[p->points] =
            (struct sim_point){from->at_ms, (int64_t)((double)from->offered / scale),
                               (int64_t)((double)from->ended / scale), (int64_t)((double)from->succeeded / scale)};
    }
}

enum err sim_plan_run(const struct sim_plan_request *q, struct sim_scratch *scratch, struct sim_plan *p,
                      struct why *why)
{
    const struct audience *a = q->audience;
    char text[PLAN_SIZE];
    struct sim_result r;
    struct rollout plan;
    *p = (struct sim_plan){.nodes = a->total};
    enum err err = rollout_read(&plan, q->rollout ? q->rollout : "", why);
    int64_t able = a->total - a->on_version - a->other_chip - a->other_project;
    if (err != ERR_NONE)
        return err;
    if (able <= 0) {
        tell_risks(q, &plan, p);
        return ERR_NONE;
    }
    p->simulated = able < SIM_PLAN_NODES ? able : SIM_PLAN_NODES;
    double scale = (double)p->simulated / (double)able;
    struct rollout sample = plan;
    scale_plan(&sample, scale);
    rollout_write(&sample, text, sizeof text);
    struct sim_config c = sim_calm((unsigned)p->simulated);
    c.duration_ms = 60 * DAY_MS;
    c.plan = text;
    c.is_force_push = q->is_force_push;
    c.image_bytes = q->image_bytes;
    c.flaky_image = q->flaky;
    if (q->node_bytes_per_s > 0)
        c.node_bytes_per_s = q->node_bytes_per_s;
    if ((err = run(&c, scratch, &r, why)) != ERR_NONE)
        return err;
    p->finish_ms = r.jobs_over == r.jobs ? r.now_ms : 0;
    p->bytes = (int64_t)((double)r.bytes / scale);
    p->most_at_work = (int64_t)((double)r.most_at_work / scale);
    for (int i = 0; i < EX_STATES; i++)
        p->states[i] = (int64_t)((double)r.states[i] / scale);
    take_curve(&r, scale, p);
    c.bad_image = 500000;
    if ((err = run(&c, scratch, &r, why)) != ERR_NONE)
        return err;
    p->hit_if_bad = (int64_t)((double)r.states[EX_ROLLED_BACK] / scale);
    text_copy(p->stopped_if_bad, sizeof p->stopped_if_bad, r.stopped);
    tell_risks(q, &plan, p);
    return ERR_NONE;
}
