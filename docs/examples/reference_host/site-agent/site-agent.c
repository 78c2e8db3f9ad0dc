/* An agent of a site: it says that it is there, and that is all. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    for (;;) {
        puts("the site agent is here");
        fflush(stdout);
        sleep(60);
    }
}
