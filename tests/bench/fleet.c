/*
 * The server's mind over a database file of a large fleet: how fast it decides, writes, pushes.  Each figure stands
 * beside its yardstick of the same run.
 *
 *   fleet fill PATH NODES          registers them
 *   fleet job PATH                 starts a job for all of them
 *   fleet fetch PATH NODES COUNT   asks for updates, node by node, in batches
 *   fleet report PATH NODES        reports of them, in batches, and the bare database writing the same rows so
 *   fleet push PATH NODES SOCKET   pushes through mosquitto, and a bare publisher with the same messages
 *
 * PATH: a file of SQLite, or the URL of a PostgreSQL, postgres://...
 */
#include "base/text.h"
#include "link/link.h"
#include "store/postgres/postgres_store.h"
#include "store/sqlite/sqlite_store.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <mosquitto.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256

struct bench {
    struct sqlite_store *sqlite; /* one of these */
    struct postgres_store *postgres;
    struct fleet fleet;
    struct entropy entropy;
    uint64_t random;
    time_ms now;
};

static double clock_s(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill_random(struct entropy *e, void *to, unsigned len)
{
    struct bench *b = (struct bench *)(void *)((char *)e - offsetof(struct bench, entropy));
    for (unsigned i = 0; i < len; i++) {
        b->random = b->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)to)[i] = (uint8_t)(b->random >> 56);
    }
}

static void die(const char *what, const struct why *why)
{
    fprintf(stderr, "fleet: %s: %s\n", what, why->text);
    exit(1);
}

static bool is_postgres(const char *path)
{
    return strncmp(path, "postgres", 8) == 0;
}

static void open_bench(struct bench *b, const char *path)
{
    struct why why = {{0}};
    b->random = 1;
    b->entropy.fill = fill_random;
    b->now = 1760000000000;
    enum err err = is_postgres(path) ? postgres_store_open(&b->postgres, path, NULL, NULL, &why)
                                     : sqlite_store_open(&b->sqlite, path, NULL, &why);
    if (err != ERR_NONE)
        die("open", &why);
    fleet_init(&b->fleet, b->postgres ? postgres_store_port(b->postgres) : sqlite_store_port(b->sqlite), &b->entropy,
               NULL, NULL);
}

static void close_bench(struct bench *b)
{
    fleet_deinit(&b->fleet);
    sqlite_store_close(b->sqlite);
    postgres_store_close(b->postgres);
    b->sqlite = NULL;
    b->postgres = NULL;
}

/* Nodes come in no order: the i-th of the run is some node. */
static void node_id(char to[NODE_ID_SIZE], int64_t i, int64_t count)
{
    snprintf(to, NODE_ID_SIZE, "node-%08" PRId64, (i * 7919 + 13) % count);
}

static void fill(struct bench *b, int64_t count)
{
    static const char config[] =
        "{\"node_id\":\"\",\"info\":{\"name\":\"Light\",\"fw_version\":\"1.0\",\"type\":\"light\","
        "\"model\":\"L1\",\"project_name\":\"app\",\"platform\":\"esp32c3\"}}";
    struct why why = {{0}};
    double from = clock_s(CLOCK_MONOTONIC);
    for (int64_t i = 0; i < count;) {
        struct fleet_batch batch;
        if (fleet_batch_begin(&batch, &b->fleet, &why) != ERR_NONE)
            die("begin", &why);
        for (int k = 0; k < 4096 && i < count; k++, i++) {
            struct node node;
            char id[NODE_ID_SIZE];
            snprintf(id, sizeof id, "node-%08" PRId64, i);
            if (fleet_node_add(&batch.fleet, id, b->now, &node, &why) != ERR_NONE ||
                fleet_on_config(&batch.fleet, id, bytes_of_text(config), b->now, &why) != ERR_NONE)
                die("add", &why);
        }
        if (fleet_batch_end(&batch, &why) != ERR_NONE)
            die("end", &why);
    }
    double took = clock_s(CLOCK_MONOTONIC) - from;
    printf("nodes registered            %" PRId64 " in %.1f s, %.0f/s, each with its description\n", count, took,
           (double)count / took);
}

