// A double of the two functions of libproc that are called: it notes what it was given and answers what a test set.
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int pids[1024];
static int count;
static char noted[4096];
static atomic_int released;

void double_set_pids(const int32_t *given, int how_many) {
  count = how_many;
  for (int index = 0; index < how_many && index < 1024; index++) pids[index] = given[index];
}
const char *double_noted(void) { return noted; }
// From now on no path hangs any more.
void double_release(void) { released = 1; }

int proc_listpidspath(uint32_t type, uint32_t typeinfo, const char *path, uint32_t flags, void *buffer, int bytes) {
  snprintf(noted, sizeof noted, "%u %u %u %s", type, typeinfo, flags, path);
  if (strstr(path, "hang") != NULL) while (!released) usleep(1000);
  if (count < 0) {
    errno = EIO;
    return -1;
  }
  int given = count * 4 < bytes ? count * 4 : bytes;
  memcpy(buffer, pids, given);
  return given;
}

int proc_name(int pid, void *buffer, uint32_t bytes) {
  if (pid == 666) return 0;
  return snprintf(buffer, bytes, "prögram-%d", pid);
}
