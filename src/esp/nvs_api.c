/* ESP-IDF's NVS API over room nvs. */
#include "esp/esp.h"
#include "esp/include/esp_random.h"
#include "esp/include/nvs_flash.h"
#include "nvs/nvs_crypt.h"
#include "nvs/nvs_part.h"

#include <stdlib.h>
#include <string.h>

#define HANDLES_MAX 32

struct part {
    char label[17];
    bool is_readonly, is_encrypted;
    struct nvs_cipher cipher;
    struct nvs_part nvs;
    struct part *next;
};

struct handle {
    struct part *part;
    char space[NVS_KEY_LEN + 1];
    bool is_writable;
};

static struct {
    struct part *parts;
    struct handle handles[HANDLES_MAX]; /* handle n is entry n - 1 */
} nvs;                                  /* part of this room's context */

static void lock(void)
{
    pthread_mutex_lock(&esp_context.lock);
}

static esp_err_t unlock(esp_err_t err)
{
    pthread_mutex_unlock(&esp_context.lock);
    return err;
}

static struct part *find_part(const char *label)
{
    struct part *p = nvs.parts;
    while (p != NULL && strcmp(p->label, label) != 0)
        p = p->next;
    return p;
}

static esp_err_t code_of(enum err err)
{
    switch (err) {
    case ERR_NONE:
        return ESP_OK;
    case ERR_NOT_FOUND:
        return ESP_ERR_NVS_NOT_FOUND;
    case ERR_TYPE:
        return ESP_ERR_NVS_TYPE_MISMATCH;
    case ERR_TOO_BIG:
        return ESP_ERR_NVS_VALUE_TOO_LONG;
    case ERR_NO_SPACE:
        return ESP_ERR_NVS_NOT_ENOUGH_SPACE;
    case ERR_USAGE:
        return ESP_ERR_NVS_KEY_TOO_LONG;
    case ERR_FORBIDDEN:
        return ESP_ERR_NOT_ALLOWED;
    case ERR_FLASH:
        return 0x6001 /* ESP_ERR_FLASH_OP_FAIL */;
    default:
        return ESP_FAIL;
    }
}

static void drop_part(struct part *part)
{
    for (struct part **at = &nvs.parts; *at != NULL; at = &(*at)->next)
        if (*at == part) {
            *at = part->next;
            break;
        }
    for (int i = 0; i < HANDLES_MAX; i++)
        if (nvs.handles[i].part == part)
            nvs.handles[i].part = NULL;
    if (part->is_encrypted)
        nvs_cipher_deinit(&part->cipher);
    free(part);
}

void esp_nvs_forget(void)
{
    while (nvs.parts != NULL)
        drop_part(nvs.parts);
}

/* --- partitions ------------------------------------------------------------------------------- */

static esp_err_t code_of_mount(enum err err)
{
    return err == ERR_NONE       ? ESP_OK
           : err == ERR_NO_SPACE ? ESP_ERR_NVS_NO_FREE_PAGES
           : err == ERR_FORMAT   ? ESP_ERR_NVS_NEW_VERSION_FOUND
                                 : ESP_FAIL;
}

static esp_err_t mount(const esp_partition_t *p, const nvs_sec_cfg_t *keys)
{
    uint8_t both[NVS_KEYS_LEN];
    enum err err = ERR_NONE;
    if (find_part(p->label) != NULL)
        return ESP_OK;
    struct part *part = calloc(1, sizeof *part);
    if (part == NULL)
        return ESP_ERR_NO_MEM;
    struct stretch s = esp_stretch(p);
    if (keys != NULL) {
        memcpy(both, keys->eky, sizeof keys->eky);
        memcpy(both + sizeof keys->eky, keys->tky, sizeof keys->tky);
        err = nvs_cipher_init(&part->cipher, s, both, NULL);
        part->is_encrypted = err == ERR_NONE;
        s = nvs_cipher_stretch(&part->cipher);
    }
    snprintf(part->label, sizeof part->label, "%s", p->label);
    part->is_readonly = p->readonly;
    part->next = nvs.parts;
    nvs.parts = part;
    esp_err_t code = err ? ESP_ERR_NVS_XTS_CFG_FAILED : code_of_mount(nvs_part_mount(&part->nvs, s, NULL));
    if (code != ESP_OK)
        drop_part(part);
    return code;
}

static const esp_partition_t *find_nvs(const char *label)
{
    return esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_DATA_NVS, label);
}

