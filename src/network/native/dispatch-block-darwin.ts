// Blocks: the callbacks that macOS libraries call on a queue of libdispatch. Laid out by hand, as the compiler lays out
// a block that captures nothing. Not loaded on other systems.
import { loadKoffi } from "./core-foundation-darwin.ts";

export const SYSTEM_LIBRARY_PATH = "/usr/lib/libSystem.B.dylib";

/** An address; 0 for NULL. */
export type ForeignAddress = bigint;

interface ForeignBlock {
  readonly address: ForeignAddress;
  /** Call this only when the system can no longer call the block. */
  free(): void;
}

/** The system does not copy a global block, so this program decides when to free it. */
const BLOCK_IS_GLOBAL = 1n << 28n;
/**
 * The size of isa, flags, invoke and descriptor. The descriptor consists of a reserved word and this size.
 */
const BLOCK_BYTES = 32n;
const FIELDS = 6;

/** Rejects if koffi or the library cannot be loaded. */
export async function loadDispatch(path: string = SYSTEM_LIBRARY_PATH) {
  const koffi = await loadKoffi();
  const library = koffi.load(path);
  const isa: ForeignAddress = library.symbol("_NSConcreteGlobalBlock");
  const globalQueue: (priority: number, flags: number) => ForeignAddress = library.func(
    "void *dispatch_get_global_queue(long, unsigned long)",
  );
  return {
    /** A global queue, served by the system's threads. */
    queue: globalQueue(0, 0),
    /**
     * A block without a result; exceptions of `call` are lost. `call` runs on the event loop of this thread, and the
     * thread that calls the block waits for it.
     */
    block(
      parameters: readonly string[],
      call: (...args: readonly (number | bigint | null)[]) => void,
    ): ForeignBlock {
      // The first argument is the block itself.
      const prototype = koffi.pointer(koffi.proto("void", ["void *", ...parameters]));
      const invoke = koffi.register((_block: ForeignAddress, ...args: (number | bigint | null)[]) => {
        call(...args);
      }, prototype);
      const memory = koffi.alloc("uint64_t", FIELDS);
      const address = koffi.address(memory);
      const fields = [isa, BLOCK_IS_GLOBAL, invoke, address + BLOCK_BYTES, 0n, BLOCK_BYTES];
      koffi.encode(memory, koffi.array("uint64_t", FIELDS), fields);
      return {
        address,
        free() {
          koffi.unregister(invoke);
          koffi.free(memory);
        },
      };
    },
  };
}
