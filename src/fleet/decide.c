#include "fleet/decide.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HOUR_MS 3600000

const struct fleet_policy fleet_default_policy = {
    .retries = 2,
    .trial_ms = 120 * 1000,
    .repeat_ms = 30 * 1000,
    .reboot_grace_ms = 60 * 1000,
    .silence_ms = HOUR_MS,
    .lost_ms = 24 * HOUR_MS,
    .recheck_ms = HOUR_MS,
    .delayed_ms = 25 * HOUR_MS, /* a daily window comes round in 24 */
    .push_batch = 1000,
    .reoffers_strayed = true,
};

const char *node_network(const struct node *node)
{
    return node->network_id[0] ? node->network_id : node->address;
}

int64_t counts_in_flight(const int64_t counts[EX_STATES])
{
    int64_t sum = 0;
    for (int s = EX_OFFERED; s <= EX_PROVISIONAL; s++)
        sum += counts[s];
    return sum;
}

int64_t counts_ended(const int64_t counts[EX_STATES])
{
    int64_t sum = 0;
    for (int s = EX_FIRST_OVER; s < EX_STATES; s++)
        sum += counts[s];
    return sum;
}

/* The end of a rule that holds: what is told of it. */
static bool say(struct verdict *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool say(struct verdict *v, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(v->text, sizeof v->text, format, args);
    va_end(args);
    return true;
}

static enum execution_state state_of(const struct facts *f)
{
    return f->e ? f->e->state : EX_TRIGGERED;
}

static bool is_at_work(const struct facts *f)
{
    return state_of(f) >= EX_OFFERED && state_of(f) <= EX_PROVISIONAL;
}

/* --- the rules -------------------------------------------------------------------------------- */

static bool job_over(const struct facts *f, struct verdict *v)
{
    return f->job->status != JOB_ACTIVE && say(v, "The job is %s%s%s", job_status_text(f->job->status),
                                               f->job->stop_reason[0] ? ": " : "", f->job->stop_reason);
}

static bool not_target(const struct facts *f, struct verdict *v)
{
    return !f->is_target && f->e == NULL && say(v, "The job is not for this node");
}

static bool ended(const struct facts *f, struct verdict *v)
{
    return state_of(f) >= EX_FIRST_OVER &&
           say(v, "The node is done with the job: %s%s%s", execution_state_text(state_of(f)),
               f->e && f->e->info[0] ? ", " : "", f->e ? f->e->info : "");
}

static bool excluded(const struct facts *f, struct verdict *v)
{
    return f->is_excluded && !is_at_work(f) && say(v, "The job leaves it out: %.100s", f->job->exclude);
}

static bool expired(const struct facts *f, struct verdict *v)
{
    return f->job->expires_at > 0 && f->now >= f->job->expires_at && say(v, "The job's time is over");
}

static bool image_gone(const struct facts *f, struct verdict *v)
{
    return (f->image == NULL || !f->image->is_ready) && say(v, "The job's image is gone");
}

/* What the image's header says is compared with what the node said; what either does not tell refuses nothing: the node
 * decides itself.  A node that has the job already is past it. */
static bool compares(const struct facts *f)
{
    return !f->job->is_host_mcu && !is_at_work(f);
}

static bool other_chip(const struct facts *f, struct verdict *v)
{
    return compares(f) && f->node->platform[0] && f->image->platform[0] &&
           strcmp(f->node->platform, f->image->platform) != 0 &&
           say(v, "Image is for %s, node is %s", f->image->platform, f->node->platform);
}

static bool other_project(const struct facts *f, struct verdict *v)
{
    return compares(f) && !f->job->skips_project && f->node->project_name[0] && f->image->project_name[0] &&
           strcmp(f->node->project_name, f->image->project_name) != 0 &&
           say(v, "Image is of project %s, node runs %s", f->image->project_name, f->node->project_name);
}

static bool secure_version(const struct facts *f, struct verdict *v)
{
    return compares(f) && f->image->secure_version < f->node->secure_version &&
           say(v, "Image has secure version %u, node asks for %u", f->image->secure_version, f->node->secure_version);
}

static bool slot_too_small(const struct facts *f, struct verdict *v)
{
    return compares(f) && f->node->slot_bytes > 0 && f->image->size_bytes > f->node->slot_bytes &&
           say(v, "Image has %lld bytes, the node's slot %lld", (long long)f->image->size_bytes,
               (long long)f->node->slot_bytes);
}

bool image_is_signed_for(const struct image *image, const struct node *node)
{
    char digest[65];
    for (const char *at = node->key_digests; *at;) {
        size_t len = strcspn(at, " ");
        if (len < sizeof digest) {
            memcpy(digest, at, len);
            digest[len] = '\0';
            if (len > 0 && strcasestr(image->signed_by, digest) != NULL)
                return true;
        }
        at += len + (at[len] == ' ');
    }
    return false;
}

static bool not_signed(const struct facts *f, struct verdict *v)
{
    return compares(f) && f->node->key_digests[0] != '\0' && !image_is_signed_for(f->image, f->node) &&
           say(v, f->image->signed_by[0] ? "Image is signed by none of the node's keys"
                                         : "Node takes signed images, image is not signed");
}

static bool on_version(const struct facts *f, struct verdict *v)
{
    bool is_untouched = f->e == NULL || f->e->offers == 0;
    return compares(f) && is_untouched && f->node->fw_version[0] &&
           strcmp(f->node->fw_version, f->image->fw_version) == 0 && say(v, "Runs %s already", f->image->fw_version);
}

static bool job_paused(const struct facts *f, struct verdict *v)
{
    return f->job->is_paused &&
           say(v, "The job is paused%s%s", f->job->stop_reason[0] ? ": " : "", f->job->stop_reason);
}

static bool not_yet(const struct facts *f, struct verdict *v)
{
    v->next_at = f->job->valid_from;
    return f->now < f->job->valid_from && say(v, "The job's validity has not begun");
}

static bool awaits_approval(const struct facts *f, struct verdict *v)
{
    return (f->job->needs_approval && (f->e == NULL || !f->e->is_approved)) && say(v, "Its user has not said yes yet");
}

static bool other_job_first(const struct facts *f, struct verdict *v)
{
    return f->ahead != NULL && say(v, "Job %.100s goes first", f->ahead ? f->ahead : "");
}

static bool is_same_connection(const struct facts *f)
{
    return f->e->offered_at >= f->node->subscribed_at && f->e->offered_at >= f->node->booted_at;
}

static bool just_offered(const struct facts *f, struct verdict *v)
{
    if (state_of(f) != EX_OFFERED)
        return false;
    v->next_at = f->e->offered_at + f->policy->repeat_ms;
    return (f->occasion == ON_SLOT ||
            (f->occasion != ON_PUSH && is_same_connection(f) && f->now - f->e->offered_at < f->policy->repeat_ms)) &&
           say(v, "Offered a moment ago, its answer is awaited");
}

/* A node that works has no use for a second copy.  One that asks after a boot has lost its work; one that only listens
 * again may still be working. */
static bool working(const struct facts *f, struct verdict *v)
{
    enum execution_state state = state_of(f);
    v->next_at = f->e ? f->e->deadline_at : 0;
    if (state < EX_IN_PROGRESS || state > EX_PROVISIONAL)
        return false;
    bool has_booted = f->node->booted_at > f->e->updated_at || f->node->subscribed_at > f->e->updated_at;
    bool is_old = f->now - f->e->updated_at > f->policy->reboot_grace_ms;
    bool is_lost = state == EX_IN_PROGRESS && f->occasion == ON_FETCH && (has_booted || is_old);
    return !is_lost && say(v, "The node is working on it: %s", execution_state_text(state));
}

static bool offline(const struct facts *f, struct verdict *v)
{
    return ((f->occasion == ON_PUSH || f->occasion == ON_SLOT || f->occasion == ON_QUESTION) && !f->node->is_online) &&
           say(v, "The node is not connected");
}

static bool backoff(const struct facts *f, struct verdict *v)
{
    if (state_of(f) != EX_FAILED)
        return false;
    v->next_at = f->e->deadline_at;
    return f->now < f->e->deadline_at &&
           say(v, "It failed %u time%s (%s) and is left in peace for a while", f->e->failures,
               f->e->failures == 1 ? "" : "s", failure_kind_text(f->e->failure));
}

static bool slot_not_come(const struct facts *f, struct verdict *v)
{
    v->next_at = f->e ? f->e->deadline_at : 0;
    return state_of(f) == EX_WAITING && f->e->has_slot && f->now < f->e->deadline_at && say(v, "Its slot has not come");
}

static bool not_counted(const struct facts *f, struct verdict *v)
{
    v->next_at = f->now + 1000;
    return f->plan->phase_count > 0 && f->state->audience < 0 && say(v, "The job's nodes are being counted");
}

static bool phase(const struct facts *f, struct verdict *v)
{
    const struct rollout *p = f->plan;
    unsigned now = f->state->phase;
    int64_t limit = rollout_limit(p, now, f->state->audience);
    if (now >= p->phase_count || (f->e != NULL && f->e->offers > 0))
        return false;
    v->next_at = f->now + f->policy->recheck_ms;
    if (f->state->gate_at > 0 && f->state->gate_at + p->phases[now].soak_ms > f->now)
        v->next_at = f->state->gate_at + p->phases[now].soak_ms;
    return (f->state->started >= limit ||
            rollout_place(f->job->id, f->node->id) >= rollout_reach(p, now, f->state->audience)) &&
           say(v, "Phase %u of %u lets %lld of %lld nodes begin, %lld have", now + 1, p->phase_count, (long long)limit,
               (long long)f->state->audience, (long long)f->state->started);
}

static bool no_network(const struct facts *f, struct verdict *v)
{
    return f->job->is_serial && *node_network(f->node) == '\0' &&
           say(v, "The job goes network by network, and the node's is not known");
}

static bool network(const struct facts *f, struct verdict *v)
{
    const struct job *j = f->job;
    bool is_full = j->is_serial && f->on_network >= j->serial_max;
    if (!is_full && (f->policy->network_max == 0 || f->on_network_all < f->policy->network_max || is_at_work(f)))
        return false;
    /* Spread between the job's shortest and longest wait, the same for a node each time. */
    int64_t least = j->serial_min_wait_ms, most = j->serial_max_wait_ms > least ? j->serial_max_wait_ms : least + 60000;
    v->next_at = f->now + least + (int64_t)rollout_place(j->id, f->node->id) * (most - least) / ROLLOUT_PLACES;
    return !is_at_work(f) && say(v, "%lld nodes of its network (%s) are at work",
                                 (long long)(is_full ? f->on_network : f->on_network_all), node_network(f->node));
}

static time_ms soon(const struct facts *f)
{
    return f->now + (f->policy->recheck_ms < 60000 ? f->policy->recheck_ms : 60000);
}

static bool job_budget(const struct facts *f, struct verdict *v)
{
    int64_t in_flight = counts_in_flight(f->state->counts);
    v->next_at = soon(f);
    return f->plan->max_in_flight > 0 && in_flight >= f->plan->max_in_flight && !is_at_work(f) &&
           say(v, "%lld nodes are at work, the job allows %lld", (long long)in_flight,
               (long long)f->plan->max_in_flight);
}

static bool global_budget(const struct facts *f, struct verdict *v)
{
    int64_t in_flight = counts_in_flight(f->all->counts);
    v->next_at = soon(f);
    return f->policy->max_in_flight > 0 && in_flight >= f->policy->max_in_flight && !is_at_work(f) &&
           say(v, "%lld nodes of all jobs are at work, the server allows %lld", (long long)in_flight,
               (long long)f->policy->max_in_flight);
}

static bool rate(const struct facts *f, struct verdict *v)
{
    const int64_t due[] = {f->state->rate_at, f->state->bytes_at, f->all->rate_at, f->all->bytes_at};
    int64_t slot = 0;
    for (size_t i = 0; i < sizeof due / sizeof due[0]; i++)
        slot = due[i] > slot ? due[i] : slot;
    v->next_at = (slot + 999) / 1000;
    return v->next_at > f->now && !is_at_work(f) && !(f->e != NULL && f->e->has_slot) &&
           say(v, "The job goes no faster; a later slot was promised");
}

static bool offer(const struct facts *f, struct verdict *v)
{
    (void)f;
    return say(v, "It is offered now");
}

static const struct rule {
    enum decision decision;
    const char *text;
    enum consequence consequence;
    bool blocks;
    bool (*holds)(const struct facts *f, struct verdict *v);
} rules[] = {
    /* Who has ended has ended, whatever became of the job. */
    {DECIDE_ENDED, "ended", KEEPS, false, ended},
    {DECIDE_JOB_OVER, "job-over", ENDS_CANCELLED, false, job_over},
    {DECIDE_NOT_TARGET, "not-a-target", KEEPS, false, not_target},
    {DECIDE_EXCLUDED, "excluded", ENDS_EXCLUDED, false, excluded},
    {DECIDE_EXPIRED, "expired", ENDS_TIMED_OUT, false, expired},
    {DECIDE_IMAGE_GONE, "image-gone", KEEPS, false, image_gone},
    {DECIDE_OTHER_CHIP, "other-chip", ENDS_REJECTED, false, other_chip},
    {DECIDE_OTHER_PROJECT, "other-project", ENDS_REJECTED, false, other_project},
    {DECIDE_SECURE_VERSION, "secure-version", ENDS_REJECTED, false, secure_version},
    {DECIDE_SLOT_TOO_SMALL, "slot-too-small", ENDS_REJECTED, false, slot_too_small},
    {DECIDE_NOT_SIGNED, "not-signed", ENDS_REJECTED, false, not_signed},
    {DECIDE_ON_VERSION, "on-version", ENDS_REJECTED, false, on_version},
    {DECIDE_JOB_PAUSED, "job-paused", KEEPS, false, job_paused},
    {DECIDE_NOT_YET, "not-yet", WAITS, false, not_yet},
    {DECIDE_OTHER_JOB_FIRST, "other-job-first", KEEPS, true, other_job_first},
    {DECIDE_AWAITS_APPROVAL, "awaits-approval", WAITS, false, awaits_approval},
    {DECIDE_JUST_OFFERED, "just-offered", KEEPS, true, just_offered},
    {DECIDE_WORKING, "working", KEEPS, true, working},
    {DECIDE_BACKOFF, "backoff", KEEPS, true, backoff},
    {DECIDE_OFFLINE, "offline", WAITS, true, offline},
    {DECIDE_SLOT_NOT_COME, "slot-not-come", KEEPS, true, slot_not_come},
    {DECIDE_NOT_COUNTED, "not-counted", WAITS, true, not_counted},
    {DECIDE_PHASE, "phase", WAITS, true, phase},
    {DECIDE_NO_NETWORK, "no-network", KEEPS, false, no_network},
    {DECIDE_NETWORK, "network", WAITS, true, network},
    {DECIDE_JOB_BUDGET, "job-budget", WAITS, true, job_budget},
    {DECIDE_GLOBAL_BUDGET, "global-budget", WAITS, true, global_budget},
    {DECIDE_RATE, "rate", WAITS, true, rate},
    {DECIDE_OFFER, "offer", OFFERS, true, offer},
};

#define RULES (sizeof rules / sizeof rules[0])

void fleet_decide(const struct facts *f, struct verdict *v)
{
    size_t i = 0;
    for (; i < RULES - 1; i++) {
        v->next_at = 0;
        if (rules[i].holds(f, v))
            break;
    }
    if (i == RULES - 1) {
        v->next_at = 0;
        offer(f, v);
    }
    v->decision = rules[i].decision;
}

static const struct rule *find_rule(enum decision decision)
{
    size_t i = 0;
    while (rules[i].decision != decision)
        i++;
    return &rules[i];
}

enum consequence decision_consequence(enum decision decision)
{
    return find_rule(decision)->consequence;
}

bool decision_blocks(enum decision decision)
{
    return find_rule(decision)->blocks;
}

const char *decision_text(enum decision decision)
{
    return find_rule(decision)->text;
}
