/* Log lines in ESP-IDF's form, with a level for each tag. */
#include "esp/include/esp_log.h"

#include "esp/esp.h"
#include "esp/include/esp_timer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TAGS_MAX  32 /* with a level of their own */
#define TAG_LEN   32
#define LINE_MAX_ 1024

static struct {
    pthread_mutex_t lock;
    esp_log_level_t level; /* of the other tags */
    struct {
        char tag[TAG_LEN];
        esp_log_level_t level;
    } tags[TAGS_MAX];
    unsigned count;
    vprintf_like_t print;
} journal = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = ESP_LOG_INFO, .print = vprintf}; /* part of the context */

void esp_log_start(int level)
{
    journal.level = (esp_log_level_t)level;
    journal.count = 0;
}

void esp_log_level_set(const char *tag, esp_log_level_t level)
{
    unsigned i = 0;
    pthread_mutex_lock(&journal.lock);
    if (strcmp(tag, "*") == 0) {
        journal.level = level;
        journal.count = 0; /* as on the chip: single tags lose theirs */
    } else {
        while (i < journal.count && strcmp(journal.tags[i].tag, tag) != 0)
            i++;
        if (i < TAGS_MAX && strlen(tag) < TAG_LEN) {
            snprintf(journal.tags[i].tag, TAG_LEN, "%s", tag);
            journal.tags[i].level = level;
            journal.count += i == journal.count;
        }
    }
    pthread_mutex_unlock(&journal.lock);
}

esp_log_level_t esp_log_level_get(const char *tag)
{
    pthread_mutex_lock(&journal.lock);
    esp_log_level_t level = journal.level;
    for (unsigned i = 0; i < journal.count; i++)
        if (strcmp(journal.tags[i].tag, tag) == 0)
            level = journal.tags[i].level;
    pthread_mutex_unlock(&journal.lock);
    return level;
}

vprintf_like_t esp_log_set_vprintf(vprintf_like_t func)
{
    vprintf_like_t before = journal.print;
    journal.print = func;
    return before;
}

uint32_t esp_log_timestamp(void)
{
    return (uint32_t)(esp_timer_get_time() / 1000);
}

uint32_t esp_log_early_timestamp(void)
{
    return esp_log_timestamp();
}

char *esp_log_system_timestamp(void)
{
    static char text[16]; /* as on the chip: one text for all */
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    snprintf(text, sizeof text, "%02d:%02d:%02d.%03ld", parts.tm_hour % 100, parts.tm_min % 100, parts.tm_sec % 100,
             now.tv_nsec / 1000000 % 1000);
    return text;
}

void esp_log_writev(esp_log_level_t level, const char *tag, const char *format, va_list args)
{
    if (level <= esp_log_level_get(tag))
        journal.print(format, args);
}

void esp_log_write(esp_log_level_t level, const char *tag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    esp_log_writev(level, tag, format, args);
    va_end(args);
}

/* One line at once, so that tasks do not mix theirs. */
void esp_log_line(esp_log_level_t level, const char *tag, const char *format, ...)
{
    static const char letters[] = "NEWIDV";
    char line[LINE_MAX_];
    va_list args;
    if (level > esp_log_level_get(tag))
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    esp_log_write(level, tag, "%c (%u) %s: %s\n", letters[level], (unsigned)esp_log_timestamp(), tag, line);
}

void esp_log_buffer_hex_internal(const char *tag, const void *buffer, uint16_t len, esp_log_level_t level)
{
    const uint8_t *bytes = buffer;
    for (unsigned at = 0; at < len; at += 16) {
        char line[16 * 3 + 1] = "";
        for (unsigned i = at; i < len && i < at + 16; i++)
            snprintf(line + 3 * (i - at), sizeof line - 3 * (i - at), "%02x ", bytes[i]);
        esp_log_line(level, tag, "%s", line);
    }
}

void esp_log_buffer_char_internal(const char *tag, const void *buffer, uint16_t len, esp_log_level_t level)
{
    const char *text = buffer;
    for (unsigned at = 0; at < len; at += 16)
        esp_log_line(level, tag, "%.*s", len - at < 16 ? (int)(len - at) : 16, text + at);
}

void esp_log_buffer_hexdump_internal(const char *tag, const void *buffer, uint16_t len, esp_log_level_t level)
{
    const uint8_t *bytes = buffer;
    for (unsigned at = 0; at < len; at += 16) {
        char hex[16 * 3 + 1] = "", text[17] = "";
        for (unsigned i = at; i < len && i < at + 16; i++) {
            snprintf(hex + 3 * (i - at), sizeof hex - 3 * (i - at), "%02x ", bytes[i]);
            text[i - at] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.';
        }
        esp_log_line(level, tag, "%p  %-48s |%s|", (const void *)(bytes + at), hex, text);
    }
}
