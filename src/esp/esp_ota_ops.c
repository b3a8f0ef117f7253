#include "esp/include/esp_ota_ops.h"

#include "boot/boot.h"
#include "boot/slot.h"
#include "esp/esp.h"

#include <stdlib.h>
#include <string.h>

/* One update that is being written. */
struct session {
    esp_ota_handle_t handle;
    const esp_partition_t *part;
    uint32_t written;
    uint32_t erased; /* sequential mode: everything below is erased */
    bool is_sequential, is_resumed;
    struct session *next;
};

static struct {
    struct session *sessions;
    esp_ota_handle_t last;
} ota; /* part of this room's context: ESP-IDF's handles are numbers */

static struct session *find(esp_ota_handle_t handle)
{
    for (struct session *s = ota.sessions; s != NULL; s = s->next)
        if (s->handle == handle)
            return s;
    return NULL;
}

static void drop(struct session *session)
{
    for (struct session **at = &ota.sessions; *at != NULL; at = &(*at)->next)
        if (*at == session) {
            *at = session->next;
            free(session);
            return;
        }
}

static bool is_ota_slot(const esp_partition_t *p)
{
    return p->type == ESP_PARTITION_TYPE_APP && p->subtype >= ESP_PARTITION_SUBTYPE_APP_OTA_MIN &&
           p->subtype < ESP_PARTITION_SUBTYPE_APP_OTA_MAX;
}

static bool is_running_on_trial(void)
{
    esp_ota_img_states_t state;
    return esp_ota_get_state_partition(esp_context.running, &state) == ESP_OK && state == ESP_OTA_IMG_PENDING_VERIFY;
}

static enum err open_otadata(struct otadata *o)
{
    return otadata_open(o, &esp_context.flash.flash, &esp_context.table, NULL);
}

/* A half-written slot must not stay a rollback target: the entry that names it goes first. */
static void forget_inactive_entry(const esp_partition_t *part)
{
    struct otadata o;
    if (open_otadata(&o) != ERR_NONE || o.slots == 0)
        return;
    int active = otadata_active(&o);
    unsigned other = active < 0 ? 2 : (unsigned)active ^ 1;
    if (other < 2 && ota_record_is_valid(&o.records[other]) &&
        otadata_slot(&o, other) == (unsigned)(part->subtype - ESP_PARTITION_SUBTYPE_APP_OTA_MIN))
        stretch_erase(o.flash, other * FLASH_SECTOR_BYTES, FLASH_SECTOR_BYTES, NULL);
}

static esp_err_t check_target(const esp_partition_t **partition)
{
    if (*partition == NULL)
        return ESP_ERR_INVALID_ARG;
    *partition = esp_partition_verify(*partition);
    if (*partition == NULL)
        return ESP_ERR_NOT_FOUND;
    if ((*partition)->type == ESP_PARTITION_TYPE_APP && !is_ota_slot(*partition))
        return ESP_ERR_INVALID_ARG;
    if (*partition == esp_context.running)
        return ESP_ERR_OTA_PARTITION_CONFLICT;
    return is_running_on_trial() ? ESP_ERR_OTA_ROLLBACK_INVALID_STATE : ESP_OK;
}

static esp_err_t new_session(const esp_partition_t *partition, esp_ota_handle_t *out_handle, struct session **to)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ESP_ERR_NO_MEM;
    *s = (struct session){.handle = ++ota.last, .part = partition, .next = ota.sessions};
    ota.sessions = s;
    *out_handle = s->handle;
    *to = s;
    return ESP_OK;
}

static esp_err_t begin(const esp_partition_t *partition, size_t image_size, esp_ota_handle_t *out_handle)
{
    struct session *s;
    esp_err_t err = out_handle ? check_target(&partition) : ESP_ERR_INVALID_ARG;
    if (err == ESP_OK)
        err = new_session(partition, out_handle, &s);
    if (err != ESP_OK)
        return err;
    if (is_ota_slot(partition))
        forget_inactive_entry(partition);
    s->is_sequential = image_size == OTA_WITH_SEQUENTIAL_WRITES;
    if (s->is_sequential)
        return ESP_OK;
    bool is_whole = image_size == 0 || image_size == OTA_SIZE_UNKNOWN;
    size_t size =
        is_whole ? partition->size : (image_size + FLASH_SECTOR_BYTES - 1) & ~(size_t)(FLASH_SECTOR_BYTES - 1);
    return esp_partition_erase_range(partition, 0, size);
}

esp_err_t esp_ota_begin(const esp_partition_t *partition, size_t image_size, esp_ota_handle_t *out_handle)
{
    pthread_mutex_lock(&esp_context.lock);
    esp_err_t err = begin(partition, image_size, out_handle);
    pthread_mutex_unlock(&esp_context.lock);
    return err;
}

