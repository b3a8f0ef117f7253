/*
 * Every parser under libFuzzer, one program for each; FUZZ_TARGET picks it.  What was read must also hold together:
 * verdicts do not depend on chunks, what reads back writes the same.
 */
#include "base/buf.h"
#include "boot/boot.h"
#include "boot/dump.h"
#include "codec/crc.h"
#include "codec/csv.h"
#include "codec/encode.h"
#include "codec/json.h"
#include "flash/partition.h"
#include "fleet/query.h"
#include "fleet/rollout.h"
#include "image/encrypted.h"
#include "image/image.h"
#include "image/signature.h"
#include "nvs/nvs_csv.h"
#include "nvs/nvs_part.h"
#include "nvs/nvs_view.h"
#include "ota/ota.h"
#include "ota/stream.h"
#include "wire/command.h"
#include "wire/message.h"
#include "wire/stream_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_image(struct bytes in)
{
    struct image_facts whole, cut;
    struct image_reader r;
    enum err verdict = image_read(in, 0, &whole, NULL);
    image_reader_init(&r, 0);
    for (size_t at = 0, n = 1; at < in.len; at += n, n = n % 29 + 1)
        image_reader_push(&r, bytes_of(in.at + at, in.len - at < n ? in.len - at : n));
    must(image_reader_finish(&r, &cut, NULL) == verdict);
    must(cut.image_len == whole.image_len && cut.kind == whole.kind);
}

static void fuzz_json(struct bytes in)
{
    struct json *doc;
    if (json_parse(in, &doc, NULL) != ERR_NONE)
        return;
    char *text = json_dup_text(doc);
    json_free(doc);
    must(text != NULL);
    free(text);
}

static void fuzz_messages(struct bytes in)
{
    struct fetch_message fetch;
    struct status_report report, again;
    struct node_description node;
    char text[REPORT_SIZE];
    fetch_message_read(&fetch, in, NULL);
    node_description_read(&node, in, NULL);
    if (status_report_read(&report, in, NULL) != ERR_NONE)
        return;
    size_t len = status_report_write(text, &report);
    must(len > 0 && len < REPORT_SIZE);
    must(status_report_read(&again, bytes_of(text, len), NULL) == ERR_NONE && again.status == report.status &&
         !again.is_salvaged && strcmp(again.job_id, report.job_id) == 0);
}

/* The node's reading of otaurl, and of the metadata in it. */
static void fuzz_otaurl(struct bytes in)
{
    static struct job_offer offer;
    struct ota_terms terms;
    struct zone utc = {.has_summer = false};
    const char *text = NULL;
    int64_t delay_ms = 0;
    unsigned room = json_view_count(in);
    struct json_token *tokens = calloc(room ? room : 1, sizeof *tokens);
    const char *problem = job_offer_read(&offer, in, tokens, room, in.len % 2);
    must(problem == NULL ? offer.job_id[0] && offer.url[0] && offer.file_size >= 0
                         : strncmp(problem, "Aborted. ", 9) == 0);
    if (problem == NULL && offer.metadata[0]) {
        struct bytes metadata = bytes_of_text(offer.metadata);
        must(json_view_count(metadata) <= room);
        ota_terms_read(&terms, metadata, tokens, room);
        if (ota_check_terms(&terms, &utc, 1760000000, &text, &delay_ms) == OTA_GATE_LATER)
            must(text != NULL && delay_ms > 0);
    }
    free(tokens);
}

/* A node's parameters as written from outside: every member of every object, as every type. */
static void fuzz_params(struct bytes in)
{
    struct json_view v;
    char text[64];
    int64_t whole;
    double real;
    bool flag;
    unsigned room = json_view_count(in);
    struct json_token *tokens = calloc(room ? room : 1, sizeof *tokens);
    if (json_view_parse(&v, in, tokens, room))
        for (int object = 0; object < v.count; object++)
            for (int key = json_view_next_key(&v, object, -1); key >= 0; key = json_view_next_key(&v, object, key)) {
                json_view_text(&v, key, text, sizeof text);
                must(json_view_raw(&v, key + 1).len <= in.len);
                must(json_view_int(&v, key + 1, &whole) + json_view_bool(&v, key + 1, &flag) +
                         json_view_text(&v, key + 1, text, sizeof text) <=
                     1);
                json_view_double(&v, key + 1, &real);
            }
    free(tokens);
}

