/* rtos.h - what the RTOS layer lends to the timers. */
#ifndef PLUVIO_ESP_RTOS_H
#define PLUVIO_ESP_RTOS_H

#include <pthread.h>

/* A condition whose waits follow the monotonic clock. */
void rtos_condition_init(pthread_cond_t *c);

#endif