static esp_err_t resume(const esp_partition_t *partition, size_t erase_size, size_t image_offset,
                        esp_ota_handle_t *out_handle)
{
    struct session *s;
    esp_err_t err = out_handle ? check_target(&partition) : ESP_ERR_INVALID_ARG;
    if (err == ESP_OK && image_offset > partition->size)
        err = ESP_ERR_INVALID_ARG;
    if (err == ESP_OK)
        err = new_session(partition, out_handle, &s);
    if (err != ESP_OK)
        return err;
    s->written = (uint32_t)image_offset;
    s->erased = (s->written + FLASH_SECTOR_BYTES - 1) / FLASH_SECTOR_BYTES * FLASH_SECTOR_BYTES;
    s->is_sequential = erase_size == OTA_WITH_SEQUENTIAL_WRITES;
    s->is_resumed = true;
    return ESP_OK;
}

esp_err_t esp_ota_resume(const esp_partition_t *partition, const size_t erase_size, const size_t image_offset,
                         esp_ota_handle_t *out_handle)
{
    pthread_mutex_lock(&esp_context.lock);
    esp_err_t err = resume(partition, erase_size, image_offset, out_handle);
    pthread_mutex_unlock(&esp_context.lock);
    return err;
}

static esp_err_t erase_ahead(struct session *s, size_t size)
{
    uint32_t end = s->written + (uint32_t)size;
    while (s->is_sequential && s->erased < end) {
        esp_err_t err = esp_partition_erase_range(s->part, s->erased, FLASH_SECTOR_BYTES);
        if (err != ESP_OK)
            return err;
        s->erased += FLASH_SECTOR_BYTES;
    }
    return ESP_OK;
}

static esp_err_t write_data(struct session *s, const void *data, size_t size)
{
    if (s == NULL)
        return ESP_ERR_INVALID_ARG;
    if (s->written == 0 && s->part->type == ESP_PARTITION_TYPE_APP && *(const uint8_t *)data != IMAGE_MAGIC)
        return ESP_ERR_OTA_VALIDATE_FAILED;
    if (size > s->part->size - s->written)
        return ESP_ERR_INVALID_SIZE;
    esp_err_t err = erase_ahead(s, size);
    if (err == ESP_OK)
        err = esp_partition_write(s->part, s->written, data, size);
    if (err == ESP_OK)
        s->written += (uint32_t)size;
    return err;
}

esp_err_t esp_ota_write(esp_ota_handle_t handle, const void *data, size_t size)
{
    if (data == NULL)
        return ESP_ERR_INVALID_ARG;
    if (size == 0)
        return ESP_OK;
    pthread_mutex_lock(&esp_context.lock);
    esp_err_t err = write_data(find(handle), data, size);
    pthread_mutex_unlock(&esp_context.lock);
    return err;
}

static esp_err_t verify(const esp_partition_t *part)
{
    struct image_facts facts;
    return slot_verify(esp_stretch(part), CHIP_LINUX, &facts, NULL) == ERR_NONE ? ESP_OK : ESP_ERR_OTA_VALIDATE_FAILED;
}

esp_err_t esp_ota_end(esp_ota_handle_t handle)
{
    pthread_mutex_lock(&esp_context.lock);
    struct session *s = find(handle);
    esp_err_t err = s == NULL              ? ESP_ERR_NOT_FOUND
                    : s->written == 0      ? ESP_ERR_INVALID_ARG
                    : is_ota_slot(s->part) ? verify(s->part)
                                           : ESP_OK;
    if (s != NULL)
        drop(s);
    pthread_mutex_unlock(&esp_context.lock);
    return err;
}

esp_err_t esp_ota_abort(esp_ota_handle_t handle)
{
    pthread_mutex_lock(&esp_context.lock);
    struct session *s = find(handle);
    if (s != NULL)
        drop(s);
    pthread_mutex_unlock(&esp_context.lock);
    return s ? ESP_OK : ESP_ERR_NOT_FOUND;
}

/* --- selection -------------------------------------------------------------------------------- */

static esp_err_t set_boot(const esp_partition_t *partition)
{
    struct otadata o;
    if (partition == NULL)
        return ESP_ERR_INVALID_ARG;
    if (verify(partition) != ESP_OK)
        return ESP_ERR_OTA_VALIDATE_FAILED;
    if (partition->type != ESP_PARTITION_TYPE_APP)
        return ESP_ERR_INVALID_ARG;
    enum err err = open_otadata(&o);
    if (err != ERR_NONE)
        return ESP_ERR_NOT_FOUND;
    if (partition->subtype == ESP_PARTITION_SUBTYPE_APP_FACTORY)
        return esp_err_of(otadata_erase(&o, NULL));
    if (!is_ota_slot(partition))
        return ESP_ERR_INVALID_ARG;
    return esp_err_of(
        otadata_set_boot(&o, (unsigned)partition->subtype - ESP_PARTITION_SUBTYPE_APP_OTA_MIN, OTA_NEW, NULL));
}

esp_err_t esp_ota_set_boot_partition(const esp_partition_t *partition)
{
    pthread_mutex_lock(&esp_context.lock);
    esp_err_t err = set_boot(partition);
    pthread_mutex_unlock(&esp_context.lock);
    return err;
}

static const esp_partition_t *slot(unsigned index)
{
    return esp_partition_find_first(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_OTA(index), NULL);
}

