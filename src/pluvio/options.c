#include "pluvio/options.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>

#define KEY_FIRST  0x200
#define KEY_JSON   0x300
#define KEY_FORMAT 0x301

static const struct option_row *find_key(const struct command_line *line, int key, unsigned *index)
{
    for (*index = 0; line->rows[*index].name != NULL; ++*index)
        if (key == (line->rows[*index].key ? line->rows[*index].key : KEY_FIRST + (int)*index))
            return &line->rows[*index];
    return NULL;
}

static bool find_format(const char *word, enum output_format *to)
{
    static const char *const words[] = {"table", "csv", "json"};
    for (int i = 0; i <= OUTPUT_JSON; i++)
        if (strcmp(words[i], word) == 0) {
            *to = (enum output_format)i;
            return true;
        }
    return false;
}

static bool has_output(const struct command_line *line)
{
    for (unsigned i = 0; line->rows[i].name != NULL; i++)
        if (strcmp(line->rows[i].name, "output") == 0)
            return true;
    return false;
}

static error_t take(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    unsigned index;
    if (key == KEY_JSON) {
        o->format = OUTPUT_JSON;
        return 0;
    }
    if (key == KEY_FORMAT) {
        if (!find_format(arg, &o->format))
            argp_error(state, "--output must be table, csv or json, not %s", arg);
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

static void print_escaped(const char *text)
{
    for (const char *at = text; *at; at++)
        printf(*at == '\\' || *at == '-' ? "\\%c" : "%c", *at);
}

/* A command's part of the manual page, from the table that --help is made from. */
static noreturn void print_roff(const struct command_line *line, const struct argp_option *rows)
{
    printf(".RS\n");
    if (line->arguments[0]) {
        printf("Arguments: ");
        print_escaped(line->arguments);
        printf("\n.br\n");
    }
    for (; rows->name != NULL; rows++) {
        bool has_letter = rows->key < KEY_FIRST;
        printf(".TP\n.B ");
        if (has_letter)
            printf("\\-%c, ", rows->key);
        printf("\\-\\-");
        print_escaped(rows->name);
        if (rows->arg != NULL)
            printf("=%s", rows->arg);
        printf("\n");
        print_escaped(rows->doc);
        printf("\n");
    }
    printf(".RE\n");
    exit(0);
}

void options_parse(struct options *o, int argc, char **argv, const struct command_line *line)
{
    struct argp_option rows[OPTIONS_MAX + 3];
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
    if (!has_output(line))
        rows[n + 1] = (struct argp_option){
            "output", KEY_FORMAT, "FORMAT", 0, "table, csv (of lists) or json (default: table)", 2};
    if (argc == 2 && strcmp(argv[1], OPTIONS_ROFF) == 0)
        print_roff(line, rows);
    struct argp argp = {rows, take, line->arguments, line->help, NULL, NULL, NULL};
    argp_parse(&argp, argc, argv, 0, NULL, o);
    o->is_json = o->format == OUTPUT_JSON;
}

const char *option(const struct options *o, const char *name)
{
    for (unsigned i = 0; o->line->rows[i].name != NULL; i++)
        if (strcmp(o->line->rows[i].name, name) == 0)
            return o->values[i];
    abort(); /* a name that is not in the table is a mistake in this program */
}
