#include "wire/topic.h"

#include "base/text.h"

#include <string.h>

#define INGEST_PREFIX "$aws/rules/"

static const struct row {
    const char *suffix, *rule; /* rule NULL: from the cloud */
} rows[TOPIC_COUNT] = {
    [TOPIC_CONFIG] = {"config", "esp_node_config"},
    [TOPIC_PARAMS_LOCAL] = {"params/local", "esp_set_params"},
    [TOPIC_PARAMS_INIT] = {"params/local/init", "esp_init_params"},
    [TOPIC_ALERT] = {"alert", "esp_node_alert"},
    [TOPIC_USER_MAPPING] = {"user/mapping", "esp_user_node_mapping"},
    [TOPIC_OTAFETCH] = {"otafetch", "esp_node_otafetch"},
    [TOPIC_OTASTATUS] = {"otastatus", "esp_node_otastatus"},
    [TOPIC_FROM_NODE] = {"from-node", "esp_cmd_resp"},
    [TOPIC_OTAURL] = {"otaurl", NULL},
    [TOPIC_PARAMS_REMOTE] = {"params/remote", NULL},
    [TOPIC_TO_NODE] = {"to-node", NULL},
};

/* Behind "$aws/rules/<rule>/", or the text itself in plain form; NULL when the rule is cut off. */
static const char *skip_ingest(const char *text)
{
    if (strncmp(text, INGEST_PREFIX, strlen(INGEST_PREFIX)) != 0)
        return text;
    const char *slash = strchr(text + strlen(INGEST_PREFIX), '/');
    return slash ? slash + 1 : NULL;
}

bool topic_parse(struct topic *topic, const char *text)
{
    const char *at = skip_ingest(text);
    if (at == NULL || strncmp(at, "node/", 5) != 0)
        return false;
    const char *id = at + 5, *slash = strchr(id, '/');
    if (slash == NULL || (size_t)(slash - id) >= sizeof topic->node_id)
        return false;
    memcpy(topic->node_id, id, (size_t)(slash - id));
    topic->node_id[slash - id] = '\0';
    for (int kind = 0; kind < TOPIC_COUNT; kind++)
        if (strcmp(rows[kind].suffix, slash + 1) == 0) {
            topic->kind = (enum topic_kind)kind;
            return text_is_plain_id(topic->node_id, NODE_ID_SIZE - 1);
        }
    return false;
}

bool topic_write(char *to, size_t size, enum topic_kind kind, const char *node_id, enum topic_form form)
{
    struct text t;
    text_init(&t, to, size);
    if (form == TOPIC_INGEST && rows[kind].rule != NULL)
        text_add(&t, INGEST_PREFIX "%s/", rows[kind].rule);
    text_add(&t, "node/%s/%s", node_id, rows[kind].suffix);
    return !t.is_cut;
}

bool simulator_is_name(const char *id)
{
    return strncmp(id, SIMULATOR_PREFIX, strlen(SIMULATOR_PREFIX)) == 0 &&
           strchr(id + strlen(SIMULATOR_PREFIX), '-') == NULL;
}

bool simulator_speaks_for(const char *simulator, const char *node_id)
{
    size_t len = strlen(simulator);
    return simulator_is_name(simulator) && strncmp(simulator, node_id, len) == 0 && node_id[len] == '-';
}

/* Topics that tell of a node: `+` is any level, `%` the node's id. */
static const struct {
    const char *pattern, *notice;
} notices[] = {
    {TOPIC_NOTICE_PREFIX "%/otaurl", TOPIC_NOTICE_SUBSCRIBED},
    {TOPIC_NOTICE_PREFIX "%/disconnected", TOPIC_NOTICE_GONE},
    {TOPIC_NOTICE_PREFIX "%/connected", TOPIC_NOTICE_CONNECTED},
    {"$aws/events/subscriptions/subscribed/%", TOPIC_NOTICE_SUBSCRIBED},
    {"$aws/events/presence/connected/%", TOPIC_NOTICE_CONNECTED},
    {"$aws/events/presence/disconnected/%", TOPIC_NOTICE_GONE},
    {"$SYS/brokers/+/clients/%/connected", TOPIC_NOTICE_CONNECTED},
    {"$SYS/brokers/+/clients/%/disconnected", TOPIC_NOTICE_GONE},
};

static bool fits(const char *pattern, const char *text, char node_id[NODE_ID_SIZE])
{
    for (; *pattern; pattern++) {
        if (*pattern != '%' && *pattern != '+') {
            if (*text++ != *pattern)
                return false;
            continue;
        }
        size_t len = strcspn(text, "/");
        if (*pattern == '%') {
            if (len == 0 || len >= NODE_ID_SIZE)
                return false;
            memcpy(node_id, text, len);
            node_id[len] = '\0';
        }
        text += len;
    }
    return *text == '\0';
}

const char *topic_notice(const char *text, char node_id[NODE_ID_SIZE])
{
    for (size_t i = 0; i < sizeof notices / sizeof notices[0]; i++)
        if (fits(notices[i].pattern, text, node_id))
            return notices[i].notice;
    return NULL;
}
