#include "fleet/rollout.h"

#include "base/text.h"
#include "fleet/words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_SUCCESS 900
#define DEFAULT_ENDED   800
#define DEFAULT_MIN     10
#define HOUR_MS         3600000

/* --- kinds of failure ------------------------------------------------------------------------- */

static const struct kind {
    const char *text;
    int64_t backoff_ms;
} kinds[FAILURE_KINDS] = {
    [FAILURE_NONE] = {"none", 0},
    [FAILURE_NETWORK] = {"network", 5 * 60000},
    [FAILURE_MEMORY] = {"memory", 15 * 60000},
    [FAILURE_IMAGE] = {"image", 60 * 60000}, /* the same bytes will hardly do better */
    [FAILURE_FLASH] = {"flash", 10 * 60000},
    [FAILURE_SERVER] = {"server", 5 * 60000},
    [FAILURE_OTHER] = {"other", 10 * 60000},
    [FAILURE_REJECTED] = {"rejected", 0},
    [FAILURE_ROLLED_BACK] = {"rolled-back", 60 * 60000},
    [FAILURE_TIMED_OUT] = {"timed-out", 10 * 60000},
};

const char *failure_kind_text(enum failure_kind kind)
{
    return kinds[kind].text;
}

/* Texts of RainMaker's agents, new and old; the first that is found counts, so the particular come first. */
enum failure_kind failure_kind_of(const char *info)
{
    static const struct {
        const char *part;
        enum failure_kind kind;
    } parts[] = {
        {"ESP_ERR_NO_MEM", FAILURE_MEMORY},
        {"ALLOC", FAILURE_MEMORY},
        {"memory", FAILURE_MEMORY},
        {"rolled back", FAILURE_ROLLED_BACK},
        {"verification failed", FAILURE_ROLLED_BACK},
        {"MQTT did not connect", FAILURE_ROLLED_BACK},
        {"Image validation failed", FAILURE_IMAGE},
        {"VALIDATE_FAILED", FAILURE_IMAGE},
        {"IMAGE_INVALID", FAILURE_IMAGE},
        {"image d", FAILURE_IMAGE}, /* "Failed to read image description", and "decription" of old firmware */
        {"Digest", FAILURE_IMAGE},
        {"digest", FAILURE_IMAGE},
        {"ESP_ERR_FLASH", FAILURE_FLASH},
        {"OTA finish failed", FAILURE_FLASH},
        {"ESP_ERR_INVALID_SIZE", FAILURE_FLASH},
        {"PARTITION", FAILURE_FLASH},
        {"stream_id", FAILURE_SERVER},
        {"HTTP", FAILURE_NETWORK},
        {"Begin failed", FAILURE_NETWORK},
        {"begin failed", FAILURE_NETWORK},
        {"errno=", FAILURE_NETWORK},
        {"not connected", FAILURE_NETWORK},
        {"Complete data was not received", FAILURE_NETWORK},
        {"OTA failed", FAILURE_NETWORK},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(info, parts[i].part) != NULL)
            return parts[i].kind;
    return FAILURE_OTHER;
}

int64_t failure_backoff_ms(enum failure_kind kind, unsigned n, int64_t first_ms)
{
    static const int64_t longest = 24 * (int64_t)HOUR_MS;
    int64_t wait = first_ms > 0 ? first_ms : kinds[kind].backoff_ms;
    while (n-- > 1 && wait < longest)
        wait *= 2;
    return wait < longest ? wait : longest;
}

/* --- reading ---------------------------------------------------------------------------------- */

static enum err expect(const struct words *w, const char *what)
{
    return words_wrong(w, "%s expected%s%.40s%s", what, w->word[0] ? ", not \"" : "", w->word, w->word[0] ? "\"" : "");
}

static enum err take_permille(struct words *w, unsigned *to)
{
    if (!words_permille(w->word, to))
        return expect(w, "a share like 5%");
    words_next(w);
    return ERR_NONE;
}

static enum err take_duration(struct words *w, int64_t *to)
{
    if (!words_duration(w->word, to))
        return expect(w, "a time like 30s, 15m, 2h");
    words_next(w);
    return ERR_NONE;
}

static enum err take_number(struct words *w, int64_t least, int64_t *to)
{
    if (!words_number(w->word, 1000000000, to) || *to < least)
        return expect(w, "a number");
    words_next(w);
    return ERR_NONE;
}

