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

#define OPTIONS_MAX   20 /* beside --json and --output */
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
    enum output_format { OUTPUT_TABLE, OUTPUT_CSV, OUTPUT_JSON } format;
    bool is_json; /* format is OUTPUT_JSON */
};

/* Ends the process for --help and wrong usage; also for OPTIONS_ROFF, after the options were printed for the manual. */
#define OPTIONS_ROFF "--print-roff"

void options_parse(struct options *o, int argc, char **argv, const struct command_line *line);

/* The option's value, "" for a switch that was given, NULL when it was not. */
const char *option(const struct options *o, const char *name);

#endif
