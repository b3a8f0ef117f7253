/*
 * keys.h - the installation's secrets: its certificate authority, the server's certificate, nodes' credentials, and
 * the key that signs tokens and download URLs.
 *
 * Made at first start in a folder of mode 0700:
 *   ca.key ca.crt          EC P-256, 30 years; signs server and nodes
 *   server.key server.crt  renewed at start when a name is missing or fewer than 30 days are left
 *   token.key              32 random bytes
 */
#ifndef PLUVIO_KEYS_KEYS_H
#define PLUVIO_KEYS_KEYS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/id.h"

#define KEYS_PATH_SIZE 600
#define KEYS_NAMES_MAX 16
#define TOKEN_KEY_LEN  32

struct keys {
    char folder[512], ca_cert[KEYS_PATH_SIZE], ca_key[KEYS_PATH_SIZE], server_cert[KEYS_PATH_SIZE],
        server_key[KEYS_PATH_SIZE];
    uint8_t token_key[TOKEN_KEY_LEN];
    char *ca_pem; /* the authority's certificate as text */
    bool is_first_start;
};

/* Opens the folder, making what is missing.  `names` are the DNS names and IP addresses the server is reached by, next
 * to localhost, 127.0.0.1 and ::1.  ERR_IO, ERR_CRYPTO. */
enum err keys_open(struct keys *k, const char *folder, const char *const *names, unsigned name_count,
                   struct entropy *entropy, time_ms now, struct why *why);
void keys_close(struct keys *k);

/* Makes a key and a certificate for a node: EC P-256, subject CN = node id, not an authority, 100 years as RainMaker's
 * are, valid from a day ago so that clocks may differ.  Both texts are on the heap.  Nothing of it is kept here. */
enum err keys_issue_node(struct keys *k, const char *node_id, time_ms now, char **cert_pem, char **key_pem,
                         struct why *why);

/* Signs a node's request for a certificate (PKCS #10, PEM), as keys_issue_node does.  ERR_BODY when it is none, is not
 * signed by its own key, or names another node. */
enum err keys_sign_request(struct keys *k, struct bytes request, const char *node_id, time_ms now, char **cert_pem,
                           struct why *why);

/* The common name that a request for a certificate is for.  ERR_BODY. */
enum err keys_request_name(struct bytes request, char *to, size_t size, struct why *why);

#define KEYS_FINGERPRINT_SIZE 65

/* A certificate that may sign others. */
struct keys_authority {
    char fingerprint[KEYS_FINGERPRINT_SIZE]; /* SHA-256, hex */
    char subject[256];                       /* in one line */
    char file[16]; /* OpenSSL finds it in a folder of authorities under this name and a digit */
};

/* ERR_BODY when it is none. */
enum err keys_authority_read(struct bytes cert_pem, struct keys_authority *to, struct why *why);

/* The common name of a certificate's subject.  ERR_BODY. */
enum err keys_certificate_name(struct bytes cert_pem, char *to, size_t size, struct why *why);

/* The public key of a certificate, as PEM.  ERR_BODY. */
enum err keys_public_of(struct bytes cert_pem, struct buf *to, struct why *why);

/* Whether the signature (ECDSA in DER, or RSA PKCS #1) over SHA-256 of the message was made by that key. */
bool keys_verify(const char *public_pem, struct bytes message, struct bytes signature);

#define KEYS_SECRET_SIZE 65

/* A secret for a purpose ("webhook <id>"), in hex, which follows from the installation's own and is kept nowhere. */
void keys_derive(const struct keys *k, const char *purpose, char to[static KEYS_SECRET_SIZE]);

/* --- tokens (RFC 7519, HS256 alone) ----------------------------------------------------------- */

struct token_claims {
    const char *user_id, *user_name, *session; /* borrowed; session: by which it can be ended before its time */
    bool is_access;                            /* else an identity token: it tells who, it opens nothing */
    time_ms issued_at, expires_at;
};

#define TOKEN_SIZE 2048

/* The payload's base64 holds neither - nor _, which RainMaker's command line could not read. */
enum err token_make(const struct keys *k, const struct token_claims *claims, char to[static TOKEN_SIZE],
                    struct why *why);

#define SESSION_SIZE 65

struct token_holder {
    char user_id[ID_LEN + 1], session[SESSION_SIZE];
};

/* ERR_UNAUTHORIZED for anything that is not an unexpired access token of ours. */
enum err token_check(const struct keys *k, const char *token, time_ms now, struct token_holder *to, struct why *why);

/* --- signed URLs ------------------------------------------------------------------------------ */

#define URL_SIGNATURE_SIZE 33

/* Signs a path ("/v1/files/<id>") for one method and an end in seconds since 1970. */
void url_sign(const struct keys *k, const char *method, const char *path, int64_t expires_s,
              char to[static URL_SIGNATURE_SIZE]);
enum err url_check(const struct keys *k, const char *method, const char *path, const char *expires,
                   const char *signature, time_ms now, struct why *why);

#endif
