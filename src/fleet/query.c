#include "fleet/query.h"

#include "base/text.h"
#include "fleet/words.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

enum value_kind { V_TEXT, V_VERSION, V_BOOL, V_AGE, V_NUMBER };

static const struct field {
    const char *name;
    enum query_field field;
    enum value_kind kind;
    size_t at; /* of the text in the node */
} fields[] = {
    {"id", Q_ID, V_TEXT, offsetof(struct node, id)},
    {"node_id", Q_ID, V_TEXT, offsetof(struct node, id)},
    {"name", Q_NAME, V_TEXT, offsetof(struct node, name)},
    {"type", Q_TYPE, V_TEXT, offsetof(struct node, type)},
    {"node_type", Q_TYPE, V_TEXT, offsetof(struct node, type)},
    {"subtype", Q_SUBTYPE, V_TEXT, offsetof(struct node, subtype)},
    {"model", Q_MODEL, V_TEXT, offsetof(struct node, model)},
    {"node_model", Q_MODEL, V_TEXT, offsetof(struct node, model)},
    {"fw_version", Q_FW_VERSION, V_VERSION, offsetof(struct node, fw_version)},
    {"version", Q_FW_VERSION, V_VERSION, offsetof(struct node, fw_version)},
    {"node_fw_version", Q_FW_VERSION, V_VERSION, offsetof(struct node, fw_version)},
    {"project", Q_PROJECT, V_TEXT, offsetof(struct node, project_name)},
    {"project_name", Q_PROJECT, V_TEXT, offsetof(struct node, project_name)},
    {"platform", Q_PLATFORM, V_TEXT, offsetof(struct node, platform)},
    {"network", Q_NETWORK, V_TEXT, offsetof(struct node, network_id)},
    {"network_id", Q_NETWORK, V_TEXT, offsetof(struct node, network_id)},
    {"address", Q_ADDRESS, V_TEXT, offsetof(struct node, address)},
    {"tag", Q_TAG, V_TEXT, 0},
    {"group", Q_GROUP, V_TEXT, 0},
    {"online", Q_ONLINE, V_BOOL, 0},
    {"status", Q_STATUS, V_TEXT, 0},
    {"node_status", Q_STATUS, V_TEXT, 0},
    {"seen", Q_SEEN, V_AGE, 0},
    {"registered", Q_REGISTERED, V_AGE, 0},
    {"secure_version", Q_SECURE_VERSION, V_NUMBER, 0},
};

static const struct {
    const char *text;
    enum query_op op;
} operators[] = {{"=", Q_IS},        {"==", Q_IS},   {":", Q_IS},       {"!=", Q_IS_NOT}, {"~", Q_LIKE},
                 {"!~", Q_NOT_LIKE}, {"<", Q_BELOW}, {"<=", Q_AT_MOST}, {">", Q_ABOVE},   {">=", Q_AT_LEAST}};

struct reading {
    struct query *q;
    struct words w;
    unsigned depth;
};

static enum err read_or(struct reading *r);

static enum err add_term(struct reading *r, struct query_term term)
{
    if (r->q->count == QUERY_TERMS)
        return words_wrong(&r->w, "more than %d comparisons and operators", QUERY_TERMS);
    r->q->terms[r->q->count++] = term;
    return ERR_NONE;
}

static enum err keep_value(struct reading *r, uint16_t *at)
{
    size_t len = strlen(r->w.word) + 1;
    if (r->q->used + len > QUERY_VALUES)
        return words_wrong(&r->w, "values longer than %d characters together", QUERY_VALUES);
    *at = (uint16_t)r->q->used;
    memcpy(r->q->values + r->q->used, r->w.word, len);
    r->q->used += (unsigned)len;
    return ERR_NONE;
}

