// Calls into C libraries, without koffi's types.
import { loadKoffi } from "./core-foundation-darwin.ts";

export interface ForeignLibrary {
  /**
   * Declares a function by its C types: `declare("close", "int", ["int"])`. Throws if the library has no
   * function of that name. The type `Call` is trusted; arguments are numbers, strings, bytes and addresses
   * (bigint).
   */
  declare<Call extends (...args: never[]) => unknown>(
    name: string,
    result: string,
    parameters: readonly string[],
  ): Call;
  /**
   * Like `declare`, but each call runs on a thread of libuv's pool, because it may block. The caller must
   * keep the arguments alive until the result is there.
   */
  declareInPool(
    name: string,
    result: string,
    parameters: readonly string[],
  ): (...args: readonly (string | number | bigint | Uint8Array)[]) => Promise<number>;
  errno(): number;
}

/** `path`: null for the libraries of this process. Rejects if koffi or the library cannot be loaded. */
export async function loadForeignLibrary(path: string | null): Promise<ForeignLibrary> {
  const koffi = await loadKoffi();
  const library = koffi.load(path);
  return {
    // The compiler cannot know the type of a function that is looked up by name.
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
