/*
 * plugin.c - our plugin inside mosquitto: what its 2.0 configuration cannot do.
 *
 *   1. Basic-ingest topics are made plain ($aws/rules/<rule>/X becomes X), and requests for blocks of files too
 *      ($aws/things/X/get/Y becomes pluvio/things/X/get/Y), because shared subscriptions never match topics that begin
 *      with $.  The access rule was checked on the topic as sent.
 *   2. A notice when a node begins to listen on its otaurl topic, with its address: what was sent before is lost.
 *   3. A notice when a node's connection ends: RainMaker nodes send neither birth nor will.
 *   4. Nodes that are denied may neither publish nor subscribe, and those that are connected are thrown out when the
 *      list is read again (SIGHUP), or when a server sends it (TOPIC_DENIED).
 *   5. A simulator may use the topics of its nodes, whose ids begin with its name, and gives their notices itself.
 *   6. While no server listens, nodes are sent away: what they say would be acknowledged and reach nobody.
 *   7. This run of the broker has a name (TOPIC_RUN), by which servers know that nobody is connected any more.
 *
 * Servers come in by the Unix socket, without a user name, or by a listener of their own with the user name of option
 * `server`, which is a secret: a maker's authority could make a certificate for any name that it knows.
 *
 * Runs in the broker's process; keeps no state but its registration, that list and who listens.  User name = client id
 * = certificate CN here.
 */
#include "wire/topic.h"

#include <inttypes.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define SERVERS_MAX 64

