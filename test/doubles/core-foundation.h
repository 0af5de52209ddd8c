// What the doubles of macOS frameworks share: objects with reference counts, and a count of what is alive.
#ifndef CORE_FOUNDATION_DOUBLE_H
#define CORE_FOUNDATION_DOUBLE_H
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef const void *CFTypeRef;
typedef long CFIndex;
typedef unsigned char Boolean;

typedef enum {
  KIND_FREED = 0,
  KIND_STRING = 1,
  KIND_ARRAY,
  KIND_DICTIONARY,
  KIND_BOOLEAN,
  KIND_URL,
  KIND_STORE,
  KIND_SOURCE,
  KIND_RUN_LOOP,
  KIND_QUEUE
} Kind;

typedef struct Object {
  Kind kind;
  int references;
  char *text;
  CFIndex count;
  CFTypeRef *keys;
  CFTypeRef *values;
  int retains;
  void (*end)(struct Object *);
  void *own;
} Object;

Object *object_create(Kind kind);
/** Counts a mistake of the caller: a wrong kind, a use after the last release. */
void fault(const char *what);
int is_kind(CFTypeRef ref, Kind kind);
const char *text_of(CFTypeRef ref);
int run_loop_wait_seconds(pthread_cond_t *condition, pthread_mutex_t *mutex, double seconds);

extern CFTypeRef kCFBooleanTrue;
extern CFTypeRef kCFBooleanFalse;
extern CFTypeRef kCFRunLoopDefaultMode;
extern const long kCFTypeArrayCallBacks[5];
extern const long kCFTypeDictionaryKeyCallBacks[6];
extern const long kCFTypeDictionaryValueCallBacks[5];

void CFRelease(CFTypeRef ref);
CFTypeRef CFRetain(CFTypeRef ref);
CFTypeRef CFStringCreateWithCString(CFTypeRef allocator, const char *text, uint32_t encoding);
CFTypeRef CFArrayCreate(CFTypeRef allocator, const CFTypeRef *values, CFIndex count, const void *callBacks);
CFTypeRef CFDictionaryCreateMutable(CFTypeRef allocator, CFIndex capacity, const void *keys, const void *values);
void CFDictionarySetValue(CFTypeRef dictionary, CFTypeRef key, CFTypeRef value);
CFTypeRef CFDictionaryGetValue(CFTypeRef dictionary, CFTypeRef key);
Boolean CFBooleanGetValue(CFTypeRef ref);

#define UTF8 0x08000100u
#endif
