// Files that never answer, for tests of code that must not wait for one.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Opening it for reading blocks, as reading on a dead mount does. Resolves with the path. */
export async function makeFifo(path: string): Promise<string> {
  await promisify(execFile)("mkfifo", [path]);
  return path;
}
