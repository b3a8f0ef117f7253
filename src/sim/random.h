/* random.h - the simulator's randomness: SplitMix64, from one seed. */
#ifndef PLUVIO_SIM_RANDOM_H
#define PLUVIO_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_next(struct sim_random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 to n - 1; 0 for n = 0. */
static inline int64_t sim_below(struct sim_random *r, int64_t n)
{
    return n > 0 ? (int64_t)(sim_next(r) % (uint64_t)n) : 0;
}

static inline int64_t sim_between(struct sim_random *r, int64_t least, int64_t most)
{
    return least + sim_below(r, most - least + 1);
}

/* True with a chance of `millionths`. */
static inline bool sim_chance(struct sim_random *r, int64_t millionths)
{
    return sim_below(r, 1000000) < millionths;
}

#endif
