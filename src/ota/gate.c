/* Questions about time and header: may this image be downloaded now, may it be installed at all. */
#include "ota/ota.h"

#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_IS_SET_S   1546300800 /* 2019-01-01: an earlier clock was never set */
#define NO_TIME_DELAY_MS 30000
#define BUFFER_S         5
#define MINUTES_A_DAY    1440
#define WAIT_MAX_S       (366 * 86400LL) /* what begins later is asked for once a year, and put off again */

/* --- time ------------------------------------------------------------------------------------- */

static int64_t member(const struct json_view *v, int object, const char *key)
{
    int64_t value;
    return json_view_int(v, json_view_find(v, object, key), &value) ? value : -1;
}

void ota_terms_read(struct ota_terms *terms, struct bytes metadata, struct json_token *tokens, unsigned room)
{
    struct json_view v;
    *terms = (struct ota_terms){false, -1, -1, -1, -1};
    if (!json_view_parse(&v, metadata, tokens, room))
        return;
    int validity = json_view_find(&v, 0, "validity"), window = json_view_find(&v, 0, "download_window");
    terms->is_given = json_view_is_object(&v, validity) || json_view_is_object(&v, window);
    terms->valid_from_s = member(&v, validity, "start");
    terms->valid_until_s = member(&v, validity, "end");
    terms->window_start = member(&v, window, "start");
    terms->window_end = member(&v, window, "end");
}

static enum ota_event_kind later(const char **text, int64_t *delay_ms, const char *why, int64_t delay_s)
{
    *text = why;
    *delay_ms = (delay_s < WAIT_MAX_S ? delay_s : WAIT_MAX_S) * 1000;
    return OTA_GATE_LATER;
}

static enum ota_event_kind shut(const char **text, const char *why)
{
    *text = why;
    return OTA_GATE_SHUT;
}

/* Both ends belong to the window; a start after the end means a window across midnight. */
static bool is_inside(int64_t start, int64_t end, int minute)
{
    return start <= end ? minute >= start && minute <= end : minute >= start || minute <= end;
}

static bool is_minute(int64_t value)
{
    return value >= 0 && value < MINUTES_A_DAY;
}

/* Until the window opens.  Where summer time begins or ends in between, local minutes are not elapsed ones. */
static int64_t wait_s(const struct zone *zone, int64_t unix_s, int64_t start, int minute)
{
    int64_t delay = (start - minute + MINUTES_A_DAY) % MINUTES_A_DAY * 60;
    int64_t shifted = delay + zone_offset_s(zone, unix_s) - zone_offset_s(zone, unix_s + delay);
    return shifted > 0 ? shifted : delay;
}

enum ota_event_kind ota_check_terms(const struct ota_terms *t, const struct zone *zone, int64_t unix_s,
                                    const char **text, int64_t *delay_ms)
{
    if (t == NULL || !t->is_given)
        return OTA_GATE_OPEN;
    if (unix_s <= CLOCK_IS_SET_S)
        return later(text, delay_ms, "No time information available yet.", NO_TIME_DELAY_MS / 1000);
    if (t->valid_from_s != -1 && unix_s < t->valid_from_s)
        return later(text, delay_ms, "Not within valid window.", t->valid_from_s - unix_s + BUFFER_S);
    if (t->valid_until_s != -1 && unix_s > t->valid_until_s)
        return shut(text, "OTA download window lapsed.");
    if (t->window_start == -1)
        return OTA_GATE_OPEN;
    if (!is_minute(t->window_start) || !is_minute(t->window_end))
        return shut(text, "Invalid download window specified.");
    int minute = zone_minute(zone, unix_s);
    if (is_inside(t->window_start, t->window_end, minute))
        return OTA_GATE_OPEN;
    return later(text, delay_ms, "Not within download window.",
                 wait_s(zone, unix_s, t->window_start, minute) + BUFFER_S);
}

/* --- header ----------------------------------------------------------------------------------- */

const char *ota_check_header(const struct app_desc *running, const struct app_desc *offered,
                             const struct ota_options *options)
{
    if (!options->skips_project_name && strcmp(running->project_name, offered->project_name) != 0)
        return "Project Name mismatch";
    if (!options->skips_version && strcmp(running->version, offered->version) == 0)
        return "Same version received";
    if (!options->skips_secure_version && offered->secure_version < options->secure_version)
        return "Lower secure version received";
    if (options->refuses_downgrade && text_compare_versions(offered->version, running->version) < 0)
        return "Lower version received";
    return NULL;
}
