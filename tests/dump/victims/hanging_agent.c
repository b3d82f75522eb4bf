/* An agent of a JVM that never comes back, long before the JVM listens to anything. */
#include <unistd.h>

int Agent_OnLoad(void *vm, char *options, void *reserved)
{
    (void)vm, (void)options, (void)reserved;
    return pause();
}
