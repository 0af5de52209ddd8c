// What the doctor says of files that others may write or read, on real files.
import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { examinePrivatePlaces } from "../../src/doctor/home.ts";
import { accepted } from "../config/support.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("E2 the doctor names each file that others may write, and the chmod to run", async (t) => {
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  await mkdir(home, { mode: 0o700 });
  const path = join(home, "config.toml");
  const text = '[backends.a]\ncommand = "x"\nenv = { API_KEY = "hunter2" }\n';
  await writeFile(path, text, { mode: 0o600 });
  await writeFile(join(home, "secrets.json"), "{}", { mode: 0o600 });
  const snapshot = { ...(await accepted(text)), path };
  const found = () => examinePrivatePlaces({ home, snapshot });
  assert.deepEqual(await found(), []);

  await chmod(path, 0o666);
  await chmod(join(home, "secrets.json"), 0o622);
  assert.deepEqual(
    (await found()).map(({ severity, code, subject, hint }) => [severity, code, subject, hint]),
    [
      ["error", "writable_by_others", path, `chmod go-w ${path}`],
      ["error", "writable_by_others", join(home, "secrets.json"), `chmod go-w ${join(home, "secrets.json")}`],
    ],
  );

  await chmod(join(home, "secrets.json"), 0o600);
  await chmod(path, 0o644);
  await chmod(home, 0o755);
  await chmod(folder, 0o755);
  const [readable, ...others] = await found();
  assert.deepEqual(others, []);
  assert.deepEqual([readable?.severity, readable?.code], ["error", "readable_by_others"]);
  assert.match(readable?.text ?? "", /a secret: backends\.a\.env\.API_KEY$/);
  assert.doesNotMatch(JSON.stringify(readable), /hunter2/);
  assert.deepEqual(await examinePrivatePlaces({ home, snapshot: null }), []);
});
