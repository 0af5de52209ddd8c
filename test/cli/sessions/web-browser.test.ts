import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { remoteInstructions, withoutSecret } from "../../../src/cli/sessions/web-browser.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const LINK = "http://127.0.0.1:9000/#c0de";

test("E2 a browser's arguments contain no secret: a file of the owner leads to the link", async (t) => {
  const home = await temporaryFolder(t);
  for (const link of ["http://127.0.0.1:9000/#0ld", LINK]) {
    const address = await withoutSecret(link, home, [join(home, "no-such-browser")]);
    assert.doesNotMatch(address, /#|c0de|0ld/);
    const file = fileURLToPath(address);
    assert.ok((await readFile(file, "utf8")).includes(`content="0; url=${link}"`));
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  }
});

test("E2 a browser that could not read the file gets the link itself", async (t) => {
  const home = await temporaryFolder(t);
  assert.equal(await withoutSecret(LINK, home, [home]), LINK);
});

test("E2 without a screen the hint for another machine is the exact command to type", () => {
  const [, overSsh] = remoteInstructions(
    LINK,
    { SSH_CONNECTION: "10.0.0.9 50022 10.0.0.2 22" },
    "ann",
    "nas",
  );
  assert.match(overSsh ?? "", /: ssh -L 9000:127\.0\.0\.1:9000 ann@10\.0\.0\.2$/);
  const said = remoteInstructions(LINK, {}, "ann", "nas");
  assert.match(said[1] ?? "", / ann@nas$/);
  assert.doesNotMatch(said.join("\n"), /c0de/);
});
