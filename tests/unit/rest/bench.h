/* bench.h - REST over a fleet in memory: requests without a socket. */
#ifndef PLUVIO_TEST_REST_BENCH_H
#define PLUVIO_TEST_REST_BENCH_H

#include "../fleet/rig.h"
#include "blob/folder.h"
#include "codec/encode.h"
#include "codec/json.h"
#include "crypto/digest.h"
#include "image/pack.h"
#include "rest/rest.h"
#include "sim/plan.h"

#include <unistd.h>

struct bench {
    struct rig *r;
    struct blob_folder blob;
    struct keys keys;
    struct rest rest;
    struct test_entropy entropy;
    char folder[64], token[TOKEN_SIZE];
    const char *org; /* the header Pluvio-Organisation of call() */
    struct sim_scratch scratch;
    struct memory_store *memory;
};

struct fake {
    struct rest_request q;
    const char *query[40], *token, *range, *offset, *org, *takes, *has;
    bool is_open; /* without the bench's token */
};

static inline const char *get_query(const struct rest_request *q, const char *name)
{
    const struct fake *f = (const struct fake *)(const void *)q;
    for (int i = 0; i + 1 < 40 && f->query[i]; i += 2)
        if (strcmp(f->query[i], name) == 0)
            return f->query[i + 1];
    return NULL;
}

static inline const char *get_header(const struct rest_request *q, const char *name)
{
    const struct fake *f = (const struct fake *)(const void *)q;
    return strcmp(name, "Authorization") == 0         ? f->token
           : strcmp(name, "Range") == 0               ? f->range
           : strcmp(name, "Upload-Offset") == 0       ? f->offset
           : strcmp(name, "Pluvio-Organisation") == 0 ? f->org
           : strcmp(name, "Accept-Encoding") == 0     ? f->takes
           : strcmp(name, "If-None-Match") == 0       ? f->has
                                                      : NULL;
}

static inline struct fleet_store *open_scratch(struct sim_scratch *s)
{
    struct bench *b = (struct bench *)(void *)((char *)s - offsetof(struct bench, scratch));
    return memory_store_open(&b->memory, NULL) == ERR_NONE ? memory_store_port(b->memory) : NULL;
}

static inline void close_scratch(struct sim_scratch *s)
{
    memory_store_close(((struct bench *)(void *)((char *)s - offsetof(struct bench, scratch)))->memory);
}

static inline int set_up(void **state)
{
    static const struct web_page none[] = {{.path = NULL}};
    struct bench *b = calloc(1, sizeof *b);
    bool is_made;
    char path[100];
    rig_set_up((void **)&b->r);
    test_entropy_init(&b->entropy);
    snprintf(b->folder, sizeof b->folder, "/tmp/pluvio-rest-%d", (int)getpid());
    snprintf(path, sizeof path, "rm -rf %s && mkdir %s", b->folder, b->folder);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/keys", b->folder);
    assert_int_equal(keys_open(&b->keys, path, NULL, 0, &b->entropy.entropy, b->r->now, NULL), ERR_NONE);
    snprintf(path, sizeof path, "%s/images", b->folder);
    assert_int_equal(blob_folder_open(&b->blob, path, NULL), ERR_NONE);
    b->scratch = (struct sim_scratch){open_scratch, close_scratch};
    static const char *const hosts[] = {"h"};
    b->rest = (struct rest){.fleet = &b->r->fleet,
                            .blob = &b->blob.port,
                            .keys = &b->keys,
                            .entropy = &b->entropy.entropy,
                            .public_url = "https://h:8443",
                            .mqtt_hosts = hosts,
                            .mqtt_host_count = 1,
                            .version = "test",
                            .pages = none,
                            .scratch = &b->scratch};
    assert_int_equal(rest_first_user(&b->rest, "admin@h", "Secret-123", b->r->now, &is_made, NULL), ERR_NONE);
    assert_true(is_made);
    *state = b;
    return 0;
}

static inline int tear_down(void **state)
{
    struct bench *b = *state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", b->folder);
    assert_int_equal(system(command), 0);
    keys_close(&b->keys);
    rig_tear_down((void **)&b->r);
    free(b);
    return 0;
}

/* Sends a request; the answer's status, and its body as text in `body`. */
static inline int ask(struct bench *b, struct fake *f, char *body, size_t size)
{
    struct rest_response p;
    char file[100];
    snprintf(file, sizeof file, "%s/body-1", b->folder);
    f->q.query = get_query;
    f->q.header = get_header;
    f->q.now = b->r->now;
    f->q.body_file = file;
    if (f->token == NULL && !f->is_open && b->token[0])
        f->token = b->token;
    const struct rest_route *route = rest_find(&b->rest, &f->q, &p);
    if (route != NULL)
        rest_handle(&b->rest, route, &f->q, &p);
    snprintf(body, size, "%s", p.body.at ? p.body.at : "");
    int status = p.status;
    rest_response_deinit(&p);
    return status;
}