static const esp_partition_t *default_boot(void)
{
    const esp_partition_t *p =
        esp_partition_find_first(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_APP_FACTORY, NULL);
    for (unsigned i = 0; p == NULL && i < 16; i++)
        p = slot(i);
    return p ? p : esp_partition_find_first(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_APP_TEST, NULL);
}

const esp_partition_t *esp_ota_get_boot_partition(void)
{
    struct otadata o;
    if (open_otadata(&o) != ERR_NONE)
        return NULL;
    int active = otadata_active(&o);
    return active < 0 || o.slots == 0 ? default_boot() : slot(otadata_slot(&o, (unsigned)active));
}

const esp_partition_t *esp_ota_get_running_partition(void)
{
    return esp_context.running;
}

const esp_partition_t *esp_ota_get_next_update_partition(const esp_partition_t *start_from)
{
    const esp_partition_t *from = esp_partition_verify(start_from ? start_from : esp_context.running), *lowest = NULL;
    if (from == NULL)
        return NULL;
    bool is_past = false;
    for (unsigned i = 0; i < 16; i++) {
        const esp_partition_t *p = slot(i);
        if (p == NULL)
            continue;
        if (is_past)
            return p;
        lowest = lowest ? lowest : p;
        is_past = p == from;
    }
    return lowest;
}

esp_err_t esp_ota_get_partition_description(const esp_partition_t *partition, esp_app_desc_t *app_desc)
{
    if (partition == NULL || app_desc == NULL)
        return ESP_ERR_INVALID_ARG;
    if (partition->type != ESP_PARTITION_TYPE_APP)
        return ESP_ERR_NOT_SUPPORTED;
    esp_err_t err = esp_partition_read(partition, APP_DESC_OFFSET, app_desc, sizeof *app_desc);
    return err == ESP_OK && app_desc->magic_word != ESP_APP_DESC_MAGIC_WORD ? ESP_ERR_NOT_FOUND : err;
}

uint8_t esp_ota_get_app_partition_count(void)
{
    return (uint8_t)partition_ota_count(&esp_context.table);
}

/* --- trial and rollback ----------------------------------------------------------------------- */

esp_err_t esp_ota_get_state_partition(const esp_partition_t *partition, esp_ota_img_states_t *ota_state)
{
    struct otadata o;
    if (partition == NULL || ota_state == NULL)
        return ESP_ERR_INVALID_ARG;
    if (!is_ota_slot(partition))
        return ESP_ERR_NOT_SUPPORTED;
    if (open_otadata(&o) != ERR_NONE || o.slots == 0)
        return ESP_ERR_NOT_FOUND;
    unsigned wanted = (unsigned)partition->subtype - ESP_PARTITION_SUBTYPE_APP_OTA_MIN;
    for (unsigned i = 0; i < 2; i++) /* entry 0 is looked at first, as in ESP-IDF */
        if (o.records[i].is_crc_good && otadata_slot(&o, i) == wanted) {
            *ota_state = (esp_ota_img_states_t)o.records[i].state;
            return ESP_OK;
        }
    return ESP_ERR_NOT_FOUND;
}

esp_err_t esp_ota_mark_app_valid_cancel_rollback(void)
{
    struct otadata o;
    pthread_mutex_lock(&esp_context.lock);
    esp_err_t err = open_otadata(&o) != ERR_NONE             ? ESP_ERR_NOT_FOUND
                    : otadata_active(&o) < 0 || o.slots == 0 ? ESP_FAIL
                    : otadata_confirm(&o, NULL) == ERR_NONE  ? ESP_OK
                                                             : ESP_FAIL;
    pthread_mutex_unlock(&esp_context.lock);
    return err;
}

bool esp_ota_check_rollback_is_possible(void)
{
    struct otadata o;
    if (open_otadata(&o) != ERR_NONE || o.slots == 0 || otadata_active(&o) < 0)
        return false;
    unsigned other = (unsigned)otadata_active(&o) ^ 1;
    if (ota_record_is_valid(&o.records[other])) {
        const esp_partition_t *p = slot(otadata_slot(&o, other));
        return p != NULL && verify(p) == ESP_OK;
    }
    const esp_partition_t *factory =
        esp_partition_find_first(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_APP_FACTORY, NULL);
    return factory != NULL && verify(factory) == ESP_OK;
}

esp_err_t esp_ota_mark_app_invalid_rollback(void)
{
    struct otadata o;
    if (!esp_ota_check_rollback_is_possible())
        return ESP_ERR_OTA_ROLLBACK_FAILED;
    pthread_mutex_lock(&esp_context.lock);
    esp_err_t err = open_otadata(&o) == ERR_NONE && otadata_give_up(&o, NULL) == ERR_NONE ? ESP_OK : ESP_FAIL;
    pthread_mutex_unlock(&esp_context.lock);
    return err;
}

esp_err_t esp_ota_mark_app_invalid_rollback_and_reboot(void)
{
    esp_err_t err = esp_ota_mark_app_invalid_rollback();
    if (err == ESP_OK)
        esp_restart();
    return err;
}
