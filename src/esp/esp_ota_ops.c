/* ESP-IDF's OTA operations over room boot: updates by number, otadata, trial and rollback, anti-rollback. */
#include "esp/include/esp_ota_ops.h"

#include "esp/esp.h"
#include "esp/include/esp_flash_partitions.h"
#include "esp/include/esp_image_format.h"
#include "esp/include/esp_log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR FLASH_SECTOR_BYTES

static const char *const tag = "esp_ota_ops";

/* One update that is being written. */
struct session {
    esp_ota_handle_t handle;
    const esp_partition_t *staging, *final;
    uint32_t written;
    uint32_t erased; /* sequential mode: everything below is erased */
    bool is_sequential, is_resumed, copies;
    struct session *next;
};

static struct {
    struct session *sessions;
    esp_ota_handle_t last;
    const esp_partition_t *verified; /* by the last esp_ota_end(), and not written to since; NULL: none */
} ota;                               /* part of this room's context: ESP-IDF's handles are numbers */

static void lock(void)
{
    pthread_mutex_lock(&esp_context.lock);
}

static esp_err_t unlock(esp_err_t err)
{
    pthread_mutex_unlock(&esp_context.lock);
    return err;
}

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

void esp_ota_forget_sessions(void)
{
    while (ota.sessions != NULL)
        drop(ota.sessions);
    ota.last = 0;
    ota.verified = NULL;
}

void esp_ota_note_write(const esp_partition_t *partition)
{
    if (ota.verified != NULL && partition->address < ota.verified->address + ota.verified->size &&
        ota.verified->address < partition->address + partition->size)
        ota.verified = NULL;
}

static bool is_ota_slot(const esp_partition_t *p)
{
    return p->type == ESP_PARTITION_TYPE_APP && p->subtype >= ESP_PARTITION_SUBTYPE_APP_OTA_MIN &&
           p->subtype < ESP_PARTITION_SUBTYPE_APP_OTA_MAX;
}

static unsigned slot_number(const esp_partition_t *p)
{
    return (unsigned)p->subtype - ESP_PARTITION_SUBTYPE_APP_OTA_MIN;
}

static const esp_partition_t *slot(unsigned index)
{
    return esp_partition_find_first(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_OTA(index), NULL);
}

static const esp_partition_t *factory(void)
{
    return esp_partition_find_first(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_APP_FACTORY, NULL);
}

static bool has_rollback(void)
{
    return esp_context.start.options->has_rollback;
}

static const struct efuse *anti_rollback(void)
{
    const struct esp_start *s = &esp_context.start;
    return s->options->has_anti_rollback && s->efuse.flash.flash != NULL ? &s->efuse : NULL;
}

static enum err open_otadata(struct otadata *o)
{
    return otadata_open(o, OTADATA_SEALED, esp_context.start.flash, &esp_context.table, NULL);
}

static bool is_running_on_trial(void)
{
    esp_ota_img_states_t state;
    return has_rollback() && esp_ota_get_state_partition(esp_context.running, &state) == ESP_OK &&
           state == ESP_OTA_IMG_PENDING_VERIFY;
}

/* --- what is in a partition ------------------------------------------------------------------- */

static esp_err_t verify_app(const esp_partition_t *part)
{
    struct image_facts facts;
    struct slot_rules rules = esp_slot_rules();
    struct why why = {{0}};
    if (slot_verify(esp_stretch(part), &rules, &facts, &why) == ERR_NONE)
        return ESP_OK;
    ESP_LOGE(tag, "%s: %s", part->label, why.text);
    return ESP_ERR_OTA_VALIDATE_FAILED;
}

static bool is_whole_app(const esp_partition_t *part)
{
    struct image_facts facts;
    struct slot_rules rules = esp_slot_rules();
    return part != NULL && slot_verify(esp_stretch(part), &rules, &facts, NULL) == ERR_NONE;
}

