import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openGrantStore } from "../../../../src/gateway/backends/sign-in/grant-store.ts";
import { systemClock as clock } from "../../../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { openTestStore } from "./sign-in-rig.ts";

const SERVER = "https://one.example/mcp";

test("E1 whoever writes to the home leads no sign-in to a server of their own", async (t) => {
  const home = await temporaryFolder(t);
  const grants = openGrantStore({ home, clock, openStore: openTestStore(home) });
  const own = "https://one.example/.well-known/oauth-protected-resource";
  const kept = { status: 401, resourceMetadata: own, scopes: ["a"], error: null } as const;
  await grants.keepChallenge("tickets", SERVER, kept);
  assert.deepEqual(await grants.readChallenge("tickets", SERVER), kept);
  const folder = join(home, "sign-in");
  const [name = ""] = await readdir(folder);
  const text = await readFile(join(folder, name), "utf8");
  for (const other of [
    "https://evil.example/x",
    "https://one.example@evil.example/",
    "file:///etc/passwd",
    "x",
  ]) {
    await writeFile(join(folder, name), text.replace(own, other));
    assert.deepEqual(
      await grants.readChallenge("tickets", SERVER),
      { ...kept, resourceMetadata: null },
      other,
    );
  }
  assert.equal(await grants.readChallenge("tickets", "https://two.example/mcp"), null);
});
