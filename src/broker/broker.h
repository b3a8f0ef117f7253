/*
 * broker.h - mosquitto as a child of the server: configuration, certificates, supervision.
 *
 * Nodes connect with mutual TLS; the certificate's common name is user name and client id, so that no node can throw
 * another out or use another's topics.  The server itself comes in through a Unix socket in the broker's own folder.
 * The child runs as the user `mosquitto` when we are root, dies with us, and is started again when it ends by itself.
 */
#ifndef PLUVIO_BROKER_BROKER_H
#define PLUVIO_BROKER_BROKER_H

#include "base/id.h"
#include "base/log.h"
#include "keys/keys.h"

#include <pthread.h>
#include <sys/types.h>

struct broker_config {
    const char *folder;  /* its own; made if need be.  Where mosquitto's user cannot reach it (a clone under /root),
                            a folder in /run takes its place */
    const char *address; /* "0.0.0.0", "" for every address */
    int port;
    const char *program;     /* "mosquitto": looked for in PATH and /usr/sbin */
    const char *plugin;      /* our plugin's path */
    const struct keys *keys; /* authority and server certificate */
    const char *authorities; /* folder: further authorities whose nodes are let in, named as OpenSSL looks for them */
    const char *denied;      /* file: ids of nodes that are not let in, a line each, sorted */
};

struct broker {
    char folder[512], config_path[KEYS_PATH_SIZE], socket_path[108], plugin[KEYS_PATH_SIZE], program[KEYS_PATH_SIZE];
    struct log *log;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pid_t child; /* 0 when none runs */
    bool is_stopping, is_started, is_in_run;
    const char *authorities, *denied;
    uid_t uid;
    gid_t gid;
};

/* Writes the configuration and starts the child.  ERR_CONFIG when mosquitto or the plugin is not there. */
enum err broker_start(struct broker *b, const struct broker_config *config, struct log *log, struct why *why);

/* Folder and file of the configuration have changed.  New authorities and denied nodes count at once; an authority that
 * is gone costs a restart of the child, since it keeps those that it has seen. */
enum err broker_reload(struct broker *b, struct why *why);

/* Everything that a mosquitto elsewhere needs, in `folder`, which is made: configuration, certificates, plugin, and a
 * name with a password by which servers come in at `server_port`, the same ones when the folder is written again.
 * `*url`: what servers are told, with `host` in it. */
#define BROKER_URL_SIZE 400
enum err broker_write(const struct broker_config *config, int server_port, const char *host, char url[BROKER_URL_SIZE],
                      struct entropy *entropy, struct why *why);

/* SIGTERM, and waits for its end. */
void broker_stop(struct broker *b);

#endif
