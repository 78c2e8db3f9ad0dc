/* A service of a host image that is hostile, and has every capability that one may have.
 * It tries each way round the kernel's policy, and says what came of it: "TRY name reached|denied why". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HERE "/opt/attack/"
#define HELLO HERE "hello"
#define COPY "/run/a/hello"
#define LOADER "/lib64/ld-linux-x86-64.so.2"
#define IPE "/sys/kernel/security/ipe/"
#define YAMA "kernel/yama/ptrace_scope"

static char why[128];

static int failed(const char *what)
{
    snprintf(why, sizeof why, "%s: %s", what, strerror(errno));
    return 1;
}

static int put(const char *path, const void *data, size_t size)
{
    int file = open(path, O_WRONLY);
    if (file < 0)
        return failed("open");
    int short_ = write(file, data, size) != (ssize_t)size ? failed("write") : 0;
    close(file);
    return short_;
}

static int say(const char *path, const char *text) { return put(path, text, strlen(text)); }

/* A file that can only be read here: there, where process 1 sees it, mounted again, and by another mount of its kind. */
static int write_anyhow(const char *top, const char *kind, const char *name, const void *data, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", top, name);
    if (!put(path, data, size))
        return 0;
    if (!mount(0, top, 0, MS_REMOUNT | MS_BIND, 0) && !put(path, data, size))
        return 0;
    snprintf(path, sizeof path, "/proc/1/root%s/%s", top, name);
    if (!put(path, data, size))
        return 0;
    mkdir("/run/a/again", 0755);
    if (mount("again", "/run/a/again", kind, 0, 0))
        return failed("mount");
    snprintf(path, sizeof path, "/run/a/again/%s%s", strcmp(kind, "proc") ? "" : "sys/", name);
    return put(path, data, size);
}

static int set(const char *name, const char *text) { return write_anyhow("/proc/sys", "proc", name, text, strlen(text)); }

static int copy(const char *from, const char *to)
{
    char block[65536];
    ssize_t size;
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    if (in < 0 || out < 0)
        return failed("copy");
    while ((size = read(in, block, sizeof block)) > 0)
        if (write(out, block, size) != size)
            return failed("copy");
    close(in);
    close(out);
    return 0;
}