static esp_err_t init_part(const esp_partition_t *p, const nvs_sec_cfg_t *keys)
{
    if (p == NULL)
        return ESP_ERR_NVS_PART_NOT_FOUND;
    return p->encrypted ? ESP_ERR_NVS_WRONG_ENCRYPTION : mount(p, keys);
}

esp_err_t nvs_flash_secure_init_partition(const char *partition_label, nvs_sec_cfg_t *cfg)
{
    if (partition_label == NULL)
        return ESP_ERR_INVALID_ARG;
    lock();
    return unlock(init_part(find_nvs(partition_label), cfg));
}

esp_err_t nvs_flash_secure_init(nvs_sec_cfg_t *cfg)
{
    return nvs_flash_secure_init_partition(NVS_DEFAULT_PART_NAME, cfg);
}

esp_err_t nvs_flash_init_partition(const char *partition_label)
{
    return nvs_flash_secure_init_partition(partition_label, NULL);
}

esp_err_t nvs_flash_init_partition_ptr(const esp_partition_t *partition)
{
    if (partition == NULL)
        return ESP_ERR_INVALID_ARG;
    lock();
    return unlock(init_part(partition, NULL));
}

esp_err_t nvs_flash_init(void)
{
    return nvs_flash_init_partition(NVS_DEFAULT_PART_NAME);
}

esp_err_t nvs_flash_deinit_partition(const char *partition_label)
{
    lock();
    struct part *part = partition_label ? find_part(partition_label) : NULL;
    if (part != NULL)
        drop_part(part);
    return unlock(part ? ESP_OK : ESP_ERR_NVS_NOT_INITIALIZED);
}

esp_err_t nvs_flash_deinit(void)
{
    return nvs_flash_deinit_partition(NVS_DEFAULT_PART_NAME);
}

esp_err_t nvs_flash_erase_partition_ptr(const esp_partition_t *partition)
{
    if (partition == NULL)
        return ESP_ERR_INVALID_ARG;
    lock();
    struct part *part = find_part(partition->label);
    if (part != NULL)
        drop_part(part);
    return unlock(esp_partition_erase_range(partition, 0, partition->size));
}

esp_err_t nvs_flash_erase_partition(const char *part_name)
{
    const esp_partition_t *p = part_name ? find_nvs(part_name) : NULL;
    return p ? nvs_flash_erase_partition_ptr(p) : ESP_ERR_NOT_FOUND;
}

esp_err_t nvs_flash_erase(void)
{
    return nvs_flash_erase_partition(NVS_DEFAULT_PART_NAME);
}

/* --- keys of encrypted partitions ------------------------------------------------------------- */

esp_err_t nvs_flash_read_security_cfg(const esp_partition_t *partition, nvs_sec_cfg_t *cfg)
{
    uint8_t raw[NVS_KEYS_LEN + 4], keys[NVS_KEYS_LEN];
    if (partition == NULL || cfg == NULL)
        return ESP_ERR_INVALID_ARG;
    esp_err_t err = esp_partition_read(partition, 0, raw, sizeof raw);
    if (err != ESP_OK)
        return err;
    switch (nvs_keys_read(keys, bytes_of(raw, sizeof raw), NULL)) {
    case ERR_NONE:
        memcpy(cfg->eky, keys, sizeof cfg->eky);
        memcpy(cfg->tky, keys + sizeof cfg->eky, sizeof cfg->tky);
        return ESP_OK;
    case ERR_NOT_FOUND:
        return ESP_ERR_NVS_KEYS_NOT_INITIALIZED;
    default:
        return ESP_ERR_NVS_CORRUPT_KEY_PART;
    }
}

esp_err_t nvs_flash_generate_keys(const esp_partition_t *partition, nvs_sec_cfg_t *cfg)
{
    uint8_t keys[NVS_KEYS_LEN], raw[NVS_PAGE_BYTES];
    if (partition == NULL || cfg == NULL)
        return ESP_ERR_INVALID_ARG;
    esp_fill_random(keys, sizeof keys);
    nvs_keys_write(keys, raw);
    esp_err_t err = esp_partition_erase_range(partition, 0, partition->size);
    if (err == ESP_OK)
        err = esp_partition_write(partition, 0, raw, sizeof raw);
    return err ? err : nvs_flash_read_security_cfg(partition, cfg);
}

/* --- handles ---------------------------------------------------------------------------------- */

