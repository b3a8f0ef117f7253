/* ESP-IDF's image verifier and partition table verifier over rooms image and flash. */
#include "esp/include/esp_image_format.h"

#include "esp/esp.h"
#include "esp/include/esp_log.h"

#include <string.h>

static const char *const tag = "esp_image";

_Static_assert(sizeof(esp_image_header_t) == 24 && sizeof(esp_image_metadata_t) == 264, "as ESP-IDF's");
_Static_assert(sizeof(esp_partition_info_t) == 32 && sizeof(esp_ota_select_entry_t) == 32, "as ESP-IDF's");

static uint32_t bootloader_offset = UINT32_MAX; /* part of this room's context; UINT32_MAX: the chip's own */

uint32_t esp_image_bootloader_offset_get(void)
{
    return bootloader_offset == UINT32_MAX ? esp_context.start.chip->bootloader_offset : bootloader_offset;
}

void esp_image_bootloader_offset_set(const uint32_t offset)
{
    bootloader_offset = offset;
}

static void fill_metadata(esp_image_metadata_t *m, const struct image_facts *f, uint32_t at)
{
    uint64_t len = image_signed_len(f);
    m->start_addr = at;
    for (unsigned i = 0; i < f->segments_read && i < ESP_IMAGE_MAX_SEGMENTS; i++) {
        m->segments[i] = (esp_image_segment_header_t){f->segments[i].address, f->segments[i].len};
        m->segment_data[i] = at + f->segments[i].at;
    }
    m->image_len = (uint32_t)(esp_slot_rules().needs_signature ? len : f->image_len);
    memcpy(m->image_digest, f->digest, sizeof m->image_digest);
    m->secure_version = f->app.secure_version;
    m->mmu_page_size = f->app.mmu_page_log2 ? UINT32_C(1) << f->app.mmu_page_log2 : 0;
}

static esp_err_t code_of(enum err err)
{
    switch (err) {
    case ERR_NONE:
        return ESP_OK;
    case ERR_FLASH:
        return ESP_ERR_IMAGE_FLASH_FAIL;
    case ERR_IMAGE_CHIP:
    case ERR_IMAGE_REVISION:
    case ERR_IMAGE_EFUSE_REVISION:
    case ERR_IMAGE_SECURE_VERSION:
        return ESP_FAIL;
    default:
        return ESP_ERR_IMAGE_INVALID;
    }
}

static esp_err_t read_metadata(const esp_partition_pos_t *part, struct slot_rules rules, bool is_silent,
                               esp_image_metadata_t *data)
{
    struct image_facts facts;
    struct why why = {{0}};
    if (part == NULL || data == NULL)
        return ESP_ERR_INVALID_ARG;
    if (part->size > 16 * 1024 * 1024 && !rules.chip->takes_large_slots && rules.chip->id != CHIP_LINUX)
        return ESP_ERR_INVALID_ARG;
    memset(data, 0, sizeof *data);
    struct stretch s = {esp_context.start.flash, part->offset, part->size};
    esp_err_t err = code_of(slot_verify_any(s, &rules, &facts, &why));
    if (err == ESP_OK && stretch_read(s, 0, &data->image, sizeof data->image, NULL) != ERR_NONE)
        err = ESP_ERR_IMAGE_FLASH_FAIL;
    if (err == ESP_OK)
        fill_metadata(data, &facts, part->offset);
    else if (!is_silent)
        ESP_LOGE(tag, "%s", why.text);
    return err;
}

esp_err_t esp_image_verify(esp_image_load_mode_t mode, const esp_partition_pos_t *part, esp_image_metadata_t *data)
{
    return read_metadata(part, esp_slot_rules(), mode == ESP_IMAGE_VERIFY_SILENT, data);
}

/* Headers alone: the walk over the segments that the verifier does first. */
esp_err_t esp_image_get_metadata(const esp_partition_pos_t *part, esp_image_metadata_t *m)
{
    uint32_t at = sizeof m->image;
    if (part == NULL || m == NULL)
        return ESP_ERR_INVALID_ARG;
    memset(m, 0, sizeof *m);
    struct stretch s = {esp_context.start.flash, part->offset, part->size};
    if (stretch_read(s, 0, &m->image, sizeof m->image, NULL) != ERR_NONE)
        return ESP_ERR_IMAGE_FLASH_FAIL;
    bool is_good = m->image.magic == ESP_IMAGE_HEADER_MAGIC && m->image.segment_count <= ESP_IMAGE_MAX_SEGMENTS;
    for (unsigned i = 0; is_good && i < m->image.segment_count; i++) {
        is_good = stretch_read(s, at, &m->segments[i], sizeof m->segments[i], NULL) == ERR_NONE &&
                  m->segments[i].data_len % 4 == 0 && m->segments[i].data_len < 0x1000000;
        m->segment_data[i] = part->offset + at + (uint32_t)sizeof m->segments[i];
        at += (uint32_t)sizeof m->segments[i] + m->segments[i].data_len;
    }
    if (!is_good) {
        memset(m, 0, sizeof *m);
        return ESP_ERR_IMAGE_INVALID;
    }
    m->start_addr = part->offset;
    m->image_len = ((at + 16) & ~15u) + (m->image.hash_appended ? ESP_IMAGE_HASH_LEN : 0);
    if (m->image.hash_appended)
        stretch_read(s, m->image_len - ESP_IMAGE_HASH_LEN, m->image_digest, ESP_IMAGE_HASH_LEN, NULL);
    return ESP_OK;
}

int esp_image_get_flash_size(esp_image_flash_size_t size)
{
    return (unsigned)size < ESP_IMAGE_FLASH_SIZE_MAX ? 0x100000 << size : 0;
}

esp_err_t esp_partition_table_verify(const esp_partition_info_t *partition_table, bool log_errors, int *num_partitions)
{
    struct partition_table table;
    struct why why = {{0}};
    if (partition_table == NULL || num_partitions == NULL)
        return ESP_ERR_INVALID_ARG;
    *num_partitions = 0;
    struct bytes raw = bytes_of((const uint8_t *)partition_table, ESP_PARTITION_TABLE_MAX_LEN);
    enum err err = partition_table_read(&table, raw, 0, &why);
    if (err == ERR_NONE) {
        for (unsigned i = 0; i < table.count; i++) {
            const struct partition *p = &table.entries[i];
            uint32_t flash = esp_context.start.flash->size_bytes;
            if (p->at > flash || p->size_bytes > flash - p->at)
                return ESP_ERR_INVALID_SIZE;
        }
        *num_partitions = (int)table.count;
        return ESP_OK;
    }
    if (log_errors)
        ESP_LOGE(tag, "%s", why.text);
    return ESP_ERR_INVALID_STATE;
}