/* Start a program: 0 where it got to its end and did what it is for. */
static int run(const char *program, char *const arguments[], const char *environment)
{
    int pipe_[2], status = 0, number = 0;
    if (pipe2(pipe_, O_CLOEXEC))
        return failed("pipe");
    pid_t child = fork();
    if (!child) {
        char *with[] = {(char *)environment, 0};
        int nothing = open("/dev/null", O_WRONLY);
        dup2(nothing, 1);
        dup2(nothing, 2);
        execve(program, arguments, with);
        number = errno;
        (void)!write(pipe_[1], &number, sizeof number);
        _exit(126);
    }
    close(pipe_[1]);
    ssize_t told = read(pipe_[0], &number, sizeof number);
    close(pipe_[0]);
    waitpid(child, &status, 0);
    if (told == sizeof number) {
        errno = number;
        return failed("execve");
    }
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return 0;
    snprintf(why, sizeof why, WIFEXITED(status) ? "exit %d" : "signal %d", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return 1;
}

#define RUN(program, ...) run(program, (char *const[]){__VA_ARGS__, 0}, "A=1")

static int enforced(void)
{
    char byte = '?';
    int file = open(IPE "enforce", O_RDONLY);
    (void)!read(file, &byte, 1);
    close(file);
    return byte == '1';
}

static int off(int result) { return enforced() ? (result ? 1 : failed("still enforced")) : 0; }

static int signed_(void) { return RUN(HELLO, "hello"); }
static int signed_loader(void) { return RUN(LOADER, "ld.so", HERE "dynamic"); }
static int signed_library(void) { return RUN(HERE "dynamic", "d", "dlopen", HERE "libone.so"); }
static int tmpfs_copy(void) { return RUN(COPY, "hello"); }
static int memfd(void) { return RUN(HELLO, "hello", "memfd", HELLO); }
static int loader_copy(void) { return RUN(LOADER, "ld.so", "/run/a/dynamic"); }
static int library_copy(void) { return RUN(HERE "dynamic", "d", "dlopen", "/run/a/libone.so"); }
static int anonymous(void) { return RUN(HELLO, "hello", "anonymous"); }
static int anonymous_later(void) { return RUN(HELLO, "hello", "anonymous-later"); }
static int file_later(void) { return RUN(HELLO, "hello", "file-later", "/run/a/code"); }
static int implied(void) { return RUN(HELLO, "hello", "implied", "/run/a/code"); }

/* Memory of brk(2), of which neither MDWE nor IPE is asked under READ_IMPLIES_EXEC. */
static int implied_heap(void)
{
    static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
    if (personality(READ_IMPLIES_EXEC))
        return failed("personality");
    void *place = sbrk(8192);
    memcpy(place, code, sizeof code);
    return ((int (*)(void))place)() == 42 ? 0 : 1;
}

static int private_(void) { return RUN(HELLO, "hello", "private", HELLO); }
static int private_later(void) { return RUN(HELLO, "hello", "private-later", HELLO); }
static int own_memory(void) { return RUN(HELLO, "hello", "own-memory"); }
static int child_memory(void) { return RUN(HELLO, "hello", "child-memory"); }
static int ptrace_(void) { return RUN(HELLO, "hello", "ptrace"); }
static int ptrace_again(void) { set(YAMA, "0"); return ptrace_(); }

static int first_memory(void)
{
    char byte = 0;
    int file = open("/proc/1/mem", O_RDWR);
    if (file < 0)
        return failed("open");
    return pwrite(file, &byte, 1, 0x400000) == 1 ? 0 : failed("write");
}

static int bind_over(void)
{
    if (mount(COPY, HELLO, "", MS_BIND, 0))
        return failed("mount");
    int result = signed_();
    umount(HELLO);
    return result;
}

static int overlay_over(void)
{
    mkdir("/run/a/u", 0755), mkdir("/run/a/w", 0755), mkdir("/run/a/m", 0755);
    if (copy(HELLO, "/run/a/u/hello") || mount("o", "/run/a/m", "overlay", 0, "lowerdir=/opt/attack,upperdir=/run/a/u,workdir=/run/a/w"))
        return failed("mount");
    return RUN("/run/a/m/hello", "hello");
}

static int data_exec(void)
{
    if (mount(0, "/data", 0, MS_REMOUNT, 0))
        return failed("remount");
    return copy(HELLO, "/data/hello") ? 1 : RUN("/data/hello", "hello");
}

static int script(void)
{
    copy("/etc/none", "/run/a/none");
    int file = open("/run/a/script", O_WRONLY | O_CREAT | O_TRUNC, 0755);
    dprintf(file, "#!%s\n", HELLO);
    close(file);
    return RUN("/run/a/script", "script");
}

static int shell(void) { return RUN("/bin/sh", "sh", "-c", "true"); }
static int interpreter(void) { return RUN("/proc/1/exe", "python3", "-c", "pass"); }

static int escape(void)
{
    mkdir("/run/a/jail", 0755);
    if (chroot("/run/a/jail"))
        return failed("chroot");
    for (int i = 0; i < 40; i++)
        if (chdir(".."))
            break;
    return chroot(".") ? failed("chroot") : RUN("/usr/bin/python3", "python3", "-c", "pass");
}

static int enforce(void) { return off(say(IPE "enforce", "0")); }
static int enforce_mount(void)
{
    mkdir("/run/a/s", 0755);
    return mount("s", "/run/a/s", "securityfs", 0, 0) ? failed("mount") : off(say("/run/a/s/ipe/enforce", "0"));
}

static int enforce_namespace(void)
{
    set("user/max_user_namespaces", "100");
    pid_t child = fork();
    if (!child)
        _exit(unshare(CLONE_NEWUSER) || say(IPE "enforce", "0"));
    int status;
    waitpid(child, &status, 0);
    return off(status);
}

static int helper(void)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &all);
    glob_t found; /* where process 1 sees this program */
    char text[256];
    if (glob("/proc/1/root/run/modules/*/opt/attack/attack", 0, 0, &found) || !found.gl_pathc)
        snprintf(text, sizeof text, "|/run/modules/0/opt/attack/attack helper");
    else
        snprintf(text, sizeof text, "|%s helper", found.gl_pathv[0] + strlen("/proc/1/root"));
    if (set("kernel/core_pattern", text))
        return 1;
    RUN(HELLO, "hello", "crash");
    sleep(2);
    return 0; /* what runs then has none of the limits that services have: it must not come to that */
}

