#include "pluvio/fctry.h"

#include "nvs/nvs_make.h"

#include <stdlib.h>

enum err fctry_make(const struct fctry *f, uint8_t *bytes, uint32_t size, struct why *why)
{
    const struct {
        const char *key;
        struct bytes value;
    } rows[] = {
        {"node_id", f->node_id},         {"mqtt_host", f->mqtt_host},   {"mqtt_cred_host", f->mqtt_cred_host},
        {"client_cert", f->client_cert}, {"client_key", f->client_key}, {"random", f->random},
    };
    struct nvs_maker *m = malloc(sizeof *m);
    if (m == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = nvs_maker_init(m, bytes, size, NVS_VERSION_2, why);
    if (err == ERR_NONE)
        err = nvs_maker_space(m, "rmaker_creds", why);
    for (size_t i = 0; err == ERR_NONE && i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].value.len > 0)
            err = nvs_maker_add(m, rows[i].key, NVS_BLOB_DATA, rows[i].value, why);
    free(m);
    return err ? why_add(why, err, "make the fctry partition") : ERR_NONE;
}
