/*
 * nvs.h - ESP-IDF's key-value storage (ESP-IDF 5.5).
 */
#ifndef PLUVIO_ESP_NVS_H
#define PLUVIO_ESP_NVS_H

#include "esp_err.h"

#include <stdbool.h>

#define ESP_ERR_NVS_BASE                 0x1100
#define ESP_ERR_NVS_NOT_INITIALIZED      0x1101
#define ESP_ERR_NVS_NOT_FOUND            0x1102
#define ESP_ERR_NVS_TYPE_MISMATCH        0x1103
#define ESP_ERR_NVS_READ_ONLY            0x1104
#define ESP_ERR_NVS_NOT_ENOUGH_SPACE     0x1105
#define ESP_ERR_NVS_INVALID_NAME         0x1106
#define ESP_ERR_NVS_INVALID_HANDLE       0x1107
#define ESP_ERR_NVS_REMOVE_FAILED        0x1108
#define ESP_ERR_NVS_KEY_TOO_LONG         0x1109
#define ESP_ERR_NVS_PAGE_FULL            0x110a
#define ESP_ERR_NVS_INVALID_STATE        0x110b
#define ESP_ERR_NVS_INVALID_LENGTH       0x110c
#define ESP_ERR_NVS_NO_FREE_PAGES        0x110d
#define ESP_ERR_NVS_VALUE_TOO_LONG       0x110e
#define ESP_ERR_NVS_PART_NOT_FOUND       0x110f
#define ESP_ERR_NVS_NEW_VERSION_FOUND    0x1110
#define ESP_ERR_NVS_XTS_ENCR_FAILED      0x1111
#define ESP_ERR_NVS_XTS_DECR_FAILED      0x1112
#define ESP_ERR_NVS_XTS_CFG_FAILED       0x1113
#define ESP_ERR_NVS_XTS_CFG_NOT_FOUND    0x1114
#define ESP_ERR_NVS_ENCR_NOT_SUPPORTED   0x1115
#define ESP_ERR_NVS_KEYS_NOT_INITIALIZED 0x1116
#define ESP_ERR_NVS_CORRUPT_KEY_PART     0x1117
#define ESP_ERR_NVS_CONTENT_DIFFERS      0x1118
#define ESP_ERR_NVS_WRONG_ENCRYPTION     0x1119

#define NVS_DEFAULT_PART_NAME  "nvs"
#define NVS_PART_NAME_MAX_SIZE 16
#define NVS_KEY_NAME_MAX_SIZE  16
#define NVS_NS_NAME_MAX_SIZE   NVS_KEY_NAME_MAX_SIZE

typedef uint32_t nvs_handle_t;
typedef nvs_handle_t nvs_handle;

typedef enum { NVS_READONLY, NVS_READWRITE, NVS_READWRITE_PURGE } nvs_open_mode_t;
typedef nvs_open_mode_t nvs_open_mode;

typedef enum {
    NVS_TYPE_U8 = 0x01,
    NVS_TYPE_I8 = 0x11,
    NVS_TYPE_U16 = 0x02,
    NVS_TYPE_I16 = 0x12,
    NVS_TYPE_U32 = 0x04,
    NVS_TYPE_I32 = 0x14,
    NVS_TYPE_U64 = 0x08,
    NVS_TYPE_I64 = 0x18,
    NVS_TYPE_FLOAT = 0x24,
    NVS_TYPE_DOUBLE = 0x28,
    NVS_TYPE_STR = 0x21,
    NVS_TYPE_BLOB = 0x42,
    NVS_TYPE_ANY = 0xff
} nvs_type_t;

typedef struct {
    char namespace_name[NVS_NS_NAME_MAX_SIZE];
    char key[NVS_KEY_NAME_MAX_SIZE];
    nvs_type_t type;
} nvs_entry_info_t;

typedef struct {
    size_t used_entries;
    size_t free_entries;
    size_t available_entries; /* free ones without the page that always stays free */
    size_t total_entries;
    size_t namespace_count;
} nvs_stats_t;

typedef struct nvs_opaque_iterator_t *nvs_iterator_t;

