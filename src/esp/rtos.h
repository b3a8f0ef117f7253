/* rtos.h - what the RTOS layer lends to the rest of this room. */
#ifndef PLUVIO_ESP_RTOS_H
#define PLUVIO_ESP_RTOS_H

#include "esp/include/freertos/FreeRTOS.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* A condition whose waits follow the monotonic clock. */
void rtos_condition_init(pthread_cond_t *c);

/* The moment `ticks` from now; for portMAX_DELAY nothing that is used. */
void rtos_deadline(TickType_t ticks, struct timespec *to);

/* Waits for a signal, with the lock held; false when the time is over.  0 ticks never wait. */
bool rtos_wait(pthread_cond_t *c, pthread_mutex_t *lock, TickType_t ticks, const struct timespec *deadline);

/* Unlocks a mutex: for pthread_cleanup_push, because a task may be deleted while it waits. */
void rtos_unlock(void *mutex);

/* The thread that runs app_main() is the task "main". */
void rtos_adopt_main_task(void);
void rtos_end_main_task(void);

#endif
