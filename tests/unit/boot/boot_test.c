#include "boot/boot.h"
#include "faults.h"
#include "test.h"

#define SIZE 0x400000u

static const char table_csv[] =
    "nvs,data,nvs,0x9000,0x6000\notadata,data,ota,0xf000,0x2000\nfactory,app,factory,0x20000,1M\n"
    "ota_0,app,ota_0,0x120000,1M\nota_1,app,ota_1,0x220000,1M\n";
static const char no_factory_csv[] =
    "otadata,data,ota,0x9000,0x2000\nota_0,app,ota_0,0x20000,1M\nota_1,app,ota_1,0x120000,1M\n";

struct rig {
    uint8_t *bytes;
    struct flash_ram ram;
    struct partition_table table;
    struct boot_port port;
    const char *bad; /* label of a slot whose image is broken, "" for none, "*" for all */
};

static bool is_bootable(struct boot_port *port, const struct partition *slot)
{
    struct rig *r = (struct rig *)(void *)((char *)port - offsetof(struct rig, port));
    return strcmp(r->bad, "*") != 0 && strcmp(slot->label, r->bad) != 0;
}

static void prepare(struct rig *r, const char *csv)
{
    memset(r->bytes, 0xff, SIZE);
    flash_ram_init(&r->ram, r->bytes, SIZE);
    assert_int_equal(partition_table_read_csv(&r->table, bytes_of_text(csv), NULL, NULL), ERR_NONE);
    r->port.is_bootable = is_bootable;
    r->bad = "";
}

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    r->bytes = malloc(SIZE);
    prepare(r, table_csv);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    free(((struct rig *)*state)->bytes);
    free(*state);
    return 0;
}

static int boot(struct rig *r)
{
    struct boot_choice c;
    assert_int_equal(
        boot_select(&(struct bootloader){&r->ram.flash, &r->table, &r->port, OTADATA_SEALED, true, NULL, false}, &c,
                    NULL),
        ERR_NONE);
    return c.index;
}

static struct otadata otadata(struct rig *r)
{
    struct otadata o;
    assert_int_equal(otadata_open(&o, OTADATA_SEALED, &r->ram.flash, &r->table, NULL), ERR_NONE);
    return o;
}

static void set_boot(struct rig *r, unsigned slot)
{
    struct otadata o = otadata(r);
    assert_int_equal(otadata_set_boot(&o, slot, OTA_NEW, NULL), ERR_NONE);
}

static void confirm(struct rig *r)
{
    struct otadata o = otadata(r);
    assert_int_equal(otadata_confirm(&o, NULL), ERR_NONE);
}

static void blank_otadata_boots_factory(void **state)
{
    assert_int_equal(boot(*state), BOOT_FACTORY);
}

static void without_factory_the_first_slot_boots_and_is_written_valid(void **state)
{
    struct rig *r = *state;
    prepare(r, no_factory_csv);
    assert_int_equal(boot(r), 0);
    struct otadata o = otadata(r);
    assert_int_equal(o.records[0].seq, 1);
    assert_int_equal(o.records[0].state, OTA_VALID);
}

static void a_confirmed_update_stays(void **state)
{
    struct rig *r = *state;
    set_boot(r, 0);
    assert_int_equal(boot(r), 0);
    assert_int_equal(otadata(r).records[0].state, OTA_PENDING_VERIFY);
    confirm(r);
    assert_int_equal(boot(r), 0);
    set_boot(r, 1);
    assert_int_equal(boot(r), 1);
    confirm(r);
    assert_int_equal(boot(r), 1);
    set_boot(r, 0);
    assert_int_equal(boot(r), 0);
    assert_int_equal(otadata(r).records[0].seq, 3);
}

