/* Goal: image bytes appear whole or not at all, in a folder and in an object store, by one suite. */
#include "blob/folder.h"
#include "blob/s3.h"
#include "blob/sigv4.h"
#include "codec/encode.h"
#include "crypto/digest.h"
#include "net/http_call.h"
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[64], s3_url[200]; /* "" when there is no object store */
static struct blob_folder in_folder;
static struct blob_s3 in_s3;
static struct blob_store *store;
static time_ms shift; /* of the clock */

static time_ms clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (time_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000 + shift;
}

static int open_folder(void **state)
{
    (void)state;
    store = &in_folder.port;
    return blob_folder_open(&in_folder, folder, NULL) == ERR_NONE ? 0 : -1;
}

static int open_s3(void **state)
{
    char url[300];
    struct why why = {{0}};
    (void)state;
    /* A prefix of its own for each, so that nothing is there. */
    static int number;
    snprintf(url, sizeof url, "%s/t%d-%d", s3_url, (int)getpid(), ++number);
    snprintf(folder, sizeof folder, "/tmp/pluvio-blob-%d-%d", (int)getpid(), number);
    store = &in_s3.port;
    enum err err = blob_s3_open(&in_s3, url, "test:tester", "testing", folder, clock_now, &why);
    if (err != ERR_NONE)
        fprintf(stderr, "%s\n", why_text(&why, err));
    return err == ERR_NONE ? 0 : -1;
}

static int empty(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* A file of so many bytes that differ, and its SHA-256. */
static void make_file(const char *path, size_t size, char sha[65])
{
    uint8_t digest[SHA256_LEN], *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 12) + size);
    FILE *out = fopen(path, "w");
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(out);
    sha256_of(digest, bytes_of(bytes, size));
    hex_encode(sha, bytes_of(digest, sizeof digest));
    free(bytes);
}

static void take(size_t size, char sha[65])
{
    char path[100];
    struct why why = {{0}};
    snprintf(path, sizeof path, "%s/upload", folder);
    make_file(path, size, sha);
    enum err err = store->ops->take(store, path, sha, &why);
    if (err != ERR_NONE)
        fail_msg("%s", why_text(&why, err));
    assert_int_not_equal(access(path, F_OK), 0);
}

static void has(const char *sha, int64_t wanted)
{
    int fd;
    int64_t size;
    uint8_t digest[SHA256_LEN], *bytes = malloc((size_t)wanted + 1);
    char hex[65];
    struct why why = {{0}};
    enum err err = store->ops->open(store, sha, &fd, &size, &why);
    if (err != ERR_NONE)
        fail_msg("%s", why_text(&why, err));
    assert_int_equal(size, wanted);
    assert_int_equal(pread(fd, bytes, (size_t)wanted, 0), wanted);
    sha256_of(digest, bytes_of(bytes, (size_t)wanted));
    hex_encode(hex, bytes_of(digest, sizeof digest));
    assert_string_equal(hex, sha);
    close(fd);
    free(bytes);
}

static enum err open_code(const char *sha)
{
    int fd;
    int64_t size;
    return store->ops->open(store, sha, &fd, &size, NULL);
}

static void bytes_appear_whole_and_go(void **state)
{
    char sha[65], path[100];
    (void)state;
    snprintf(path, sizeof path, "%s/upload", folder);
    make_file(path, 5, sha);
    assert_int_equal(open_code(sha), ERR_NOT_FOUND);
    take(5, sha);
    has(sha, 5);
    take(5, sha); /* the same again */
    has(sha, 5);
    assert_int_equal(store->ops->remove(store, sha, NULL), ERR_NONE);
    assert_int_equal(store->ops->remove(store, sha, NULL), ERR_NONE);
    assert_int_equal(open_code(sha), ERR_NOT_FOUND);
}

static void names_that_are_none_are_refused(void **state)
{
    char path[100];
    (void)state;
    assert_int_equal(open_code("../../etc/passwd"), ERR_NOT_FOUND);
    snprintf(path, sizeof path, "%s/upload", folder);
    FILE *out = fopen(path, "w");
    fclose(out);
    assert_int_equal(store->ops->take(store, path, "x", NULL), ERR_USAGE);
    assert_int_not_equal(access(path, F_OK), 0); /* it is gone all the same */
    assert_int_equal(store->ops->take(store, "/nowhere/upload",
                                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL),
                     ERR_IO);
}

