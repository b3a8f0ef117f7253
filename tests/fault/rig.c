#include "rig.h"

#include "boot/slot.h"
#include "esp/esp.h"
#include "esp/include/esp_ota_ops.h"
#include "esp/include/nvs_flash.h"
#include "image/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLASH_BYTES 0x50000u
#define IMAGE_ELF   9000 /* bytes of program in an image: three sectors and a bit */
#define BOOTS_MAX   16
#define CHUNK       1000 /* what the network gives at once: not a divisor of anything */
#define IMAGES      4

const char *const invariant_names[INVARIANTS] = {"I1 never-brick", "I2 verified-only", "I3 monitored",
                                                 "I4 floor",       "I7 converges",     "I8 no-mix",
                                                 "I9 hands-off",   "I12 bounded wear", "NVS old or new"};

/* Old, new, a third one that another job brings, and a longer one that lies about. */
static const struct {
    const char *version;
    uint32_t secure_version;
    size_t elf_len;
} image_kinds[IMAGES] = {
    {"1.0.0", 0, IMAGE_ELF}, {"2.0.0", 2, IMAGE_ELF + 700}, {"3.0.0", 3, IMAGE_ELF}, {"0.9.0", 0, IMAGE_ELF * 2}};
enum { OLD, NEW, THIRD, LEFTOVER };

/* The one rig of the process, because esp has one context. */
static struct {
    struct buf images[IMAGES];
    struct nor *nor;
    struct partition_table table;
    const struct fault_case *c;
    struct verdict *v;
    struct boot_port port;
    struct bootloader loader;
    struct efuse efuse;
    struct esp_options options;
    int running;            /* image that runs, -1 */
    int target;             /* image that the job is about */
    bool confirmed[IMAGES]; /* somebody called mark_valid in it */
    bool refused[IMAGES];   /* or found it bad */
    uint32_t floor;         /* what the eFuse said last */
    unsigned cuts;          /* of the update */
    bool is_done;           /* the application has nothing more to do */
    bool is_unguarded;      /* this boot is without its trial */
    int phase;              /* of the plots without images */
} rig;

static const struct scenario any_content = {
    "any content",
    PLOT_UPDATE,
    "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nefuse,data,efuse,0xf000,0x1000\n"
    "factory,app,factory,0x10000,64K\nota_0,app,ota_0,0x20000,64K\n"
    "ota_1,app,ota_1,0x30000,64K\n",
    "factory",
    true,
    false,
    false,
    false,
    false};

static void broken(enum invariant i, const char *text, long number)
{
    if (rig.v->story[0] == '\0')
        snprintf(rig.v->story, sizeof rig.v->story, "%s: %s (%ld) at boot %u", invariant_names[i], text, number,
                 rig.v->boots);
    rig.v->broken[i]++;
}

/* --- images ----------------------------------------------------------------------------------- */

static void make_image(unsigned i)
{
    size_t len = image_kinds[i].elf_len;
    uint8_t *elf = malloc(len);
    struct pack_options o = {"blinky", image_kinds[i].version, "", "", image_kinds[i].secure_version, CHIP_LINUX};
    for (size_t k = 0; elf != NULL && k < len; k++)
        elf[k] = (uint8_t)(k * 11 + k / 256 + i * 57);
    if (elf == NULL || memcpy(elf, "\177ELF", 4) == NULL ||
        image_pack(&rig.images[i], bytes_of(elf, len), &o, NULL) != ERR_NONE)
        abort();
    free(elf);
}

void rig_init(void)
{
    for (unsigned i = 0; i < IMAGES; i++)
        make_image(i);
}

void rig_deinit(void)
{
    for (unsigned i = 0; i < IMAGES; i++)
        buf_deinit(&rig.images[i]);
}

/* Which image lies in a partition, whole and to the last byte; -1: none. */
static int image_in(const struct partition *p)
{
    static uint8_t bytes[IMAGE_ELF * 4];
    for (int i = 0; p != NULL && i < IMAGES; i++)
        if (rig.images[i].len <= p->size_bytes &&
            stretch_read(partition_stretch(nor_flash(rig.nor), p), 0, bytes, rig.images[i].len, NULL) == ERR_NONE &&
            memcmp(bytes, rig.images[i].at, rig.images[i].len) == 0)
            return i;
    return -1;
}

