// The parts of edits: values as text, what is said of a backend, aliases, approvals.
import assert from "node:assert/strict";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { callerOf } from "../../../src/api/operations/operations.ts";
import { approveEntries } from "../../../src/cli/edits/approve-entries.ts";
import { outcomeLines, waitForBackend } from "../../../src/cli/edits/backend-outcome.ts";
import { jsonText, valueText } from "../../../src/cli/edits/config-key-change.ts";
import { rollBack } from "../../../src/cli/edits/config-rollback.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { paintFor } from "../../../src/runtime/text/paint.ts";
import { startRig } from "../../api/management-rig.ts";
import {
  type ConfigScript,
  SHA256,
  sampleApprovals,
  sampleEdit,
  sampleMistake,
  scriptedConfig,
} from "../../api/sample-config.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { sampleReport, scriptedControl } from "../../api/sample-report.ts";
import { ends } from "../../support/ends.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { contextOf } from "../command-context.ts";
import { runCommand } from "../command-line.ts";

test("texts are bare, other values are written as in TOML", () => {
  assert.equal(valueText('a "b"'), 'a "b"');
  assert.equal(valueText(0.5), "0.5");
  assert.equal(valueText(true), "true");
  assert.equal(valueText([1, "b"]), '[1, "b"]');
});

test("JSON keeps the whole numbers that it can represent, and spells out those that readers would round", () => {
  assert.equal(jsonText({ a: 5n, b: 2n ** 60n }), '{\n  "a": 5,\n  "b": "1152921504606846976"\n}\n');
});

const PAINT = paintFor({ color: false, unicode: false });

test("E2 a backend that was enabled and waits for a person is shown with the next step, not as disabled", () => {
  const waiting = {
    code: "waiting_for_approval",
    severity: "warning",
    title: "it would run node instead",
    hint: "mountaineer approve backends.files",
    since: "2026-01-05T12:00:00.000Z",
  } as const;
  const off = sampleBackend({ name: "files", enabled: false });
  assert.match(outcomeLines(off, PAINT).join("\n"), /files {2}is disabled$/);
  const told = outcomeLines({ ...off, conditions: [waiting] }, PAINT).join("\n");
  assert.match(told, /files {2}stays disabled until it is approved\n {2}it would run node instead\n/);
  assert.match(told, /mountaineer approve backends\.files/);
});

test("a ready backend that lists nothing is reported as such, unless its conditions give the reason", () => {
  const empty = sampleBackend({ name: "files", tools: 0, resources: 0, prompts: 0, conditions: [] });
  assert.match(outcomeLines(empty, PAINT).join("\n"), /is ready: 0 tools\n +it lists nothing/);
  const why = { code: "withheld", severity: "warning", title: "all wait", hint: null } as const;
  const told = outcomeLines({ ...empty, conditions: [{ ...why, since: empty.since }] }, PAINT).join("\n");
  assert.match(told, /is ready: 0 tools\n {2}all wait$/);
  assert.doesNotMatch(outcomeLines({ ...empty, prompts: 1 }, PAINT).join("\n"), /lists nothing/);
});

test("E2 a handover during a wait for a backend is an interruption; a daemon that stays unreachable is reported", async () => {
  const clock = createManualClock();
  let looks = 0;
  const waitFor = (isAway: () => boolean) => {
    const status = () => {
      looks += 1;
      if (isAway()) throw new MountaineerError("daemon_unreachable", "the connection was lost");
      return { ...sampleReport(), backends: [sampleBackend()] };
    };
    const call = callerOf<"status">({ status });
    return waitForBackend({ call }, "files", 10_000, new AbortController().signal, clock);
  };
  const found = waitFor(() => looks === 2);
  await clock.advance(5_000);
  assert.equal((await found)?.name, "files");
  assert.equal(looks, 5, "three looks after it came back");
  const rejected = assert.rejects(
    waitFor(() => true),
    { code: "daemon_unreachable" },
  );
  await clock.advance(15_000);
  await rejected;
});

