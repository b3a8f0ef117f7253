#include "blob/s3.h"

#include "base/text.h"
#include "blob/sigv4.h"
#include "codec/encode.h"
#include "crypto/digest.h"
#include "net/http_call.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALL_MS      120000 /* one request, of one part at most */
#define PARTS_MAX    100
#define ETAG_SIZE    80
#define TRIES        3
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct blob_s3 *of(struct blob_store *port)
{
    return (struct blob_s3 *)port;
}

static bool is_digest(const char *sha256)
{
    return strlen(sha256) == 64 && strspn(sha256, "0123456789abcdef") == 64;
}

/* --- requests --------------------------------------------------------------------------------- */

struct request {
    const char *method, *query, *payload; /* payload: the body's SHA-256 */
    char path[300];
    struct bytes body;
    int fd; /* the body, when there is one; 0: none */
    int64_t from, len;
    int answer_fd;      /* 0: into memory */
    const char *wanted; /* a header */
};

static struct request request_of(const struct blob_s3 *b, const char *method, const char *sha256)
{
    struct request r = {.method = method, .query = "", .payload = EMPTY_SHA256};
    snprintf(r.path, sizeof r.path, "%s%.64s%s", b->prefix, sha256, *sha256 ? ".bin" : "");
    return r;
}

/* What the store says of itself: <Code>NoSuchKey</Code>. */
static void take_element(const struct buf *body, const char *name, char *to, size_t size)
{
    char open[40];
    snprintf(open, sizeof open, "<%s>", name);
    const char *at = body->at ? strstr(body->at, open) : NULL;
    at = at ? at + strlen(open) : "";
    text_copy_field(to, size, at, strcspn(at, "<") < size - 1 ? strcspn(at, "<") : size - 1);
}

static enum err refused(const struct request *r, const struct http_answer *answer, struct why *why)
{
    char code[60], message[120];
    take_element(&answer->body, "Code", code, sizeof code);
    take_element(&answer->body, "Message", message, sizeof message);
    enum err err = answer->status == 404 ? ERR_NOT_FOUND : answer->status >= 500 ? ERR_NETWORK : ERR_IO;
    return why_set(why, err, "the object store answers %d to %s: %s%s%s", answer->status, r->method, code,
                   *message ? ": " : "", message);
}

static enum err call_once(const struct blob_s3 *b, const struct request *r, struct http_answer *answer, struct why *why)
{
    char url[700], date[SIGV4_DATE_SIZE], auth[SIGV4_AUTH_SIZE], headers[3][SIGV4_AUTH_SIZE + 32];
    const struct sigv4 sign = {b->key_id, b->secret, b->region,  r->method, b->host,
                               r->path,   r->query,  r->payload, b->now()};
    sigv4_sign(&sign, date, auth);
    snprintf(url, sizeof url, "%s%s%s%s", b->base, r->path, *r->query ? "?" : "", r->query);
    snprintf(headers[0], sizeof headers[0], "Authorization: %s", auth);
    snprintf(headers[1], sizeof headers[1], "x-amz-date: %s", date);
    snprintf(headers[2], sizeof headers[2], "x-amz-content-sha256: %s", r->payload);
    struct http_call call = {.method = r->method,
                             .url = url,
                             .headers = {headers[0], headers[1], headers[2], "Content-Type: application/octet-stream"},
                             .body = r->body,
                             .body_fd = r->fd > 0 ? r->fd : -1,
                             .body_len = r->len,
                             .answer_fd = r->answer_fd,
                             .wanted = r->wanted,
                             .ca_file = b->ca_file,
                             .timeout_ms = CALL_MS};
    if (r->fd > 0 && lseek(r->fd, r->from, SEEK_SET) < 0)
        return why_set(why, ERR_IO, "the upload: %s", strerror(errno));
    if (r->answer_fd > 0 && (lseek(r->answer_fd, 0, SEEK_SET) != 0 || ftruncate(r->answer_fd, 0) != 0))
        return why_set(why, ERR_IO, "the fetched file: %s", strerror(errno));
    enum err err = http_call(&call, answer, why);
    if (err == ERR_NONE && (answer->status < 200 || answer->status >= 300)) {
        err = refused(r, answer, why);
        buf_deinit(&answer->body);
    }
    return err;
}

