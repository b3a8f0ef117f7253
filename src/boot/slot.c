#include "boot/slot.h"

enum err slot_verify(struct stretch slot, uint16_t chip_id, struct image_facts *facts, struct why *why)
{
    struct image_reader reader;
    uint8_t chunk[FLASH_SECTOR_BYTES];
    enum err err = ERR_NONE;
    image_reader_init(&reader, 0);
    for (uint32_t at = 0; err == ERR_NONE && at < slot.size_bytes && !image_reader_is_done(&reader);
         at += sizeof chunk) {
        uint32_t len = slot.size_bytes - at < sizeof chunk ? slot.size_bytes - at : (uint32_t)sizeof chunk;
        err = stretch_read(slot, at, chunk, len, why);
        if (err == ERR_NONE)
            image_reader_push(&reader, bytes_of(chunk, len));
    }
    enum err verdict = image_reader_finish(&reader, facts, err ? NULL : why);
    if (err == ERR_NONE)
        err = verdict;
    if (err == ERR_NONE && facts->kind != IMAGE_APP)
        err = image_check_update(facts, why);
    struct image_target here = {.chip = chip_find(chip_id),
                                .chip_revision = IMAGE_REVISION_UNKNOWN,
                                .efuse_revision = IMAGE_REVISION_UNKNOWN,
                                .slot_at = slot.at,
                                .slot_bytes = slot.size_bytes};
    return err == ERR_NONE ? image_check_target(facts, &here, why) : err;
}
