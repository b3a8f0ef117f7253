#include "pluviod/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

time_ms system_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (time_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void fill(struct entropy *e, void *to, unsigned len)
{
    (void)e;
    for (unsigned done = 0; done < len;) {
        ssize_t n = getrandom((char *)to + done, len - done, 0);
        if (n < 0)
            abort(); /* without randomness no key and no token is safe */
        done += (unsigned)n;
    }
}

void system_entropy_init(struct entropy *e)
{
    e->fill = fill;
}

static void write_line(struct log *log, enum log_level level, const char *room, const char *text)
{
    static const char *const names[] = {"error", "warn ", "info ", "debug"};
    static const char *const colours[] = {"\033[31m", "\033[33m", "", "\033[2m"};
    static const int priorities[] = {3, 4, 6, 7};
    char stamp[32];
    struct timespec t;
    struct tm tm;
    (void)log;
    clock_gettime(CLOCK_REALTIME, &t);
    localtime_r(&t.tv_sec, &tm);
    strftime(stamp, sizeof stamp, "%H:%M:%S", &tm);
    if (getenv("JOURNAL_STREAM") != NULL)
        fprintf(stderr, "<%d>%s: %s\n", priorities[level], room, text);
    else if (isatty(STDERR_FILENO))
        fprintf(stderr, "%s%s.%03ld %s %-6s %s\033[0m\n", colours[level], stamp, t.tv_nsec / 1000000, names[level],
                room, text);
    else
        fprintf(stderr, "%s.%03ld %s %-6s %s\n", stamp, t.tv_nsec / 1000000, names[level], room, text);
}

void system_log_init(struct log *log, enum log_level level)
{
    *log = (struct log){write_line, level};
}
