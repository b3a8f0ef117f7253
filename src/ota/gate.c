#include "codec/json.h"
#include "ota/ota.h"

#include <string.h>

#define CLOCK_IS_SET_S   1546300800 /* 2019-01-01: an earlier clock was never set */
#define NO_TIME_DELAY_MS 30000
#define BUFFER_S         5
#define MINUTES_A_DAY    1440

static int64_t member(const struct json *object, const char *key)
{
    int64_t value;
    return json_int(json_get(object, key), &value) ? value : -1;
}

static enum ota_gate later(const char **text, int64_t *delay_ms, const char *why, int64_t delay_s)
{
    *text = why;
    *delay_ms = delay_s * 1000;
    return OTA_GATE_IS_LATER;
}

static enum ota_gate shut(const char **text, const char *why)
{
    *text = why;
    return OTA_GATE_IS_SHUT;
}

/* Both ends belong to the window; a start after the end means a window across midnight. */
static bool is_inside(int64_t start, int64_t end, int minute)
{
    return start <= end ? minute >= start && minute <= end : minute >= start || minute <= end;
}

static enum ota_gate check(const struct json *meta, int64_t now_s, int minute, const char **text, int64_t *delay_ms)
{
    const struct json *validity = json_get(meta, "validity"), *window = json_get(meta, "download_window");
    if (!json_is_object(validity) && !json_is_object(window))
        return OTA_GATE_IS_OPEN;
    if (now_s <= CLOCK_IS_SET_S)
        return later(text, delay_ms, "No time information available yet.", NO_TIME_DELAY_MS / 1000);
    int64_t from = member(validity, "start"), until = member(validity, "end");
    if (from != -1 && now_s < from)
        return later(text, delay_ms, "Not within valid window.", from - now_s + BUFFER_S);
    if (until != -1 && now_s > until)
        return shut(text, "OTA download window lapsed.");
    int64_t start = member(window, "start"), end = member(window, "end");
    if (start == -1)
        return OTA_GATE_IS_OPEN;
    if (end == -1)
        return shut(text, "Invalid download window specified.");
    if (is_inside(start, end, minute))
        return OTA_GATE_IS_OPEN;
    int64_t minutes = (start - minute + MINUTES_A_DAY) % MINUTES_A_DAY;
    return later(text, delay_ms, "Not within download window.", minutes * 60 + BUFFER_S);
}

enum ota_gate ota_check_gate(const char *metadata, int64_t now_s, int minute, const char **text, int64_t *delay_ms)
{
    struct json *meta;
    /* Text that is no JSON is ignored, as the original does: the job goes on. */
    if (metadata == NULL || json_parse(bytes_of_text(metadata), &meta, NULL) != ERR_NONE)
        return OTA_GATE_IS_OPEN;
    enum ota_gate gate = check(meta, now_s, minute, text, delay_ms);
    json_free(meta);
    return gate;
}

const char *ota_check_header(const struct app_desc *running, const struct app_desc *offered,
                             const struct ota_header_options *options)
{
    if (!options->skip_project_name && strcmp(running->project_name, offered->project_name) != 0)
        return "Project Name mismatch";
    if (!options->skip_version && strcmp(running->version, offered->version) == 0)
        return "Same version received";
    if (!options->skip_secure_version && offered->secure_version < options->secure_version)
        return "Lower secure version received";
    return NULL;
}
