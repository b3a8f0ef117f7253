#include "rmaker/rmaker.h"

#include "base/text.h"
#include "esp_ota_ops.h"
#include "nvs_flash.h"

#include <stdio.h>
#include <string.h>

#define NAMESPACE "rmaker_ota"

static bool open_store(nvs_open_mode_t mode, nvs_handle_t *handle)
{
    nvs_flash_init();
    return nvs_open(NAMESPACE, mode, handle) == ESP_OK;
}

esp_err_t rmaker_store_set_blob(const char *key, const void *at, size_t len)
{
    nvs_handle_t handle;
    if (!open_store(NVS_READWRITE, &handle))
        return ESP_FAIL;
    esp_err_t err = nvs_set_blob(handle, key, at, len);
    if (err == ESP_OK)
        err = nvs_commit(handle);
    nvs_close(handle);
    return err;
}

esp_err_t rmaker_store_get_blob(const char *key, void *to, size_t *len)
{
    nvs_handle_t handle;
    if (!open_store(NVS_READONLY, &handle))
        return ESP_ERR_NVS_NOT_FOUND;
    esp_err_t err = nvs_get_blob(handle, key, to, len);
    nvs_close(handle);
    return err;
}

esp_err_t rmaker_store_set_text(const char *key, const char *text)
{
    nvs_handle_t handle;
    if (!open_store(NVS_READWRITE, &handle))
        return ESP_FAIL;
    esp_err_t err = nvs_set_str(handle, key, text);
    if (err == ESP_OK)
        err = nvs_commit(handle);
    nvs_close(handle);
    return err;
}

void rmaker_store_get_text(const char *key, char *to, size_t size)
{
    nvs_handle_t handle;
    to[0] = '\0';
    if (!open_store(NVS_READONLY, &handle))
        return;
    if (nvs_get_str(handle, key, to, &size) != ESP_OK)
        to[0] = '\0';
    nvs_close(handle);
}

esp_err_t rmaker_store_set_number(const char *key, uint32_t value)
{
    nvs_handle_t handle;
    if (!open_store(NVS_READWRITE, &handle))
        return ESP_FAIL;
    esp_err_t err = nvs_set_u32(handle, key, value);
    if (err == ESP_OK)
        err = nvs_commit(handle);
    nvs_close(handle);
    return err;
}

uint32_t rmaker_store_get_number(const char *key)
{
    nvs_handle_t handle;
    uint32_t value = 0;
    if (!open_store(NVS_READONLY, &handle))
        return 0;
    if (nvs_get_u32(handle, key, &value) != ESP_OK)
        value = 0;
    nvs_close(handle);
    return value;
}

void rmaker_store_erase(const char *key)
{
    nvs_handle_t handle;
    if (!open_store(NVS_READWRITE, &handle))
        return;
    nvs_erase_key(handle, key);
    nvs_commit(handle);
    nvs_close(handle);
}

/* --- outbox ----------------------------------------------------------------------------------- */

static const char *row_key(char to[16], unsigned index)
{
    snprintf(to, 16, "ota_row%u", index);
    return to;
}

esp_err_t rmaker_store_set_row(unsigned index, const struct ota_row *row)
{
    uint8_t raw[OTA_ROW_BYTES];
    char key[16];
    ota_row_pack(raw, row);
    return rmaker_store_set_blob(row_key(key, index), raw, sizeof raw);
}

/* --- the image on trial ----------------------------------------------------------------------- */

/* Written to flash, never renumber: the slot's address, and the SHA-256 of the ELF file from the image's descriptor. */
struct target {
    uint8_t address[4], elf_sha256[32];
};

static void describe(struct target *target, const esp_partition_t *partition)
{
    esp_app_desc_t desc;
    memset(target, 0, sizeof *target);
    put_u32(target->address, partition->address);
    if (esp_ota_get_partition_description(partition, &desc) == ESP_OK)
        memcpy(target->elf_sha256, desc.app_elf_sha256, sizeof target->elf_sha256);
}

esp_err_t rmaker_store_set_trial(bool has_flag)
{
    const esp_partition_t *next = esp_ota_get_next_update_partition(NULL);
    const uint8_t one = 1;
    struct target target;
    if (next == NULL)
        return ESP_ERR_NOT_FOUND;
    describe(&target, next);
    esp_err_t err = rmaker_store_set_blob(KEY_TARGET, &target, sizeof target);
    return err == ESP_OK && has_flag ? rmaker_store_set_blob(KEY_TRIAL, &one, sizeof one) : err;
}

/* The flag goes first: a target without a flag says nothing. */
void rmaker_store_clear_trial(void)
{
    rmaker_store_erase(KEY_TRIAL);
    rmaker_store_erase(KEY_TARGET);
}

static const esp_partition_t *slot_at(uint32_t address)
{
    const esp_partition_t *found = NULL;
    esp_partition_iterator_t it = esp_partition_find(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_ANY, NULL);
    for (; it != NULL && found == NULL; it = esp_partition_next(it))
        if (esp_partition_get(it)->address == address)
            found = esp_partition_get(it);
    esp_partition_iterator_release(it);
    return found;
}

static bool get_target(struct target *target)
{
    size_t len = sizeof *target;
    return rmaker_store_get_blob(KEY_TARGET, target, &len) == ESP_OK && len == sizeof *target;
}