static struct slot_rules rules_of_linux(void)
{
    return (struct slot_rules){.chip = chip_find(CHIP_LINUX),
                               .chip_revision = IMAGE_REVISION_UNKNOWN,
                               .efuse_revision = IMAGE_REVISION_UNKNOWN};
}

static bool is_bootable(struct boot_port *port, const struct partition *slot)
{
    struct image_facts facts;
    struct slot_rules rules = rules_of_linux();
    (void)port;
    return slot_verify(partition_stretch(nor_flash(rig.nor), slot), &rules, &facts, NULL) == ERR_NONE;
}

/* --- flash ------------------------------------------------------------------------------------ */

static const struct partition *label(const char *name)
{
    return partition_find_label(&rig.table, name);
}

static void put_image(const char *name, unsigned image)
{
    struct stretch s = partition_stretch(nor_flash(rig.nor), label(name));
    stretch_erase(s, 0, s.size_bytes, NULL);
    stretch_program(s, 0, buf_bytes(&rig.images[image]), NULL);
}

static void set_up_loader(const struct scenario *s)
{
    const struct partition *fuses = label("efuse");
    rig.port.is_bootable = is_bootable;
    rig.efuse = (struct efuse){partition_stretch(nor_flash(rig.nor), fuses), 16};
    rig.options = (struct esp_options)ESP_OPTIONS_DEFAULT;
    rig.options.has_rollback = s->has_rollback;
    rig.options.has_anti_rollback = s->has_anti_rollback;
    rig.options.log_level = 0;
    rig.loader = (struct bootloader){.flash = nor_flash(rig.nor),
                                     .table = &rig.table,
                                     .port = &rig.port,
                                     .rules = s->is_chip ? OTADATA_CHIP : OTADATA_SEALED,
                                     .has_rollback = s->has_rollback,
                                     .efuse = s->has_anti_rollback ? &rig.efuse : NULL};
}

static void make_flash(const struct scenario *s)
{
    uint8_t raw[PARTITION_TABLE_BYTES];
    rig.nor = nor_new(FLASH_BYTES, NULL);
    if (rig.nor == NULL || partition_table_read_csv(&rig.table, bytes_of_text(s->table), NULL, NULL) != ERR_NONE)
        abort();
    partition_table_write(&rig.table, raw);
    rig.loader.flash = nor_flash(rig.nor);
    nor_flash(rig.nor)->ops->program(nor_flash(rig.nor), PARTITION_TABLE_AT, bytes_of(raw, sizeof raw), NULL);
    put_image(s->runs_from, OLD);
}

/* What earlier updates left: records for both slots, and the longer image of before where the new one goes. */
static void make_history(const struct scenario *s)
{
    struct otadata o;
    bool is_first = strcmp(s->runs_from, "ota_0") == 0;
    enum ota_state state = s->has_rollback ? OTA_VALID : OTA_UNDEFINED;
    if (otadata_open(&o, s->is_chip ? OTADATA_CHIP : OTADATA_SEALED, nor_flash(rig.nor), &rig.table, NULL) != ERR_NONE)
        abort();
    otadata_write(&o, 0, is_first ? 3 : 1, state, NULL);
    otadata_write(&o, 1, 2, state, NULL);
    put_image(is_first ? "ota_1" : "ota_0", LEFTOVER);
}

/* A confirmed image that was spoilt since. */
static void make_fallen(const struct scenario *s)
{
    struct otadata o;
    put_image("ota_0", LEFTOVER);
    struct stretch slot = partition_stretch(nor_flash(rig.nor), label("ota_0"));
    uint8_t zeros[64] = {0};
    if (otadata_open(&o, s->is_chip ? OTADATA_CHIP : OTADATA_SEALED, nor_flash(rig.nor), &rig.table, NULL) != ERR_NONE)
        abort();
    otadata_write(&o, 0, 1, OTA_VALID, NULL);
    stretch_program(slot, 5000, bytes_of(zeros, sizeof zeros), NULL);
}