/* An object store may well be busy for a moment; all of these requests can be made again.  Frees the answer on error.
 */
static enum err call(const struct blob_s3 *b, const struct request *r, struct http_answer *answer, struct why *why)
{
    enum err err = call_once(b, r, answer, why);
    for (int i = 1; i < TRIES && err == ERR_NETWORK; i++) {
        usleep((useconds_t)(100000 << i));
        err = call_once(b, r, answer, why);
    }
    return err;
}

static enum err call_without_answer(const struct blob_s3 *b, const struct request *r, struct why *why)
{
    struct http_answer answer = {0};
    enum err err = call(b, r, &answer, why);
    if (err == ERR_NONE)
        buf_deinit(&answer.body);
    return err;
}

/* --- uploads ---------------------------------------------------------------------------------- */

static enum err hash_part(int fd, int64_t from, int64_t len, char hex[2 * SHA256_LEN + 1], struct why *why)
{
    uint8_t chunk[16384], digest[SHA256_LEN];
    struct digest d;
    ssize_t n = 1;
    digest_init(&d, DIGEST_SHA256);
    for (int64_t at = 0; at < len && n > 0; at += n) {
        n = pread(fd, chunk, len - at < (int64_t)sizeof chunk ? (size_t)(len - at) : sizeof chunk, from + at);
        if (n > 0)
            digest_update(&d, bytes_of(chunk, (size_t)n));
    }
    digest_final(&d, digest);
    hex_encode(hex, bytes_of(digest, sizeof digest));
    return n > 0 || len == 0 ? ERR_NONE : why_set(why, ERR_IO, "read the upload: %s", strerror(errno));
}

static enum err begin_parts(const struct blob_s3 *b, const char *sha256, char *id, size_t size, struct why *why)
{
    struct http_answer answer = {0};
    struct request r = request_of(b, "POST", sha256);
    r.query = "uploads=";
    r.body = bytes_of_text("");
    enum err err = call(b, &r, &answer, why);
    if (err != ERR_NONE)
        return err;
    take_element(&answer.body, "UploadId", id, size);
    buf_deinit(&answer.body);
    return *id ? ERR_NONE : why_set(why, ERR_IO, "the object store began no upload in parts");
}

static enum err send_part(const struct blob_s3 *b, const char *sha256, int fd, int64_t size, int number,
                          const char *upload, char etag[ETAG_SIZE], struct why *why)
{
    char query[400], hash[2 * SHA256_LEN + 1];
    struct http_answer answer = {0};
    struct request r = request_of(b, "PUT", sha256);
    snprintf(query, sizeof query, "partNumber=%d&uploadId=%s", number, upload);
    r.query = query;
    r.payload = hash;
    r.fd = fd;
    r.from = (int64_t)(number - 1) * S3_PART_BYTES;
    r.len = size - r.from < S3_PART_BYTES ? size - r.from : S3_PART_BYTES;
    r.wanted = "ETag";
    enum err err = hash_part(fd, r.from, r.len, hash, why);
    if (err == ERR_NONE && (err = call(b, &r, &answer, why)) == ERR_NONE) {
        text_copy(etag, ETAG_SIZE, answer.wanted);
        buf_deinit(&answer.body);
    }
    return err;
}

static enum err end_parts(const struct blob_s3 *b, const char *sha256, const char *upload, char (*etags)[ETAG_SIZE],
                          int count, struct why *why)
{
    char query[400], hash[2 * SHA256_LEN + 1];
    uint8_t digest[SHA256_LEN];
    struct buf body = {0};
    struct http_answer answer = {0};
    struct request r = request_of(b, "POST", sha256);
    buf_add_text(&body, "<CompleteMultipartUpload>");
    for (int i = 0; i < count; i++)
        buf_addf(&body, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i + 1, etags[i]);
    buf_add_text(&body, "</CompleteMultipartUpload>");
    snprintf(query, sizeof query, "uploadId=%s", upload);
    sha256_of(digest, buf_bytes(&body));
    hex_encode(hash, bytes_of(digest, sizeof digest));
    r.query = query;
    r.payload = hash;
    r.body = buf_bytes(&body);
    enum err err = body.is_failed ? why_set(why, ERR_NO_MEMORY, "no memory") : call(b, &r, &answer, why);
    buf_deinit(&body);
    /* It may answer 200 and tell of an error only in what follows. */
    if (err == ERR_NONE && answer.body.at != NULL && strstr(answer.body.at, "<Error>") != NULL)
        err = refused(&r, &answer, why);
    buf_deinit(&answer.body);
    return err;
}