static enum err read_phase(struct rollout *r, struct words *w)
{
    if (r->phase_count == ROLLOUT_PHASES)
        return words_wrong(w, "more than %d phases", ROLLOUT_PHASES);
    struct rollout_phase *p = &r->phases[r->phase_count];
    *p = (struct rollout_phase){.success_permille = DEFAULT_SUCCESS, .ended_permille = DEFAULT_ENDED};
    enum err err = ERR_NONE;
    if (words_permille(w->word, &p->permille) && p->permille > 0)
        words_next(w);
    else if ((err = take_number(w, 1, &p->count)) != ERR_NONE)
        return expect(w, "a share like 5% or a number of nodes");
    (void)(words_take(w, "nodes") || words_take(w, "node"));
    while (err == ERR_NONE)
        if (words_take(w, "success"))
            err = take_permille(w, &p->success_permille);
        else if (words_take(w, "ended"))
            err = take_permille(w, &p->ended_permille);
        else if (words_take(w, "soak"))
            err = take_duration(w, &p->soak_ms);
        else
            break;
    const struct rollout_phase *before = r->phase_count > 0 ? p - 1 : NULL;
    if (err == ERR_NONE && before != NULL &&
        ((p->count > 0 && before->count >= p->count) ||
         (p->count == 0 && before->count == 0 && before->permille >= p->permille)))
        err = words_wrong(w, "a phase must be larger than the one before");
    r->phase_count++;
    return err;
}