static const struct field *find_field(const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strcasecmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

static bool is_order(enum query_op op)
{
    return op >= Q_BELOW && op <= Q_AT_LEAST;
}

static bool fits_kind(const struct field *f, enum query_op op)
{
    switch (f->kind) {
    case V_TEXT:
        return !is_order(op);
    case V_VERSION:
        return true;
    case V_BOOL:
        return op == Q_IS || op == Q_IS_NOT;
    case V_AGE:
        return is_order(op);
    case V_NUMBER:
        return op != Q_LIKE && op != Q_NOT_LIKE;
    }
    return false;
}

static bool read_number(const struct field *f, const char *word, int64_t *to)
{
    switch (f->kind) {
    case V_BOOL:
        *to = strcasecmp(word, "true") == 0;
        return *to || strcasecmp(word, "false") == 0;
    case V_AGE:
        return words_duration(word, to);
    case V_NUMBER:
        return words_number(word, UINT32_MAX, to);
    case V_TEXT:
    case V_VERSION:
        break;
    }
    return true;
}

static enum err read_value(struct reading *r, const struct field *f, enum query_op op)
{
    struct query_term term = {.op = op, .field = f->field, .at = (uint16_t)f->at};
    if (r->w.kind != WORD_NAME && r->w.kind != WORD_TEXT)
        return words_wrong(&r->w, "a value for %s is missing", f->name);
    if (!read_number(f, r->w.word, &term.number))
        return words_wrong(&r->w, "%s cannot be \"%.40s\"%s", f->name, r->w.word,
                           f->kind == V_AGE ? ": give an age like 90s, 15m, 2h, 7d" : "");
    enum err err = keep_value(r, &term.value);
    words_next(&r->w);
    return err ? err : add_term(r, term);
}

static enum err read_list(struct reading *r, const struct field *f)
{
    if (!words_take(&r->w, "("))
        return words_wrong(&r->w, "\"in\" needs a list in brackets");
    for (unsigned count = 1;; count++) {
        enum err err = read_value(r, f, Q_IS);
        if (err == ERR_NONE && count > 1)
            err = add_term(r, (struct query_term){.op = Q_OR});
        if (err != ERR_NONE)
            return err;
        if (words_take(&r->w, ")"))
            return ERR_NONE;
        if (!words_take(&r->w, ","))
            return words_wrong(&r->w, "the list lacks a comma or its closing bracket");
    }
}

static enum err read_comparison(struct reading *r)
{
    if (r->w.kind == WORD_WRONG)
        return words_wrong(&r->w, "a text that does not end, is too long, or is no word: %.20s", r->w.word);
    if (r->w.kind != WORD_NAME)
        return words_wrong(&r->w, "a field is missing");
    if (words_take(&r->w, "everyone"))
        return add_term(r, (struct query_term){.op = Q_EVERYONE});
    const struct field *f = find_field(r->w.word);
    if (f == NULL)
        return words_wrong(&r->w, "there is no field \"%.40s\"", r->w.word);
    words_next(&r->w);
    if (words_take(&r->w, "in"))
        return f->kind == V_AGE ? words_wrong(&r->w, "%s takes < or >", f->name) : read_list(r, f);
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (words_are(&r->w, operators[i].text)) {
            if (!fits_kind(f, operators[i].op))
                return words_wrong(&r->w, "%s cannot be compared with %s", f->name, operators[i].text);
            words_next(&r->w);
            return read_value(r, f, operators[i].op);
        }
    if (f->kind == V_BOOL)
        return add_term(r, (struct query_term){.op = Q_IS, .field = f->field, .number = 1});
    return words_wrong(&r->w, "%s lacks an operator (= != ~ !~ < <= > >= in)", f->name);
}

static enum err read_not(struct reading *r)
{
    enum err err;
    unsigned depth = 0; /* of this chain of "not"s alone; it is no recursion */
    while (words_take(&r->w, "not") || words_take(&r->w, "!"))
        depth++;
    if (words_take(&r->w, "(")) {
        if (++r->depth > QUERY_DEPTH)
            return words_wrong(&r->w, "more than %d brackets in each other", QUERY_DEPTH);
        if ((err = read_or(r)) == ERR_NONE && !words_take(&r->w, ")"))
            err = words_wrong(&r->w, "a closing bracket is missing");
        r->depth--;
    } else
        err = read_comparison(r);
    return err == ERR_NONE && depth % 2 == 1 ? add_term(r, (struct query_term){.op = Q_NOT}) : err;
}

static enum err read_and(struct reading *r)
{
    enum err err = read_not(r);
    while (err == ERR_NONE && (words_take(&r->w, "and") || words_take(&r->w, "&&")))
        if ((err = read_not(r)) == ERR_NONE)
            err = add_term(r, (struct query_term){.op = Q_AND});
    return err;
}

static enum err read_or(struct reading *r)
{
    enum err err = read_and(r);
    while (err == ERR_NONE && (words_take(&r->w, "or") || words_take(&r->w, "||")))
        if ((err = read_and(r)) == ERR_NONE)
            err = add_term(r, (struct query_term){.op = Q_OR});
    return err;
}

enum err query_read(struct query *q, const char *text, struct why *why)
{
    struct reading r = {.q = q};
    *q = (struct query){.count = 0};
    words_init(&r.w, text, why);
    if (r.w.kind == WORD_END)
        return ERR_NONE;
    enum err err = read_or(&r);
    if (err == ERR_NONE && r.w.kind != WORD_END)
        err = words_wrong(&r.w, "\"%.40s\" does not belong here; join comparisons with and, or", r.w.word);
    if (err != ERR_NONE)
        q->count = 0;
    return err;
}

/* --- asking ----------------------------------------------------------------------------------- */

static bool in_order(enum query_op op, int64_t order)
{
    switch (op) {
    case Q_IS:
        return order == 0;
    case Q_IS_NOT:
        return order != 0;
    case Q_BELOW:
        return order < 0;
    case Q_AT_MOST:
        return order <= 0;
    case Q_ABOVE:
        return order > 0;
    case Q_AT_LEAST:
        return order >= 0;
    default:
        return false;
    }
}

static bool text_fits(enum query_op op, const char *have, const char *want)
{
    switch (op) {
    case Q_IS:
        return strcmp(have, want) == 0;
    case Q_IS_NOT:
        return strcmp(have, want) != 0;
    case Q_LIKE:
        return fnmatch(want, have, 0) == 0;
    case Q_NOT_LIKE:
        return fnmatch(want, have, 0) != 0;
    default:
        return *have && in_order(op, text_compare_versions(have, want));
    }
}

/* Tags are lines of one text. */
static bool tag_fits(enum query_op op, const struct node *node, const char *want)
{
    bool is_like = op == Q_LIKE || op == Q_NOT_LIKE, is_there = false;
    char tag[sizeof node->tags];
    for (const char *at = node->tags; *at && !is_there;) {
        size_t len = strcspn(at, "\n");
        memcpy(tag, at, len);
        tag[len] = '\0';
        is_there = text_fits(is_like ? Q_LIKE : Q_IS, tag, want);
        at += len + (at[len] == '\n');
    }
    return is_there == (op == Q_IS || op == Q_LIKE);
}

static bool group_fits(enum query_op op, const struct node *node, const char *want, struct query_groups *groups)
{
    bool is_there = groups != NULL && groups->has(groups, node, want);
    return is_there == (op == Q_IS || op == Q_LIKE);
}

static bool compare(const struct query *q, const struct query_term *t, const struct node *node,
                    struct query_groups *groups, time_ms now)
{
    const char *want = q->values + t->value;
    time_ms at = t->field == Q_SEEN ? node->seen_at : node->registered_at;
    switch (t->field) {
    case Q_TAG:
        return tag_fits(t->op, node, want);
    case Q_GROUP:
        return group_fits(t->op, node, want, groups);
    case Q_ONLINE:
        return (node->is_online == (t->number != 0)) == (t->op == Q_IS);
    case Q_STATUS:
        return text_fits(t->op, node_status_text(node), want);
    case Q_SEEN:
    case Q_REGISTERED:
        return at > 0 && in_order(t->op, (now - at > t->number) - (now - at < t->number));
    case Q_SECURE_VERSION:
        return in_order(t->op, (int64_t)node->secure_version - t->number);
    default:
        return text_fits(t->op, (const char *)node + t->at, want);
    }
}

bool query_matches(const struct query *q, const struct node *node, struct query_groups *groups, time_ms now)
{
    bool stack[QUERY_TERMS + 1] = {false};
    unsigned top = 0;
    for (unsigned i = 0; i < q->count; i++) {
        const struct query_term *t = &q->terms[i];
        switch (t->op) {
        case Q_AND:
            top--;
            stack[top - 1] = stack[top - 1] && stack[top];
            break;
        case Q_OR:
            top--;
            stack[top - 1] = stack[top - 1] || stack[top];
            break;
        case Q_NOT:
            stack[top - 1] = !stack[top - 1];
            break;
        case Q_EVERYONE:
            stack[top++] = true;
            break;
        default:
            stack[top++] = compare(q, t, node, groups, now);
        }
    }
    return top > 0 && stack[0];
}
