#include "pluvio-fleet/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CALL_MS 60000

struct list {
    struct pool_task *first, **last;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t threads[POOL_THREADS];
    unsigned thread_count;
    struct list asked, done;
    int fd;
    bool is_stopping;
};

static int64_t monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void append(struct list *l, struct pool_task *t)
{
    t->next = NULL;
    *l->last = t;
    l->last = &t->next;
}

static struct pool_task *take_first(struct list *l)
{
    struct pool_task *t = l->first;
    if (t != NULL && (l->first = t->next) == NULL)
        l->last = &l->first;
    return t;
}

static void make_call(struct pool_task *t)
{
    char authorization[2100];
    snprintf(authorization, sizeof authorization, "Authorization: %s", t->token ? t->token : "");
    struct http_call call = {.method = t->body ? "POST" : "GET",
                             .url = t->url,
                             .headers = {t->token ? authorization : "Accept: */*", "Content-Type: application/json"},
                             .body = t->body ? bytes_of_text(t->body) : bytes_of(NULL, 0),
                             .body_fd = -1,
                             .ca_file = t->ca_file,
                             .timeout_ms = CALL_MS};
    t->asked_ms = monotonic_ms();
    t->err = http_call(&call, &t->answer, &t->why);
    t->took_ms = monotonic_ms() - t->asked_ms;
}

static void *work(void *arg)
{
    struct pool *p = arg;
    const uint64_t one = 1;
    pthread_mutex_lock(&p->lock);
    while (!p->is_stopping) {
        struct pool_task *t = take_first(&p->asked);
        if (t == NULL) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        make_call(t);
        pthread_mutex_lock(&p->lock);
        append(&p->done, t);
        if (write(p->fd, &one, sizeof one) < 0)
            break; /* its counter is full: it is readable all the same */
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct pool *pool_open(void)
{
    struct pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->asked.last = &p->asked.first;
    p->done.last = &p->done.first;
    p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    while (p->fd >= 0 && p->thread_count < POOL_THREADS &&
           pthread_create(&p->threads[p->thread_count], NULL, work, p) == 0)
        p->thread_count++;
    if (p->thread_count > 0)
        return p;
    pool_close(p);
    return NULL;
}

void pool_close(struct pool *p)
{
    struct pool_task *t;
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    while ((t = take_first(&p->asked)) != NULL || (t = take_first(&p->done)) != NULL)
        pool_task_free(t);
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}

int pool_fd(const struct pool *p)
{
    return p->fd;
}

void pool_give(struct pool *p, struct pool_task *task)
{
    pthread_mutex_lock(&p->lock);
    append(&p->asked, task);
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

struct pool_task *pool_take(struct pool *p)
{
    uint64_t count;
    pthread_mutex_lock(&p->lock);
    struct pool_task *t = take_first(&p->done);
    if (t == NULL && read(p->fd, &count, sizeof count) < 0)
        count = 0;
    pthread_mutex_unlock(&p->lock);
    return t;
}

void pool_task_free(struct pool_task *task)
{
    free(task->url);
    free(task->body);
    buf_deinit(&task->answer.body);
    free(task);
}
