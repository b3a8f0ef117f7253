#include "base/err.h"

#include <stdio.h>
#include <string.h>

static const struct err_row {
    const char *text, *name;
    int http, rainmaker, exit_status;
} rows[ERR_COUNT] = {
#define ERR_ROW(code, text, http, rainmaker, exit_status) [code] = {text, #code, http, rainmaker, exit_status},
    ERR_LIST(ERR_ROW)
#undef ERR_ROW
};

static const struct err_row *row(enum err code)
{
    return &rows[(unsigned)code < ERR_COUNT ? code : ERR_INTERNAL];
}

const char *err_text(enum err code)
{
    return row(code)->text;
}

const char *err_name(enum err code)
{
    return row(code)->name;
}

int err_http_status(enum err code)
{
    return row(code)->http;
}

int err_rainmaker_code(enum err code)
{
    return row(code)->rainmaker;
}

int err_exit_status(enum err code)
{
    return row(code)->exit_status;
}

enum err why_set(struct why *why, enum err code, const char *format, ...)
{
    if (why == NULL)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return code;
}

enum err why_add(struct why *why, enum err code, const char *format, ...)
{
    if (why == NULL)
        return code;
    struct why below = *why;
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    size_t len = strlen(why->text);
    snprintf(why->text + len, sizeof why->text - len, ": %s", below.text[0] ? below.text : err_text(code));
    return code;
}

const char *why_text(const struct why *why, enum err code)
{
    return why != NULL && why->text[0] ? why->text : err_text(code);
}