static enum err send_in_parts(const struct blob_s3 *b, const char *sha256, int fd, int64_t size, struct why *why)
{
    char id[300] = "", query[400];
    char(*etags)[ETAG_SIZE] = calloc(PARTS_MAX, ETAG_SIZE);
    struct buf escaped = {0};
    int count = (int)((size + S3_PART_BYTES - 1) / S3_PART_BYTES);
    if (etags == NULL || count > PARTS_MAX) {
        free(etags);
        return why_set(why, count > PARTS_MAX ? ERR_TOO_BIG : ERR_NO_MEMORY, "an upload of %d parts", count);
    }
    enum err err = begin_parts(b, sha256, id, sizeof id, why);
    sigv4_escape(&escaped, id, false);
    const char *upload = escaped.at ? escaped.at : "";
    for (int i = 0; err == ERR_NONE && i < count; i++)
        err = send_part(b, sha256, fd, size, i + 1, upload, etags[i], why);
    if (err == ERR_NONE)
        err = end_parts(b, sha256, upload, etags, count, why);
    if (err != ERR_NONE && *upload) {
        struct request drop = request_of(b, "DELETE", sha256);
        snprintf(query, sizeof query, "uploadId=%s", upload);
        drop.query = query;
        call_without_answer(b, &drop, NULL);
    }
    buf_deinit(&escaped);
    free(etags);
    return err;
}

static enum err send_file(const struct blob_s3 *b, const char *path, const char *sha256, struct why *why)
{
    struct stat st;
    struct request head = request_of(b, "HEAD", sha256), put = request_of(b, "PUT", sha256);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            close(fd);
        return why_set(why, ERR_IO, "read the upload %s: %s", path, strerror(errno));
    }
    enum err err = call_without_answer(b, &head, NULL); /* the same bytes may be there already */
    if (err != ERR_NONE && st.st_size > S3_PART_BYTES)
        err = send_in_parts(b, sha256, fd, st.st_size, why);
    else if (err != ERR_NONE) {
        put.payload = sha256;
        put.fd = fd;
        put.len = st.st_size;
        err = call_without_answer(b, &put, why);
    }
    close(fd);
    return err;
}

/* --- the folder ------------------------------------------------------------------------------- */

struct cached {
    char name[80];
    int64_t bytes;
    time_t used_at;
};

static int by_age(const void *a, const void *b)
{
    const struct cached *x = a, *y = b;
    return x->used_at < y->used_at ? -1 : x->used_at > y->used_at;
}

/* What nobody read for longest goes, until the rest fits. */
static void trim_cache(const struct blob_s3 *b)
{
    struct cached list[1024];
    unsigned count = 0;
    int64_t bytes = 0;
    struct stat st;
    DIR *dir = opendir(b->cache.path);
    for (struct dirent *e; dir != NULL && count < 1024 && (e = readdir(dir)) != NULL;)
        if (fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)) {
            text_copy(list[count].name, sizeof list[0].name, e->d_name);
            list[count].bytes = st.st_size;
            list[count++].used_at = st.st_atime > st.st_mtime ? st.st_atime : st.st_mtime;
            bytes += st.st_size;
        }
    qsort(list, count, sizeof list[0], by_age);
    for (unsigned i = 0; i + 1 < count && bytes > S3_CACHE_BYTES; i++) {
        unlinkat(dirfd(dir), list[i].name, 0);
        bytes -= list[i].bytes;
    }
    if (dir != NULL)
        closedir(dir);
}

