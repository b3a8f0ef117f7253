/* Goal: nothing a node publishes can harm, and nothing that is to be sent is lost. */
#include "../fleet/rig.h"
#include "link/link.h"

struct test_bus {
    struct bus bus;
    struct link_urls urls;
    int next_id, taken, away; /* away: a broker that is; -1: none */
    unsigned broker;          /* of the last message */
    bool is_down;
    char topic[TOPIC_SIZE], payload[2048];
};

static enum bus_sent publish(struct bus *bus, unsigned broker, const char *topic, struct bytes payload, int *message_id)
{
    struct test_bus *b = (struct test_bus *)bus;
    if (b->is_down || (int)broker == b->away)
        return BUS_AWAY;
    b->broker = broker;
    *message_id = ++b->next_id;
    b->taken++;
    snprintf(b->topic, sizeof b->topic, "%s", topic);
    snprintf(b->payload, sizeof b->payload, "%.*s", (int)payload.len, (const char *)payload.at);
    return BUS_SENT;
}

static void image_url(struct link_urls *urls, const struct image *image, time_ms now, char *to, size_t size)
{
    (void)urls, (void)now;
    snprintf(to, size, "https://h/%s", image->id);
}

static struct test_bus new_bus(void)
{
    return (struct test_bus){.bus = {publish}, .urls = {image_url}, .away = -1};
}

static void receive(struct link *l, struct rig *r, const char *topic, const char *payload)
{
    link_receive(l, 0, topic, bytes_of_text(payload), r->now);
    link_flush(l);
}

static void acknowledge(struct link *l, int message_id)
{
    link_acknowledged(l, 0, message_id);
    link_flush(l);
}

static void an_update_by_messages_alone(void **state)
{
    struct rig *r = *state;
    struct test_bus b = new_bus();
    static struct link l;
    char text[300];
    link_init(&l, &r->fleet, &b.bus, &b.urls, NULL, NULL);
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, false, "n1");
    receive(&l, r, "$aws/rules/esp_node_otafetch/node/n1/otafetch", "{\"node_id\":\"n1\",\"fw_version\":\"1.0\"}");
    link_drain(&l, r->now);
    assert_int_equal(b.taken, 1);
    assert_string_equal(b.topic, "node/n1/otaurl");
    assert_non_null(strstr(b.payload, job.id));
    assert_non_null(strstr(b.payload, "\"url\":\"https://h/"));
    assert_non_null(strstr(b.payload, "\"file_size\":1000"));
    link_drain(&l, r->now);
    assert_int_equal(b.taken, 1); /* it is in flight */
    acknowledge(&l, 1);
    assert_int_equal(rig_outbox(r), 0);
    snprintf(text, sizeof text,
             "{\"ota_job_id\":\"%s\",\"status\":\"success\",\"additional_info\":\"ok\",\"ts\":1760000000}", job.id);
    receive(&l, r, "node/n1/otastatus", text);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_SUCCESS);
}

static void what_was_not_acknowledged_goes_again(void **state)
{
    struct rig *r = *state;
    struct test_bus b = new_bus();
    static struct link l;
    link_init(&l, &r->fleet, &b.bus, &b.urls, NULL, NULL);
    rig_node(r, "n1", "1.0");
    rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    b.is_down = true;
    link_drain(&l, r->now);
    b.is_down = false;
    link_connected(&l);
    link_drain(&l, r->now);
    assert_int_equal(b.taken, 1);
    link_disconnected(&l, 0);
    link_drain(&l, r->now);
    assert_int_equal(b.taken, 2);
    acknowledge(&l, 1); /* of the lost connection: nobody waits for it */
    assert_int_equal(rig_outbox(r), 1);
    acknowledge(&l, 2);
    assert_int_equal(rig_outbox(r), 0);
}

/* Two brokers, and one of them is away: its nodes' messages wait, the others' do not, and nothing goes twice. */
static void a_broker_that_is_away_holds_up_nobody(void **state)
{
    struct rig *r = *state;
    struct test_bus b = new_bus();
    static struct link l;
    link_init(&l, &r->fleet, &b.bus, &b.urls, NULL, NULL);
    r->fleet.policy.broker_count = 2;
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    fleet_on_subscribed(&r->fleet, 0, "n1", NULL, r->now, NULL);
    fleet_on_subscribed(&r->fleet, 1, "n2", NULL, r->now, NULL);
    rig_job(r, "job", rig_image(r, "two", "2.0").id, true, NULL);
    b.away = 1;
    assert_false(link_drain(&l, r->now));
    assert_int_equal(b.taken, 1);
    assert_int_equal(b.broker, 0);
    b.away = -1;
    link_connected(&l);
    link_drain(&l, r->now);
    assert_int_equal(b.taken, 2);
    assert_int_equal(b.broker, 1);
    link_acknowledged(&l, 1, 1); /* numbers are each broker's own */
    link_flush(&l);
    assert_int_equal(rig_outbox(r), 2);
    link_acknowledged(&l, 0, 1);
    link_acknowledged(&l, 1, 2);
    link_flush(&l);
    assert_int_equal(rig_outbox(r), 0);
}