test("E2 a backend that failed, or that keeps running as before, is no longer waited for; one that changes is", async () => {
  const failed = {
    code: "change_failed",
    severity: "error",
    title: "it does not start",
    hint: null,
    since: "2026-01-05T12:00:00.000Z",
  } as const;
  const changes = { phase: "Ready", instances: 2, draining: 0 } as const;
  const begins = { phase: "Pending", instances: 0 } as const;
  const waits = (code: string) => sampleBackend({ ...begins, conditions: [{ ...failed, code }] });
  for (const [backend, isWaitedFor] of [
    [sampleBackend({ phase: "Failed" }), false],
    [sampleBackend({ ...changes, conditions: [failed] }), false],
    [sampleBackend(changes), true],
    [sampleBackend({ ...changes, draining: 1 }), false],
    [sampleBackend(begins), true],
    [sampleBackend({ ...begins, enabled: false }), false],
    [waits("secret_missing"), false],
    [waits("waiting_for_approval"), false],
    [sampleBackend({ ...begins, name: "another" }), false],
  ] as const) {
    const clock = createManualClock();
    let isWaiting = true;
    const call = callerOf<"status">({ status: () => ({ ...sampleReport(), backends: [backend] }) });
    const end = waitForBackend({ call }, "files", 10_000, new AbortController().signal, clock);
    void end.then(() => (isWaiting = false));
    await clock.advance(2_000);
    assert.equal(isWaiting, isWaitedFor, JSON.stringify(backend));
    await clock.advance(10_000);
    await end;
  }
});

test("E2 a daemon that refuses to report a backend's state is not asked again", async () => {
  const refusal = new MountaineerError("owner_only", "no");
  const clock = createManualClock();
  let looks = 0;
  const status = () => {
    looks += 1;
    throw refusal;
  };
  const call = callerOf<"status">({ status });
  const end = waitForBackend({ call }, "files", 10_000, new AbortController().signal, clock);
  const rejected = assert.rejects(end, refusal);
  await clock.advance(15_000);
  await rejected;
  assert.equal(looks, 1);
});

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
    const { stderr } = await ends(runCommand(["alias", "add", ...wanted], { home }), 2);
    assert.match(stderr, /there is an alias called docs: A\/Docs/, wanted.join(" "));
  }
  assert.equal(await readFile(file, "utf8"), CONFIG);
});

async function daemonWith(t: TestContext, script: ConfigScript & { lost?: string } = {}) {
  const home = await temporaryFolder(t);
  const file = join(home, "elsewhere.toml");
  await writeFile(file, "");
  const config = scriptedConfig(script);
  const { lost = null } = script;
  const approvals = () => ({ ...sampleApprovals(), waiting: config.waiting, lost });
  const control = scriptedControl(sampleReport([], { config_path: file }));
  await startRig(t, { home, control, config: { ...config, approvals } });
  return { home, config, run: (...args: string[]) => runCommand(["approve", ...args], { home }) };
}

test("E2 pending entries are shown next to the running ones, and nothing is approved where no one can be asked", async (t) => {
  const { config, run } = await daemonWith(t);
  const list = await run("--list");
  assert.equal(list.code, 0);
  assert.match(list.stdout, /backends\.files: server files would run evil instead/);
  assert.match(list.stdout, /^-command = "serve"\n\+command = "evil"$/m);
  await ends(run(), 2, null, /--yes/);
  assert.equal((await run("nothing", "--yes")).code, 2);
  assert.deepEqual(config.calls, []);
});

test("E2 a yes is sent to the daemon with the digest of the shown entry", async (t) => {
  const { config, run } = await daemonWith(t);
  await ends(run("files", "--yes"), 0, "✓ approved: backends.files\n");
  const asked = config.calls.map(({ name, request }) => [name, request]);
  assert.deepEqual(asked, [["approve", { entries: [{ id: "backends.files", digest: SHA256 }] }]]);
});

test("E2 at a terminal each entry is shown before its question, and only confirmed entries are approved", async (t) => {
  const { home, config } = await daemonWith(t);
  const [files] = config.waiting;
  assert.ok(files !== undefined);
  config.waiting.push({ ...files, id: "shares.A", name: "A" });
  const approve = async (all: boolean, ...answers: readonly string[]) => {
    const said: string[] = [];
    const left = [...answers];
    const say = (text: string): void => void said.push(text);
    const prompt = async (question: string): Promise<string> => {
      say(question);
      return left.shift() ?? assert.fail(question);
    };
    config.approved.length = 0;
    const context = contextOf(home, { command: "approve", prompt, print: say, notify: say });
    const exit = await approveEntries(context, [], { needsConfirmation: true, all });
    assert.deepEqual(left, []);
    const approved = config.approved.flatMap(({ entries }) => entries.map(({ id }) => id));
    return { exit, approved, said: said.join("") };
  };
  const some = await approve(false, "n", "YES");
  assert.deepEqual([some.exit, some.approved], [1, ["shares.A"]]);
  const [shown, first] = [some.said.indexOf("would run evil"), some.said.indexOf("Approve backends.files?")];
  assert.ok(shown !== -1 && shown < first, some.said);
  assert.deepEqual((await approve(false, "y", "y")).exit, 0);
  const none = await approve(false, "", "yeah", "n");
  assert.deepEqual([none.exit, none.approved], [1, []]);
  assert.match(none.said, /nothing was approved$/);
  const all = await approve(true, "y");
  assert.deepEqual([all.exit, all.approved], [0, ["backends.files", "shares.A"]]);
  assert.match(all.said, /would run evil[\s\S]*Approve all 2\?/);
  assert.deepEqual((await approve(true, "n")).approved, []);
});

