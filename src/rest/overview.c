/* The fleet at a glance, and what the server was told to keep to. */
#include "rest/inner.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- the fleet -------------------------------------------------------------------------------- */

#define TALLY_LEAST_MS 1000 /* how long a count is good at least */
#define TALLY_FACTOR   20   /* and so many times as long as it took: a large fleet is not counted all the time */
/* Nobody waits for a count that takes long: one that was good for longer than this is given away once more while the
 * next is made, until it is so many times as old. */
#define TALLY_WAIT_MS 2000
#define TALLY_STALE   4

void rest_tallies_init(struct rest_tallies *t)
{
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
}

static struct rest_tally *find_tally(struct rest_tallies *t, const char *org, const char *scope)
{
    for (size_t i = 0; i < REST_TALLIES; i++)
        if (t->at[i].until > 0 && strcmp(t->at[i].org, org) == 0 && strcmp(t->at[i].scope, scope) == 0)
            return &t->at[i];
    return NULL;
}

/* The one of this organisation and scope, or the place of the oldest. */
static struct rest_tally *place_tally(struct rest_tallies *t, const char *org, const char *scope)
{
    struct rest_tally *place = find_tally(t, org, scope);
    if (place != NULL)
        return place;
    place = &t->at[0];
    for (size_t i = 1; i < REST_TALLIES; i++)
        if (t->at[i].until < place->until)
            place = &t->at[i];
    *place = (struct rest_tally){.until = 0};
    text_copy(place->org, sizeof place->org, org);
    text_copy(place->scope, sizeof place->scope, scope);
    return place;
}

static time_ms clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (time_ms)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum err count(struct fleet *f, time_ms now, struct rest_tally *to, struct why *why)
{
    time_ms began = clock_ms();
    enum err err = fleet_tally(f, &to->tally, why);
    time_ms good = (clock_ms() - began) * TALLY_FACTOR;
    to->counted_at = now;
    to->until = err ? 0 : now + (good > TALLY_LEAST_MS ? good : TALLY_LEAST_MS);
    return err;
}

/* A count that is good, or good enough while the next one is made; else it is counted now. */
static enum err bring_tally(struct rest *rest, time_ms now, struct rest_tally *one, struct why *why)
{
    time_ms good = one->until - one->counted_at;
    if (one->until > now)
        return ERR_NONE;
    if (one->until == 0 || good <= TALLY_WAIT_MS || now - one->counted_at > TALLY_STALE * good)
        return count(rest->fleet, now, one, why);
    one->is_wanted = !one->is_counting;
    if (one->is_wanted)
        atomic_store(&rest->tallies->has_wanted, true);
    return ERR_NONE;
}

/* Copies one that is wanted, and marks it as being counted; false when none is. */
static bool take_wanted(struct rest_tallies *t, struct rest_tally *to)
{
    struct rest_tally *one = NULL;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < REST_TALLIES && one == NULL; i++)
        one = t->at[i].is_wanted ? &t->at[i] : NULL;
    if (one != NULL) {
        one->is_wanted = false;
        one->is_counting = true;
        *to = *one;
    } else {
        atomic_store(&t->has_wanted, false);
    }
    pthread_mutex_unlock(&t->lock);
    return one != NULL;
}

static void count_wanted(struct rest *rest, time_ms now, struct rest_tally *own)
{
    struct why why = {{0}};
    struct fleet_view view;
    struct fleet seen = *rest->fleet;
    if (rest_view_of(rest, own->org, own->scope, now, &view))
        seen.view = &view;
    enum err err = count(&seen, now, own, &why);
    if (err != ERR_NONE)
        log_line(rest->log, LOG_WARN, "rest", "the fleet could not be counted: %s", why_text(&why, err));
    pthread_mutex_lock(&rest->tallies->lock);
    struct rest_tally *place = find_tally(rest->tallies, own->org, own->scope); /* another may have it by now */
    if (place != NULL) {
        if (err == ERR_NONE && own->counted_at > place->counted_at)
            *place = *own;
        place->is_wanted = place->is_counting = false;
    }
    pthread_mutex_unlock(&rest->tallies->lock);
}

void rest_afterwards(struct rest *rest, time_ms now)
{
    if (rest->tallies == NULL || !atomic_load(&rest->tallies->has_wanted))
        return;
    struct rest_tally *own = calloc(1, sizeof *own);
    while (own != NULL && take_wanted(rest->tallies, own))
        count_wanted(rest, now, own);
    free(own);
}

