#include "boot/boot.h"
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
    assert_int_equal(boot_select(&r->ram.flash, &r->table, &r->port, &c, NULL), ERR_NONE);
    return c.index;
}

static struct otadata otadata(struct rig *r)
{
    struct otadata o;
    assert_int_equal(otadata_open(&o, &r->ram.flash, &r->table, NULL), ERR_NONE);
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
    assert_int_equal(boot_select(&r->ram.flash, &r->table, &r->port, &c, NULL), ERR_NONE);
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
    assert_int_equal(boot_select(&r->ram.flash, &r->table, &r->port, &c, NULL), ERR_NONE);
    assert_int_equal(c.wanted, 1);
    assert_int_equal(c.index, 0);
    assert_int_equal(
        otadata_active(&(struct otadata){otadata(r).flash, 2, {otadata(r).records[0], otadata(r).records[1]}}), 0);
    r->bad = "*";
    assert_int_equal(boot_select(&r->ram.flash, &r->table, &r->port, &c, NULL), ERR_NOT_FOUND);
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
        for (long ops = 0; ops < 12; ops++) {
            struct flash_cut cut;
            struct otadata o;
            struct boot_choice c = {.index = BOOT_NONE};
            memcpy(r->bytes + 0xf000, start, sizeof start);
            flash_cut_init(&cut, &r->ram.flash, ops, torn);
            bool is_confirmed = false;
            if (otadata_open(&o, &cut.flash, &r->table, NULL) == ERR_NONE &&
                otadata_set_boot(&o, 1, OTA_NEW, NULL) == ERR_NONE &&
                boot_select(&cut.flash, &r->table, &r->port, &c, NULL) == ERR_NONE && c.index == 1 &&
                otadata_open(&o, &cut.flash, &r->table, NULL) == ERR_NONE)
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

int main(void)
{
#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
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
