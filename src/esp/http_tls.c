/* The HTTP client's TLS: PEM or DER in memory becomes what libcurl takes. */
#include "esp/esp.h"
#include "esp/http_client.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

static bool is_pem(const char *bytes, size_t len)
{
    return strncmp(bytes, "-----BEGIN", 10) == 0 || (len == 0 && strstr(bytes, "-----BEGIN") != NULL);
}

/* DER becomes PEM, which libcurl takes from memory. */
static char *pem_of(const char *bytes, size_t len, size_t *pem_len)
{
    if (is_pem(bytes, len)) {
        *pem_len = strnlen(bytes, len ? len : SIZE_MAX);
        return strndup(bytes, *pem_len);
    }
    const unsigned char *at = (const unsigned char *)bytes;
    X509 *cert = d2i_X509(NULL, &at, (long)len);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL, *pem = NULL;
    if (cert != NULL && bio != NULL && PEM_write_bio_X509(bio, cert) == 1) {
        *pem_len = (size_t)BIO_get_mem_data(bio, &text);
        pem = strndup(text, *pem_len);
    }
    BIO_free(bio);
    X509_free(cert);
    return pem;
}

static void set_blob(struct esp_http_client *c, CURLoption option, const char *bytes, size_t len)
{
    size_t pem_len = 0;
    char *pem = pem_of(bytes, len, &pem_len);
    struct curl_blob blob = {pem, pem_len, CURL_BLOB_COPY};
    if (pem != NULL)
        curl_easy_setopt(c->easy, option, &blob);
    free(pem);
}

static void set_versions(struct esp_http_client *c, esp_http_client_proto_ver_t version)
{
    long bounds = CURL_SSLVERSION_TLSv1_2;
    if (version == ESP_HTTP_CLIENT_TLS_VER_TLS_1_2)
        bounds |= CURL_SSLVERSION_MAX_TLSv1_2;
    if (version == ESP_HTTP_CLIENT_TLS_VER_TLS_1_3)
        bounds = CURL_SSLVERSION_TLSv1_3;
    curl_easy_setopt(c->easy, CURLOPT_SSLVERSION, bounds);
}

void http_set_tls(struct esp_http_client *c, const esp_http_client_config_t *config)
{
    set_versions(c, config->tls_version);
    if (config->cert_pem != NULL)
        set_blob(c, CURLOPT_CAINFO_BLOB, config->cert_pem, config->cert_len);
    else if (esp_context.start.crt_bundle != NULL)
        curl_easy_setopt(c->easy, CURLOPT_CAINFO, esp_context.start.crt_bundle);
    if (config->client_cert_pem != NULL && config->client_key_pem != NULL) {
        set_blob(c, CURLOPT_SSLCERT_BLOB, config->client_cert_pem, config->client_cert_len);
        set_blob(c, CURLOPT_SSLKEY_BLOB, config->client_key_pem, config->client_key_len);
        if (config->client_key_password != NULL)
            curl_easy_setopt(c->easy, CURLOPT_KEYPASSWD, config->client_key_password);
    }
    if (config->skip_cert_common_name_check)
        curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, 0L);
}
