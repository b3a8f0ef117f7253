/* system.h - the process's clock, randomness and log: what rooms below get as arguments. */
#ifndef PLUVIO_PLUVIOD_SYSTEM_H
#define PLUVIO_PLUVIOD_SYSTEM_H

#include "base/id.h"
#include "base/log.h"

time_ms system_now(void);
void system_entropy_init(struct entropy *e);

/* One line an event on standard error: time, level, room, text; coloured on a terminal, with priorities for journald.
 */
void system_log_init(struct log *log, enum log_level level);

#endif
