/* sigv4.h - AWS Signature Version 4 for requests to S3: in a header, or in the URL.  Knows nothing of sockets. */
#ifndef PLUVIO_BLOB_SIGV4_H
#define PLUVIO_BLOB_SIGV4_H

#include "base/buf.h"
#include "base/id.h"

struct sigv4 {
    const char *key_id, *secret, *region;
    const char *method, *host; /* host: the header's value */
    const char *path;          /* percent-encoded */
    const char *query;         /* "a=1&b=": sorted and percent-encoded; "" for none */
    const char *payload;       /* SHA-256 of the body in hex, or "UNSIGNED-PAYLOAD" */
    time_ms now;
};

#define SIGV4_DATE_SIZE 17
#define SIGV4_AUTH_SIZE 400

/* `date`: the value of x-amz-date; `auth`: of Authorization.  host, x-amz-content-sha256 and x-amz-date are signed. */
void sigv4_sign(const struct sigv4 *s, char date[SIGV4_DATE_SIZE], char auth[SIGV4_AUTH_SIZE]);

/* The query of a pre-signed URL, valid for `ttl_s` seconds; `query` and `payload` of `s` are not looked at. */
void sigv4_presign(const struct sigv4 *s, long long ttl_s, struct buf *query);

/* Percent-encodes all but letters, digits and -_.~, and slashes when they may stay. */
void sigv4_escape(struct buf *to, const char *text, bool keeps_slashes);

#endif
