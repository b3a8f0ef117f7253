/*
 * command.h - commands to nodes and what they answer (topics `to-node`, `from-node`): type, length, value.
 *
 * RainMaker's device specification, 3.7: one byte of type, one of length, the value; a value of more than 255 bytes
 * goes on in the next element of the same type.  A node's poll is an answer with an empty request id.  No heap; what is
 * read lies in the payload, joined in memory of the reader's.
 */
#ifndef PLUVIO_WIRE_COMMAND_H
#define PLUVIO_WIRE_COMMAND_H

#include "base/buf.h"
#include "base/err.h"

#define COMMAND_DATA_MAX 1024
#define COMMAND_ID_SIZE  33

enum command_role { COMMAND_BY_SUPER = 1, COMMAND_BY_PRIMARY = 2, COMMAND_BY_SECONDARY = 4 };

struct command {
    char request_id[COMMAND_ID_SIZE]; /* "" in a node's poll */
    enum command_role role;           /* of who asks; to nodes */
    unsigned status;                  /* how it went, 0 well; from nodes */
    unsigned number;
    int64_t at; /* seconds; to nodes */
    uint8_t data[COMMAND_DATA_MAX];
    size_t data_len;
};

void command_write(struct buf *to, const struct command *c);

/* Reads what a node says.  ERR_FORMAT; ERR_TOO_BIG for more data than fits. */
enum err command_read(struct command *to, struct bytes payload, struct why *why);

#endif
