#include "pluviod/scratch.h"

static struct fleet_store *open_scratch(struct sim_scratch *port)
{
    struct scratch *s = (struct scratch *)port;
    pthread_mutex_lock(&s->lock);
    if (memory_store_open(&s->store, NULL) == ERR_NONE)
        return memory_store_port(s->store);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void close_scratch(struct sim_scratch *port)
{
    struct scratch *s = (struct scratch *)port;
    memory_store_close(s->store);
    pthread_mutex_unlock(&s->lock);
}

void scratch_init(struct scratch *s)
{
    s->port = (struct sim_scratch){open_scratch, close_scratch};
    pthread_mutex_init(&s->lock, NULL);
}
