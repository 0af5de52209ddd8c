// A double of SCDynamicStore and of the run loop that calls back: one queue of notifications for each store,
// filled from any thread, emptied by CFRunLoopRunInMode on the thread that the source was added on.
#include "core-foundation.h"
#include <regex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*CallBack)(CFTypeRef store, CFTypeRef changedKeys, void *info);

typedef struct Notice {
  struct Notice *next;
  char *key; // NULL: an empty list, as after a restart of configd
} Notice;

typedef struct Store {
  struct Store *next;
  Object *object;
  CallBack call_back;
  CFTypeRef keys;
  CFTypeRef patterns;
  Notice *first;
  Notice *last;
  pthread_t loop;
  int attached;
} Store;

typedef struct Value {
  char key[128];
  CFTypeRef dictionary;
} Value;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static Store *stores;
static Value values[64];
static int value_count;
static char failing[64];
static atomic_int call_backs;
static Object run_loop_object = {.kind = KIND_RUN_LOOP, .references = 1};

void double_fail(const char *function) { snprintf(failing, sizeof failing, "%s", function); }
static int fails(const char *function) { return strcmp(failing, function) == 0; }
int double_call_backs(void) { return call_backs; }

static int matches(CFTypeRef patterns, const char *key) {
  const Object *array = patterns;
  for (CFIndex index = 0; array != NULL && index < array->count; index++) {
    char whole[256];
    regex_t regex;
    snprintf(whole, sizeof whole, "^%s$", text_of(array->values[index]));
    if (regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB) != 0) {
      fault("not a regular expression");
      continue;
    }
    int found = regexec(&regex, key, 0, NULL, 0) == 0;
    regfree(&regex);
    if (found) return 1;
  }
  return 0;
}
static int names(CFTypeRef keys, const char *key) {
  const Object *array = keys;
  for (CFIndex index = 0; array != NULL && index < array->count; index++) {
    if (strcmp(text_of(array->values[index]), key) == 0) return 1;
  }
  return 0;
}
static void post(const char *key) {
  for (Store *store = stores; store != NULL; store = store->next) {
    if (key != NULL && !names(store->keys, key) && !matches(store->patterns, key)) continue;
    Notice *notice = calloc(1, sizeof *notice);
    notice->key = key == NULL ? NULL : strdup(key);
    if (store->last == NULL) store->first = notice;
    else store->last->next = notice;
    store->last = notice;
  }
  pthread_cond_broadcast(&changed);
}

static void store_end(Object *object) {
  Store *store = object->own;
  pthread_mutex_lock(&mutex);
  for (Store **at = &stores; *at != NULL; at = &(*at)->next) {
    if (*at == store) {
      *at = store->next;
      break;
    }
  }
  pthread_mutex_unlock(&mutex);
  for (Notice *notice = store->first; notice != NULL;) {
    Notice *next = notice->next;
    free(notice->key);
    free(notice);
    notice = next;
  }
  if (store->keys != NULL) CFRelease(store->keys);
  if (store->patterns != NULL) CFRelease(store->patterns);
  free(store);
}

CFTypeRef SCDynamicStoreCreate(CFTypeRef allocator, CFTypeRef name, CallBack call_back, void *context) {
  if (allocator != NULL || context != NULL) fault("an allocator, or a context");
  text_of(name);
  if (fails("SCDynamicStoreCreate")) return NULL;
  Store *store = calloc(1, sizeof *store);
  store->object = object_create(KIND_STORE);
  store->object->own = store;
  store->object->end = store_end;
  store->call_back = call_back;
  pthread_mutex_lock(&mutex);
  store->next = stores;
  stores = store;
  pthread_mutex_unlock(&mutex);
  return store->object;
}

Boolean SCDynamicStoreSetNotificationKeys(CFTypeRef ref, CFTypeRef keys, CFTypeRef patterns) {
  if (!is_kind(ref, KIND_STORE) || fails("SCDynamicStoreSetNotificationKeys")) return 0;
  if (!is_kind(keys, KIND_ARRAY) || !is_kind(patterns, KIND_ARRAY)) return 0;
  Store *store = ((const Object *)ref)->own;
  pthread_mutex_lock(&mutex);
  store->keys = CFRetain(keys);
  store->patterns = CFRetain(patterns);
  pthread_mutex_unlock(&mutex);
  return 1;
}