static struct nor *start_of(const struct scenario *s)
{
    static const struct scenario *last;
    static struct nor *start;
    if (s == last)
        return start;
    nor_free(start);
    make_flash(s);
    if (s->has_history)
        make_history(s);
    if (s->has_fallen)
        make_fallen(s);
    if (s->plot == PLOT_REWRITE)
        put_image("factory", OLD);
    last = s;
    return start = rig.nor;
}

bool rig_is_metadata(const struct scenario *s, uint32_t at)
{
    (void)s;
    return at >= 0x9000 && at < 0x10000;
}

/* What may be written while this partition runs: metadata, and the slots that do not run. */
static void set_rules(const struct partition *running)
{
    nor_clear_rules(rig.nor);
    nor_forbid(rig.nor, 0, 0x9000);
    nor_forbid(rig.nor, running->at, running->size_bytes);
    const struct partition *o = label("otadata");
    nor_write_once(rig.nor, o->at, o->size_bytes);
    for (unsigned i = 0; i < rig.table.count; i++) {
        const struct partition *p = &rig.table.entries[i];
        if (p->type == PARTITION_APP && p != running && p->subtype != PARTITION_APP_FACTORY)
            nor_write_once(rig.nor, p->at, p->size_bytes);
        else if (p->type == PARTITION_APP && p != running)
            nor_forbid(rig.nor, p->at, p->size_bytes);
    }
}

/* --- the application: an update --------------------------------------------------------------- */

/* What is remembered of a download that goes on after a reset: bytes of which image into which slot. */
struct resume {
    uint8_t key[8]; /* of the image's digest */
    uint32_t size, slot, offset;
};

static void make_key(struct resume *r, const esp_partition_t *slot, uint32_t offset)
{
    const struct buf *image = &rig.images[rig.target];
    memcpy(r->key, image->at + image->len - 32, sizeof r->key);
    r->size = (uint32_t)image->len;
    r->slot = slot->address;
    r->offset = offset;
}

static uint32_t remembered(nvs_handle_t nvs, const esp_partition_t *slot)
{
    struct resume have, wanted;
    size_t len = sizeof have;
    memset(&wanted, 0, sizeof wanted);
    make_key(&wanted, slot, 0);
    if (nvs_get_blob(nvs, "resume", &have, &len) != ESP_OK || len != sizeof have)
        return 0;
    wanted.offset = have.offset;
    return memcmp(&have, &wanted, sizeof have) == 0 && have.offset <= wanted.size ? have.offset : 0;
}

static void remember(nvs_handle_t nvs, const esp_partition_t *slot, uint32_t offset)
{
    struct resume r;
    memset(&r, 0, sizeof r);
    make_key(&r, slot, offset);
    nvs_set_blob(nvs, "resume", &r, sizeof r);
}

/* The position is remembered at every sector's end, after the bytes are there. */
static esp_err_t download(nvs_handle_t nvs, const esp_partition_t *slot, uint32_t from, esp_ota_handle_t update)
{
    const struct buf *image = &rig.images[rig.target];
    esp_err_t err = ESP_OK;
    for (size_t done = from; err == ESP_OK && done < image->len;) {
        size_t n = image->len - done < CHUNK ? image->len - done : CHUNK;
        if (done / 4096 != (done + n) / 4096)
            n = (done / 4096 + 1) * 4096 - done;
        err = esp_ota_write(update, image->at + done, n);
        done += n;
        if (err == ESP_OK && done % 4096 == 0)
            remember(nvs, slot, (uint32_t)done);
    }
    return err;
}

static esp_err_t update(void)
{
    const esp_partition_t *slot = esp_ota_get_next_update_partition(NULL);
    esp_ota_handle_t handle = 0;
    nvs_handle_t nvs = 0;
    esp_err_t err = nvs_open("ota", NVS_READWRITE, &nvs);
    uint32_t from = err == ESP_OK ? remembered(nvs, slot) : 0;
    if (err == ESP_OK)
        err = from > 0 ? esp_ota_resume(slot, OTA_WITH_SEQUENTIAL_WRITES, from, &handle)
                       : esp_ota_begin(slot, OTA_WITH_SEQUENTIAL_WRITES, &handle);
    if (err == ESP_OK)
        err = download(nvs, slot, from, handle);
    if (err == ESP_OK) {
        err = esp_ota_end(handle);
        if (err == ESP_ERR_OTA_VALIDATE_FAILED)
            nvs_erase_key(nvs, "resume"); /* what was remembered leads nowhere */
    } else if (handle != 0)
        esp_ota_abort(handle);
    if (err == ESP_OK)
        err = esp_ota_set_boot_partition(slot);
    if (err == ESP_OK)
        nvs_erase_key(nvs, "resume");
    nvs_close(nvs);
    return err;
}

