/* listing.h - a collection of the server as a table, page after page to its end. */
#ifndef PLUVIO_PLUVIO_LISTING_H
#define PLUVIO_PLUVIO_LISTING_H

#include "pluvio/commands.h"

struct listing {
    const char *path;    /* of REST, without query */
    const char *members; /* the array in each answer */
    const char *help;
    const char *all_help; /* what the switch --all adds (it goes to the server as all=true); NULL: no such switch */
    void (*print_head)(void);
    void (*print_row)(const struct json *member);
};

/* Runs the command: prints every member, or with --json one document a page. */
enum err list_all(const struct listing *l, int argc, char **argv, struct why *why);

#endif