static struct image add_image(struct bench *b)
{
    struct image_facts facts = {.kind = IMAGE_APP, .has_app_desc = true, .file_len = 1500000, .chip = chip_find(5)};
    struct image image;
    struct why why = {{0}};
    text_copy(facts.app.version, sizeof facts.app.version, "2.0");
    text_copy(facts.app.project_name, sizeof facts.app.project_name, "app");
    struct image_upload u = {.name = "two", .uploader = "bench", .facts = &facts};
    if (fleet_image_add(&b->fleet, NULL, &u, b->now, &image, &why) != ERR_NONE)
        die("image", &why);
    return image;
}

static void job(struct bench *b)
{
    struct image image = add_image(b);
    struct job_order o = {.name = "all", .image_id = image.id, .owner = "bench", .is_for_everyone = true};
    struct job made;
    struct why why = {{0}};
    double from = clock_s(CLOCK_MONOTONIC);
    if (fleet_job_start(&b->fleet, &o, b->now, &made, &why) != ERR_NONE)
        die("job", &why);
    double took = clock_s(CLOCK_MONOTONIC) - from;
    struct job_summary sum;
    fleet_job_get(&b->fleet, made.id, &sum, &why);
    printf("job for all                 %" PRId64 " nodes, created and durable in %.1f ms   [limit 100]\n", sum.total,
           took * 1000);
}

typedef enum err (*act)(struct fleet *f, const char *id, int64_t i, time_ms now, const char *job_id);

/* As the link does. */
static void expect(struct fleet_batch *batch, int64_t i, int64_t count, int64_t nodes)
{
    static char ids[BATCH][NODE_ID_SIZE];
    const char *list[BATCH];
    unsigned n = 0;
    for (; n < BATCH && i < count; n++, i++) {
        node_id(ids[n], i, nodes);
        list[n] = ids[n];
    }
    fleet_batch_expect(batch, list, n, NULL);
}

static double in_batches(struct bench *b, int64_t nodes, int64_t count, act what, const char *job_id, double *cpu)
{
    struct why why = {{0}};
    double from = clock_s(CLOCK_MONOTONIC), cpu_from = clock_s(CLOCK_THREAD_CPUTIME_ID);
    for (int64_t i = 0; i < count;) {
        struct fleet_batch batch;
        if (fleet_batch_begin(&batch, &b->fleet, &why) != ERR_NONE)
            die("begin", &why);
        expect(&batch, i, count, nodes);
        for (int k = 0; k < BATCH && i < count; k++, i++) {
            char id[NODE_ID_SIZE];
            node_id(id, i, nodes);
            enum err err = what(&batch.fleet, id, i, b->now, job_id);
            if (err != ERR_NONE)
                die("act", &why);
        }
        if (fleet_batch_end(&batch, &why) != ERR_NONE)
            die("end", &why);
    }
    *cpu = clock_s(CLOCK_THREAD_CPUTIME_ID) - cpu_from;
    return clock_s(CLOCK_MONOTONIC) - from;
}

static enum err fetch_one(struct fleet *f, const char *id, int64_t i, time_ms now, const char *job_id)
{
    struct fetch_message m;
    char text[100];
    (void)i, (void)job_id;
    snprintf(text, sizeof text, "{\"node_id\":\"%s\",\"fw_version\":\"1.0\"}", id);
    enum err err = fetch_message_read(&m, bytes_of_text(text), NULL);
    return err ? err : fleet_on_fetch(f, id, &m, now, NULL);
}

static void empty_outbox(struct bench *b)
{
    static struct outgoing page[32];
    unsigned count = 32;
    struct fleet_batch batch;
    fleet_batch_begin(&batch, &b->fleet, NULL);
    while (count == 32) {
        fleet_outbox_list(&batch.fleet, 0, page, 32, &count, NULL);
        for (unsigned i = 0; i < count; i++)
            fleet_outbox_done(&batch.fleet, page[i].row.id, NULL);
    }
    fleet_batch_end(&batch, NULL);
}

static void fetch(struct bench *b, int64_t nodes, int64_t count)
{
    double cpu, took = in_batches(b, nodes, count, fetch_one, NULL, &cpu);
    printf("otafetch, offered           %.0f/s on one core (%.0f/s by the clock), each written   [limit 50000]\n",
           (double)count / cpu, (double)count / took);
    int64_t again = count < 200000 ? count : 200000;
    took = in_batches(b, nodes, again, fetch_one, NULL, &cpu);
    count = again;
    printf("otafetch, offered already   %.0f/s on one core (%.0f/s by the clock)   [limit 50000]\n",
           (double)count / cpu, (double)count / took);
    empty_outbox(b);
}

