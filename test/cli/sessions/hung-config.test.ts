// Commands while the configuration file lies on a mount that hangs. Each is a process, because a call that hangs would
// keep a process from ending.
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { missingForFuse, mountLocalFuse } from "../../rig/local-fuse-mount.ts";
import { createTestHome } from "../../support/daemon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runProcess } from "../command-line.ts";

const NAMES_IT =
  /c(onfig)?\.toml gives no answer within 5 s: it lies on the mount .+\/mount \(fuse\.bindfs\)/;

// What needs no file, because the daemon is asked; and what reads the file.
const ASKING = [
  "status",
  "status --json",
  "logs",
  "approve --list",
  "backends list",
  "config path",
  "config history",
];
const READING = ["config show", "config get sync.debounce", "config validate", "shares list"];
const CHANGING = ["config set sync.debounce 0.3"];

for (const [how, isNamed] of [
  ["that --config names", true],
  ["to which the home's file links", false],
] as const) {
  describe(`a file on a mount that hangs, ${how}`, { skip: missingForFuse() ?? false }, () => {
    test("B6 commands end, with the daemon or with an error that names file and mount", async (t) => {
      const folder = await temporaryFolder(t);
      const home = join(folder, "home");
      await mkdir(join(folder, "behind"));
      await writeFile(join(folder, "behind", "c.toml"), "[sync]\ndebounce = 0.1\n", { mode: 0o600 });
      await using fuse = await mountLocalFuse(folder);
      const own = await createTestHome({ home });
      const file = join(fuse.path, "c.toml");
      const options = isNamed ? ["--config", file] : [];
      if (!isNamed) await symlink(file, own.configFile);
      const ends = async (line: string, pattern: RegExp | null) => {
        const { code, stdout, stderr } = await runProcess([...options, ...line.split(" ")], { home });
        const said = `${line}: ${code} ${stdout}${stderr}`;
        if (pattern === null) assert.equal(code, 0, said);
        else assert.ok(code !== 0 && pattern.test(said), said);
      };
      {
        await using _monitor = await own.startMonitor(options);
        await fuse.hang();
        await Promise.all(ASKING.map((line) => ends(line, null)));
        await Promise.all(READING.map((line) => ends(line, NAMES_IT)));
        await Promise.all(CHANGING.map((line) => ends(line, /no answer/)));
        await ends("down", null);
      }
      await Promise.all(["status", ...READING, ...CHANGING].map((line) => ends(line, NAMES_IT)));
      fuse.goOn();
    });
  });
}
