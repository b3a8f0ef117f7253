#include "esp/esp.h"

#include "image/image.h"

#include <stdlib.h>
#include <string.h>

struct esp esp_context; /* the one named context of this room, see esp.h */

static void give_up(const char *what)
{
    fprintf(stderr,
            "This program is firmware for a virtual node: pack it with `pluvio image pack` and start it with `vesp "
            "run` (%s)\n",
            what);
    exit(64);
}

static long variable(const char *name)
{
    const char *text = getenv(name);
    if (text == NULL)
        give_up(name);
    return strtol(text, NULL, 0);
}

static void make_partition(esp_partition_t *to, const struct partition *from)
{
    *to = (esp_partition_t){
        .type = (esp_partition_type_t)from->type,
        .subtype = (esp_partition_subtype_t)from->subtype,
        .address = from->at,
        .size = from->size_bytes,
        .erase_size = FLASH_SECTOR_BYTES,
        .encrypted = from->flags & PARTITION_FLAG_ENCRYPTED,
        .readonly = from->flags & PARTITION_FLAG_READONLY,
    };
    memcpy(to->label, from->label, sizeof to->label);
}

void esp_context_open(void)
{
    struct esp *e = &esp_context;
    struct why why = {{0}};
    uint8_t raw[PARTITION_TABLE_BYTES];
    const char *speed = getenv("VESP_FLASH_SPEED");
    long slot;
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&e->lock, &recursive);
    if (flash_file_init(&e->flash, (int)variable("VESP_FLASH_FD"), speed && strcmp(speed, "real") == 0, &why) !=
            ERR_NONE ||
        e->flash.flash.ops->read(&e->flash.flash, PARTITION_TABLE_AT, raw, sizeof raw, &why) != ERR_NONE ||
        partition_table_read(&e->table, bytes_of(raw, sizeof raw), e->flash.flash.size_bytes, &why) != ERR_NONE)
        give_up(why.text);
    slot = variable("VESP_SLOT");
    e->reset_reason = (esp_reset_reason_t)variable("VESP_RESET");
    e->crt_bundle = getenv("VESP_CRT_BUNDLE");
    for (unsigned i = 0; i < e->table.count; i++) {
        make_partition(&e->partitions[i], &e->table.entries[i]);
        if (e->partitions[i].type == ESP_PARTITION_TYPE_APP && e->partitions[i].address == (uint32_t)slot)
            e->running = &e->partitions[i];
    }
    if (e->running == NULL ||
        stretch_read(esp_stretch(e->running), APP_DESC_OFFSET, &e->app_desc, sizeof e->app_desc, &why) != ERR_NONE)
        give_up("VESP_SLOT names no slot");
}

struct stretch esp_stretch(const esp_partition_t *partition)
{
    return (struct stretch){&esp_context.flash.flash, partition->address, partition->size};
}

esp_err_t esp_err_of(enum err err)
{
    switch (err) {
    case ERR_NONE:
        return ESP_OK;
    case ERR_NO_MEMORY:
        return ESP_ERR_NO_MEM;
    case ERR_NOT_FOUND:
        return ESP_ERR_NOT_FOUND;
    case ERR_TOO_BIG:
        return ESP_ERR_INVALID_SIZE;
    case ERR_USAGE:
        return ESP_ERR_INVALID_ARG;
    case ERR_FLASH:
        return 0x6001 /* ESP_ERR_FLASH_OP_FAIL */;
    default:
        return ESP_FAIL;
    }
}