static inline int call(struct bench *b, const char *method, const char *path, const char *const *query,
                       const char *json, char *body, size_t size)
{
    struct fake f = {.q = {.method = method, .path = path, .listener = REST_PUBLIC}, .org = b->org};
    for (int i = 0; query != NULL && query[i] != NULL; i++)
        f.query[i] = query[i];
    if (json != NULL)
        f.q.body = bytes_of_text(json);
    return ask(b, &f, body, size);
}

/* Without any token. */
static inline int ask_openly(struct bench *b, struct fake *f, char *body, size_t size)
{
    f->is_open = true;
    return ask(b, f, body, size);
}

/* A URL of ours: path and signature; the body's file is there already.  `offset`: the header Upload-Offset, or NULL. */
static inline int follow_file(struct bench *b, const char *method, const char *url, int64_t len, const char *offset,
                              char *body, size_t size)
{
    char path[600], expires[40] = "", signature[100] = "";
    const char *at = strstr(url, "/v1/");
    struct fake f = {.q = {.method = method, .path = path, .listener = REST_PUBLIC, .body_file_len = len},
                     .offset = offset};
    snprintf(path, sizeof path, "%s", at);
    char *question = strchr(path, '?');
    assert_non_null(question);
    assert_int_equal(sscanf(question, "?e=%39[^&]&s=%99s", expires, signature), 2);
    *question = '\0';
    f.query[0] = "e", f.query[1] = expires, f.query[2] = "s", f.query[3] = signature;
    return ask(b, &f, body, size);
}

static inline void write_body(struct bench *b, struct bytes bytes)
{
    char file[100];
    snprintf(file, sizeof file, "%s/body-1", b->folder);
    FILE *out = fopen(file, "we");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes.at, 1, bytes.len, out), bytes.len);
    fclose(out);
}

/* The same with a text as the body's file; NULL: none. */
static inline int follow(struct bench *b, const char *method, const char *url, const char *text, char *body,
                         size_t size)
{
    if (text != NULL)
        write_body(b, bytes_of_text(text));
    return follow_file(b, method, url, text ? (int64_t)strlen(text) : 0, NULL, body, size);
}

#define CALL(...) call(b, __VA_ARGS__, body, sizeof body)
#define QUERY(...)                                                                                                     \
    (const char *const[])                                                                                              \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

static inline void take_member(const char *body, const char *key, char *to, size_t size)
{
    struct json *doc;
    assert_int_equal(json_parse(bytes_of_text(body), &doc, NULL), ERR_NONE);
    const char *text = json_text(json_get(doc, key));
    assert_non_null(text);
    snprintf(to, size, "%s", text);
    json_free(doc);
}

/* A small application. */
static inline void small_image(struct buf *to, const char *version)
{
    uint8_t elf[200] = "\x7f"
                       "ELF";
    struct pack_options o = {"blinky", version, "", "", 0, CHIP_LINUX};
    assert_int_equal(image_pack(to, bytes_of(elf, sizeof elf), &o, NULL), ERR_NONE);
}

/* A small application as JSON for POST otaimage. */
static inline char *image_body(const char *name, const char *version, bool is_broken)
{
    struct buf image = {0}, text = {0};
    small_image(&image, version);
    if (is_broken)
        image.at[150] ^= 1;
    char encoded[BASE64_SIZE(2000)];
    base64_encode(encoded, buf_bytes(&image), BASE64_STANDARD);
    buf_addf(&text, "{\"image_name\":\"%s\",\"base64_fwimage\":\"%s\"}", name, encoded);
    buf_deinit(&image);
    return buf_take(&text);
}

/* From now on counts of the fleet are kept; the caller frees them. */
static inline struct rest_tallies *keep_tallies(struct bench *b)
{
    struct rest_tallies *tallies = calloc(1, sizeof *tallies);
    assert_non_null(tallies);
    rest_tallies_init(tallies);
    b->rest.tallies = tallies;
    return tallies;
}

static inline void log_in(struct bench *b)
{
    char body[8192];
    b->token[0] = '\0';
    assert_int_equal(CALL("POST", "/v1/login2", NULL, "{\"user_name\":\"admin@h\",\"password\":\"Secret-123\"}"), 200);
    take_member(body, "accesstoken", b->token, sizeof b->token);
}

#endif