static esp_err_t prepare_space(struct part *part, const char *space, nvs_open_mode_t mode)
{
    if (strlen(space) > NVS_KEY_LEN)
        return ESP_ERR_NVS_KEY_TOO_LONG;
    if (*space == '\0')
        return ESP_ERR_NVS_INVALID_NAME;
    if (mode != NVS_READONLY && part->is_readonly)
        return ESP_ERR_NOT_ALLOWED;
    if (mode == NVS_READONLY)
        return nvs_part_has_space(&part->nvs, space) ? ESP_OK : ESP_ERR_NVS_NOT_FOUND;
    return code_of(nvs_part_make_space(&part->nvs, space, NULL));
}

static esp_err_t open_space(const char *label, const char *space, nvs_open_mode_t mode, nvs_handle_t *to)
{
    struct part *part = find_part(label);
    if (part == NULL)
        return nvs.parts ? ESP_ERR_NVS_PART_NOT_FOUND : ESP_ERR_NVS_NOT_INITIALIZED;
    esp_err_t err = prepare_space(part, space, mode);
    for (unsigned i = 0; err == ESP_OK && i < HANDLES_MAX; i++)
        if (nvs.handles[i].part == NULL) {
            nvs.handles[i].part = part;
            nvs.handles[i].is_writable = mode != NVS_READONLY;
            snprintf(nvs.handles[i].space, sizeof nvs.handles[i].space, "%s", space);
            *to = i + 1;
            return ESP_OK;
        }
    return err ? err : ESP_ERR_NO_MEM;
}

esp_err_t nvs_open_from_partition(const char *part_name, const char *namespace_name, nvs_open_mode_t open_mode,
                                  nvs_handle_t *out_handle)
{
    if (part_name == NULL || namespace_name == NULL || out_handle == NULL)
        return ESP_ERR_INVALID_ARG;
    lock();
    return unlock(open_space(part_name, namespace_name, open_mode, out_handle));
}

esp_err_t nvs_open(const char *namespace_name, nvs_open_mode_t open_mode, nvs_handle_t *out_handle)
{
    return nvs_open_from_partition(NVS_DEFAULT_PART_NAME, namespace_name, open_mode, out_handle);
}

static struct handle *find_handle(nvs_handle_t handle)
{
    return handle >= 1 && handle <= HANDLES_MAX && nvs.handles[handle - 1].part ? &nvs.handles[handle - 1] : NULL;
}

void nvs_close(nvs_handle_t handle)
{
    lock();
    struct handle *h = find_handle(handle);
    if (h != NULL)
        h->part = NULL;
    unlock(ESP_OK);
}

esp_err_t nvs_commit(nvs_handle_t handle)
{
    lock();
    return unlock(find_handle(handle) ? ESP_OK : ESP_ERR_NVS_INVALID_HANDLE);
}

/* --- values ----------------------------------------------------------------------------------- */

static esp_err_t set(nvs_handle_t handle, const char *key, enum nvs_part_type type, const void *at, size_t len)
{
    lock();
    struct handle *h = find_handle(handle);
    if (h == NULL)
        return unlock(ESP_ERR_NVS_INVALID_HANDLE);
    if (!h->is_writable)
        return unlock(ESP_ERR_NVS_READ_ONLY);
    if (key == NULL || at == NULL)
        return unlock(ESP_ERR_INVALID_ARG);
    return unlock(code_of(nvs_part_write(&h->part->nvs, h->space, key, type, bytes_of(at, len), NULL)));
}

static esp_err_t get(nvs_handle_t handle, const char *key, enum nvs_part_type type, void *to, size_t size, size_t *len)
{
    lock();
    struct handle *h = find_handle(handle);
    if (h == NULL)
        return unlock(ESP_ERR_NVS_INVALID_HANDLE);
    if (key == NULL)
        return unlock(ESP_ERR_INVALID_ARG);
    enum err err = nvs_part_read(&h->part->nvs, h->space, key, type, to, size, len, NULL);
    return unlock(err == ERR_TOO_BIG ? ESP_ERR_NVS_INVALID_LENGTH : code_of(err));
}

