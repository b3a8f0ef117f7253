/*
 * expected.h - rows that a transaction said it would ask for, read together before it does.
 *
 * Of each node that was named: its row, and its executions of active jobs and those that are not over.  Writes go
 * through it, so that what it holds stays what the database holds.
 */
#ifndef PLUVIO_STORE_EXPECTED_H
#define PLUVIO_STORE_EXPECTED_H

#include "fleet/port.h"

#define EXPECTED_NODES_MAX 1024

struct expected;

/* NULL when memory is out. */
struct expected *expected_new(void);
void expected_free(struct expected *x); /* NULL: nothing happens */

/* Who is asked about, and which jobs are active.  False when memory is out, or there are too many. */
bool expected_add_id(struct expected *x, const char *node_id); /* its row is absent until it is put */
bool expected_add_job(struct expected *x, const char *job_id);

/* Asking it.  False: it does not know.  `*is_there`: whether there is such a row. */
bool expected_node(const struct expected *x, const char *id, struct node *to, bool *is_there);
bool expected_execution(const struct expected *x, const char *job_id, const char *node_id, struct execution *to,
                        bool *is_there);
bool expected_open(const struct expected *x, const char *node_id, struct execution *to, unsigned max, unsigned *count);

/* What was read, or is written; what nobody asked about is passed over.  False when memory is out. */
void expected_put_node(struct expected *x, const struct node *node);
bool expected_put_execution(struct expected *x, const struct execution *e);
void expected_delete_node(struct expected *x, const char *id);

#endif
