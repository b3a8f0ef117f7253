/* pool.h - a few threads that make HTTP calls for an event loop, which takes the answers when its descriptor says so.
 */
#ifndef PLUVIO_FLEET_POOL_H
#define PLUVIO_FLEET_POOL_H

#include "net/http_call.h"

#define POOL_THREADS 16

struct pool;

struct pool_task {
    struct pool_task *next;
    char *url, *body; /* on the heap; body NULL: GET, else POST as JSON */
    const char *token, *ca_file;
    unsigned node; /* whose it is; the pool does not look */
    uint32_t life;
    int64_t asked_ms, took_ms;
    enum err err;
    struct why why;
    struct http_answer answer;
};

/* NULL when memory or threads are out. */
struct pool *pool_open(void);
void pool_close(struct pool *p);

/* Readable when a task is done. */
int pool_fd(const struct pool *p);
/* Takes the task over; with its result it comes back from pool_take. */
void pool_give(struct pool *p, struct pool_task *task);
/* One that is done, or NULL; freed by pool_task_free. */
struct pool_task *pool_take(struct pool *p);
void pool_task_free(struct pool_task *task);

#endif
