#include "keys/keys.h"

#include "base/text.h"
#include "codec/encode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_S       86400L
#define CA_DAYS     (30 * 365L)
#define SERVER_DAYS 397L /* what browsers accept at most */
#define NODE_DAYS   (100 * 365L)
#define RENEW_DAYS  30L
#define SAN_SIZE    2048

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static void identity_free(struct identity *i)
{
    EVP_PKEY_free(i->key);
    X509_free(i->cert);
    *i = (struct identity){NULL, NULL};
}

static enum err crypto_error(struct why *why, const char *what)
{
    char text[160];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return why_set(why, ERR_CRYPTO, "%s: %s", what, text);
}

/* --- files ------------------------------------------------------------------------------------ */

/* Written beside and renamed, so that a power cut leaves the old file or the new one. */
static enum err write_file(const char *path, struct bytes data, mode_t mode, struct why *why)
{
    char beside[KEYS_PATH_SIZE + 8];
    snprintf(beside, sizeof beside, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool is_good = fd >= 0 && write(fd, data.at, data.len) == (ssize_t)data.len && fsync(fd) == 0;
    if (fd >= 0)
        is_good &= close(fd) == 0;
    if (!is_good || rename(beside, path) != 0)
        return why_set(why, ERR_IO, "write %s: %s", path, strerror(errno));
    return ERR_NONE;
}

static char *bio_take_text(BIO *bio)
{
    char *at, *text = NULL;
    long len = BIO_get_mem_data(bio, &at);
    if (len >= 0 && (text = malloc((size_t)len + 1)) != NULL) {
        memcpy(text, at, (size_t)len);
        text[len] = '\0';
    }
    BIO_free(bio);
    return text;
}

static char *cert_text(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, cert);
    return bio_take_text(bio);
}

static char *key_text(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    return bio_take_text(bio);
}

static enum err save(const struct identity *i, const char *cert_path, const char *key_path, struct why *why)
{
    char *cert = cert_text(i->cert), *key = key_text(i->key);
    enum err err =
        cert && key ? write_file(key_path, bytes_of_text(key), 0600, why) : why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE)
        err = write_file(cert_path, bytes_of_text(cert), 0644, why);
    free(cert);
    free(key);
    return err;
}

static bool load(struct identity *i, const char *cert_path, const char *key_path)
{
    FILE *cert = fopen(cert_path, "re"), *key = fopen(key_path, "re");
    *i = (struct identity){NULL, NULL};
    if (cert != NULL && key != NULL) {
        i->cert = PEM_read_X509(cert, NULL, NULL, NULL);
        i->key = PEM_read_PrivateKey(key, NULL, NULL, NULL);
    }
    if (cert != NULL)
        fclose(cert);
    if (key != NULL)
        fclose(key);
    ERR_clear_error();
    bool is_good = i->cert != NULL && i->key != NULL && X509_check_private_key(i->cert, i->key) == 1;
    if (!is_good)
        identity_free(i);
    return is_good;
}

/* --- certificates ----------------------------------------------------------------------------- */

struct cert_plan {
    const char *common_name;
    const struct identity *issuer; /* NULL: signs itself */
    long days;
    const char *basic, *usage, *extended, *names; /* extension values, NULL: left out */
    EVP_PKEY *public_key;                         /* whose certificate it is; NULL: of a new key */
};

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = value ? X509V3_EXT_conf_nid(NULL, &ctx, nid, value) : NULL;
    bool is_good = value == NULL || (extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
    return is_good;
}

static bool set_serial(X509 *cert)
{
    uint8_t random[16];
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    random[0] &= 0x7f; /* serial numbers are positive, RFC 5280 4.1.2.2 */
    BIGNUM *number = BN_bin2bn(random, sizeof random, NULL);
    bool is_good = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return is_good;
}

