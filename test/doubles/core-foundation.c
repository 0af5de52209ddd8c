// A double of the pieces of CoreFoundation that Mountaineer calls: the same ABI, every object counted.
#include "core-foundation.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_int alive;
static atomic_int faults;
static char last_fault[200];

int double_alive(void) { return alive; }
int double_faults(void) { return faults; }
const char *double_last_fault(void) { return last_fault; }
void double_forget_faults(void) { faults = 0; last_fault[0] = 0; }

void fault(const char *what) {
  snprintf(last_fault, sizeof last_fault, "%s", what);
  faults++;
}

Object *object_create(Kind kind) {
  Object *object = calloc(1, sizeof *object);
  object->kind = kind;
  object->references = 1;
  alive++;
  return object;
}

static Object true_object = {.kind = KIND_BOOLEAN, .references = 1, .count = 1};
static Object false_object = {.kind = KIND_BOOLEAN, .references = 1};
static Object default_mode = {.kind = KIND_STRING, .references = 1, .text = "kCFRunLoopDefaultMode"};
CFTypeRef kCFBooleanTrue = &true_object;
CFTypeRef kCFBooleanFalse = &false_object;
CFTypeRef kCFRunLoopDefaultMode = &default_mode;
const long kCFTypeArrayCallBacks[5] = {1};
const long kCFTypeDictionaryKeyCallBacks[6] = {2};
const long kCFTypeDictionaryValueCallBacks[5] = {3};

static int is_constant(CFTypeRef ref) {
  return ref == kCFBooleanTrue || ref == kCFBooleanFalse || ref == kCFRunLoopDefaultMode;
}

int is_kind(CFTypeRef ref, Kind kind) {
  if (ref == NULL) {
    fault("NULL where an object must be");
    return 0;
  }
  const Object *object = ref;
  if (object->kind == kind) return 1;
  fault(object->kind == KIND_FREED ? "used after its last release" : "an object of another kind");
  return 0;
}

const char *text_of(CFTypeRef ref) { return is_kind(ref, KIND_STRING) ? ((const Object *)ref)->text : ""; }

CFTypeRef CFRetain(CFTypeRef ref) {
  if (is_constant(ref)) return ref;
  Object *object = (Object *)ref;
  if (object->kind == KIND_FREED) fault("retained after its last release");
  __atomic_add_fetch(&object->references, 1, __ATOMIC_SEQ_CST);
  return ref;
}

void CFRelease(CFTypeRef ref) {
  if (ref == NULL) {
    // The real one ends the process.
    fault("CFRelease(NULL)");
    return;
  }
  if (is_constant(ref)) {
    fault("a constant was released");
    return;
  }
  Object *object = (Object *)ref;
  if (object->kind == KIND_FREED) {
    fault("released once too often");
    return;
  }
  if (__atomic_sub_fetch(&object->references, 1, __ATOMIC_SEQ_CST) > 0) return;
  if (object->end != NULL) object->end(object);
  for (CFIndex index = 0; object->retains && index < object->count; index++) {
    if (object->keys != NULL && object->keys[index] != NULL) CFRelease(object->keys[index]);
    if (!is_constant(object->values[index])) CFRelease(object->values[index]);
  }
  free(object->text);
  free(object->keys);
  free(object->values);
  // The header stays, so that a later use is told and not a crash.
  object->kind = KIND_FREED;
  object->text = NULL;
  alive--;
}

unsigned long CFGetTypeID(CFTypeRef ref) {
  const Object *object = ref;
  if (object->kind == KIND_FREED) fault("asked for its type after its last release");
  return object->kind;
}
unsigned long CFStringGetTypeID(void) { return KIND_STRING; }
unsigned long CFArrayGetTypeID(void) { return KIND_ARRAY; }
unsigned long CFDictionaryGetTypeID(void) { return KIND_DICTIONARY; }
unsigned long CFBooleanGetTypeID(void) { return KIND_BOOLEAN; }
unsigned long CFURLGetTypeID(void) { return KIND_URL; }

CFTypeRef CFStringCreateWithCString(CFTypeRef allocator, const char *text, uint32_t encoding) {
  if (allocator != NULL) fault("an allocator");
  if (encoding != UTF8) fault("a string in another encoding");
  Object *object = object_create(KIND_STRING);
  object->text = strdup(text);
  return object;
}

CFIndex CFStringGetLength(CFTypeRef ref) {
  CFIndex units = 0;
  for (const unsigned char *at = (const unsigned char *)text_of(ref); *at; at++) {
    if ((*at & 0xc0) != 0x80) units += *at >= 0xf0 ? 2 : 1;
  }
  return units;
}

