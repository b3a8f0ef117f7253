/*
 * zone.h - local time by a POSIX TZ text ("CET-1CEST,M3.5.0,M10.5.0/3"), without the process's own zone.
 *
 * IEEE Std 1003.1, 8.3, with the extensions that tzdata's texts use: hours of a rule from -167 to 167, names in <>.
 * Nodes in one process (the simulator) have zones of their own, so the C library's one zone would not do.
 */
#ifndef PLUVIO_BASE_ZONE_H
#define PLUVIO_BASE_ZONE_H

#include <stdbool.h>
#include <stdint.h>

struct zone_edge {
    enum zone_rule { ZONE_MONTH, ZONE_JULIAN, ZONE_DAY } rule; /* Mm.w.d, Jn (no 29 February), n (0 to 365) */
    int month, week, day;                                      /* `day` alone for the last two */
    int32_t at_s;                                              /* local time of the change, seconds of the day */
};

struct zone {
    int32_t offset_s, summer_offset_s; /* east of Greenwich is positive */
    bool has_summer;
    struct zone_edge start, end; /* of summer time */
};

#define ZONE_TEXT_SIZE 64 /* longer texts are not POSIX's any more */

/* False, and UTC, for a text that is none. */
bool zone_parse(struct zone *zone, const char *text);

/* What local time is ahead of UTC at that moment (seconds since 1970-01-01 UTC). */
int32_t zone_offset_s(const struct zone *zone, int64_t unix_s);

/* Minute of the local day, 0 to 1439. */
int zone_minute(const struct zone *zone, int64_t unix_s);

#endif
