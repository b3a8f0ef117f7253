#include "store/memory/rows.h"

#include <stdlib.h>
#include <string.h>

static int compare(const struct row *a, const struct row *b)
{
    return strcmp(a->key, b->key);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
RB_GENERATE_INTERNAL(rows_tree, row, entry, compare, static)
#pragma GCC diagnostic pop

struct row *rows_get(struct rows *rows, const char *key)
{
    struct row wanted = {.key = key};
    return RB_FIND(rows_tree, &rows->tree, &wanted);
}

struct row *rows_from(struct rows *rows, const char *key)
{
    struct row wanted = {.key = key};
    return RB_NFIND(rows_tree, &rows->tree, &wanted);
}

struct row *rows_next(struct row *row)
{
    return RB_NEXT(rows_tree, NULL, row);
}

struct row *rows_last(struct rows *rows)
{
    return RB_MAX(rows_tree, &rows->tree);
}

static bool has_room(struct rows_journal *j)
{
    if (j->count < j->room)
        return true;
    size_t room = j->room ? 2 * j->room : 64;
    struct rows_change *changes = realloc(j->changes, room * sizeof *changes);
    if (changes == NULL)
        return false;
    j->changes = changes;
    j->room = room;
    return true;
}

bool rows_put(struct rows *rows, struct rows_journal *journal, const char *key, const void *at, size_t len)
{
    size_t key_len = strlen(key) + 1;
    struct row *row = malloc(sizeof *row + len + key_len), *before = rows_get(rows, key);
    char *absent = before == NULL ? strdup(key) : NULL;
    if (row == NULL || (before == NULL && absent == NULL) || !has_room(journal)) {
        free(row);
        free(absent);
        return false;
    }
    row->len = len;
    if (len > 0)
        memcpy(row->at, at, len);
    memcpy(row->at + len, key, key_len);
    row->key = (const char *)row->at + len;
    if (before != NULL)
        RB_REMOVE(rows_tree, &rows->tree, before);
    RB_INSERT(rows_tree, &rows->tree, row);
    rows->count += before == NULL;
    journal->changes[journal->count++] = (struct rows_change){rows, before, absent};
    return true;
}

bool rows_remove(struct rows *rows, struct rows_journal *journal, const char *key)
{
    struct row *before = rows_get(rows, key);
    if (before == NULL)
        return true;
    if (!has_room(journal))
        return false;
    RB_REMOVE(rows_tree, &rows->tree, before);
    rows->count--;
    journal->changes[journal->count++] = (struct rows_change){rows, before, NULL};
    return true;
}

void rows_undo(struct rows_journal *journal)
{
    while (journal->count > 0) {
        struct rows_change *c = &journal->changes[--journal->count];
        struct row *now = rows_get(c->rows, c->before ? c->before->key : c->key);
        if (now != NULL) {
            RB_REMOVE(rows_tree, &c->rows->tree, now);
            c->rows->count--;
            free(now);
        }
        if (c->before != NULL) {
            RB_INSERT(rows_tree, &c->rows->tree, c->before);
            c->rows->count++;
        }
        free(c->key);
    }
}

void rows_keep(struct rows_journal *journal)
{
    while (journal->count > 0) {
        struct rows_change *c = &journal->changes[--journal->count];
        free(c->before);
        free(c->key);
    }
}

void rows_free(struct rows *rows)
{
    struct row *row;
    while ((row = RB_ROOT(&rows->tree)) != NULL) {
        RB_REMOVE(rows_tree, &rows->tree, row);
        free(row);
    }
}

void rows_journal_free(struct rows_journal *journal)
{
    free(journal->changes);
}
