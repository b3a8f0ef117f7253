/*
 * esp_ota_ops.h - ESP-IDF's OTA operations (ESP-IDF 5.5, with the functions that came in 6.x).
 *
 * An update: begin, write in order, end (which verifies), set_boot_partition, restart.  With rollback the new image has
 * one boot to call esp_ota_mark_app_valid_cancel_rollback(); a reset before that brings the old one back.
 */
#ifndef PLUVIO_ESP_ESP_OTA_OPS_H
#define PLUVIO_ESP_ESP_OTA_OPS_H

#include "esp_app_desc.h"
#include "esp_app_format.h"
#include "esp_bootloader_desc.h"
#include "esp_flash_partitions.h"
#include "esp_err.h"
#include "esp_partition.h"
/* Applications count on esp_restart() coming with this header. */
#include "esp_system.h"

#define OTA_SIZE_UNKNOWN           0xffffffff /* erase the whole partition */
#define OTA_WITH_SEQUENTIAL_WRITES 0xfffffffe /* erase sector by sector, as writes reach them */

#define ESP_ERR_OTA_BASE                   0x1500
#define ESP_ERR_OTA_PARTITION_CONFLICT     (ESP_ERR_OTA_BASE + 0x01) /* the running partition */
#define ESP_ERR_OTA_SELECT_INFO_INVALID    (ESP_ERR_OTA_BASE + 0x02)
#define ESP_ERR_OTA_VALIDATE_FAILED        (ESP_ERR_OTA_BASE + 0x03)
#define ESP_ERR_OTA_SMALL_SEC_VER          (ESP_ERR_OTA_BASE + 0x04)
#define ESP_ERR_OTA_ROLLBACK_FAILED        (ESP_ERR_OTA_BASE + 0x05) /* nothing to roll back to */
#define ESP_ERR_OTA_ROLLBACK_INVALID_STATE (ESP_ERR_OTA_BASE + 0x06) /* the running app is not confirmed */
#define ESP_ERR_OTA_ALREADY_IN_PROGRESS    (ESP_ERR_OTA_BASE + 0x07)
#define ESP_ERR_OTA_SPI_MODE_MISMATCH      (ESP_ERR_OTA_BASE + 0x08)

typedef uint32_t esp_ota_handle_t;

typedef enum {
    SECURE_BOOT_PUBLIC_KEY_INDEX_0,
    SECURE_BOOT_PUBLIC_KEY_INDEX_1,
    SECURE_BOOT_PUBLIC_KEY_INDEX_2
} esp_ota_secure_boot_public_key_index_t;

#ifdef __cplusplus
extern "C" {
#endif

/* Opens an update of a partition other than the running one and erases it as `image_size` says (bytes, 0 or one of the
 * two values above).  INVALID_ARG, NOT_FOUND, NO_MEM, INVALID_SIZE, OTA_PARTITION_CONFLICT,
 * OTA_ROLLBACK_INVALID_STATE, OTA_ALREADY_IN_PROGRESS, FLASH_OP_FAIL (the handle is then open). */
esp_err_t esp_ota_begin(const esp_partition_t *partition, size_t image_size, esp_ota_handle_t *out_handle);
/* Goes on at `image_offset` bytes with what was written before; `erase_size` OTA_WITH_SEQUENTIAL_WRITES erases from the
 * next sector on. */
esp_err_t esp_ota_resume(const esp_partition_t *partition, const size_t erase_size, const size_t image_offset,
                         esp_ota_handle_t *out_handle);
/* Before the first write: the image is meant for `final`, and copied there at the end when `finalize_with_copy`. */
esp_err_t esp_ota_set_final_partition(esp_ota_handle_t handle, const esp_partition_t *final, bool finalize_with_copy);
/* Appends.  OTA_VALIDATE_FAILED when the first byte is no image's, INVALID_SIZE past the end. */
esp_err_t esp_ota_write(esp_ota_handle_t handle, const void *data, size_t size);
/* Anywhere in an area that begin has erased; in sequential mode a panic. */
esp_err_t esp_ota_write_with_offset(esp_ota_handle_t handle, const void *data, size_t size, uint32_t offset);
/* Verifies what was written and closes the update in every case; does not select it. */
esp_err_t esp_ota_end(esp_ota_handle_t handle);
esp_err_t esp_ota_abort(esp_ota_handle_t handle);

/* Selects the partition for the next boot after verifying it; factory erases otadata. */
esp_err_t esp_ota_set_boot_partition(const esp_partition_t *partition);
esp_err_t esp_ota_set_boot_partition_skip_validate(const esp_partition_t *partition);
/* What is selected, which another one may run in place of; NULL without otadata. */
const esp_partition_t *esp_ota_get_boot_partition(void);
const esp_partition_t *esp_ota_get_running_partition(void);
/* The slot after `start_from` (NULL: the running one) in turn; the running one when there is only one slot. */
const esp_partition_t *esp_ota_get_next_update_partition(const esp_partition_t *start_from);
esp_err_t esp_ota_get_partition_description(const esp_partition_t *partition, esp_app_desc_t *app_desc);
/* NULL: the primary bootloader. */
esp_err_t esp_ota_get_bootloader_description(const esp_partition_t *bootloader_partition, esp_bootloader_desc_t *desc);
/* Slots in a row from ota_0. */
uint8_t esp_ota_get_app_partition_count(void);
/* Confirms the active image.  FAIL when none is selected (factory runs), NOT_FOUND without otadata. */
esp_err_t esp_ota_mark_app_valid_cancel_rollback(void);
/* OTA_ROLLBACK_FAILED when there is nothing to go back to. */
esp_err_t esp_ota_mark_app_invalid_rollback(void);
esp_err_t esp_ota_mark_app_invalid_rollback_and_reboot(void);
bool esp_ota_check_rollback_is_possible(void);
const esp_partition_t *esp_ota_get_last_invalid_partition(void);
esp_err_t esp_ota_get_state_partition(const esp_partition_t *partition, esp_ota_img_states_t *ota_state);
/* Erases the application that the inactive record names, and the record. */
esp_err_t esp_ota_erase_last_boot_app_partition(void);
esp_err_t esp_ota_invalidate_inactive_ota_data_slot(void);
/* Chip and, for applications with a descriptor, flash mode.  INVALID_VERSION, OTA_SPI_MODE_MISMATCH. */
esp_err_t esp_ota_check_image_validity(esp_partition_type_t part_type, const esp_image_header_t *img_hdr,
                                       const esp_app_desc_t *app_desc);
esp_err_t esp_ota_revoke_secure_boot_public_key(esp_ota_secure_boot_public_key_index_t index);

#ifdef __cplusplus
}
#endif

#endif
