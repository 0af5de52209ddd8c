// A double of NetFSMountURLSync: it checks what it is given, notes it, and, where DOUBLE_EXPORTS names a folder, binds
// EXPORTS/HOST/SHARE to the mount point, so that drivers can be tried on mounts that are real.
#define _GNU_SOURCE
#include "core-foundation.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char noted[8192];
const char *double_noted(void) { return noted; }

static const char *text_or(CFTypeRef ref, const char *otherwise) { return ref == NULL ? otherwise : text_of(ref); }
static void note(const char *name, const char *value) {
  size_t used = strlen(noted);
  snprintf(noted + used, sizeof noted - used, "%s=%s\n", name, value);
}
static void note_dictionary(const char *name, CFTypeRef ref) {
  if (!is_kind(ref, KIND_DICTIONARY)) return;
  const Object *object = ref;
  for (CFIndex index = 0; index < object->count; index++) {
    char key[200];
    const Object *value = object->values[index];
    snprintf(key, sizeof key, "%s.%s", name, text_of(object->keys[index]));
    note(key, value->kind == KIND_BOOLEAN ? (CFBooleanGetValue(value) ? "true" : "false") : text_of(value));
  }
}
static void unescape(char *text) {
  char *to = text;
  for (char *from = text; *from; from++) {
    if (*from == '%') {
      *to++ = (char)strtol((char[]){from[1], from[2], 0}, NULL, 16);
      from += 2;
    } else {
      *to++ = *from;
    }
  }
  *to = 0;
}
static void unescape_octal(char *text) {
  char *to = text;
  for (char *from = text; *from; from++) {
    if (*from == '\\' && from[1] && from[2] && from[3]) {
      *to++ = (char)strtol((char[]){from[1], from[2], from[3], 0}, NULL, 8);
      from += 3;
    } else {
      *to++ = *from;
    }
  }
  *to = 0;
}
static int mount_id_of(const char *wanted) {
  char line[8192], path[4096];
  int id, found = -1;
  FILE *mounts = fopen("/proc/self/mountinfo", "r");
  while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL) {
    if (sscanf(line, "%d %*s %*s %*s %4095s", &id, path) != 2) continue;
    unescape_octal(path);
    if (strcmp(path, wanted) == 0) found = id;
  }
  if (mounts != NULL) fclose(mounts);
  return found;
}

/** url: smb://[user@]host[:port]/share */
static int bind_export(const char *url, const char *folder, char *mount_point, size_t size) {
  char authority[512], share[1024], source[2048];
  if (sscanf(url, "smb://%511[^/]/%1023s", authority, share) != 2) return EINVAL;
  char *host = strrchr(authority, '@') == NULL ? authority : strrchr(authority, '@') + 1;
  char name[1024];
  snprintf(name, sizeof name, "%s", share);
  unescape(name);
  snprintf(source, sizeof source, "%s/%s", getenv("DOUBLE_EXPORTS"), host);
  if (access(source, F_OK) != 0) return 64;
  size_t used = strlen(source);
  snprintf(source + used, sizeof source - used, "/%s", name);
  if (access(source, F_OK) != 0) return 2;
  if (folder != NULL) {
    snprintf(mount_point, size, "%s", folder);
  } else {
    snprintf(mount_point, size, "%s/%s", getenv("DOUBLE_VOLUMES"), name);
    for (int twin = 1; mkdir(mount_point, 0755) != 0 && twin < 9; twin++)
      snprintf(mount_point, size, "%s/%s-%d", getenv("DOUBLE_VOLUMES"), name, twin);
  }
  if (mount(source, mount_point, NULL, MS_BIND, NULL) != 0) return errno;
  FILE *registry = fopen(getenv("DOUBLE_REGISTRY"), "a");
  fprintf(registry, "%d\t//%s/%s\t%s\n", mount_id_of(mount_point), authority, share, mount_point);
  fclose(registry);
  return 0;
}

int NetFSMountURLSync(CFTypeRef url, CFTypeRef folder, CFTypeRef user, CFTypeRef password, CFTypeRef open_options,
                      CFTypeRef mount_options, CFTypeRef *mount_points) {
  noted[0] = 0;
  if (!is_kind(url, KIND_URL) || mount_points == NULL) return EINVAL;
  const char *address = ((const Object *)url)->text;
  const char *at = folder == NULL ? NULL : ((const Object *)folder)->text;
  note("url", address);
  note("folder", at == NULL ? "NULL" : at);
  note("user", text_or(user, "NULL"));
  note("password", text_or(password, "NULL"));
  note_dictionary("open", open_options);
  note_dictionary("mount", mount_options);
  char path[4096] = "/Volumes/core";
  int status = 0;
  const char *wanted = getenv("DOUBLE_STATUS");
  if (wanted != NULL) status = atoi(wanted);
  if (getenv("DOUBLE_HANG") != NULL) {
    for (;;) pause();
  }
  if (getenv("DOUBLE_CRASH") != NULL) abort();
  if (status == 0 && getenv("DOUBLE_EXPORTS") != NULL) status = bind_export(address, at, path, sizeof path);
  if (status == 0 || status == EEXIST) {
    CFTypeRef text = CFStringCreateWithCString(NULL, path, UTF8);
    *mount_points = CFArrayCreate(NULL, &text, 1, kCFTypeArrayCallBacks);
    CFRelease(text);
  }
  return status;
}
