#include "esp/flash_file.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 256
#define ERASE_NS   45000000L /* 45 ms for 4 KB, 0.7 ms for a page: typical values of W25Q and GD25Q data sheets */
#define PROGRAM_NS 700000L

static void take_time(const struct flash_file *f, long ns)
{
    struct timespec t = {ns / 1000000000L, ns % 1000000000L};
    while (f->is_slow && nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

static enum err check(const struct flash *f, uint32_t at, size_t len, struct why *why)
{
    if (at > f->size_bytes || len > f->size_bytes - at)
        return why_set(why, ERR_FLASH, "0x%x + %zu is past the end of flash (0x%x)", at, len, f->size_bytes);
    return ERR_NONE;
}

#define TOUCHED_MAX (256 * 1024)

/* The file's pages that were touched count as the process's memory.  After a while they are let go; what is in the file
 * stays there, and a pointer into it stays good. */
void flash_file_rest(struct flash_file *f)
{
    atomic_store_explicit(&f->touched, 0, memory_order_relaxed);
    madvise(f->bytes, f->flash.size_bytes, MADV_DONTNEED);
}

static void give_back(struct flash_file *f, size_t len)
{
    size_t before = atomic_fetch_add_explicit(&f->touched, len, memory_order_relaxed);
    if (before == 0 && f->on_touch != NULL)
        f->on_touch(f);
    if (before + len >= TOUCHED_MAX)
        flash_file_rest(f);
}

/* --- power ------------------------------------------------------------------------------------ */

/* Whether power goes in the middle of the operation that now begins. */
static bool is_last(const struct flash_file *f)
{
    if (f->control == NULL)
        return false;
    long left = atomic_load(&f->control->cut_after);
    return left > 0 && atomic_fetch_sub(&f->control->cut_after, 1) == 1;
}

static uint32_t dice(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' generator: no more is asked of it */
    return *state >> 8;
}

/* Every bit of the operation is done or not, as it happens; then the process is gone, as power would be. */
static void end_torn(const struct flash_file *f, uint32_t at, const uint8_t *wanted, size_t len)
{
    uint32_t state = atomic_load(&f->control->seed) + at;
    for (size_t i = 0; i < len; i++) {
        uint8_t done = (uint8_t)dice(&state);
        f->bytes[at + i] = (uint8_t)((wanted[i] & done) | (f->bytes[at + i] & ~done));
    }
    raise(SIGKILL);
}

/* --- the port: the file is in memory, so that reading and writing are no calls to the system -------- */

static enum err file_read(struct flash *flash, uint32_t at, void *to, size_t len, struct why *why)
{
    struct flash_file *f = (struct flash_file *)flash;
    enum err err = check(flash, at, len, why);
    if (err == ERR_NONE && len > 0) {
        memcpy(to, f->bytes + at, len);
        give_back(f, len);
    }
    return err;
}

static void program_page(struct flash_file *f, uint32_t at, const uint8_t *from, size_t len)
{
    uint8_t *page = f->bytes + at, wanted[PAGE_BYTES];
    if (is_last(f)) {
        for (size_t i = 0; i < len; i++)
            wanted[i] = page[i] & from[i];
        end_torn(f, at, wanted, len);
    }
    for (size_t i = 0; i < len; i++)
        page[i] &= from[i];
    if (f->control != NULL)
        atomic_fetch_add_explicit(&f->control->programs, 1, memory_order_relaxed);
    take_time(f, PROGRAM_NS);
}

static enum err file_program(struct flash *flash, uint32_t at, struct bytes from, struct why *why)
{
    struct flash_file *f = (struct flash_file *)flash;
    enum err err = check(flash, at, from.len, why);
    for (size_t done = 0; err == ERR_NONE && done < from.len;) {
        uint32_t to = at + (uint32_t)done;
        size_t len = PAGE_BYTES - to % PAGE_BYTES;
        len = len < from.len - done ? len : from.len - done;
        program_page(f, to, from.at + done, len);
        done += len;
    }
    give_back(f, from.len);
    return err;
}

static enum err file_erase(struct flash *flash, uint32_t sector, struct why *why)
{
    struct flash_file *f = (struct flash_file *)flash;
    uint32_t at = sector * FLASH_SECTOR_BYTES;
    enum err err = check(flash, at, FLASH_SECTOR_BYTES, why);
    if (err != ERR_NONE)
        return err;
    if (is_last(f)) {
        uint8_t blank[FLASH_SECTOR_BYTES];
        memset(blank, 0xff, sizeof blank);
        end_torn(f, at, blank, sizeof blank);
    }
    memset(f->bytes + at, 0xff, FLASH_SECTOR_BYTES);
    give_back(f, FLASH_SECTOR_BYTES);
    if (f->control != NULL)
        atomic_fetch_add_explicit(&f->control->erases, 1, memory_order_relaxed);
    take_time(f, ERASE_NS);
    return ERR_NONE;
}

static const struct flash_ops ops = {file_read, file_program, file_erase};

enum err flash_file_init(struct flash_file *f, int fd, struct why *why)
{
    struct stat st;
    *f = (struct flash_file){.fd = fd};
    if (fstat(fd, &st) != 0)
        return why_set(why, ERR_IO, "flash file: %s", strerror(errno));
    if (st.st_size == 0 || st.st_size % FLASH_SECTOR_BYTES != 0 || st.st_size > 0x40000000)
        return why_set(why, ERR_FORMAT, "a flash file has a multiple of 4096 bytes, this one %lld",
                       (long long)st.st_size);
    f->bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (f->bytes == MAP_FAILED)
        return why_set(why, ERR_IO, "map the flash file: %s", strerror(errno));
    f->flash = (struct flash){&ops, (uint32_t)st.st_size};
    return ERR_NONE;
}

void flash_file_deinit(struct flash_file *f)
{
    if (f->flash.size_bytes > 0)
        munmap(f->bytes, f->flash.size_bytes);
    f->flash.size_bytes = 0;
}

int flash_control_make(void)
{
    int fd = memfd_create("vesp-control", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, sizeof(struct flash_control)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

struct flash_control *flash_control_map(int fd)
{
    void *page = mmap(NULL, sizeof(struct flash_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}
