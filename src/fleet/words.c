#include "fleet/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_name_character(char c)
{
    return isalnum((unsigned char)c) || strchr("_-.*%+/@", c) != NULL || (unsigned char)c >= 0x80;
}

static void take_quoted(struct words *w)
{
    char quote = *w->at++;
    size_t len = 0;
    for (; *w->at && *w->at != quote; w->at++) {
        if (*w->at == '\\' && w->at[1] != '\0')
            w->at++;
        if (len < WORD_SIZE)
            w->word[len++] = *w->at;
    }
    w->kind = *w->at == quote && len < WORD_SIZE ? WORD_TEXT : WORD_WRONG;
    w->at += *w->at == quote;
    w->word[len < WORD_SIZE ? len : WORD_SIZE - 1] = '\0';
}

static void take_name(struct words *w)
{
    size_t len = 0;
    for (; *w->at && is_name_character(*w->at); w->at++)
        if (len < WORD_SIZE)
            w->word[len++] = *w->at;
    w->kind = len < WORD_SIZE ? WORD_NAME : WORD_WRONG;
    w->word[len < WORD_SIZE ? len : WORD_SIZE - 1] = '\0';
}

static void take_operator(struct words *w)
{
    static const char *const operators[] = {"!=", "<=", ">=", "&&", "||", "==", "!~", "!", "<",
                                            ">",  "=",  "~",  "(",  ")",  ",",  ":",  ";"};
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (strncmp(w->at, operators[i], strlen(operators[i])) == 0) {
            w->kind = WORD_OPERATOR;
            memcpy(w->word, operators[i], strlen(operators[i]) + 1);
            w->at += strlen(operators[i]);
            return;
        }
    w->kind = WORD_WRONG;
    w->word[0] = *w->at++;
    w->word[1] = '\0';
}

void words_next(struct words *w)
{
    while (isspace((unsigned char)*w->at))
        w->at++;
    w->column = (unsigned)(w->at - w->text) + 1;
    w->word[0] = '\0';
    if (*w->at == '\0')
        w->kind = WORD_END;
    else if (*w->at == '"' || *w->at == '\'')
        take_quoted(w);
    else if (is_name_character(*w->at))
        take_name(w);
    else
        take_operator(w);
}

void words_init(struct words *w, const char *text, struct why *why)
{
    *w = (struct words){.text = text, .at = text, .why = why};
    words_next(w);
}

bool words_are(const struct words *w, const char *word)
{
    return (w->kind == WORD_NAME || w->kind == WORD_OPERATOR) && strcasecmp(w->word, word) == 0;
}

bool words_take(struct words *w, const char *word)
{
    bool is_it = words_are(w, word);
    if (is_it)
        words_next(w);
    return is_it;
}

enum err words_wrong(const struct words *w, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return why_set(w->why, ERR_FORMAT, "%s, at column %u", text, w->column);
}

bool words_number(const char *word, int64_t max, int64_t *to)
{
    char *end;
    if (!isdigit((unsigned char)*word))
        return false;
    errno = 0;
    long long value = strtoll(word, &end, 10);
    *to = value;
    return *end == '\0' && errno == 0 && value <= max;
}

bool words_duration(const char *word, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = {{"", 1},     {"s", 1},     {"sec", 1},    {"m", 60},      {"min", 60},
                 {"h", 3600}, {"d", 86400}, {"w", 604800}, {"y", 31536000}};
    char *end;
    if (!isdigit((unsigned char)*word))
        return false;
    errno = 0;
    long long value = strtoll(word, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcasecmp(end, units[i].unit) == 0 && errno == 0 && value <= 3153600000LL / units[i].seconds) {
            *ms = value * units[i].seconds * 1000;
            return true;
        }
    return false;
}

bool words_permille(const char *word, unsigned *to)
{
    unsigned whole = 0, tenth = 0;
    const char *at = word;
    if (!isdigit((unsigned char)*at))
        return false;
    for (; isdigit((unsigned char)*at) && whole <= 100; at++)
        whole = whole * 10 + (unsigned)(*at - '0');
    if (*at == '.' && isdigit((unsigned char)at[1])) {
        tenth = (unsigned)(at[1] - '0');
        at += 2;
    }
    *to = whole * 10 + tenth;
    return strcmp(at, "%") == 0 && *to <= 1000;
}