static esp_err_t verify_bootloader(const esp_partition_t *part)
{
    struct image_facts facts;
    struct slot_rules rules = esp_slot_rules();
    struct why why = {{0}};
    if (slot_verify_any(esp_stretch(part), &rules, &facts, &why) == ERR_NONE)
        return ESP_OK;
    ESP_LOGE(tag, "%s: %s", part->label, why.text);
    return ESP_ERR_OTA_VALIDATE_FAILED;
}

static esp_err_t verify_table(const esp_partition_t *part)
{
    struct partition_table table;
    uint8_t raw[PARTITION_TABLE_BYTES];
    if (stretch_read(esp_stretch(part), 0, raw, sizeof raw, NULL) != ERR_NONE ||
        partition_table_read(&table, bytes_of(raw, sizeof raw), esp_context.start.flash->size_bytes, NULL) != ERR_NONE)
        return ESP_ERR_OTA_VALIDATE_FAILED;
    return ESP_OK;
}

/* A signature sector follows the data, both in what was written. */
static esp_err_t verify_signed_data(const struct session *s)
{
    struct slot_rules rules = esp_slot_rules();
    struct content_digest digest;
    uint8_t sector[SIGNATURE_SECTOR_LEN];
    uint32_t len = (s->written & ~(SECTOR - 1)) - SECTOR;
    if (s->written < 2 * SECTOR)
        return ESP_ERR_OTA_VALIDATE_FAILED;
    uint8_t *bytes = malloc(len);
    if (bytes == NULL)
        return ESP_ERR_NO_MEM;
    enum err err = stretch_read(esp_stretch(s->staging), 0, bytes, len, NULL);
    if (err == ERR_NONE)
        err = stretch_read(esp_stretch(s->staging), len, sector, sizeof sector, NULL);
    content_digest_of(&digest, bytes_of(bytes, len));
    if (err == ERR_NONE)
        err = signature_check_sector(sector, &digest, rules.trusted, rules.trusted_count, SIGNATURE_BLOCKS_MAX,
                                     SHA256_LEN, NULL);
    free(bytes);
    return err == ERR_NONE ? ESP_OK : ESP_ERR_OTA_VALIDATE_FAILED;
}

static esp_err_t verify_session(const struct session *s)
{
    switch (s->final->type) {
    case ESP_PARTITION_TYPE_APP:
        return verify_app(s->staging);
    case ESP_PARTITION_TYPE_BOOTLOADER:
        return verify_bootloader(s->staging);
    case ESP_PARTITION_TYPE_PARTITION_TABLE:
        return verify_table(s->staging);
    case ESP_PARTITION_TYPE_DATA:
        return esp_context.start.options->has_signed_data && s->final->subtype == ESP_PARTITION_SUBTYPE_DATA_UNDEFINED
                   ? verify_signed_data(s)
                   : ESP_OK;
    default:
        return ESP_OK;
    }
}

static uint32_t secure_version_in(const esp_partition_t *part)
{
    esp_app_desc_t desc;
    return esp_ota_get_partition_description(part, &desc) == ESP_OK ? desc.secure_version : 0;
}

static bool is_above_floor(const esp_partition_t *part)
{
    uint32_t floor;
    if (anti_rollback() == NULL)
        return true;
    return efuse_secure_version(anti_rollback(), &floor, NULL) == ERR_NONE && secure_version_in(part) >= floor;
}

/* --- begin ------------------------------------------------------------------------------------ */

static bool is_open(const esp_partition_t *part)
{
    for (struct session *s = ota.sessions; s != NULL; s = s->next)
        if (s->staging == part || s->final == part)
            return true;
    return false;
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
    if (is_running_on_trial()) {
        ESP_LOGE(tag, "The running app is not confirmed yet: mark it valid before another update");
        return ESP_ERR_OTA_ROLLBACK_INVALID_STATE;
    }
    /* Two updates of one partition would mix two images (ESP-IDF has this check since 6.1). */
    return is_open(*partition) ? ESP_ERR_OTA_ALREADY_IN_PROGRESS : ESP_OK;
}

