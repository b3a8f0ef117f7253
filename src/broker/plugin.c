/*
 * plugin.c - our plugin inside mosquitto: three things its 2.0 configuration cannot do.
 *
 *   1. Basic-ingest topics are made plain ($aws/rules/<rule>/X becomes X), because shared subscriptions never match
 *      topics that begin with $.  The access rule was checked on the topic as sent.
 *   2. A notice when a node begins to listen on its otaurl topic, with its address: what was sent before is lost.
 *   3. A notice when a node's connection ends: RainMaker nodes send neither birth nor will.
 *   4. A simulator may use the topics of its nodes, whose ids begin with its name, and gives their notices itself.
 *
 * Runs in the broker's process; keeps no state but its registration.  User name = client id = certificate CN here.
 */
#include "wire/topic.h"

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdio.h>
#include <string.h>

static mosquitto_plugin_id_t *self; /* mosquitto's API hands it over once and wants it back at the end */

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

static int on_acl_check(int event, void *event_data, void *userdata)
{
    struct mosquitto_evt_acl_check *a = event_data;
    struct topic topic;
    (void)event, (void)userdata;
    const char *user = mosquitto_client_username(a->client);
    if (user != NULL && simulator_is_name(user))
        return simulator_may(user, a);
    if (a->access == MOSQ_ACL_SUBSCRIBE && user != NULL && topic_parse(&topic, a->topic) &&
        topic.kind == TOPIC_OTAURL && strcmp(topic.node_id, user) == 0)
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
};

int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata, struct mosquitto_opt *options,
                          int option_count)
{
    (void)userdata, (void)options, (void)option_count;
    self = identifier;
    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++) {
        int rc = mosquitto_callback_register(identifier, hooks[i].event, hooks[i].call, NULL, NULL);
        if (rc != MOSQ_ERR_SUCCESS)
            return rc;
    }
    return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
    (void)userdata, (void)options, (void)option_count;
    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++)
        mosquitto_callback_unregister(self, hooks[i].event, hooks[i].call, NULL);
    return MOSQ_ERR_SUCCESS;
}