static enum err make_identity(struct identity *i, const struct cert_plan *plan, time_ms now, struct why *why)
{
    time_t day = (time_t)(now / 1000);
    i->key = plan->public_key ? NULL : EVP_EC_gen("P-256");
    EVP_PKEY *owner = plan->public_key ? plan->public_key : i->key;
    i->cert = X509_new();
    X509 *issuer = plan->issuer ? plan->issuer->cert : i->cert;
    X509_NAME *name = X509_NAME_new();
    bool is_good =
        owner && i->cert && name && X509_set_version(i->cert, 2) && set_serial(i->cert) &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)plan->common_name, -1, -1, 0) &&
        X509_set_subject_name(i->cert, name) &&
        X509_set_issuer_name(i->cert, plan->issuer ? X509_get_subject_name(issuer) : name) &&
        X509_time_adj_ex(X509_getm_notBefore(i->cert), -1, 0, &day) &&
        X509_time_adj_ex(X509_getm_notAfter(i->cert), (int)plan->days, 0, &day) && X509_set_pubkey(i->cert, owner) &&
        add_extension(i->cert, issuer, NID_basic_constraints, plan->basic) &&
        add_extension(i->cert, issuer, NID_key_usage, plan->usage) &&
        add_extension(i->cert, issuer, NID_ext_key_usage, plan->extended) &&
        add_extension(i->cert, issuer, NID_subject_alt_name, plan->names) &&
        add_extension(i->cert, issuer, NID_subject_key_identifier, "hash") &&
        add_extension(i->cert, issuer, NID_authority_key_identifier, plan->issuer ? "keyid:always" : NULL) &&
        X509_sign(i->cert, plan->issuer ? plan->issuer->key : i->key, EVP_sha256()) > 0;
    X509_NAME_free(name);
    if (is_good)
        return ERR_NONE;
    identity_free(i);
    return crypto_error(why, "make a certificate");
}