/* The verdict of the image on trial, by the plot.  False: it hangs. */
static bool judge_itself(void)
{
    bool is_bad = rig.running == rig.target && rig.c->scenario->plot != PLOT_UPDATE;
    if (is_bad && rig.c->scenario->plot == PLOT_WATCHDOG) {
        rig.refused[rig.running] = true;
        return false;
    }
    if (is_bad) {
        rig.refused[rig.running] = true;
        esp_ota_mark_app_invalid_rollback();
        return false;
    }
    rig.confirmed[rig.running] = true;
    /* A flash that failed once is asked again; whoever gives up here is rolled back by the next reset. */
    if (esp_ota_mark_app_valid_cancel_rollback() != ESP_OK)
        esp_ota_mark_app_valid_cancel_rollback();
    return true;
}

static void start_nvs(void)
{
    esp_err_t err = nvs_flash_init();
    if (err == ESP_ERR_NVS_NO_FREE_PAGES || err == ESP_ERR_NVS_NEW_VERSION_FOUND) {
        nvs_flash_erase();
        nvs_flash_init();
    }
}

static void run_update(void)
{
    esp_ota_img_states_t state = ESP_OTA_IMG_UNDEFINED;
    bool is_trial = esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK &&
                    state == ESP_OTA_IMG_PENDING_VERIFY;
    if (is_trial && !judge_itself())
        return;
    if (rig.running == rig.target || rig.refused[rig.target]) {
        rig.is_done = true;
        return;
    }
    start_nvs();
    update();
}

/* --- the application: otadata to and fro ------------------------------------------------------ */

static void run_rewrite(void)
{
    static const char *const order[] = {"ota_1", "ota_0", "ota_1", "factory", "ota_0"};
    esp_ota_img_states_t state = ESP_OTA_IMG_UNDEFINED;
    if (esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK &&
        state == ESP_OTA_IMG_PENDING_VERIFY && !judge_itself())
        return;
    if (rig.phase == (int)(sizeof order / sizeof order[0])) {
        rig.is_done = true;
        return;
    }
    const esp_partition_t *p =
        esp_partition_find_first(ESP_PARTITION_TYPE_APP, ESP_PARTITION_SUBTYPE_ANY, order[rig.phase]);
    if (esp_ota_set_boot_partition(p) == ESP_OK)
        rig.phase++;
}

/* --- the application: NVS --------------------------------------------------------------------- */

#define NVS_KEYS   4
#define NVS_ROUNDS 30
#define BLOB_MAX   2500

/* What each key held and was to hold when the power went. */
static struct {
    uint32_t before[NVS_KEYS], after[NVS_KEYS];
} told;

static size_t blob_of(uint32_t value, uint8_t *to)
{
    size_t len = value == 0 ? 0 : 40 + value * 331 % (BLOB_MAX - 40);
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(value + i);
    return len;
}

/* The value of a key: 0 when it is absent, UINT32_MAX when it is none that was ever written. */
static uint32_t read_key(nvs_handle_t nvs, unsigned key, uint32_t first, uint32_t second)
{
    static uint8_t have[BLOB_MAX], wanted[BLOB_MAX];
    char name[8];
    uint32_t number = 0;
    snprintf(name, sizeof name, "key%u", key);
    if (key % 2 == 0) {
        esp_err_t err = nvs_get_u32(nvs, name, &number);
        return err == ESP_OK ? number : err == ESP_ERR_NVS_NOT_FOUND ? 0 : UINT32_MAX;
    }
    size_t len = sizeof have;
    esp_err_t err = nvs_get_blob(nvs, name, have, &len);
    if (err == ESP_ERR_NVS_NOT_FOUND)
        return 0;
    if (err == ESP_OK && len == blob_of(first, wanted) && memcmp(have, wanted, len) == 0)
        return first;
    return err == ESP_OK && len == blob_of(second, wanted) && memcmp(have, wanted, len) == 0 ? second : UINT32_MAX;
}

