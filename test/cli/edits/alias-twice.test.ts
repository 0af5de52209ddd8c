import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand } from "../command-line.ts";

const CONFIG = `[[shares]]
name = "A"
thunderbolt_host = "10.0.0.2"
fallback_host = "nas.local"
[[shares]]
name = "B"
thunderbolt_host = "10.0.0.2"
fallback_host = "nas.local"
[[aliases]]
name = "docs"
share = "A"
target_subpath = "Docs"
`;

test("Paths an alias that leads elsewhere is not added under the name of another", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "config.toml");
  await writeFile(file, CONFIG);
  for (const [share, folder, ...more] of [
    ["B", "Docs"],
    ["A", "Other"],
    ["A", "Docs", "--alias-path", join(home, "elsewhere")],
  ] as const) {
    const wanted = ["--name", "DOCS", "--share", share, "--target-subpath", folder, ...more];
    const { code, stderr } = await runCommand(["alias", "add", ...wanted], { home });
    assert.match(stderr, /there is an alias called docs: A\/Docs/, wanted.join(" "));
    assert.equal(code, 2);
  }
  assert.equal(await readFile(file, "utf8"), CONFIG);
});