static int helper_again(void)
{
    set("kernel/usermodehelper/bset", "4294967295 511");
    set("kernel/usermodehelper/inheritable", "4294967295 511");
    return helper();
}

static int delete_(void) { return say(IPE "policies/modseal/delete", "1"); }
static int other_policy(void)
{
    glob_t found;
    char data[65536];
    if (glob("/data/generations/*/*.p7b", 0, 0, &found) || !found.gl_pathc)
        return failed("glob");
    int file = open(found.gl_pathv[0], O_RDONLY);
    ssize_t size = read(file, data, sizeof data);
    return put(IPE "policies/modseal/update", data, size) && put(IPE "new_policy", data, size);
}

static int settings_back(void)
{
    return set("kernel/modules_disabled", "0") && set("kernel/kexec_load_disabled", "0") &&
           set(YAMA, "0") && set("kernel/unprivileged_bpf_disabled", "0");
}

static int kernel_module(void) { return syscall(SYS_finit_module, open(HELLO, O_RDONLY), "", 0) ? (errno == EPERM ? failed("finit_module") : 0) : 0; }
static int kexec(void)
{
    int file = open(HELLO, O_RDONLY);
    return syscall(SYS_kexec_file_load, file, file, 1UL, "", 0UL) && errno == EPERM ? failed("kexec_file_load") : 0;
}

static int memory(void)
{
    char block[4096];
    mknod("/run/a/mem", S_IFCHR | 0600, makedev(1, 1));
    int file = open("/run/a/mem", O_RDONLY);
    if (file < 0)
        return failed("open");
    return pread(file, block, sizeof block, 1 << 20) > 0 ? 0 : failed("read");
}

static int table(void)
{
    struct { struct dm_ioctl head; struct dm_target_spec target; char words[64]; } ask;
    int control = open("/dev/mapper/control", O_RDWR);
    if (control < 0 && !mknod("/run/a/control", S_IFCHR | 0600, makedev(10, 236)))
        control = open("/run/a/control", O_RDWR);
    memset(&ask, 0, sizeof ask);
    ask.head.version[0] = 4;
    ask.head.data_size = sizeof ask;
    ask.head.data_start = sizeof ask.head;
    strcpy(ask.head.name, "module0");
    ask.head.flags = DM_READONLY_FLAG;
    ask.head.target_count = 1;
    ask.target.length = 8;
    ask.target.next = sizeof ask.target + sizeof ask.words;
    strcpy(ask.target.target_type, "linear");
    strcpy(ask.words, "/dev/vda1 0");
    return control < 0 || ioctl(control, DM_TABLE_LOAD, &ask) ? failed("load") : 0;
}

/* A device with the root hash of a module, and an option with which its content does not count: not one call gets there. */
static int other_device(void)
{
    struct dm_ioctl ask = {.version = {4}, .data_size = sizeof ask};
    int nothing = open("/dev/null", O_RDWR);
    return ioctl(nothing, DM_DEV_CREATE, &ask) && errno == EPERM ? failed("ioctl") : 0;
}

static int first_mounts(void)
{
    int theirs = open("/proc/1/ns/mnt", O_RDONLY);
    if (theirs >= 0 && !setns(theirs, CLONE_NEWNS))
        return 0;
    failed("setns");
    return unshare(CLONE_NEWNS) ? 1 : 0;
}

static int disk(void)
{
    mknod("/run/a/disk", S_IFBLK | 0600, makedev(254, 0));
    return open("/dev/vda", O_RDWR) < 0 && open("/run/a/disk", O_RDWR) < 0 ? failed("open") : 0;
}

static int data(void)
{
    glob_t found; /* as any other process sees it, too */
    if (!say("/data/slots.json", "x"))
        return 0;
    if (!glob("/proc/[0-9]*/root/data/slots.json", 0, 0, &found))
        for (size_t i = 0; i < found.gl_pathc; i++)
            if (!say(found.gl_pathv[i], "x"))
                return 0;
    return 1;
}

