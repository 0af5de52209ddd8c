// The same as on an Intel Mac: the name with the suffix has the layout that is read, the plain one an older layout.
#ifdef __APPLE__
// The names of C have an underscore there before the linker sees them.
#define INODE64 "_getfsstat$INODE64"
#else
#define INODE64 "getfsstat$INODE64"
#endif
#define getfsstat getfsstat_inode64
int getfsstat_inode64(void *buffer, int bytes, int mode) __asm__(INODE64);
#include "getfsstat.c"
#undef getfsstat
int getfsstat(void *buffer, int bytes, int mode);
int getfsstat(void *buffer, int bytes, int mode) {
  (void)buffer, (void)bytes, (void)mode;
  return -1;
}