static bool is_ip(const char *name)
{
    uint8_t address[16];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static void join_names(struct text *t, const char *const *names, unsigned count)
{
    text_add(t, "DNS:localhost,IP:127.0.0.1,IP:::1");
    for (unsigned i = 0; i < count; i++)
        if (strcmp(names[i], "localhost") != 0 && strcmp(names[i], "127.0.0.1") != 0 && strcmp(names[i], "::1") != 0)
            text_add(t, ",%s:%s", is_ip(names[i]) ? "IP" : "DNS", names[i]);
}

static bool covers(X509 *cert, const char *name)
{
    return is_ip(name) ? X509_check_ip_asc(cert, name, 0) == 1 : X509_check_host(cert, name, 0, 0, NULL) == 1;
}

/* Made by this authority, long enough valid, for every name. */
static bool server_is_good(const struct identity *server, const struct identity *ca, const char *const *names,
                           unsigned count, time_ms now)
{
    time_t until = (time_t)(now / 1000) + RENEW_DAYS * DAY_S;
    bool is_good = X509_verify(server->cert, ca->key) == 1 &&
                   X509_cmp_time(X509_get0_notAfter(server->cert), &until) > 0 && covers(server->cert, "localhost") &&
                   covers(server->cert, "127.0.0.1");
    ERR_clear_error();
    for (unsigned i = 0; is_good && i < count; i++)
        is_good = covers(server->cert, names[i]);
    return is_good;
}

static enum err open_ca(struct keys *k, struct identity *ca, time_ms now, struct why *why)
{
    char name[64];
    if (load(ca, k->ca_cert, k->ca_key))
        return ERR_NONE;
    if (access(k->ca_cert, F_OK) == 0 || access(k->ca_key, F_OK) == 0)
        return why_set(why, ERR_CONFIG,
                       "%s and %s do not belong together; restore them from a backup, nodes trust this authority",
                       k->ca_cert, k->ca_key);
    k->is_first_start = true;
    snprintf(name, sizeof name, "Pluvio installation authority %lld", (long long)(now / 1000));
    struct cert_plan plan = {
        .common_name = name, .days = CA_DAYS, .basic = "critical,CA:TRUE", .usage = "critical,keyCertSign,cRLSign"};
    enum err err = make_identity(ca, &plan, now, why);
    return err ? err : save(ca, k->ca_cert, k->ca_key, why);
}

static enum err open_server(struct keys *k, const struct identity *ca, const char *const *names, unsigned count,
                            time_ms now, struct why *why)
{
    struct identity server;
    char san[SAN_SIZE];
    struct text t;
    if (load(&server, k->server_cert, k->server_key) && server_is_good(&server, ca, names, count, now)) {
        identity_free(&server);
        return ERR_NONE;
    }
    identity_free(&server);
    text_init(&t, san, sizeof san);
    join_names(&t, names, count);
    if (t.is_cut)
        return why_set(why, ERR_CONFIG, "the server's names together are longer than %d characters", SAN_SIZE);
    struct cert_plan plan = {.common_name = "Pluvio server",
                             .issuer = ca,
                             .days = SERVER_DAYS,
                             .basic = "critical,CA:FALSE",
                             .usage = "critical,digitalSignature",
                             .extended = "serverAuth",
                             .names = san};
    enum err err = make_identity(&server, &plan, now, why);
    if (err == ERR_NONE)
        err = save(&server, k->server_cert, k->server_key, why);
    identity_free(&server);
    return err;
}

static enum err open_token_key(struct keys *k, struct entropy *entropy, struct why *why)
{
    char path[KEYS_PATH_SIZE];
    snprintf(path, sizeof path, "%s/token.key", k->folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, k->token_key, sizeof k->token_key);
    if (fd >= 0)
        close(fd);
    if (n == (ssize_t)sizeof k->token_key)
        return ERR_NONE;
    entropy->fill(entropy, k->token_key, sizeof k->token_key);
    return write_file(path, bytes_of(k->token_key, sizeof k->token_key), 0600, why);
}

enum err keys_open(struct keys *k, const char *folder, const char *const *names, unsigned name_count,
                   struct entropy *entropy, time_ms now, struct why *why)
{
    struct identity ca = {NULL, NULL};
    memset(k, 0, sizeof *k);
    if (!text_copy(k->folder, sizeof k->folder, folder))
        return why_set(why, ERR_CONFIG, "the path %s is too long", folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return why_set(why, ERR_IO, "make the folder %s: %s", folder, strerror(errno));
    snprintf(k->ca_cert, sizeof k->ca_cert, "%s/ca.crt", folder);
    snprintf(k->ca_key, sizeof k->ca_key, "%s/ca.key", folder);
    snprintf(k->server_cert, sizeof k->server_cert, "%s/server.crt", folder);
    snprintf(k->server_key, sizeof k->server_key, "%s/server.key", folder);
    enum err err = open_ca(k, &ca, now, why);
    if (err == ERR_NONE)
        err = open_server(k, &ca, names, name_count, now, why);
    if (err == ERR_NONE)
        err = open_token_key(k, entropy, why);
    if (err == ERR_NONE && (k->ca_pem = cert_text(ca.cert)) == NULL)
        err = why_set(why, ERR_NO_MEMORY, "no memory");
    identity_free(&ca);
    return err ? why_add(why, err, "open the keys in %s", folder) : ERR_NONE;
}

void keys_close(struct keys *k)
{
    OPENSSL_cleanse(k->token_key, sizeof k->token_key);
    free(k->ca_pem);
    k->ca_pem = NULL;
}

enum err keys_issue_node(struct keys *k, const char *node_id, time_ms now, char **cert_pem, char **key_pem,
                         struct why *why)
{
    struct identity ca, node;
    *cert_pem = *key_pem = NULL;
    if (!load(&ca, k->ca_cert, k->ca_key))
        return why_set(why, ERR_IO, "the certificate authority in %s cannot be read", k->folder);
    struct cert_plan plan = {.common_name = node_id, .issuer = &ca, .days = NODE_DAYS, .basic = "critical,CA:FALSE"};
    enum err err = make_identity(&node, &plan, now, why);
    if (err == ERR_NONE) {
        *cert_pem = cert_text(node.cert);
        *key_pem = key_text(node.key);
        identity_free(&node);
    }
    identity_free(&ca);
    if (err == ERR_NONE && (*cert_pem == NULL || *key_pem == NULL))
        err = why_set(why, ERR_NO_MEMORY, "no memory");
    return err;
}

/* --- requests, and what nodes prove ----------------------------------------------------------- */

static X509 *read_cert(struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return cert;
}

static X509_REQ *read_request(struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    X509_REQ *request = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return request;
}

static bool names_node(X509_REQ *request, const char *node_id)
{
    char name[80] = "";
    return X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(request), NID_commonName, name, sizeof name) > 0 &&
           strcmp(name, node_id) == 0;
}

static enum err sign_request(const struct keys *k, X509_REQ *request, const char *node_id, time_ms now, char **cert_pem,
                             struct why *why)
{
    struct identity ca, node;
    EVP_PKEY *owner = request ? X509_REQ_get0_pubkey(request) : NULL;
    if (owner == NULL || X509_REQ_verify(request, owner) != 1)
        return why_set(why, ERR_BODY, "csr is no certificate request that its own key signed");
    if (!names_node(request, node_id))
        return why_set(why, ERR_BODY, "csr is not for node %s", node_id);
    if (!load(&ca, k->ca_cert, k->ca_key))
        return why_set(why, ERR_IO, "the certificate authority in %s cannot be read", k->folder);
    struct cert_plan plan = {
        .common_name = node_id, .issuer = &ca, .days = NODE_DAYS, .basic = "critical,CA:FALSE", .public_key = owner};
    enum err err = make_identity(&node, &plan, now, why);
    if (err == ERR_NONE && (*cert_pem = cert_text(node.cert)) == NULL)
        err = why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE)
        identity_free(&node);
    identity_free(&ca);
    return err;
}

