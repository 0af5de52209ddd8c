// Calls into macOS's CoreFoundation: strings, arrays, dictionaries, booleans, URLs. Other systems do not load it; in
// tests, a library with the same ABI replaces it.
import { errorText } from "../../runtime/errors.ts";

/** A CFTypeRef: an address, never 0. */
export type CfRef = bigint;

export const CORE_FOUNDATION_PATH = "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation";

/**
 * Notes a reference from a Create or Copy function, and returns the reference. It is released at the end of `owning`.
 */
type Own = <Ref extends CfRef | null>(ref: Ref) => Ref;

export interface CoreFoundation {
  /**
   * Runs `work`, then releases the references that `work` passed to `own`, in reverse order. The system may run
   * callbacks during `work`.
   */
  owning<T>(work: (own: Own) => T): T;
  /** Valid until `release`. Rejects text that holds a NUL. */
  string(text: string): CfRef;
  /** Retains its items. Valid until `release`. */
  array(items: readonly CfRef[]): CfRef;
  /** Retains its values. Valid until `release`. */
  dictionary(entries: Readonly<Record<string, CfRef>>): CfRef;
  /** Valid until `release`; null if the text is not a URL. */
  url(text: string): CfRef | null;
  /** The file URL of a folder. Valid until `release`. */
  folderUrl(path: string): CfRef;
  boolean(value: boolean): CfRef;
  release(ref: CfRef): void;
  /** The text of a string; null for any other reference. */
  textOf(ref: CfRef): string | null;
  /** The items, which the array still owns; null if `ref` is not an array. */
  itemsOf(ref: CfRef): readonly CfRef[] | null;
}

const UTF8 = 0x08000100;
/** A UTF-16 unit takes at most three bytes of UTF-8. */
const UTF8_BYTES_AT_MOST = 3;

type Koffi = typeof import("koffi");

interface Functions {
  release(ref: CfRef): void;
  typeOf(ref: CfRef): number | bigint;
  stringCreate(allocator: null, text: string, encoding: number): CfRef | null;
  stringLength(ref: CfRef): number | bigint;
  stringBytes(ref: CfRef, buffer: Uint8Array, size: number, encoding: number): number;
  arrayCreate(allocator: null, items: BigUint64Array, count: number, callBacks: bigint): CfRef | null;
  arrayCount(ref: CfRef): number | bigint;
  arrayItem(ref: CfRef, index: number): CfRef | null;
  dictionaryCreate(allocator: null, capacity: number, keys: bigint, values: bigint): CfRef | null;
  dictionarySet(ref: CfRef, key: CfRef, value: CfRef): void;
  urlCreate(allocator: null, text: CfRef, base: null): CfRef | null;
  folderUrlCreate(allocator: null, path: Uint8Array, length: number, isFolder: number): CfRef | null;
}

