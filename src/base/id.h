/*
 * id.h - identifiers and points in time.
 *
 * Identifiers are what RainMaker's are: 22 characters of a 57-letter alphabet without look-alikes, made of 128 random
 * bits.  Randomness is an argument here, as is time everywhere below the doors.
 */
#ifndef PLUVIO_BASE_ID_H
#define PLUVIO_BASE_ID_H

#include <stdint.h>

#define ID_LEN 22

typedef int64_t time_ms; /* milliseconds since 1970-01-01 UTC; 0 means never or unknown */

struct id {
    char text[ID_LEN + 1];
};

/* Makes an identifier of 16 random bytes. */
struct id id_from_random(const uint8_t random[static 16]);

/* A source of randomness; a program gives the system's, a test a counted one. */
struct entropy {
    void (*fill)(struct entropy *e, void *to, unsigned len);
};

struct id id_new(struct entropy *e);

#endif
