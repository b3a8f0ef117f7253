#include "esp/esp.h"

#include <string.h>

static bool fits(const esp_partition_t *p, esp_partition_type_t type, esp_partition_subtype_t subtype,
                 const char *label)
{
    return (type == ESP_PARTITION_TYPE_ANY || p->type == type) &&
           (subtype == ESP_PARTITION_SUBTYPE_ANY || p->subtype == subtype) &&
           (label == NULL || strcmp(label, p->label) == 0);
}

const esp_partition_t *esp_partition_find_first(esp_partition_type_t type, esp_partition_subtype_t subtype,
                                                const char *label)
{
    if (type == ESP_PARTITION_TYPE_ANY && subtype != ESP_PARTITION_SUBTYPE_ANY)
        return NULL;
    for (unsigned i = 0; i < esp_context.table.count; i++)
        if (fits(&esp_context.partitions[i], type, subtype, label))
            return &esp_context.partitions[i];
    return NULL;
}

const esp_partition_t *esp_partition_verify(const esp_partition_t *p)
{
    for (unsigned i = 0; p != NULL && i < esp_context.table.count; i++) {
        const esp_partition_t *ours = &esp_context.partitions[i];
        if (fits(ours, p->type, p->subtype, p->label) && ours->address == p->address && ours->size == p->size &&
            ours->encrypted == p->encrypted)
            return ours;
    }
    return NULL;
}

static esp_err_t check(const esp_partition_t *p, size_t offset, const void *data, size_t size)
{
    if (p == NULL || (data == NULL && size > 0) || offset > p->size)
        return ESP_ERR_INVALID_ARG;
    return size > p->size - offset ? ESP_ERR_INVALID_SIZE : ESP_OK;
}

esp_err_t esp_partition_read(const esp_partition_t *partition, size_t src_offset, void *dst, size_t size)
{
    esp_err_t err = check(partition, src_offset, dst, size);
    return err ? err : esp_err_of(stretch_read(esp_stretch(partition), (uint32_t)src_offset, dst, size, NULL));
}

esp_err_t esp_partition_write(const esp_partition_t *partition, size_t dst_offset, const void *src, size_t size)
{
    if (partition != NULL && partition->readonly)
        return ESP_ERR_NOT_ALLOWED;
    esp_err_t err = check(partition, dst_offset, src, size);
    return err ? err
               : esp_err_of(stretch_program(esp_stretch(partition), (uint32_t)dst_offset, bytes_of(src, size), NULL));
}

esp_err_t esp_partition_erase_range(const esp_partition_t *partition, size_t offset, size_t size)
{
    if (partition != NULL && partition->readonly)
        return ESP_ERR_NOT_ALLOWED;
    if (partition == NULL || offset > partition->size || offset % FLASH_SECTOR_BYTES != 0)
        return ESP_ERR_INVALID_ARG;
    if (size > partition->size - offset || size % FLASH_SECTOR_BYTES != 0)
        return ESP_ERR_INVALID_SIZE;
    return esp_err_of(stretch_erase(esp_stretch(partition), (uint32_t)offset, (uint32_t)size, NULL));
}
