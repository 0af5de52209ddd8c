// What all tests of a file share: made by the first that asks for it, and ended after the last.
import { after } from "node:test";
import type { Scope } from "./temporary-folder.ts";

/** Call it at the top of a test file, not within a test. */
export function forWholeFile<T>(make: (t: Scope) => Promise<T>): () => Promise<T> {
  const ends: (() => unknown)[] = [];
  let made: Promise<T> | null = null;
  after(async () => {
    for (const end of ends) await end();
  });
  return () => {
    made ??= make({ after: (end) => void ends.push(end) });
    return made;
  };
}