static esp_err_t new_session(const esp_partition_t *partition, esp_ota_handle_t *out_handle, struct session **to)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ESP_ERR_NO_MEM;
    *s = (struct session){.handle = ++ota.last, .staging = partition, .final = partition, .next = ota.sessions};
    ota.sessions = s;
    *out_handle = s->handle;
    *to = s;
    return ESP_OK;
}

/* Nothing may boot what is about to become half of an image. */
static esp_err_t release_slot(const esp_partition_t *partition)
{
    struct otadata o;
    if (!is_ota_slot(partition) || !has_rollback() || open_otadata(&o) != ERR_NONE)
        return ESP_OK;
    return esp_err_of(otadata_release(&o, slot_number(partition), esp_running_slot(), NULL));
}

static esp_err_t erase(const esp_partition_t *p, uint32_t at, uint32_t len)
{
    esp_ota_note_write(p);
    return p->readonly ? ESP_ERR_NOT_ALLOWED : esp_err_of(stretch_erase_sure(esp_stretch(p), at, len, NULL));
}

static esp_err_t begin(const esp_partition_t *partition, size_t image_size, esp_ota_handle_t *out_handle)
{
    struct session *s;
    esp_err_t err = out_handle ? check_target(&partition) : ESP_ERR_INVALID_ARG;
    if (err == ESP_OK)
        err = release_slot(partition);
    if (err == ESP_OK)
        err = new_session(partition, out_handle, &s);
    if (err != ESP_OK)
        return err;
    s->is_sequential = image_size == OTA_WITH_SEQUENTIAL_WRITES;
    if (s->is_sequential)
        return ESP_OK;
    bool is_whole = image_size == 0 || image_size == OTA_SIZE_UNKNOWN;
    if (!is_whole && image_size > partition->size)
        return ESP_ERR_INVALID_SIZE;
    return erase(partition, 0,
                 is_whole ? partition->size : (uint32_t)((image_size + SECTOR - 1) & ~(size_t)(SECTOR - 1)));
}

esp_err_t esp_ota_begin(const esp_partition_t *partition, size_t image_size, esp_ota_handle_t *out_handle)
{
    lock();
    return unlock(begin(partition, image_size, out_handle));
}

/* The rest of a sector in the middle of which an update goes on.  What an interrupted write left there may not be
 * programmed over, so a sector whose rest is not blank is erased, and what counts of it written again. */
static esp_err_t clean_tail(const esp_partition_t *p, uint32_t at)
{
    uint8_t sector[SECTOR];
    uint32_t start = at & ~(SECTOR - 1), kept = at - start;
    bool is_blank = true;
    if (kept == 0)
        return ESP_OK;
    enum err err = stretch_read(esp_stretch(p), start, sector, sizeof sector, NULL);
    for (uint32_t i = kept; i < sizeof sector; i++)
        is_blank = is_blank && sector[i] == 0xff;
    if (err != ERR_NONE || is_blank)
        return esp_err_of(err);
    err = stretch_erase_sure(esp_stretch(p), start, SECTOR, NULL);
    return esp_err_of(err ? err : stretch_program_sure(esp_stretch(p), start, bytes_of(sector, kept), NULL));
}

static esp_err_t resume(const esp_partition_t *partition, size_t erase_size, size_t image_offset,
                        esp_ota_handle_t *out_handle)
{
    struct session *s;
    esp_err_t err = out_handle ? check_target(&partition) : ESP_ERR_INVALID_ARG;
    if (err == ESP_OK && image_offset > partition->size)
        err = ESP_ERR_INVALID_ARG;
    if (err == ESP_OK)
        err = release_slot(partition);
    if (err == ESP_OK)
        err = clean_tail(partition, (uint32_t)image_offset);
    if (err == ESP_OK)
        err = new_session(partition, out_handle, &s);
    if (err != ESP_OK)
        return err;
    s->written = (uint32_t)image_offset;
    s->erased = (s->written + SECTOR - 1) / SECTOR * SECTOR;
    s->is_sequential = erase_size == OTA_WITH_SEQUENTIAL_WRITES;
    s->is_resumed = true;
    return ESP_OK;
}

