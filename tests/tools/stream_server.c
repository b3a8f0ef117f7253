/*
 * A server of file streams for the tests: stream_server PORT FILE [LOSE [REFUSE]]
 *
 * Answers every node's requests for any stream with blocks of FILE, over the broker's plain listener on 127.0.0.1:PORT.
 * Of LOSE blocks the last one is not sent the first time it is asked for; with REFUSE the first so many requests are
 * rejected.
 */
#include "wire/stream.h"

#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct server {
    struct mosquitto *m;
    uint8_t *file;
    size_t size;
    unsigned lose, refuse, sent, requests;
};

static void answer_topic(char *to, size_t size, const char *get, const char *kind)
{
    int prefix = (int)(strlen(get) - strlen("get/cbor"));
    snprintf(to, size, "%.*s%s/cbor", prefix, get, kind);
}

static void send_block(struct server *s, const char *topic, uint32_t block_bytes, uint32_t index)
{
    uint64_t at = (uint64_t)index * block_bytes;
    if (at >= s->size)
        return;
    if (s->lose > 0 && ++s->sent % s->lose == 0)
        return;
    uint32_t len = s->size - at < block_bytes ? (uint32_t)(s->size - at) : block_bytes;
    struct stream_block block = {STREAM_FILE_ID, index, len, bytes_of(s->file + at, len)};
    uint8_t *raw = malloc(len + STREAM_BLOCK_HEADER);
    size_t n = stream_block_write(raw, len + STREAM_BLOCK_HEADER, &block);
    mosquitto_publish(s->m, NULL, topic, (int)n, raw, 1, false);
    free(raw);
}

static void on_message(struct mosquitto *m, void *user, const struct mosquitto_message *message)
{
    struct server *s = user;
    struct stream_request r;
    char topic[STREAM_TOPIC_SIZE];
    (void)m;
    if (!stream_request_read(&r, bytes_of(message->payload, (size_t)message->payloadlen))) {
        fprintf(stderr, "%s: no request\n", message->topic);
        return;
    }
    printf("%s: %u blocks of %u from %u\n", message->topic, r.count, r.block_bytes, r.offset);
    fflush(stdout);
    if (s->requests++ < s->refuse) {
        answer_topic(topic, sizeof topic, message->topic, "rejected");
        mosquitto_publish(s->m, NULL, topic, 2, "{}", 1, false);
        return;
    }
    answer_topic(topic, sizeof topic, message->topic, "data");
    for (uint32_t i = r.count; i-- > 0;) /* the last one first: order does not matter */
        if (r.bitmap.len == 0 || r.bitmap.at[i / 8] & 1 << i % 8)
            send_block(s, topic, r.block_bytes, r.offset + i);
}

static void on_connect(struct mosquitto *m, void *user, int rc)
{
    (void)user;
    if (rc == 0)
        mosquitto_subscribe(m, NULL, "$aws/things/+/streams/+/get/cbor", 1);
}

int main(int argc, char **argv)
{
    struct server s = {.lose = argc > 3 ? (unsigned)atoi(argv[3]) : 0,
                       .refuse = argc > 4 ? (unsigned)atoi(argv[4]) : 0};
    FILE *file = argc > 2 ? fopen(argv[2], "rb") : NULL;
    if (file == NULL) {
        fprintf(stderr, "Usage: stream_server PORT FILE [LOSE [REFUSE]]\n");
        return 64;
    }
    fseek(file, 0, SEEK_END);
    s.size = (size_t)ftell(file);
    rewind(file);
    s.file = malloc(s.size);
    if (fread(s.file, 1, s.size, file) != s.size)
        return 74;
    fclose(file);
    mosquitto_lib_init();
    s.m = mosquitto_new("stream-server", true, &s);
    mosquitto_connect_callback_set(s.m, on_connect);
    mosquitto_message_callback_set(s.m, on_message);
    if (mosquitto_connect(s.m, "127.0.0.1", atoi(argv[1]), 60) != MOSQ_ERR_SUCCESS)
        return 69;
    return mosquitto_loop_forever(s.m, -1, 1);
}
