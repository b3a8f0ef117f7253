/* Goal: otadata's seal and its order of writing, mending and releasing records, the secure version, signed slots. */
#include "boot/boot.h"
#include "boot/slot.h"
#include "codec/crc.h"
#include "crypto/key.h"
#include "faults.h"
#include "flash/nor.h"
#include "image/pack.h"
#include "image/signature.h"
#include "test.h"

#define SIZE 0x40000u

static uint8_t bytes[SIZE];
static struct flash_ram ram;

static const char csv[] =
    "otadata,data,ota,0x9000,0x2000\nefuse,data,efuse,0xb000,0x1000\nota_0,app,ota_0,0x10000,64K\n"
    "ota_1,app,ota_1,0x20000,64K\ntest,app,test,0x30000,64K\n";
static struct partition_table table;

static int set_up(void **state)
{
    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    flash_ram_init(&ram, bytes, sizeof bytes);
    assert_int_equal(partition_table_read_csv(&table, bytes_of_text(csv), NULL, NULL), ERR_NONE);
    return 0;
}

static struct otadata open_as(enum otadata_rules rules)
{
    struct otadata o;
    assert_int_equal(otadata_open(&o, rules, &ram.flash, &table, NULL), ERR_NONE);
    return o;
}

static uint8_t *record(unsigned i)
{
    return bytes + 0x9000 + i * 0x1000;
}

/* --- the seal --------------------------------------------------------------------------------- */

/* The same steps by both rules leave the same bytes, but for seq_label. */
static void sealed_records_are_the_chips_but_for_the_label(void **state)
{
    static const struct {
        unsigned slot;
        enum ota_state state;
    } steps[] = {{0, OTA_NEW},     {0, OTA_VALID},    {1, OTA_NEW}, {1, OTA_PENDING_VERIFY},
                 {1, OTA_INVALID}, {0, OTA_UNDEFINED}};
    static uint8_t chips[0x2000];
    for (size_t upto = 1; upto <= sizeof steps / sizeof steps[0]; upto++)
        for (int rules = OTADATA_CHIP; rules <= OTADATA_SEALED; rules++) {
            set_up(state);
            struct otadata o = open_as((enum otadata_rules)rules);
            for (size_t i = 0; i < upto; i++)
                assert_int_equal(otadata_set_boot(&o, steps[i].slot, steps[i].state, NULL), ERR_NONE);
            if (rules == OTADATA_CHIP) {
                memcpy(chips, record(0), sizeof chips);
                continue;
            }
            for (unsigned i = 0; i < 2; i++)
                memset(record(i) + 4, 0xff, 20);
            assert_memory_equal(chips, record(0), sizeof chips);
        }
}

/* Any bit of number, state, CRC that turns makes a sealed record count no longer.  In the label no bit that falls does,
 * as time lets bits fall; a bit of the mark that is 1 again is a write that was torn. */
static void every_turned_bit_is_seen(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 256; bit++) {
        struct otadata o = open_as(OTADATA_SEALED);
        assert_int_equal(otadata_write(&o, 0, 3, OTA_VALID, NULL), ERR_NONE);
        record(0)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        bool rose = record(0)[bit / 8] >> bit % 8 & 1;
        o = open_as(OTADATA_SEALED);
        bool is_label = bit >= 32 && bit < 192, is_mark = bit >= 32 && bit < 64;
        assert_int_equal(otadata_active(&o), is_label && !(is_mark && rose) ? 0 : -1);
    }
}

