/* What a guest tries under enforcement: `hello`, `memfd FILE` (run a copy in memory), `dlopen FILE`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int count, char **words)
{
    if (count > 2 && !strcmp(words[1], "memfd")) {
        char block[65536];
        ssize_t size;
        int from = open(words[2], O_RDONLY), to = memfd_create("copy", 0);
        while ((size = read(from, block, sizeof block)) > 0)
            if (write(to, block, size) != size)
                return 9;
        char *arguments[] = {"copy", 0}, *none[] = {0};
        fexecve(to, arguments, none);
        fprintf(stderr, "%s\n", strerror(errno));
        return 126;
    }
    if (count > 2 && !strcmp(words[1], "dlopen")) {
        if (dlopen(words[2], RTLD_NOW))
            return 0;
        fprintf(stderr, "%s\n", dlerror());
        return 126;
    }
    puts("hello");
    return 0;
}