static enum err fetch(struct blob_s3 *b, const char *sha256, struct why *why)
{
    char path[640], hash[2 * SHA256_LEN + 1];
    struct stat st;
    struct request r = request_of(b, "GET", sha256);
    snprintf(path, sizeof path, "%s/fetching", b->cache.path);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return why_set(why, ERR_IO, "open %s: %s", path, strerror(errno));
    r.answer_fd = fd;
    enum err err = call_without_answer(b, &r, why);
    if (err == ERR_NONE && fstat(fd, &st) != 0)
        err = why_set(why, ERR_IO, "%s: %s", path, strerror(errno));
    if (err == ERR_NONE)
        err = hash_part(fd, 0, st.st_size, hash, why);
    close(fd);
    if (err == ERR_NONE && strcmp(hash, sha256) != 0)
        err = why_set(why, ERR_DIGEST, "the object store has other bytes under %.64s", sha256);
    if (err != ERR_NONE) {
        unlink(path);
        return err;
    }
    trim_cache(b);
    return b->cache.port.ops->take(&b->cache.port, path, sha256, why);
}

/* --- the port --------------------------------------------------------------------------------- */

static enum err s3_take(struct blob_store *port, const char *path, const char *sha256, struct why *why)
{
    struct blob_s3 *b = of(port);
    enum err err = is_digest(sha256) ? send_file(b, path, sha256, why)
                                     : why_set(why, ERR_USAGE, "\"%.70s\" is no SHA-256", sha256);
    if (err != ERR_NONE) {
        unlink(path);
        return err;
    }
    pthread_mutex_lock(&b->lock);
    trim_cache(b);
    b->cache.port.ops->take(&b->cache.port, path, sha256, NULL); /* a folder that is full costs a fetch later */
    pthread_mutex_unlock(&b->lock);
    return ERR_NONE;
}

static enum err s3_open(struct blob_store *port, const char *sha256, int *fd, int64_t *size, struct why *why)
{
    struct blob_s3 *b = of(port);
    *fd = -1;
    if (!is_digest(sha256))
        return why_set(why, ERR_NOT_FOUND, "image bytes %.64s are missing", sha256);
    enum err err = b->cache.port.ops->open(&b->cache.port, sha256, fd, size, NULL);
    if (err == ERR_NONE)
        return ERR_NONE;
    pthread_mutex_lock(&b->lock);
    err = b->cache.port.ops->open(&b->cache.port, sha256, fd, size, NULL);
    if (err != ERR_NONE && (err = fetch(b, sha256, why)) == ERR_NONE)
        err = b->cache.port.ops->open(&b->cache.port, sha256, fd, size, why);
    pthread_mutex_unlock(&b->lock);
    return err == ERR_NOT_FOUND ? why_set(why, err, "image bytes %.64s are missing", sha256) : err;
}

