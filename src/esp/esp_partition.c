/* ESP-IDF's partitions over the node's flash. */
#include "esp/esp.h"

#include "crypto/digest.h"

#include <stdlib.h>
#include <string.h>

struct esp_flash_t {
    char unused;
};

struct esp_partition_iterator_opaque_ {
    esp_partition_type_t type;
    esp_partition_subtype_t subtype;
    char label[17];
    bool has_label;
    unsigned at; /* index of the partition it is on */
};

static bool fits(const esp_partition_t *p, esp_partition_type_t type, esp_partition_subtype_t subtype,
                 const char *label)
{
    return (type == ESP_PARTITION_TYPE_ANY || p->type == type) &&
           (subtype == ESP_PARTITION_SUBTYPE_ANY || p->subtype == subtype) &&
           (label == NULL || strcmp(label, p->label) == 0);
}

static bool is_gone(const esp_partition_t *p)
{
    return p->size == 0; /* deregistered: its place is free */
}

static bool is_wrong_question(esp_partition_type_t type, esp_partition_subtype_t subtype)
{
    return type == ESP_PARTITION_TYPE_ANY && subtype != ESP_PARTITION_SUBTYPE_ANY;
}

/* --- finding ---------------------------------------------------------------------------------- */

static unsigned next_match(unsigned from, esp_partition_type_t type, esp_partition_subtype_t subtype, const char *label)
{
    const struct esp *e = &esp_context;
    while (from < e->count && (is_gone(&e->partitions[from]) || !fits(&e->partitions[from], type, subtype, label)))
        from++;
    return from;
}

esp_err_t esp_partition_find_first_err(esp_partition_type_t type, esp_partition_subtype_t subtype, const char *label,
                                       const esp_partition_t **partition)
{
    if (partition == NULL)
        return ESP_ERR_INVALID_ARG;
    *partition = NULL;
    if (is_wrong_question(type, subtype))
        return ESP_ERR_INVALID_ARG;
    unsigned at = next_match(0, type, subtype, label);
    if (at == esp_context.count)
        return ESP_ERR_NOT_FOUND;
    *partition = &esp_context.partitions[at];
    return ESP_OK;
}

const esp_partition_t *esp_partition_find_first(esp_partition_type_t type, esp_partition_subtype_t subtype,
                                                const char *label)
{
    const esp_partition_t *p = NULL;
    esp_partition_find_first_err(type, subtype, label, &p);
    return p;
}

esp_err_t esp_partition_find_err(esp_partition_type_t type, esp_partition_subtype_t subtype, const char *label,
                                 esp_partition_iterator_t *iterator)
{
    if (iterator == NULL)
        return ESP_ERR_INVALID_ARG;
    *iterator = NULL;
    if (is_wrong_question(type, subtype))
        return ESP_ERR_INVALID_ARG;
    unsigned at = next_match(0, type, subtype, label);
    if (at == esp_context.count)
        return ESP_ERR_NOT_FOUND;
    struct esp_partition_iterator_opaque_ *it = calloc(1, sizeof *it);
    if (it == NULL)
        return ESP_ERR_NO_MEM;
    *it = (struct esp_partition_iterator_opaque_){.type = type, .subtype = subtype, .at = at};
    if (label != NULL) {
        it->has_label = true;
        snprintf(it->label, sizeof it->label, "%s", label);
    }
    *iterator = it;
    return ESP_OK;
}

esp_partition_iterator_t esp_partition_find(esp_partition_type_t type, esp_partition_subtype_t subtype,
                                            const char *label)
{
    esp_partition_iterator_t it = NULL;
    esp_partition_find_err(type, subtype, label, &it);
    return it;
}

const esp_partition_t *esp_partition_get(esp_partition_iterator_t iterator)
{
    return iterator ? &esp_context.partitions[iterator->at] : NULL;
}

esp_partition_iterator_t esp_partition_next(esp_partition_iterator_t it)
{
    if (it == NULL)
        return NULL;
    it->at = next_match(it->at + 1, it->type, it->subtype, it->has_label ? it->label : NULL);
    if (it->at < esp_context.count)
        return it;
    free(it);
    return NULL;
}

void esp_partition_iterator_release(esp_partition_iterator_t iterator)
{
    free(iterator);
}

esp_err_t esp_partition_verify_err(const esp_partition_t *p, const esp_partition_t **canonical)
{
    if (p == NULL || canonical == NULL)
        return ESP_ERR_INVALID_ARG;
    for (unsigned i = 0; i < esp_context.count; i++) {
        const esp_partition_t *ours = &esp_context.partitions[i];
        if (!is_gone(ours) && fits(ours, p->type, p->subtype, p->label) && ours->flash_chip == p->flash_chip &&
            ours->address == p->address && ours->size == p->size && ours->encrypted == p->encrypted) {
            *canonical = ours;
            return ESP_OK;
        }
    }
    return ESP_ERR_NOT_FOUND;
}

