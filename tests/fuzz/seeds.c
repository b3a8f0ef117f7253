/* Writes well-formed inputs for the fuzzers, so that they begin behind the first checks.  All are made here: no file of
 * somebody else's is among them. */
#include "base/text.h"
#include "boot/boot.h"
#include "codec/crc.h"
#include "image/encrypted.h"
#include "image/image.h"
#include "image/pack.h"
#include "image/signature.h"
#include "nvs/nvs_csv.h"
#include "wire/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *folder;

static void put(const char *target, const char *name, struct bytes data)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data.at, 1, data.len, f) != data.len || fclose(f) != 0) {
        fprintf(stderr, "cannot write %s\n", path);
        exit(1);
    }
}

static void must(enum err err)
{
    if (err != ERR_NONE) {
        fprintf(stderr, "%s\n", err_text(err));
        exit(1);
    }
}

static void images(void)
{
    uint8_t elf[200] = "\x7f"
                       "ELF";
    struct buf image = {0};
    struct pack_options o = {"p", "1", "", "", 0, CHIP_LINUX};
    must(image_pack(&image, bytes_of(elf, sizeof elf), &o, NULL));
    put("image", "packed", buf_bytes(&image));
    image.at[23] = 0;
    put("image", "no-hash", bytes_of(image.at, image.len - 32));
    image.at[12] = 0x0d; /* a chip whose descriptor counts */
    image.at[13] = 0;
    image.at[26] = 0x00;
    image.at[27] = 0x42;
    put("image", "mapped", bytes_of(image.at, image.len - 32));
    buf_deinit(&image);
    /* ESP8266: one segment in memory, one mapped, and the image with a part for irom */
    static const uint8_t v1[] = {0xe9, 1, 0, 0x40, 4, 0, 0x10, 0x40, 0, 0, 0x10, 0x40, 4, 0, 0, 0,
                                 1,    2, 3, 4,    0, 0, 0,    0,    0, 0, 0,    0,    0, 0, 0, 0xeb};
    static const uint8_t v3[] = {0xe9, 1, 0, 0x40, 4, 0, 0x10, 0x40, 0, 0, 0x21, 0x40, 4, 0, 0, 0,
                                 1,    2, 3, 4,    0, 0, 0,    0,    0, 0, 0,    0,    0, 0, 0, 0xeb};
    static const uint8_t v2[] = {0xea, 4, 0, 0, 4,    0,    0x10, 0x40, 0,    0,    0, 0, 16,   0, 0, 0,    9,
                                 9,    9, 9, 9, 9,    9,    9,    9,    9,    9,    9, 9, 9,    9, 9, 0xe9, 1,
                                 0,    0, 4, 0, 0x10, 0x40, 0,    0,    0x10, 0x40, 4, 0, 0,    0, 1, 2,    3,
                                 4,    0, 0, 0, 0,    0,    0,    0,    0,    0,    0, 0, 0xeb, 0, 0, 0,    0};
    put("image", "esp8266-v1", bytes_of(v1, sizeof v1));
    put("image", "esp8266-v2", bytes_of(v2, sizeof v2));
    put("image", "esp8266-v3", bytes_of(v3, sizeof v3));
}

static void signatures(void)
{
    static const char *const names[] = {"", "rsa", "p192", "p256", "p384"};
    for (unsigned kind = KEY_RSA_3072; kind <= KEY_P384; kind++) {
        struct buf pem = {0}, file = {0};
        struct private_key *key;
        uint8_t erased[SIGNATURE_SECTOR_LEN];
        memset(erased, 0xff, sizeof erased);
        buf_add(&file, erased, sizeof erased); /* the harness's content */
        must(private_key_generate((enum key_kind)kind, &pem, NULL));
        must(private_key_open_pem(&key, buf_bytes(&pem), NULL));
        must(signature_append(&file, key, SIGNATURE_NEW, NULL));
        put("signature", names[kind], bytes_of(file.at + 4096, 1216));
        private_key_close(key);
        buf_deinit(&file);
        buf_deinit(&pem);
    }
}

static void encrypted(void)
{
    static const uint8_t scalar[32] = {1, 2, 3}; /* the harness's key */
    struct private_key *key;
    struct entropy entropy;
    struct buf sealed = {0};
    entropy_system_init(&entropy);
    must(private_key_open_scalar(&key, scalar, NULL));
    must(encrypted_make(&sealed, bytes_of_text("a plain image"), &key->public_key, &entropy, NULL));
    put("encrypted", "sealed", buf_bytes(&sealed));
    private_key_close(key);
    buf_deinit(&sealed);
}

static void tables(void)
{
    static const char csv[] =
        "# Name, Type, SubType, Offset, Size, Flags\nnvs,data,nvs,0x9000,24K,\notadata,data,ota,,8K\n"
        "app,app,factory,,0x1_0000,encrypted:readonly\nota_0,app,ota_0,,-1M\nb,bootloader,primary,,\n"
        "t,partition_table,primary\nx,0x40,mine,,${A}\ny,data,mine,,$A\n";
    struct partition_table t;
    uint8_t raw[PARTITION_TABLE_BYTES];
    struct partition_options o = {.has_bootloader = true};
    put("partition_csv", "table", bytes_of_text(csv));
    put("partition_csv", "utf16",
        bytes_of("\xff\xfe"
                 "a\0,\0001\0,\0002\0,\0,\0002\0004\0K\0\n\0",
                 22));
    must(partition_table_read_csv(&t, bytes_of(csv, (size_t)(strstr(csv, "\nx,") - csv) + 1), &o, NULL));
    partition_table_write(&t, raw);
    put("partition", "table", bytes_of(raw, 32 * 10));
    put("dump", "table", bytes_of(raw, 32 * 10));
    t.has_md5 = false;
    partition_table_write(&t, raw);
    put("partition", "no-md5", bytes_of(raw, 32 * 10));
    put("dump", "no-md5", bytes_of(raw, 32 * 10));
}

