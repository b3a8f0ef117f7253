/* Restart and its reasons, and what is free of memory. */
#include "esp/include/esp_system.h"

#include "esp/esp.h"
#include "esp/include/esp_heap_caps.h"

#include <malloc.h>
#include <stdlib.h>

#define SHUTDOWN_HANDLERS 5
#define HEAP_BYTES        (320 * 1024) /* what a chip of that class has about free */

static shutdown_handler_t shutdown_handlers[SHUTDOWN_HANDLERS]; /* part of this room's context */

esp_err_t esp_register_shutdown_handler(shutdown_handler_t handler)
{
    for (int i = 0; i < SHUTDOWN_HANDLERS; i++) {
        if (shutdown_handlers[i] == handler)
            return ESP_ERR_INVALID_STATE;
        if (shutdown_handlers[i] == NULL) {
            shutdown_handlers[i] = handler;
            return ESP_OK;
        }
    }
    return ESP_ERR_NO_MEM;
}

esp_err_t esp_unregister_shutdown_handler(shutdown_handler_t handler)
{
    for (int i = 0; i < SHUTDOWN_HANDLERS; i++)
        if (shutdown_handlers[i] == handler) {
            shutdown_handlers[i] = NULL;
            return ESP_OK;
        }
    return ESP_ERR_INVALID_STATE;
}

void esp_restart(void)
{
    for (int i = SHUTDOWN_HANDLERS - 1; i >= 0; i--)
        if (shutdown_handlers[i] != NULL)
            shutdown_handlers[i]();
    esp_end(ESP_EXIT_RESTART);
}

esp_reset_reason_t esp_reset_reason(void)
{
    return esp_context.start.reset_reason;
}

void esp_system_abort(const char *details)
{
    fprintf(stderr, "%s\n", details);
    abort();
}

/* A chip's memory less what the program has taken: trends show, the number itself means little here. */
uint32_t esp_get_free_heap_size(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks < HEAP_BYTES ? (uint32_t)(HEAP_BYTES - m.uordblks) : 0;
}

uint32_t esp_get_free_internal_heap_size(void)
{
    return esp_get_free_heap_size();
}

uint32_t esp_get_minimum_free_heap_size(void)
{
    return esp_get_free_heap_size();
}

/* --- heap by capabilities: there is one kind of memory ---------------------------------------- */

void *heap_caps_malloc(size_t size, uint32_t caps)
{
    (void)caps;
    return malloc(size);
}

void *heap_caps_calloc(size_t n, size_t size, uint32_t caps)
{
    (void)caps;
    return calloc(n, size);
}

void *heap_caps_realloc(void *ptr, size_t size, uint32_t caps)
{
    (void)caps;
    return realloc(ptr, size);
}

void heap_caps_free(void *ptr)
{
    free(ptr);
}

size_t heap_caps_get_free_size(uint32_t caps)
{
    (void)caps;
    return esp_get_free_heap_size();
}

size_t heap_caps_get_minimum_free_size(uint32_t caps)
{
    return heap_caps_get_free_size(caps);
}

size_t heap_caps_get_largest_free_block(uint32_t caps)
{
    return heap_caps_get_free_size(caps);
}

size_t heap_caps_get_total_size(uint32_t caps)
{
    (void)caps;
    return HEAP_BYTES;
}