/* What the chip's code leaves has no seal and is taken as the chip takes it, but for states that are none. */
static void records_without_a_seal_are_legal(void **state)
{
    static const uint32_t states[] = {0, 1, 2, 3, 4, 5, 0xffffffff, 0xfffffffe, 0x80000002};
    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        struct otadata o = open_as(OTADATA_CHIP);
        assert_int_equal(otadata_write(&o, 0, 1, (enum ota_state)states[i], NULL), ERR_NONE);
        bool chip_takes = otadata_active(&o) == 0;
        assert_int_equal(chip_takes, states[i] != 3 && states[i] != 4);
        o = open_as(OTADATA_SEALED);
        assert_int_equal(o.records[0].seal, OTA_SEAL_NONE);
        assert_int_equal(otadata_active(&o) == 0, states[i] <= 2 || states[i] == 0xffffffff);
    }
}

/* However a write is torn, the chip's bootloader sees the old selection or the new one whole: the number comes last. */
static void no_torn_write_is_misread_even_by_the_chip(void **state)
{
    struct nor *start = nor_new(SIZE, NULL);
    uint8_t raw[PARTITION_TABLE_BYTES];
    struct otadata o;
    (void)state;
    partition_table_write(&table, raw);
    assert_int_equal(otadata_open(&o, OTADATA_SEALED, nor_flash(start), &table, NULL), ERR_NONE);
    assert_int_equal(otadata_set_boot(&o, 0, OTA_VALID, NULL), ERR_NONE);
    for (long step = 0; step < 3; step++)
        for (unsigned fault = NOR_CUT_BEFORE; fault <= NOR_CUT_METASTABLE; fault++)
            for (unsigned seed = 0; seed < 200; seed++) {
                struct nor *n = nor_branch(start, NULL);
                nor_plan(n, (struct nor_plan){step, (enum nor_fault)fault, seed});
                assert_int_equal(otadata_open(&o, OTADATA_SEALED, nor_flash(n), &table, NULL), ERR_NONE);
                assert_int_equal(otadata_set_boot(&o, 1, OTA_NEW, NULL), ERR_FLASH);
                nor_power_on(n);
                assert_int_equal(otadata_open(&o, OTADATA_CHIP, nor_flash(n), &table, NULL), ERR_NONE);
                int active = otadata_active(&o);
                assert_true(active == 0 || o.records[1].state == OTA_NEW);
                nor_free(n);
            }
    nor_free(start);
}

static void a_sector_is_tried_twice(void **state)
{
    struct otadata o;
    (void)state;
    for (long step = 0; step < 3; step++)
        for (unsigned fault = NOR_SILENT; fault <= NOR_FALSE_ERROR; fault++) {
            struct nor *n = nor_new(SIZE, NULL);
            assert_int_equal(otadata_open(&o, OTADATA_SEALED, nor_flash(n), &table, NULL), ERR_NONE);
            assert_int_equal(otadata_set_boot(&o, 0, OTA_VALID, NULL), ERR_NONE);
            nor_plan(n, (struct nor_plan){step, (enum nor_fault)fault, 1});
            assert_int_equal(otadata_set_boot(&o, 0, OTA_INVALID, NULL), ERR_NONE);
            assert_true(nor_was_hit(n));
            nor_free(n);
        }
}

/* --- mending ---------------------------------------------------------------------------------- */

static unsigned mend(struct otadata *o, int running, bool has_rollback)
{
    unsigned mended;
    assert_int_equal(otadata_mend(o, running, has_rollback, &mended, NULL), ERR_NONE);
    return mended;
}

static void spoilt_states_become_what_they_were(void **state)
{
    static const struct {
        enum ota_state sealed;
        uint32_t seen;
        bool has_rollback;
        uint32_t expected;
    } rows[] = {
        {OTA_NEW, 0xffffffff, true, OTA_PENDING_VERIFY},
        {OTA_PENDING_VERIFY, 0xff00ff01, true, OTA_PENDING_VERIFY},
        {OTA_VALID, 0, true, OTA_VALID},
        {OTA_ABORTED, 0x00000044, true, OTA_ABORTED},
        {OTA_VALID, 0xffffffff, true, OTA_VALID},
        {OTA_INVALID, 2, true, OTA_INVALID},
        {OTA_NEW, 0xffffffff, false, 0xffffffff},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        set_up(state);
        struct otadata o = open_as(OTADATA_SEALED);
        assert_int_equal(otadata_write(&o, 1, 2, rows[i].sealed, NULL), ERR_NONE);
        put_u32(record(1) + 24, rows[i].seen);
        o = open_as(OTADATA_SEALED);
        assert_int_equal(mend(&o, 1, rows[i].has_rollback), 1);
        o = open_as(OTADATA_SEALED);
        assert_int_equal(o.records[1].state, rows[i].expected);
        assert_int_equal(o.records[1].seal, OTA_SEAL_RIGHT);
        assert_int_equal(mend(&o, 1, true), 0);
    }
}

