// The Go compiler on a machine without one. It is 72 MB to download.
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { COMPILER, goProgram } from "../../scripts/mount/compiler.ts";
import { run } from "../../scripts/mount/run.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("where PATH has no Go the pinned compiler is fetched once from the module proxy", {
  timeout: 900_000,
}, async (t) => {
  const folder = await temporaryFolder(t);
  const { PATH } = process.env;
  t.after(() => {
    process.env["PATH"] = PATH;
  });
  process.env["PATH"] = folder;
  const go = await goProgram(folder);
  assert.equal(go, path.join(folder, ".tmp/mount", COMPILER, "bin/go"));
  assert.match(
    await run(go, ["version"], { env: { GOTOOLCHAIN: "local" } }),
    new RegExp(`^go version ${COMPILER} `),
  );
  const startedAtMs = performance.now();
  assert.equal(await goProgram(folder), go);
  assert.ok(performance.now() - startedAtMs < 1_000, "it is kept");
});
