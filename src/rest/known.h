/*
 * known.h - tokens that were checked a moment ago, and whose they are, so that each request need not ask the store.
 *
 * What is remembered is believed until its token expires, for KNOWN_MS at most (another replica may have ended the
 * session), and as long as no user, session or token has changed here.
 */
#ifndef PLUVIO_REST_KNOWN_H
#define PLUVIO_REST_KNOWN_H

#include "fleet/records.h"
#include "keys/keys.h"

#include <pthread.h>

#define KNOWN_TOKENS 256
#define KNOWN_MS     5000

struct known_tokens {
    pthread_mutex_t lock;
    struct known_token {
        char token[TOKEN_SIZE / 2], session[SESSION_SIZE]; /* longer tokens are not remembered */
        struct user user;
        long long version;
        time_ms until;
    } at[KNOWN_TOKENS];
};

void known_init(struct known_tokens *k);

/* `version`: of the people, as it is now, and as it was before they were asked. */
bool known_find(struct known_tokens *k, const char *token, long long version, time_ms now, struct user *user,
                char session[SESSION_SIZE]);
void known_add(struct known_tokens *k, const char *token, long long version, time_ms now, const struct user *user,
               const char *session);

#endif