static enum ota_target find_target(void)
{
    struct target target, running;
    if (!get_target(&target))
        return OTA_TARGET_UNKNOWN;
    describe(&running, esp_ota_get_running_partition());
    if (memcmp(&running, &target, sizeof target) == 0)
        return OTA_TARGET_RUNS;
    const esp_partition_t *slot = slot_at(get_u32(target.address));
    esp_ota_img_states_t state;
    if (slot == NULL || esp_ota_get_state_partition(slot, &state) != ESP_OK)
        return OTA_TARGET_UNTRIED;
    return state == ESP_OTA_IMG_INVALID || state == ESP_OTA_IMG_ABORTED || state == ESP_OTA_IMG_PENDING_VERIFY
               ? OTA_TARGET_REFUSED
               : OTA_TARGET_UNTRIED;
}

/* --- what is known at boot -------------------------------------------------------------------- */

/* A blob of text without terminator. */
static void get_id(const char *key, char to[static JOB_ID_SIZE])
{
    size_t len = JOB_ID_SIZE - 1;
    memset(to, 0, JOB_ID_SIZE);
    if (rmaker_store_get_blob(key, to, &len) != ESP_OK)
        to[0] = '\0';
}

static void get_row(unsigned index, struct ota_row *row)
{
    uint8_t raw[OTA_ROW_BYTES];
    char key[16];
    size_t len = sizeof raw;
    if (rmaker_store_get_blob(row_key(key, index), raw, &len) != ESP_OK)
        len = 0;
    ota_row_unpack(row, bytes_of(raw, len));
}

void rmaker_store_read_saved(struct ota_saved *saved)
{
    uint8_t flag;
    size_t len = sizeof flag;
    char cycles_job[JOB_ID_SIZE];
    struct target target;
    esp_ota_img_states_t state;
    memset(saved, 0, sizeof *saved);
    saved->is_pending_verify = esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK &&
                               state == ESP_OTA_IMG_PENDING_VERIFY;
    saved->has_trial_flag = rmaker_store_get_blob(KEY_TRIAL, &flag, &len) == ESP_OK || get_target(&target);
    saved->target = saved->has_trial_flag ? find_target() : OTA_TARGET_UNKNOWN;
    get_id(KEY_JOB_ID, saved->job_id);
    get_id(KEY_BLAME_JOB, saved->blame_job_id);
    rmaker_store_get_text(KEY_BLAME, saved->blame, sizeof saved->blame);
    get_id(KEY_CYCLES_JOB, cycles_job);
    if (strcmp(cycles_job, saved->job_id) == 0)
        saved->cycles = rmaker_store_get_number(KEY_CYCLES);
    for (unsigned i = 0; i < OTA_ROWS; i++)
        get_row(i, &saved->rows[i]);
}

/* --- a download that may go on ---------------------------------------------------------------- */

void rmaker_store_get_resume(struct rmaker_resume *to, const char *md5, uint32_t slot)
{
    nvs_handle_t handle;
    *to = (struct rmaker_resume){.slot = slot};
    text_copy(to->md5, sizeof to->md5, md5);
    char stored[sizeof to->md5];
    rmaker_store_get_text(KEY_MD5, stored, sizeof stored);
    if (strcmp(stored, md5) != 0 || rmaker_store_get_number(KEY_SLOT) != slot || !open_store(NVS_READONLY, &handle))
        return;
    if (nvs_get_u16(handle, KEY_WRITTEN, &to->kib) != ESP_OK)
        to->kib = 0;
    nvs_close(handle);
    rmaker_store_get_text(KEY_ETAG, to->etag, sizeof to->etag);
}

/* The position is written last and is nothing while the identity changes, so it is never taken for another file's. */
esp_err_t rmaker_store_set_resume(const struct rmaker_resume *r)
{
    nvs_handle_t handle;
    char stored[sizeof r->md5], etag[sizeof r->etag];
    rmaker_store_get_text(KEY_MD5, stored, sizeof stored);
    rmaker_store_get_text(KEY_ETAG, etag, sizeof etag);
    bool is_same =
        strcmp(stored, r->md5) == 0 && strcmp(etag, r->etag) == 0 && rmaker_store_get_number(KEY_SLOT) == r->slot;
    if (!open_store(NVS_READWRITE, &handle))
        return ESP_FAIL;
    esp_err_t err = is_same ? ESP_OK : nvs_set_u16(handle, KEY_WRITTEN, 0);
    if (err == ESP_OK && !is_same)
        err = nvs_set_str(handle, KEY_MD5, r->md5);
    if (err == ESP_OK && !is_same)
        err = nvs_set_str(handle, KEY_ETAG, r->etag);
    if (err == ESP_OK && !is_same)
        err = nvs_set_u32(handle, KEY_SLOT, r->slot);
    if (err == ESP_OK)
        err = nvs_set_u16(handle, KEY_WRITTEN, r->kib);
    if (err == ESP_OK)
        err = nvs_commit(handle);
    nvs_close(handle);
    return err;
}

void rmaker_store_clear_resume(void)
{
    static const char *const keys[] = {KEY_WRITTEN, KEY_MD5, KEY_ETAG, KEY_SLOT};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        rmaker_store_erase(keys[i]);
}
