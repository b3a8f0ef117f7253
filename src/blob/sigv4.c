#include "blob/sigv4.h"

#include "codec/encode.h"
#include "crypto/digest.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define HEX_SIZE (2 * SHA256_LEN + 1)

static void hex_of(char to[HEX_SIZE], struct bytes data)
{
    uint8_t digest[SHA256_LEN];
    sha256_of(digest, data);
    hex_encode(to, bytes_of(digest, sizeof digest));
}

void sigv4_escape(struct buf *to, const char *text, bool keeps_slashes)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                        strchr("-_.~", *c) != NULL || (keeps_slashes && *c == '/');
        buf_addf(to, is_plain ? "%c" : "%%%02X", *c);
    }
}

static void write_date(char date[SIGV4_DATE_SIZE], time_ms now)
{
    struct tm tm;
    time_t seconds = (time_t)(now / 1000);
    gmtime_r(&seconds, &tm);
    strftime(date, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm);
}

static void hmac_text(uint8_t to[SHA256_LEN], struct bytes key, const char *text)
{
    hmac_sha256(to, key, bytes_of_text(text));
}

/* The key of a day, a region and a service, and with it the signature of what was made of the request. */
static void sign(const struct sigv4 *s, const char *date, const char *canonical, char signature[HEX_SIZE])
{
    char secret[140], day[9], text[300], hash[HEX_SIZE];
    uint8_t key[SHA256_LEN], next[SHA256_LEN];
    snprintf(day, sizeof day, "%.8s", date);
    snprintf(secret, sizeof secret, "AWS4%s", s->secret);
    hmac_text(key, bytes_of_text(secret), day);
    hmac_text(next, bytes_of(key, sizeof key), s->region);
    hmac_text(key, bytes_of(next, sizeof next), "s3");
    hmac_text(next, bytes_of(key, sizeof key), "aws4_request");
    hex_of(hash, bytes_of_text(canonical));
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s", date, day, s->region, hash);
    hmac_text(key, bytes_of(next, sizeof next), text);
    hex_encode(signature, bytes_of(key, sizeof key));
}

void sigv4_sign(const struct sigv4 *s, char date[SIGV4_DATE_SIZE], char auth[SIGV4_AUTH_SIZE])
{
    struct buf canonical = {0};
    char signature[HEX_SIZE];
    write_date(date, s->now);
    buf_addf(&canonical,
             "%s\n%s\n%s\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n\nhost;x-amz-content-sha256;x-amz-date\n%s",
             s->method, s->path, s->query, s->host, s->payload, date, s->payload);
    sign(s, date, canonical.at ? canonical.at : "", signature);
    buf_deinit(&canonical);
    snprintf(auth, SIGV4_AUTH_SIZE,
             "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/s3/aws4_request,"
             "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=%s",
             s->key_id, date, s->region, signature);
}

void sigv4_presign(const struct sigv4 *s, long long ttl_s, struct buf *query)
{
    struct buf canonical = {0};
    char date[SIGV4_DATE_SIZE], scope[200], signature[HEX_SIZE];
    size_t from = query->len;
    write_date(date, s->now);
    snprintf(scope, sizeof scope, "%s/%.8s/%s/s3/aws4_request", s->key_id, date, s->region);
    buf_addf(query, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=");
    sigv4_escape(query, scope, false);
    buf_addf(query, "&X-Amz-Date=%s&X-Amz-Expires=%lld&X-Amz-SignedHeaders=host", date, ttl_s);
    buf_addf(&canonical, "%s\n%s\n%s\nhost:%s\n\nhost\nUNSIGNED-PAYLOAD", s->method, s->path,
             query->at ? query->at + from : "", s->host);
    sign(s, date, canonical.at ? canonical.at : "", signature);
    buf_deinit(&canonical);
    buf_addf(query, "&X-Amz-Signature=%s", signature);
}
