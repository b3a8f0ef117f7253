/*
 * pluvio-fleet - many nodes: simulated in one thread from one seed, or joined to a real server.
 *
 *   pluvio-fleet simulate --seeds 200        server and nodes together, with faults, without a socket
 *   pluvio-fleet gateway sim-1a2b3c4d        nodes of a server's simulator, in real time over one connection
 *   pluvio-fleet load --nodes 10000          real connections and downloads, one each, from a few processes
 */
#include "pluvio-fleet/verbs.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct {
        const char *name;
        char title[24]; /* what usage texts call it */
        int (*run)(int argc, char **argv);
    } verbs[] = {{"simulate", "pluvio-fleet simulate", verb_simulate},
                 {"gateway", "pluvio-fleet gateway", verb_gateway},
                 {"load", "pluvio-fleet load", verb_load}};
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[1], verbs[i].name) == 0) {
            argv[1] = verbs[i].title;
            return verbs[i].run(argc - 1, argv + 1);
        }
    bool is_asked = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0);
    fprintf(is_asked ? stdout : stderr,
            "Usage: pluvio-fleet simulate [OPTION...]        server and nodes in one thread, from one seed\n"
            "       pluvio-fleet gateway FOLDER [OPTION...]  a simulator's nodes, joined to its server\n"
            "       pluvio-fleet load [OPTION...]            nodes with a connection each, and downloads\n"
            "`pluvio-fleet VERB --help` tells a verb's options.\n");
    return is_asked ? 0 : 64;
}