static void partitions(void)
{
    static const char csv[] =
        "key,type,encoding,value\n# a comment\nspace,namespace,,\nu,data,u8,255\ni,data,i64,-9\n"
        "key,data,string,\"two \"\"words\"\",\nmore\"\nh,data,hex2bin,00ff\nb,data,base64,aGVsbG8=\n"
        "p,data,binary,plain\nf,data,blob_fill(5000;0xbb),\ns,data,blob_sz_fill(9;1),\n";
    static struct nvs_maker m;
    static uint8_t bytes[4 * 4096];
    put("nvs_csv", "table", bytes_of_text(csv));
    must(nvs_maker_init(&m, bytes, sizeof bytes, NVS_VERSION_2, NULL));
    must(nvs_csv_make(&m, bytes_of_text(csv), NULL, NULL));
    put("nvs", "whole", bytes_of(bytes, 8192));
    uint8_t mixed[2048];
    for (unsigned i = 0; i < sizeof mixed; i++)
        mixed[i] = bytes[i % 4 * 4096 + i / 4];
    put("nvs", "interleaved", bytes_of(mixed, sizeof mixed));
}

static void records(void)
{
    uint8_t raw[66];
    memset(raw, 0xff, sizeof raw);
    raw[0] = 3 + 8;
    raw[1] = 2;
    put_u32(raw + 2, 1);
    put_u32(raw + 2 + 24, 2);
    put_u32(raw + 34, 2);
    put_u32(raw + 34 + 24, 0);
    put("otadata", "new", bytes_of(raw, sizeof raw));
    raw[0] = 7;
    put_u32(raw + 34 + 24, 1);
    put("otadata", "pending", bytes_of(raw, sizeof raw));
}

static void streams(void)
{
    static const uint8_t bits[2] = {0xff, 0x0f};
    uint8_t raw[600], data[256] = {7};
    size_t len = stream_request_write(raw, sizeof raw, &(struct stream_request){1, 4096, 16, 12, {bits, 2}});
    put("stream", "request", bytes_of(raw, len));
    len = stream_block_write(raw, sizeof raw, &(struct stream_block){1, 3, 256, {data, 256}});
    put("stream", "block", bytes_of(raw, len));
}

static void words(void)
{
    put("json", "document", bytes_of_text("{\"a\":[1,2.5,true,null,\"\\u00e4\"]}"));
    put("messages", "job",
        bytes_of_text("{\"ota_job_id\":\"x\",\"url\":\"https://h/i\",\"file_size\":9,\"fw_version\":\"1\"}"));
    put("messages", "status",
        bytes_of_text("{\"ota_job_id\":\"x\",\"status\":\"success\",\"additional_info\":\"ok\"}"));
    put("topic", "plain", bytes_of_text("node/n1/otastatus"));
    put("topic", "basic", bytes_of_text("$aws/rules/esp_node_otastatus/node/n1/otastatus"));
    put("otaurl", "job",
        bytes_of_text(
            "{\"ota_job_id\":\"J\",\"url\":\"https:\\/\\/h/i?a=1\",\"file_size\":9,\"fw_version\":\"1\",\"file_md5\":"
            "\"d41d8cd98f00b204e9800998ecf8427e\",\"stream_id\":\"s\",\"metadata\":{\"download_window\":{\"start\":"
            "120,\"end\":270},\"validity\":{\"start\":1,\"end\":1803961000},\"esp.ota.target\":\"host_mcu\"}}"));
    put("params", "write",
        bytes_of_text("{\"OTA\":{\"URL\":\"https://h/"
                      "i\"},\"Light\":{\"Power\":true,\"Hue\":12,\"T\":-1.5e3,\"O\":{\"a\":[1]}}}"));
    put("zone", "european", bytes_of_text("CET-1CEST,M3.5.0,M10.5.0/3"));
    put("zone", "odd", bytes_of_text("<-03>3:30<-02>,J60/-2,299/25:00:01"));
    put("query", "rule", bytes_of_text("node_type: Light && node_model: X || !(tag ~ \"a:*\" and seen < 7d)"));
    put("query", "list", bytes_of_text("online and platform in (esp32, 'esp32c3') and not fw_version >= 1.2.0-rc1"));
    put("rollout", "all",
        bytes_of_text("phase 1% success 95% ended 70% soak 1h; phase 500 nodes; rate 50/min x1.5 every 9 succeeded max "
                      "9/s; abort any 5% min 2 sequential pause; in-flight 2; bytes 5M/s; retry 3 backoff 10m"));
    put("streamjson", "request", bytes_of_text("{\"f\":1,\"l\":4096,\"o\":0,\"b\":\"//8=\",\"n\":16}"));
    put("streamjson", "topic", bytes_of_text("$aws/things/n1/streams/J1/get/json"));
    put("csv", "list", bytes_of_text("node_id,certs,qrcode\r\nn1,\"a\nb\",\"{\"\"ver\"\":1}\"\r\n"));
    put("command", "poll", bytes_of((const uint8_t *)"\1\0\3\1\0\5\2\0\0", 9));
    put("command", "answer", bytes_of((const uint8_t *)"\1\2ab\3\1\0\5\2\2\1\6\2ok", 15));
    put("base64", "text", bytes_of_text("aGVsbG8="));
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "Usage: fuzz-seeds FOLDER\n");
        return 64;
    }
    folder = argv[1];
    mkdir(folder, 0777);
    images();
    streams();
    signatures();
    encrypted();
    tables();
    partitions();
    records();
    words();
    return 0;
}
