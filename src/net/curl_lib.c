#include "net/curl_lib.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARY "libcurl.so.4" /* its ABI since 2006 */

enum err curl_lib_open(struct curl_lib *lib, struct why *why)
{
    const struct {
        const char *name;
        void *to;
    } rows[] = {
        {"curl_global_init", &lib->global_init},       {"curl_easy_init", &lib->easy_init},
        {"curl_easy_setopt", &lib->easy_setopt},       {"curl_easy_perform", &lib->easy_perform},
        {"curl_easy_getinfo", &lib->easy_getinfo},     {"curl_easy_cleanup", &lib->easy_cleanup},
        {"curl_easy_strerror", &lib->easy_strerror},   {"curl_slist_append", &lib->slist_append},
        {"curl_slist_free_all", &lib->slist_free_all},
    };
    void *library = dlopen(LIBRARY, RTLD_NOW);
    if (library == NULL)
        return why_set(why, ERR_CONFIG, "load " LIBRARY " (package libcurl4): %s", dlerror());
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *function = dlsym(library, rows[i].name);
        if (function == NULL)
            return why_set(why, ERR_CONFIG, LIBRARY " lacks %s", rows[i].name);
        memcpy(rows[i].to, &function, sizeof function);
    }
    return lib->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? ERR_NONE
                                                             : why_set(why, ERR_CONFIG, LIBRARY " fails to start");
}
