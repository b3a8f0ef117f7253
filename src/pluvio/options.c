#include "pluvio/options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#define KEY_FIRST 0x200
#define KEY_JSON  0x300

static const struct option_row *find_key(const struct command_line *line, int key, unsigned *index)
{
    for (*index = 0; line->rows[*index].name != NULL; ++*index)
        if (key == (line->rows[*index].key ? line->rows[*index].key : KEY_FIRST + (int)*index))
            return &line->rows[*index];
    return NULL;
}

static error_t take(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    unsigned index;
    if (key == KEY_JSON) {
        o->is_json = true;
        return 0;
    }
    if (key == ARGP_KEY_ARG) {
        if (o->count >= o->line->most || o->count >= ARGUMENTS_MAX)
            argp_error(state, "\"%s\" is one argument too many", arg);
        o->arguments[o->count++] = arg;
        return 0;
    }
    if (key == ARGP_KEY_END && o->count < o->line->least)
        argp_error(state, "%s is missing", o->line->arguments);
    if (find_key(o->line, key, &index) == NULL)
        return ARGP_ERR_UNKNOWN;
    o->values[index] = arg ? arg : "";
    return 0;
}

void options_parse(struct options *o, int argc, char **argv, const struct command_line *line)
{
    struct argp_option rows[OPTIONS_MAX + 2];
    unsigned n = 0;
    memset(rows, 0, sizeof rows);
    memset(o, 0, sizeof *o);
    o->line = line;
    for (; line->rows[n].name != NULL; n++)
        rows[n] =
            (struct argp_option){line->rows[n].name,     line->rows[n].key ? line->rows[n].key : KEY_FIRST + (int)n,
                                 line->rows[n].argument, 0,
                                 line->rows[n].help,     1};
    rows[n] = (struct argp_option){"json", KEY_JSON, NULL, 0, "Print JSON, for scripts", 2};
    struct argp argp = {rows, take, line->arguments, line->help, NULL, NULL, NULL};
    argp_parse(&argp, argc, argv, 0, NULL, o);
}

const char *option(const struct options *o, const char *name)
{
    for (unsigned i = 0; o->line->rows[i].name != NULL; i++)
        if (strcmp(o->line->rows[i].name, name) == 0)
            return o->values[i];
    abort(); /* a name that is not in the table is a mistake in this program */
}