/* --- reports, beside bare SQLite -------------------------------------------------------------- */

static enum err report_one(struct fleet *f, const char *id, int64_t i, time_ms now, const char *job_id)
{
    struct status_report r;
    char text[300];
    (void)i;
    snprintf(text, sizeof text,
             "{\"ota_job_id\":\"%s\",\"status\":\"in-progress\",\"additional_info\":\"Downloading Firmware Image\","
             "\"ts\":%lld}",
             job_id, (long long)(now / 1000));
    enum err err = status_report_read(&r, bytes_of_text(text), NULL);
    return err ? err : fleet_on_report(f, id, &r, now, NULL);
}

/* What a report leaves: its execution's row, a line of its timeline, an event. */
static double bare(const char *path, int64_t nodes, int64_t count, const char *job_id)
{
    sqlite3 *db;
    sqlite3_stmt *update, *event, *begin, *commit;
    double from;
    sqlite3_open(path, &db);
    sqlite3_exec(db,
                 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;"
                 "PRAGMA wal_autocheckpoint=4000;",
                 NULL, NULL, NULL);
    sqlite3_prepare_v2(db,
                       "UPDATE executions SET info=?3,state=?4,percent=?5,updated_at=?6,node_ts=?7,"
                       "timeline_count=timeline_count+1,timeline=timeline||?8 WHERE job_id=?1 AND node_id=?2",
                       -1, &update, NULL);
    sqlite3_prepare_v2(db,
                       "INSERT INTO events (kind,at,node_id,job_id,image_id,info,state,percent) VALUES"
                       " (3,?1,?2,?3,'',?4,?5,?6)",
                       -1, &event, NULL);
    sqlite3_prepare_v2(db, "BEGIN IMMEDIATE", -1, &begin, NULL);
    sqlite3_prepare_v2(db, "COMMIT", -1, &commit, NULL);
    from = clock_s(CLOCK_MONOTONIC);
    for (int64_t i = 0; i < count;) {
        sqlite3_step(begin);
        sqlite3_reset(begin);
        for (int k = 0; k < BATCH && i < count; k++, i++) {
            char id[NODE_ID_SIZE];
            static const char info[] = "Downloading Firmware Image";
            static const char line[] = "1760000000000 1 2 Downloading Firmware Image\n";
            node_id(id, i, nodes);
            sqlite3_bind_text(update, 1, job_id, -1, SQLITE_STATIC);
            sqlite3_bind_text(update, 2, id, -1, SQLITE_STATIC);
            sqlite3_bind_text(update, 3, info, -1, SQLITE_STATIC);
            sqlite3_bind_int(update, 4, 2);
            sqlite3_bind_int(update, 5, -1);
            sqlite3_bind_int64(update, 6, 1760000000000);
            sqlite3_bind_int64(update, 7, 1760000000);
            sqlite3_bind_text(update, 8, line, -1, SQLITE_STATIC);
            sqlite3_step(update);
            sqlite3_reset(update);
            sqlite3_bind_int64(event, 1, 1760000000000);
            sqlite3_bind_text(event, 2, id, -1, SQLITE_STATIC);
            sqlite3_bind_text(event, 3, job_id, -1, SQLITE_STATIC);
            sqlite3_bind_text(event, 4, info, -1, SQLITE_STATIC);
            sqlite3_bind_int(event, 5, 2);
            sqlite3_bind_int(event, 6, -1);
            sqlite3_step(event);
            sqlite3_reset(event);
        }
        sqlite3_step(commit);
        sqlite3_reset(commit);
    }
    double took = clock_s(CLOCK_MONOTONIC) - from;
    sqlite3_finalize(update);
    sqlite3_finalize(event);
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    sqlite3_close(db);
    return took;
}