/* A store that cannot be reached. */
static enum err begin_away(struct fleet_store *s, bool is_reading, struct fleet_store **tx, struct why *why)
{
    (void)s, (void)is_reading, (void)tx;
    return why_set(why, ERR_STORE_AWAY, "away");
}

static void what_nodes_say_waits_for_the_store(void **state)
{
    struct rig *r = *state;
    struct test_bus b = new_bus();
    static struct link l;
    char id[16], config[] = "{\"node_id\":\"n\",\"info\":{\"fw_version\":\"2.0\"}}";
    link_init(&l, &r->fleet, &b.bus, &b.urls, NULL, NULL);
    for (int i = 0; i < 2 * LINK_BATCH; i++) {
        snprintf(id, sizeof id, "n%03d", i);
        rig_node(r, id, "1.0");
    }
    const struct fleet_store_ops *good = r->fleet.store->ops;
    struct fleet_store_ops away = *good;
    away.begin = begin_away;
    r->fleet.store->ops = &away;
    for (int i = 0; i < 2 * LINK_BATCH; i++) {
        char topic[64];
        snprintf(topic, sizeof topic, "node/n%03d/config", i);
        link_receive(&l, 0, topic, bytes_of_text(config), r->now);
        link_flush(&l);
    }
    assert_int_equal(l.waiting_count, 2 * LINK_BATCH);
    assert_false(link_is_full(&l));
    r->fleet.store->ops = good;
    link_flush(&l);
    assert_int_equal(l.waiting_count, 0);
    for (int i = 0; i < 2 * LINK_BATCH; i++) {
        struct node n;
        snprintf(id, sizeof id, "n%03d", i);
        assert_int_equal(fleet_node_get(&r->fleet, id, &n, NULL), ERR_NONE);
        assert_string_equal(n.fw_version, "2.0");
    }
    link_deinit(&l);
}

static void more_than_fits_in_flight_waits(void **state)
{
    struct rig *r = *state;
    struct test_bus b = new_bus();
    static struct link l;
    char id[16];
    link_init(&l, &r->fleet, &b.bus, &b.urls, NULL, NULL);
    for (int i = 0; i < LINK_IN_FLIGHT + 10; i++) {
        snprintf(id, sizeof id, "n%03d", i);
        rig_node(r, id, "1.0");
    }
    rig_job(r, "job", rig_image(r, "two", "2.0").id, true, NULL);
    link_drain(&l, r->now);
    assert_int_equal(b.taken, LINK_IN_FLIGHT);
    for (int i = 1; i <= LINK_IN_FLIGHT; i++)
        acknowledge(&l, i);
    link_drain(&l, r->now);
    assert_int_equal(b.taken, LINK_IN_FLIGHT + 10);
}

static void malformed_messages_change_nothing(void **state)
{
    static const char *const topics[] = {"node/n1/config",
                                         "node/n1/otafetch",
                                         "node/n1/otastatus",
                                         "node/n1/params/local",
                                         "node/n1/nothing",
                                         "node/stranger/otafetch",
                                         "pluvio/presence/n1",
                                         "pluvio/presence/n1/what",
                                         "pluvio/presence/stranger/otaurl",
                                         "x",
                                         ""};
    static const char *const payloads[] = {"",
                                           "{",
                                           "null",
                                           "[]",
                                           "{\"node_id\":\"n2\"}",
                                           "{\"ota_job_id\":\"x\",\"status\":\"success\"}",
                                           "\xff\xfe",
                                           "{\"info\":7}",
                                           "{\"ota_job_id\":{},\"status\":[]}"};
    struct rig *r = *state;
    struct test_bus b = new_bus();
    static struct link l;
    link_init(&l, &r->fleet, &b.bus, &b.urls, NULL, NULL);
    rig_node(r, "n1", "1.0");
    struct job job = rig_job(r, "job", rig_image(r, "two", "2.0").id, true, "n1");
    rig_drain(r);
    for (size_t t = 0; t < sizeof topics / sizeof topics[0]; t++)
        for (size_t p = 0; p < sizeof payloads / sizeof payloads[0]; p++)
            if (!(strcmp(topics[t], "node/n1/otafetch") == 0 && strcmp(payloads[p], "{\"info\":7}") == 0))
                receive(&l, r, topics[t], payloads[p]);
    char *huge = calloc(1, MESSAGE_MAX + 2);
    memset(huge, '[', MESSAGE_MAX + 1);
    receive(&l, r, "node/n1/config", huge);
    free(huge);
    assert_int_equal(rig_execution(r, job.id, "n1").state, EX_OFFERED);
    struct node n;
    assert_int_equal(fleet_node_get(&r->fleet, "n1", &n, NULL), ERR_NONE);
    assert_string_equal(n.fw_version, "1.0");
}

