#include "pluviod/hooks.h"

#include "base/text.h"
#include "net/http_call.h"
#include "pluviod/system.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CALL_MS 10000 /* how long one delivery may take */
#define LEAD_MS 1000  /* how soon it is noticed that this server is the one that calls */
#define REST_MS 60000 /* how long the thread sleeps at most */

struct hooks {
    struct fleet *fleet;
    const struct keys *keys;
    struct log *log;
    bool calls_own_hosts;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping, is_rung;
    struct event events[WEBHOOK_BATCH];
};

static void deliver(struct hooks *h, const struct webhook *hook, unsigned count, int64_t last, bool is_gap)
{
    struct buf body = {0};
    struct why why = {{0}};
    struct http_answer answer = {.status = 0};
    char signature[WEBHOOK_SIGNATURE_SIZE], header[WEBHOOK_SIGNATURE_SIZE + 32];
    time_ms from = system_now();
    struct delivery d = {.first = is_gap || count == 0 ? 0 : h->events[0].id, .last = last};
    rest_webhook_body(hook, h->events, count, is_gap, &body);
    rest_webhook_sign(h->keys, hook, buf_bytes(&body), from, signature);
    snprintf(header, sizeof header, "Pluvio-Signature: %s", signature);
    const struct http_call call = {.method = "POST",
                                   .url = hook->url,
                                   .headers = {"Content-Type: application/json", header},
                                   .body = buf_bytes(&body),
                                   .body_fd = -1,
                                   .timeout_ms = CALL_MS,
                                   .refuses_own_hosts = !h->calls_own_hosts};
    enum err err = http_call(&call, &answer, &why);
    d.at = system_now();
    d.took_ms = d.at - from;
    d.status = err == ERR_NONE ? answer.status : 0;
    if (err != ERR_NONE)
        text_copy(d.story, sizeof d.story, why_text(&why, err));
    buf_deinit(&answer.body);
    buf_deinit(&body);
    if (d.status < 200 || d.status >= 300)
        log_line(h->log, LOG_WARN, "hooks", "webhook=%s status=%d %s", hook->id, d.status, d.story);
    if ((err = fleet_webhook_tried(h->fleet, hook->id, &d, &why)) != ERR_NONE)
        log_line(h->log, LOG_ERROR, "hooks", "webhook=%s: %s", hook->id, why_text(&why, err));
}

/* Until nothing is due.  When to look again, 0: when rung. */
static time_ms deliver_all(struct hooks *h)
{
    time_ms next_at = 0;
    while (true) {
        struct webhook hook;
        struct why why = {{0}};
        unsigned count;
        int64_t last;
        bool is_gap;
        pthread_mutex_lock(&h->lock);
        bool is_stopping = h->is_stopping;
        pthread_mutex_unlock(&h->lock);
        if (is_stopping)
            return 0;
        if (!fleet_leads(h->fleet))
            return system_now() + LEAD_MS;
        enum err err = fleet_webhook_due(h->fleet, system_now(), &hook, h->events, WEBHOOK_BATCH, &count, &last,
                                         &is_gap, &next_at, &why);
        if (err != ERR_NONE && err != ERR_STORE_AWAY)
            log_line(h->log, LOG_ERROR, "hooks", "%s", why_text(&why, err));
        if (err != ERR_NONE || hook.id[0] == '\0')
            return next_at;
        deliver(h, &hook, count, last, is_gap);
    }
}

static void sleep_until(struct hooks *h, time_ms at)
{
    time_ms limit = system_now() + REST_MS;
    at = at == 0 || at > limit ? limit : at;
    struct timespec until = {at / 1000, at % 1000 * 1000000};
    pthread_mutex_lock(&h->lock);
    while (!h->is_stopping && !h->is_rung && pthread_cond_timedwait(&h->wake, &h->lock, &until) != ETIMEDOUT)
        ;
    h->is_rung = false;
    pthread_mutex_unlock(&h->lock);
}

static void *run(void *arg)
{
    struct hooks *h = arg;
    bool is_stopping = false;
    while (!is_stopping) {
        sleep_until(h, deliver_all(h));
        pthread_mutex_lock(&h->lock);
        is_stopping = h->is_stopping;
        pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}

enum err hooks_start(struct hooks **hooks, struct fleet *fleet, const struct keys *keys, bool calls_own_hosts,
                     struct log *log, struct why *why)
{
    struct hooks *h = calloc(1, sizeof *h);
    if (h == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for webhooks");
    h->fleet = fleet;
    h->keys = keys;
    h->log = log;
    h->calls_own_hosts = calls_own_hosts;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->wake, NULL);
    if (pthread_create(&h->thread, NULL, run, h) != 0) {
        free(h);
        return why_set(why, ERR_NO_MEMORY, "no thread for webhooks");
    }
    *hooks = h;
    return ERR_NONE;
}

void hooks_ring(struct hooks *h)
{
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    h->is_rung = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

void hooks_stop(struct hooks *h)
{
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    h->is_stopping = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    free(h);
}
