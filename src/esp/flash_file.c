#include "esp/flash_file.h"

#include <errno.h>
#include <string.h>
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

static enum err file_read(struct flash *flash, uint32_t at, void *to, size_t len, struct why *why)
{
    struct flash_file *f = (struct flash_file *)flash;
    enum err err = check(flash, at, len, why);
    if (err == ERR_NONE && pread(f->fd, to, len, at) != (ssize_t)len)
        err = io_error("read", at, why);
    return err;
}

static enum err file_program(struct flash *flash, uint32_t at, struct bytes from, struct why *why)
{
    struct flash_file *f = (struct flash_file *)flash;
    enum err err = check(flash, at, from.len, why);
    for (size_t done = 0; err == ERR_NONE && done < from.len;) {
        uint8_t page[PAGE_BYTES];
        uint32_t to = at + (uint32_t)done;
        size_t len = PAGE_BYTES - to % PAGE_BYTES;
        len = len < from.len - done ? len : from.len - done;
        if (pread(f->fd, page, len, to) != (ssize_t)len)
            return io_error("read", to, why);
        for (size_t i = 0; i < len; i++)
            page[i] &= from.at[done + i];
        if (pwrite(f->fd, page, len, to) != (ssize_t)len)
            return io_error("write", to, why);
        take_time(f, PROGRAM_NS);
        done += len;
    }
    return err;
}

static enum err file_erase(struct flash *flash, uint32_t sector, struct why *why)
{
    struct flash_file *f = (struct flash_file *)flash;
    uint8_t blank[FLASH_SECTOR_BYTES];
    enum err err = check(flash, sector * FLASH_SECTOR_BYTES, FLASH_SECTOR_BYTES, why);
    memset(blank, 0xff, sizeof blank);
    if (err == ERR_NONE &&
        pwrite(f->fd, blank, sizeof blank, (off_t)sector * FLASH_SECTOR_BYTES) != (ssize_t)sizeof blank)
        err = io_error("erase", sector * FLASH_SECTOR_BYTES, why);
    take_time(f, ERASE_NS);
    return err;
}

static const struct flash_ops ops = {file_read, file_program, file_erase};

enum err flash_file_init(struct flash_file *f, int fd, bool is_slow, struct why *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return why_set(why, ERR_IO, "flash file: %s", strerror(errno));
    if (st.st_size == 0 || st.st_size % FLASH_SECTOR_BYTES != 0 || st.st_size > 0x40000000)
        return why_set(why, ERR_FORMAT, "a flash file has a multiple of 4096 bytes, this one %lld",
                       (long long)st.st_size);
    *f = (struct flash_file){{&ops, (uint32_t)st.st_size}, fd, is_slow};
    return ERR_NONE;
}
