/*
 * query.h - which nodes: one small language for dynamic groups, for rules of jobs, and for exclusions.
 *
 *     type = light and fw_version < 1.4.0 and not (group = lab or tag = "site:berlin")
 *     online and platform in (esp32c3, esp32s3) and seen < 7d
 *     node_type: Light && node_model: XYZ && node_fw_version: 1.0          (RainMaker's spelling of a rule)
 *
 *     query      = or
 *     or         = and { ("or" | "||") and }
 *     and        = not { ("and" | "&&") not }
 *     not        = ("not" | "!") not | "(" or ")" | comparison
 *     comparison = field operator value | field "in" "(" value { "," value } ")" | "online" | "everyone"
 *     operator   = "=" | "==" | ":" | "!=" | "~" | "!~" | "<" | "<=" | ">" | ">="
 *
 * Fields: id, name, type, subtype, model, fw_version, project, platform, network, address, tag, group (id or name),
 * online (true, false), status (RainMaker's: not_activated, online, offline, deactivated), seen and registered (ages:
 * `seen < 7d` was heard of within seven days), secure_version.
 * `~` compares with a pattern (* any text).  < and > compare versions number by number, ages, and numbers; a node
 * without a version, or never seen, fits none of them.  tag = "k:v" asks for that tag, tag ~ "k:*" for any of the key.
 *
 * Pure, no heap: a query is read once into a struct and asked per node.  Promises: reading never asks for more than the
 * struct; every text that is not a query gets an error with a column.
 */
#ifndef PLUVIO_FLEET_QUERY_H
#define PLUVIO_FLEET_QUERY_H

#include "fleet/records.h"

#define QUERY_TERMS  32  /* comparisons and operators of one query */
#define QUERY_VALUES 600 /* bytes of their values */
#define QUERY_DEPTH  16  /* brackets in brackets */

enum query_field {
    Q_ID,
    Q_NAME,
    Q_TYPE,
    Q_SUBTYPE,
    Q_MODEL,
    Q_FW_VERSION,
    Q_PROJECT,
    Q_PLATFORM,
    Q_NETWORK,
    Q_ADDRESS,
    Q_TAG,
    Q_GROUP,
    Q_ONLINE,
    Q_STATUS,
    Q_SEEN,
    Q_REGISTERED,
    Q_SECURE_VERSION,
    Q_FIELDS
};

enum query_op {
    Q_IS,
    Q_IS_NOT,
    Q_LIKE,
    Q_NOT_LIKE,
    Q_BELOW,
    Q_AT_MOST,
    Q_ABOVE,
    Q_AT_LEAST,
    Q_AND,
    Q_OR,
    Q_NOT,
    Q_EVERYONE
};

/* In postfix order: operands before their operator. */
struct query_term {
    enum query_op op;
    enum query_field field;
    uint16_t value; /* offset in `values` */
    uint16_t at;    /* of a text in the node */
    int64_t number; /* ages in ms, secure versions, online */
};

struct query {
    struct query_term terms[QUERY_TERMS];
    unsigned count; /* 0: the empty query, which no node fits */
    char values[QUERY_VALUES];
    unsigned used;
};

/* ERR_FORMAT with a column; an empty text is the empty query. */
enum err query_read(struct query *q, const char *text, struct why *why);

/* What a query cannot see in the node itself. */
struct query_groups {
    /* Whether the node is in the group with that id or name. */
    bool (*has)(struct query_groups *groups, const struct node *node, const char *group);
};

/* `groups` NULL: no node is in any group. */
bool query_matches(const struct query *q, const struct node *node, struct query_groups *groups, time_ms now);

#endif
