#include "esp/esp.h"

#include "base/text.h"
#include "esp/include/esp_log.h"
#include "esp/include/esp_timer.h"
#include "image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EFUSE_FIELD_DEFAULT 32 /* bits, on chips whose field is not known */

struct esp esp_context; /* the one named context of this room, see esp.h */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_lock(void)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&esp_context.lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
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

static void find_partitions(struct esp *e)
{
    e->running = NULL;
    e->count = e->table.count;
    for (unsigned i = 0; i < e->count; i++) {
        make_partition(&e->partitions[i], &e->table.entries[i]);
        if (e->partitions[i].type == ESP_PARTITION_TYPE_APP && e->partitions[i].address == e->start.slot)
            e->running = &e->partitions[i];
    }
}

int esp_running_slot(void)
{
    unsigned subtype = esp_context.running->subtype;
    return subtype >= ESP_PARTITION_SUBTYPE_APP_OTA_MIN && subtype < ESP_PARTITION_SUBTYPE_APP_OTA_MAX
               ? (int)(subtype - ESP_PARTITION_SUBTYPE_APP_OTA_MIN)
               : BOOT_FACTORY;
}

/* What a bootloader without our seals may have taken for good, and what a cut left half. */
static void mend_otadata(struct esp *e)
{
    struct otadata o;
    unsigned mended = 0;
    if (otadata_open(&o, OTADATA_SEALED, e->start.flash, &e->table, NULL) == ERR_NONE)
        otadata_mend(&o, esp_running_slot(), e->start.options->has_rollback, &mended, NULL);
    if (mended > 0)
        ESP_LOGW("esp_ota_ops", "%u spoilt otadata %s mended", mended, mended == 1 ? "record" : "records");
}

enum err esp_context_start(const struct esp_start *start, struct why *why)
{
    struct esp *e = &esp_context;
    uint8_t raw[PARTITION_TABLE_BYTES];
    pthread_once(&once, make_lock);
    esp_ota_forget_sessions();
    esp_nvs_forget();
    esp_log_start(start->options->log_level);
    e->start = *start;
    enum err err = start->flash->ops->read(start->flash, PARTITION_TABLE_AT, raw, sizeof raw, why);
    if (err == ERR_NONE)
        err = partition_table_read(&e->table, bytes_of(raw, sizeof raw), start->flash->size_bytes, why);
    if (err != ERR_NONE)
        return err;
    find_partitions(e);
    if (e->running == NULL)
        return why_set(why, ERR_NOT_FOUND, "no application partition begins at 0x%x", (unsigned)start->slot);
    mend_otadata(e);
    return stretch_read(esp_stretch(e->running), APP_DESC_OFFSET, &e->app_desc, sizeof e->app_desc, why);
}

struct stretch esp_stretch(const esp_partition_t *partition)
{
    return (struct stretch){esp_context.start.flash, partition->address, partition->size};
}

struct slot_rules esp_slot_rules(void)
{
    const struct esp_start *s = &esp_context.start;
    struct slot_rules rules = {.chip = s->chip,
                               .chip_revision = IMAGE_REVISION_UNKNOWN,
                               .efuse_revision = IMAGE_REVISION_UNKNOWN,
                               .needs_signature = s->trusted_count > 0 || s->options->is_signed_on_update,
                               .trusted_count = s->trusted_count};
    memcpy(rules.trusted, s->trusted, sizeof rules.trusted);
    if (s->chip->id == 0 || s->trusted_count == 0)
        rules.blocks = 1;
    if (s->trusted_count == 0 && rules.needs_signature) {
        struct image_facts facts;
        struct slot_rules plain = {
            .chip = s->chip, .chip_revision = IMAGE_REVISION_UNKNOWN, .efuse_revision = IMAGE_REVISION_UNKNOWN};
        if (slot_verify(esp_stretch(esp_context.running), &plain, &facts, NULL) == ERR_NONE)
            rules.trusted_count = slot_signers(esp_stretch(esp_context.running), &facts, rules.trusted, 1);
    }
    return rules;
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

void esp_end(int status)
{
    fflush(stdout);
    fflush(stderr);
    _exit(status);
}

/* --- memory ----------------------------------------------------------------------------------- */

#define REST_US 500000 /* after the last touch, roughly */

static esp_timer_handle_t rest_timer; /* part of the context */

static void rest(void *arg)
{
    flash_file_rest(arg);
}

/* A node that is idle keeps no pages of its flash.  The timer may run already; then it comes soon enough. */
static void rest_later(struct flash_file *f)
{
    (void)f;
    esp_timer_start_once(rest_timer, REST_US);
}

/* --- what vesp hands over --------------------------------------------------------------------- */

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

static void take_trusted(struct esp_start *s)
{
    const char *text = getenv("VESP_TRUSTED");
    while (text != NULL && s->trusted_count < SIGNATURE_BLOCKS_MAX && strlen(text) >= 2 * SHA256_LEN) {
        for (unsigned i = 0; i < SHA256_LEN; i++) {
            unsigned byte = 0;
            sscanf(text + 2 * i, "%2x", &byte);
            s->trusted[s->trusted_count].bytes[i] = (uint8_t)byte;
        }
        s->trusted_count++;
        text += 2 * SHA256_LEN;
        text += *text == ',';
    }
}

static void take_efuse(struct esp *e, struct esp_start *s)
{
    const char *text = getenv("VESP_EFUSE_FD");
    if (text == NULL || flash_file_init(&e->efuse_file, (int)strtol(text, NULL, 10), NULL) != ERR_NONE)
        return;
    unsigned bits = s->chip->secure_versions ? s->chip->secure_versions : EFUSE_FIELD_DEFAULT;
    s->efuse = (struct efuse){{&e->efuse_file.flash, 0, FLASH_SECTOR_BYTES}, bits};
}

void esp_context_open(const struct esp_options *options)
{
    struct esp *e = &esp_context;
    struct why why = {{0}};
    const char *speed = getenv("VESP_FLASH_SPEED"), *chip = getenv("VESP_CHIP"), *control = getenv("VESP_CONTROL_FD");
    struct esp_start s = {.flash = &e->file.flash, .options = options, .crt_bundle = getenv("VESP_CRT_BUNDLE")};
    if (flash_file_init(&e->file, (int)variable("VESP_FLASH_FD"), &why) != ERR_NONE)
        give_up(why.text);
    esp_timer_create_args_t timer = {.callback = rest, .arg = &e->file, .name = "flash"};
    if (esp_timer_create(&timer, &rest_timer) == ESP_OK)
        e->file.on_touch = rest_later;
    e->file.is_slow = speed != NULL && strcmp(speed, "real") == 0;
    if (control != NULL)
        e->file.control = flash_control_map((int)strtol(control, NULL, 10));
    s.slot = (uint32_t)variable("VESP_SLOT");
    s.reset_reason = (esp_reset_reason_t)variable("VESP_RESET");
    s.chip = chip ? chip_find_name(chip) : chip_find(CHIP_LINUX);
    if (s.chip == NULL)
        give_up("VESP_CHIP");
    take_efuse(e, &s);
    take_trusted(&s);
    if (esp_context_start(&s, &why) != ERR_NONE)
        give_up(why.text);
}
