/*
 * report.h - what an offline command tells: aligned rows for people, or one JSON document for scripts.
 *
 * Commands say everything once; a label of NULL keeps a value out of the rows, a key of NULL out of the JSON.
 *
 *     struct report r;
 *     report_begin(&r, REPORT_OBJECT, o.is_json);
 *     report_text(&r, "chip", "chip", "%s", chip->name);
 *     report_end(&r);                                         prints
 */
#ifndef PLUVIO_PLUVIO_REPORT_H
#define PLUVIO_PLUVIO_REPORT_H

#include "codec/json.h"
#include "pluvio/commands.h"

struct report {
    bool is_json, is_list, is_silent;
    struct buf text;
    struct json_out out;
};

enum report_shape { REPORT_OBJECT, REPORT_LIST };

void report_begin(struct report *r, enum report_shape shape, bool is_json);
void report_end(struct report *r);

/* One object of a list; `key` names the list within an object and is NULL inside one. */
void report_list(struct report *r, const char *key);
void report_end_list(struct report *r);
void report_item(struct report *r, const char *key);
void report_end_item(struct report *r);

/* An empty text is no row. */
void report_text(struct report *r, const char *key, const char *label, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void report_number(struct report *r, const char *key, const char *label, int64_t value);
void report_address(struct report *r, const char *key, const char *label, uint64_t value); /* people: 0x00010000 */
void report_size(struct report *r, const char *key, const char *label, uint64_t bytes);    /* people: with a unit */
void report_bool(struct report *r, const char *key, const char *label, bool value);
void report_hex(struct report *r, const char *key, const char *label, struct bytes value);

/* For people only: a line as it is, a title, and a verdict with a mark: green, yellow or red. */
void report_line(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_title(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_verdict(struct report *r, enum style style, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What was written where: nothing when it went to standard output. */
void report_written(struct report *r, const char *path, uint64_t bytes);

/* A whole text to a file or standard output (`path` NULL or "-"); with --json, standard output gets it as the member
 * `key` of an object. */
struct options;
enum err report_whole_text(const struct options *o, const char *key, const char *path, struct bytes text, int mode,
                           struct why *why);

/* The n-th signature, as rows and members of the object that is open. */
struct signature_report;
void report_signature(struct report *r, const struct signature_report *s, unsigned index);

/* Says what the chip would not do with these signatures: a scheme that its ROM lacks, blocks that it does not look at.
 */
struct chip;
void report_chip_limits(struct report *r, const struct signature_report *s, const struct chip *chip);

/* What a flash dump or merged image holds, as rows and a list; nothing when it does not come apart. */
void report_dump(struct report *r, const char *path);

/* "1.3 MB"; exact below 1 KB. */
#define SIZE_TEXT_SIZE 24
const char *size_text(char to[static SIZE_TEXT_SIZE], uint64_t bytes);

/* A label or other text from a file with control characters made harmless for a terminal. */
const char *plain_text(char *to, size_t size, const char *from);

#endif