/* Blocks and requests of a stream: what reads back writes the same. */
static void fuzz_stream(struct bytes in)
{
    static uint8_t raw[16384];
    static const struct ota_stream_options options = {256, 8, 3, 1000};
    struct stream_block block, again;
    struct stream_request request, same;
    struct ota_stream s;
    uint32_t at = 0;
    if (stream_request_read(&request, in)) {
        size_t len = stream_request_write(raw, sizeof raw, &request);
        must(len == 0 || (stream_request_read(&same, bytes_of(raw, len)) && same.count == request.count));
    }
    if (!stream_block_read(&block, in))
        return;
    size_t len = stream_block_write(raw, sizeof raw, &block);
    must(len > 0 && stream_block_read(&again, bytes_of(raw, len)) && bytes_equal(again.data, block.data));
    ota_stream_begin(&s, &options, 5000, block.index % 20, 0);
    if (ota_stream_take(&s, &block, 1, &at) >= OTA_STREAM_WRITE)
        must(at + block.len <= 5000);
}

/* A zone's text; no moment is out of its reach. */
static void fuzz_zone(struct bytes in)
{
    struct zone zone;
    char text[100];
    size_t n = in.len < sizeof text - 1 ? in.len : sizeof text - 1;
    memcpy(text, in.at, n);
    text[n] = '\0';
    zone_parse(&zone, text);
    for (int64_t at = -4000000000; at < 8000000000; at += 123456789)
        must(zone_minute(&zone, at) >= 0 && zone_minute(&zone, at) < 1440);
}

static void as_text(char *to, size_t size, struct bytes in)
{
    size_t n = in.len < size - 1 ? in.len : size - 1;
    memcpy(to, in.at, n);
    to[n] = '\0';
}

/* A query that was read can be asked, and its contrary answers the contrary. */
static void fuzz_query(struct bytes in)
{
    static const struct node node = {.id = "n", .fw_version = "1.0", .tags = "a:b\n", .seen_at = 5};
    char text[QUERY_SIZE], contrary[QUERY_SIZE + 8];
    struct query q, not_q;
    as_text(text, sizeof text, in);
    if (query_read(&q, text, NULL) != ERR_NONE || q.count == 0)
        return;
    snprintf(contrary, sizeof contrary, "not (%s)", text);
    if (query_read(&not_q, contrary, NULL) == ERR_NONE)
        must(query_matches(&q, &node, NULL, 10) != query_matches(&not_q, &node, NULL, 10));
}

/* Whatever plan was read, its numbers stay in bounds. */
static void fuzz_rollout(struct bytes in)
{
    char text[PLAN_SIZE], why[100];
    struct rollout r;
    as_text(text, sizeof text, in);
    if (rollout_read(&r, text, NULL) != ERR_NONE)
        return;
    must(r.phase_count <= ROLLOUT_PHASES && r.abort_count <= ROLLOUT_ABORTS);
    for (int64_t n = 1; n < 100000000; n *= 7) {
        struct rollout_score s = {
            .audience = n, .started = n, .ended = n / 2, .succeeded = n / 3, .failures = {0, n / 9, n / 9}};
        for (unsigned p = 0; p <= r.phase_count; p++) {
            must(rollout_limit(&r, p, n) >= 0 && rollout_limit(&r, p, n) <= n);
            must(rollout_reach(&r, p, n) <= ROLLOUT_PLACES);
            rollout_gate_holds(&r, p, &s);
        }
        must(rollout_rate_now(&r, n, n / 2) >= 0);
        rollout_crossed(&r, &s, why, sizeof why);
    }
}