static void presence_follows_the_notices(void **state)
{
    struct rig *r = *state;
    struct test_bus b = new_bus();
    static struct link l;
    struct node n;
    link_init(&l, &r->fleet, &b.bus, &b.urls, NULL, NULL);
    rig_node(r, "n1", "1.0");
    receive(&l, r, "pluvio/presence/n1/disconnected", "");
    fleet_node_get(&r->fleet, "n1", &n, NULL);
    assert_false(n.is_online);
    receive(&l, r, "pluvio/presence/n1/otaurl", "");
    fleet_node_get(&r->fleet, "n1", &n, NULL);
    assert_true(n.is_online);
    assert_int_equal(n.subscribed_at, r->now);
}

/* A simulator speaks for its own nodes: they go with it, and nobody else does. */
static void a_simulators_nodes_go_with_it(void **state)
{
    static const char *const ids[] = {"sim-a-000001", "sim-a-000002", "sim-ab-000001", "sim-b-000001", "siren"};
    struct rig *r = *state;
    struct test_bus b = new_bus();
    static struct link l;
    struct node n;
    char topic[100];
    link_init(&l, &r->fleet, &b.bus, &b.urls, NULL, NULL);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        rig_node(r, ids[i], "1.0");
        snprintf(topic, sizeof topic, "pluvio/presence/%s/otaurl", ids[i]);
        receive(&l, r, topic, "");
    }
    receive(&l, r, "pluvio/presence/sim-a/disconnected", "");
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_int_equal(fleet_node_get(&r->fleet, ids[i], &n, NULL), ERR_NONE);
        assert_int_equal(n.is_online, i >= 2);
    }
}

/* What came together is one transaction, and one bad message among them costs nothing but itself. */
static void a_batch_is_one_transaction(void **state)
{
    struct rig *r = *state;
    struct test_bus b = new_bus();
    static struct link l;
    struct node n;
    link_init(&l, &r->fleet, &b.bus, &b.urls, NULL, NULL);
    rig_node(r, "n1", "1.0");
    rig_node(r, "n2", "1.0");
    static const char fetch[] = "{\"fw_version\":\"1.5\"}";
    link_receive(&l, 0, "node/n1/otafetch", bytes_of_text(fetch), r->now);
    link_receive(&l, 0, "node/stranger/otafetch", bytes_of_text(fetch), r->now);
    link_receive(&l, 0, "node/n2/otafetch", bytes_of_text("{"), r->now);
    link_receive(&l, 0, "node/n2/otafetch", bytes_of_text(fetch), r->now);
    fleet_node_get(&r->fleet, "n1", &n, NULL);
    assert_string_equal(n.fw_version, "1.0");
    link_flush(&l);
    fleet_node_get(&r->fleet, "n1", &n, NULL);
    assert_string_equal(n.fw_version, "1.5");
    fleet_node_get(&r->fleet, "n2", &n, NULL);
    assert_string_equal(n.fw_version, "1.5");
    link_receive(&l, 0, "node/n1/otafetch", bytes_of_text(fetch), r->now);
    link_deinit(&l); /* what waits is forgotten */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(an_update_by_messages_alone),
        WITH_RIG(what_was_not_acknowledged_goes_again),
        WITH_RIG(a_broker_that_is_away_holds_up_nobody),
        WITH_RIG(what_nodes_say_waits_for_the_store),
        WITH_RIG(more_than_fits_in_flight_waits),
        WITH_RIG(malformed_messages_change_nothing),
        WITH_RIG(presence_follows_the_notices),
        WITH_RIG(a_simulators_nodes_go_with_it),
        WITH_RIG(a_batch_is_one_transaction),
    };
    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
