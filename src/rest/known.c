#include "rest/known.h"

#include "base/text.h"

#include <string.h>

void known_init(struct known_tokens *k)
{
    memset(k, 0, sizeof *k);
    pthread_mutex_init(&k->lock, NULL);
}

/* Each token has one place: the last one of those that share it is remembered. */
static struct known_token *place(struct known_tokens *k, const char *token)
{
    uint64_t hash = text_hash(token);
    return &k->at[(hash ^ hash >> 32) % KNOWN_TOKENS];
}

bool known_find(struct known_tokens *k, const char *token, long long version, time_ms now, struct user *user,
                char session[SESSION_SIZE])
{
    struct known_token *t = place(k, token);
    pthread_mutex_lock(&k->lock);
    bool is_known =
        now < t->until && now + KNOWN_MS >= t->until && t->version == version && strcmp(t->token, token) == 0;
    if (is_known) {
        *user = t->user;
        memcpy(session, t->session, sizeof t->session);
    }
    pthread_mutex_unlock(&k->lock);
    return is_known;
}

void known_add(struct known_tokens *k, const char *token, long long version, time_ms now, const struct user *user,
               const char *session)
{
    struct known_token *t = place(k, token);
    pthread_mutex_lock(&k->lock);
    if (text_copy(t->token, sizeof t->token, token)) {
        memcpy(t->session, session, sizeof t->session);
        t->user = *user;
        t->version = version;
        t->until = now + KNOWN_MS;
    } else
        t->token[0] = '\0';
    pthread_mutex_unlock(&k->lock);
}