static enum err take_rate(struct words *w, int64_t *per_hour)
{
    static const struct {
        const char *unit;
        int64_t times;
    } units[] = {{"/s", 3600}, {"/min", 60}, {"/m", 60}, {"/h", 1}};
    char *end;
    long long n = strtoll(w->word, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (end != w->word && n > 0 && n <= 100000000 && strcasecmp(end, units[i].unit) == 0) {
            *per_hour = n * units[i].times;
            words_next(w);
            return ERR_NONE;
        }
    return expect(w, "a rate like 50/min, 10/s, 1000/h");
}

static enum err read_rate(struct rollout *r, struct words *w)
{
    char *end;
    r->rate.growth_percent = 100;
    enum err err = take_rate(w, &r->rate.per_hour);
    if (err == ERR_NONE && (w->word[0] == 'x' || w->word[0] == 'X')) {
        double growth = strtod(w->word + 1, &end);
        if (*end != '\0' || !(growth >= 1 && growth <= 100))
            return expect(w, "a growth from x1 to x100");
        r->rate.growth_percent = (unsigned)(growth * 100 + 0.5);
        words_next(w);
        if (!words_take(w, "every"))
            return expect(w, "every");
        if ((err = take_number(w, 1, &r->rate.growth_every)) != ERR_NONE)
            return err;
        r->rate.is_by_success = words_take(w, "succeeded");
        if (!r->rate.is_by_success && !words_take(w, "started"))
            return expect(w, "started or succeeded");
    }
    return err == ERR_NONE && words_take(w, "max") ? take_rate(w, &r->rate.max_per_hour) : err;
}

#define BIT(kind) (1u << (kind))
#define ERRORS                                                                                                         \
    (BIT(FAILURE_NETWORK) | BIT(FAILURE_MEMORY) | BIT(FAILURE_IMAGE) | BIT(FAILURE_FLASH) | BIT(FAILURE_SERVER) |      \
     BIT(FAILURE_OTHER))

static uint32_t kinds_of(const char *word)
{
    if (strcasecmp(word, "any") == 0)
        return ERRORS | BIT(FAILURE_REJECTED) | BIT(FAILURE_ROLLED_BACK) | BIT(FAILURE_TIMED_OUT);
    if (strcasecmp(word, "failed") == 0)
        return ERRORS;
    for (unsigned i = FAILURE_NONE + 1; i < FAILURE_KINDS; i++)
        if (strcasecmp(word, kinds[i].text) == 0)
            return BIT(i);
    return 0;
}

static enum err read_abort(struct rollout *r, struct words *w)
{
    if (r->abort_count == ROLLOUT_ABORTS)
        return words_wrong(w, "more than %d abort rules", ROLLOUT_ABORTS);
    struct rollout_abort *a = &r->aborts[r->abort_count++];
    *a = (struct rollout_abort){.kinds = kinds_of(w->word), .min = DEFAULT_MIN};
    if (a->kinds == 0)
        return expect(w, "a kind of failure (any, failed, rejected, rolled-back, timed-out, network, ...)");
    words_next(w);
    enum err err = take_permille(w, &a->permille);
    if (err == ERR_NONE && a->permille == 0)
        err = words_wrong(w, "a share of 0%% would stop every job");
    while (err == ERR_NONE)
        if (words_take(w, "min"))
            err = take_number(w, 1, &a->min);
        else if (words_take(w, "sequential"))
            a->is_sequential = true;
        else if (words_take(w, "pause"))
            a->is_pause = true;
        else if (words_take(w, "cancel"))
            a->is_pause = false;
        else
            break;
    return err;
}

static enum err read_in_flight(struct rollout *r, struct words *w)
{
    return take_number(w, 1, &r->max_in_flight);
}

static enum err read_bytes(struct rollout *r, struct words *w)
{
    static const struct {
        const char *unit;
        int64_t times;
    } units[] = {{"/s", 1}, {"k/s", 1000}, {"M/s", 1000000}, {"G/s", 1000000000}};
    char *end;
    long long n = strtoll(w->word, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (end != w->word && n > 0 && n <= 1000000000 && strcasecmp(end, units[i].unit) == 0) {
            r->bytes_per_second = n * units[i].times;
            words_next(w);
            return ERR_NONE;
        }
    return expect(w, "bytes like 500k/s or 5M/s");
}

static enum err read_retry(struct rollout *r, struct words *w)
{
    enum err err = take_number(w, 0, &r->retries);
    return err == ERR_NONE && words_take(w, "backoff") ? take_duration(w, &r->backoff_ms) : err;
}

static const struct statement {
    const char *word;
    enum err (*read)(struct rollout *r, struct words *w);
} statements[] = {
    {"phase", read_phase},         {"rate", read_rate},   {"abort", read_abort},
    {"in-flight", read_in_flight}, {"bytes", read_bytes}, {"retry", read_retry},
};

static enum err read_statement(struct rollout *r, struct words *w)
{
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (words_take(w, statements[i].word))
            return statements[i].read(r, w);
    return expect(w, "phase, rate, abort, in-flight, bytes or retry");
}

enum err rollout_read(struct rollout *r, const char *text, struct why *why)
{
    struct words w;
    enum err err = ERR_NONE;
    *r = (struct rollout){.retries = -1};
    words_init(&w, text, why);
    while (err == ERR_NONE && w.kind != WORD_END) {
        if (words_take(&w, ";"))
            continue;
        err = read_statement(r, &w);
        if (err == ERR_NONE && w.kind != WORD_END && !words_are(&w, ";"))
            err = expect(&w, "; or the end");
    }
    if (err != ERR_NONE)
        *r = (struct rollout){.retries = -1};
    return err;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_phase(struct text *t, const struct rollout_phase *p)
{
    if (p->count > 0)
        text_add(t, "phase %lld", (long long)p->count);
    else
        text_add(t, "phase %u.%u%%", p->permille / 10, p->permille % 10);
    text_add(t, " success %u.%u%% ended %u.%u%%", p->success_permille / 10, p->success_permille % 10,
             p->ended_permille / 10, p->ended_permille % 10);
    if (p->soak_ms > 0)
        text_add(t, " soak %llds", (long long)(p->soak_ms / 1000));
    text_add(t, "; ");
}

static void write_rate(struct text *t, const struct rollout_rate *r)
{
    text_add(t, "rate %lld/h", (long long)r->per_hour);
    if (r->growth_every > 0)
        text_add(t, " x%u.%02u every %lld %s", r->growth_percent / 100, r->growth_percent % 100,
                 (long long)r->growth_every, r->is_by_success ? "succeeded" : "started");
    if (r->max_per_hour > 0)
        text_add(t, " max %lld/h", (long long)r->max_per_hour);
    text_add(t, "; ");
}

static const char *word_of(uint32_t set)
{
    if (set == ERRORS)
        return "failed";
    for (unsigned i = FAILURE_NONE + 1; i < FAILURE_KINDS; i++)
        if (set == BIT(i))
            return kinds[i].text;
    return "any";
}

bool rollout_write(const struct rollout *r, char *to, size_t size)
{
    struct text t;
    text_init(&t, to, size);
    for (unsigned i = 0; i < r->phase_count; i++)
        write_phase(&t, &r->phases[i]);
    if (r->rate.per_hour > 0)
        write_rate(&t, &r->rate);
    for (unsigned i = 0; i < r->abort_count; i++) {
        const struct rollout_abort *a = &r->aborts[i];
        text_add(&t, "abort %s %u.%u%% min %lld%s%s; ", word_of(a->kinds), a->permille / 10, a->permille % 10,
                 (long long)a->min, a->is_sequential ? " sequential" : "", a->is_pause ? " pause" : "");
    }
    if (r->max_in_flight > 0)
        text_add(&t, "in-flight %lld; ", (long long)r->max_in_flight);
    if (r->bytes_per_second > 0)
        text_add(&t, "bytes %lld/s; ", (long long)r->bytes_per_second);
    if (r->retries >= 0)
        text_add(&t, "retry %lld", (long long)r->retries);
    if (r->retries >= 0 && r->backoff_ms > 0)
        text_add(&t, " backoff %llds", (long long)(r->backoff_ms / 1000));
    return !t.is_cut;
}

/* --- phases ----------------------------------------------------------------------------------- */

int64_t rollout_limit(const struct rollout *r, unsigned phase, int64_t audience)
{
    if (phase >= r->phase_count)
        return audience;
    const struct rollout_phase *p = &r->phases[phase];
    int64_t limit = p->count > 0 ? p->count : (audience * p->permille + 999) / 1000;
    return limit < audience ? limit : audience;
}

/* FNV-1a over both ids, then a finaliser: neighbouring ids land far apart. */
uint32_t rollout_place(const char *job_id, const char *node_id)
{
    uint64_t h = 14695981039346656037u;
    for (const char *at = job_id; *at; at++)
        h = (h ^ (unsigned char)*at) * 1099511628211u;
    h = (h ^ '/') * 1099511628211u;
    for (const char *at = node_id; *at; at++)
        h = (h ^ (unsigned char)*at) * 1099511628211u;
    h ^= h >> 30;
    h *= 0xbf58476d1ce4e5b9u;
    h ^= h >> 27;
    h *= 0x94d049bb133111ebu;
    h ^= h >> 31;
    return (uint32_t)(h % ROLLOUT_PLACES);
}

/* The limit is kept by counting; the places only choose.  So the reach is a little wider than the share, by four
 * standard deviations, and a phase fills although a hash never divides evenly: in a fleet of five, one fifth is
 * somebody. */
uint32_t rollout_reach(const struct rollout *r, unsigned phase, int64_t audience)
{
    int64_t limit = rollout_limit(r, phase, audience);
    if (audience <= 0 || limit >= audience)
        return ROLLOUT_PLACES;
    double share = (double)limit / (double)audience;
    double reach = share + 4 * sqrt(share * (1 - share) / (double)audience) + 4 / (double)audience;
    return reach >= 1 ? ROLLOUT_PLACES : (uint32_t)(reach * ROLLOUT_PLACES);
}

bool rollout_gate_holds(const struct rollout *r, unsigned phase, const struct rollout_score *s)
{
    if (phase >= r->phase_count)
        return false;
    const struct rollout_phase *p = &r->phases[phase];
    int64_t limit = rollout_limit(r, phase, s->audience);
    return s->ended * 1000 >= limit * p->ended_permille && s->ended > 0 &&
           s->succeeded * 1000 >= s->ended * p->success_permille;
}

int64_t rollout_rate_now(const struct rollout *r, int64_t started, int64_t succeeded)
{
    int64_t per_hour = r->rate.per_hour, most = r->rate.max_per_hour > 0 ? r->rate.max_per_hour : 3600000000;
    if (r->rate.growth_every > 0 && r->rate.growth_percent > 100)
        for (int64_t n = (r->rate.is_by_success ? succeeded : started) / r->rate.growth_every; n > 0 && per_hour < most;
             n--)
            per_hour = per_hour * r->rate.growth_percent / 100 + (per_hour * r->rate.growth_percent % 100 > 0);
    return per_hour < most ? per_hour : most;
}

/* --- stopping --------------------------------------------------------------------------------- */

/* Wald's sequential test of "a quarter of the limit is normal" against "it is the limit", 1 % error each way. */
static bool is_clearly_above(int64_t failed, int64_t ended, unsigned permille)
{
    double limit = permille / 1000.0, normal = limit / 4;
    if (limit >= 1)
        return false;
    double score = (double)failed * log(limit / normal) + (double)(ended - failed) * log((1 - limit) / (1 - normal));
    return score >= log(0.99 / 0.01);
}

const struct rollout_abort *rollout_crossed(const struct rollout *r, const struct rollout_score *s, char *text,
                                            size_t size)
{
    for (unsigned i = 0; i < r->abort_count; i++) {
        const struct rollout_abort *a = &r->aborts[i];
        int64_t failed = 0;
        unsigned last = 0;
        for (unsigned k = 0; k < FAILURE_KINDS; k++)
            if (a->kinds & BIT(k)) {
                failed += s->failures[k];
                last = k;
            }
        bool is_over = s->ended >= a->min && failed * 1000 >= s->ended * a->permille && failed > 0;
        bool is_early = a->is_sequential && !is_over && is_clearly_above(failed, s->ended, a->permille);
        if (!is_over && !is_early)
            continue;
        snprintf(text, size, "%lld of %lld nodes that ended are %s, limit %u.%u%%%s", (long long)failed,
                 (long long)s->ended, (a->kinds & (a->kinds - 1)) == 0 ? kinds[last].text : "failures",
                 a->permille / 10, a->permille % 10, is_early ? ": clearly above it" : "");
        return a;
    }
    return NULL;
}
