/*
 * Every parser under libFuzzer, one program for each; FUZZ_TARGET picks it.  What was read must also hold together:
 * verdicts do not depend on chunks, what reads back writes the same.
 */
#include "base/buf.h"
#include "boot/boot.h"
#include "codec/encode.h"
#include "codec/json.h"
#include "flash/partition.h"
#include "image/image.h"
#include "nvs/nvs_part.h"
#include "wire/message.h"

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
    struct job_document doc;
    struct fetch_message fetch;
    struct status_report report, again;
    struct node_description node;
    struct buf text = {0};
    if (job_document_read(&doc, in, NULL) == ERR_NONE)
        job_document_deinit(&doc);
    fetch_message_read(&fetch, in, NULL);
    node_description_read(&node, in, NULL);
    if (status_report_read(&report, in, NULL) != ERR_NONE)
        return;
    must(status_report_write(&text, &report, NULL) == ERR_NONE);
    if (text.len <= 199)
        must(status_report_read(&again, buf_bytes(&text), NULL) == ERR_NONE && again.status == report.status);
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

static void fuzz_partition(struct bytes in)
{
    static struct partition_table table, again;
    uint8_t raw[PARTITION_TABLE_BYTES];
    partition_table_read(&table, in, 0, NULL);
    if (partition_table_read_csv(&table, in, NULL, NULL) != ERR_NONE)
        return;
    partition_table_write(&table, raw);
    must(partition_table_read(&again, bytes_of(raw, sizeof raw), 0, NULL) == ERR_NONE && again.count == table.count);
}

#define NVS_BYTES (4 * FLASH_SECTOR_BYTES)

static void fuzz_nvs(struct bytes in)
{
    static uint8_t flash[NVS_BYTES];
    struct flash_ram ram;
    struct nvs_part nvs;
    uint8_t value[256];
    size_t len;
    memset(flash, 0xff, sizeof flash);
    /* Header and bitmap of each page are where the input begins, so that small inputs reach far. */
    for (size_t i = 0; i < in.len && i < NVS_BYTES; i++)
        flash[i % 4 * FLASH_SECTOR_BYTES + i / 4] = in.at[i];
    flash_ram_init(&ram, flash, sizeof flash);
    if (nvs_part_mount(&nvs, (struct stretch){&ram.flash, 0, NVS_BYTES}, NULL) != ERR_NONE)
        return;
    nvs_part_read(&nvs, "space", "key", NVS_BLOB_DATA, value, sizeof value, &len, NULL);
    if (nvs_part_write(&nvs, "space", "key", NVS_TEXT, bytes_of("value", 6), NULL) != ERR_NONE)
        return;
    must(nvs_part_mount(&nvs, (struct stretch){&ram.flash, 0, NVS_BYTES}, NULL) == ERR_NONE);
    must(nvs_part_read(&nvs, "space", "key", NVS_TEXT, value, sizeof value, &len, NULL) == ERR_NONE && len == 6);
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