static enum err s3_remove(struct blob_store *port, const char *sha256, struct why *why)
{
    struct blob_s3 *b = of(port);
    struct request r = request_of(b, "DELETE", sha256);
    if (!is_digest(sha256))
        return ERR_NONE;
    b->cache.port.ops->remove(&b->cache.port, sha256, NULL);
    enum err err = call_without_answer(b, &r, why);
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

static bool s3_url(struct blob_store *port, const char *sha256, time_ms now, int64_t ttl_s, char *to, size_t size)
{
    const struct blob_s3 *b = of(port);
    struct buf query = {0};
    const struct request r = request_of(b, "GET", sha256);
    if (!b->redirects || !is_digest(sha256))
        return false;
    const struct sigv4 sign = {.key_id = b->key_id,
                               .secret = b->secret,
                               .region = b->region,
                               .method = "GET",
                               .host = b->host,
                               .path = r.path,
                               .now = now};
    sigv4_presign(&sign, ttl_s, &query);
    bool is_good = !query.is_failed && (size_t)snprintf(to, size, "%s%s?%s", b->base, r.path, query.at) < size;
    buf_deinit(&query);
    return is_good;
}

static const struct blob_store_ops ops = {s3_take, s3_open, s3_remove, s3_url};

/* --- opening ---------------------------------------------------------------------------------- */

static enum err wrong_url(struct why *why)
{
    return why_set(why, ERR_CONFIG,
                   "the object store is named as s3+https://HOST[:PORT]/BUCKET[/PREFIX][?region=R&style=path|host&"
                   "redirect=yes|no&ca=FILE]");
}

static bool take_setting(struct blob_s3 *b, const char *name, const char *value, bool *is_host_style)
{
    if (strcmp(name, "region") == 0)
        return text_copy(b->region, sizeof b->region, value);
    if (strcmp(name, "ca") == 0)
        return text_copy(b->ca_file, sizeof b->ca_file, value);
    if (strcmp(name, "style") == 0) {
        *is_host_style = strcmp(value, "host") == 0;
        return *is_host_style || strcmp(value, "path") == 0;
    }
    b->redirects = strcmp(value, "no") != 0;
    return strcmp(name, "redirect") == 0 && (!b->redirects || strcmp(value, "yes") == 0);
}

static bool take_settings(struct blob_s3 *b, char *text, bool *is_host_style)
{
    char *save = NULL;
    for (char *at = text ? strtok_r(text, "&", &save) : NULL; at != NULL; at = strtok_r(NULL, "&", &save)) {
        char *value = strchr(at, '=');
        if (value == NULL)
            return false;
        *value++ = '\0';
        if (!take_setting(b, at, value, is_host_style))
            return false;
    }
    return true;
}

static enum err read_url(struct blob_s3 *b, const char *url, struct why *why)
{
    char text[700], bucket[80];
    bool is_host_style = false;
    struct buf prefix = {0};
    if (strncmp(url, "s3+http", 7) != 0 || !text_copy(text, sizeof text, url + 3))
        return wrong_url(why);
    char *settings = strchr(text, '?'), *host = strstr(text, "://");
    if (settings != NULL)
        *settings++ = '\0';
    char *path = host ? strchr(host + 3, '/') : NULL;
    if (path == NULL || path == host + 3 || path[1] == '\0' || !take_settings(b, settings, &is_host_style))
        return wrong_url(why);
    *path++ = '\0';
    host += 3;
    size_t bucket_len = strcspn(path, "/");
    text_copy_field(bucket, sizeof bucket, path, bucket_len < sizeof bucket - 1 ? bucket_len : sizeof bucket - 1);
    path += bucket_len;
    snprintf(b->host, sizeof b->host, "%s%s%s", is_host_style ? bucket : "", is_host_style ? "." : "", host);
    snprintf(b->base, sizeof b->base, "%.*s%s", (int)(host - text), text, b->host);
    if (!is_host_style) {
        buf_add_text(&prefix, "/");
        sigv4_escape(&prefix, bucket, false);
    }
    sigv4_escape(&prefix, path, true);
    if (prefix.len == 0 || prefix.at[prefix.len - 1] != '/')
        buf_add_text(&prefix, "/");
    bool is_good = !prefix.is_failed && text_copy(b->prefix, sizeof b->prefix, prefix.at);
    buf_deinit(&prefix);
    return is_good ? ERR_NONE : wrong_url(why);
}

/* A bucket that is missing and a key that is wrong answer otherwise than an object that is missing. */
static enum err try_it(const struct blob_s3 *b, struct why *why)
{
    struct request r = request_of(b, "GET", EMPTY_SHA256);
    struct http_answer answer = {0};
    struct why story = {{0}};
    enum err err = call_once(b, &r, &answer, &story);
    if (err == ERR_NONE)
        buf_deinit(&answer.body);
    bool is_missing = err == ERR_NOT_FOUND && strstr(story.text, "NoSuchBucket") == NULL;
    return err == ERR_NONE || is_missing ? ERR_NONE
                                         : why_set(why, err == ERR_NETWORK ? err : ERR_CONFIG, "%s", story.text);
}

enum err blob_s3_open(struct blob_s3 *b, const char *url, const char *key_id, const char *secret,
                      const char *cache_folder, time_ms (*now)(void), struct why *why)
{
    *b = (struct blob_s3){.port = {&ops}, .region = "us-east-1", .redirects = true, .now = now};
    pthread_mutex_init(&b->lock, NULL);
    if (key_id == NULL || secret == NULL || !text_copy(b->key_id, sizeof b->key_id, key_id) ||
        !text_copy(b->secret, sizeof b->secret, secret) || *key_id == '\0' || *secret == '\0')
        return why_set(why, ERR_CONFIG,
                       "the object store's key is missing: two lines in --blob-key-file, or AWS_ACCESS_KEY_ID and "
                       "AWS_SECRET_ACCESS_KEY");
    enum err err = read_url(b, url, why);
    if (err == ERR_NONE)
        err = blob_folder_open(&b->cache, cache_folder, why);
    if (err == ERR_NONE)
        err = try_it(b, why);
    return err ? why_add(why, err, "object store %s%s", b->base, b->prefix) : ERR_NONE;
}