#ifdef __cplusplus
extern "C" {
#endif

/* A namespace of the default partition, or of another one.  READWRITE makes a missing namespace. */
esp_err_t nvs_open(const char *namespace_name, nvs_open_mode_t open_mode, nvs_handle_t *out_handle);
esp_err_t nvs_open_from_partition(const char *part_name, const char *namespace_name, nvs_open_mode_t open_mode,
                                  nvs_handle_t *out_handle);
void nvs_close(nvs_handle_t handle);
/* Writes are durable when set returns; commit is a formality, as on the chip. */
esp_err_t nvs_commit(nvs_handle_t handle);

esp_err_t nvs_set_i8(nvs_handle_t handle, const char *key, int8_t value);
esp_err_t nvs_set_u8(nvs_handle_t handle, const char *key, uint8_t value);
esp_err_t nvs_set_i16(nvs_handle_t handle, const char *key, int16_t value);
esp_err_t nvs_set_u16(nvs_handle_t handle, const char *key, uint16_t value);
esp_err_t nvs_set_i32(nvs_handle_t handle, const char *key, int32_t value);
esp_err_t nvs_set_u32(nvs_handle_t handle, const char *key, uint32_t value);
esp_err_t nvs_set_i64(nvs_handle_t handle, const char *key, int64_t value);
esp_err_t nvs_set_u64(nvs_handle_t handle, const char *key, uint64_t value);
esp_err_t nvs_set_float(nvs_handle_t handle, const char *key, float value);
esp_err_t nvs_set_double(nvs_handle_t handle, const char *key, double value);
esp_err_t nvs_set_str(nvs_handle_t handle, const char *key, const char *value);
esp_err_t nvs_set_blob(nvs_handle_t handle, const char *key, const void *value, size_t length);

esp_err_t nvs_get_i8(nvs_handle_t handle, const char *key, int8_t *out_value);
esp_err_t nvs_get_u8(nvs_handle_t handle, const char *key, uint8_t *out_value);
esp_err_t nvs_get_i16(nvs_handle_t handle, const char *key, int16_t *out_value);
esp_err_t nvs_get_u16(nvs_handle_t handle, const char *key, uint16_t *out_value);
esp_err_t nvs_get_i32(nvs_handle_t handle, const char *key, int32_t *out_value);
esp_err_t nvs_get_u32(nvs_handle_t handle, const char *key, uint32_t *out_value);
esp_err_t nvs_get_i64(nvs_handle_t handle, const char *key, int64_t *out_value);
esp_err_t nvs_get_u64(nvs_handle_t handle, const char *key, uint64_t *out_value);
esp_err_t nvs_get_float(nvs_handle_t handle, const char *key, float *out_value);
esp_err_t nvs_get_double(nvs_handle_t handle, const char *key, double *out_value);
/* With a NULL buffer the length alone; a buffer that is too small gives ESP_ERR_NVS_INVALID_LENGTH and the length. */
esp_err_t nvs_get_str(nvs_handle_t handle, const char *key, char *out_value, size_t *length);
esp_err_t nvs_get_blob(nvs_handle_t handle, const char *key, void *out_value, size_t *length);

esp_err_t nvs_erase_key(nvs_handle_t handle, const char *key);
esp_err_t nvs_erase_all(nvs_handle_t handle);
/* What erased values left in flash goes with their page; this does nothing more. */
esp_err_t nvs_purge_all(nvs_handle_t handle);
/* `out_type` may be NULL. */
esp_err_t nvs_find_key(nvs_handle_t handle, const char *key, nvs_type_t *out_type);

/* NULL: the default partition. */
esp_err_t nvs_get_stats(const char *part_name, nvs_stats_t *nvs_stats);
/* Entries of the namespace, its own definition left out. */
esp_err_t nvs_get_used_entry_count(nvs_handle_t handle, size_t *used_entries);

/* Values of a namespace (NULL: of all) and a type.  NVS_NOT_FOUND leaves the iterator NULL. */
esp_err_t nvs_entry_find(const char *part_name, const char *namespace_name, nvs_type_t type,
                         nvs_iterator_t *output_iterator);
esp_err_t nvs_entry_find_in_handle(nvs_handle_t handle, nvs_type_t type, nvs_iterator_t *output_iterator);
/* At the end the iterator is freed and becomes NULL. */
esp_err_t nvs_entry_next(nvs_iterator_t *iterator);
esp_err_t nvs_entry_info(const nvs_iterator_t iterator, nvs_entry_info_t *out_info);
void nvs_release_iterator(nvs_iterator_t iterator);

#ifdef __cplusplus
}
#endif

#endif