static void fuzz_streamjson(struct bytes in)
{
    struct stream_request r;
    struct stream_topic topic;
    uint8_t room[STREAM_BITMAP_MAX];
    char text[200], again[STREAM_TOPIC_SIZE];
    if (stream_request_read_json(&r, room, in))
        must(r.block_bytes > 0 && r.count > 0 && (r.bitmap.len == 0 || r.bitmap.len >= (r.count + 7) / 8));
    as_text(text, sizeof text, in);
    if (stream_topic_read(&topic, text) &&
        stream_topic_in(again, sizeof again, topic.kind, topic.form, topic.node_id, topic.stream_id))
        must(strcmp(text, again) == 0);
}

/* Fields lie one after the other in what was read, and the end is reached. */
static void fuzz_csv(struct bytes in)
{
    char *text = malloc(in.len + 1);
    must(text != NULL);
    memcpy(text, in.at, in.len);
    text[in.len] = '\0';
    const char *end = text + in.len, *before = text;
    bool is_last = false;
    for (char *at = text; *at;) {
        const char *field = csv_field(&at, &is_last);
        must(field >= before && at > before && at <= end && field + strlen(field) <= at);
        before = at;
    }
    free(text);
}

/* What was read says the same when it is written as a command and read again, its status aside. */
static void fuzz_command(struct bytes in)
{
    struct command c, again;
    struct buf text = {0};
    if (command_read(&c, in, NULL) != ERR_NONE)
        return;
    command_write(&text, &c);
    must(!text.is_failed && command_read(&again, buf_bytes(&text), NULL) == ERR_NONE);
    must(strcmp(c.request_id, again.request_id) == 0 && c.number == again.number && c.data_len == again.data_len &&
         memcmp(c.data, again.data, c.data_len) == 0);
    buf_deinit(&text);
}

static void fuzz_topic(struct bytes in)
{
    struct topic topic, again;
    char text[400], plain[TOPIC_SIZE];
    size_t n = in.len < sizeof text - 1 ? in.len : sizeof text - 1;
    memcpy(text, in.at, n);
    text[n] = '\0';
    if (!topic_parse(&topic, text))
        return;
    must(topic_write(plain, sizeof plain, topic.kind, topic.node_id, TOPIC_PLAIN));
    must(topic_parse(&again, plain) && again.kind == topic.kind && strcmp(again.node_id, topic.node_id) == 0);
}

/* Binary tables, and what is read must be written the same. */
static void fuzz_partition(struct bytes in)
{
    static struct partition_table table, again;
    uint8_t raw[PARTITION_TABLE_BYTES];
    char csv[PARTITION_CSV_SIZE];
    struct text text;
    if (partition_table_read(&table, in, 0, NULL) != ERR_NONE || table.count > PARTITIONS_MAX - 1)
        return;
    partition_table_check(&table, NULL, NULL);
    partition_table_write(&table, raw);
    must(partition_table_read(&again, bytes_of(raw, sizeof raw), 0, NULL) == ERR_NONE && again.count == table.count);
    text_init(&text, csv, sizeof csv);
    partition_table_write_csv(&table, &text);
    must(!text.is_cut);
    for (unsigned i = 0; i < table.count; i++)
        partition_warning(&table, i);
}

static const char *a_variable(void *context, const char *name)
{
    (void)context;
    return name[0] == 'A' ? "0x1000" : NULL;
}

