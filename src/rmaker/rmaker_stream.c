/* One attempt to download over MQTT (device specification 6): the mind is ota/stream.h, this sends, writes and waits.
 */
#include "rmaker/rmaker.h"

#include "base/text.h"
#include "esp_app_format.h"
#include "esp_log.h"
#include "esp_ota_ops.h"
#include "freertos/task.h"
#include "ota/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_WAIT_MS 60000
#define CONNECT_POLL_MS 500
#define SECTOR          4096
#define HEAD_BYTES      (sizeof(esp_image_header_t) + sizeof(esp_image_segment_header_t) + sizeof(esp_app_desc_t))

static const char *const tag = "esp_rmaker_mqtt_ota";

static const struct ota_stream_options options = {
    .block_bytes = CONFIG_ESP_RMAKER_MQTT_OTA_BLOCK_SIZE,
    .batch_blocks = CONFIG_ESP_RMAKER_MQTT_OTA_NO_OF_BLOCKS,
    .retries_max = CONFIG_ESP_RMAKER_MQTT_OTA_MAX_RETRIES,
    .wait_ms = CONFIG_ESP_RMAKER_MQTT_OTA_BLOCK_WAIT_SEC * 1000,
};

struct message {
    uint8_t *at; /* on the heap; NULL: the server refuses the stream */
    size_t len;
};

struct run {
    const esp_rmaker_ota_data_t *data;
    struct ota_stream stream;
    QueueHandle_t inbox;
    const esp_partition_t *slot;
    esp_ota_handle_t ota;
    bool is_open, can_resume;
    char data_topic[STREAM_TOPIC_SIZE], rejected_topic[STREAM_TOPIC_SIZE], get_topic[STREAM_TOPIC_SIZE];
    char *text;
    size_t size;
};

static int64_t now_ms(void)
{
    return esp_timer_get_time() / 1000;
}

static esp_err_t failed(struct run *r, const char *what, esp_err_t err)
{
    snprintf(r->text, r->size, "%s: %s", what, esp_err_to_name(err));
    return ESP_FAIL;
}

static esp_err_t say(struct run *r, esp_err_t err, const char *text)
{
    text_copy(r->text, r->size, text);
    return err;
}

/* --- messages --------------------------------------------------------------------------------- */

/* A full inbox drops the message: its block is asked for again. */
static void on_block(const char *topic, void *payload, size_t payload_len, void *priv_data)
{
    struct message m = {malloc(payload_len + 1), payload_len};
    (void)topic;
    if (m.at == NULL)
        return;
    memcpy(m.at, payload, payload_len);
    if (xQueueSend((QueueHandle_t)priv_data, &m, 0) != pdTRUE)
        free(m.at);
}

static void on_rejected(const char *topic, void *payload, size_t payload_len, void *priv_data)
{
    struct message none = {NULL, 0};
    (void)payload;
    ESP_LOGE(tag, "%s: %u bytes", topic, (unsigned)payload_len);
    xQueueSend((QueueHandle_t)priv_data, &none, 0);
}

static bool subscribe(struct run *r)
{
    const char *node = rmaker_context.node_id, *id = r->data->stream_id;
    return stream_topic_write(r->get_topic, sizeof r->get_topic, STREAM_GET, node, id) &&
           stream_topic_write(r->data_topic, sizeof r->data_topic, STREAM_DATA, node, id) &&
           stream_topic_write(r->rejected_topic, sizeof r->rejected_topic, STREAM_REJECTED, node, id) &&
           esp_rmaker_mqtt_subscribe(r->rejected_topic, on_rejected, RMAKER_MQTT_QOS1, r->inbox) == ESP_OK &&
           esp_rmaker_mqtt_subscribe(r->data_topic, on_block, RMAKER_MQTT_QOS1, r->inbox) == ESP_OK;
}

static void unsubscribe(struct run *r)
{
    struct message m;
    esp_rmaker_mqtt_unsubscribe(r->data_topic);
    esp_rmaker_mqtt_unsubscribe(r->rejected_topic);
    while (xQueueReceive(r->inbox, &m, 0) == pdTRUE)
        free(m.at);
}

static bool send_request(struct run *r)
{
    uint8_t raw[STREAM_REQUEST_SIZE];
    struct stream_request request;
    ota_stream_request(&r->stream, &request, now_ms());
    size_t len = stream_request_write(raw, sizeof raw, &request);
    return len > 0 && rmaker_publish_request(r->get_topic, bytes_of(raw, len));
}

/* --- position --------------------------------------------------------------------------------- */

static uint32_t stored_position(struct run *r)
{
    char md5[65];
    if (!r->can_resume)
        return 0;
    rmaker_store_get_text(KEY_STREAM_MD5, md5, sizeof md5);
    if (strcmp(md5, r->data->file_md5) != 0 || rmaker_store_get_number(KEY_STREAM_BLOCK) != options.block_bytes ||
        rmaker_store_get_number(KEY_SLOT) != r->slot->address)
        return 0;
    return ota_stream_resume_block(rmaker_store_get_number(KEY_STREAM_BLOCKS), options.block_bytes, SECTOR);
}

