/*
 * More check-ins than a server can take: flood FOLDER HOST PORT NODES SECONDS [RATE] publishes otafetch of a
 * simulator's nodes (FOLDER: as `pluvio simulator add` made it), so many a second, or as fast as the broker takes them.
 */
#include <inttypes.h>
#include <mosquitto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 2000 /* messages that wait for the broker's word */

static atomic_llong acknowledged;
static atomic_bool is_connected;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_connect(struct mosquitto *m, void *user, int rc)
{
    (void)m, (void)user;
    atomic_store(&is_connected, rc == 0);
}

static void on_publish(struct mosquitto *m, void *user, int id)
{
    (void)m, (void)user, (void)id;
    atomic_fetch_add(&acknowledged, 1);
}

/* "simulator": "sim-..." of simulator.json */
static int read_name(const char *folder, char to[80])
{
    char path[600], text[4000];
    snprintf(path, sizeof path, "%s/simulator.json", folder);
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    text[n] = '\0';
    const char *at = strstr(text, "\"sim-");
    return at != NULL && sscanf(at + 1, "%79[^\"]", to) == 1;
}

int main(int argc, char **argv)
{
    char name[80], path[3][600], topic[200], payload[200];
    if (argc < 6 || argc > 7 || !read_name(argv[1], name))
        return 64;
    static const char *const files[] = {"ca.crt", "node.crt", "node.key"};
    for (int i = 0; i < 3; i++)
        snprintf(path[i], sizeof path[i], "%s/%s", argv[1], files[i]);
    long nodes = strtol(argv[4], NULL, 10);
    double rate = argc == 7 ? strtod(argv[6], NULL) : 0, until = now_s() + strtod(argv[5], NULL), from;
    mosquitto_lib_init();
    struct mosquitto *m = mosquitto_new(name, true, NULL);
    mosquitto_tls_set(m, path[0], NULL, path[1], path[2], NULL);
    mosquitto_connect_callback_set(m, on_connect);
    mosquitto_publish_callback_set(m, on_publish);
    mosquitto_max_inflight_messages_set(m, WINDOW);
    if (mosquitto_connect(m, argv[2], atoi(argv[3]), 60) != MOSQ_ERR_SUCCESS ||
        mosquitto_loop_start(m) != MOSQ_ERR_SUCCESS)
        return 69;
    while (!atomic_load(&is_connected) && now_s() < until)
        usleep(1000);
    from = now_s();
    long long sent = 0;
    for (; now_s() < until; sent++) {
        while ((sent - atomic_load(&acknowledged) >= WINDOW || (rate > 0 && (double)sent > (now_s() - from) * rate)) &&
               now_s() < until)
            usleep(200);
        long node = (long)(sent * 7919 % nodes) + 1;
        snprintf(topic, sizeof topic, "$aws/rules/esp_node_otafetch/node/%s-%06ld/otafetch", name, node);
        snprintf(payload, sizeof payload, "{\"node_id\":\"%s-%06ld\",\"fw_version\":\"1.0\"}", name, node);
        mosquitto_publish(m, NULL, topic, (int)strlen(payload), payload, 1, false);
    }
    printf("%lld %.0f\n", (long long)atomic_load(&acknowledged), (double)atomic_load(&acknowledged) / (now_s() - from));
    mosquitto_loop_stop(m, true);
    mosquitto_destroy(m);
    return 0;
}
