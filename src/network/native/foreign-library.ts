// Calls into C libraries, without koffi's types.
import { loadKoffi } from "./core-foundation-darwin.ts";

export interface ForeignLibrary {
  /**
   * A function by its C types: `declare("close", "int", ["int"])`. Throws when the library has none of that name. The
   * caller's type is trusted; numbers, strings, bytes and addresses (bigint) go through.
   */
  declare<Call extends (...args: never[]) => unknown>(
    name: string,
    result: string,
    parameters: readonly string[],
  ): Call;
  /** The same, called on a thread of libuv's pool, as it may block for long. What it is given must live that long. */
  declareInPool(
    name: string,
    result: string,
    parameters: readonly string[],
  ): (...args: readonly (string | number | Uint8Array)[]) => Promise<number>;
  /** What the last call on this thread failed with. */
  errno(): number;
}

/** `path`: null for what this process has loaded already. Rejects when koffi or the library cannot be had. */
export async function loadForeignLibrary(path: string | null): Promise<ForeignLibrary> {
  const koffi = await loadKoffi();
  const library = koffi.load(path);
  return {
    // What a name stands for is known to no compiler.
    declare: (name, result, parameters) => library.func(name, result, [...parameters]) as never,
    declareInPool(name, result, parameters) {
      const called = library.func(name, result, [...parameters]);
      return (...args) =>
        new Promise((resolve, reject) => {
          called.async(...args, (error: unknown, result: number) => {
            if (error === null || error === undefined) resolve(result);
            else reject(error);
          });
        });
    },
    errno: () => koffi.errno(),
  };
}
