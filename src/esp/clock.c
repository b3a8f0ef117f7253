/*
 * The node's wall clock: the host's, until the firmware sets its own; with VESP_CLOCK=unset it begins in 1970, as a
 * chip's does after power-on.  Applications are linked so that their time(), gettimeofday() and settimeofday() come
 * here.
 */
#include "esp.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define MILLION 1000000LL

time_t __real_time(time_t *to);
int __real_gettimeofday(struct timeval *tv, void *zone);
time_t __wrap_time(time_t *to);
int __wrap_gettimeofday(struct timeval *tv, void *zone);
int __wrap_settimeofday(const struct timeval *tv, const void *zone);

static int64_t host_us(void)
{
    struct timeval tv;
    __real_gettimeofday(&tv, NULL);
    return tv.tv_sec * MILLION + tv.tv_usec;
}

/* What the node's clock is ahead of the host's, in microseconds. */
static atomic_llong *ahead(void)
{
    static atomic_llong us;
    static atomic_flag is_known = ATOMIC_FLAG_INIT;
    const char *how = getenv("VESP_CLOCK");
    if (!atomic_flag_test_and_set(&is_known) && how != NULL && strcmp(how, "unset") == 0)
        atomic_store(&us, -host_us());
    return &us;
}

int __wrap_gettimeofday(struct timeval *tv, void *zone)
{
    (void)zone;
    long long now = atomic_load(ahead()) + host_us();
    tv->tv_sec = (time_t)(now / MILLION);
    tv->tv_usec = (suseconds_t)(now % MILLION);
    return 0;
}

time_t __wrap_time(time_t *to)
{
    struct timeval tv;
    __wrap_gettimeofday(&tv, NULL);
    if (to != NULL)
        *to = tv.tv_sec;
    return tv.tv_sec;
}

int __wrap_settimeofday(const struct timeval *tv, const void *zone)
{
    (void)zone;
    atomic_store(ahead(), tv->tv_sec * MILLION + tv->tv_usec - host_us());
    return 0;
}
