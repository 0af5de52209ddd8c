// A double of NetFSMountURLAsync and NetFSMountURLCancel, with the blocks and queues that they are given: it checks
// what it is given, notes it, and, where DOUBLE_EXPORTS names a folder, binds EXPORTS/HOST/SHARE to the mount point, so
// that drivers can be tried on mounts that are real. DOUBLE_JOURNAL names a file that tells when calls begin and end.
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
#ifdef __linux__
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
  const char *exports = getenv("DOUBLE_EXPORTS");
  snprintf(source, sizeof source, "%s/%s", exports, host);
  // A folder of this name stands for every host.
  if (access(source, F_OK) != 0) snprintf(source, sizeof source, "%s/any", exports);
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
  for (int tries = 0; mount(source, mount_point, NULL, MS_BIND, NULL) != 0; tries++)
    // The late removal of an earlier mount's folder may take a new one at its path.
    if (errno != ENOENT || folder != NULL || tries > 2 || mkdir(mount_point, 0755) != 0) return errno;
  FILE *registry = fopen(getenv("DOUBLE_REGISTRY"), "a");
  fprintf(registry, "%d\t//%s/%s\t%s\n", mount_id_of(mount_point), authority, share, mount_point);
  fclose(registry);
  return 0;
}
#else
static int bind_export(const char *url, const char *folder, char *mount_point, size_t size) {
  (void)url, (void)folder, (void)mount_point, (void)size;
  return ENOTSUP;
}
#endif

// What a compiler makes of a block, by the published ABI.
void *_NSConcreteGlobalBlock[32];
typedef struct Block {
  void *isa;
  int flags;
  int reserved;
  void (*invoke)(struct Block *block, int status, void *request, CFTypeRef mount_points);
  struct {
    unsigned long reserved;
    unsigned long size;
  } *descriptor;
} Block;

static Object global_queue = {.kind = KIND_QUEUE, .references = 1};
void *dispatch_get_global_queue(long priority, unsigned long flags) {
  if (priority != 0 || flags != 0) fault("not the queue of default priority");
  return &global_queue;
}

typedef struct Request {
  char url[1024];
  char folder[4096];
  Block *block;
  int cancelled;
  int over;
} Request;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void journal(const char *what, const char *url) {
  const char *path = getenv("DOUBLE_JOURNAL");
  if (path == NULL) return;
  FILE *file = fopen(path, "a");
  fprintf(file, "%s %s\n", what, url);
  fclose(file);
}

/** DOUBLE_HANG: every server, or the one at this address. */
static int hangs(const Request *request) {
  const char *which = getenv("DOUBLE_HANG");
  return which != NULL && (strcmp(which, "1") == 0 || strstr(request->url, which) != NULL);
}

static void *serve_request(void *argument) {
  Request *request = argument;
  const char *wanted = getenv("DOUBLE_STATUS");
  const char *delay = getenv("DOUBLE_DELAY_MS");
  char path[4096] = "/Volumes/core";
  int status = wanted == NULL ? 0 : atoi(wanted);
  if (getenv("DOUBLE_CRASH") != NULL) abort();
  if (delay != NULL) usleep(atoi(delay) * 1000);
  pthread_mutex_lock(&mutex);
  while (hangs(request) && !request->cancelled) pthread_cond_wait(&changed, &mutex);
  int cancelled = request->cancelled;
  pthread_mutex_unlock(&mutex);
  // Apple's header: the block is not submitted if the request is cancelled. Others have seen it come with ECANCELED, 89
  // on macOS.
  if (cancelled && getenv("DOUBLE_CANCEL_CALLS_BACK") == NULL) return NULL;
  if (cancelled) status = 89;
  const char *at = request->folder[0] == 0 ? NULL : request->folder;
  if (status == 0 && getenv("DOUBLE_EXPORTS") != NULL) status = bind_export(request->url, at, path, sizeof path);
  CFTypeRef mount_points = NULL;
  if (status == 0 || status == EEXIST) {
    CFTypeRef text = CFStringCreateWithCString(NULL, path, UTF8);
    mount_points = CFArrayCreate(NULL, &text, 1, kCFTypeArrayCallBacks);
    CFRelease(text);
  }
  journal("end", request->url);
  request->block->invoke(request->block, status, request, mount_points);
  if (mount_points != NULL) CFRelease(mount_points);
  pthread_mutex_lock(&mutex);
  request->over = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  // One that is being cancelled belongs to who cancels it.
  if (!cancelled) free(request);
  return NULL;
}

int NetFSMountURLAsync(CFTypeRef url, CFTypeRef folder, CFTypeRef user, CFTypeRef password, CFTypeRef open_options,
                       CFTypeRef mount_options, void **request_id, void *queue, Block *block) {
  noted[0] = 0;
  if (!is_kind(url, KIND_URL) || !is_kind(queue, KIND_QUEUE) || request_id == NULL || block == NULL) return EINVAL;
  if (block->isa != &_NSConcreteGlobalBlock || block->flags != 1 << 28 || block->reserved != 0 ||
      block->descriptor->reserved != 0 || block->descriptor->size != sizeof *block) {
    fault("not a global block");
    return EINVAL;
  }
  Request *request = calloc(1, sizeof *request);
  snprintf(request->url, sizeof request->url, "%s", ((const Object *)url)->text);
  if (folder != NULL) snprintf(request->folder, sizeof request->folder, "%s", ((const Object *)folder)->text);
  note("url", request->url);
  note("folder", folder == NULL ? "NULL" : request->folder);
  note("user", text_or(user, "NULL"));
  note("password", text_or(password, "NULL"));
  note_dictionary("open", open_options);
  note_dictionary("mount", mount_options);
  const char *refused = getenv("DOUBLE_REFUSES");
  const char *right = getenv("DOUBLE_PASSWORD");
  if (right != NULL && strcmp(right, text_or(password, "")) != 0) refused = "80";
  if (refused != NULL) {
    free(request);
    return atoi(refused);
  }
  request->block = block;
  *request_id = request;
  journal("begin", request->url);
  pthread_t thread;
  pthread_create(&thread, NULL, serve_request, request);
  pthread_detach(thread);
  return 0;
}

int NetFSMountURLCancel(void *request_id) {
  Request *request = request_id;
  while (getenv("DOUBLE_DEAF") != NULL) pause();
  journal("cancel", request->url);
  pthread_mutex_lock(&mutex);
  request->cancelled = 1;
  pthread_cond_broadcast(&changed);
  if (getenv("DOUBLE_CANCEL_CALLS_BACK") != NULL) {
    while (!request->over) pthread_cond_wait(&changed, &mutex);
    journal("cancelled", request->url);
  }
  pthread_mutex_unlock(&mutex);
  return 0;
}
