#include "store/sql/expected.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define PLACES 4096 /* of the table of nodes; a power of two, more than EXPECTED_NODES_MAX */

struct held {
    struct execution e;
    int next; /* of the same node, in the order of job ids; -1: none */
};

struct entry {
    char id[NODE_ID_SIZE];
    bool is_there;
    int first; /* of its executions */
    struct node node;
};

struct expected {
    struct entry *entries;
    struct held *held;
    char (*jobs)[ID_LEN + 1];
    unsigned entry_count, entry_room, held_count, held_room, job_count, job_room;
    short places[PLACES]; /* number of the entry + 1; 0: free */
};

static bool make_room(void **at, unsigned count, unsigned *room, size_t size)
{
    if (count < *room)
        return true;
    unsigned wanted = *room ? 2 * *room : 64;
    void *fresh = realloc(*at, wanted * size);
    if (fresh == NULL)
        return false;
    *at = fresh;
    *room = wanted;
    return true;
}

struct expected *expected_new(void)
{
    return calloc(1, sizeof(struct expected));
}

void expected_free(struct expected *x)
{
    if (x == NULL)
        return;
    free(x->entries);
    free(x->held);
    free(x->jobs);
    free(x);
}

/* Where the id is, or would be. */
static unsigned place_of(const struct expected *x, const char *id)
{
    unsigned at = (unsigned)text_hash(id) % PLACES;
    while (x->places[at] != 0 && strcmp(x->entries[x->places[at] - 1].id, id) != 0)
        at = (at + 1) % PLACES;
    return at;
}

static struct entry *find(const struct expected *x, const char *id)
{
    short n = x->places[place_of(x, id)];
    return n ? &x->entries[n - 1] : NULL;
}

bool expected_add_id(struct expected *x, const char *node_id)
{
    void *at = x->entries;
    unsigned place = place_of(x, node_id);
    if (x->places[place] != 0)
        return true;
    if (x->entry_count == EXPECTED_NODES_MAX || !make_room(&at, x->entry_count, &x->entry_room, sizeof *x->entries))
        return false;
    x->entries = at;
    struct entry *e = &x->entries[x->entry_count++];
    text_copy(e->id, sizeof e->id, node_id);
    e->is_there = false;
    e->first = -1;
    x->places[place] = (short)x->entry_count;
    return true;
}

void expected_put_node(struct expected *x, const struct node *node)
{
    struct entry *e = find(x, node->id);
    if (e == NULL)
        return;
    e->node = *node;
    e->is_there = true;
}

bool expected_add_job(struct expected *x, const char *job_id)
{
    void *at = x->jobs;
    if (!make_room(&at, x->job_count, &x->job_room, sizeof *x->jobs))
        return false;
    x->jobs = at;
    text_copy(x->jobs[x->job_count++], sizeof *x->jobs, job_id);
    return true;
}

bool expected_put_execution(struct expected *x, const struct execution *e)
{
    struct entry *entry = find(x, e->node_id);
    void *at = x->held;
    if (entry == NULL)
        return true;
    int before = -1, i = entry->first;
    for (; i >= 0 && strcmp(x->held[i].e.job_id, e->job_id) < 0; i = x->held[i].next)
        before = i;
    if (i >= 0 && strcmp(x->held[i].e.job_id, e->job_id) == 0) {
        x->held[i].e = *e;
        return true;
    }
    if (!make_room(&at, x->held_count, &x->held_room, sizeof *x->held))
        return false;
    x->held = at;
    x->held[x->held_count] = (struct held){*e, i};
    *(before < 0 ? &entry->first : &x->held[before].next) = (int)x->held_count++;
    return true;
}

bool expected_node(const struct expected *x, const char *id, struct node *to, bool *is_there)
{
    const struct entry *e = x ? find(x, id) : NULL;
    if (e == NULL)
        return false;
    *is_there = e->is_there;
    if (e->is_there)
        *to = e->node;
    return true;
}

static bool is_active(const struct expected *x, const char *job_id)
{
    for (unsigned i = 0; i < x->job_count; i++)
        if (strcmp(x->jobs[i], job_id) == 0)
            return true;
    return false;
}

bool expected_execution(const struct expected *x, const char *job_id, const char *node_id, struct execution *to,
                        bool *is_there)
{
    const struct entry *entry = x ? find(x, node_id) : NULL;
    if (entry == NULL)
        return false;
    int i = entry->first;
    while (i >= 0 && strcmp(x->held[i].e.job_id, job_id) != 0)
        i = x->held[i].next;
    *is_there = i >= 0;
    if (i >= 0)
        *to = x->held[i].e;
    return i >= 0 || is_active(x, job_id);
}

bool expected_open(const struct expected *x, const char *node_id, struct execution *to, unsigned max, unsigned *count)
{
    const struct entry *entry = x ? find(x, node_id) : NULL;
    if (entry == NULL)
        return false;
    *count = 0;
    for (int i = entry->first; i >= 0 && *count < max; i = x->held[i].next)
        if (x->held[i].e.state < EX_FIRST_OVER)
            to[(*count)++] = x->held[i].e;
    return true;
}

void expected_delete_node(struct expected *x, const char *id)
{
    struct entry *e = find(x, id);
    if (e != NULL)
        e->is_there = false;
}