test("E2 the list explains why nothing counts as approved, and is limited to the named entry, also by its id", async (t) => {
  const { run } = await daemonWith(t, { lost: "the seal is not ours" });
  assert.match((await run("--list", "backends.files")).stdout, /no approval is known: the seal is not/);
  assert.equal((await run("--list", "shares.A")).code, 2);
});

test("E2 a mode that the file does not accept is not approved; the default one is removed from the file", async (t) => {
  const refused = { changed: false, errors: [sampleMistake()], reload: null };
  const { config, run } = await daemonWith(t, { edit: () => sampleEdit(refused) });
  assert.equal((await run("--mode", "default", "--yes")).code, 3);
  assert.deepEqual(
    config.calls.map(({ name, request }) => [name, request]),
    [["edit", { edits: [{ key: "trust.approve", value: null }], source: "cli" }]],
  );
});

test("E2 a mode is written into the file, and then approved", async (t) => {
  const { config, run } = await daemonWith(t);
  assert.equal((await run("--mode", "none", "--yes")).code, 0);
  const asked = config.calls.map(({ name, request }) => [name, request]);
  assert.deepEqual(asked, [
    ["edit", { edits: [{ key: "trust.approve", value: "none" }], source: "cli" }],
    ["approve", { entries: [], loosen: true }],
  ]);
  assert.equal((await run("--mode", "none")).code, 2, "nobody is there to say yes");
});

test("a rollback at a terminal restores the shown content over the shown one, or nothing", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "config.toml");
  const one = "[global]\ncheck_interval_secs = 2\n";
  await writeFile(file, one);
  const set = (secs: number) =>
    runCommand(["config", "set", "global.check_interval_secs", String(secs)], { home });
  assert.equal((await set(3)).code, 0);
  const roll = async (n: number, meanwhile: (() => Promise<unknown>) | null) => {
    const prompt = async (question: string): Promise<string> => {
      assert.ok(meanwhile !== null, question);
      await meanwhile();
      return "y";
    };
    return rollBack(contextOf(home, { command: "config rollback", prompt }), n, true);
  };
  const rewritten = () => writeFile(file, `# mine\n${one}`);
  await assert.rejects(roll(1, rewritten), { code: "config_changed" });
  assert.equal(await readFile(file, "utf8"), `# mine\n${one}`);
  // The history's entry 1 is another one by the time of the answer, and the file as it was seen.
  await writeFile(file, one.replace("2", "3"));
  const moved = async (): Promise<void> => {
    assert.equal((await set(4)).code, 0);
    await writeFile(file, one.replace("2", "3"));
  };
  await assert.rejects(roll(1, moved), { code: "config_changed", message: /entry 1 has changed/ });
  assert.equal(await roll(2, async () => {}), 0);
  assert.equal(await readFile(file, "utf8"), one);
  assert.equal(await roll(0, null), 0, "nothing is asked where nothing differs");
});

test("E2 without a daemon, lists mark an unapproved backend as waiting", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "config.toml");
  const run = (...args: string[]) => runCommand(args, { home });
  const server = `command = ${JSON.stringify(process.execPath)}\nargs = ["--version"]\n`;
  await writeFile(file, `[backends.files]\nenabled = false\n${server}`);
  assert.equal((await run("approve", "--mode", "commands", "--yes")).code, 0);
  await appendFile(file, `[backends.evil]\n${server}`);
  await ends(run("backends", "list"), 0, [
    /^▲ evil {3}waits for approval\n[\s\S]*mountaineer approve backends\.evil\n/m,
    /^○ files {2}disabled/m,
  ]);
  assert.match(
    (await run("tools", "list")).stderr,
    /^mountaineer: server evil: waits for approval \(mountaineer approve\)$/m,
  );
});

test("E2 without a daemon an edit approves the typed entry, and a rollback approves none that it restores", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "config.toml");
  const ok = async (...args: string[]): Promise<string> => {
    const { stdout } = await ends(runCommand(args, { home }), 0);
    return stdout;
  };
  await ok("approve", "--mode", "commands", "--yes");
  await ok("backends", "add", "typed", "--", "sh");
  assert.doesNotMatch(await ok("approve", "--list"), /backends\./);
  await appendFile(file, '[backends.evil]\ncommand = "cat"\n');
  await ok("backends", "remove", "evil");
  await ok("config", "rollback", "1", "--yes");
  const waiting = await ok("approve", "--list");
  assert.match(waiting, /backends\.evil/);
  assert.doesNotMatch(waiting, /backends\.typed/);
});