/* The same by libpq, in a pipeline: prepared statements, a batch a transaction, nothing read. */
static double bare_postgres(const char *url, int64_t nodes, int64_t count, const char *job_id)
{
    static const char update[] = "UPDATE executions SET info=$3,state=$4::bigint,percent=-1,updated_at=$5::bigint,"
                                 "node_ts=$5::bigint/1000,timeline_count=timeline_count+1,timeline=timeline||$6"
                                 " WHERE job_id=$1 AND node_id=$2",
                      event[] = "INSERT INTO events (kind,at,node_id,job_id,image_id,info,state,percent) VALUES"
                                " (3,$1::bigint,$2,$3,'',$4,2,-1)",
                      at[] = "1760000000000", info[] = "Downloading Firmware Image",
                      line[] = "1760000000000 1 2 Downloading Firmware Image\n";
    PGconn *db = PQconnectdb(url);
    PQclear(PQprepare(db, "u", update, 6, NULL));
    PQclear(PQprepare(db, "e", event, 4, NULL));
    PQenterPipelineMode(db);
    double from = clock_s(CLOCK_MONOTONIC);
    for (int64_t i = 0; i < count;) {
        PGresult *r;
        PQsendQueryParams(db, "BEGIN", 0, NULL, NULL, NULL, NULL, 0);
        for (int k = 0; k < BATCH && i < count; k++, i++) {
            char id[NODE_ID_SIZE];
            node_id(id, i, nodes);
            const char *of_update[] = {job_id, id, info, "2", at, line}, *of_event[] = {at, id, job_id, info};
            PQsendQueryPrepared(db, "u", 6, of_update, NULL, NULL, 0);
            PQsendQueryPrepared(db, "e", 4, of_event, NULL, NULL, 0);
            if (k % 16 == 15)
                PQflush(db);
        }
        PQsendQueryParams(db, "COMMIT", 0, NULL, NULL, NULL, NULL, 0);
        PQpipelineSync(db);
        for (bool is_over = false; !is_over && PQstatus(db) == CONNECTION_OK;) {
            if ((r = PQgetResult(db)) == NULL)
                continue;
            is_over = PQresultStatus(r) == PGRES_PIPELINE_SYNC;
            if (PQresultStatus(r) == PGRES_FATAL_ERROR) {
                fprintf(stderr, "fleet: %s\n", PQresultErrorMessage(r));
                exit(1);
            }
            PQclear(r);
        }
    }
    double took = clock_s(CLOCK_MONOTONIC) - from;
    PQfinish(db);
    return took;
}

static void report(struct bench *b, const char *path, int64_t nodes)
{
    struct job_summary sum;
    unsigned count = 0;
    int64_t reports = nodes < 100000 ? nodes : 100000;
    double ours = 0, theirs = 0, cpu;
    fleet_job_list(&b->fleet, "", &sum, 1, &count, NULL);
    in_batches(b, nodes, reports, report_one, sum.job.id, &cpu); /* the first one moves the state */
    for (int round = 0; round < 5; round++) {
        ours += in_batches(b, nodes, reports, report_one, sum.job.id, &cpu);
        close_bench(b);
        theirs += is_postgres(path) ? bare_postgres(path, nodes, reports, sum.job.id)
                                    : bare(path, nodes, reports, sum.job.id);
        open_bench(b, path);
    }
    printf("otastatus, durable          %.0f/s in batches of %d, bare %s %.0f/s: %.2f of it   [limit 0.5]\n",
           5 * (double)reports / ours, BATCH, is_postgres(path) ? "PostgreSQL, pipelined" : "SQLite",
           5 * (double)reports / theirs, theirs / ours);
}

/* --- pushes, beside a bare publisher ---------------------------------------------------------- */

struct publisher {
    struct bus bus;
    struct link_urls urls;
    struct mosquitto *client;
    struct link *link;
    int64_t sent, acknowledged;
    bool is_connected;
    size_t bytes;
};

static enum bus_sent publish(struct bus *bus, unsigned broker, const char *topic, struct bytes payload, int *message_id)
{
    struct publisher *p = (struct publisher *)bus;
    (void)broker;
    p->sent++;
    p->bytes += payload.len;
    return mosquitto_publish(p->client, message_id, topic, (int)payload.len, payload.at, 1, false) == MOSQ_ERR_SUCCESS
               ? BUS_SENT
               : BUS_FULL;
}

static void image_url(struct link_urls *urls, const struct image *image, time_ms now, char *to, size_t size)
{
    (void)urls;
    snprintf(to, size, "https://updates.example.org:8443/v1/files/%s?e=%lld&s=0123456789abcdef0123456789abcdef01234567",
             image->sha256, (long long)(now / 1000 + 86400));
}

static void on_connect(struct mosquitto *m, void *user, int rc)
{
    (void)m;
    ((struct publisher *)user)->is_connected = rc == 0;
}

