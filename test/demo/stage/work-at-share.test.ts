import assert from "node:assert/strict";
import { appendFile, mkdir, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  FILM_MIB,
  makeMaterial,
  startWork,
  type WorkAtShare,
} from "../../../src/demo/stage/work-at-share.ts";
import { childEnvironment } from "../../../src/runtime/process/child-process.ts";
import { isRunning, type ProcessIdentity } from "../../../src/runtime/process/process-identity.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

interface Stand {
  readonly work: WorkAtShare;
  readonly server: string;
  readonly started: readonly ProcessIdentity[];
}

/** At work on a plain folder, which is share and server in one. */
async function begin(t: TestContext): Promise<Stand> {
  const folder = await temporaryFolder(t);
  const server = join(folder, "server");
  await mkdir(server);
  const material = await makeMaterial(server);
  const started: ProcessIdentity[] = [];
  t.after(() => {
    for (const { pid } of started) {
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
  });
  const work = await startWork({
    material,
    serverFolder: server,
    shareFolder: server,
    workFolder: folder,
    environment: childEnvironment(),
    onStart: (identity) => started.push(identity),
  });
  return { work, server, started };
}

async function isAtWork(work: WorkAtShare): Promise<void> {
  await eventually(() => work.progress().pieces > 1 && work.progress().lines > 1);
}

test("A10 both programs work until they are told to finish, and all of it is there then", async (t) => {
  const { work, server, started } = await begin(t);
  await isAtWork(work);
  assert.equal(work.complaint(), null);
  assert.equal(started.length, 2);
  assert.notEqual(await work.missingOnServer(), null, "neither is finished");
  await work.finish();
  assert.equal(work.complaint(), null);
  assert.equal(await work.missingOnServer(), null);
  for (const identity of started) assert.equal(await isRunning(identity), false);
  const copy = await readFile(join(server, "film-copy.bin"));
  assert.equal(copy.length, FILM_MIB * 1024 * 1024);
});

test("A10 a copy that is not whole, and lines that are too few or too many, are noticed", async (t) => {
  const { work, server } = await begin(t);
  await isAtWork(work);
  await work.finish();
  const log = join(server, "work.log");
  await appendFile(log, "another line\n");
  assert.match((await work.missingOnServer()) ?? "", /^the log has \d+ of \d+ lines, or others$/);
  await truncate(log, (await readFile(log)).length - "another line\n".length);
  assert.equal(await work.missingOnServer(), null);
  await truncate(join(server, "film-copy.bin"), 1_000);
  assert.equal(await work.missingOnServer(), "there is no whole copy");
});

test("A10 a program that ends, by an error or by a signal, is a complaint", async (t) => {
  const { work, started } = await begin(t);
  await isAtWork(work);
  process.kill(started[0]?.pid ?? 0, "SIGKILL");
  await eventually(() => /^(copy|append): it ended with SIGKILL$/.test(work.complaint() ?? ""));
});

test("A10 a file that cannot be opened is a complaint in the system's words", async (t) => {
  const folder = await temporaryFolder(t);
  const started: ProcessIdentity[] = [];
  const work = await startWork({
    material: { digest: "" },
    serverFolder: folder,
    shareFolder: join(folder, "nothing"),
    workFolder: folder,
    environment: childEnvironment(),
    onStart: (identity) => started.push(identity),
  });
  await eventually(() => /copy: .*film\.bin.*it ended with 2/s.test(work.complaint() ?? ""));
});
