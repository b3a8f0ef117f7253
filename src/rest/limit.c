#include "rest/limit.h"

#include "base/text.h"

#include <string.h>

void limiter_init(struct limiter *l, double per_s, double burst)
{
    memset(l, 0, sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    l->per_s = per_s;
    l->burst = burst;
}

/* Theirs, or the one that was asked for longest ago. */
static struct limit_bucket *find(struct limiter *l, uint64_t who, time_ms now)
{
    struct limit_bucket *set = l->buckets[(who >> 1) % LIMIT_SETS], *oldest = &set[0];
    for (int i = 0; i < LIMIT_WAYS; i++) {
        if (set[i].who == who)
            return &set[i];
        if (set[i].who == 0 || (oldest->who != 0 && set[i].at < oldest->at))
            oldest = &set[i];
    }
    *oldest = (struct limit_bucket){who, l->burst, now};
    return oldest;
}

bool limiter_ask(struct limiter *l, const char *who, time_ms now, int64_t *wait_ms)
{
    *wait_ms = 0;
    if (l->per_s <= 0)
        return true;
    pthread_mutex_lock(&l->lock);
    struct limit_bucket *b = find(l, text_hash(who) | 1, now);
    if (now > b->at) {
        b->left += (double)(now - b->at) * l->per_s / 1000;
        b->left = b->left > l->burst ? l->burst : b->left;
        b->at = now;
    }
    bool is_fine = b->left >= 1;
    if (is_fine)
        b->left -= 1;
    else
        *wait_ms = (int64_t)((1 - b->left) * 1000 / l->per_s) + 1;
    pthread_mutex_unlock(&l->lock);
    return is_fine;
}
