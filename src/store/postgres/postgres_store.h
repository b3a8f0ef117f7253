/*
 * postgres_store.h - the fleet's data port over PostgreSQL, for any number of servers side by side.
 *
 * Writing transactions of all servers come one after the other (a lock of the database, taken when one begins), so
 * the rules see the fleet as one server does; within one, writes go out in a pipeline and what will be asked about is
 * read at once.  Reading transactions have connections of their own and wait for nobody.
 *
 * Each server is a row in table servers and says every SERVER_BEAT_MS that it lives.  Rows of the outbox belong to the
 * server that wrote them.  One that was not heard of for SERVER_DEAD_MS, in the database's time, loses its row and the
 * rows of its outbox to whoever notices; it knows by its own clock when to stop sending, well before (SERVER_LEASE_MS).
 * Its next transaction makes it a new server.
 *
 * One of them leads: it has a lock of the database, which another one gets as soon as its connection is gone.
 *
 * A commit whose answer was lost is asked about when the database is back, by its transaction id: what a commit
 * returned is true.
 */
#ifndef PLUVIO_STORE_POSTGRES_STORE_H
#define PLUVIO_STORE_POSTGRES_STORE_H

#include "base/log.h"
#include "fleet/port.h"

#define SERVER_BEAT_MS  1000
#define SERVER_LEASE_MS 6000
#define SERVER_DEAD_MS  10000
#define COMMIT_ASK_MS   30000 /* how long it is tried to learn what became of a commit */

struct postgres_store;

/* Told from a thread of the store's own when another server has committed such a change, and whenever it may have;
 * must return soon. */
struct postgres_listener {
    /* Something waits to be seen or sent. */
    void (*ring)(struct postgres_listener *l);
    /* Users, sessions or API tokens have changed. */
    void (*people_changed)(struct postgres_listener *l);
    /* Who is let in has changed. */
    void (*gate_changed)(struct postgres_listener *l);
    /* That server is gone, and this one is its heir. */
    void (*server_gone)(struct postgres_listener *l, int64_t server);
};

/* `url`: what libpq takes, "postgres://user@host/database?..." or "host=... dbname=...".  Makes or migrates the tables
 * of the connection's first schema.  `listener`: is told from now on; NULL: nobody is.  ERR_STORE_AWAY when the
 * database cannot be reached. */
enum err postgres_store_open(struct postgres_store **store, const char *url, struct postgres_listener *listener,
                             struct log *log, struct why *why);
/* Hands what it had to send over to the other servers. */
void postgres_store_close(struct postgres_store *store);
struct fleet_store *postgres_store_port(struct postgres_store *store);

/* Another listener, or none.  From any thread. */
void postgres_store_listen(struct postgres_store *store, struct postgres_listener *listener);

/* This server's number, for logs and tests. */
int64_t postgres_store_server(struct postgres_store *store);

#endif