/* The CSV of partition tables: what passes is a table that firmware takes, and its own CSV makes it again. */
static void fuzz_partition_csv(struct bytes in)
{
    static struct partition_table table, again;
    uint8_t raw[PARTITION_TABLE_BYTES], second[PARTITION_TABLE_BYTES];
    char csv[PARTITION_CSV_SIZE];
    struct text text;
    struct partition_options o = {.has_bootloader = true, .variable = a_variable, .extra_subtypes = "data,mine,0x77"};
    if (partition_table_read_csv(&table, in, &o, NULL) != ERR_NONE)
        return;
    partition_table_write(&table, raw);
    must(partition_table_read(&again, bytes_of(raw, sizeof raw), 0, NULL) == ERR_NONE && again.count == table.count);
    text_init(&text, csv, sizeof csv);
    partition_table_write_csv(&again, &text);
    /* A label may be anything but a separator; one that CSV reads otherwise is not written back. */
    for (unsigned i = 0; i < table.count; i++)
        if (strpbrk(table.entries[i].label, "#$\"\n\r\v\f\t ") != NULL || !table.entries[i].label[0])
            return;
    if (partition_table_read_csv(&again, bytes_of(csv, text.len), &o, NULL) != ERR_NONE)
        return; /* cut labels may now be equal, offsets out of order */
    partition_table_write(&again, second);
    must(memcmp(raw, second, sizeof raw) == 0);
}

#define NVS_BYTES (4 * FLASH_SECTOR_BYTES)

/* The view repairs nothing and believes nothing. */
static void look_at(struct bytes part)
{
    static struct nvs_view view;
    struct buf csv = {0};
    must(nvs_view_init(&view, part, NULL) == ERR_NONE);
    for (unsigned i = 0; i < view.pages; i++) {
        struct nvs_view_page page;
        nvs_view_page(&view, i, &page);
        must(page.written + page.erased + page.empty == NVS_ENTRIES);
    }
    for (struct nvs_item item = {0}; nvs_view_next(&view, &item);) {
        struct buf value = {0};
        if (nvs_view_value(&view, &item, &value, NULL) == ERR_NONE)
            must(value.len == item.len);
        buf_deinit(&value);
    }
    nvs_view_write_csv(&view, &csv, NULL);
    buf_deinit(&csv);
}

static void fuzz_nvs(struct bytes in)
{
    static uint8_t flash[NVS_BYTES];
    struct flash_ram ram;
    struct nvs_part nvs;
    uint8_t value[256];
    size_t len;
    memset(flash, 0xff, sizeof flash);
    /* An input of whole pages is taken as it is.  Else the pages' beginnings are interleaved, and their CRCs made
     * right, so that small inputs reach far. */
    bool is_whole = in.len >= FLASH_SECTOR_BYTES;
    for (size_t i = 0; i < in.len && i < NVS_BYTES; i++)
        flash[is_whole ? i : i % 4 * FLASH_SECTOR_BYTES + i / 4] = in.at[i];
    for (unsigned page = 0; !is_whole && page < 4; page++) {
        uint8_t *p = flash + page * FLASH_SECTOR_BYTES;
        put_u32(p + 28, nvs_header_crc(p));
        for (unsigned i = 0; i < 8; i++)
            put_u32(p + 64 + i * 32 + 4, nvs_entry_crc(p + 64 + i * 32));
    }
    look_at(bytes_of(flash, NVS_BYTES));
    flash_ram_init(&ram, flash, sizeof flash);
    if (nvs_part_mount(&nvs, (struct stretch){&ram.flash, 0, NVS_BYTES}, NULL) != ERR_NONE)
        return;
    nvs_part_read(&nvs, "space", "key", NVS_BLOB_DATA, value, sizeof value, &len, NULL);
    if (nvs_part_write(&nvs, "space", "key", NVS_TEXT, bytes_of("value", 6), NULL) != ERR_NONE)
        return;
    must(nvs_part_mount(&nvs, (struct stretch){&ram.flash, 0, NVS_BYTES}, NULL) == ERR_NONE);
    must(nvs_part_read(&nvs, "space", "key", NVS_TEXT, value, sizeof value, &len, NULL) == ERR_NONE && len == 6);
}

