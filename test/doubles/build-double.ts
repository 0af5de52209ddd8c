// Compiles the C doubles of macOS libraries, once for each test process.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);
const FLAGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread"];

/** Why doubles cannot be compiled here; null when they can. */
export async function doublesUnavailable(): Promise<string | null> {
  try {
    await run("cc", ["--version"]);
    await import("koffi");
    return null;
  } catch {
    return "the doubles need a C compiler (cc) and koffi";
  }
}

/** The path of a library made of these sources of test/doubles; gone after the test file. */
export async function buildDouble(...sources: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-double-"));
  after(() => rm(folder, { recursive: true, force: true }));
  const library = join(folder, "libdouble.so");
  const files = sources.map((name) => new URL(name, import.meta.url).pathname);
  await run("cc", [...FLAGS, "-o", library, ...files]);
  return library;
}
