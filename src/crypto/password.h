/*
 * password.h - passwords, as Argon2id in its PHC text form.
 *
 * Costs 19 MiB and about 70 ms each; call it where nothing waits for it.
 */
#ifndef PLUVIO_CRYPTO_PASSWORD_H
#define PLUVIO_CRYPTO_PASSWORD_H

#include "base/err.h"
#include "base/id.h"

#include <stdbool.h>

#define PASSWORD_HASH_SIZE 128

enum err password_hash(char to[static PASSWORD_HASH_SIZE], const char *password, struct entropy *entropy,
                       struct why *why);
bool password_is(const char *password, const char *hash);

#endif
