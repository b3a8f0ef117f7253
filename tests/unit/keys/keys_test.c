#include "codec/encode.h"
#include "codec/json.h"
#include "keys/keys.h"
#include "test.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1760000000000

struct rig {
    struct test_entropy entropy;
    struct keys keys;
    char folder[64];
};

static void open_keys(struct rig *r, const char *const *names, unsigned count, time_ms now)
{
    struct why why = {{0}};
    if (keys_open(&r->keys, r->folder, names, count, &r->entropy.entropy, now, &why) != ERR_NONE)
        fail_msg("%s", why.text);
}

static int set_up(void **state)
{
    static const char *const names[] = {"ota.example.org", "192.0.2.7"};
    struct rig *r = calloc(1, sizeof *r);
    test_entropy_init(&r->entropy);
    snprintf(r->folder, sizeof r->folder, "/tmp/pluvio-keys-%d", (int)getpid());
    open_keys(r, names, 2, NOW);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    char command[100];
    keys_close(&r->keys);
    snprintf(command, sizeof command, "rm -rf %s", r->folder);
    assert_int_equal(system(command), 0);
    free(r);
    return 0;
}

static X509 *read_cert(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

static X509 *load_cert(const char *path)
{
    FILE *f = fopen(path, "r");
    X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    return cert;
}

static bool chains(X509 *ca, X509 *cert, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, ca);
    X509_STORE_CTX_init(ctx, store, cert, NULL);
    X509_STORE_CTX_set_purpose(ctx, purpose);
    X509_STORE_CTX_set_time(ctx, 0, NOW / 1000);
    bool is_good = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return is_good;
}