/* The position is 0 while the identity changes, so it is never taken for another file's. */
static void store_identity(struct run *r)
{
    if (!r->can_resume)
        return;
    rmaker_store_set_number(KEY_STREAM_BLOCKS, 0);
    rmaker_store_set_text(KEY_STREAM_MD5, r->data->file_md5);
    rmaker_store_set_number(KEY_STREAM_BLOCK, options.block_bytes);
    rmaker_store_set_number(KEY_SLOT, r->slot->address);
}

static void forget_position(void)
{
    rmaker_store_erase(KEY_STREAM_BLOCKS);
    rmaker_store_erase(KEY_STREAM_MD5);
    rmaker_store_erase(KEY_STREAM_BLOCK);
}

/* --- the run ---------------------------------------------------------------------------------- */

static esp_err_t open_slot(struct run *r, uint32_t at_block)
{
    uint32_t at = at_block * options.block_bytes, size = (uint32_t)r->data->filesize;
    if (size > r->slot->size)
        return failed(r, "ESP MQTT OTA Begin failed", ESP_ERR_INVALID_SIZE);
    esp_err_t err = at == 0 ? esp_ota_begin(r->slot, size, &r->ota) : esp_ota_resume(r->slot, size - at, at, &r->ota);
    r->is_open = err == ESP_OK;
    if (err == ESP_OK && at > 0)
        err = esp_partition_erase_range(r->slot, at, (size - at + SECTOR - 1) / SECTOR * SECTOR);
    return err == ESP_OK ? ESP_OK : failed(r, "ESP MQTT OTA Begin failed", err);
}

/* The head of the file: whose it is, and for which chip.  Nothing is erased before that is known. */
static esp_err_t look_at_header(struct run *r, struct bytes head)
{
    esp_image_header_t header;
    esp_app_desc_t desc;
    memcpy(&header, head.at, sizeof header);
    memcpy(&desc, head.at + HEAD_BYTES - sizeof desc, sizeof desc);
    if (desc.magic_word != ESP_APP_DESC_MAGIC_WORD)
        return failed(r, "Failed to read image description", ESP_FAIL);
    if (esp_ota_check_image_validity(ESP_PARTITION_TYPE_APP, &header, NULL) != ESP_OK)
        return say(r, ESP_ERR_INVALID_VERSION, "Chip revision mismatch");
    if (!rmaker_attempt_header(&desc))
        return ESP_ERR_INVALID_VERSION;
    esp_err_t err = open_slot(r, 0);
    if (err == ESP_OK) {
        store_identity(r);
        ota_stream_accept_header(&r->stream, now_ms());
    }
    return err;
}

static esp_err_t take_block(struct run *r, struct bytes payload)
{
    struct stream_block block;
    uint32_t at;
    if (!stream_block_read(&block, payload)) {
        ESP_LOGW(tag, "A message of %u bytes is no block", (unsigned)payload.len);
        return ESP_OK;
    }
    enum ota_stream_verdict verdict = ota_stream_take(&r->stream, &block, now_ms(), &at);
    if (verdict == OTA_STREAM_HEADER_HERE)
        return look_at_header(r, block.data);
    if (verdict == OTA_STREAM_IGNORED)
        return ESP_OK;
    esp_err_t err = esp_ota_write_with_offset(r->ota, block.data.at, block.data.len, at);
    if (err != ESP_OK)
        return failed(r, "OTA failed", err);
    if (verdict == OTA_STREAM_BATCH_DONE && r->can_resume)
        rmaker_store_set_number(KEY_STREAM_BLOCKS, ota_stream_position(&r->stream));
    int64_t here = (int64_t)(r->stream.first + r->stream.here) * options.block_bytes;
    return rmaker_attempt_goes_on(here < r->data->filesize ? here : r->data->filesize, r->data->filesize, r->text,
                                  r->size)
               ? ESP_OK
               : ESP_FAIL;
}

/* Until a message comes or the stream's patience ends. */
static esp_err_t wait_for_block(struct run *r)
{
    struct message m;
    int64_t wait = r->stream.deadline_ms - now_ms();
    if (wait > CONNECT_POLL_MS)
        wait = CONNECT_POLL_MS; /* to notice a lost connection */
    if (xQueueReceive(r->inbox, &m, wait > 0 ? pdMS_TO_TICKS(wait) : 0) == pdTRUE) {
        if (m.at == NULL)
            return say(r, ESP_FAIL, "OTA failed: the server refuses the stream");
        esp_err_t err = take_block(r, bytes_of(m.at, m.len));
        free(m.at);
        return err;
    }
    if (!esp_rmaker_is_mqtt_connected())
        return say(r, ESP_FAIL, "OTA failed: MQTT disconnected");
    ota_stream_tick(&r->stream, now_ms());
    return rmaker_attempt_goes_on(-1, 0, r->text, r->size) ? ESP_OK : ESP_FAIL;
}