static void on_publish(struct mosquitto *m, void *user, int id)
{
    struct publisher *p = user;
    (void)m;
    p->acknowledged++;
    if (p->link != NULL)
        link_acknowledged(p->link, 0, id);
}

static void turn(struct publisher *p)
{
    mosquitto_loop(p->client, 10, 100);
}

static void connect_to(struct publisher *p, const char *socket)
{
    p->client = mosquitto_new(NULL, true, p);
    mosquitto_connect_callback_set(p->client, on_connect);
    mosquitto_publish_callback_set(p->client, on_publish);
    mosquitto_connect(p->client, socket, 0, 60);
    while (!p->is_connected)
        turn(p);
}

static double push_ours(struct bench *b, const char *socket, int64_t *count, size_t *bytes)
{
    static struct link link;
    struct publisher p = {.bus = {publish}, .urls = {image_url}, .link = &link};
    struct job_summary sum;
    struct why why = {{0}};
    unsigned found = 0;
    time_ms next = 0;
    fleet_job_list(&b->fleet, "", &sum, 1, &found, NULL);
    link_init(&link, &b->fleet, &p.bus, &p.urls, NULL, NULL);
    connect_to(&p, socket);
    struct job_order o = {.name = "pushed",
                          .image_id = sum.job.image_id,
                          .owner = "bench",
                          .is_for_everyone = true,
                          .is_force_push = true,
                          .priority = 1};
    struct job made;
    if (fleet_job_start(&b->fleet, &o, b->now, &made, &why) != ERR_NONE)
        die("job", &why);
    double from = clock_s(CLOCK_MONOTONIC);
    for (;;) {
        fleet_tick(&b->fleet, b->now, &next, &why);
        link_drain(&link, b->now);
        turn(&p);
        link_flush(&link);
        link_drain(&link, b->now);
        if (next > b->now && p.sent >= *count && p.acknowledged == p.sent)
            break;
    }
    double took = clock_s(CLOCK_MONOTONIC) - from;
    *bytes = p.bytes / (size_t)p.sent;
    *count = p.sent;
    mosquitto_destroy(p.client);
    link_deinit(&link);
    return took;
}

static double push_bare(const char *socket, int64_t count, int64_t nodes, size_t bytes)
{
    struct publisher p = {.bus = {publish}};
    char *payload = calloc(1, bytes + 1), id[NODE_ID_SIZE], topic[TOPIC_SIZE];
    int message_id;
    memset(payload, 'x', bytes);
    connect_to(&p, socket);
    double from = clock_s(CLOCK_MONOTONIC);
    while (p.acknowledged < count) {
        while (p.sent < count && p.sent - p.acknowledged < LINK_IN_FLIGHT) {
            node_id(id, p.sent, nodes);
            snprintf(topic, sizeof topic, "node/%s/otaurl", id);
            publish(&p.bus, 0, topic, bytes_of(payload, bytes), &message_id);
        }
        turn(&p);
    }
    double took = clock_s(CLOCK_MONOTONIC) - from;
    mosquitto_destroy(p.client);
    free(payload);
    return took;
}

static void push(struct bench *b, const char *socket, int64_t nodes)
{
    size_t bytes = 0;
    int64_t count = nodes;
    mosquitto_lib_init();
    double ours = push_ours(b, socket, &count, &bytes), theirs = push_bare(socket, count, nodes, bytes);
    printf("force push                  %" PRId64 " documents of %zu bytes, %.0f/s, a bare publisher %.0f/s: %.2f of it"
           "   [limit 0.7]\n",
           count, bytes, (double)count / ours, (double)count / theirs, theirs / ours);
    mosquitto_lib_cleanup();
}

int main(int argc, char **argv)
{
    static struct bench b;
    if (argc < 3)
        return 64;
    int64_t nodes = argc > 3 ? strtoll(argv[3], NULL, 10) : 0;
    open_bench(&b, argv[2]);
    if (strcmp(argv[1], "fill") == 0)
        fill(&b, nodes);
    else if (strcmp(argv[1], "job") == 0)
        job(&b);
    else if (strcmp(argv[1], "fetch") == 0)
        fetch(&b, nodes, argc > 4 ? strtoll(argv[4], NULL, 10) : nodes);
    else if (strcmp(argv[1], "report") == 0)
        report(&b, argv[2], nodes);
    else if (strcmp(argv[1], "push") == 0 && argc > 4)
        push(&b, argv[4], nodes);
    close_bench(&b);
    return 0;
}
