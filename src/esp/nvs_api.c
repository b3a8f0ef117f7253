#include "esp/esp.h"
#include "esp/include/nvs_flash.h"
#include "nvs/nvs_part.h"

#include <string.h>

#define PARTS_MAX   4
#define HANDLES_MAX 32

struct part {
    char label[17];
    struct nvs_part nvs;
    bool is_open;
};

struct handle {
    struct part *part;
    char space[NVS_KEY_LEN + 1];
    bool is_writable;
};

static struct {
    struct part parts[PARTS_MAX];
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
    for (int i = 0; i < PARTS_MAX; i++)
        if (nvs.parts[i].is_open && strcmp(nvs.parts[i].label, label) == 0)
            return &nvs.parts[i];
    return NULL;
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
    default:
        return ESP_FAIL;
    }
}

/* --- partitions ------------------------------------------------------------------------------- */

static esp_err_t init_part(const char *label)
{
    const esp_partition_t *p = esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_DATA_NVS, label);
    if (p == NULL)
        return ESP_ERR_NVS_PART_NOT_FOUND;
    if (find_part(label) != NULL)
        return ESP_OK;
    for (int i = 0; i < PARTS_MAX; i++)
        if (!nvs.parts[i].is_open) {
            struct part *part = &nvs.parts[i];
            enum err err = nvs_part_mount(&part->nvs, esp_stretch(p), NULL);
            if (err != ERR_NONE)
                return err == ERR_NO_SPACE ? ESP_ERR_NVS_NO_FREE_PAGES
                       : err == ERR_FORMAT ? ESP_ERR_NVS_NEW_VERSION_FOUND
                                           : ESP_FAIL;
            snprintf(part->label, sizeof part->label, "%s", label);
            part->is_open = true;
            return ESP_OK;
        }
    return ESP_ERR_NO_MEM;
}

esp_err_t nvs_flash_init_partition(const char *partition_label)
{
    lock();
    return unlock(partition_label ? init_part(partition_label) : ESP_ERR_INVALID_ARG);
}

esp_err_t nvs_flash_init(void)
{
    return nvs_flash_init_partition(NVS_DEFAULT_PART_NAME);
}

static esp_err_t deinit_part(const char *label)
{
    struct part *part = find_part(label);
    if (part == NULL)
        return ESP_ERR_NVS_NOT_INITIALIZED;
    part->is_open = false;
    for (int i = 0; i < HANDLES_MAX; i++)
        if (nvs.handles[i].part == part)
            nvs.handles[i].part = NULL;
    return ESP_OK;
}

esp_err_t nvs_flash_deinit_partition(const char *partition_label)
{
    lock();
    return unlock(deinit_part(partition_label));
}

esp_err_t nvs_flash_deinit(void)
{
    return nvs_flash_deinit_partition(NVS_DEFAULT_PART_NAME);
}

esp_err_t nvs_flash_erase_partition(const char *part_name)
{
    const esp_partition_t *p =
        esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_DATA_NVS, part_name);
    if (p == NULL)
        return ESP_ERR_NOT_FOUND;
    lock();
    deinit_part(part_name);
    return unlock(esp_partition_erase_range(p, 0, p->size));
}

esp_err_t nvs_flash_erase(void)
{
    return nvs_flash_erase_partition(NVS_DEFAULT_PART_NAME);
}

/* --- handles ---------------------------------------------------------------------------------- */

static bool is_any_open(void)
{
    for (int i = 0; i < PARTS_MAX; i++)
        if (nvs.parts[i].is_open)
            return true;
    return false;
}

static esp_err_t open_space(const char *label, const char *space, nvs_open_mode_t mode, nvs_handle_t *to)
{
    struct part *part = find_part(label);
    if (part == NULL)
        return is_any_open() ? ESP_ERR_NVS_PART_NOT_FOUND : ESP_ERR_NVS_NOT_INITIALIZED;
    if (strlen(space) > NVS_KEY_LEN || *space == '\0')
        return ESP_ERR_NVS_KEY_TOO_LONG;
    if (mode == NVS_READONLY && !nvs_part_has_space(&part->nvs, space))
        return ESP_ERR_NVS_NOT_FOUND;
    for (unsigned i = 0; i < HANDLES_MAX; i++)
        if (nvs.handles[i].part == NULL) {
            nvs.handles[i].part = part;
            nvs.handles[i].is_writable = mode == NVS_READWRITE;
            snprintf(nvs.handles[i].space, sizeof nvs.handles[i].space, "%s", space);
            *to = i + 1;
            return ESP_OK;
        }
    return ESP_ERR_NO_MEM;
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