static esp_err_t write_key(nvs_handle_t nvs, unsigned key, uint32_t value)
{
    static uint8_t blob[BLOB_MAX];
    char name[8];
    snprintf(name, sizeof name, "key%u", key);
    if (value == 0) {
        esp_err_t err = nvs_erase_key(nvs, name);
        return err == ESP_ERR_NVS_NOT_FOUND ? ESP_OK : err;
    }
    return key % 2 == 0 ? nvs_set_u32(nvs, name, value) : nvs_set_blob(nvs, name, blob, blob_of(value, blob));
}

static void check_keys(nvs_handle_t nvs)
{
    for (unsigned k = 0; k < NVS_KEYS; k++) {
        uint32_t value = read_key(nvs, k, told.before[k], told.after[k]);
        if (!nor_has_power(rig.nor))
            return;
        if (value != told.before[k] && value != told.after[k])
            broken(NVS_OLD_OR_NEW, "a key holds neither", (long)k);
        told.before[k] = told.after[k] = value;
    }
}

static void run_nvs(void)
{
    nvs_handle_t nvs;
    esp_err_t err = nvs_flash_init();
    if (err != ESP_OK && nor_has_power(rig.nor))
        broken(NVS_OLD_OR_NEW, "NVS does not start", err);
    if (err != ESP_OK || nvs_open("space", NVS_READWRITE, &nvs) != ESP_OK)
        return;
    check_keys(nvs);
    for (; rig.phase < NVS_ROUNDS && nor_has_power(rig.nor); rig.phase++) {
        unsigned key = (unsigned)rig.phase % NVS_KEYS;
        told.after[key] = rig.phase % 7 == 6 ? 0 : (uint32_t)rig.phase + 1;
        err = write_key(nvs, key, told.after[key]);
        if (err == ESP_OK)
            told.before[key] = told.after[key];
    }
    if (nor_has_power(rig.nor))
        check_keys(nvs);
    rig.is_done = rig.phase == NVS_ROUNDS && nor_has_power(rig.nor);
}

/* --- a life ----------------------------------------------------------------------------------- */

/* After the bootloader has chosen, before anything runs. */
static void check_boot(const struct boot_choice *choice)
{
    const struct scenario *s = rig.c->scenario;
    rig.running = image_in(choice->slot);
    rig.is_unguarded = false;
    if (rig.running < 0) {
        broken(I2_VERIFIED_ONLY, "what boots is none of the images", choice->index);
        return;
    }
    if (choice->index < 0 || !s->has_rollback || s->plot == PLOT_REWRITE || rig.running == OLD ||
        rig.running == LEFTOVER || choice->index != choice->wanted)
        return;
    struct otadata o;
    if (otadata_open(&o, OTADATA_CHIP, nor_flash(rig.nor), &rig.table, NULL) != ERR_NONE)
        return;
    for (unsigned i = 0; i < 2; i++)
        if (otadata_active(&o) == (int)i && (int)otadata_slot(&o, i) == choice->index &&
            o.records[i].state != OTA_PENDING_VERIFY && !rig.confirmed[rig.running]) {
            broken(I3_MONITORED, "an unconfirmed image boots without its trial, state", (long)o.records[i].state);
            rig.v->unguarded++;
            rig.is_unguarded = true;
        }
}

static void check_floor(void)
{
    uint32_t floor = 0;
    if (!rig.c->scenario->has_anti_rollback || efuse_secure_version(&rig.efuse, &floor, NULL) != ERR_NONE)
        return;
    if (rig.running >= 0 && image_kinds[rig.running].secure_version < floor)
        broken(I4_FLOOR, "an image below the floor boots", (long)floor);
    if (floor > 0 && !rig.confirmed[NEW] && !rig.confirmed[THIRD])
        broken(I4_FLOOR, "the floor rose without a confirmed image", (long)floor);
    if (floor < rig.floor && rig.c->fault[0] != NOR_CUT_METASTABLE)
        broken(I4_FLOOR, "the floor fell", (long)floor);
    rig.floor = floor;
}

