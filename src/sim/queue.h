/*
 * queue.h - what is going to happen, in the order of its time; what is due together happens in the order it was put in.
 */
#ifndef PLUVIO_SIM_QUEUE_H
#define PLUVIO_SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_event {
    int64_t at_ms;
    uint64_t number; /* of its birth */
    int kind;        /* the simulator's */
    unsigned node;   /* index */
    uint32_t ticket; /* of the node's life or wake that it belongs to */
    unsigned value;
    char *text; /* on the heap, or NULL; belongs to who takes the event */
};

struct sim_queue {
    struct sim_event *at;
    size_t count, room;
    uint64_t born;
};

/* False when memory is out. */
bool sim_queue_put(struct sim_queue *q, struct sim_event event);
/* False when it is empty. */
bool sim_queue_take(struct sim_queue *q, struct sim_event *to);
void sim_queue_free(struct sim_queue *q);

#endif