/* The chip's bootloader writes states beside labels that it leaves as they are: nothing to mend. */
static void the_chips_own_steps_are_understood(void **state)
{
    static const enum ota_state sealed[] = {OTA_NEW, OTA_NEW, OTA_PENDING_VERIFY};
    static const enum ota_state written[] = {OTA_PENDING_VERIFY, OTA_ABORTED, OTA_ABORTED};
    for (int i = 0; i < 3; i++) {
        set_up(state);
        struct otadata o = open_as(OTADATA_SEALED);
        assert_int_equal(otadata_write(&o, 0, 1, sealed[i], NULL), ERR_NONE);
        o = open_as(OTADATA_CHIP);
        assert_int_equal(otadata_write(&o, 0, 1, written[i], NULL), ERR_NONE);
        o = open_as(OTADATA_SEALED);
        assert_int_equal(o.records[0].seal, OTA_SEAL_RIGHT);
        assert_int_equal(o.records[0].state, written[i]);
        assert_int_equal(mend(&o, 0, true), 0);
    }
    /* valid beside a seal of new is no step that it makes */
    set_up(state);
    struct otadata o = open_as(OTADATA_SEALED);
    assert_int_equal(otadata_write(&o, 0, 1, OTA_NEW, NULL), ERR_NONE);
    o = open_as(OTADATA_CHIP);
    assert_int_equal(otadata_write(&o, 0, 1, OTA_VALID, NULL), ERR_NONE);
    o = open_as(OTADATA_SEALED);
    assert_int_equal(o.records[0].seal, OTA_SEAL_BROKEN);
}

static void what_cannot_be_known_is_on_trial_or_goes(void **state)
{
    (void)state;
    struct otadata o = open_as(OTADATA_SEALED);
    assert_int_equal(otadata_write(&o, 1, 2, OTA_VALID, NULL), ERR_NONE);
    record(1)[8] ^= 1; /* both copies of the seal's word */
    record(1)[12] ^= 1;
    o = open_as(OTADATA_SEALED);
    assert_int_equal(mend(&o, 1, true), 1);
    assert_int_equal(o.records[1].state, OTA_PENDING_VERIFY);
    /* an unknown state without a seal */
    set_up(state);
    o = open_as(OTADATA_CHIP);
    assert_int_equal(otadata_write(&o, 0, 1, (enum ota_state)77, NULL), ERR_NONE);
    o = open_as(OTADATA_SEALED);
    assert_int_equal(mend(&o, 0, true), 1);
    assert_int_equal(o.records[0].state, OTA_PENDING_VERIFY);
    /* of a slot that does not run, or with a wrong CRC, or when the other record is sound for the slot: erased */
    for (int way = 0; way < 3; way++) {
        set_up(state);
        o = open_as(OTADATA_SEALED);
        assert_int_equal(otadata_write(&o, 0, 1, OTA_VALID, NULL), ERR_NONE);
        assert_int_equal(otadata_write(&o, 1, way == 2 ? 3 : 2, OTA_NEW, NULL), ERR_NONE);
        record(1)[way == 1 ? 28 : 24] ^= 0x40;
        o = open_as(OTADATA_SEALED);
        assert_int_equal(mend(&o, way == 1 ? 1 : 0, true), 1);
        assert_int_equal(o.records[1].seq, 0xffffffff);
        assert_int_equal(o.records[0].state, OTA_VALID);
    }
    /* a half-written record without its number is blank as it is */
    set_up(state);
    put_u32(record(0) + 24, 1);
    o = open_as(OTADATA_SEALED);
    assert_int_equal(mend(&o, 0, true), 0);
}

