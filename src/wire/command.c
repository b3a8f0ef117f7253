#include "wire/command.h"

#include <string.h>

enum { TYPE_REQUEST_ID = 1, TYPE_ROLE = 2, TYPE_STATUS = 3, TYPE_TIME = 4, TYPE_COMMAND = 5, TYPE_DATA = 6 };

#define VALUE_MAX 255

static void put(struct buf *to, int type, const void *value, size_t len)
{
    const uint8_t *at = value;
    do {
        size_t part = len < VALUE_MAX ? len : VALUE_MAX;
        uint8_t head[2] = {(uint8_t)type, (uint8_t)part};
        buf_add(to, head, sizeof head);
        buf_add(to, at, part);
        at += part;
        len -= part;
    } while (len > 0);
}

void command_write(struct buf *to, const struct command *c)
{
    uint8_t role = (uint8_t)c->role;
    uint8_t number[2] = {(uint8_t)c->number, (uint8_t)(c->number >> 8)};
    uint8_t at[4] = {(uint8_t)c->at, (uint8_t)(c->at >> 8), (uint8_t)(c->at >> 16), (uint8_t)(c->at >> 24)};
    put(to, TYPE_REQUEST_ID, c->request_id, strlen(c->request_id));
    put(to, TYPE_ROLE, &role, sizeof role);
    put(to, TYPE_TIME, at, sizeof at);
    put(to, TYPE_COMMAND, number, sizeof number);
    if (c->data_len > 0)
        put(to, TYPE_DATA, c->data, c->data_len);
}

static enum err take(struct command *to, int type, const uint8_t *value, size_t len, struct why *why)
{
    switch (type) {
    case TYPE_REQUEST_ID:
        if (len >= COMMAND_ID_SIZE || memchr(value, '\0', len) != NULL)
            return why_set(why, ERR_FORMAT, "a request id of %zu bytes", len);
        memcpy(to->request_id, value, len);
        to->request_id[len] = '\0';
        return ERR_NONE;
    case TYPE_STATUS:
        to->status = len > 0 ? value[0] : 0;
        return ERR_NONE;
    case TYPE_COMMAND:
        to->number = len == 2 ? value[0] | (unsigned)value[1] << 8 : 0;
        return ERR_NONE;
    case TYPE_DATA:
        if (to->data_len + len > sizeof to->data)
            return why_set(why, ERR_TOO_BIG, "an answer of more than %d bytes", COMMAND_DATA_MAX);
        memcpy(to->data + to->data_len, value, len);
        to->data_len += len;
        return ERR_NONE;
    default:
        return ERR_NONE; /* a newer node may say more */
    }
}

enum err command_read(struct command *to, struct bytes payload, struct why *why)
{
    enum err err = ERR_NONE;
    *to = (struct command){.role = COMMAND_BY_PRIMARY};
    for (size_t at = 0; err == ERR_NONE && at < payload.len;) {
        if (payload.len - at < 2 || payload.len - at - 2 < payload.at[at + 1])
            return why_set(why, ERR_FORMAT, "an answer that is cut off after %zu bytes", payload.len);
        err = take(to, payload.at[at], payload.at + at + 2, payload.at[at + 1], why);
        at += 2 + (size_t)payload.at[at + 1];
    }
    return err;
}