static void a_reset_on_trial_rolls_back(void **state)
{
    struct rig *r = *state;
    struct boot_choice c;
    set_boot(r, 0);
    boot(r);
    confirm(r);
    set_boot(r, 1);
    assert_int_equal(boot(r), 1);
    assert_int_equal(
        boot_select(&(struct bootloader){&r->ram.flash, &r->table, &r->port, OTADATA_SEALED, true, NULL, false}, &c,
                    NULL),
        ERR_NONE);
    assert_int_equal(c.index, 0);
    assert_true(c.has_rolled_back);
    assert_int_equal(otadata(r).records[1].state, OTA_ABORTED);
    assert_int_equal(boot(r), 0);
}

static void giving_up_rolls_back(void **state)
{
    struct rig *r = *state;
    set_boot(r, 0);
    boot(r);
    struct otadata o = otadata(r);
    assert_int_equal(otadata_give_up(&o, NULL), ERR_NONE);
    assert_int_equal(boot(r), BOOT_FACTORY);
}

static void a_broken_image_falls_through_and_otadata_stays(void **state)
{
    struct rig *r = *state;
    struct boot_choice c;
    set_boot(r, 1);
    boot(r);
    confirm(r);
    r->bad = "ota_1";
    assert_int_equal(
        boot_select(&(struct bootloader){&r->ram.flash, &r->table, &r->port, OTADATA_SEALED, true, NULL, false}, &c,
                    NULL),
        ERR_NONE);
    assert_int_equal(c.wanted, 1);
    assert_int_equal(c.index, 0);
    assert_int_equal(otadata_active(&(struct otadata){
                         otadata(r).flash, OTADATA_SEALED, 2, {otadata(r).records[0], otadata(r).records[1]}}),
                     0);
    r->bad = "*";
    assert_int_equal(
        boot_select(&(struct bootloader){&r->ram.flash, &r->table, &r->port, OTADATA_SEALED, true, NULL, false}, &c,
                    NULL),
        ERR_NOT_FOUND);
}

/* Arduino ships otadata whose second entry has sequence 0 and a CRC that fits. */
static void sequence_zero_is_valid_but_loses(void **state)
{
    struct rig *r = *state;
    struct otadata o = otadata(r);
    assert_int_equal(otadata_write(&o, 0, 1, OTA_UNDEFINED, NULL), ERR_NONE);
    assert_int_equal(otadata_write(&o, 1, 0, OTA_UNDEFINED, NULL), ERR_NONE);
    assert_true(ota_record_is_valid(&o.records[1]));
    assert_int_equal(boot(r), 0);
}

static void golden_otadata_is_understood(void **state)
{
    struct rig *r = *state;
    struct buf arduino = fixture("flash/arduino-boot_app0.bin"), blank = fixture("flash/ota_data_initial.bin");
    memcpy(r->bytes + 0xf000, arduino.at, 0x2000);
    assert_int_equal(boot(r), 0);
    memcpy(r->bytes + 0xf000, blank.at, 0x2000);
    assert_int_equal(boot(r), BOOT_FACTORY);
    buf_deinit(&arduino);
    buf_deinit(&blank);
}

/* Whatever two records say, something boots and never an image on its second trial. */
static void every_pair_of_records_boots_something(void **state)
{
    static const uint32_t seqs[] = {0, 1, 2, 3, 7, 0xfffffffe, 0xffffffff};
    static const int states[] = {OTA_NEW, OTA_PENDING_VERIFY, OTA_VALID, OTA_INVALID, OTA_ABORTED, OTA_UNDEFINED, 77};
    struct rig *r = *state;
    for (unsigned i = 0; i < 7 * 7 * 7 * 7; i++) {
        memset(r->bytes + 0xf000, 0xff, 0x2000);
        struct otadata o = otadata(r);
        otadata_write(&o, 0, seqs[i % 7], (enum ota_state)states[i / 7 % 7], NULL);
        otadata_write(&o, 1, seqs[i / 49 % 7], (enum ota_state)states[i / 343], NULL);
        boot(r);
        o = otadata(r);
        int active = otadata_active(&o);
        bool is_new = active >= 0 && o.records[active].state == OTA_NEW;
        assert_false(is_new); /* a new image is on trial before it starts */
        boot(r);              /* the other one may be new, too, and gets its trial */
        boot(r);
        o = otadata(r);
        assert_true(o.records[0].state != OTA_PENDING_VERIFY && o.records[1].state != OTA_PENDING_VERIFY);
    }
}

