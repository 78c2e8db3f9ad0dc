/* What a guest tries, by name. Whoever gets its own code to run, or what it is not to get, prints REACHED. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif
static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* return 42 */

static int __attribute__((noinline, aligned(PAGE))) victim(void)
{
    asm volatile("nop;nop;nop;nop;nop;nop;nop;nop");
    return 1;
}

static int said(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 126;
}

static int call(void *place)
{
    if (((int (*volatile)(void))place)() != 42)
        return 1;
    puts("REACHED");
    return 0;
}

static int copy_of(const char *name)
{
    char block[65536];
    ssize_t size;
    int from = open(name, O_RDONLY), to = memfd_create("copy", MFD_EXEC);
    while ((size = read(from, block, sizeof block)) > 0)
        if (write(to, block, size) != size)
            exit(9);
    return to;
}

static int mapped(int file, int first, int last)
{
    void *place = mmap(0, PAGE, first, MAP_PRIVATE | (file < 0 ? MAP_ANONYMOUS : 0), file, 0);
    if (place == MAP_FAILED)
        return said("mmap");
    if (first & PROT_WRITE)
        memcpy(place, code, sizeof code);
    if (last && mprotect(place, PAGE, PROT_READ | PROT_WRITE))
        return said("mprotect to write");
    if (last)
        memcpy(place, code, sizeof code);
    if (last && mprotect(place, PAGE, last))
        return said("mprotect to execute");
    return call(place);
}

static int code_file(const char *name)
{
    int file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0755);
    if (write(file, code, sizeof code) != sizeof code || ftruncate(file, PAGE))
        exit(9);
    return file;
}

static int by_memory_file(pid_t process)
{
    char name[64];
    sprintf(name, "/proc/%d/mem", process);
    int file = open(name, O_RDWR);
    if (file < 0)
        return said("open");
    if (pwrite(file, code, sizeof code, (off_t)(long)victim) != sizeof code)
        return said("write");
    return 0;
}

static int in_child(int by_ptrace)
{
    pid_t child = fork();
    int status = 0, failed;
    if (!child) {
        for (int i = 0; i < 100; i++, usleep(20000))
            if (((int (*volatile)(void))victim)() == 42)
                exit(call(victim));
        exit(1);
    }
    usleep(100000);
    if (by_ptrace) {
        long word;
        memcpy(&word, code, sizeof word);
        failed = ptrace(PTRACE_ATTACH, child, 0, 0) ? said("ptrace") : 0;
        if (!failed) {
            waitpid(child, &status, 0);
            failed = ptrace(PTRACE_POKETEXT, child, victim, word) ? said("poke") : 0;
            ptrace(PTRACE_DETACH, child, 0, 0);
        }
    } else
        failed = by_memory_file(child);
    if (failed)
        kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return failed;
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "", *name = count > 2 ? words[2] : "";
    setbuf(stdout, 0);
    if (!strcmp(what, "nothing"))
        return 0;
    if (!strcmp(what, "memfd")) {
        char *arguments[] = {"copy", 0}, *none[] = {0};
        fexecve(copy_of(name), arguments, none);
        return said("fexecve");
    }
    if (!strcmp(what, "dlopen"))
        return dlopen(name, RTLD_NOW) ? 0 : (fprintf(stderr, "%s\n", dlerror()), 126);
    if (!strcmp(what, "anonymous"))
        return mapped(-1, PROT_READ | PROT_WRITE | PROT_EXEC, 0);
    if (!strcmp(what, "anonymous-later"))
        return mapped(-1, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC);
    if (!strcmp(what, "private"))
        return mapped(open(name, O_RDONLY), PROT_READ | PROT_WRITE | PROT_EXEC, 0);
    if (!strcmp(what, "private-later"))
        return mapped(open(name, O_RDONLY), PROT_READ | PROT_EXEC, PROT_READ | PROT_EXEC);
    if (!strcmp(what, "file-later")) {
        void *place = mmap(0, PAGE, PROT_READ, MAP_PRIVATE, code_file(name), 0);
        return mprotect(place, PAGE, PROT_READ | PROT_EXEC) ? said("mprotect") : call(place);
    }
    if (!strcmp(what, "implied")) {
        personality(READ_IMPLIES_EXEC);
        void *place = mmap(0, PAGE, PROT_READ, MAP_PRIVATE, code_file(name), 0);
        return place == MAP_FAILED ? said("mmap") : call(place);
    }
    if (!strcmp(what, "own-memory")) {
        int failed = by_memory_file(getpid());
        return failed ? failed : call(victim);
    }
    if (!strcmp(what, "child-memory"))
        return in_child(0);
    if (!strcmp(what, "ptrace"))
        return in_child(1);
    if (!strcmp(what, "namespace")) {
        if (unshare(CLONE_NEWUSER))
            return said("unshare");
        execv(words[2], words + 2);
        return said("exec");
    }
    if (!strcmp(what, "kexec")) {
        if (syscall(SYS_kexec_file_load, open(name, O_RDONLY), open(words[3], O_RDONLY), 1UL, "", 0UL))
            return said("kexec_file_load");
        puts("REACHED");
        return 0;
    }
    if (!strcmp(what, "shared")) {
        int file = open(name, O_RDWR);
        char *place = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (place == MAP_FAILED)
            return said("mmap");
        place[5000] ^= 1;
        return munmap(place, 2 * PAGE);
    }
    if (!strcmp(what, "crash"))
        abort();
    puts("REACHED");
    return 0;
}
