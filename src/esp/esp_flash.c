/* The main flash by addresses, and what firmware asks about flash and boot. */
#include "esp/include/esp_flash.h"

#include "codec/crc.h"
#include "esp/esp.h"
#include "esp/include/esp_flash_encrypt.h"
#include "esp/include/esp_rom_crc.h"
#include "esp/include/esp_secure_boot.h"

esp_flash_t *esp_flash_default_chip; /* NULL: there is one chip */

static struct stretch whole(void)
{
    return (struct stretch){esp_context.start.flash, 0, esp_context.start.flash->size_bytes};
}

/* Writing under a partition's feet: what was verified there counts no longer. */
static void note_write(uint32_t address, uint32_t length)
{
    esp_ota_note_write(&(esp_partition_t){.address = address, .size = length});
}

esp_err_t esp_flash_get_size(esp_flash_t *chip, uint32_t *out_size)
{
    (void)chip;
    if (out_size == NULL)
        return ESP_ERR_INVALID_ARG;
    *out_size = whole().size_bytes;
    return ESP_OK;
}

esp_err_t esp_flash_get_physical_size(esp_flash_t *chip, uint32_t *flash_size)
{
    return esp_flash_get_size(chip, flash_size);
}

esp_err_t esp_flash_read(esp_flash_t *chip, void *buffer, uint32_t address, uint32_t length)
{
    (void)chip;
    return buffer ? esp_err_of(stretch_read(whole(), address, buffer, length, NULL)) : ESP_ERR_INVALID_ARG;
}

esp_err_t esp_flash_write(esp_flash_t *chip, const void *buffer, uint32_t address, uint32_t length)
{
    (void)chip;
    if (buffer == NULL)
        return ESP_ERR_INVALID_ARG;
    note_write(address, length);
    return esp_err_of(stretch_program(whole(), address, bytes_of(buffer, length), NULL));
}

esp_err_t esp_flash_erase_region(esp_flash_t *chip, uint32_t start, uint32_t len)
{
    (void)chip;
    if (start % FLASH_SECTOR_BYTES != 0 || len % FLASH_SECTOR_BYTES != 0)
        return ESP_ERR_INVALID_ARG;
    note_write(start, len);
    return esp_err_of(stretch_erase(whole(), start, len, NULL));
}

bool esp_flash_encryption_enabled(void)
{
    return false;
}

bool esp_secure_boot_enabled(void)
{
    return esp_context.start.trusted_count > 0;
}

uint32_t esp_rom_crc32_le(uint32_t crc, uint8_t const *buf, uint32_t len)
{
    return crc32_of(crc, bytes_of(buf, len));
}