static void source_end(Object *object) { CFRelease((CFTypeRef)object->own); }

CFTypeRef SCDynamicStoreCreateRunLoopSource(CFTypeRef allocator, CFTypeRef store, CFIndex order) {
  if (allocator != NULL || order != 0) fault("an allocator, or an order");
  if (!is_kind(store, KIND_STORE) || fails("SCDynamicStoreCreateRunLoopSource")) return NULL;
  Object *object = object_create(KIND_SOURCE);
  object->own = (void *)CFRetain(store);
  object->end = source_end;
  return object;
}

int SCError(void) { return 1002; }

CFTypeRef SCDynamicStoreCopyValue(CFTypeRef store, CFTypeRef key) {
  if (!is_kind(store, KIND_STORE)) return NULL;
  const char *wanted = text_of(key);
  CFTypeRef found = NULL;
  pthread_mutex_lock(&mutex);
  for (int index = 0; index < value_count; index++) {
    if (values[index].dictionary != NULL && strcmp(values[index].key, wanted) == 0)
      found = CFRetain(values[index].dictionary);
  }
  pthread_mutex_unlock(&mutex);
  return found;
}

CFTypeRef SCDynamicStoreCopyKeyList(CFTypeRef store, CFTypeRef pattern) {
  if (!is_kind(store, KIND_STORE)) return NULL;
  CFTypeRef found[64];
  CFIndex count = 0;
  pthread_mutex_lock(&mutex);
  CFTypeRef patterns = CFArrayCreate(NULL, &pattern, 1, kCFTypeArrayCallBacks);
  for (int index = 0; index < value_count; index++) {
    if (values[index].dictionary != NULL && matches(patterns, values[index].key))
      found[count++] = CFStringCreateWithCString(NULL, values[index].key, UTF8);
  }
  CFRelease(patterns);
  pthread_mutex_unlock(&mutex);
  CFTypeRef list = CFArrayCreate(NULL, found, count, kCFTypeArrayCallBacks);
  for (CFIndex index = 0; index < count; index++) CFRelease(found[index]);
  return list;
}

CFTypeRef CFRunLoopGetCurrent(void) { return &run_loop_object; }

void CFRunLoopAddSource(CFTypeRef loop, CFTypeRef source, CFTypeRef mode) {
  if (loop != &run_loop_object || mode != kCFRunLoopDefaultMode) fault("another loop, or another mode");
  if (!is_kind(source, KIND_SOURCE)) return;
  Store *store = ((const Object *)((const Object *)source)->own)->own;
  CFRetain(source);
  pthread_mutex_lock(&mutex);
  store->loop = pthread_self();
  store->attached = 1;
  pthread_mutex_unlock(&mutex);
}
void CFRunLoopRemoveSource(CFTypeRef loop, CFTypeRef source, CFTypeRef mode) {
  if (loop != &run_loop_object || mode != kCFRunLoopDefaultMode) fault("another loop, or another mode");
  if (!is_kind(source, KIND_SOURCE)) return;
  Store *store = ((const Object *)((const Object *)source)->own)->own;
  pthread_mutex_lock(&mutex);
  if (!store->attached) fault("a source removed that was not there");
  store->attached = 0;
  pthread_mutex_unlock(&mutex);
  CFRelease(source);
}

static int call_back_once(Store *store) {
  Notice *notice = store->first;
  if (notice == NULL) return 0;
  store->first = notice->next;
  if (store->first == NULL) store->last = NULL;
  pthread_mutex_unlock(&mutex);
  CFTypeRef key = notice->key == NULL ? NULL : CFStringCreateWithCString(NULL, notice->key, UTF8);
  CFTypeRef list = CFArrayCreate(NULL, &key, key == NULL ? 0 : 1, kCFTypeArrayCallBacks);
  if (key != NULL) CFRelease(key);
  CFRetain(store->object);
  store->call_back(store->object, list, NULL);
  call_backs++;
  CFRelease(list);
  CFRelease(store->object);
  free(notice->key);
  free(notice);
  pthread_mutex_lock(&mutex);
  return 1;
}

