/*
 * runner.h - simulators that the server runs beside itself: `pluvio-fleet gateway` as a child for each.
 *
 * Each has a folder with its credentials and how it behaves; what lies there is run again at the next start.  A child
 * that ends by itself is started again; all die with us.
 */
#ifndef PLUVIO_PLUVIOD_RUNNER_H
#define PLUVIO_PLUVIOD_RUNNER_H

#include "base/log.h"
#include "rest/rest.h"

#include <pthread.h>

#define RUNNER_MAX 16 /* simulators at a time */

struct runner {
    struct rest_runner port;
    char folder[512], program[512];
    const char *mqtt_host, *ca_pem;
    struct log *log;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping;
    struct runner_child {
        struct runner *of;
        char name[32];
        pthread_t thread;
        pid_t pid;
        bool is_used, is_stopping;
    } children[RUNNER_MAX];
};

/* `folder`: its own; made if need be.  `program`: pluvio-fleet.  Strings stay the caller's.  False when the program is
 * not there: nothing can be simulated then. */
bool runner_init(struct runner *r, const char *folder, const char *program, const char *mqtt_host, const char *ca_pem,
                 struct log *log);
/* Runs what lies in the folder. */
enum err runner_start(struct runner *r, struct why *why);
void runner_stop(struct runner *r);

#endif
