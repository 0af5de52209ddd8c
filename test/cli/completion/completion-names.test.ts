// Completion of folders inside of a share: asked of the daemon, and of nothing that may hang.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { completionRequest } from "../../../src/cli/completion/completion-request.ts";
import { COMMANDS } from "../../../src/cli/program/command-list.ts";
import { complete } from "../../../src/cli/program/complete.ts";
import { createProgram } from "../../../src/cli/program/program.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createTestHome, type TestHome } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { stopProcess } from "../../support/stop-process.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { programMissing } from "../../sync/programs.ts";
import { NO_TERMINAL, openTerminal } from "../../tui/terminal.ts";
import { COMMAND, environmentOf } from "../command-line.ts";

const SETTLES_MS = 15_000;

/** A home with the share CORE, which has the folders `Docs/2026` and `My "Photos"/Rome` and one file. */
async function scene(t: TestContext): Promise<TestHome> {
  const folder = await temporaryFolder(t);
  for (const path of ["tb/Docs/2026", 'tb/My "Photos"/Rome', "fb"]) {
    await mkdir(join(folder, path), { recursive: true });
  }
  await writeFile(join(folder, "tb", "Drafts"), "a file");
  return createTestHome({
    home: join(folder, "home"),
    config: `[global]
shares_root = "${folder}/Shares"
mount_root = "${folder}/volumes"
[[shares]]
name = "CORE"
thunderbolt_path = "${folder}/tb"
fallback_path = "${folder}/fb"
`,
  });
}

async function found(
  home: string,
  words: readonly string[],
  clock = systemClock,
): Promise<readonly string[]> {
  let printed = "";
  const print = (text: string): void => {
    printed += text;
  };
  const { signal } = new AbortController();
  assert.equal(await complete(["zsh", ...words], { home, clock, signal, print }), 0);
  return printed.split("\n").flatMap((line) => (line === "" ? [] : [line.split("\t")[0] ?? ""]));
}

test("the share whose folders are listed is the one that the line names, in any form", () => {
  const program = createProgram({ print: () => {}, complain: () => {} }, async () => {});
  const shareOf = (...words: readonly string[]): string | null | undefined => {
    const request = completionRequest(program, COMMANDS, words);
    return request.kind === "live" && request.live === "folders" ? request.share : undefined;
  };
  assert.equal(shareOf("alias", "add", "--share", "CORE", "--target-subpath", ""), "CORE");
  assert.equal(shareOf("alias", "add", "--share=my=share", "--target-subpath=D"), "my=share");
  assert.equal(shareOf("alias", "add", "--name", "x", "--share", "A", "--target-subpath", ""), "A");
  assert.equal(shareOf("alias", "add", "--target-subpath", ""), null, "it may be named later");
  assert.equal(shareOf("alias", "add", "--share", ""), undefined);
});

test("the daemon lists a share's folders, one level at a time; without a daemon there are none", async (t) => {
  const home = await scene(t);
  const listed = (...words: readonly string[]) =>
    found(home.home, ["alias", "add", "--share", "CORE", "--target-subpath", ...words]);
  assert.deepEqual(await listed(""), [], "no daemon runs");
  await using monitor = await home.startMonitor();
  await home.untilShare("CORE", ({ mount_alive }) => mount_alive, SETTLES_MS);
  assert.deepEqual(await listed(""), ["Docs/", 'My "Photos"/']);
  assert.deepEqual(await listed("D"), ["Docs/"], "a file is no folder");
  assert.deepEqual(await listed("Docs/"), ["Docs/2026/"]);
  assert.deepEqual(await listed("Docs/2026/"), []);
  const words = ["alias", "add", "--share=CORE", "--target-subpath=My"];
  assert.deepEqual(await found(home.home, words), ['--target-subpath=My "Photos"/']);
  for (const outside of ["../", "/", "Docs/../../", "None/"]) assert.deepEqual(await listed(outside), []);
  assert.deepEqual(await found(home.home, ["alias", "add", "--share", "COER", "--target-subpath", ""]), []);
  assert.deepEqual(await found(home.home, ["alias", "add", "--target-subpath", ""]), []);
  await stopProcess(monitor.pid);
  try {
    const clock = createManualClock();
    const asking = found(home.home, ["alias", "add", "--share", "CORE", "--target-subpath", ""], clock);
    await eventually(() => clock.pendingTimers > 0);
    await clock.advance(700);
    assert.deepEqual(await asking, [], "a press of Tab does not wait for one that hangs");
  } finally {
    monitor.signal("SIGCONT");
  }
});

for (const shell of ["bash", "zsh"] as const) {
  test(`${shell} goes from folder to folder, without a space between, in open quotes too`, {
    skip: NO_TERMINAL,
  }, async (t) => {
    const missing = await programMissing(shell);
    if (missing !== null) return t.skip(missing);
    const home = await scene(t);
    await using _monitor = await home.startMonitor();
    await home.untilShare("CORE", ({ mount_alive }) => mount_alive, SETTLES_MS);
    const place = await temporaryFolder(t);
    const program = COMMAND.map((word) => `'${word}'`).join(" ");
    await writeFile(join(place, "mountaineer"), `#!/bin/sh\nexec ${program} "$@"\n`, { mode: 0o755 });
    await writeFile(join(place, "script"), (await home.cli(["completions", shell])).stdout);
    const begin = shell === "zsh" ? "autoload -Uz compinit && compinit -u -D\n" : "";
    const lines = `PATH='${place}':$PATH\n${begin}source '${place}/script'\nPS1='ready> '\n`;
    await writeFile(join(place, ".zshrc"), lines);
    await using terminal = await openTerminal({
      columns: 110,
      rows: 20,
      command: shell === "zsh" ? "zsh -i" : `bash --rcfile '${place}/.zshrc' -i`,
      env: { ...environmentOf({ home: home.home }), ZDOTDIR: place },
    });
    await terminal.until("ready>");
    await terminal.press("mountaineer alias add --share CORE --target-subpath D", "Tab");
    await terminal.until("--target-subpath Docs/");
    await terminal.press("2", "Tab");
    await terminal.until("--target-subpath Docs/2026/");
    await terminal.press("C-u", "mountaineer alias add --share CORE --target-subpath 'My", "Tab");
    await terminal.until(`--target-subpath 'My "Photos"/`);
  });
}
