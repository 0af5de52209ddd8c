// How a command must have ended.
import assert from "node:assert/strict";
import type { Ran } from "./collect.ts";

/** A text is all that was said; a pattern is in it, as is each of several; null: whatever it is. */
type Said = string | RegExp | readonly RegExp[] | null;

/** Waits for a command's end, which must be this one. */
export async function ends<End extends Omit<Ran, "signal">>(
  running: Promise<End>,
  code: End["code"],
  stdout: Said = null,
  stderr: Said = null,
): Promise<End> {
  const end = await running;
  const whole = `ended with ${end.code}\n${end.stdout}\n${end.stderr}`;
  assert.equal(end.code, code, whole);
  assertSaid(end.stdout, stdout, `stdout: ${whole}`);
  assertSaid(end.stderr, stderr, `stderr: ${whole}`);
  return end;
}

function assertSaid(text: string, said: Said, whole: string): void {
  if (typeof said === "string") assert.equal(text, said, whole);
  else for (const pattern of [said ?? []].flat()) assert.match(text, pattern, whole);
}