static void run_app(const struct boot_choice *choice)
{
    struct esp_start start = {.flash = nor_flash(rig.nor),
                              .slot = choice->slot->at,
                              .reset_reason = ESP_RST_POWERON,
                              .chip = chip_find(CHIP_LINUX),
                              .efuse = rig.efuse,
                              .options = &rig.options};
    set_rules(choice->slot);
    if (esp_context_start(&start, NULL) != ERR_NONE)
        return;
    esp_ota_img_states_t state;
    if (rig.is_unguarded && esp_ota_get_state_partition(esp_ota_get_running_partition(), &state) == ESP_OK &&
        state == ESP_OTA_IMG_PENDING_VERIFY)
        rig.v->mended++;
    switch (rig.c->scenario->plot) {
    case PLOT_REWRITE:
        run_rewrite();
        return;
    case PLOT_NVS:
        run_nvs();
        return;
    default:
        run_update();
    }
}

/* One reset to the next. */
static void live_once(void)
{
    struct boot_choice choice;
    enum err err = boot_select(&rig.loader, &choice, NULL);
    rig.v->boots++;
    if (!nor_has_power(rig.nor))
        return;
    /* A flash that lies once costs a reset; the next one must go well. */
    if (err == ERR_FLASH && rig.c->fault[0] > NOR_CUT_METASTABLE)
        err = boot_select(&rig.loader, &choice, NULL);
    if (err != ERR_NONE) {
        broken(I1_NEVER_BRICK, "nothing boots, error", (long)err);
        rig.is_done = true;
        return;
    }
    check_boot(&choice);
    check_floor();
    if (rig.running >= 0)
        run_app(&choice);
}

static void power_on(void)
{
    const struct fault_case *c = rig.c;
    nor_power_on(rig.nor);
    rig.cuts++;
    if (rig.cuts == 1 && c->step[1] >= 0)
        nor_plan(rig.nor, (struct nor_plan){c->step[1], c->fault[1], c->seed + 1});
    /* While the node was dark the server may have got another image for it. */
    if (c->scenario->plot == PLOT_UPDATE && c->seed % 3 == 2 && !rig.confirmed[NEW])
        rig.target = THIRD;
}

static void check_end(void)
{
    const struct scenario *s = rig.c->scenario;
    bool is_bad_sector = rig.c->fault[0] == NOR_STUCK || (rig.c->step[1] >= 0 && rig.c->fault[1] == NOR_STUCK);
    if (!rig.is_done && !is_bad_sector)
        broken(I7_CONVERGES, "still not done after boots", rig.v->boots);
    int wanted = s->plot == PLOT_UPDATE ? rig.target : OLD;
    if (rig.is_done && !is_bad_sector && s->plot <= PLOT_WATCHDOG && rig.running != wanted && !rig.refused[rig.target])
        broken(I7_CONVERGES, "ends with image", rig.running);
    if (nor_violation(rig.nor) != NULL)
        broken(I9_HANDS_OFF, nor_violation(rig.nor), 0);
    if (s->plot > PLOT_WATCHDOG)
        return;
    /* A cut costs an erase of the sector that it hit and, where the bookkeeping was hit, of the sectors behind it. */
    unsigned allowed = 1 + rig.cuts + (rig.c->fault[0] > NOR_CUT_METASTABLE) + (rig.c->step[1] >= 0);
    const struct partition *slots[2] = {label("ota_0"), label("ota_1")};
    for (unsigned k = 0; k < 2 && !is_bad_sector; k++)
        for (uint32_t at = slots[k]->at; at < slots[k]->at + slots[k]->size_bytes; at += FLASH_SECTOR_BYTES)
            if (nor_sector_erases(rig.nor, at / FLASH_SECTOR_BYTES) > allowed)
                broken(I12_BOUNDED_WEAR, "a sector was erased more often than", (long)allowed);
    unsigned metadata = 0;
    for (uint32_t at = 0x9000; at < 0x10000; at += FLASH_SECTOR_BYTES)
        metadata += nor_sector_erases(rig.nor, at / FLASH_SECTOR_BYTES);
    if (metadata > 8 * allowed && !is_bad_sector)
        broken(I12_BOUNDED_WEAR, "erases of metadata", (long)metadata);
}