Boolean CFStringGetCString(CFTypeRef ref, char *buffer, CFIndex size, uint32_t encoding) {
  if (encoding != UTF8) fault("a string wanted in another encoding");
  const char *text = text_of(ref);
  if ((CFIndex)strlen(text) + 1 > size) return 0;
  strcpy(buffer, text);
  return 1;
}

CFTypeRef CFArrayCreate(CFTypeRef allocator, const CFTypeRef *values, CFIndex count, const void *callBacks) {
  if (allocator != NULL) fault("an allocator");
  if (callBacks != kCFTypeArrayCallBacks) fault("not the address of kCFTypeArrayCallBacks");
  Object *object = object_create(KIND_ARRAY);
  object->retains = 1;
  object->count = count;
  object->values = calloc(count + 1, sizeof *object->values);
  for (CFIndex index = 0; index < count; index++) object->values[index] = CFRetain(values[index]);
  return object;
}
CFIndex CFArrayGetCount(CFTypeRef ref) { return is_kind(ref, KIND_ARRAY) ? ((const Object *)ref)->count : 0; }
CFTypeRef CFArrayGetValueAtIndex(CFTypeRef ref, CFIndex index) {
  if (!is_kind(ref, KIND_ARRAY)) return NULL;
  const Object *object = ref;
  if (index >= 0 && index < object->count) return object->values[index];
  fault("beyond the end of an array");
  return NULL;
}

CFTypeRef CFDictionaryCreateMutable(CFTypeRef allocator, CFIndex capacity, const void *keys, const void *values) {
  if (allocator != NULL || capacity != 0) fault("an allocator, or a capacity");
  if (keys != kCFTypeDictionaryKeyCallBacks) fault("not the address of kCFTypeDictionaryKeyCallBacks");
  if (values != kCFTypeDictionaryValueCallBacks) fault("not the address of kCFTypeDictionaryValueCallBacks");
  Object *object = object_create(KIND_DICTIONARY);
  object->retains = 1;
  return object;
}
static CFIndex index_of(const Object *object, CFTypeRef key) {
  for (CFIndex index = 0; index < object->count; index++) {
    if (strcmp(text_of(object->keys[index]), text_of(key)) == 0) return index;
  }
  return -1;
}
void CFDictionarySetValue(CFTypeRef ref, CFTypeRef key, CFTypeRef value) {
  if (!is_kind(ref, KIND_DICTIONARY) || !is_kind(key, KIND_STRING)) return;
  Object *object = (Object *)ref;
  if (index_of(object, key) != -1) {
    fault("a key set twice");
    return;
  }
  object->keys = realloc(object->keys, (object->count + 1) * sizeof *object->keys);
  object->values = realloc(object->values, (object->count + 1) * sizeof *object->values);
  object->keys[object->count] = CFRetain(key);
  object->values[object->count] = CFRetain(value);
  object->count++;
}
CFTypeRef CFDictionaryGetValue(CFTypeRef ref, CFTypeRef key) {
  if (!is_kind(ref, KIND_DICTIONARY)) return NULL;
  CFIndex index = index_of(ref, key);
  return index == -1 ? NULL : ((const Object *)ref)->values[index];
}

Boolean CFBooleanGetValue(CFTypeRef ref) {
  return is_kind(ref, KIND_BOOLEAN) ? ((const Object *)ref)->count != 0 : 0;
}

/** Refuses, as the real one does, what is not a URL: anything but URL characters and whole escapes. */
CFTypeRef CFURLCreateWithString(CFTypeRef allocator, CFTypeRef string, CFTypeRef base) {
  if (allocator != NULL || base != NULL) fault("an allocator, or a base");
  const char *text = text_of(string);
  for (const char *at = text; *at; at++) {
    if (*at == '%' && strspn(at + 1, "0123456789abcdefABCDEF") < 2) return NULL;
    if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f || strchr("<>\"{}|\\^`", *at) != NULL) return NULL;
  }
  Object *object = object_create(KIND_URL);
  object->text = strdup(text);
  return object;
}
CFTypeRef CFURLCreateFromFileSystemRepresentation(CFTypeRef allocator, const uint8_t *bytes, CFIndex length,
                                                  Boolean isDirectory) {
  if (allocator != NULL || !isDirectory) fault("an allocator, or no folder");
  Object *object = object_create(KIND_URL);
  object->text = strndup((const char *)bytes, length);
  return object;
}

int run_loop_wait_seconds(pthread_cond_t *condition, pthread_mutex_t *mutex, double seconds) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  long nanoseconds = until.tv_nsec + (long)((seconds - (long)seconds) * 1e9);
  until.tv_sec += (long)seconds + nanoseconds / 1000000000;
  until.tv_nsec = nanoseconds % 1000000000;
  return pthread_cond_timedwait(condition, mutex, &until);
}
