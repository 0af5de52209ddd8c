// Folders that live as long as one test or bench.
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whatever ends what was registered with it when it ends itself: a test, or a bench. */
export interface Scope {
  after(end: () => unknown): void;
}

/**
 * A new empty folder (0700, without symlinks in its path), removed with all in it after the test. Node runs
 * `after` hooks in the order of their registration: what must end before the folder goes (a mount in it) is
 * registered before this call.
 */
export async function temporaryFolder(t: Scope): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "mountaineer-test-")));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}