#define NUMBER(name, ctype, tag)                                                                                       \
    esp_err_t nvs_set_##name(nvs_handle_t handle, const char *key, ctype value)                                        \
    {                                                                                                                  \
        return set(handle, key, tag, &value, sizeof value);                                                            \
    }                                                                                                                  \
    esp_err_t nvs_get_##name(nvs_handle_t handle, const char *key, ctype *out_value)                                   \
    {                                                                                                                  \
        size_t len;                                                                                                    \
        return out_value ? get(handle, key, tag, out_value, sizeof *out_value, &len) : ESP_ERR_INVALID_ARG;            \
    }

NUMBER(i8, int8_t, NVS_I8)
NUMBER(u8, uint8_t, NVS_U8)
NUMBER(i16, int16_t, NVS_I16)
NUMBER(u16, uint16_t, NVS_U16)
NUMBER(i32, int32_t, NVS_I32)
NUMBER(u32, uint32_t, NVS_U32)
NUMBER(i64, int64_t, NVS_I64)
NUMBER(u64, uint64_t, NVS_U64)
NUMBER(float, float, NVS_FLOAT)
NUMBER(double, double, NVS_DOUBLE)

esp_err_t nvs_set_str(nvs_handle_t handle, const char *key, const char *value)
{
    return set(handle, key, NVS_TEXT, value, value ? strlen(value) + 1 : 0);
}

esp_err_t nvs_set_blob(nvs_handle_t handle, const char *key, const void *value, size_t length)
{
    return set(handle, key, NVS_BLOB_DATA, value, length);
}

static esp_err_t get_bytes(nvs_handle_t handle, const char *key, enum nvs_part_type type, void *to, size_t *length)
{
    return length ? get(handle, key, type, to, to ? *length : 0, length) : ESP_ERR_NVS_INVALID_LENGTH;
}

esp_err_t nvs_get_str(nvs_handle_t handle, const char *key, char *out_value, size_t *length)
{
    return get_bytes(handle, key, NVS_TEXT, out_value, length);
}

esp_err_t nvs_get_blob(nvs_handle_t handle, const char *key, void *out_value, size_t *length)
{
    return get_bytes(handle, key, NVS_BLOB_DATA, out_value, length);
}

esp_err_t nvs_erase_key(nvs_handle_t handle, const char *key)
{
    lock();
    struct handle *h = find_handle(handle);
    esp_err_t err = h == NULL         ? ESP_ERR_NVS_INVALID_HANDLE
                    : !h->is_writable ? ESP_ERR_NVS_READ_ONLY
                    : key == NULL     ? ESP_ERR_INVALID_ARG
                                      : code_of(nvs_part_erase(&h->part->nvs, h->space, key, NULL));
    return unlock(err);
}

esp_err_t nvs_erase_all(nvs_handle_t handle)
{
    lock();
    struct handle *h = find_handle(handle);
    if (h == NULL)
        return unlock(ESP_ERR_NVS_INVALID_HANDLE);
    if (!h->is_writable)
        return unlock(ESP_ERR_NVS_READ_ONLY);
    enum err err = nvs_part_erase_space(&h->part->nvs, h->space, NULL);
    return unlock(err == ERR_NOT_FOUND ? ESP_OK : code_of(err));
}

/* Values that were written over are gone with their page already; erasing all does what firmware wants of it here. */
esp_err_t nvs_purge_all(nvs_handle_t handle)
{
    lock();
    return unlock(find_handle(handle) ? ESP_OK : ESP_ERR_NVS_INVALID_HANDLE);
}

esp_err_t nvs_find_key(nvs_handle_t handle, const char *key, nvs_type_t *out_type)
{
    enum nvs_part_type type;
    lock();
    struct handle *h = find_handle(handle);
    if (h == NULL || key == NULL)
        return unlock(h ? ESP_ERR_INVALID_ARG : ESP_ERR_NVS_INVALID_HANDLE);
    enum err err = nvs_part_type(&h->part->nvs, h->space, key, &type, NULL);
    if (err == ERR_NONE && out_type != NULL)
        *out_type = (nvs_type_t)type;
    return unlock(code_of(err));
}

/* --- statistics ------------------------------------------------------------------------------- */

