// What the program answers to a person's first commands, and to a program that reads them.
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ends } from "../../support/ends.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand, serveHere } from "../command-line.ts";

test("F3 every error is one object on stdout under --json, with the exit code that it has without", async (t) => {
  const home = await temporaryFolder(t);
  const lines = [
    "frobnicate",
    "status --nosuch",
    "secret get",
    "connect",
    "connect nosuch",
    "open",
    "switch --to auto --share NOPE",
    "backends remove nosuch",
    "call nosuch",
    "config get nosuch",
    "fleet status",
  ];
  for (const line of lines) {
    const plain = await runCommand(line.split(" "), { home });
    const json = await runCommand([...line.split(" "), "--json"], { home });
    assert.notEqual(plain.code, 0, line);
    assert.equal(json.code, plain.code, line);
    const { error, ...rest } = JSON.parse(json.stdout);
    assert.deepEqual([Object.keys(error).sort(), rest], [["code", "hint", "message"], {}], line);
    assert.ok(plain.stderr.includes(error.message.split("\n")[0]), `${line}: ${plain.stderr}`);
  }
});

test("F1 connect --print shows the entry as connect writes it, and claims nothing before", async (t) => {
  const home = await temporaryFolder(t);
  await mkdir(join(home, ".cursor"));
  for (const [client, file] of [
    ["claude-code", ".claude.json"],
    ["cursor", ".cursor/mcp.json"],
  ] as const) {
    const printed = await runCommand(["connect", client, "--print"], { home });
    const written = await runCommand(["connect", client, "--yes", "--json"], { home });
    assert.deepEqual(Object.entries(JSON.parse(written.stdout)).slice(2), [
      ["connected", true],
      ["changed", true],
    ]);
    assert.deepEqual(JSON.parse(await readFile(join(home, file), "utf8")), JSON.parse(printed.stdout));
    assert.doesNotMatch(printed.stdout + printed.stderr, /taken out|undo/);
  }
});

test("By hand: switch --to auto says what it switched to, also when nothing had to change", async (t) => {
  const home = await temporaryFolder(t);
  for (const name of ["one", "two"]) await mkdir(join(home, name));
  const [one, two] = [join(home, "one"), join(home, "two")];
  const share = `[[shares]]\nname = "CORE"\ndriver = "local"\nthunderbolt_path = "${one}"\nfallback_path = "${two}"\n`;
  await writeFile(join(home, "config.toml"), share);
  await using daemon = await serveHere({ home });
  const said: string[] = [];
  for (const to of ["fallback", "auto", "auto"]) {
    const { stdout } = await ends(runCommand(["switch", "--to", to], { home }), 0);
    said.push(stdout.trim());
  }
  const automatic = `✓ CORE  switched to automatic, mounted over fallback (${two})`;
  assert.deepEqual(said, [`✓ CORE  switched to fallback (${two})`, automatic, automatic]);
  await daemon.stop();
});