/* NVS tables: what is made is read, by the view and by firmware's own code. */
static void fuzz_nvs_csv(struct bytes in)
{
    static struct nvs_maker maker;
    static struct nvs_view view;
    static uint8_t flash[8 * FLASH_SECTOR_BYTES];
    struct flash_ram ram;
    struct nvs_part nvs;
    must(nvs_maker_init(&maker, flash, sizeof flash, in.len % 7 == 0 ? NVS_VERSION_1 : NVS_VERSION_2, NULL) ==
         ERR_NONE);
    enum err err = nvs_csv_make(&maker, in, NULL, NULL);
    must(nvs_view_init(&view, bytes_of(flash, sizeof flash), NULL) == ERR_NONE);
    for (struct nvs_item item = {0}; nvs_view_next(&view, &item);) {
        struct buf value = {0};
        must(item.is_right);
        enum err whole = nvs_view_value(&view, &item, &value, NULL);
        must(whole == ERR_NONE || err != ERR_NONE || item.type == NVS_BLOB_INDEX); /* names may be given twice */
        buf_deinit(&value);
    }
    flash_ram_init(&ram, flash, sizeof flash);
    must(nvs_part_mount(&nvs, (struct stretch){&ram.flash, 0, sizeof flash}, NULL) == ERR_NONE);
}

/* Two records of 32 bytes, their CRCs made right when the input says so: the bootloader decides and ends. */
static void fuzz_otadata(struct bytes in)
{
    static uint8_t flash[2 * FLASH_SECTOR_BYTES];
    struct flash_ram ram;
    struct otadata o;
    struct otadata_choice first, second;
    memset(flash, 0xff, sizeof flash);
    for (size_t i = 2; i < in.len && i < 66; i++)
        flash[(i - 2) / 32 * FLASH_SECTOR_BYTES + (i - 2) % 32] = in.at[i];
    for (unsigned i = 0; in.len > 1 && i < 2; i++)
        if (in.at[0] & 1 << i)
            put_u32(flash + i * FLASH_SECTOR_BYTES + 28,
                    crc32_of(CRC32_ESP_INIT, bytes_of(flash + i * FLASH_SECTOR_BYTES, 4)));
    unsigned slots = in.len > 1 ? in.at[1] % 17 : 2;
    bool has_factory = in.len > 0 && (in.at[0] & 4) != 0, has_rollback = in.len > 0 && (in.at[0] & 8) != 0;
    enum otadata_rules rules = in.len > 0 && (in.at[0] & 16) != 0 ? OTADATA_SEALED : OTADATA_CHIP;
    flash_ram_init(&ram, flash, sizeof flash);
    struct stretch s = {&ram.flash, 0, sizeof flash};
    must(otadata_open_at(&o, rules, s, slots, NULL) == ERR_NONE);
    otadata_choose(&o, has_factory, has_rollback, &first);
    must(first.index == BOOT_FACTORY || first.index == 0 || first.index < (int)slots);
    must(!has_rollback || slots == 0 || o.records[0].state != OTA_NEW || otadata_active(&o) != 0);
    /* What was read back is what was written; a record on trial is taken back by the next start. */
    must(otadata_open_at(&o, rules, s, slots, NULL) == ERR_NONE);
    otadata_choose(&o, has_factory, has_rollback, &second);
    must(!second.has_rolled_back || has_rollback);
    if (slots > 0) {
        unsigned slot = in.len > 1 ? in.at[1] / 17u % slots : 0;
        enum err err = otadata_set_boot(&o, slot, OTA_NEW, NULL);
        int active = otadata_active(&o);
        if (err == ERR_NONE)
            must(active >= 0 && otadata_slot(&o, (unsigned)active) == slot);
        else
            must(err == ERR_NO_SPACE && o.records[active].seq > 0xffffffe0u);
    }
}