esp_err_t nvs_get_stats(const char *part_name, nvs_stats_t *nvs_stats)
{
    struct nvs_part_stats s;
    if (nvs_stats == NULL)
        return ESP_ERR_INVALID_ARG;
    memset(nvs_stats, 0, sizeof *nvs_stats);
    lock();
    struct part *part = find_part(part_name ? part_name : NVS_DEFAULT_PART_NAME);
    if (part == NULL)
        return unlock(ESP_ERR_NVS_NOT_INITIALIZED);
    nvs_part_stats(&part->nvs, &s);
    size_t free_entries = s.total - s.used;
    *nvs_stats = (nvs_stats_t){.used_entries = s.used,
                               .free_entries = free_entries,
                               /* one page always stays free */
                               .available_entries = free_entries > NVS_ENTRIES ? free_entries - NVS_ENTRIES : 0,
                               .total_entries = s.total,
                               .namespace_count = s.spaces};
    return unlock(ESP_OK);
}

esp_err_t nvs_get_used_entry_count(nvs_handle_t handle, size_t *used_entries)
{
    if (used_entries == NULL)
        return ESP_ERR_INVALID_ARG;
    *used_entries = 0;
    lock();
    struct handle *h = find_handle(handle);
    if (h == NULL)
        return unlock(ESP_ERR_NVS_INVALID_HANDLE);
    *used_entries = nvs_part_space_entries(&h->part->nvs, h->space);
    return unlock(ESP_OK);
}

/* --- iterators -------------------------------------------------------------------------------- */

struct nvs_opaque_iterator_t {
    char label[17];
    char space[NVS_KEY_LEN + 1];
    bool has_space;
    nvs_type_t type;
    struct nvs_part_item item;
};

/* To the next value that was asked for. */
static bool advance(struct nvs_opaque_iterator_t *it)
{
    struct part *part = find_part(it->label);
    while (part != NULL && nvs_part_next(&part->nvs, &it->item))
        if ((!it->has_space || strcmp(it->space, it->item.space) == 0) &&
            (it->type == NVS_TYPE_ANY || (unsigned)it->type == (unsigned)it->item.type))
            return true;
    return false;
}

static esp_err_t start(const char *label, const char *space, nvs_type_t type, nvs_iterator_t *to)
{
    if (find_part(label) == NULL)
        return nvs.parts ? ESP_ERR_NVS_PART_NOT_FOUND : ESP_ERR_NVS_NOT_INITIALIZED;
    struct nvs_opaque_iterator_t *it = calloc(1, sizeof *it);
    if (it == NULL)
        return ESP_ERR_NO_MEM;
    snprintf(it->label, sizeof it->label, "%s", label);
    snprintf(it->space, sizeof it->space, "%s", space ? space : "");
    it->has_space = space != NULL;
    it->type = type;
    if (advance(it)) {
        *to = it;
        return ESP_OK;
    }
    free(it);
    return ESP_ERR_NVS_NOT_FOUND;
}

esp_err_t nvs_entry_find(const char *part_name, const char *namespace_name, nvs_type_t type,
                         nvs_iterator_t *output_iterator)
{
    if (part_name == NULL || output_iterator == NULL)
        return ESP_ERR_INVALID_ARG;
    *output_iterator = NULL;
    lock();
    return unlock(start(part_name, namespace_name, type, output_iterator));
}

esp_err_t nvs_entry_find_in_handle(nvs_handle_t handle, nvs_type_t type, nvs_iterator_t *output_iterator)
{
    if (output_iterator == NULL)
        return ESP_ERR_INVALID_ARG;
    *output_iterator = NULL;
    lock();
    struct handle *h = find_handle(handle);
    return unlock(h ? start(h->part->label, h->space, type, output_iterator) : ESP_ERR_NVS_INVALID_HANDLE);
}

esp_err_t nvs_entry_next(nvs_iterator_t *iterator)
{
    if (iterator == NULL || *iterator == NULL)
        return ESP_ERR_INVALID_ARG;
    lock();
    if (advance(*iterator))
        return unlock(ESP_OK);
    free(*iterator);
    *iterator = NULL;
    return unlock(ESP_ERR_NVS_NOT_FOUND);
}

esp_err_t nvs_entry_info(const nvs_iterator_t iterator, nvs_entry_info_t *out_info)
{
    if (iterator == NULL || out_info == NULL)
        return ESP_ERR_INVALID_ARG;
    memset(out_info, 0, sizeof *out_info);
    snprintf(out_info->namespace_name, sizeof out_info->namespace_name, "%s", iterator->item.space);
    snprintf(out_info->key, sizeof out_info->key, "%s", iterator->item.key);
    out_info->type = (nvs_type_t)iterator->item.type;
    return ESP_OK;
}

void nvs_release_iterator(nvs_iterator_t iterator)
{
    free(iterator);
}