static void note_step(void *context, uint32_t at, bool is_erase)
{
    struct steps *s = context;
    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 256;
        s->list = realloc(s->list, s->room * sizeof *s->list);
        if (s->list == NULL)
            abort();
    }
    s->list[s->count++] = (struct step){at, is_erase};
}

static void prepare(const struct fault_case *c, struct verdict *v)
{
    struct nor *start = start_of(c->scenario);
    memset(v, 0, sizeof *v);
    memset(rig.confirmed, 0, sizeof rig.confirmed);
    memset(rig.refused, 0, sizeof rig.refused);
    memset(&told, 0, sizeof told);
    rig.c = c;
    rig.v = v;
    rig.target = NEW;
    rig.running = -1;
    rig.floor = 0;
    rig.phase = 0;
    rig.cuts = 0;
    rig.is_done = false;
    rig.nor = nor_branch(start, NULL);
    if (rig.nor == NULL ||
        partition_table_read_csv(&rig.table, bytes_of_text(c->scenario->table), NULL, NULL) != ERR_NONE)
        abort();
    set_up_loader(c->scenario);
}

void rig_run(const struct fault_case *c, struct verdict *v, struct steps *steps)
{
    prepare(c, v);
    nor_plan(rig.nor, (struct nor_plan){c->step[0], c->fault[0], c->seed});
    if (steps != NULL)
        nor_watch(rig.nor, note_step, steps);
    while (!rig.is_done && rig.v->boots < BOOTS_MAX) {
        if (!nor_has_power(rig.nor))
            power_on();
        live_once();
        rig.is_done = rig.is_done && nor_has_power(rig.nor);
    }
    if (nor_has_power(rig.nor) && rig.is_done && c->scenario->plot != PLOT_NVS)
        live_once(); /* once more: what it settled on it keeps */
    check_end();
    v->steps = (long)nor_counts(rig.nor).steps;
    nor_free(rig.nor);
    rig.nor = NULL;
}

/* --- P7: any content -------------------------------------------------------------------------- */

static void prepare_content(struct verdict *v)
{
    static const struct fault_case none = {&any_content, {-1, -1}, {NOR_CUT_BEFORE, NOR_CUT_BEFORE}, 0};
    prepare(&none, v);
}

/* Three resets: each must boot something whole. */
static void check_resets(bool has_any)
{
    for (int i = 0; i < 3; i++) {
        struct boot_choice choice;
        enum err err = boot_select(&rig.loader, &choice, NULL);
        rig.v->boots++;
        if (err != ERR_NONE) {
            if (has_any || err != ERR_NOT_FOUND)
                broken(I1_NEVER_BRICK, "nothing boots, error", (long)err);
            return;
        }
        if (!is_bootable(&rig.port, choice.slot))
            broken(I2_VERIFIED_ONLY, "what boots does not verify", choice.index);
    }
}

/* What a record says, read again here by the words of the document alone. */
static bool counts(const uint8_t *r, bool is_chip, bool has_rollback)
{
    uint32_t seq = get_u32(r), state = get_u32(r + 24);
    static const uint32_t known[] = {0, 1, 2, 0xffffffff};
    struct flash_ram ram;
    uint8_t sectors[2 * FLASH_SECTOR_BYTES];
    struct otadata o;
    memset(sectors, 0xff, sizeof sectors);
    memcpy(sectors, r, 32);
    flash_ram_init(&ram, sectors, sizeof sectors);
    otadata_open_at(&o, OTADATA_CHIP, (struct stretch){&ram.flash, 0, sizeof sectors}, 2, NULL);
    bool is_known = false;
    for (unsigned i = 0; i < 4; i++)
        is_known |= state == known[i];
    bool is_on_trial = state == 1 && has_rollback;
    return seq != 0xffffffff && o.records[0].is_crc_good && !is_on_trial && state != 3 && state != 4 &&
           (is_chip || (is_known && o.records[0].seal != OTA_SEAL_BROKEN));
}

