/*
 * options.h - the options of one command as a table, parsed by argp.
 *
 *     static const struct option_row rows[] = {{"out", 'o', "FOLDER", "Where the files go"}, {0}};
 *     struct options o;
 *     options_parse(&o, argc, argv, &(struct command_line){rows, "FILE...", "What it does.", 1, 8});
 *     const char *out = option(&o, "out");
 */
#ifndef PLUVIO_PLUVIO_OPTIONS_H
#define PLUVIO_PLUVIO_OPTIONS_H

#include <stdbool.h>

#define OPTIONS_MAX   16
#define ARGUMENTS_MAX 100

struct option_row {
    const char *name;
    int key;              /* a letter, or 0 */
    const char *argument; /* NULL: a switch */
    const char *help;
};

struct command_line {
    const struct option_row *rows; /* ends with name NULL */
    const char *arguments, *help;  /* "FILE..." and what the command does */
    unsigned least, most;          /* how many arguments */
};

struct options {
    const struct command_line *line;
    const char *values[OPTIONS_MAX], *arguments[ARGUMENTS_MAX];
    unsigned count;
    bool is_json;
};

/* Ends the process for --help and wrong usage. */
void options_parse(struct options *o, int argc, char **argv, const struct command_line *line);

/* The option's value, "" for a switch that was given, NULL when it was not. */
const char *option(const struct options *o, const char *name);

#endif
