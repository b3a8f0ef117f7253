/*
 * calls.h - commands that are one call of REST: a row says where arguments and options go, and what is said afterwards.
 */
#ifndef PLUVIO_PLUVIO_CALLS_H
#define PLUVIO_PLUVIO_CALLS_H

#include "pluvio/commands.h"

#define CALL_ARGUMENTS_MAX 3

/* Where an argument or option goes: "?node_id" into the query, "/" behind the path, "role" into the body,
 * "@certificate" into the body as what the file of that name holds, "[tags" and "[nodes" into the body as a list with
 * all further arguments. */
struct call {
    struct command_line line;
    const char *method, *path;
    const char *arguments[CALL_ARGUMENTS_MAX]; /* in their order */
    const char *fixed;                         /* further query, "activate=false"; NULL: none */
    const char *said;                          /* a sentence with one %s for `shown` of the answer; NULL: the answer */
    const char *shown;                         /* its member; NULL: the first argument */
};

/* Options whose argument is called N or JSON are written as they are, switches as true, those named "...-file" are
 * read: the file's first line goes under the name without "-file". */
enum err call_run(const struct call *call, int argc, char **argv, struct why *why);

/* Things that are found by name: where, and what their members are called. */
struct named {
    const char *path, *list, *name, *id;
};

extern const struct named named_images, named_jobs;

/* The id of the newest of that name; what none is called is taken for an id. */
enum err find_named(struct client *c, const struct named *noun, const char *name, char *id, size_t size,
                    struct why *why);

#endif
