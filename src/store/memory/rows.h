/*
 * rows.h - an ordered table of rows in memory, with undo: the ground of memory_store.
 *
 * A key is a text; a row's bytes belong to the table.  Between rows_mark and rows_undo every change is remembered.
 */
#ifndef PLUVIO_STORE_ROWS_H
#define PLUVIO_STORE_ROWS_H

#include "base/bytes.h"

#include <bsd/sys/tree.h>

#define ROW_KEY_SIZE 600

struct row {
    RB_ENTRY(row) entry;
    size_t len;
    const char *key; /* after the bytes */
    uint8_t at[];
};

RB_HEAD(rows_tree, row);

struct rows {
    struct rows_tree tree;
    int64_t count;
};

/* What changed, to be put back: the row as it was, or the key that was not there. */
struct rows_change {
    struct rows *rows;
    struct row *before; /* its bytes; NULL: the key was absent */
    char *key;          /* when it was absent */
};

struct rows_journal {
    struct rows_change *changes;
    size_t count, room;
};

/* The row with that key, or NULL. */
struct row *rows_get(struct rows *rows, const char *key);

/* The first row whose key is not below, or NULL. */
struct row *rows_from(struct rows *rows, const char *key);
struct row *rows_next(struct row *row);
struct row *rows_last(struct rows *rows);

/* Writes, replaces.  False when memory is out; then nothing changed. */
bool rows_put(struct rows *rows, struct rows_journal *journal, const char *key, const void *at, size_t len);

/* Nothing happens when the key is absent. */
bool rows_remove(struct rows *rows, struct rows_journal *journal, const char *key);

void rows_undo(struct rows_journal *journal);
void rows_keep(struct rows_journal *journal); /* forgets how to undo */
void rows_free(struct rows *rows);
void rows_journal_free(struct rows_journal *journal);

#endif