static void certificates_chain_and_name_the_server(void **state)
{
    struct rig *r = *state;
    X509 *ca = load_cert(r->keys.ca_cert), *server = load_cert(r->keys.server_cert);
    assert_true(chains(ca, server, X509_PURPOSE_SSL_SERVER));
    assert_int_equal(X509_check_host(server, "ota.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(server, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(server, "192.0.2.7", 0), 1);
    assert_int_equal(X509_check_ip_asc(server, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_host(server, "other.example.org", 0, 0, NULL), 0);
    X509_free(ca);
    X509_free(server);
}

static void nodes_are_called_by_their_certificate(void **state)
{
    struct rig *r = *state;
    char *cert, *key, name[80];
    assert_int_equal(keys_issue_node(&r->keys, "node-7", NOW, &cert, &key, NULL), ERR_NONE);
    X509 *ca = load_cert(r->keys.ca_cert), *node = read_cert(cert);
    assert_true(chains(ca, node, X509_PURPOSE_SSL_CLIENT));
    assert_false(chains(node, ca, X509_PURPOSE_SSL_CLIENT));
    X509_NAME_get_text_by_NID(X509_get_subject_name(node), NID_commonName, name, sizeof name);
    assert_string_equal(name, "node-7");
    assert_int_equal(X509_check_ca(node), 0);
    X509_free(ca);
    X509_free(node);
    free(cert);
    free(key);
}

static void keys_stay_and_a_new_name_makes_a_new_server_certificate(void **state)
{
    static const char *const names[] = {"new.example.org"};
    struct rig *r = *state;
    X509 *ca = load_cert(r->keys.ca_cert);
    uint8_t token_key[TOKEN_KEY_LEN];
    memcpy(token_key, r->keys.token_key, sizeof token_key);
    keys_close(&r->keys);
    open_keys(r, names, 1, NOW);
    X509 *again = load_cert(r->keys.ca_cert), *server = load_cert(r->keys.server_cert);
    assert_int_equal(X509_cmp(ca, again), 0);
    assert_memory_equal(token_key, r->keys.token_key, sizeof token_key);
    assert_int_equal(X509_check_host(server, "new.example.org", 0, 0, NULL), 1);
    struct stat st;
    assert_int_equal(stat(r->keys.ca_key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    X509_free(ca);
    X509_free(again);
    X509_free(server);
}

static void a_lost_authority_is_not_replaced_silently(void **state)
{
    struct rig *r = *state;
    struct why why = {{0}};
    keys_close(&r->keys);
    assert_int_equal(unlink(r->keys.ca_key), 0);
    assert_int_equal(keys_open(&r->keys, r->folder, NULL, 0, &r->entropy.entropy, NOW, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "backup"));
}

static void tokens_open_until_they_expire(void **state)
{
    struct rig *r = *state;
    char token[TOKEN_SIZE];
    struct token_holder id;
    struct token_claims c = {"user-1", "j\xc3\xb6rg?>~@example.org", "5e55", true, NOW, NOW + 1000};
    assert_int_equal(token_make(&r->keys, &c, token, NULL), ERR_NONE);
    assert_int_equal(token_check(&r->keys, token, NOW, &id, NULL), ERR_NONE);
    assert_string_equal(id.user_id, "user-1");
    assert_string_equal(id.session, "5e55");
    assert_int_equal(token_check(&r->keys, token, NOW + 1000, &id, NULL), ERR_UNAUTHORIZED);
    for (size_t i = 0; token[i]; i++) {
        char kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(token_check(&r->keys, token, NOW, &id, NULL), ERR_UNAUTHORIZED);
        token[i] = kept;
    }
    c.is_access = false;
    assert_int_equal(token_make(&r->keys, &c, token, NULL), ERR_NONE);
    assert_int_equal(token_check(&r->keys, token, NOW, &id, NULL), ERR_UNAUTHORIZED); /* tells who, opens nothing */
    char *payload = strchr(token, '.') + 1;
    *strchr(payload, '.') = '\0';
    assert_null(strpbrk(payload, "-_"));
    static const char *const bad[] = {"", ".", "..", "a.b", "a.b.c", "eyJhbGciOiJub25lIn0.e30."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(token_check(&r->keys, bad[i], NOW, &id, NULL), ERR_UNAUTHORIZED);
}

static void urls_are_for_one_method_path_and_time(void **state)
{
    struct rig *r = *state;
    char s[URL_SIGNATURE_SIZE], e[24];
    int64_t until = NOW / 1000 + 60;
    snprintf(e, sizeof e, "%lld", (long long)until);
    url_sign(&r->keys, "GET", "/v1/files/a", until, s);
    assert_int_equal(url_check(&r->keys, "GET", "/v1/files/a", e, s, NOW, NULL), ERR_NONE);
    assert_int_equal(url_check(&r->keys, "PUT", "/v1/files/a", e, s, NOW, NULL), ERR_FORBIDDEN);
    assert_int_equal(url_check(&r->keys, "GET", "/v1/files/b", e, s, NOW, NULL), ERR_FORBIDDEN);
    assert_int_equal(url_check(&r->keys, "GET", "/v1/files/a", "1900000000", s, NOW, NULL), ERR_FORBIDDEN);
    assert_int_equal(url_check(&r->keys, "GET", "/v1/files/a", e, "", NOW, NULL), ERR_FORBIDDEN);
    assert_int_equal(url_check(&r->keys, "GET", "/v1/files/a", NULL, NULL, NOW, NULL), ERR_FORBIDDEN);
    assert_int_equal(url_check(&r->keys, "GET", "/v1/files/a", e, s, (until + 1) * 1000, NULL), ERR_FORBIDDEN);
}

int main(void)
{
#define WITH_KEYS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_KEYS(certificates_chain_and_name_the_server),
        WITH_KEYS(nodes_are_called_by_their_certificate),
        WITH_KEYS(keys_stay_and_a_new_name_makes_a_new_server_certificate),
        WITH_KEYS(a_lost_authority_is_not_replaced_silently),
        WITH_KEYS(tokens_open_until_they_expire),
        WITH_KEYS(urls_are_for_one_method_path_and_time),
    };
    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