const esp_partition_t *esp_partition_verify(const esp_partition_t *p)
{
    const esp_partition_t *canonical = NULL;
    return esp_partition_verify_err(p, &canonical) == ESP_OK ? canonical : NULL;
}

/* --- bytes ------------------------------------------------------------------------------------ */

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
    if (err == ESP_OK)
        esp_ota_note_write(partition);
    return err ? err
               : esp_err_of(stretch_program(esp_stretch(partition), (uint32_t)dst_offset, bytes_of(src, size), NULL));
}

/* No flash here is encrypted. */
esp_err_t esp_partition_read_raw(const esp_partition_t *partition, size_t src_offset, void *dst, size_t size)
{
    return esp_partition_read(partition, src_offset, dst, size);
}

esp_err_t esp_partition_write_raw(const esp_partition_t *partition, size_t dst_offset, const void *src, size_t size)
{
    return esp_partition_write(partition, dst_offset, src, size);
}

esp_err_t esp_partition_erase_range(const esp_partition_t *partition, size_t offset, size_t size)
{
    if (partition != NULL && partition->readonly)
        return ESP_ERR_NOT_ALLOWED;
    if (partition == NULL || offset > partition->size || offset % FLASH_SECTOR_BYTES != 0)
        return ESP_ERR_INVALID_ARG;
    if (size > partition->size - offset || size % FLASH_SECTOR_BYTES != 0)
        return ESP_ERR_INVALID_SIZE;
    esp_ota_note_write(partition);
    return esp_err_of(stretch_erase(esp_stretch(partition), (uint32_t)offset, (uint32_t)size, NULL));
}