/* A file that ends in a signature sector: its blocks' CRCs are made right, so that keys and numbers are reached. */
static void fuzz_signature(struct bytes in)
{
    size_t len = 2 * SIGNATURE_SECTOR_LEN;
    uint8_t *file = malloc(len);
    struct signature_report r;
    struct key_digest trusted[SIGNATURE_BLOCKS_MAX];
    memset(file, 0xff, len);
    if (in.len > 0)
        memcpy(file + SIGNATURE_SECTOR_LEN, in.at, in.len < SIGNATURE_SECTOR_LEN ? in.len : SIGNATURE_SECTOR_LEN);
    for (unsigned i = 0; i < SIGNATURE_BLOCKS_MAX; i++) {
        uint8_t *block = file + SIGNATURE_SECTOR_LEN + i * SIGNATURE_BLOCK_LEN;
        if (block[2 + i] != 0x5a)
            put_u32(block + 1196, crc32_of(0, bytes_of(block, 1196)));
    }
    signature_read(&r, bytes_of(file, len), 0);
    enum err verdict = signature_verify(&r, NULL, NULL);
    for (unsigned i = 0; i < r.count; i++) {
        struct why why;
        memcpy(trusted[i].bytes, r.blocks[i].key_digest, SHA256_LEN);
        signature_verify(&r, &r.blocks[i].key, &why);
        must(!r.is_right[i] || r.is_digest_right[i]);
    }
    enum err boot = signature_check_sector(file + SIGNATURE_SECTOR_LEN, &r.digest, trusted, r.count, 3, 32, NULL);
    must(r.version == 0 || verdict != ERR_NONE || boot == ERR_NONE);
    free(file);
}

/* Encrypted images: chunks do not matter, and what does not open gives an error at its end. */
static void fuzz_encrypted(struct bytes in)
{
    static const uint8_t scalar[32] = {1, 2, 3};
    struct private_key *key;
    struct encrypted_reader whole, cut;
    uint8_t *first = malloc(in.len + 1), *second = malloc(in.len + 1);
    size_t first_len, second_len = 0, n;
    must(private_key_open_scalar(&key, scalar, NULL) == ERR_NONE);
    encrypted_reader_init(&whole, key);
    enum err err = encrypted_reader_push(&whole, in, first, &first_len, NULL);
    enum err verdict = encrypted_reader_finish(&whole, NULL);
    encrypted_reader_init(&cut, key);
    enum err other = ERR_NONE;
    for (size_t at = 0, step = 1; at < in.len && other == ERR_NONE; at += step, step = step % 200 + 1) {
        other = encrypted_reader_push(&cut, bytes_of(in.at + at, in.len - at < step ? in.len - at : step),
                                      second + second_len, &n, NULL);
        second_len += n;
    }
    must(encrypted_reader_finish(&cut, NULL) == verdict);
    must(err == other && (err != ERR_NONE || (first_len == second_len && memcmp(first, second, first_len) == 0)));
    private_key_close(key);
    free(first);
    free(second);
}

/* Dumps: the pieces cover everything once. */
static void fuzz_dump(struct bytes in)
{
    static uint8_t flash[0x20000];
    static struct dump d;
    memset(flash, 0xff, sizeof flash);
    if (in.len > 0)
        memcpy(flash + 0x8000, in.at, in.len < PARTITION_TABLE_BYTES ? in.len : PARTITION_TABLE_BYTES);
    flash[0] = in.len > 2 ? in.at[in.len - 1] : 0;
    if (dump_open(&d, bytes_of(flash, sizeof flash), NULL, NULL) != ERR_NONE)
        return;
    uint64_t end = d.base;
    for (unsigned i = 0; i < d.count; i++) {
        const struct dump_piece *p = &d.pieces[i];
        must(p->at == end || (p->at > end && end >= d.base + sizeof flash)); /* a partition behind the dump's end */
        must(p->len <= p->size_bytes && strchr(p->name, '/') == NULL && p->name[0] != '.');
        end = (uint64_t)p->at + p->size_bytes;
        must(dump_bytes(&d, p).len == p->len);
    }
    must(end >= d.base + sizeof flash);
}

static void fuzz_base64(struct bytes in)
{
    uint8_t *to = malloc(in.len + 3); /* enough for both decodings */
    char *text = malloc(BASE64_SIZE(in.len));
    size_t len;
    base64_decode(to, &len, in, BASE64_STANDARD);
    base64_encode(text, in, BASE64_URL);
    must(base64_decode(to, &len, bytes_of_text(text), BASE64_URL) && len == in.len && memcmp(to, in.at, len) == 0);
    free(to);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FUZZ_TARGET(bytes_of(data, size));
    return 0;
}
