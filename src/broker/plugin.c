/*
 * plugin.c - our plugin inside mosquitto: what its 2.0 configuration cannot do.
 *
 *   1. Basic-ingest topics are made plain ($aws/rules/<rule>/X becomes X), because shared subscriptions never match
 *      topics that begin with $.  The access rule was checked on the topic as sent.
 *   2. A notice when a node begins to listen on its otaurl topic, with its address: what was sent before is lost.
 *   3. A notice when a node's connection ends: RainMaker nodes send neither birth nor will.
 *   4. Nodes that are denied may neither publish nor subscribe, and those that are connected are thrown out when the
 *      list is read again (SIGHUP).
 *   5. A simulator may use the topics of its nodes, whose ids begin with its name, and gives their notices itself.
 *   6. Until the server listens, nodes are sent away: what they say would be acknowledged and reach nobody.
 *
 * Runs in the broker's process; keeps no state but its registration and that list.  User name = client id = certificate
 * CN here.
 */
#include "wire/topic.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One for both listeners: mosquitto loads the file once and starts it for each. */
static struct plugin {
    char path[512], *text, **denied; /* the file's lines, sorted */
    size_t count;
    bool is_open; /* the server listens */
} self;

/* --- who is denied ---------------------------------------------------------------------------- */

static void forget_denied(void)
{
    free(self.text);
    free(self.denied);
    self.text = NULL;
    self.denied = NULL;
    self.count = 0;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    long size = file != NULL && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    char *text = size >= 0 ? malloc((size_t)size + 1) : NULL;
    if (text != NULL) {
        rewind(file);
        text[fread(text, 1, (size_t)size, file)] = '\0';
    }
    if (file != NULL)
        fclose(file);
    return text;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A list that cannot be read leaves the old one. */
static void read_denied(void)
{
    char *text = read_file(self.path);
    size_t lines = 0;
    for (const char *at = text; at != NULL && *at; at++)
        lines += *at == '\n';
    char **list = text ? calloc(lines + 1, sizeof *list) : NULL;
    if (list == NULL) {
        free(text);
        mosquitto_log_printf(MOSQ_LOG_ERR, "pluvio: %s cannot be read", self.path);
        return;
    }
    forget_denied();
    self.text = text;
    self.denied = list;
    for (char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        if (*at)
            self.denied[self.count++] = at;
    }
    qsort(self.denied, self.count, sizeof *self.denied, compare);
}

static bool is_denied(const char *user)
{
    return self.count > 0 && bsearch(&user, self.denied, self.count, sizeof *self.denied, compare) != NULL;
}

static int on_reload(int event, void *event_data, void *userdata)
{
    (void)event, (void)event_data, (void)userdata;
    read_denied();
    for (size_t i = 0; i < self.count; i++)
        mosquitto_kick_client_by_username(self.denied[i], false);
    return MOSQ_ERR_SUCCESS;
}

/* --- what happens in the broker --------------------------------------------------------------- */

/* `address`: what the message holds; NULL: nothing. */
static void notice(const char *node_id, const char *what, const char *address)
{
    char topic[TOPIC_SIZE];
    int n = snprintf(topic, sizeof topic, TOPIC_NOTICE_PREFIX "%s/%s", node_id, what);
    if (n > 0 && n < (int)sizeof topic)
        mosquitto_broker_publish_copy(NULL, topic, address ? (int)strlen(address) : 0, address ? address : "", 1, false,
                                      NULL);
}

static int on_message(int event, void *event_data, void *userdata)
{
    struct mosquitto_evt_message *m = event_data;
    (void)event, (void)userdata;
    static const char prefix[] = "$aws/rules/";
    if (strncmp(m->topic, prefix, sizeof prefix - 1) != 0)
        return MOSQ_ERR_SUCCESS;
    const char *slash = strchr(m->topic + sizeof prefix - 1, '/');
    if (slash == NULL || strncmp(slash, "/node/", 6) != 0)
        return MOSQ_ERR_SUCCESS;
    char *plain = mosquitto_strdup(slash + 1);
    if (plain == NULL)
        return MOSQ_ERR_NOMEM;
    m->topic = plain; /* the broker frees it */
    return MOSQ_ERR_SUCCESS;
}

/* One subscription for all its nodes; what is not theirs does not pass. */
static int simulator_may(const char *user, const struct mosquitto_evt_acl_check *a)
{
    struct topic topic;
    char node_id[NODE_ID_SIZE];
    if (a->access == MOSQ_ACL_UNSUBSCRIBE ||
        (a->access == MOSQ_ACL_SUBSCRIBE && strcmp(a->topic, "node/+/otaurl") == 0))
        return MOSQ_ERR_SUCCESS;
    bool is_its = topic_parse(&topic, a->topic)
                      ? simulator_speaks_for(user, topic.node_id)
                      : a->access == MOSQ_ACL_WRITE && topic_notice(a->topic, node_id) != NULL &&
                            simulator_speaks_for(user, node_id);
    return is_its && a->access != MOSQ_ACL_SUBSCRIBE ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

/* The server's last subscription opens the broker to nodes; its session outlives its connection (pluviod/bus.c). */
static int local_may(const struct mosquitto_evt_acl_check *a)
{
    if (a->access == MOSQ_ACL_SUBSCRIBE && strcmp(a->topic, TOPIC_NOTICES) == 0)
        self.is_open = true;
    return MOSQ_ERR_SUCCESS;
}

static int on_acl_check(int event, void *event_data, void *userdata)
{
    struct mosquitto_evt_acl_check *a = event_data;
    struct topic topic;
    (void)event, (void)userdata;
    const char *user = mosquitto_client_username(a->client);
    if (user == NULL)
        return local_may(a);
    if (!self.is_open)
        return MOSQ_ERR_CONN_LOST; /* no acknowledgement: the node comes back and says it again */
    if (is_denied(user))
        return MOSQ_ERR_ACL_DENIED;
    if (simulator_is_name(user))
        return simulator_may(user, a);
    if (a->access == MOSQ_ACL_SUBSCRIBE && topic_parse(&topic, a->topic) && topic.kind == TOPIC_OTAURL &&
        strcmp(topic.node_id, user) == 0)
        notice(user, TOPIC_NOTICE_SUBSCRIBED, mosquitto_client_address(a->client));
    return MOSQ_ERR_PLUGIN_DEFER; /* the access file decides */
}

static int on_disconnect(int event, void *event_data, void *userdata)
{
    struct mosquitto_evt_disconnect *d = event_data;
    (void)event, (void)userdata;
    const char *user = mosquitto_client_username(d->client);
    if (user != NULL)
        notice(user, TOPIC_NOTICE_GONE, NULL);
    return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
    for (int i = 0; i < supported_version_count; i++)
        if (supported_versions[i] == 5)
            return 5;
    return -1;
}

static const struct hook {
    int event;
    MOSQ_FUNC_generic_callback call;
} hooks[] = {
    {MOSQ_EVT_MESSAGE, on_message},
    {MOSQ_EVT_ACL_CHECK, on_acl_check},
    {MOSQ_EVT_DISCONNECT, on_disconnect},
    {MOSQ_EVT_RELOAD, on_reload},
};

int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata, struct mosquitto_opt *options,
                          int option_count)
{
    *userdata = identifier;
    for (int i = 0; i < option_count; i++)
        if (strcmp(options[i].key, "denied") == 0)
            snprintf(self.path, sizeof self.path, "%s", options[i].value);
    if (self.path[0] != '\0')
        read_denied();
    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++) {
        int rc = mosquitto_callback_register(identifier, hooks[i].event, hooks[i].call, NULL, NULL);
        if (rc != MOSQ_ERR_SUCCESS)
            return rc;
    }
    return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
    (void)options, (void)option_count;
    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++)
        mosquitto_callback_unregister(userdata, hooks[i].event, hooks[i].call, NULL);
    forget_denied();
    return MOSQ_ERR_SUCCESS;
}
