#include "base/zone.h"

#include <ctype.h>
#include <string.h>

#define DAY_S          86400
#define HOUR_S         3600
#define RULE_HOURS_MAX 167

/* --- reading ---------------------------------------------------------------------------------- */

/* Three or more letters, or anything printable in <>. */
static bool skip_name(const char **at)
{
    const char *c = *at;
    if (*c == '<') {
        const char *end = strchr(c, '>');
        if (end == NULL || end - c < 4)
            return false;
        *at = end + 1;
        return true;
    }
    while (isalpha((unsigned char)*c))
        c++;
    bool is_name = c - *at >= 3;
    *at = c;
    return is_name;
}

static bool take_number(const char **at, int min, int max, int *to)
{
    int value = 0, digits = 0;
    for (; digits < 4 && isdigit((unsigned char)**at); (*at)++, digits++)
        value = value * 10 + **at - '0';
    *to = value;
    return digits > 0 && value >= min && value <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(const char **at, int hours_max, int32_t *to)
{
    int sign = **at == '-' ? -1 : 1, hours, minutes = 0, seconds = 0;
    if (**at == '-' || **at == '+')
        (*at)++;
    if (!take_number(at, 0, hours_max, &hours))
        return false;
    if (**at == ':' && ((*at)++, !take_number(at, 0, 59, &minutes)))
        return false;
    if (**at == ':' && ((*at)++, !take_number(at, 0, 59, &seconds)))
        return false;
    *to = sign * (hours * HOUR_S + minutes * 60 + seconds);
    return true;
}

static bool take_edge(const char **at, struct zone_edge *edge)
{
    *edge = (struct zone_edge){.at_s = 2 * HOUR_S};
    if (*(*at)++ != ',')
        return false;
    bool is_good;
    if (**at == 'M') {
        (*at)++;
        is_good = take_number(at, 1, 12, &edge->month) && *(*at)++ == '.' && take_number(at, 1, 5, &edge->week) &&
                  *(*at)++ == '.' && take_number(at, 0, 6, &edge->day);
    } else if (**at == 'J') {
        (*at)++;
        edge->rule = ZONE_JULIAN;
        is_good = take_number(at, 1, 365, &edge->day);
    } else {
        edge->rule = ZONE_DAY;
        is_good = take_number(at, 0, 365, &edge->day);
    }
    if (is_good && **at == '/') {
        (*at)++;
        is_good = take_time(at, RULE_HOURS_MAX, &edge->at_s);
    }
    return is_good;
}

static bool parse(struct zone *z, const char *at)
{
    if (!skip_name(&at) || !take_time(&at, 24, &z->offset_s))
        return false;
    z->offset_s = -z->offset_s; /* POSIX counts west of Greenwich */
    z->summer_offset_s = z->offset_s + HOUR_S;
    if (*at == '\0')
        return true;
    z->has_summer = true;
    if (!skip_name(&at))
        return false;
    if (*at != ',' && *at != '\0') {
        if (!take_time(&at, 24, &z->summer_offset_s))
            return false;
        z->summer_offset_s = -z->summer_offset_s;
    }
    if (*at == '\0')
        at = ",M3.2.0,M11.1.0"; /* what C libraries take where no rule is given */
    return take_edge(&at, &z->start) && take_edge(&at, &z->end) && *at == '\0';
}

bool zone_parse(struct zone *zone, const char *text)
{
    *zone = (struct zone){.has_summer = false};
    if (strlen(text) < ZONE_TEXT_SIZE && parse(zone, text))
        return true;
    *zone = (struct zone){.has_summer = false};
    return false;
}

/* --- the calendar ----------------------------------------------------------------------------- */

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days from 1970-01-01 to the first of January of a year. */
static int64_t days_to_year(int64_t year)
{
    int64_t y = year - 1;
    return 365 * (year - 1970) + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) - 477;
}

static int64_t year_of(int64_t unix_s)
{
    int64_t days = floor_div(unix_s, DAY_S), year = 1970 + floor_div(days, 366);
    while (days_to_year(year + 1) <= days)
        year++;
    return year;
}

static int month_start(int64_t year, int month)
{
    static const int days[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    return days[month - 1] + (month > 2 && is_leap(year));
}

/* The w-th such weekday of the month; 5 is the last one. */
static int day_in_month(const struct zone_edge *e, int64_t year)
{
    int first = month_start(year, e->month),
        next = e->month == 12 ? month_start(year, 12) + 31 : month_start(year, e->month + 1);
    int64_t weekday = ((days_to_year(year) + first) % 7 + 4 + 7) % 7; /* 1970-01-01 was a Thursday */
    int day = first + (int)((e->day - weekday + 7) % 7) + 7 * (e->week - 1);
    return day < next ? day : day - 7;
}

static int64_t edge_at(const struct zone_edge *e, int64_t year, int32_t offset_s)
{
    int day = e->rule == ZONE_MONTH    ? day_in_month(e, year)
              : e->rule == ZONE_JULIAN ? e->day - 1 + (e->day >= 60 && is_leap(year))
                                       : e->day;
    return (days_to_year(year) + day) * DAY_S + e->at_s - offset_s;
}

int32_t zone_offset_s(const struct zone *z, int64_t unix_s)
{
    if (!z->has_summer)
        return z->offset_s;
    int64_t year = year_of(unix_s + z->offset_s);
    int64_t start = edge_at(&z->start, year, z->offset_s), end = edge_at(&z->end, year, z->summer_offset_s);
    bool is_summer = start < end ? unix_s >= start && unix_s < end : unix_s >= start || unix_s < end;
    return is_summer ? z->summer_offset_s : z->offset_s;
}

int zone_minute(const struct zone *zone, int64_t unix_s)
{
    int64_t local = unix_s + zone_offset_s(zone, unix_s);
    return (int)((local - floor_div(local, DAY_S) * DAY_S) / 60);
}
