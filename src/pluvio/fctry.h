/* fctry.h - the factory partition of a RainMaker node: its credentials as NVS blobs in the namespace rmaker_creds. */
#ifndef PLUVIO_PLUVIO_FCTRY_H
#define PLUVIO_PLUVIO_FCTRY_H

#include "base/bytes.h"
#include "base/err.h"

#define FCTRY_BYTES  0x6000 /* of RainMaker's partition tables */
#define RANDOM_BYTES 64     /* for the proof of possession in provisioning examples */

struct fctry {
    struct bytes node_id, mqtt_host, client_cert, client_key; /* without terminators; an empty one is left out */
    struct bytes mqtt_cred_host, random;
};

/* Writes the whole partition, byte for byte as Espressif's generator makes it of the same values in this order.
 * `size`: a multiple of 4096. */
enum err fctry_make(const struct fctry *f, uint8_t *bytes, uint32_t size, struct why *why);

#endif
