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
  /**
   * As `declare`, but called on a thread of libuv's pool, because the call may block for long. Its arguments must stay
   * alive until it returns.
   */
  declareInPool(
    name: string,
    result: string,
    parameters: readonly string[],
  ): (...args: readonly (string | number | Uint8Array)[]) => Promise<number>;
  /** The errno of the last call on this thread. */
  errno(): number;
}

/** `path`: null for what this process has loaded already. Rejects when koffi or the library cannot be had. */
export async function loadForeignLibrary(path: string | null): Promise<ForeignLibrary> {
  const koffi = await loadKoffi();
  const library = koffi.load(path);
  return {
    // The compiler cannot know the type of a function that is found by its name.
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
