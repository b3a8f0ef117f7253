/*
 * client.h - the command line's connection to a server: where it is, who we are, one call.
 *
 * PLUVIO_TOKEN (an API token), PLUVIO_SERVER and PLUVIO_CA_FILE in the environment take the session's place, or part of
 * it.  The session lies in $PLUVIO_SESSION, else ~/.config/pluvio/session.json (mode 0600): server, tokens, trusted
 * authority.
 */
#ifndef PLUVIO_PLUVIO_CLIENT_H
#define PLUVIO_PLUVIO_CLIENT_H

#include "codec/json.h"
#include "net/http_call.h"

struct client {
    char path[512], server[256], ca_file[400], access[2100], refresh[128], user[300];
};

/* Reads the session.  ERR_UNAUTHORIZED when there is none, with what to do. */
enum err client_open(struct client *c, struct why *why);
enum err client_save(const struct client *c, struct why *why);
void client_init(struct client *c);

/* One call of REST.  `path` with its query; `body` NULL or JSON text.  An answer of failure becomes an error with the
 * server's description.  Renews the access token when it has expired.  `*doc` is freed by the caller. */
enum err client_call(struct client *c, const char *method, const char *path, const char *body, struct json **doc,
                     struct why *why);

/* Sends a file to an upload URL, with a progress line on a terminal: in pieces, so that what the network cuts off goes
 * on where the server has it. */
enum err client_upload(struct client *c, const char *url, const char *file, struct why *why);

#endif