/* An update with the power cut at each flash operation of set_boot, of the boots and of the confirmation. */
static void no_cut_bricks_and_no_cut_confirms(void **state)
{
    struct rig *r = *state;
    static uint8_t start[0x2000];
    set_boot(r, 0);
    boot(r);
    confirm(r);
    memcpy(start, r->bytes + 0xf000, sizeof start);
    for (int torn = 0; torn < 2; torn++)
        for (long ops = 0; ops < 14; ops++) {
            struct flash_cut cut;
            struct otadata o;
            struct boot_choice c = {.index = BOOT_NONE};
            memcpy(r->bytes + 0xf000, start, sizeof start);
            flash_cut_init(&cut, &r->ram.flash, ops, torn);
            bool is_confirmed = false;
            if (otadata_open(&o, OTADATA_SEALED, &cut.flash, &r->table, NULL) == ERR_NONE &&
                otadata_set_boot(&o, 1, OTA_NEW, NULL) == ERR_NONE &&
                boot_select(&(struct bootloader){&cut.flash, &r->table, &r->port, OTADATA_SEALED, true, NULL, false},
                            &c, NULL) == ERR_NONE &&
                c.index == 1 && otadata_open(&o, OTADATA_SEALED, &cut.flash, &r->table, NULL) == ERR_NONE)
                is_confirmed = otadata_confirm(&o, NULL) == ERR_NONE;
            int first = boot(r), second = boot(r), third = boot(r);
            assert_int_equal(second, third); /* it settles */
            assert_true(first == 0 || first == 1);
            if (is_confirmed)
                assert_int_equal(third, 1);
            else
                assert_int_equal(third, 0); /* unconfirmed: the old one again */
        }
}

/* --- faults ----------------------------------------------------------------------------------- */

typedef enum err act(struct otadata *o);

static enum err act_set(struct otadata *o)
{
    return otadata_set_boot(o, 1, OTA_NEW, NULL);
}

static enum err act_confirm(struct otadata *o)
{
    return otadata_confirm(o, NULL);
}

static enum err act_give_up(struct otadata *o)
{
    return otadata_give_up(o, NULL);
}

static enum err act_erase(struct otadata *o)
{
    return otadata_erase(o, NULL);
}

/* Whatever operation fails, the failure is told; with none failing, the act is done. */
static void every_flash_error_is_told(void **state)
{
    static act *const acts[] = {act_set, act_confirm, act_give_up, act_erase};
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        for (long op = 0;; op++) {
            struct faulty_flash faulty;
            struct otadata o;
            prepare(r, table_csv);
            set_boot(r, 0);
            boot(r); /* on trial now */
            faulty_flash_init(&faulty, &r->ram.flash, op);
            enum err err = otadata_open(&o, OTADATA_SEALED, &faulty.flash, &r->table, NULL);
            if (err == ERR_NONE)
                err = acts[i](&o);
            if (err == ERR_NONE) {
                assert_true(op >= 3);
                break;
            }
            assert_int_equal(err, ERR_FLASH);
        }
    for (long op = 0;; op++) {
        struct faulty_flash faulty;
        struct boot_choice c;
        prepare(r, no_factory_csv);
        faulty_flash_init(&faulty, &r->ram.flash, op);
        enum err err = boot_select(
            &(struct bootloader){&faulty.flash, &r->table, &r->port, OTADATA_SEALED, true, NULL, false}, &c, NULL);
        if (err == ERR_NONE)
            break;
        assert_int_equal(err, ERR_FLASH);
    }
}

