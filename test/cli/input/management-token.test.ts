// Where `tui --url` takes the management token of another machine's daemon from.
import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand } from "../command-line.ts";

const NOBODY = ["tui", "--plain", "--url", "http://127.0.0.1:1"];

async function withFile(t: TestContext, text: string, mode: number) {
  const home = await temporaryFolder(t);
  const file = join(home, "token");
  await writeFile(file, text);
  await chmod(file, mode);
  return runCommand([...NOBODY, "--token-file", file], { home, input: "quit\n" });
}

test("F2 a token file is read when it is its owner's alone", async (t) => {
  const { code, stderr } = await withFile(t, "word\n", 0o600);
  assert.deepEqual([code, stderr], [0, ""]);
});

test("F2 a token file that others can read, that is no token or not there is refused", async (t) => {
  const refused: readonly (readonly [string, number, RegExp])[] = [
    ["word\n", 0o640, /others on this machine can read .*token\n.*chmod 600/s],
    ["word\n", 0o604, /others on this machine can read/],
    ["two words\n", 0o600, /one word of letters, digits and signs/],
    ["", 0o600, /one word of letters, digits and signs/],
    ["w".repeat(8_193), 0o600, /is no token: it is too large/],
  ];
  for (const [text, mode, why] of refused) {
    const { code, stderr } = await withFile(t, text, mode);
    assert.match(stderr, why);
    assert.doesNotMatch(stderr, /w{20}/);
    assert.equal(code, 2);
  }
  const home = await temporaryFolder(t);
  const gone = await runCommand([...NOBODY, "--token-file", join(home, "none")], { home });
  assert.match(gone.stderr, /the token cannot be read from/);
  const alone = await runCommand(["tui", "--plain", "--token-file", join(home, "none")], { home });
  assert.match(alone.stderr, /--token-file is for --url/);
});
