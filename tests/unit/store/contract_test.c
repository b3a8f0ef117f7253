/* Goal: each store keeps the port's promises, by one suite. */
#include "contract.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"

#include <unistd.h>

static char path[64];

static void close_memory(struct contract *c)
{
    memory_store_close(c->adapter);
}

static int open_memory(struct contract *c)
{
    struct memory_store *s;
    if (memory_store_open(&s, NULL) != ERR_NONE)
        return -1;
    *c = (struct contract){memory_store_port(s), close_memory, s};
    return 0;
}

static void close_sqlite(struct contract *c)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[80];
    sqlite_store_close(c->adapter);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

static int open_sqlite(struct contract *c)
{
    struct sqlite_store *s;
    if (sqlite_store_open(&s, path, NULL, NULL) != ERR_NONE)
        return -1;
    *c = (struct contract){sqlite_store_port(s), close_sqlite, s};
    return 0;
}

static int open_sqlite_in_memory(struct contract *c)
{
    struct sqlite_store *s;
    if (sqlite_store_open(&s, ":memory:", NULL, NULL) != ERR_NONE)
        return -1;
    *c = (struct contract){sqlite_store_port(s), close_sqlite, s};
    return 0;
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/pluvio-contract-%d.db", (int)getpid());
    int failed = contract_run("store memory", open_memory);
    failed += contract_run("store sqlite", open_sqlite);
    return failed + contract_run("store sqlite in memory", open_sqlite_in_memory);
}
