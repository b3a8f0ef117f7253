/* hooks.h - sends events to webhooks, in a thread of its own. */
#ifndef PLUVIO_PLUVIOD_HOOKS_H
#define PLUVIO_PLUVIOD_HOOKS_H

#include "rest/rest.h"

struct hooks;

/* `calls_own_hosts`: also addresses of this machine.  Pointers stay the caller's. */
enum err hooks_start(struct hooks **hooks, struct fleet *fleet, const struct keys *keys, bool calls_own_hosts,
                     struct log *log, struct why *why);
/* Something happened.  From any thread. */
void hooks_ring(struct hooks *hooks);
void hooks_stop(struct hooks *hooks);

#endif