void rig_boot_otadata(const uint8_t *first, const uint8_t *second, bool is_chip, struct verdict *v)
{
    prepare_content(v);
    rig.loader.rules = is_chip ? OTADATA_CHIP : OTADATA_SEALED;
    put_image("ota_0", NEW);
    put_image("ota_1", THIRD);
    const struct partition *p = label("otadata");
    struct stretch s = partition_stretch(nor_flash(rig.nor), p);
    stretch_program(s, 0, bytes_of(first, 32), NULL);
    stretch_program(s, FLASH_SECTOR_BYTES, bytes_of(second, 32), NULL);
    const uint8_t *raw[2] = {first, second};
    bool is_in[2] = {counts(first, is_chip, true), counts(second, is_chip, true)};
    int wins = is_in[0] && is_in[1] ? get_u32(second) > get_u32(first) : is_in[0] ? 0 : is_in[1] ? 1 : -1;
    int expected = wins < 0 ? BOOT_FACTORY : (int)((get_u32(raw[wins]) - 1) % 2);
    struct boot_choice choice = {.index = BOOT_NONE};
    enum err err = boot_select(&rig.loader, &choice, NULL);
    rig.v->boots++;
    if (err != ERR_NONE || choice.index != expected)
        broken(I2_VERIFIED_ONLY, "the selection is not the document's, but", choice.index);
    struct otadata o;
    if (wins >= 0 && get_u32(raw[wins] + 24) == OTA_NEW &&
        (otadata_open(&o, rig.loader.rules, nor_flash(rig.nor), &rig.table, NULL) != ERR_NONE ||
         o.records[wins].state != OTA_PENDING_VERIFY))
        broken(I3_MONITORED, "a new image boots without its trial", choice.index);
    check_resets(true);
    nor_free(rig.nor);
}

static uint64_t random_of(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void fill(const char *name, uint64_t *random, int byte)
{
    static uint8_t bytes[0x10000];
    struct stretch s = partition_stretch(nor_flash(rig.nor), label(name));
    for (uint32_t i = 0; i < s.size_bytes; i++)
        bytes[i] = byte >= 0 ? (uint8_t)byte : (uint8_t)random_of(random);
    stretch_erase(s, 0, s.size_bytes, NULL);
    stretch_program(s, 0, bytes_of(bytes, s.size_bytes), NULL);
}

static void cut_short(const char *name, uint64_t *random)
{
    struct stretch s = partition_stretch(nor_flash(rig.nor), label(name));
    const struct buf *image = &rig.images[random_of(random) % IMAGES];
    stretch_erase(s, 0, s.size_bytes, NULL);
    stretch_program(s, 0, bytes_of(image->at, random_of(random) % image->len), NULL);
}

void rig_boot_anything(unsigned kind, uint64_t seed, struct verdict *v)
{
    static const char *const data[] = {"nvs", "otadata", "efuse", "ota_0", "ota_1"};
    uint64_t random = seed * 2654435761u + 88172645463325252u;
    prepare_content(v);
    bool keeps_factory = seed % 4 != 0;
    for (unsigned i = 0; i < 5; i++) {
        if (kind <= 2)
            fill(data[i], &random, kind == 0 ? -1 : kind == 1 ? 0x00 : 0xff);
        else if (i == 1)
            fill(data[i], &random, -1);
        else if (i >= 3 && kind == 3)
            cut_short(data[i], &random);
        else if (i >= 3)
            put_image(data[i], (unsigned)(random_of(&random) % IMAGES));
    }
    if (!keeps_factory)
        fill("factory", &random, kind == 1 ? 0 : -1);
    bool has_any = keeps_factory || image_in(label("ota_0")) >= 0 || image_in(label("ota_1")) >= 0;
    check_resets(has_any);
    struct boot_choice choice;
    if (has_any && boot_select(&rig.loader, &choice, NULL) == ERR_NONE) {
        rig.running = image_in(choice.slot);
        rig.target = rig.running; /* the application starts on it, and starts its NVS */
        run_app(&choice);
        start_nvs();
        nvs_handle_t nvs;
        if (nvs_open("after", NVS_READWRITE, &nvs) != ESP_OK || nvs_set_u32(nvs, "key", 1) != ESP_OK)
            broken(NVS_OLD_OR_NEW, "NVS cannot be used on that content", 0);
    }
    nor_free(rig.nor);
}
