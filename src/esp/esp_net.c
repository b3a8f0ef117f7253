/* Network, Wi-Fi, network time and pins: what the host has, as far as OTA code asks for it. */
#include "esp/esp.h"
#include "esp/include/driver/gpio.h"
#include "esp/include/esp_mac.h"
#include "esp/include/esp_sntp.h"
#include "esp/include/esp_wifi.h"
#include "esp/include/protocol_examples_common.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

ESP_EVENT_DEFINE_BASE(IP_EVENT);
ESP_EVENT_DEFINE_BASE(WIFI_EVENT);

struct esp_netif_obj {
    const char *name;
};

static struct {
    struct esp_netif_obj station;
    wifi_ps_type_t power_save;
    sntp_sync_time_cb_t on_time;
    bool has_time;
} net = {.station = {"sta"}, .power_save = WIFI_PS_MIN_MODEM}; /* part of this room's context */

esp_err_t esp_netif_init(void)
{
    return ESP_OK;
}

esp_err_t esp_netif_deinit(void)
{
    return ESP_ERR_NOT_SUPPORTED; /* as ESP-IDF's */
}

esp_netif_t *esp_netif_create_default_wifi_sta(void)
{
    return &net.station;
}

esp_netif_t *esp_netif_create_default_wifi_ap(void)
{
    return &net.station;
}

esp_netif_t *esp_netif_get_handle_from_ifkey(const char *if_key)
{
    return if_key ? &net.station : NULL;
}

esp_netif_t *esp_netif_next_unsafe(esp_netif_t *esp_netif)
{
    return esp_netif ? NULL : &net.station;
}

void esp_netif_destroy(esp_netif_t *esp_netif)
{
    (void)esp_netif;
}

const char *esp_netif_get_desc(esp_netif_t *esp_netif)
{
    return esp_netif ? esp_netif->name : NULL;
}

esp_err_t esp_netif_get_ip_info(esp_netif_t *esp_netif, esp_netif_ip_info_t *ip_info)
{
    if (esp_netif == NULL || ip_info == NULL)
        return ESP_ERR_INVALID_ARG;
    *ip_info = (esp_netif_ip_info_t){{htonl(INADDR_LOOPBACK)}, {htonl(0xff000000)}, {htonl(INADDR_LOOPBACK)}};
    return ESP_OK;
}

esp_err_t esp_netif_get_netif_impl_name(esp_netif_t *esp_netif, char *name)
{
    if (esp_netif == NULL || name == NULL)
        return ESP_ERR_INVALID_ARG;
    strcpy(name, "lo");
    return ESP_OK;
}

bool esp_netif_is_netif_up(esp_netif_t *esp_netif)
{
    return esp_netif != NULL;
}

/* --- Wi-Fi ------------------------------------------------------------------------------------ */

esp_err_t esp_wifi_set_ps(wifi_ps_type_t type)
{
    net.power_save = type;
    return ESP_OK;
}

esp_err_t esp_wifi_get_ps(wifi_ps_type_t *type)
{
    if (type == NULL)
        return ESP_ERR_INVALID_ARG;
    *type = net.power_save;
    return ESP_OK;
}

esp_err_t esp_wifi_get_mac(wifi_interface_t ifx, uint8_t mac[6])
{
    return esp_read_mac(mac, ifx == WIFI_IF_STA ? ESP_MAC_WIFI_STA : ESP_MAC_WIFI_SOFTAP);
}

esp_err_t esp_wifi_sta_get_ap_info(wifi_ap_record_t *ap_info)
{
    if (ap_info == NULL)
        return ESP_ERR_INVALID_ARG;
    *ap_info = (wifi_ap_record_t){.bssid = {2}, .ssid = "linux", .primary = 1, .rssi = 0};
    return ESP_OK;
}

static esp_err_t tell_connected(void)
{
    ip_event_got_ip_t event = {.esp_netif = &net.station, .ip_changed = true};
    esp_netif_get_ip_info(&net.station, &event.ip_info);
    esp_err_t err = esp_event_post(IP_EVENT, IP_EVENT_STA_GOT_IP, &event, sizeof event, portMAX_DELAY);
    return err == ESP_ERR_INVALID_STATE ? ESP_OK : err; /* nobody listens */
}

esp_err_t esp_wifi_start(void)
{
    esp_event_post(WIFI_EVENT, WIFI_EVENT_STA_START, NULL, 0, portMAX_DELAY);
    return ESP_OK;
}

esp_err_t esp_wifi_stop(void)
{
    return ESP_OK;
}

esp_err_t esp_wifi_connect(void)
{
    return tell_connected();
}

esp_err_t esp_wifi_disconnect(void)
{
    return ESP_OK;
}

esp_err_t example_connect(void)
{
    return tell_connected();
}

esp_err_t example_disconnect(void)
{
    return ESP_OK;
}

esp_netif_t *get_example_netif(void)
{
    return &net.station;
}

esp_netif_t *get_example_netif_from_desc(const char *desc)
{
    return desc ? &net.station : NULL;
}

esp_err_t example_configure_stdin_stdout(void)
{
    return ESP_OK;
}

/* --- time ------------------------------------------------------------------------------------- */

void esp_sntp_setoperatingmode(esp_sntp_operatingmode_t operating_mode)
{
    (void)operating_mode;
}

void esp_sntp_setservername(unsigned char idx, const char *server)
{
    (void)idx, (void)server;
}

void esp_sntp_init(void)
{
    struct timeval now;
    net.has_time = true;
    gettimeofday(&now, NULL);
    if (net.on_time != NULL)
        net.on_time(&now);
}

void esp_sntp_stop(void)
{
    net.has_time = false;
}

bool esp_sntp_enabled(void)
{
    return net.has_time;
}

sntp_sync_status_t sntp_get_sync_status(void)
{
    return net.has_time ? SNTP_SYNC_STATUS_COMPLETED : SNTP_SYNC_STATUS_RESET;
}

void sntp_set_time_sync_notification_cb(sntp_sync_time_cb_t callback)
{
    net.on_time = callback;
}

/* --- pins ------------------------------------------------------------------------------------- */

static uint8_t pins[GPIO_NUM_MAX]; /* levels that were set, plus 1 */

esp_err_t gpio_config(const gpio_config_t *config)
{
    return config ? ESP_OK : ESP_ERR_INVALID_ARG;
}

esp_err_t gpio_reset_pin(gpio_num_t gpio_num)
{
    return gpio_num >= 0 && gpio_num < GPIO_NUM_MAX ? ESP_OK : ESP_ERR_INVALID_ARG;
}

esp_err_t gpio_set_direction(gpio_num_t gpio_num, gpio_mode_t mode)
{
    (void)mode;
    return gpio_reset_pin(gpio_num);
}

int gpio_get_level(gpio_num_t gpio_num)
{
    char name[24];
    if (gpio_reset_pin(gpio_num) != ESP_OK)
        return 0;
    snprintf(name, sizeof name, "VESP_GPIO%d", gpio_num);
    const char *text = getenv(name);
    return text ? strcmp(text, "0") != 0 : pins[gpio_num] ? pins[gpio_num] - 1 : 1;
}

esp_err_t gpio_set_level(gpio_num_t gpio_num, uint32_t level)
{
    esp_err_t err = gpio_reset_pin(gpio_num);
    if (err == ESP_OK)
        pins[gpio_num] = (uint8_t)((level != 0) + 1);
    return err;
}