/* What goes from a sector on to the end of the destination is erased, then written piece by piece. */
esp_err_t esp_partition_copy(const esp_partition_t *to, uint32_t to_at, const esp_partition_t *from, uint32_t from_at,
                             size_t size)
{
    uint8_t chunk[1024];
    if (to == NULL || from == NULL || to == from || to_at > to->size || from_at > from->size)
        return ESP_ERR_INVALID_ARG;
    bool is_rest = size == SIZE_MAX;
    if (is_rest)
        size = from->size - from_at;
    if (size > from->size - from_at || size > to->size - to_at)
        return ESP_ERR_INVALID_SIZE;
    size_t erased = is_rest ? to->size - to_at : (size + FLASH_SECTOR_BYTES - 1) & ~(size_t)(FLASH_SECTOR_BYTES - 1);
    esp_err_t err = esp_partition_erase_range(to, to_at, erased);
    for (size_t done = 0; err == ESP_OK && done < size;) {
        size_t n = size - done < sizeof chunk ? size - done : sizeof chunk;
        err = esp_partition_read(from, from_at + done, chunk, n);
        if (err == ESP_OK)
            err = esp_partition_write(to, to_at + done, chunk, n);
        done += n;
    }
    return err;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* The flash file is in memory as it is. */
esp_err_t esp_partition_mmap(const esp_partition_t *p, size_t offset, size_t size, esp_partition_mmap_memory_t memory,
                             const void **out_ptr, esp_partition_mmap_handle_t *out_handle)
{
    (void)memory;
    if (p == NULL || out_ptr == NULL || out_handle == NULL || offset > p->size)
        return ESP_ERR_INVALID_ARG;
    if (size > p->size - offset)
        return ESP_ERR_INVALID_SIZE;
    if (esp_context.start.flash != &esp_context.file.flash)
        return ESP_ERR_NOT_SUPPORTED;
    *out_ptr = esp_context.file.bytes + p->address + offset;
    *out_handle = 1;
    return ESP_OK;
}

void esp_partition_munmap(esp_partition_mmap_handle_t handle)
{
    (void)handle;
}

/* --- identity --------------------------------------------------------------------------------- */

static esp_err_t hash_bytes(const esp_partition_t *p, uint64_t len, uint8_t *to)
{
    struct digest d;
    uint8_t chunk[FLASH_SECTOR_BYTES];
    esp_err_t err = ESP_OK;
    digest_init(&d, DIGEST_SHA256);
    for (uint64_t at = 0; err == ESP_OK && at < len; at += sizeof chunk) {
        size_t n = len - at < sizeof chunk ? (size_t)(len - at) : sizeof chunk;
        err = esp_partition_read(p, (size_t)at, chunk, n);
        digest_update(&d, bytes_of(chunk, n));
    }
    digest_final(&d, to);
    return err;
}

esp_err_t esp_partition_get_sha256(const esp_partition_t *partition, uint8_t *sha_256)
{
    struct image_facts facts;
    struct slot_rules rules = {.chip = esp_context.start.chip,
                               .chip_revision = IMAGE_REVISION_UNKNOWN,
                               .efuse_revision = IMAGE_REVISION_UNKNOWN};
    if (partition == NULL || sha_256 == NULL)
        return ESP_ERR_INVALID_ARG;
    if (partition->type != ESP_PARTITION_TYPE_APP && partition->type != ESP_PARTITION_TYPE_BOOTLOADER)
        return hash_bytes(partition, partition->size, sha_256);
    if (slot_verify_any(esp_stretch(partition), &rules, &facts, NULL) != ERR_NONE)
        return 0x2002 /* ESP_ERR_IMAGE_INVALID */;
    if (!facts.has_digest)
        return hash_bytes(partition, facts.image_len, sha_256);
    memcpy(sha_256, facts.digest, SHA256_LEN);
    return ESP_OK;
}

bool esp_partition_check_identity(const esp_partition_t *partition_1, const esp_partition_t *partition_2)
{
    uint8_t first[SHA256_LEN], second[SHA256_LEN];
    return esp_partition_get_sha256(partition_1, first) == ESP_OK &&
           esp_partition_get_sha256(partition_2, second) == ESP_OK && memcmp(first, second, sizeof first) == 0;
}

/* --- partitions beside the table -------------------------------------------------------------- */

static bool overlaps_another(size_t at, size_t size)
{
    for (unsigned i = 0; i < esp_context.count; i++) {
        const esp_partition_t *p = &esp_context.partitions[i];
        if (!is_gone(p) && at < (size_t)p->address + p->size && p->address < at + size)
            return true;
    }
    return false;
}

static esp_partition_t *free_place(void)
{
    struct esp *e = &esp_context;
    for (unsigned i = e->table.count; i < e->count; i++)
        if (is_gone(&e->partitions[i]))
            return &e->partitions[i];
    return e->count < PARTITIONS_MAX + ESP_EXTERNAL_PARTITIONS ? &e->partitions[e->count++] : NULL;
}

esp_err_t esp_partition_register_external(esp_flash_t *flash_chip, size_t offset, size_t size, const char *label,
                                          esp_partition_type_t type, esp_partition_subtype_t subtype,
                                          const esp_partition_t **out_partition)
{
    size_t flash = esp_context.start.flash->size_bytes;
    if (out_partition != NULL)
        *out_partition = NULL;
    if (offset > flash || size > flash - offset)
        return ESP_ERR_INVALID_SIZE;
    if (size == 0 || overlaps_another(offset, size))
        return ESP_ERR_INVALID_ARG;
    esp_partition_t *p = free_place();
    if (p == NULL)
        return ESP_ERR_NO_MEM;
    *p = (esp_partition_t){.flash_chip = flash_chip,
                           .type = type,
                           .subtype = subtype,
                           .address = (uint32_t)offset,
                           .size = (uint32_t)size,
                           .erase_size = FLASH_SECTOR_BYTES};
    snprintf(p->label, sizeof p->label, "%s", label ? label : "");
    if (out_partition != NULL)
        *out_partition = p;
    return ESP_OK;
}

esp_err_t esp_partition_deregister_external(const esp_partition_t *partition)
{
    struct esp *e = &esp_context;
    for (unsigned i = 0; i < e->count; i++)
        if (partition == &e->partitions[i] && !is_gone(partition)) {
            if (i < e->table.count)
                return ESP_ERR_INVALID_ARG; /* the table's own cannot go */
            e->partitions[i].size = 0;
            return ESP_OK;
        }
    return ESP_ERR_NOT_FOUND;
}

void esp_partition_unload_all(void)
{
    esp_context.count = esp_context.table.count; /* the table itself stays: it cannot change while the node runs */
}

uint32_t esp_partition_get_main_flash_sector_size(void)
{
    return FLASH_SECTOR_BYTES;
}

/* Not over the bootloader, the table, the running partition, or read-only ones. */
bool esp_partition_is_flash_region_writable(size_t addr, size_t size)
{
    for (unsigned i = 0; i < esp_context.count; i++) {
        const esp_partition_t *p = &esp_context.partitions[i];
        if (!is_gone(p) && p->readonly && addr < (size_t)p->address + p->size && p->address < addr + size)
            return false;
    }
    return true;
}

bool esp_partition_main_flash_region_safe(size_t addr, size_t size)
{
    const esp_partition_t *r = esp_context.running;
    return addr >= PARTITION_TABLE_AT + PARTITION_SECTOR &&
           !(addr < (size_t)r->address + r->size && r->address < addr + size);
}
