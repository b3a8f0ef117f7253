/*
 * curl_lib.h - libcurl, loaded when the first request is made.
 *
 * libcurl brings 29 libraries along (Kerberos, LDAP, HTTP/2, ...): 2 ms and 5 MB at every start of a program most of
 * whose commands never open a connection.
 */
#ifndef PLUVIO_NET_CURL_LIB_H
#define PLUVIO_NET_CURL_LIB_H

#include "base/err.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#undef curl_easy_setopt
#undef curl_easy_getinfo

struct curl_lib {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *curl, CURLoption option, ...);
    CURLcode (*easy_perform)(CURL *curl);
    CURLcode (*easy_getinfo)(CURL *curl, CURLINFO info, ...);
    void (*easy_cleanup)(CURL *curl);
    const char *(*easy_strerror)(CURLcode code);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
};

/* Loads it, or finds it loaded.  It stays until the program ends.  ERR_CONFIG when it is not installed. */
enum err curl_lib_open(struct curl_lib *lib, struct why *why);

#endif