esp_err_t esp_ota_resume(const esp_partition_t *partition, const size_t erase_size, const size_t image_offset,
                         esp_ota_handle_t *out_handle)
{
    lock();
    return unlock(resume(partition, erase_size, image_offset, out_handle));
}

static esp_err_t set_final(esp_ota_handle_t handle, const esp_partition_t *final, bool finalize_with_copy)
{
    if (final == NULL)
        return ESP_ERR_INVALID_ARG;
    struct session *s = find(handle);
    final = esp_partition_verify(final);
    if (s == NULL || final == NULL)
        return ESP_ERR_NOT_FOUND;
    if (s->written > 0 && !s->is_resumed)
        return ESP_ERR_INVALID_STATE;
    s->final = final;
    s->copies = finalize_with_copy;
    return ESP_OK;
}

esp_err_t esp_ota_set_final_partition(esp_ota_handle_t handle, const esp_partition_t *final, bool finalize_with_copy)
{
    lock();
    return unlock(set_final(handle, final, finalize_with_copy));
}

/* --- write ------------------------------------------------------------------------------------ */

static esp_err_t erase_ahead(struct session *s, size_t size)
{
    uint32_t end = s->written + (uint32_t)size;
    while (s->is_sequential && s->erased < end) {
        esp_err_t err = erase(s->staging, s->erased, SECTOR);
        if (err != ESP_OK)
            return err;
        s->erased += SECTOR;
    }
    return ESP_OK;
}

static bool begins_right(const struct session *s, const uint8_t *data, size_t size)
{
    esp_partition_type_t type = s->final->type;
    if (type == ESP_PARTITION_TYPE_APP || type == ESP_PARTITION_TYPE_BOOTLOADER)
        return data[0] == IMAGE_MAGIC;
    if (type == ESP_PARTITION_TYPE_PARTITION_TABLE)
        return size >= 2 && get_u16(data) == ESP_PARTITION_MAGIC;
    return true;
}

static esp_err_t write_data(struct session *s, const void *data, size_t size)
{
    if (s == NULL)
        return ESP_ERR_INVALID_ARG;
    if (s->written == 0 && !begins_right(s, data, size)) {
        ESP_LOGE(tag, "What was sent does not begin as an image does (0x%02x)", *(const uint8_t *)data);
        return ESP_ERR_OTA_VALIDATE_FAILED;
    }
    if (size > s->staging->size - s->written)
        return ESP_ERR_INVALID_SIZE;
    esp_err_t err = erase_ahead(s, size);
    if (err == ESP_OK)
        err = esp_partition_write(s->staging, s->written, data, size);
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
    lock();
    return unlock(write_data(find(handle), data, size));
}

static esp_err_t write_at(struct session *s, const void *data, size_t size, uint32_t offset)
{
    if (s == NULL)
        return ESP_ERR_INVALID_ARG;
    /* As on the chip: nothing erases ahead of a write that jumps, so this is a mistake of the program. */
    if (s->is_sequential) {
        ESP_LOGE(tag, "esp_ota_write_with_offset() needs an area that esp_ota_begin() has erased");
        abort();
    }
    esp_err_t err = esp_partition_write(s->staging, offset, data, size);
    if (err == ESP_OK)
        s->written += (uint32_t)size;
    return err;
}

esp_err_t esp_ota_write_with_offset(esp_ota_handle_t handle, const void *data, size_t size, uint32_t offset)
{
    if (data == NULL)
        return ESP_ERR_INVALID_ARG;
    if (size == 0)
        return ESP_OK;
    lock();
    return unlock(write_at(find(handle), data, size, offset));
}

/* --- end -------------------------------------------------------------------------------------- */