/** Rejects if koffi or the library cannot be loaded. */
export async function loadCoreFoundation(path: string = CORE_FOUNDATION_PATH): Promise<CoreFoundation> {
  const koffi = await loadKoffi();
  const library = koffi.load(path);
  const typeId = (name: string): bigint => BigInt(library.func(`unsigned long ${name}()`)());
  const constant = (name: string): CfRef => koffi.decode(library.symbol(name), "void *");
  const arrayCallBacks: bigint = library.symbol("kCFTypeArrayCallBacks");
  const keyCallBacks: bigint = library.symbol("kCFTypeDictionaryKeyCallBacks");
  const valueCallBacks: bigint = library.symbol("kCFTypeDictionaryValueCallBacks");
  const types = {
    string: typeId("CFStringGetTypeID"),
    array: typeId("CFArrayGetTypeID"),
  };
  const yes = constant("kCFBooleanTrue");
  const no = constant("kCFBooleanFalse");
  const calls = functionsOf(library);
  const isOf = (ref: CfRef, type: bigint): boolean => BigInt(calls.typeOf(ref)) === type;

  const string = (text: string): CfRef => {
    // CoreFoundation would silently cut the text off at a NUL.
    if (text.includes("\0")) throw new Error("text with a NUL cannot be handed over");
    return made(calls.stringCreate(null, text, UTF8), "CFString");
  };
  const owning = <T>(work: (own: Own) => T): T => {
    const owned: CfRef[] = [];
    try {
      return work((ref) => {
        if (ref !== null) owned.push(ref);
        return ref;
      });
    } finally {
      for (const ref of owned.reverse()) calls.release(ref);
    }
  };

  return {
    owning,
    string,
    array(items) {
      // An empty array still needs an address to point to.
      const pointers = BigUint64Array.from(items.length === 0 ? [0n] : items);
      return made(calls.arrayCreate(null, pointers, items.length, arrayCallBacks), "CFArray");
    },
    dictionary(entries) {
      const ref = made(calls.dictionaryCreate(null, 0, keyCallBacks, valueCallBacks), "CFDictionary");
      owning((own) => {
        for (const [key, value] of Object.entries(entries)) calls.dictionarySet(ref, own(string(key)), value);
      });
      return ref;
    },
    url: (text) => owning((own) => calls.urlCreate(null, own(string(text)), null)),
    folderUrl(path) {
      if (path.includes("\0")) throw new Error("a path with a NUL cannot be handed over");
      const bytes = Buffer.from(path);
      return made(calls.folderUrlCreate(null, bytes, bytes.length, 1), "CFURL");
    },
    boolean: (value) => (value ? yes : no),
    release: (ref) => calls.release(ref),
    textOf(ref) {
      if (!isOf(ref, types.string)) return null;
      const buffer = Buffer.alloc(Number(calls.stringLength(ref)) * UTF8_BYTES_AT_MOST + 1);
      if (calls.stringBytes(ref, buffer, buffer.length, UTF8) === 0) return null;
      return buffer.toString("utf8", 0, buffer.indexOf(0));
    },
    itemsOf(ref) {
      if (!isOf(ref, types.array)) return null;
      const items: CfRef[] = [];
      for (let index = 0; index < Number(calls.arrayCount(ref)); index++) {
        const item = calls.arrayItem(ref, index);
        if (item !== null) items.push(item);
      }
      return items;
    },
  };
}

function functionsOf(library: ReturnType<Koffi["load"]>): Functions {
  return {
    release: library.func("void CFRelease(const void *)"),
    typeOf: library.func("unsigned long CFGetTypeID(const void *)"),
    stringCreate: library.func("void *CFStringCreateWithCString(const void *, const char *, uint32_t)"),
    stringLength: library.func("long CFStringGetLength(const void *)"),
    stringBytes: library.func("uint8_t CFStringGetCString(const void *, uint8_t *, long, uint32_t)"),
    arrayCreate: library.func("void *CFArrayCreate(const void *, const uint64_t *, long, const void *)"),
    arrayCount: library.func("long CFArrayGetCount(const void *)"),
    arrayItem: library.func("void *CFArrayGetValueAtIndex(const void *, long)"),
    dictionaryCreate: library.func(
      "void *CFDictionaryCreateMutable(const void *, long, const void *, const void *)",
    ),
    dictionarySet: library.func("void CFDictionarySetValue(void *, const void *, const void *)"),
    urlCreate: library.func("void *CFURLCreateWithString(const void *, const void *, const void *)"),
    folderUrlCreate: library.func(
      "void *CFURLCreateFromFileSystemRepresentation(const void *, const uint8_t *, long, uint8_t)",
    ),
  };
}

/** koffi is optional: where it is missing, this rejects and the caller uses its fallback. */
export async function loadKoffi(): Promise<Koffi> {
  try {
    return await import("koffi");
  } catch (error) {
    throw new Error(`koffi cannot be loaded: ${errorText(error)}`, { cause: error });
  }
}

/** Create functions return NULL when memory is short or their arguments are wrong. */
function made(ref: CfRef | null, what: string): CfRef {
  if (ref === null) throw new Error(`macOS made no ${what}`);
  return ref;
}
