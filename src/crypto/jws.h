/*
 * jws.h - whether somebody else's JSON Web Signature is right (RFC 7515, 7517, 7518): RS256, PS256, ES256 alone.
 *
 * For identity tokens of OpenID Connect providers.  Our own tokens are another matter (keys/keys.h).
 */
#ifndef PLUVIO_CRYPTO_JWS_H
#define PLUVIO_CRYPTO_JWS_H

#include "base/bytes.h"
#include "base/err.h"

/* A public key as its parts, big-endian: RSA has n and e, a point of P-256 x and y (32 bytes each); the rest is empty.
 */
struct jwk {
    struct bytes n, e, x, y;
};

/* ERR_SIGNATURE: it is not right, or `algorithm` is none of the three, or not one for such a key; keys of RSA have 2048
 * to 8192 bits. */
enum err jws_verify(const char *algorithm, const struct jwk *key, struct bytes signed_text, struct bytes signature,
                    struct why *why);

#endif
