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

static enum err io_error(const char *what, uint32_t at, struct why *why)
{
    return why_set(why, ERR_FLASH, "%s flash file at 0x%x: %s", what, at, strerror(errno));
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
static void end_torn(const struct flash_file *f, uint32_t at, const uint8_t *now, const uint8_t *wanted, size_t len)
{
    uint8_t torn[FLASH_SECTOR_BYTES];
    uint32_t state = atomic_load(&f->control->seed) + at;
    for (size_t i = 0; i < len; i++) {
        uint8_t done = (uint8_t)dice(&state);
        torn[i] = (uint8_t)((wanted[i] & done) | (now[i] & ~done));
    }
    if (pwrite(f->fd, torn, len, at) == (ssize_t)len)
        raise(SIGKILL);
    raise(SIGKILL);
}

/* --- the port --------------------------------------------------------------------------------- */

static enum err file_read(struct flash *flash, uint32_t at, void *to, size_t len, struct why *why)
{
    struct flash_file *f = (struct flash_file *)flash;
    enum err err = check(flash, at, len, why);
    if (err == ERR_NONE && pread(f->fd, to, len, at) != (ssize_t)len)
        err = io_error("read", at, why);
    return err;
}

static enum err program_page(struct flash_file *f, uint32_t at, const uint8_t *from, size_t len, struct why *why)
{
    uint8_t page[PAGE_BYTES], now[PAGE_BYTES];
    bool is_cut = is_last(f);
    if (pread(f->fd, now, len, at) != (ssize_t)len)
        return io_error("read", at, why);
    for (size_t i = 0; i < len; i++)
        page[i] = now[i] & from[i];
    if (is_cut)
        end_torn(f, at, now, page, len);
    if (pwrite(f->fd, page, len, at) != (ssize_t)len)
        return io_error("write", at, why);
    if (f->control != NULL)
        atomic_fetch_add(&f->control->programs, 1);
    take_time(f, PROGRAM_NS);
    return ERR_NONE;
}

static enum err file_program(struct flash *flash, uint32_t at, struct bytes from, struct why *why)
{
    struct flash_file *f = (struct flash_file *)flash;
    enum err err = check(flash, at, from.len, why);
    for (size_t done = 0; err == ERR_NONE && done < from.len;) {
        uint32_t to = at + (uint32_t)done;
        size_t len = PAGE_BYTES - to % PAGE_BYTES;
        len = len < from.len - done ? len : from.len - done;
        err = program_page(f, to, from.at + done, len, why);
        done += len;
    }
    return err;
}

static enum err file_erase(struct flash *flash, uint32_t sector, struct why *why)
{
    struct flash_file *f = (struct flash_file *)flash;
    uint8_t blank[FLASH_SECTOR_BYTES], now[FLASH_SECTOR_BYTES];
    uint32_t at = sector * FLASH_SECTOR_BYTES;
    enum err err = check(flash, at, FLASH_SECTOR_BYTES, why);
    if (err != ERR_NONE)
        return err;
    memset(blank, 0xff, sizeof blank);
    if (is_last(f) && pread(f->fd, now, sizeof now, at) == (ssize_t)sizeof now)
        end_torn(f, at, now, blank, sizeof now);
    if (pwrite(f->fd, blank, sizeof blank, at) != (ssize_t)sizeof blank)
        return io_error("erase", at, why);
    if (f->control != NULL)
        atomic_fetch_add(&f->control->erases, 1);
    take_time(f, ERASE_NS);
    return ERR_NONE;
}

static const struct flash_ops ops = {file_read, file_program, file_erase};

enum err flash_file_init(struct flash_file *f, int fd, struct why *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return why_set(why, ERR_IO, "flash file: %s", strerror(errno));
    if (st.st_size == 0 || st.st_size % FLASH_SECTOR_BYTES != 0 || st.st_size > 0x40000000)
        return why_set(why, ERR_FORMAT, "a flash file has a multiple of 4096 bytes, this one %lld",
                       (long long)st.st_size);
    *f = (struct flash_file){{&ops, (uint32_t)st.st_size}, fd, false, NULL};
    return ERR_NONE;
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