/* One for both listeners: mosquitto loads the file once and starts it for each. */
static struct plugin {
    char path[512], *text, **denied; /* the file's lines, sorted */
    size_t count;
    char server[128], run[40];
    bool is_open;                     /* the server of the Unix socket listens: its session outlives its connection */
    const void *servers[SERVERS_MAX]; /* others that do */
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

/* Takes the text over.  A list that cannot be read leaves the old one. */
static void take_denied(char *text)
{
    size_t lines = 0;
    for (const char *at = text; at != NULL && *at; at++)
        lines += *at == '\n';
    char **list = text ? calloc(lines + 1, sizeof *list) : NULL;
    if (list == NULL) {
        free(text);
        mosquitto_log_printf(MOSQ_LOG_ERR, "pluvio: the list of denied nodes cannot be read");
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

static void throw_out_denied(void)
{
    for (size_t i = 0; i < self.count; i++)
        mosquitto_kick_client_by_username(self.denied[i], false);
}

static int on_reload(int event, void *event_data, void *userdata)
{
    (void)event, (void)event_data, (void)userdata;
    if (self.path[0] == '\0')
        return MOSQ_ERR_SUCCESS;
    take_denied(read_file(self.path));
    throw_out_denied();
    return MOSQ_ERR_SUCCESS;
}

/* --- servers ---------------------------------------------------------------------------------- */

static bool is_server(const struct mosquitto *client)
{
    const char *user = mosquitto_client_username(client);
    return user == NULL || (self.server[0] != '\0' && strcmp(user, self.server) == 0);
}

static void note_server(const void *client, bool listens)
{
    const void **place = NULL;
    for (int i = 0; i < SERVERS_MAX; i++) {
        if (self.servers[i] == client)
            self.servers[i] = NULL;
        if (self.servers[i] == NULL && place == NULL)
            place = &self.servers[i];
    }
    if (listens && place != NULL)
        *place = client;
}

static bool does_anybody_listen(void)
{
    for (int i = 0; i < SERVERS_MAX; i++)
        if (self.servers[i] != NULL)
            return true;
    return self.is_open;
}

/* --- what happens in the broker --------------------------------------------------------------- */

/* `address`: NULL when it is not told.  Two notices of one node may be taken by two servers, in any order. */
static void notice(const char *node_id, const char *what, const char *address)
{
    char topic[TOPIC_SIZE], payload[100];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int n = snprintf(topic, sizeof topic, TOPIC_NOTICE_PREFIX "%s/%s", node_id, what);
    int len = snprintf(payload, sizeof payload, "%" PRId64 "%s%s", (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
                       address ? " " : "", address ? address : "");
    if (n > 0 && n < (int)sizeof topic && len < (int)sizeof payload)
        mosquitto_broker_publish_copy(NULL, topic, len, payload, 1, false, NULL);
}

/* The topic in another spelling, `skip` characters of it left out; the broker frees it. */
static int respell(struct mosquitto_evt_message *m, const char *prefix, size_t skip)
{
    size_t size = strlen(prefix) + strlen(m->topic + skip) + 1;
    char *topic = mosquitto_malloc(size);
    if (topic == NULL)
        return MOSQ_ERR_NOMEM;
    snprintf(topic, size, "%s%s", prefix, m->topic + skip);
    m->topic = topic;
    return MOSQ_ERR_SUCCESS;
}

static int take_list(const struct mosquitto_evt_message *m)
{
    char *text = malloc(m->payloadlen + 1);
    if (text == NULL)
        return MOSQ_ERR_NOMEM;
    memcpy(text, m->payload, m->payloadlen);
    text[m->payloadlen] = '\0';
    take_denied(text);
    throw_out_denied();
    return MOSQ_ERR_SUCCESS;
}

static int on_message(int event, void *event_data, void *userdata)
{
    struct mosquitto_evt_message *m = event_data;
    (void)event, (void)userdata;
    static const char rules[] = "$aws/rules/", things[] = TOPIC_THINGS;
    if (strncmp(m->topic, rules, sizeof rules - 1) == 0) {
        const char *slash = strchr(m->topic + sizeof rules - 1, '/');
        bool is_nodes = slash != NULL && strncmp(slash, "/node/", 6) == 0;
        return is_nodes ? respell(m, "", (size_t)(slash + 1 - m->topic)) : MOSQ_ERR_SUCCESS;
    }
    if (strncmp(m->topic, things, sizeof things - 1) == 0 && strstr(m->topic, "/get/") != NULL)
        return respell(m, TOPIC_THINGS_PLAIN, sizeof things - 1);
    if (strcmp(m->topic, TOPIC_DENIED) == 0 && is_server(m->client))
        return take_list(m);
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

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

/* A server's last subscription, shared with others or not, opens the broker to nodes; that of the Unix socket for good,
 * since its session outlives its connection (pluviod/bus.c). */
static int server_may(const struct mosquitto_evt_acl_check *a)
{
    if (a->access == MOSQ_ACL_SUBSCRIBE && ends_with(a->topic, TOPIC_NOTICES)) {
        if (mosquitto_client_username(a->client) == NULL)
            self.is_open = true;
        else
            note_server(a->client, true);
    }
    if (a->access == MOSQ_ACL_SUBSCRIBE && strcmp(a->topic, TOPIC_RUN) == 0)
        mosquitto_broker_publish_copy(NULL, TOPIC_RUN, (int)strlen(self.run), self.run, 1, false, NULL);
    return MOSQ_ERR_SUCCESS;
}

static int on_acl_check(int event, void *event_data, void *userdata)
{
    struct mosquitto_evt_acl_check *a = event_data;
    struct topic topic;
    (void)event, (void)userdata;
    const char *user = mosquitto_client_username(a->client);
    if (is_server(a->client))
        return server_may(a);
    if (!does_anybody_listen())
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
    if (is_server(d->client))
        note_server(d->client, false);
    else
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

static bool name_run(void)
{
    unsigned char bytes[16];
    if (self.run[0] != '\0')
        return true;
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(self.run + 2 * i, 3, "%02x", bytes[i]);
    return true;
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
    for (int i = 0; i < option_count; i++) {
        if (strcmp(options[i].key, "denied") == 0)
            snprintf(self.path, sizeof self.path, "%s", options[i].value);
        if (strcmp(options[i].key, "server") == 0)
            snprintf(self.server, sizeof self.server, "%s", options[i].value);
    }
    if (self.path[0] != '\0')
        take_denied(read_file(self.path));
    if (!name_run())
        return MOSQ_ERR_UNKNOWN;
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