static void write_tally(struct json_out *out, const struct tally *t)
{
    json_out_int(out, "nodes", t->nodes);
    json_out_int(out, "online", t->online);
    json_out_int(out, "never_seen", t->never_seen);
    json_out_int(out, "deactivated", t->deactivated);
    json_out_int(out, "astray", t->astray);
    json_out_array(out, "kinds");
    for (unsigned i = 0; i < t->kind_count; i++) {
        json_out_object(out, NULL);
        json_out_text(out, "platform", t->kinds[i].platform);
        json_out_text(out, "model", t->kinds[i].model);
        json_out_text(out, "project_name", t->kinds[i].project);
        json_out_text(out, "fw_version", t->kinds[i].fw_version);
        json_out_int(out, "nodes", t->kinds[i].nodes);
        json_out_end_object(out);
    }
    json_out_end_array(out);
}

HANDLER(get_overview)
{
    const struct rest_counts *c = q->org[0] ? NULL : rest->counts; /* the server's traffic is the house's */
    struct rest_tally *own = calloc(1, sizeof *own);
    enum err err;
    if (own == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    if (rest->tallies != NULL) {
        pthread_mutex_lock(&rest->tallies->lock); /* who comes second waits for the first one's count */
        struct rest_tally *kept = place_tally(rest->tallies, q->org, rest_scope(q));
        err = bring_tally(rest, q->now, kept, why);
        *own = *kept;
        pthread_mutex_unlock(&rest->tallies->lock);
    } else {
        err = count(rest->fleet, q->now, own, why);
    }
    if (err == ERR_NONE) {
        struct json_out out = answer(p);
        write_tally(&out, &own->tally);
        json_out_int(&out, "counted_ms", own->counted_at);
        json_out_int(&out, "at_ms", q->now);
        json_out_int(&out, "messages", c ? atomic_load(&c->messages) : 0);
        json_out_int(&out, "files", c ? atomic_load(&c->files) : 0);
        json_out_int(&out, "file_bytes", c ? atomic_load(&c->file_bytes) : 0);
        json_out_end_object(&out);
    }
    free(own);
    return err;
}

/* --- settings --------------------------------------------------------------------------------- */

static void write_policy(struct json_out *out, const char *name, const char *unit, int64_t value, const char *what)
{
    json_out_object(out, NULL);
    json_out_text(out, "name", name);
    json_out_text(out, "description", what);
    json_out_text(out, "unit", unit);
    json_out_int(out, "value", value);
    json_out_end_object(out);
}

HANDLER(get_settings)
{
    const struct fleet_policy *f = &rest->fleet->policy;
    (void)q, (void)why;
    struct json_out out = answer(p);
    json_out_text(&out, "version", rest->version);
    json_out_text(&out, "url", rest->public_url);
    json_out_text(&out, "mqtt_host", rest_mqtt_host(rest, NULL));
    json_out_bool(&out, "simulates", rest->runner != NULL);
    json_out_array(&out, "policies");
    write_policy(&out, "four-eyes", "yes/no", f->needs_two, "A job waits until a second person approves it");
    write_policy(&out, "max-in-flight", "nodes", f->max_in_flight, "Nodes at work at a time, all jobs together");
    write_policy(&out, "max-rate", "nodes/h", f->per_hour, "Offers in an hour, all jobs together");
    write_policy(&out, "max-bytes", "bytes/s", f->bytes_per_second, "Bytes of images offered in a second");
    write_policy(&out, "max-per-network", "nodes", f->network_max, "Nodes of one local network at work at a time");
    write_policy(&out, "sign-up", "yes/no", rest->may_sign_up, "Strangers may make themselves end users");
    write_policy(&out, "self-claim", "yes/no", rest->may_self_claim, "A device may claim a certificate without a user");
    write_policy(&out, "oidc-issuer", "yes/no", rest->provider != NULL, "People may sign in by OpenID Connect");
    json_out_end_array(&out);
    /* How long the server waits before it draws its own conclusions; these are not to be set. */
    json_out_array(&out, "patience");
    write_policy(&out, "silence", "ms", f->silence_ms, "Nothing heard after an offer: its place is given to others");
    write_policy(&out, "trial", "ms", f->trial_ms, "A new version was seen but not confirmed: the node is asked");
    write_policy(&out, "reboot-grace", "ms", f->reboot_grace_ms,
                 "Said that it reboots, and still has its old version: rolled back");
    write_policy(&out, "lost", "ms", f->lost_ms, "Nothing heard after it said that it reboots: timed out");
    json_out_end_array(&out);
    json_out_end_object(&out);
    return ERR_NONE;
}