static esp_err_t end(struct session *s)
{
    if (s == NULL)
        return ESP_ERR_NOT_FOUND;
    if (s->written == 0)
        return ESP_ERR_INVALID_ARG;
    esp_err_t err = verify_session(s);
    if (err == ESP_OK && s->final->type == ESP_PARTITION_TYPE_APP)
        ota.verified = s->staging;
    if (err == ESP_OK && s->final != s->staging && s->copies)
        err = esp_partition_copy(s->final, 0, s->staging, 0,
                                 s->final->size < s->staging->size ? s->final->size : s->staging->size);
    return err;
}

esp_err_t esp_ota_end(esp_ota_handle_t handle)
{
    lock();
    struct session *s = find(handle);
    esp_err_t err = end(s);
    if (s != NULL)
        drop(s);
    return unlock(err);
}

esp_err_t esp_ota_abort(esp_ota_handle_t handle)
{
    lock();
    struct session *s = find(handle);
    if (s != NULL)
        drop(s);
    return unlock(s ? ESP_OK : ESP_ERR_NOT_FOUND);
}

/* --- selection -------------------------------------------------------------------------------- */

static esp_err_t select_slot(struct otadata *o, const esp_partition_t *partition)
{
    if (slot_number(partition) >= o->slots)
        return ESP_ERR_INVALID_ARG;
    if (!is_above_floor(partition)) {
        ESP_LOGE(tag, "The image's secure version is below the eFuse's: erased");
        erase(partition, 0, partition->size);
        return ESP_ERR_OTA_SMALL_SEC_VER;
    }
    return esp_err_of(otadata_set_boot(o, slot_number(partition), has_rollback() ? OTA_NEW : OTA_UNDEFINED, NULL));
}

static esp_err_t set_boot(const esp_partition_t *partition, bool verifies)
{
    struct otadata o;
    if (partition == NULL)
        return ESP_ERR_INVALID_ARG;
    /* What esp_ota_end() has just read whole is not read again. */
    bool is_known = ota.verified != NULL && esp_partition_verify(partition) == ota.verified;
    if (verifies && !is_known && verify_app(partition) != ESP_OK)
        return ESP_ERR_OTA_VALIDATE_FAILED;
    if (partition->type != ESP_PARTITION_TYPE_APP)
        return ESP_ERR_INVALID_ARG;
    enum err err = open_otadata(&o);
    if (err != ERR_NONE)
        return ESP_ERR_NOT_FOUND;
    if (partition->subtype == ESP_PARTITION_SUBTYPE_APP_FACTORY)
        return esp_err_of(otadata_erase(&o, NULL));
    return is_ota_slot(partition) ? select_slot(&o, partition) : ESP_ERR_INVALID_ARG;
}

esp_err_t esp_ota_set_boot_partition(const esp_partition_t *partition)
{
    lock();
    return unlock(set_boot(partition, true));
}

esp_err_t esp_ota_set_boot_partition_skip_validate(const esp_partition_t *partition)
{
    lock();
    return unlock(set_boot(partition, false));
}