static esp_err_t fetch_blocks(struct run *r)
{
    esp_err_t err = ESP_OK;
    while (err == ESP_OK && r->stream.state < OTA_STREAM_DONE) {
        if (r->stream.wants_request && !send_request(r))
            return say(r, ESP_FAIL, "OTA failed: a request cannot be published");
        err = wait_for_block(r);
    }
    if (err == ESP_OK && r->stream.state == OTA_STREAM_FAILED)
        return say(r, ESP_FAIL,
                   r->is_open ? "OTA failed: ESP_ERR_TIMEOUT" : "Failed to read image description: ESP_ERR_TIMEOUT");
    return err;
}

static esp_err_t finish(struct run *r)
{
    forget_position();
    rmaker_ota_tell(&(struct ota_event){.kind = OTA_ALL_RECEIVED});
    if (!rmaker_attempt_verify(r->data, r->slot, (size_t)r->data->filesize, r->text, r->size))
        return ESP_FAIL;
    r->is_open = false; /* esp_ota_end() closes it in any case */
    rmaker_ota_tell(&(struct ota_event){.kind = OTA_IMAGE_GOOD});
    esp_err_t err = esp_ota_end(r->ota);
    if (err == ESP_ERR_OTA_VALIDATE_FAILED)
        return say(r, ESP_FAIL, "Image validation failed");
    if (err == ESP_OK)
        err = esp_ota_set_boot_partition(r->slot);
    return err == ESP_OK ? ESP_OK : failed(r, "OTA finish failed", err);
}

/* The head lies in flash already; it is looked at again, since this may be another firmware than the one that began. */
static esp_err_t go_on_at(struct run *r, uint32_t at_block)
{
    esp_app_desc_t desc;
    if (esp_ota_get_partition_description(r->slot, &desc) != ESP_OK)
        return failed(r, "Failed to read image description", ESP_FAIL);
    ESP_LOGI(tag, "Resuming at block %u of %u", (unsigned)at_block, (unsigned)r->stream.block_count);
    return rmaker_attempt_header(&desc) ? open_slot(r, at_block) : ESP_ERR_INVALID_VERSION;
}

static esp_err_t run_stream(struct run *r)
{
    uint32_t at = stored_position(r);
    ota_stream_begin(&r->stream, &options, (uint32_t)r->data->filesize, at, now_ms());
    if (!subscribe(r))
        return say(r, ESP_FAIL, "OTA failed: the stream's topics cannot be subscribed");
    esp_err_t err = r->stream.state == OTA_STREAM_BLOCKS ? go_on_at(r, at) : ESP_OK;
    if (err == ESP_OK)
        err = fetch_blocks(r);
    return err == ESP_OK ? finish(r) : err;
}

static bool wait_for_connection(struct run *r)
{
    for (int waited = 0; waited < CONNECT_WAIT_MS && !esp_rmaker_is_mqtt_connected(); waited += CONNECT_POLL_MS) {
        vTaskDelay(pdMS_TO_TICKS(CONNECT_POLL_MS));
        if (!rmaker_attempt_goes_on(-1, 0, r->text, r->size))
            return false;
    }
    return esp_rmaker_is_mqtt_connected();
}

esp_err_t rmaker_stream_attempt(const esp_rmaker_ota_data_t *data, char *text, size_t size)
{
    struct run *r = calloc(1, sizeof *r);
    if (r == NULL)
        return rmaker_attempt_failed(text, size, "ESP MQTT OTA Begin failed", ESP_ERR_NO_MEM);
    *r = (struct run){.data = data, .slot = esp_ota_get_next_update_partition(NULL), .text = text, .size = size};
    esp_err_t err;
    if (data->stream_id == NULL || data->filesize <= 0)
        err = say(r, ESP_FAIL, "Missing stream_id or filesize for MQTT OTA");
    else if (r->slot == NULL)
        err = failed(r, "ESP MQTT OTA Begin failed", ESP_ERR_NOT_FOUND);
    else if (!wait_for_connection(r))
        err = say(r, ESP_FAIL, "MQTT not connected");
    else {
        r->can_resume = data->file_md5 != NULL && strlen(data->file_md5) < 65;
        r->inbox = xQueueCreate(options.batch_blocks + 2, sizeof(struct message));
        err = r->inbox != NULL ? run_stream(r) : failed(r, "ESP MQTT OTA Begin failed", ESP_ERR_NO_MEM);
    }
    if (r->inbox != NULL) {
        unsubscribe(r);
        vQueueDelete(r->inbox);
    }
    if (r->is_open)
        esp_ota_abort(r->ota);
    free(r);
    return err;
}
