// An assertion on what each entry of a list says of itself.
import assert from "node:assert/strict";

/** `assert.deepEqual` of what `of` makes of the entries, in their order; a list that is not there is none that fits. */
export function assertEach<T>(
  entries: Iterable<T> | undefined,
  of: (entry: T, index: number) => unknown,
  expected: unknown,
  message?: string,
): void {
  const told = entries === undefined ? undefined : [...entries].map(of);
  if (message === undefined) assert.deepEqual(told, expected);
  else assert.deepEqual(told, expected, message);
}