/* --- the object store alone ------------------------------------------------------------------- */

static void forget_cache(const char *sha)
{
    in_s3.cache.port.ops->remove(&in_s3.cache.port, sha, NULL);
}

static void what_another_server_put_there_is_fetched(void **state)
{
    char sha[65];
    (void)state;
    take(100000, sha);
    forget_cache(sha);
    has(sha, 100000);
    take(3 * S3_PART_BYTES / 2, sha); /* in parts */
    forget_cache(sha);
    has(sha, 3 * S3_PART_BYTES / 2);
}

static int get(const char *url, const char *range, struct buf *body)
{
    struct http_answer answer;
    struct http_call call = {.method = "GET", .url = url, .headers = {range}, .body_fd = -1};
    struct why why = {{0}};
    if (http_call(&call, &answer, &why) != ERR_NONE)
        fail_msg("%s", why.text);
    if (body != NULL)
        *body = answer.body;
    else
        buf_deinit(&answer.body);
    return answer.status;
}

static void nodes_read_it_by_a_signed_url_for_a_while(void **state)
{
    char sha[65], url[900];
    struct buf body;
    (void)state;
    take(10000, sha);
    assert_true(store->ops->url(store, sha, clock_now(), 60, url, sizeof url));
    assert_int_equal(get(url, NULL, &body), 200);
    assert_int_equal(body.len, 10000);
    uint8_t third = (uint8_t)body.at[3];
    buf_deinit(&body);
    assert_int_equal(get(url, "Range: bytes=3-6", &body), 206);
    assert_int_equal(body.len, 4);
    assert_int_equal((uint8_t)body.at[0], third);
    buf_deinit(&body);
    url[strlen(url) - 1] = url[strlen(url) - 1] == '0' ? '1' : '0';
    assert_int_equal(get(url, NULL, NULL), 403);
    assert_true(store->ops->url(store, sha, clock_now() - 10000, 5, url, sizeof url)); /* it is over */
    assert_int_equal(get(url, NULL, NULL), 403);
    assert_false(store->ops->url(store, "no digest", clock_now(), 60, url, sizeof url));
    assert_false(store->ops->url(store, sha, clock_now(), 60, url, 100)); /* no room: then it comes from us */
}

static void other_bytes_under_the_name_are_noticed(void **state)
{
    char sha[65], other[65];
    (void)state;
    take(1000, sha);
    take(2000, other);
    forget_cache(sha);
    forget_cache(other);
    /* Somebody has put the one in the place of the other. */
    char path[100], url[900], body[65];
    snprintf(path, sizeof path, "%s/wrong", folder);
    make_file(path, 77, body);
    struct buf query = {0};
    char object[300];
    snprintf(object, sizeof object, "%s%s.bin", in_s3.prefix, sha);
    const struct sigv4 sign = {.key_id = "test:tester",
                               .secret = "testing",
                               .region = "us-east-1",
                               .method = "PUT",
                               .host = in_s3.host,
                               .path = object,
                               .now = clock_now()};
    sigv4_presign(&sign, 60, &query);
    snprintf(url, sizeof url, "%s%s?%s", in_s3.base, object, query.at);
    buf_deinit(&query);
    struct http_answer answer;
    struct http_call put = {.method = "PUT", .url = url, .body = bytes_of_text("other"), .body_fd = -1};
    assert_int_equal(http_call(&put, &answer, NULL), ERR_NONE);
    assert_int_equal(answer.status, 200);
    buf_deinit(&answer.body);
    assert_int_equal(open_code(sha), ERR_DIGEST);
    has(other, 2000);
}