/* A flash that keeps other bits than it was given. */
static enum err program_wrong(struct flash *f, uint32_t at, struct bytes from, struct why *why)
{
    struct faulty_flash *faulty = (struct faulty_flash *)f;
    return faulty->under->ops->program(faulty->under, at, bytes_of(from.at, from.len - 1), why);
}

static void what_was_written_is_read_back(void **state)
{
    struct rig *r = *state;
    struct faulty_flash wrong;
    struct otadata o;
    struct why why;
    faulty_flash_init(&wrong, &r->ram.flash, -1);
    struct flash_ops ops = *wrong.flash.ops;
    ops.program = program_wrong;
    wrong.flash.ops = &ops;
    assert_int_equal(otadata_open(&o, OTADATA_SEALED, &wrong.flash, &r->table, NULL), ERR_NONE);
    assert_int_equal(otadata_set_boot(&o, 0, OTA_NEW, &why), ERR_FLASH);
    assert_non_null(strstr(why.text, "differs"));
}

static void questions_without_an_answer(void **state)
{
    struct rig *r = *state;
    struct otadata o;
    struct boot_choice c;
    enum ota_state s;
    uint8_t small[4096];
    struct flash_ram ram;
    flash_ram_init(&ram, small, sizeof small);
    assert_int_equal(otadata_open_at(&o, OTADATA_SEALED, (struct stretch){&ram.flash, 0, sizeof small}, 2, NULL),
                     ERR_FORMAT);
    o = otadata(r);
    assert_int_equal(otadata_confirm(&o, NULL), ERR_NOT_FOUND);
    assert_int_equal(otadata_set_boot(&o, 2, OTA_NEW, NULL), ERR_USAGE);
    assert_int_equal(otadata_set_boot(&o, 1, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(otadata_confirm(&o, NULL), ERR_NONE); /* is valid already: nothing is written */
    o.slots = 0;
    assert_int_equal(otadata_confirm(&o, NULL), ERR_NOT_FOUND);
    assert_int_equal(otadata_slot(&o, 0), 0);
    r->bad = "*";
    assert_int_equal(
        boot_select(&(struct bootloader){&r->ram.flash, &r->table, &r->port, OTADATA_SEALED, true, NULL, false}, &c,
                    NULL),
        ERR_NOT_FOUND);
    assert_string_equal(ota_state_text(4), "aborted");
    assert_string_equal(ota_state_text(5), "unknown");
    assert_string_equal(ota_state_text(0xffffffff), "undefined");
    assert_true(ota_state_find("pending-verify", &s) && s == OTA_PENDING_VERIFY);
    assert_true(ota_state_find("undefined", &s) && s == OTA_UNDEFINED);
    assert_false(ota_state_find("what", &s));
}

/* A table without otadata boots its factory application, one with a test application that as the last of all. */
static void tables_of_other_kinds_boot_too(void **state)
{
    struct rig *r = *state;
    prepare(r, "nvs,data,nvs,,24K\nfactory,app,factory,,1M\n");
    assert_int_equal(boot(r), BOOT_FACTORY);
    prepare(r, "otadata,data,ota,,8K\nota_0,app,ota_0,,512K\ntest,app,test,,512K\n");
    r->bad = "ota_0";
    assert_int_equal(boot(r), BOOT_TEST);
    prepare(r, "otadata,data,ota,,8K\nfactory,app,factory,,512K\n"); /* no slot at all */
    assert_int_equal(boot(r), BOOT_FACTORY);
}

/* Without rollback the states NEW and PENDING_VERIFY mean nothing, and nothing is written. */
static void a_bootloader_without_rollback_writes_nothing(void **state)
{
    struct rig *r = *state;
    struct otadata o;
    struct otadata_choice c;
    set_boot(r, 1);
    uint8_t before[0x2000];
    memcpy(before, r->bytes + 0xf000, sizeof before);
    o = otadata(r);
    otadata_choose(&o, true, false, &c);
    assert_int_equal(c.index, 1);
    assert_memory_equal(before, r->bytes + 0xf000, sizeof before);
    /* Records whose CRC is wrong, but which are neither blank nor refused: factory, even if there is none. */
    r->bytes[0xf000 + 28] ^= 1;
    o = otadata(r);
    otadata_choose(&o, false, true, &c);
    assert_int_equal(c.index, BOOT_FACTORY);
    assert_false(c.is_initial);
}

/* Every pair of records that can lie there, and what is active: the larger sequence, the first of two equal ones. */
static void every_pair_of_records_has_one_answer(void **state)
{
    static const uint32_t seqs[] = {0, 1, 2, 7, 0xfffffffe, 0xffffffff};
    static const uint32_t states[] = {0, 1, 2, 3, 4, 0xffffffff, 77};
    (void)state;
    for (unsigned i = 0; i < 6 * 7 * 2; i++)
        for (unsigned k = 0; k < 6 * 7 * 2; k++) {
            struct otadata o = {.slots = 2,
                                .records = {{.seq = seqs[i % 6], .state = states[i / 6 % 7], .is_sound = i >= 42},
                                            {.seq = seqs[k % 6], .state = states[k / 6 % 7], .is_sound = k >= 42}}};
            bool first = seqs[i % 6] != 0xffffffff && states[i / 6 % 7] != 3 && states[i / 6 % 7] != 4 && i >= 42;
            bool second = seqs[k % 6] != 0xffffffff && states[k / 6 % 7] != 3 && states[k / 6 % 7] != 4 && k >= 42;
            int expected = first && second ? (seqs[k % 6] > seqs[i % 6]) : first ? 0 : second ? 1 : -1;
            assert_int_equal(otadata_active(&o), expected);
        }
}

/* Sequence numbers as old tools and other firmware left them. */
static void odd_records_have_their_slots(void **state)
{
    struct rig *r = *state;
    struct otadata o;
    struct otadata_choice c;
    prepare(r, "otadata,data,ota,,8K\nota_0,app,ota_0,,512K\nota_1,app,ota_1,,512K\nota_2,app,ota_2,,512K\n");
    o = otadata(r);
    assert_int_equal(otadata_write(&o, 0, 0, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(otadata_slot(&o, 0), 0); /* 0xffffffff modulo 3 */
    assert_int_equal(otadata_set_boot(&o, 2, OTA_NEW, NULL), ERR_NONE);
    assert_int_equal(o.records[1].seq, 3); /* not 0, which would lose against the old one */
    o.slots = 0;
    otadata_choose(&o, true, true, &c);
    assert_int_equal(c.index, BOOT_FACTORY);
    otadata_choose(&o, false, true, &c);
    assert_int_equal(c.index, 0);
    assert_false(c.is_initial);
    /* Refused records are not initial contents: nothing is written for the slot that boots then. */
    prepare(r, no_factory_csv);
    o = otadata(r);
    assert_int_equal(otadata_write(&o, 0, 1, OTA_ABORTED, NULL), ERR_NONE);
    otadata_choose(&o, false, true, &c);
    assert_false(c.is_initial);
    assert_int_equal(otadata_write(&o, 1, 2, OTA_INVALID, NULL), ERR_NONE);
    otadata_choose(&o, false, true, &c);
    assert_false(c.is_initial);
    o.records[0].is_sound = false;
    otadata_choose(&o, false, true, &c);
    assert_false(c.is_initial);
    o.records[1].is_sound = false;
    otadata_choose(&o, false, true, &c);
    assert_true(c.is_initial);
}

/* Numbers near their end: the next one is computed, not counted up to, and the end is told. */
static void sequence_numbers_have_an_end(void **state)
{
    struct rig *r = *state;
    struct otadata o = otadata(r);
    struct why why;
    assert_int_equal(otadata_write(&o, 0, 0xfffffff1, OTA_VALID, NULL), ERR_NONE); /* ota_0 */
    assert_int_equal(otadata_set_boot(&o, 1, OTA_NEW, NULL), ERR_NONE);
    assert_int_equal(o.records[1].seq, 0xfffffff2);
    assert_int_equal(otadata_write(&o, 0, 0xfffffffd, OTA_VALID, NULL), ERR_NONE);
    assert_int_equal(otadata_set_boot(&o, 1, OTA_NEW, NULL), ERR_NONE);
    assert_int_equal(o.records[1].seq, 0xfffffffe);
    assert_int_equal(otadata_set_boot(&o, 0, OTA_NEW, &why), ERR_NO_SPACE);
    assert_non_null(strstr(why.text, "erase"));
    assert_int_equal(otadata_set_boot(&o, 1, OTA_VALID, NULL), ERR_NONE); /* in place, as ever */
}

/* Against the rule as it is written down: counting up from the slot's first number. */
static void the_next_number_is_the_first_that_fits(void **state)
{
    struct rig *r = *state;
    (void)r;
    for (unsigned slots = 1; slots <= 16; slots++)
        for (uint32_t seq = 1; seq < 70; seq++)
            for (unsigned slot = 0; slot < slots; slot++) {
                uint8_t bytes[0x2000];
                struct flash_ram ram;
                struct otadata o;
                memset(bytes, 0xff, sizeof bytes);
                flash_ram_init(&ram, bytes, sizeof bytes);
                assert_int_equal(
                    otadata_open_at(&o, OTADATA_SEALED, (struct stretch){&ram.flash, 0, sizeof bytes}, slots, NULL),
                    ERR_NONE);
                assert_int_equal(otadata_write(&o, 0, seq, OTA_VALID, NULL), ERR_NONE);
                assert_int_equal(otadata_set_boot(&o, slot, OTA_NEW, NULL), ERR_NONE);
                uint32_t expected = (slot + 1) % slots;
                while (expected < seq)
                    expected += slots;
                bool is_in_place = (seq - 1) % slots == slot;
                assert_int_equal(o.records[is_in_place ? 0 : 1].seq, is_in_place ? seq : expected);
            }
}

static void falling_through_goes_up_when_down_is_nothing(void **state)
{
    struct rig *r = *state;
    prepare(r, no_factory_csv);
    r->bad = "ota_0";
    assert_int_equal(boot(r), 1);
    struct otadata o = otadata(r);
    assert_int_equal(o.records[0].seq, 2); /* blank records: the slot that booted is written down */
    prepare(r, "otadata,data,ota,,8K\nota_0,app,ota_0,,512K\nota_1,app,ota_1,,512K\nota_2,app,ota_2,,512K\ntest,app,"
               "test,,512K\n");
    r->bad = "ota_0";
    assert_int_equal(boot(r), 1);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(odd_records_have_their_slots),
        WITH_RIG(sequence_numbers_have_an_end),
        WITH_RIG(the_next_number_is_the_first_that_fits),
        WITH_RIG(falling_through_goes_up_when_down_is_nothing),
        WITH_RIG(every_flash_error_is_told),
        WITH_RIG(what_was_written_is_read_back),
        WITH_RIG(questions_without_an_answer),
        WITH_RIG(tables_of_other_kinds_boot_too),
        WITH_RIG(a_bootloader_without_rollback_writes_nothing),
        WITH_RIG(every_pair_of_records_has_one_answer),
        WITH_RIG(blank_otadata_boots_factory),
        WITH_RIG(without_factory_the_first_slot_boots_and_is_written_valid),
        WITH_RIG(a_confirmed_update_stays),
        WITH_RIG(a_reset_on_trial_rolls_back),
        WITH_RIG(giving_up_rolls_back),
        WITH_RIG(a_broken_image_falls_through_and_otadata_stays),
        WITH_RIG(sequence_zero_is_valid_but_loses),
        WITH_RIG(golden_otadata_is_understood),
        WITH_RIG(every_pair_of_records_boots_something),
        WITH_RIG(no_cut_bricks_and_no_cut_confirms),
    };
    return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
