import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import {
  type AcceptedContent,
  type ConfigHistory,
  openHistory,
} from "../../../src/config/history/history.ts";
import { createUnkeptHistory } from "../../../src/daemon/reload/unkept-history.ts";
import { assertEach } from "../../support/assert-each.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { sha256 } from "../samples.ts";

function content(text: string): AcceptedContent {
  const time = "2026-11-20T08:00:00.000Z";
  return {
    bytes: Buffer.from(text),
    sha256: sha256(text),
    format: "toml",
    source: "file",
    summary: text,
    time,
  };
}

test("what cannot be kept is an entry all the same, and is kept as soon as that can be", async (t) => {
  const home = await temporaryFolder(t);
  const real = openHistory(home, join(home, "config.toml"));
  let isFull = false;
  const full: ConfigHistory = {
    ...real,
    async record(each) {
      if (isFull) throw new Error("no space left");
      return real.record(each);
    },
  };
  const history = createUnkeptHistory(full);
  const told = async () => (await history.list()).map(({ n, summary }) => `${n} ${summary}`);
  await history.record(content("a"));
  isFull = true;
  await assert.rejects(history.record(content("b")), /no space/);
  await assert.rejects(history.record(content("b")), /no space/);
  await assert.rejects(history.record(content("c")), /no space/);
  assert.equal(history.unsavedBecause, "no space left");
  assert.deepEqual(await told(), ["0 c", "1 b", "2 a"]);
  assert.equal(Buffer.from((await history.entry(0)).bytes).toString(), "c");
  const { n, summary } = await history.entry(2);
  assert.deepEqual([n, summary], [2, "a"]);
  assert.equal((await real.list()).length, 1);
  isFull = false;
  assert.deepEqual(await told(), ["0 c", "1 b", "2 a"]);
  assert.equal(history.unsavedBecause, null);
  assertEach(await real.list(), (entry) => entry.summary, ["c", "b", "a"]);
  await assert.rejects(history.entry(3), { code: "history_unknown" });
});