static int bpf(void)
{
    char empty[128] = {0};
    return syscall(SYS_bpf, 5, empty, sizeof empty) && errno == EPERM ? failed("bpf") : 0;
}

#define EFI "/sys/firmware/efi/efivars"

static int shim_key(void)
{
    const char *name = "MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23";
    char data[68] = {7};
    return write_anyhow(EFI, "efivarfs", name, data, sizeof data);
}

static int firmware_keys(void)
{
    const char *name = "/run/a/e/db-d719b2cb-3d3a-4596-a3bc-dad00e67656f";
    char data[68] = {0x27};
    int flags = 0;
    mkdir("/run/a/e", 0755);
    if (mount("e", "/run/a/e", "efivarfs", 0, 0))
        return failed("mount");
    int file = open(name, O_RDONLY);
    if (file < 0)
        return failed("open");
    ioctl(file, FS_IOC_SETFLAGS, &flags);
    close(file);
    return put(name, data, sizeof data);
}

/* Last: another module's image is damaged below the running system, and its program is started. */
static int damaged(void)
{
    glob_t found;
    char block[4096];
    if (glob("/data/generations/*/spare-*.erofs", 0, 0, &found) || !found.gl_pathc)
        return failed("glob");
    int file = open(found.gl_pathv[0], O_RDWR);
    if (file < 0)
        return failed("open");
    for (off_t at = 4096; pread(file, block, sizeof block, at) == sizeof block; at += sizeof block) {
        block[99] ^= 1;
        if (pwrite(file, block, sizeof block, at) != sizeof block)
            return failed("write");
    }
    fsync(file);
    sync();
    set("vm/drop_caches", "3");
    return RUN("/opt/spare/hello", "hello");
}

static const struct { const char *name; int (*attempt)(void); } tries[] = {
    {"signed", signed_}, {"signed-loader", signed_loader}, {"signed-library", signed_library},
    {"tmpfs-copy", tmpfs_copy}, {"memfd", memfd}, {"loader-copy", loader_copy}, {"library-copy", library_copy},
    {"data-exec", data_exec}, {"bind-over", bind_over}, {"overlay-over", overlay_over}, {"script", script},
    {"shell", shell}, {"interpreter", interpreter}, {"escape", escape}, {"anonymous", anonymous},
    {"anonymous-later", anonymous_later}, {"file-later", file_later}, {"implied", implied}, {"implied-heap", implied_heap}, {"private", private_},
    {"private-later", private_later}, {"own-memory", own_memory}, {"child-memory", child_memory}, {"ptrace", ptrace_},
    {"ptrace-again", ptrace_again}, {"first-memory", first_memory}, {"enforce", enforce},
    {"enforce-mount", enforce_mount}, {"enforce-namespace", enforce_namespace}, {"helper", helper},
    {"helper-again", helper_again}, {"delete", delete_}, {"other-policy", other_policy},
    {"settings-back", settings_back}, {"kernel-module", kernel_module}, {"kexec", kexec}, {"memory", memory},
    {"table", table}, {"other-device", other_device}, {"first-mounts", first_mounts}, {"disk", disk}, {"data", data},
    {"bpf", bpf}, {"firmware-keys", firmware_keys}, {"shim-key", shim_key}, {"damaged", damaged},
};

int main(int count, char **words)
{
    setvbuf(stdout, 0, _IOLBF, 0);
    if (count > 1 && !strcmp(words[1], "helper"))
        return say(IPE "enforce", "0");
    mkdir("/run/a", 0755);
    copy(HELLO, COPY), copy(HERE "dynamic", "/run/a/dynamic"), copy(HERE "libone.so", "/run/a/libone.so");
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        int status, told[2];
        if (pipe(told))
            return 1;
        pid_t child = fork();
        if (!child) {
            int denied = tries[i].attempt();
            (void)!write(told[1], why, sizeof why);
            _exit(denied);
        }
        waitpid(child, &status, 0);
        fcntl(told[0], F_SETFL, O_NONBLOCK);
        why[0] = 0;
        (void)!read(told[0], why, sizeof why);
        close(told[0]), close(told[1]);
        printf("TRY %s %s %s\n", tries[i].name, status ? "denied" : "reached", status ? why : "");
    }
    puts("TRY end reached");
    for (;;)
        pause();
}
