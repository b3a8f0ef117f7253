/* User mapping: the message that says to whom the node belongs, kept until the broker has it. */
#include "rmaker/rmaker_model.h"

#include "esp_log.h"

#include <stdlib.h>
#include <string.h>

#define RESET_USER   "esp-rmaker"
#define RESET_SECRET "failed"

#define MAPPING (rmaker_context.mapping)

static void forget(void)
{
    free(MAPPING.user_id);
    free(MAPPING.secret_key);
    MAPPING.user_id = MAPPING.secret_key = NULL;
}

static void finish(void *arg)
{
    (void)arg;
    if (MAPPING.state != ESP_RMAKER_USER_MAPPING_REQ_SENT)
        return; /* of a message that a newer one has replaced */
    rmaker_model_lock();
    bool is_reset = MAPPING.user_id != NULL && strcmp(MAPPING.user_id, RESET_USER) == 0;
    forget();
    rmaker_model_unlock();
    MAPPING.state = is_reset ? ESP_RMAKER_USER_MAPPING_RESET : ESP_RMAKER_USER_MAPPING_DONE;
    if (!is_reset)
        esp_event_post(RMAKER_EVENT, RMAKER_EVENT_USER_NODE_MAPPING_DONE, NULL, 0, portMAX_DELAY);
}

/* False when there is nothing to say. */
static bool write_mapping(struct buf *to)
{
    struct json_out out;
    rmaker_model_lock();
    bool is_there = MAPPING.user_id != NULL;
    if (is_there) {
        json_out_init(&out, to);
        json_out_object(&out, NULL);
        json_out_text(&out, "node_id", rmaker_context.node_id);
        json_out_text(&out, "user_id", MAPPING.user_id);
        json_out_text(&out, "secret_key", MAPPING.secret_key);
        if (strcmp(MAPPING.user_id, RESET_USER) == 0)
            json_out_bool(&out, "reset", true);
        json_out_end_object(&out);
    }
    rmaker_model_unlock();
    return is_there && !to->is_failed;
}

static void publish(void *arg)
{
    struct buf text = {0};
    (void)arg;
    if (esp_rmaker_is_mqtt_connected() && write_mapping(&text) &&
        rmaker_publish_for(TOPIC_USER_MAPPING, buf_bytes(&text), finish, NULL))
        MAPPING.state = ESP_RMAKER_USER_MAPPING_REQ_SENT;
    buf_deinit(&text);
}

esp_err_t esp_rmaker_start_user_node_mapping(char *user_id, char *secret_key)
{
    if (user_id == NULL || secret_key == NULL)
        return ESP_ERR_INVALID_ARG;
    char *user = strdup(user_id), *secret = strdup(secret_key);
    if (user == NULL || secret == NULL) {
        free(user), free(secret);
        return ESP_ERR_NO_MEM;
    }
    rmaker_model_lock();
    forget();
    MAPPING.user_id = user;
    MAPPING.secret_key = secret;
    rmaker_model_unlock();
    MAPPING.state = ESP_RMAKER_USER_MAPPING_STARTED;
    return esp_rmaker_is_mqtt_connected() ? esp_rmaker_work_queue_add_task(publish, NULL) : ESP_OK;
}

esp_err_t esp_rmaker_reset_user_node_mapping(void)
{
    char user[] = RESET_USER, secret[] = RESET_SECRET;
    esp_err_t err = esp_rmaker_start_user_node_mapping(user, secret);
    if (err == ESP_OK)
        esp_event_post(RMAKER_EVENT, RMAKER_EVENT_USER_NODE_MAPPING_RESET, NULL, 0, 0);
    return err;
}

esp_rmaker_user_mapping_state_t esp_rmaker_user_node_mapping_get_state(void)
{
    return MAPPING.state;
}

void rmaker_mapping_connected(void)
{
    publish(NULL);
}