static void wrong_settings_are_told_at_the_start(void **state)
{
    static const struct {
        const char *url, *key, *secret, *story;
        enum err err;
    } cases[] = {
        {"%s", "test:tester", "wrong", "SignatureDoesNotMatch", ERR_CONFIG},
        {"%s-that-is-not-there", "test:tester", "testing", "NoSuchBucket", ERR_CONFIG},
        {"%s", "", "testing", "key is missing", ERR_CONFIG},
        {"%s?colour=blue", "test:tester", "testing", "named as", ERR_CONFIG},
        {"s3+http://127.0.0.1:1/firmware", "k", "s", "connect", ERR_NETWORK},
        {"s3+http://127.0.0.1:1", "k", "s", "named as", ERR_CONFIG},
        {"http://127.0.0.1/x", "k", "s", "named as", ERR_CONFIG},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char url[300];
        struct why why = {{0}};
        struct blob_s3 b;
        const char *rest = cases[i].url[0] == '%' ? cases[i].url + 2 : NULL;
        snprintf(url, sizeof url, "%s%s", rest ? s3_url : cases[i].url, rest ? rest : "");
        enum err err = blob_s3_open(&b, url, cases[i].key, cases[i].secret, folder, clock_now, &why);
        if (err != cases[i].err || strstr(why.text, cases[i].story) == NULL)
            fail_msg("%s: %d %s", url, (int)err, why.text);
    }
}

static void a_clock_that_is_wrong_is_told(void **state)
{
    struct why why = {{0}};
    struct blob_s3 b;
    (void)state;
    shift = -3600 * 1000LL;
    enum err err = blob_s3_open(&b, s3_url, "test:tester", "testing", folder, clock_now, &why);
    shift = 0;
    assert_int_equal(err, ERR_CONFIG);
    assert_non_null(strstr(why.text, "RequestTimeTooSkewed"));
}

/* --- signatures alone ------------------------------------------------------------------------- */

/* The example of Amazon's documentation. */
static void signatures_are_amazons(void **state)
{
    struct buf query = {0};
    char date[SIGV4_DATE_SIZE], auth[SIGV4_AUTH_SIZE];
    struct sigv4 s = {.key_id = "AKIAIOSFODNN7EXAMPLE",
                      .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                      .region = "us-east-1",
                      .method = "GET",
                      .host = "examplebucket.s3.amazonaws.com",
                      .path = "/test.txt",
                      .query = "",
                      .payload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                      .now = 1369353600000};
    (void)state;
    sigv4_presign(&s, 86400, &query);
    assert_string_equal(query.at, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"
                                  "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-"
                                  "SignedHeaders=host&X-Amz-Signature="
                                  "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    buf_deinit(&query);
    /* "GET Bucket (List Objects)" there: max-keys=2&prefix=J. */
    s.path = "/";
    s.query = "max-keys=2&prefix=J";
    sigv4_sign(&s, date, auth);
    assert_string_equal(date, "20130524T000000Z");
    assert_non_null(strstr(auth, "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, open_folder, empty)
#define IN_S3(test)     cmocka_unit_test_setup_teardown(test, open_s3, empty)
    const struct CMUnitTest folder_tests[] = {
        IN_FOLDER(bytes_appear_whole_and_go),
        IN_FOLDER(names_that_are_none_are_refused),
        cmocka_unit_test(signatures_are_amazons),
    };
    const struct CMUnitTest s3_tests[] = {
        IN_S3(bytes_appear_whole_and_go),
        IN_S3(names_that_are_none_are_refused),
        IN_S3(what_another_server_put_there_is_fetched),
        IN_S3(nodes_read_it_by_a_signed_url_for_a_while),
        IN_S3(other_bytes_under_the_name_are_noticed),
        IN_S3(wrong_settings_are_told_at_the_start),
        IN_S3(a_clock_that_is_wrong_is_told),
    };
    const char *path = getenv("PLUVIO_S3_URL_FILE");
    FILE *file = path ? fopen(path, "re") : NULL;
    snprintf(folder, sizeof folder, "/tmp/pluvio-blob-%d", (int)getpid());
    int failed = cmocka_run_group_tests_name("blob folder", folder_tests, NULL, NULL);
    if (file == NULL || fscanf(file, "%199s", s3_url) != 1) {
        fputs("PLUVIO_S3_URL_FILE names no file with the URL of an object store\n", stderr);
        return 1;
    }
    fclose(file);
    return failed + cmocka_run_group_tests_name("blob s3", s3_tests, NULL, NULL);
}
