/* verbs.h - the verbs of pluvio-fleet: each reads its own options; the process's exit status comes back. */
#ifndef PLUVIO_PLUVIO_FLEET_VERBS_H
#define PLUVIO_PLUVIO_FLEET_VERBS_H

int verb_simulate(int argc, char **argv);
int verb_gateway(int argc, char **argv);
int verb_load(int argc, char **argv);

#endif
