import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { howToUpgrade } from "../../../src/cli/input/how-to-upgrade.ts";
import { readBundle } from "../../../src/cli/input/launcher-path.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

async function bundleAt(root: string, content: object): Promise<void> {
  await mkdir(root, { recursive: true });
  await writeFile(join(root, "bundle.json"), JSON.stringify(content));
}

test("F3 each way to install is upgraded by what installed it", () => {
  const root = "/usr/lib/mountaineer/0.1.0";
  const rows: readonly (readonly [string | null, string | null, RegExp])[] = [
    ["dpkg", "/usr/lib/mountaineer/current", /^sudo apt update && sudo apt install mountaineer /],
    ["rpm", "/usr/lib/mountaineer/current", /^sudo dnf upgrade mountaineer /],
    ["brew", null, /^brew upgrade mountaineer/],
    [null, "/home/ann/.local/share/mountaineer/current", /^start the newer version's \.run file once/],
    [null, null, /^unpack the newer one next to this folder/],
  ];
  for (const [tool, current, expected] of rows) assert.match(howToUpgrade({ root, tool, current }), expected);
  assert.match(howToUpgrade(null, "/home/ann/mountaineer"), /^git pull && npm ci/);
  assert.match(howToUpgrade(null, "/usr/lib/node_modules/mountaineerd/"), /^npm install --global/);
});

test("F3 a folder that a person unpacked is separate, even next to a link of that name", async (t) => {
  const apps = await temporaryFolder(t);
  const root = join(apps, "mountaineer-0.1.0-linux-x64");
  await bundleAt(root, { version: "0.1.0" });
  await symlink("mountaineer-0.1.0-linux-x64", join(apps, "current"));
  assert.equal(readBundle(root)?.current, null);
});

test("F3 a bundle knows the path that leads to the current version", async (t) => {
  const base = await temporaryFolder(t);
  const root = join(base, "0.1.0-0123456789ab");
  await bundleAt(root, { version: "0.1.0" });
  await symlink("0.1.0-0123456789ab", join(base, "current"));
  assert.equal(readBundle(root)?.current, join(base, "current"));
  await bundleAt(root, { version: "0.1.0", stable: "/usr/lib/mountaineer/current" });
  assert.equal(readBundle(root)?.current, "/usr/lib/mountaineer/current");
});
