/* For those who watch: readiness, and numbers in Prometheus' text format. */
#include "rest/inner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_PAGE 20

HANDLER(get_ready)
{
    int64_t last;
    const char *missing = "";
    (void)q;
    if (rest->health != NULL && !rest->health->is_ready(rest->health, &missing))
        return why_set(why, ERR_BUSY, "%s", missing);
    enum err err = fleet_event_last(rest->fleet, &last, why);
    if (err != ERR_NONE)
        return err;
    answer_done(p, "Ready");
    return ERR_NONE;
}

static void head(struct buf *to, const char *name, const char *kind, const char *help)
{
    buf_addf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

/* Sums over the jobs that are active. */
static enum err count_jobs(struct rest *rest, int64_t *active, int64_t states[EX_STATES], struct why *why)
{
    struct job_summary *page = calloc(JOBS_PAGE, sizeof *page);
    char after[ID_LEN + 1] = "";
    unsigned count = JOBS_PAGE;
    enum err err = page ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
    while (err == ERR_NONE && count == JOBS_PAGE) {
        err = fleet_job_list(rest->fleet, after, page, JOBS_PAGE, &count, why);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            memcpy(after, page[i].job.id, sizeof after);
            if (page[i].job.status != JOB_ACTIVE)
                continue;
            ++*active;
            for (int state = 0; state < EX_STATES; state++)
                states[state] += page[i].counts[state];
        }
    }
    free(page);
    return err;
}

HANDLER(get_metrics)
{
    int64_t nodes = 0, active = 0, states[EX_STATES] = {0}, last = 0;
    enum err err;
    (void)q;
    if ((err = fleet_node_count(rest->fleet, &nodes, why)) != ERR_NONE ||
        (err = fleet_event_last(rest->fleet, &last, why)) != ERR_NONE ||
        (err = count_jobs(rest, &active, states, why)) != ERR_NONE)
        return err;
    p->type = "text/plain; version=0.0.4";
    struct buf *to = &p->body;
    head(to, "pluvio_build_info", "gauge", "The server's version.");
    buf_addf(to, "pluvio_build_info{version=\"%s\"} 1\n", rest->version);
    head(to, "pluvio_nodes", "gauge", "Registered nodes.");
    buf_addf(to, "pluvio_nodes %" PRId64 "\n", nodes);
    head(to, "pluvio_jobs_active", "gauge", "Jobs that are active.");
    buf_addf(to, "pluvio_jobs_active %" PRId64 "\n", active);
    head(to, "pluvio_executions", "gauge", "Executions of active jobs, by state.");
    for (int i = 0; i < EX_STATES; i++)
        buf_addf(to, "pluvio_executions{state=\"%s\"} %" PRId64 "\n", execution_state_text((enum execution_state)i),
                 states[i]);
    head(to, "pluvio_events_total", "counter", "Events since the first start.");
    buf_addf(to, "pluvio_events_total %" PRId64 "\n", last);
    head(to, "pluvio_messages_total", "counter", "Messages from nodes over MQTT.");
    buf_addf(to, "pluvio_messages_total %lld\n", rest->counts ? atomic_load(&rest->counts->messages) : 0LL);
    head(to, "pluvio_http_requests_total", "counter", "Answered requests, by class of status.");
    for (int i = 2; rest->counts != NULL && i < 6; i++)
        buf_addf(to, "pluvio_http_requests_total{code=\"%dxx\"} %lld\n", i,
                 (long long)atomic_load(&rest->counts->by_class[i]));
    return ERR_NONE;
}
