/* A service that hangs its machine: it freezes process 1. It needs to be root, and CAP_SYS_ADMIN for the mount. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE "/run/hang"

static void put(const char *path, const char *text)
{
    int file = open(path, O_WRONLY);
    if (file < 0 || write(file, text, strlen(text)) < 0)
        perror(path); /* process 1 prints it: it is not frozen */
    close(file);
}

int main(void)
{
    char said[256] = "";
    if (mount("cgroup2", PLACE, "cgroup2", 0, 0) || mkdir(PLACE "/first", 0755))
        perror(PLACE);
    put(PLACE "/first/cgroup.procs", "1");
    put(PLACE "/first/cgroup.freeze", "1");
    while (!strstr(said, "frozen 1")) {
        int file = open(PLACE "/first/cgroup.events", O_RDONLY);
        memset(said, 0, sizeof said);
        (void)!read(file, said, sizeof said - 1);
        close(file);
        usleep(100000);
    }
    put("/dev/console", "process 1 is frozen\n");
    for (;;)
        pause();
}
