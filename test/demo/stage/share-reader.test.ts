import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { readShareFile } from "../../../src/demo/stage/share-reader.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { makeFifo } from "../fifo.ts";

function options(
  changes: Partial<Parameters<typeof readShareFile>[1]> = {},
): Parameters<typeof readShareFile>[1] {
  return { environment: {}, deadlineMs: 10_000, signal: new AbortController().signal, ...changes };
}

test("a file's text comes with the time it took", async (t) => {
  const path = join(await temporaryFolder(t), "-a file");
  await writeFile(path, "text\n");
  const reading = await readShareFile(path, options());
  assert.equal(reading.ok && reading.text, "text\n");
  assert.ok(reading.tookMs > 0);
});

test("what cannot be read says why, in the system's words", async (t) => {
  const path = join(await temporaryFolder(t), "nothing");
  const reading = await readShareFile(path, options());
  assert.equal(!reading.ok && reading.why, "No such file or directory");
});

test("A8 a file that never answers holds nobody up longer than the deadline", async (t) => {
  const path = await makeFifo(join(await temporaryFolder(t), "fifo"));
  const reading = await readShareFile(path, options({ deadlineMs: 100 }));
  assert.equal(!reading.ok && reading.why, "no answer for 0.1 s");
  assert.ok(reading.tookMs < 5_000);
});

test("a person who gives up ends it", async (t) => {
  const path = await makeFifo(join(await temporaryFolder(t), "fifo"));
  const stop = new AbortController();
  const reading = readShareFile(path, options({ signal: stop.signal }));
  stop.abort();
  await assert.rejects(reading, { code: "aborted" });
});
