// The `config` commands and `reload` as processes, with a scripted daemon: what they ask it, and what they make of it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { startRig } from "../../api/management-rig.ts";
import {
  type ConfigScript,
  type ScriptedConfig,
  sampleEdit,
  sampleMistake,
  sampleReload,
  scriptedConfig,
} from "../../api/sample-config.ts";
import { sampleReport, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { assertEach } from "../../support/assert-each.ts";
import type { Ran } from "../../support/collect.ts";
import { ends } from "../../support/ends.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand } from "../command-line.ts";

const CONFIG = "[global]\nlsof_recheck = true\n";

interface Daemon {
  readonly home: string;
  readonly file: string;
  readonly config: ScriptedConfig;
  run(...args: string[]): Promise<Ran>;
}

async function daemonWith(t: TestContext, script: ConfigScript = {}): Promise<Daemon> {
  const home = await temporaryFolder(t);
  const file = join(home, "elsewhere.toml");
  await writeFile(file, CONFIG);
  const config = scriptedConfig(script);
  const shares = ["CORE", "MEDIA", "OLD"].map((name) => sampleShare({ name }));
  const control = scriptedControl(sampleReport(shares, { config_path: file }));
  await startRig(t, { home, control, config });
  return { home, file, config, run: (...args) => runCommand(args, { home }) };
}

function requests({ config }: Daemon): unknown[] {
  return config.calls.map(({ name, request }) => [name, request]);
}

describe("config with a daemon", { concurrency: 3 }, () => {
  test("set, unset and rollback go through it, and print the result of its reload", async (t) => {
    const daemon = await daemonWith(t);
    const set = await daemon.run("config", "set", "lsof-recheck", "off");
    assert.deepEqual([set.code, set.stderr], [0, ""]);
    assert.match(set.stdout, /^✓ lsof-recheck .*\n✓ settings reloaded \(generation 3\)\n$/);
    assert.equal((await daemon.run("config", "unset", "global.lsof_recheck")).code, 0);
    assert.match((await daemon.run("config", "rollback", "3")).stdout, /entry 3 of the history is back/);
    assert.deepEqual(requests(daemon), [
      ["edit", { edits: [{ key: "lsof-recheck", value: "off" }], source: "cli" }],
      ["edit", { edits: [{ key: "global.lsof_recheck", value: null }], source: "cli" }],
      ["rollback", { n: 3 }],
    ]);
    assert.equal(await readFile(daemon.file, "utf8"), CONFIG);
  });

  test("its file is the one shown, whatever file the home has", async (t) => {
    const { home, file, run } = await daemonWith(t);
    await writeFile(join(home, "config.toml"), "[global]\nlsof_recheck = false\n");
    assert.equal((await run("config", "path")).stdout, `${file}\n`);
    assert.equal((await run("config", "get", "lsof-recheck")).stdout, "true\n");
    assert.equal((await run("config", "show")).stdout, CONFIG);
    const shown = JSON.parse((await run("config", "show", "--json")).stdout);
    assert.equal(shown.sha256, createHash("sha256").update(CONFIG).digest("hex"));
    assert.match(shown.running_sha256, /^0123456789abcdef/);
  });

  test("another file by --config is refused, by reading and changing commands alike", async (t) => {
    const daemon = await daemonWith(t);
    const other = join(daemon.home, "other.toml");
    await writeFile(other, "");
    for (const args of [
      ["config", "get", "lsof-recheck"],
      ["config", "set", "lsof-recheck", "off"],
      ["reload"],
    ]) {
      const { code, stdout, stderr } = await daemon.run(...args, "--config", other);
      assert.deepEqual([code, stdout], [2, ""], args.join(" "));
      assert.match(stderr, /the running daemon uses .*elsewhere\.toml, not .*other\.toml/);
    }
    assert.deepEqual(daemon.config.calls, []);
    assert.equal((await daemon.run("config", "validate", other)).code, 0);
  });

  test("history and diff are the daemon's", async (t) => {
    const { run, file } = await daemonWith(t);
    const history = JSON.parse((await run("config", "history", "--json")).stdout);
    assertEach(history, ({ n, source }: Record<string, unknown>) => [n, source], [
      [0, "file"],
      [1, "file"],
    ]);
    const { stdout } = await run("config", "diff");
    assert.match(stdout, new RegExp(`^--- history 1\n\\+\\+\\+ ${file}\n.*\n-# before\n\\+\\[global\\]\n`));
    assert.equal((await run("config", "diff", "7")).code, 2);
  });

  test("a refusal by the daemon is reported with its exit code", async (t) => {
    const cases = [
      [new MountaineerError("config_changed", "it changed meanwhile", { hint: "look again" }), 9],
      [new MountaineerError("config_unwritable", "the disk is full"), 6],
      [new MountaineerError("history_unknown", "no entry"), 2],
    ] as const;
    for (const [error, code] of cases) {
      const edit = () => {
        throw error;
      };
      const { run } = await daemonWith(t, { edit });
      await ends(run("config", "rollback"), code, "", new RegExp(error.message));
    }
  });

  test("an invalid edit ends with 3; one that is saved and does not run, with 1", async (t) => {
    const rejected = await daemonWith(t, {
      edit: () => sampleEdit({ changed: false, errors: [sampleMistake()], reload: null }),
    });
    const wrong = await rejected.run("config", "set", "lsof-recheck", "off");
    assert.deepEqual([wrong.code, wrong.stdout], [3, ""]);
    assert.match(wrong.stderr, /config\.toml:3:1: global\.share_root\n.*\n.*\n.*did you mean `shares_root`/);
    const failing = await daemonWith(t, {
      edit: () => sampleEdit({ reload: sampleReload({ reloaded: false, failure: "port 9000 is taken" }) }),
    });
    const failed = await failing.run("config", "set", "lsof-recheck", "off");
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /could not apply it: port 9000 is taken/);
    const json = await failing.run("config", "set", "lsof-recheck", "off", "--json");
    assert.deepEqual(
      [json.code, JSON.parse(json.stdout).reload.failure, json.stderr],
      [1, "port 9000 is taken", ""],
    );
  });

  test("a deleted file is not started over with one key", async (t) => {
    const daemon = await daemonWith(t);
    const { rm } = await import("node:fs/promises");
    await rm(daemon.file);
    const { code, stderr } = await daemon.run("config", "set", "lsof-recheck", "off");
    assert.equal(code, 3);
    assert.match(
      stderr,
      /is not there, and its last content still runs\n {2}hint: mountaineer config rollback 0/,
    );
    assert.deepEqual(daemon.config.calls, []);
    assert.deepEqual((await readdir(daemon.home)).includes("elsewhere.toml"), false);
  });

  test("reload reports the started, released, changed and updated parts", async (t) => {
    const shares = { added: ["NEW", "a\u001b[2Jb"], removed: ["OLD"], changed: ["CORE"] };
    const report = sampleReload({ shares, settings: ["global.lsof_recheck"], summary: "4 shares reloaded" });
    const daemon = await daemonWith(t, { reload: () => report });
    await ends(
      daemon.run("reload"),
      0,
      `✓ 4 shares reloaded (generation 3)
    started  NEW, a\\x1b[2Jb
    let go   OLD
    changed  CORE
    set      global.lsof_recheck
`,
      "",
    );
    const json = await daemon.run("reload", "--json");
    assert.deepEqual([json.code, JSON.parse(json.stdout)], [0, report]);
    assert.deepEqual(requests(daemon), [
      ["reload", {}],
      ["reload", {}],
    ]);
  });

  test("reload --dry-run also reports the unchanged parts, and requests nothing else", async (t) => {
    const shares = { added: ["NEW"], removed: ["OLD"], changed: ["CORE"] };
    const daemon = await daemonWith(t, {
      reload: () => sampleReload({ reloaded: false, dry_run: true, shares }),
    });
    await ends(
      daemon.run("reload", "--dry-run"),
      0,
      "✓ a reload would:\n    start   NEW\n    let go  OLD\n    change  CORE\n    stay    MEDIA\n",
    );
    assert.deepEqual(requests(daemon), [["reload", { dry_run: true }]]);
  });

  test("reload ends with 3 for an invalid file, reporting every error, and with 1 for a failure to apply it", async (t) => {
    const errors = [sampleMistake(), sampleMistake({ line: 9, path: "sync.debounce", hint: null })];
    const wrong = await daemonWith(t, { reload: () => sampleReload({ reloaded: false, errors }) });
    const rejected = await wrong.run("reload");
    assert.deepEqual([rejected.code, rejected.stdout], [3, ""]);
    assert.match(
      rejected.stderr,
      /has 2 mistakes\n.*:3:1: global\.share_root\n(.*\n)+.*:9:1: sync\.debounce\n/,
    );
    assert.equal((await wrong.run("reload", "--json")).code, 3);
    const failing = await daemonWith(t, {
      reload: () => sampleReload({ reloaded: false, failure: "the file is not there; what runs goes on" }),
    });
    await ends(failing.run("reload"), 1, "", /not reloaded: the file is not there/);
  });
});
