/*
 * words.h - the words of a small language, one by one, each with its place: for queries and rollout plans.
 *
 * No heap.  A word is a name (letters, digits, _ - . *), a quoted text ("..." or '...', with \" and \\), a number with
 * an optional unit (10%, 30s, 1.5), or an operator.  Names may hold a version: "1.10.0-rc1" is one word.
 */
#ifndef PLUVIO_FLEET_WORDS_H
#define PLUVIO_FLEET_WORDS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define WORD_SIZE 129 /* longer words are refused */

enum word_kind { WORD_END, WORD_NAME, WORD_TEXT, WORD_OPERATOR, WORD_WRONG };

struct words {
    const char *text, *at;
    enum word_kind kind; /* of the current word */
    char word[WORD_SIZE];
    unsigned column; /* where it begins, from 1 */
    struct why *why;
};

/* `text` must outlive the reader; the first word is current.  `why` may be NULL. */
void words_init(struct words *w, const char *text, struct why *why);
void words_next(struct words *w);

/* Whether the current word is this name (in any case) or operator; words_take moves on when it is. */
bool words_are(const struct words *w, const char *word);
bool words_take(struct words *w, const char *word);

/* Writes "<what>, at column <n>" and returns ERR_FORMAT. */
enum err words_wrong(const struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "90s", "15m", "2h", "7d", "1w"; a number alone counts seconds.  False when it is none or longer than 100 years. */
bool words_duration(const char *word, int64_t *ms);

/* A whole number from 0 to `max`, or false. */
bool words_number(const char *word, int64_t max, int64_t *to);

/* "12.5%" in thousandths, 0 to 1000; false without the sign. */
bool words_permille(const char *word, unsigned *to);

#endif
