// Owns folders that live as long as one test.
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/**
 * A new empty folder (0700, without symlinks in its path), removed with all in it after the test. Node runs
 * `after` hooks in the order of their registration: what must end before the folder goes (a mount in it) is
 * registered before this call.
 */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "mountaineer-test-")));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