/** 1: nothing to wait for; 3: the time is over. Handles all that comes meanwhile. */
int32_t CFRunLoopRunInMode(CFTypeRef mode, double seconds, Boolean after_one) {
  if (mode != kCFRunLoopDefaultMode || after_one) fault("another mode, or only one source");
  if (fails("CFRunLoopRunInMode")) return 1;
  struct timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  pthread_mutex_lock(&mutex);
  for (;;) {
    int attached = 0;
    int handled = 0;
    for (Store *store = stores; store != NULL; store = store->next) {
      if (!store->attached || !pthread_equal(store->loop, pthread_self())) continue;
      attached = 1;
      handled = call_back_once(store);
      if (handled) break;
    }
    if (!attached) {
      pthread_mutex_unlock(&mutex);
      return 1;
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double left = seconds - (double)(now.tv_sec - start.tv_sec) - (double)(now.tv_nsec - start.tv_nsec) / 1e9;
    if (left <= 0) break;
    if (!handled) run_loop_wait_seconds(&changed, &mutex, left);
  }
  pthread_mutex_unlock(&mutex);
  return 3;
}

static void set(const char *key, CFTypeRef dictionary) {
  pthread_mutex_lock(&mutex);
  int index = 0;
  while (index < value_count && strcmp(values[index].key, key) != 0) index++;
  if (index == value_count) {
    snprintf(values[index].key, sizeof values[index].key, "%s", key);
    value_count++;
  } else if (values[index].dictionary != NULL) {
    CFRelease(values[index].dictionary);
  }
  values[index].dictionary = dictionary;
  post(key);
  pthread_mutex_unlock(&mutex);
}
static void put(CFTypeRef dictionary, const char *name, CFTypeRef value, int release) {
  CFTypeRef key = CFStringCreateWithCString(NULL, name, UTF8);
  CFDictionarySetValue(dictionary, key, value);
  CFRelease(key);
  if (release) CFRelease(value);
}
static CFTypeRef dictionary(void) {
  return CFDictionaryCreateMutable(NULL, 0, kCFTypeDictionaryKeyCallBacks, kCFTypeDictionaryValueCallBacks);
}

/** active -1: an entry without `Active`. */
void double_set_link(const char *key, int active) {
  CFTypeRef entry = dictionary();
  if (active >= 0) put(entry, "Active", active ? kCFBooleanTrue : kCFBooleanFalse, 0);
  set(key, entry);
}
void double_set_text(const char *key, const char *name, const char *text) {
  CFTypeRef entry = dictionary();
  put(entry, name, CFStringCreateWithCString(NULL, text, UTF8), 1);
  set(key, entry);
}
/** Addresses parted by commas. */
void double_set_addresses(const char *key, const char *addresses) {
  CFTypeRef list[32];
  CFIndex count = 0;
  char *copy = strdup(addresses);
  char *rest = copy;
  for (char *one = strtok_r(copy, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest))
    list[count++] = CFStringCreateWithCString(NULL, one, UTF8);
  free(copy);
  CFTypeRef entry = dictionary();
  put(entry, "Addresses", CFArrayCreate(NULL, list, count, kCFTypeArrayCallBacks), 1);
  for (CFIndex index = 0; index < count; index++) CFRelease(list[index]);
  set(key, entry);
}
void double_remove(const char *key) { set(key, NULL); }
void double_restart_configd(void) {
  pthread_mutex_lock(&mutex);
  post(NULL);
  pthread_mutex_unlock(&mutex);
}
int double_stores(void) {
  int count = 0;
  pthread_mutex_lock(&mutex);
  for (Store *store = stores; store != NULL; store = store->next) count++;
  pthread_mutex_unlock(&mutex);
  return count;
}

typedef struct Storm {
  char key[128];
  int times;
} Storm;
static void *blow(void *argument) {
  Storm *storm = argument;
  for (int index = 1; index <= storm->times; index++) double_set_link(storm->key, index & 1);
  free(storm);
  return NULL;
}
/** A link that flaps, told from a thread of its own. */
void double_storm(const char *key, int times) {
  Storm *storm = calloc(1, sizeof *storm);
  snprintf(storm->key, sizeof storm->key, "%s", key);
  storm->times = times;
  pthread_t thread;
  pthread_create(&thread, NULL, blow, storm);
  pthread_detach(thread);
}