/* --- releasing -------------------------------------------------------------------------------- */

static void a_slot_is_released_before_it_is_written(void **state)
{
    (void)state;
    struct otadata o = open_as(OTADATA_SEALED);
    assert_int_equal(otadata_release(&o, 1, 0, NULL), ERR_NONE); /* blank: nothing to do */
    /* the ordinary case: the other record goes, the running one stays */
    assert_int_equal(otadata_write(&o, 0, 1, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(otadata_write(&o, 1, 2, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(otadata_release(&o, 0, 1, NULL), ERR_NONE);
    assert_int_equal(o.records[0].seq, 0xffffffff);
    assert_int_equal(o.records[1].seq, 2);
    /* the bootloader fell through: the active record names the slot to be written, another one runs */
    set_up(state);
    o = open_as(OTADATA_SEALED);
    assert_int_equal(otadata_write(&o, 1, 2, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(otadata_release(&o, 1, 0, NULL), ERR_NONE);
    assert_int_equal(otadata_active(&o), 0);
    assert_int_equal(otadata_slot(&o, 0), 0);
    assert_int_equal(o.records[0].state, (uint32_t)OTA_UNDEFINED);
    assert_int_equal(o.records[1].seq, 0xffffffff);
    /* ... or factory runs: both go */
    set_up(state);
    o = open_as(OTADATA_SEALED);
    assert_int_equal(otadata_write(&o, 0, 1, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(otadata_write(&o, 1, 2, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(otadata_release(&o, 1, BOOT_FACTORY, NULL), ERR_NONE);
    assert_int_equal(otadata_active(&o), -1);
}

static void release_and_mend_tell_errors(void **state)
{
    for (int is_mend = 0; is_mend < 2; is_mend++)
        for (long op = 0;; op++) {
            struct faulty_flash faulty;
            struct otadata o;
            unsigned mended;
            set_up(state);
            o = open_as(OTADATA_SEALED);
            assert_int_equal(otadata_write(&o, 1, 2, OTA_VALID, NULL), ERR_NONE);
            assert_int_equal(otadata_write(&o, 0, 4, OTA_NEW, NULL), ERR_NONE);
            if (is_mend)
                record(0)[24] = 9;
            faulty_flash_init(&faulty, &ram.flash, op);
            enum err err = otadata_open(&o, OTADATA_SEALED, &faulty.flash, &table, NULL);
            if (err == ERR_NONE)
                err = is_mend ? otadata_mend(&o, 1, true, &mended, NULL) : otadata_release(&o, 1, 0, NULL);
            if (err == ERR_NONE)
                break;
            assert_int_equal(err, ERR_FLASH);
        }
}

/* --- the bootloader --------------------------------------------------------------------------- */

struct port {
    struct boot_port port;
    bool refuses;
};

static bool is_bootable(struct boot_port *port, const struct partition *slot)
{
    (void)slot;
    return !((struct port *)port)->refuses;
}

static void put_desc(uint32_t at, uint32_t secure_version)
{
    put_u32(bytes + at + 0x20, 0xabcd5432);
    put_u32(bytes + at + 0x24, secure_version);
}

static void anti_rollback_bars_what_is_below(void **state)
{
    struct port port = {{is_bootable}, false};
    struct efuse efuse = {{&ram.flash, 0xb000, 0x1000}, 16};
    struct bootloader b = {&ram.flash, &table, &port.port, OTADATA_SEALED, true, &efuse, false};
    struct boot_choice c;
    uint32_t version;
    (void)state;
    put_desc(0x10000, 1);
    put_desc(0x20000, 3);
    struct otadata o = open_as(OTADATA_SEALED);
    assert_int_equal(otadata_write(&o, 0, 1, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    assert_int_equal(c.index, 0);
    assert_int_equal(efuse_secure_version(&efuse, &version, NULL), ERR_NONE);
    assert_int_equal(version, 1); /* it follows what is confirmed */
    assert_int_equal(otadata_set_boot(&o, 1, OTA_NEW, NULL), ERR_NONE);
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    assert_int_equal(c.index, 1);
    assert_int_equal(efuse_secure_version(&efuse, &version, NULL), ERR_NONE);
    assert_int_equal(version, 1); /* not what is on trial */
    o = open_as(OTADATA_SEALED);
    assert_int_equal(otadata_confirm(&o, NULL), ERR_NONE);
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    assert_int_equal(efuse_secure_version(&efuse, &version, NULL), ERR_NONE);
    assert_int_equal(version, 3);
    /* whoever selects the old one now is not heard */
    assert_int_equal(otadata_set_boot(&o, 0, OTA_NEW, NULL), ERR_NONE);
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    assert_int_equal(c.index, 1);
    /* and nothing boots when nothing is high enough */
    assert_int_equal(efuse_raise(&efuse, 4, NULL), ERR_NONE);
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NOT_FOUND);
    /* more than the eFuse can say is not burnt, and does not keep the image from booting */
    put_desc(0x20000, 99);
    o = open_as(OTADATA_SEALED);
    assert_int_equal(otadata_set_boot(&o, 1, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    assert_int_equal(efuse_secure_version(&efuse, &version, NULL), ERR_NONE);
    assert_int_equal(version, 4);
}

static void the_test_pin_selects_the_test_application(void **state)
{
    struct port port = {{is_bootable}, false};
    struct bootloader b = {&ram.flash, &table, &port.port, OTADATA_SEALED, true, NULL, true};
    struct boot_choice c;
    (void)state;
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    assert_int_equal(c.index, BOOT_TEST);
    port.refuses = true;
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NOT_FOUND);
}

/* A sector that takes no record any more: the new image is not started without its guard, the old one boots. */
static void a_worn_sector_keeps_nobody_from_booting(void **state)
{
    struct port port = {{is_bootable}, false};
    struct boot_choice c;
    struct otadata o;
    (void)state;
    struct nor *n = nor_new(SIZE, NULL);
    struct bootloader b = {nor_flash(n), &table, &port.port, OTADATA_SEALED, true, NULL, false};
    assert_int_equal(otadata_open(&o, OTADATA_SEALED, nor_flash(n), &table, NULL), ERR_NONE);
    assert_int_equal(otadata_set_boot(&o, 0, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(otadata_set_boot(&o, 1, OTA_NEW, NULL), ERR_NONE);
    nor_forbid(n, 0, SIZE); /* counts, but does not prevent; the fault does */
    nor_plan(n, (struct nor_plan){0, NOR_STUCK, 9});
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    assert_true(c.index == 0 || c.index == 1);
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    assert_int_equal(boot_select(&b, &c, NULL), ERR_NONE);
    assert_int_equal(c.index, 0);
    nor_free(n);
}

/* --- the secure version ----------------------------------------------------------------------- */

static void the_counter_only_rises(void **state)
{
    struct efuse e = {{&ram.flash, 0xb000, 0x1000}, 9};
    uint32_t version;
    (void)state;
    for (uint32_t to = 0; to <= 9; to++) {
        assert_int_equal(efuse_raise(&e, to, NULL), ERR_NONE);
        assert_int_equal(efuse_raise(&e, to, NULL), ERR_NONE);
        assert_int_equal(efuse_secure_version(&e, &version, NULL), ERR_NONE);
        assert_int_equal(version, to);
    }
    assert_int_equal(efuse_raise(&e, 8, NULL), ERR_USAGE);
    assert_int_equal(efuse_raise(&e, 10, NULL), ERR_TOO_BIG);
    e.bits = 32;
    assert_int_equal(efuse_raise(&e, 32, NULL), ERR_NONE);
    assert_int_equal(efuse_secure_version(&e, &version, NULL), ERR_NONE);
    assert_int_equal(version, 32);
    /* one bit that fell by itself burns nothing */
    memset(bytes + 0xb000, 0xff, 0x1000);
    bytes[0xb100] = 0;
    assert_int_equal(efuse_secure_version(&e, &version, NULL), ERR_NONE);
    assert_int_equal(version, 0);
}

static enum err forget_program(struct flash *f, uint32_t at, struct bytes from, struct why *why)
{
    (void)f, (void)at, (void)from, (void)why;
    return ERR_NONE;
}

static void a_fuse_that_does_not_burn_is_told(void **state)
{
    struct flash_ops ops = *ram.flash.ops;
    struct efuse e = {{&ram.flash, 0xb000, 0x1000}, 16};
    struct why why = {{0}};
    (void)state;
    ops.program = forget_program;
    ram.flash.ops = &ops;
    assert_int_equal(efuse_raise(&e, 2, &why), ERR_FLASH);
    assert_non_null(strstr(why.text, "did not take"));
    set_up(state);
    for (long op = 0; op < 6; op++) {
        struct faulty_flash faulty;
        faulty_flash_init(&faulty, &ram.flash, op);
        e.flash.flash = &faulty.flash;
        assert_int_equal(efuse_raise(&e, 5, NULL), ERR_FLASH);
    }
}

/* --- signed slots ----------------------------------------------------------------------------- */

static struct buf signed_image(struct private_key *key)
{
    uint8_t elf[9000] = {0x7f, 'E', 'L', 'F'};
    struct buf image = {0};
    struct pack_options o = {"blinky", "1.0.0", "", "", 0, CHIP_LINUX};
    assert_int_equal(image_pack(&image, bytes_of(elf, sizeof elf), &o, NULL), ERR_NONE);
    if (key != NULL)
        assert_int_equal(signature_append(&image, key, SIGNATURE_NEW, NULL), ERR_NONE);
    return image;
}

static struct private_key *new_key(enum key_kind kind)
{
    struct buf pem = {0};
    struct private_key *key;
    assert_int_equal(private_key_generate(kind, &pem, NULL), ERR_NONE);
    assert_int_equal(private_key_open_pem(&key, buf_bytes(&pem), NULL), ERR_NONE);
    buf_deinit(&pem);
    return key;
}

static void a_slot_must_be_signed_when_that_is_asked(void **state)
{
    static const enum key_kind kinds[] = {KEY_P256, KEY_P384, KEY_RSA_3072};
    struct image_facts f;
    struct stretch slot = {&ram.flash, 0x10000, 0x10000};
    for (int k = 0; k < 3; k++) {
        struct private_key *key = new_key(kinds[k]), *other = new_key(kinds[k]);
        struct buf image = signed_image(key);
        struct slot_rules rules = {.chip = chip_find(CHIP_LINUX),
                                   .chip_revision = IMAGE_REVISION_UNKNOWN,
                                   .efuse_revision = IMAGE_REVISION_UNKNOWN,
                                   .needs_signature = true,
                                   .trusted_count = 1};
        struct key_digest signers[3];
        set_up(state);
        memcpy(bytes + 0x10000, image.at, image.len);
        assert_int_equal(signature_key_digest(&key->public_key, rules.trusted[0].bytes, NULL), ERR_NONE);
        assert_int_equal(slot_verify(slot, &rules, &f, NULL), ERR_NONE);
        assert_int_equal(slot_signers(slot, &f, signers, 3), 1);
        assert_memory_equal(signers[0].bytes, rules.trusted[0].bytes, 32);
        assert_int_equal(slot_signers(slot, &f, signers, 0), 0);
        rules.blocks = 1;
        assert_int_equal(slot_verify(slot, &rules, &f, NULL), ERR_NONE);
        bytes[0x10000 + f.image_len + 3] = 0; /* in the padding, which is signed */
        assert_int_equal(slot_verify(slot, &rules, &f, NULL), ERR_SIGNATURE);
        bytes[0x10000 + f.image_len + 3] = 0xff;
        assert_int_equal(signature_key_digest(&other->public_key, rules.trusted[0].bytes, NULL), ERR_NONE);
        assert_int_equal(slot_verify(slot, &rules, &f, NULL), ERR_SIGNATURE);
        struct stretch tight = {&ram.flash, 0x10000, (uint32_t)(image.len - 1) & ~4095u};
        assert_int_equal(slot_verify(tight, &rules, &f, NULL), ERR_SIGNATURE);
        assert_int_equal(slot_signers(tight, &f, signers, 3), 0);
        for (long op = 0; op < 7; op++) {
            struct faulty_flash faulty;
            faulty_flash_init(&faulty, &ram.flash, op);
            assert_int_equal(slot_verify((struct stretch){&faulty.flash, 0x10000, 0x10000}, &rules, &f, NULL),
                             ERR_FLASH);
        }
        buf_deinit(&image);
        private_key_close(key);
        private_key_close(other);
    }
}

/* ESP32-C2 keeps half of a key's digest. */
static void half_a_digest_is_enough_on_the_c2(void **state)
{
    uint8_t elf[9000] = {0x7f, 'E', 'L', 'F'};
    struct private_key *key = new_key(KEY_P256);
    struct buf image = {0};
    struct image_facts f;
    struct pack_options o = {"blinky", "1.0.0", "", "", 0, 0x000c};
    struct slot_rules rules = {.chip = chip_find(0x000c),
                               .chip_revision = IMAGE_REVISION_UNKNOWN,
                               .efuse_revision = IMAGE_REVISION_UNKNOWN,
                               .needs_signature = true,
                               .trusted_count = 1};
    (void)state;
    assert_int_equal(image_pack(&image, bytes_of(elf, sizeof elf), &o, NULL), ERR_NONE);
    assert_int_equal(signature_append(&image, key, SIGNATURE_NEW, NULL), ERR_NONE);
    memcpy(bytes + 0x10000, image.at, image.len);
    assert_int_equal(signature_key_digest(&key->public_key, rules.trusted[0].bytes, NULL), ERR_NONE);
    memset(rules.trusted[0].bytes + 16, 0, 16);
    assert_int_equal(slot_verify((struct stretch){&ram.flash, 0x10000, 0x10000}, &rules, &f, NULL), ERR_NONE);
    buf_deinit(&image);
    private_key_close(key);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup(test, set_up)
    const struct CMUnitTest tests[] = {
        ROW(sealed_records_are_the_chips_but_for_the_label),
        ROW(every_turned_bit_is_seen),
        ROW(records_without_a_seal_are_legal),
        ROW(no_torn_write_is_misread_even_by_the_chip),
        ROW(a_sector_is_tried_twice),
        ROW(spoilt_states_become_what_they_were),
        ROW(the_chips_own_steps_are_understood),
        ROW(what_cannot_be_known_is_on_trial_or_goes),
        ROW(a_slot_is_released_before_it_is_written),
        ROW(release_and_mend_tell_errors),
        ROW(anti_rollback_bars_what_is_below),
        ROW(the_test_pin_selects_the_test_application),
        ROW(a_worn_sector_keeps_nobody_from_booting),
        ROW(the_counter_only_rises),
        ROW(a_fuse_that_does_not_burn_is_told),
        ROW(a_slot_must_be_signed_when_that_is_asked),
        ROW(half_a_digest_is_enough_on_the_c2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
