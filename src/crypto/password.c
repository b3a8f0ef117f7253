#include "crypto/password.h"

#include <argon2.h>
#include <string.h>

#define MEMORY_KIB 19456 /* OWASP's lower recommendation: 19 MiB, two passes, one lane */
#define PASSES     2
#define LANES      1

enum err password_hash(char to[static PASSWORD_HASH_SIZE], const char *password, struct entropy *entropy,
                       struct why *why)
{
    uint8_t salt[16];
    entropy->fill(entropy, salt, sizeof salt);
    int rc = argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password, strlen(password), salt, sizeof salt, 32, to,
                                   PASSWORD_HASH_SIZE);
    return rc == ARGON2_OK ? ERR_NONE : why_set(why, ERR_CRYPTO, "hash the password: %s", argon2_error_message(rc));
}

bool password_is(const char *password, const char *hash)
{
    return argon2id_verify(hash, password, strlen(password)) == ARGON2_OK;
}