static const esp_partition_t *default_boot(void)
{
    const esp_partition_t *p = factory();
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

uint8_t esp_ota_get_app_partition_count(void)
{
    return (uint8_t)partition_ota_count(&esp_context.table);
}

/* --- descriptions ----------------------------------------------------------------------------- */

esp_err_t esp_ota_get_partition_description(const esp_partition_t *partition, esp_app_desc_t *app_desc)
{
    if (partition == NULL || app_desc == NULL)
        return ESP_ERR_INVALID_ARG;
    if (partition->type != ESP_PARTITION_TYPE_APP)
        return ESP_ERR_NOT_SUPPORTED;
    esp_err_t err = esp_partition_read(partition, APP_DESC_OFFSET, app_desc, sizeof *app_desc);
    return err == ESP_OK && app_desc->magic_word != ESP_APP_DESC_MAGIC_WORD ? ESP_ERR_NOT_FOUND : err;
}

esp_err_t esp_ota_get_bootloader_description(const esp_partition_t *bootloader_partition, esp_bootloader_desc_t *desc)
{
    uint32_t at = esp_context.start.chip->bootloader_offset;
    if (desc == NULL)
        return ESP_ERR_INVALID_ARG;
    if (bootloader_partition != NULL && bootloader_partition->type != ESP_PARTITION_TYPE_BOOTLOADER)
        return ESP_ERR_INVALID_ARG;
    struct stretch from = bootloader_partition ? esp_stretch(bootloader_partition)
                                               : (struct stretch){esp_context.start.flash, at, PARTITION_TABLE_AT - at};
    if (stretch_read(from, APP_DESC_OFFSET, desc, sizeof *desc, NULL) != ERR_NONE)
        return ESP_FAIL;
    return desc->magic_byte == ESP_BOOTLOADER_DESC_MAGIC_BYTE ? ESP_OK : ESP_ERR_NOT_FOUND;
}

esp_err_t esp_ota_check_image_validity(esp_partition_type_t part_type, const esp_image_header_t *img_hdr,
                                       const esp_app_desc_t *app_desc)
{
    const esp_app_desc_t *ours = &esp_context.app_desc;
    (void)app_desc;
    if (img_hdr == NULL || (part_type != ESP_PARTITION_TYPE_APP && part_type != ESP_PARTITION_TYPE_BOOTLOADER))
        return ESP_ERR_INVALID_ARG;
    if ((uint16_t)img_hdr->chip_id != esp_context.start.chip->id) {
        ESP_LOGE(tag, "The image is for chip 0x%04x, this one is 0x%04x", (unsigned)img_hdr->chip_id,
                 esp_context.start.chip->id);
        return ESP_ERR_INVALID_VERSION;
    }
    /* ESP-IDF 6.1 has the flash mode in the third reserved byte; 0: not said. */
    if (part_type == ESP_PARTITION_TYPE_APP && app_desc != NULL && app_desc->reserv3[0] != 0 && ours->reserv3[0] != 0 &&
        app_desc->reserv3[0] != ours->reserv3[0])
        return ESP_ERR_OTA_SPI_MODE_MISMATCH;
    return ESP_OK;
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
    for (unsigned i = 0; i < 2; i++) /* entry 0 is looked at first, as in ESP-IDF */
        if (o.records[i].is_sound && otadata_slot(&o, i) == slot_number(partition)) {
            *ota_state = (esp_ota_img_states_t)o.records[i].state;
            return ESP_OK;
        }
    return ESP_ERR_NOT_FOUND;
}

/* The floor follows what was confirmed.  A cut before it rises is made good by the bootloader's next start. */
static esp_err_t raise_floor(void)
{
    uint32_t floor, version = esp_context.app_desc.secure_version;
    if (anti_rollback() == NULL)
        return ESP_OK;
    enum err err = efuse_secure_version(anti_rollback(), &floor, NULL);
    if (err == ERR_NONE && version > floor)
        err = efuse_raise(anti_rollback(), version, NULL);
    return err == ERR_NONE ? ESP_OK : err == ERR_TOO_BIG ? ESP_ERR_INVALID_ARG : ESP_FAIL;
}

static esp_err_t mark_valid(void)
{
    struct otadata o;
    if (open_otadata(&o) != ERR_NONE)
        return ESP_ERR_NOT_FOUND;
    if (otadata_active(&o) < 0 || o.slots == 0 || otadata_confirm(&o, NULL) != ERR_NONE)
        return ESP_FAIL;
    return raise_floor();
}

esp_err_t esp_ota_mark_app_valid_cancel_rollback(void)
{
    lock();
    return unlock(mark_valid());
}

static bool can_roll_back(void)
{
    struct otadata o;
    if (open_otadata(&o) != ERR_NONE || o.slots == 0 || otadata_active(&o) < 0)
        return false;
    unsigned other = (unsigned)otadata_active(&o) ^ 1;
    if (ota_record_is_valid(&o.records[other])) {
        const esp_partition_t *p = slot(otadata_slot(&o, other));
        return is_whole_app(p) && is_above_floor(p);
    }
    return anti_rollback() == NULL && is_whole_app(factory());
}

bool esp_ota_check_rollback_is_possible(void)
{
    lock();
    return unlock(can_roll_back());
}

static esp_err_t mark_invalid(void)
{
    struct otadata o;
    if (!can_roll_back())
        return ESP_ERR_OTA_ROLLBACK_FAILED;
    return open_otadata(&o) == ERR_NONE && otadata_give_up(&o, NULL) == ERR_NONE ? ESP_OK : ESP_FAIL;
}

esp_err_t esp_ota_mark_app_invalid_rollback(void)
{
    lock();
    return unlock(mark_invalid());
}

esp_err_t esp_ota_mark_app_invalid_rollback_and_reboot(void)
{
    esp_err_t err = esp_ota_mark_app_invalid_rollback();
    if (err == ESP_OK)
        esp_restart();
    return err;
}

/* --- what was there before -------------------------------------------------------------------- */

/* The record that was refused; of two the older one, as in ESP-IDF. */
static int last_invalid(const struct otadata *o)
{
    int found = -1;
    for (int i = 0; i < 2; i++) {
        const struct ota_record *r = &o->records[i];
        bool is_refused = r->state == OTA_INVALID || r->state == OTA_ABORTED;
        if (r->seq != 0xffffffff && r->is_sound && is_refused && (found < 0 || r->seq < o->records[found].seq))
            found = i;
    }
    return found;
}

const esp_partition_t *esp_ota_get_last_invalid_partition(void)
{
    struct otadata o;
    if (open_otadata(&o) != ERR_NONE || o.slots == 0)
        return NULL;
    int record = last_invalid(&o);
    const esp_partition_t *p = record < 0 ? NULL : slot(otadata_slot(&o, (unsigned)record));
    return is_whole_app(p) ? p : NULL;
}

/* The inactive record, when it names another slot than the running one; -1 otherwise. */
static int inactive_record(const struct otadata *o)
{
    int active = otadata_active(o);
    if (active < 0 || o->slots == 0)
        return -1;
    const struct ota_record *r = &o->records[active ^ 1];
    bool is_other = (int)otadata_slot(o, (unsigned)active ^ 1) != esp_running_slot();
    return r->seq != 0xffffffff && r->is_crc_good && is_other ? active ^ 1 : -1;
}

static esp_err_t forget_inactive(bool erases_app)
{
    struct otadata o;
    if (open_otadata(&o) != ERR_NONE)
        return ESP_FAIL;
    int record = inactive_record(&o);
    const esp_partition_t *p = record < 0 ? NULL : slot(otadata_slot(&o, (unsigned)record));
    if (p == NULL)
        return ESP_FAIL;
    esp_err_t err = erases_app ? erase(p, 0, p->size) : ESP_OK;
    return err ? err : esp_err_of(otadata_forget(&o, (unsigned)record, NULL));
}

esp_err_t esp_ota_erase_last_boot_app_partition(void)
{
    lock();
    return unlock(forget_inactive(true));
}

esp_err_t esp_ota_invalidate_inactive_ota_data_slot(void)
{
    lock();
    return unlock(forget_inactive(false));
}

/* Revoking burns a fuse that this node does not emulate; the checks before it are ESP-IDF's. */
esp_err_t esp_ota_revoke_secure_boot_public_key(esp_ota_secure_boot_public_key_index_t index)
{
    if (index > SECURE_BOOT_PUBLIC_KEY_INDEX_2)
        return ESP_ERR_INVALID_ARG;
    return esp_context.start.trusted_count < 2 ? ESP_FAIL : ESP_ERR_NOT_SUPPORTED;
}
