/*
 * vesp - a virtual ESP node: flash in a file, the bootloader's rules, and an application that runs out of that flash.
 */
#include "vesp/vesp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command {
    const char *name, *help;
    enum err (*run)(int argc, char **argv, struct why *why);
} commands[] = {
    {"new", "Make a node's flash file", command_new},
    {"run", "Run nodes: bootloader, application, again after every reset", command_run},
    {"reset", "Reset a running node", command_reset},
    {"cut", "Cut a running node's power, now or in the middle of a flash operation to come", command_cut},
    {"ps", "List the nodes that run", command_ps},
    {"log", "Print what a node printed", command_log},
    {"flash", "show, dump or load a node's flash", command_flash},
    {"show", "Show what is in a flash file: partitions, otadata, images", command_show},
};

static void print_help(FILE *to)
{
    fprintf(to, "Usage: vesp COMMAND [OPTION...]\n"
                "A virtual ESP node: its flash is one file in the chip's own formats, vesp is the bootloader, and the\n"
                "application is started out of the flash, so an update really runs new code.\n\n"
                "Commands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(to, "  %-6s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\n`vesp COMMAND --help` tells a command's options.\n\n"
                "An example:\n"
                "  pluvio node add --out node1          credentials of a new node, and its fctry partition\n"
                "  vesp new node1.flash --app blinky-1.0.0.bin --fctry node1/fctry.bin --ca-bundle node1/ca.crt\n"
                "  vesp run node1.flash\n");
}

int main(int argc, char **argv)
{
    struct why why = {{0}};
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0 || strcmp(name, "-?") == 0) {
        print_help(stdout);
        return argc > 1 ? 0 : err_exit_status(ERR_USAGE);
    }
    if (strcmp(name, "--version") == 0) {
        printf("vesp " PLUVIO_VERSION "\n");
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0) {
            char title[32];
            snprintf(title, sizeof title, "vesp %s", name);
            argv[1] = title;
            enum err err = commands[i].run(argc - 1, argv + 1, &why);
            if (err != ERR_NONE)
                fprintf(stderr, "vesp: %s\n", why_text(&why, err));
            return err_exit_status(err);
        }
    fprintf(stderr, "vesp: there is no command %s; `vesp --help` lists them\n", name);
    return err_exit_status(ERR_USAGE);
}
