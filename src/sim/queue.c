#include "sim/queue.h"

#include <stdlib.h>

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

bool sim_queue_put(struct sim_queue *q, struct sim_event event)
{
    if (q->count == q->room) {
        size_t room = q->room ? 2 * q->room : 256;
        struct sim_event *at = realloc(q->at, room * sizeof *at);
        if (at == NULL)
            return false;
        q->at = at;
        q->room = room;
    }
    event.number = q->born++;
    size_t i = q->count++;
    for (; i > 0 && is_before(&event, &q->at[(i - 1) / 2]); i = (i - 1) / 2)
        q->at[i] = q->at[(i - 1) / 2];
    q->at[i] = event;
    return true;
}

bool sim_queue_take(struct sim_queue *q, struct sim_event *to)
{
    if (q->count == 0)
        return false;
    *to = q->at[0];
    struct sim_event last = q->at[--q->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < q->count; i = child) {
        if (child + 1 < q->count && is_before(&q->at[child + 1], &q->at[child]))
            child++;
        if (!is_before(&q->at[child], &last))
            break;
        q->at[i] = q->at[child];
    }
    if (q->count > 0)
        q->at[i] = last;
    return true;
}

void sim_queue_free(struct sim_queue *q)
{
    for (size_t i = 0; i < q->count; i++)
        free(q->at[i].text);
    free(q->at);
    *q = (struct sim_queue){.at = NULL};
}
