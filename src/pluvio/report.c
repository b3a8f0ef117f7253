#include "pluvio/report.h"

#include "base/text.h"
#include "codec/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINE_SIZE 1024
#define HEX_MAX   512

void report_begin(struct report *r, enum report_shape shape, bool is_json)
{
    *r = (struct report){.is_json = is_json, .is_list = shape == REPORT_LIST};
    json_out_init(&r->out, &r->text);
    if (r->is_list)
        json_out_array(&r->out, NULL);
    else
        json_out_object(&r->out, NULL);
}

void report_end(struct report *r)
{
    if (r->is_list)
        json_out_end_array(&r->out);
    else
        json_out_end_object(&r->out);
    if (r->is_json && !r->is_silent)
        printf("%s\n", r->text.is_failed ? "null" : r->text.at);
    buf_deinit(&r->text);
}

void report_list(struct report *r, const char *key)
{
    json_out_array(&r->out, key);
}

void report_end_list(struct report *r)
{
    json_out_end_array(&r->out);
}

void report_item(struct report *r, const char *key)
{
    json_out_object(&r->out, key);
}

void report_end_item(struct report *r)
{
    json_out_end_object(&r->out);
}

static void row(const struct report *r, const char *label, const char *value)
{
    if (!r->is_json && label != NULL && *value)
        printf("  %s%-16s%s %s\n", style(STYLE_DIM), label, style(STYLE_NONE), value);
}

void report_text(struct report *r, const char *key, const char *label, const char *format, ...)
{
    char value[LINE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (key != NULL)
        json_out_text(&r->out, key, value);
    row(r, label, plain_text(value, sizeof value, value));
}

void report_number(struct report *r, const char *key, const char *label, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    if (key != NULL)
        json_out_int(&r->out, key, value);
    row(r, label, text);
}

void report_address(struct report *r, const char *key, const char *label, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "0x%08" PRIx64, value);
    if (key != NULL)
        json_out_int(&r->out, key, (int64_t)value);
    row(r, label, text);
}

void report_size(struct report *r, const char *key, const char *label, uint64_t bytes)
{
    char text[64], unit[SIZE_TEXT_SIZE];
    snprintf(text, sizeof text, bytes < 1024 ? "%" PRIu64 " bytes" : "%" PRIu64 " bytes (%s)", bytes,
             size_text(unit, bytes));
    if (key != NULL)
        json_out_int(&r->out, key, (int64_t)bytes);
    row(r, label, text);
}

void report_bool(struct report *r, const char *key, const char *label, bool value)
{
    if (key != NULL)
        json_out_bool(&r->out, key, value);
    row(r, label, value ? "yes" : "no");
}

void report_hex(struct report *r, const char *key, const char *label, struct bytes value)
{
    char text[2 * HEX_MAX + 1];
    hex_encode(text, bytes_of(value.at, value.len < HEX_MAX ? value.len : HEX_MAX));
    if (key != NULL)
        json_out_text(&r->out, key, text);
    row(r, label, text);
}

void report_line(struct report *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!r->is_json)
        vprintf(format, args);
    va_end(args);
    if (!r->is_json)
        printf("\n");
}

void report_title(struct report *r, const char *format, ...)
{
    char value[LINE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (!r->is_json)
        printf("%s%s%s\n", style(STYLE_BOLD), plain_text(value, sizeof value, value), style(STYLE_NONE));
}

void report_verdict(struct report *r, enum style s, const char *format, ...)
{
    char value[LINE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (!r->is_json)
        printf("  %s%s %s%s\n", style(s),
               s == STYLE_RED      ? "✗"
               : s == STYLE_YELLOW ? "!"
                                   : "✓",
               plain_text(value, sizeof value, value), style(STYLE_NONE));
}

void report_written(struct report *r, const char *path, uint64_t bytes)
{
    char unit[SIZE_TEXT_SIZE];
    if (strcmp(path, "-") == 0) {
        r->is_json = true; /* nothing may be printed between the bytes: the document is dropped too */
        r->is_silent = true;
        return;
    }
    report_text(r, "output", NULL, "%s", path);
    report_number(r, "bytes", NULL, (int64_t)bytes);
    report_text(r, NULL, "written", "%s, %s", path, size_text(unit, bytes));
}

enum err report_whole_text(const struct options *o, const char *key, const char *path, struct bytes text, int mode,
                           struct why *why)
{
    struct report r;
    bool is_output = path == NULL || strcmp(path, "-") == 0;
    if (!is_output || !o->is_json) {
        enum err err = write_output(is_output ? "-" : path, text, mode, why);
        if (err != ERR_NONE || is_output)
            return err;
    }
    report_begin(&r, REPORT_OBJECT, o->is_json);
    if (is_output)
        json_out_text(&r.out, key, (const char *)text.at);
    else
        report_written(&r, path, text.len);
    report_end(&r);
    return ERR_NONE;
}

const char *size_text(char to[static SIZE_TEXT_SIZE], uint64_t bytes)
{
    static const char *const units[] = {"KB", "MB", "GB"};
    double value = (double)bytes / 1024;
    int unit = 0;
    for (; value >= 1024 && unit < 2; unit++)
        value /= 1024;
    if (bytes < 1024)
        snprintf(to, SIZE_TEXT_SIZE, "%u B", (unsigned)bytes);
    else
        snprintf(to, SIZE_TEXT_SIZE, value == (double)(uint64_t)value ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return to;
}

const char *plain_text(char *to, size_t size, const char *from)
{
    size_t n = 0;
    for (; from[n] != '\0' && n + 1 < size; n++) {
        unsigned char c = (unsigned char)from[n];
        to[n] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    to[n] = '\0';
    return to;
}