enum err keys_request_name(struct bytes request, char *to, size_t size, struct why *why)
{
    X509_REQ *read = read_request(request);
    bool is_good =
        read != NULL && X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(read), NID_commonName, to, (int)size) > 0;
    X509_REQ_free(read);
    ERR_clear_error();
    return is_good ? ERR_NONE : why_set(why, ERR_BODY, "csr is no certificate request with a common name, in PEM");
}

enum err keys_sign_request(struct keys *k, struct bytes request, const char *node_id, time_ms now, char **cert_pem,
                           struct why *why)
{
    *cert_pem = NULL;
    X509_REQ *read = read_request(request);
    enum err err = sign_request(k, read, node_id, now, cert_pem, why);
    X509_REQ_free(read);
    ERR_clear_error();
    return err;
}

enum err keys_authority_read(struct bytes cert_pem, struct keys_authority *to, struct why *why)
{
    X509 *cert = read_cert(cert_pem);
    uint8_t digest[32];
    unsigned len = 0;
    bool is_good = cert != NULL && X509_check_ca(cert) == 1 && X509_digest(cert, EVP_sha256(), digest, &len) == 1;
    *to = (struct keys_authority){.subject = ""};
    if (is_good) {
        hex_encode(to->fingerprint, bytes_of(digest, len));
        X509_NAME_oneline(X509_get_subject_name(cert), to->subject, (int)sizeof to->subject);
        snprintf(to->file, sizeof to->file, "%08lx.", X509_subject_name_hash(cert));
    }
    X509_free(cert);
    ERR_clear_error();
    return is_good ? ERR_NONE : why_set(why, ERR_BODY, "certificate is not that of an authority, in PEM");
}

enum err keys_certificate_name(struct bytes cert_pem, char *to, size_t size, struct why *why)
{
    X509 *cert = read_cert(cert_pem);
    bool is_good =
        cert != NULL && X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, to, (int)size) > 0;
    X509_free(cert);
    ERR_clear_error();
    return is_good ? ERR_NONE : why_set(why, ERR_BODY, "this is no certificate with a common name, in PEM");
}

enum err keys_public_of(struct bytes cert_pem, struct buf *to, struct why *why)
{
    BIO *out = BIO_new(BIO_s_mem());
    X509 *cert = read_cert(cert_pem);
    EVP_PKEY *key = cert ? X509_get0_pubkey(cert) : NULL;
    bool is_good = key != NULL && out != NULL && PEM_write_bio_PUBKEY(out, key) == 1;
    char *text = is_good ? bio_take_text(out) : NULL;
    if (!is_good)
        BIO_free(out);
    X509_free(cert);
    ERR_clear_error();
    if (text == NULL)
        return why_set(why, ERR_BODY, "this is no certificate in PEM");
    buf_add(to, text, strlen(text));
    free(text);
    return ERR_NONE;
}

bool keys_verify(const char *public_pem, struct bytes message, struct bytes signature)
{
    BIO *bio = BIO_new_mem_buf(public_pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_good = key != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
                   EVP_DigestVerify(ctx, signature.at, signature.len, message.at, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return is_good;
}
