import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { test } from "node:test";
import type { GatewayStatus, StatusReport } from "../../../src/api/contract/contract.ts";
import { changesBetween, statementsOf } from "../../../src/tui/plain/plain-view.ts";
import { startRig } from "../../api/management-rig.ts";
import { scriptedConfig } from "../../api/sample-config.ts";
import { gatewayReport, sampleBackend } from "../../api/sample-gateway.ts";
import { sampleReport, sampleResult, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { createTestHome } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { MOUNTAINEER } from "../scene.ts";

test("F2 in plain mode a change is said once, figures that move by themselves are not, and an end is said", () => {
  const before = statementsOf(gatewayReport([sampleBackend({ in_flight: 1 })]));
  assert.deepEqual(
    changesBetween(before, statementsOf(gatewayReport([sampleBackend({ in_flight: 9 })]))),
    [],
  );
  const failed = statementsOf(gatewayReport([sampleBackend({ phase: "Failed", reason: "exit 1" })]));
  assert.deepEqual(changesBetween(before, failed), ["backend files: Failed, exit 1"]);
  const waits = (longest_ms: number) =>
    statementsOf(gatewayReport([sampleBackend({ waiting_calls: { count: 1, longest_ms } })]));
  const waited = "note: files: a call has waited for its answer for over 10 s";
  assert.deepEqual(changesBetween(before, waits(12_000)), [waited]);
  assert.deepEqual(changesBetween(waits(12_000), waits(45_000)), []);
  assert.deepEqual(changesBetween(waits(45_000), before), [`over: ${waited}`]);
  const gone = statementsOf(sampleReport([]));
  assert.ok(changesBetween(before, gone).includes("over: backend files: Ready, 14 tools, 3 resources"));
  const ready = statementsOf(
    sampleReport([sampleShare({ active_interface: "fallback", tb_recovery_pending: true })]),
  );
  assert.match([...ready.values()].join(), /type: switch CORE to Thunderbolt/);
});

test("F2 in plain mode several conditions of one code are said, and each end of one of them", () => {
  const withNotes = (...titles: readonly string[]) => {
    const conditions = titles.map((title) => ({
      ...{ code: "names_prefixed", severity: "info" as const, title },
      ...{ hint: null, since: "2026-01-01T00:00:00.000Z" },
    }));
    const report = gatewayReport([]);
    return statementsOf({ ...report, gateway: { ...(report.gateway as GatewayStatus), conditions } });
  };
  const [none, two] = [withNotes(), withNotes("a offers names", "b offers names")];
  assert.deepEqual(changesBetween(none, two), [
    "info: gateway: a offers names",
    "info: gateway: b offers names",
  ]);
  assert.deepEqual(changesBetween(two, withNotes("b offers names")), ["over: info: gateway: a offers names"]);
  assert.deepEqual(changesBetween(two, withNotes("a offers names", "b offers more names")), [
    "info: gateway: b offers more names",
  ]);
});

test("F2 plain mode: lines in, lines out, nothing drawn; actions ask, and say what became of them", async (t) => {
  let report: StatusReport = sampleReport();
  const unmounts: unknown[] = [];
  const config = scriptedConfig();
  const control = {
    ...scriptedControl(),
    status: () => report,
    async unmount({ shares }: { readonly shares?: readonly string[] | null }) {
      unmounts.push(shares);
      return { results: [sampleResult({ result: "unmounted" as const, detail: "unmounted" })] };
    },
  };
  const { home, server } = await startRig(t, { control, config });
  const child = spawn(MOUNTAINEER, ["tui", "--plain"], {
    env: { ...process.env, MOUNTAINEER_HOME: home },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  const ended = once(child, "exit");
  const says = (text: string) => eventually(() => out.includes(text));
  await says("connected");
  await says("share CORE: mounted over Thunderbolt");
  report = sampleReport([sampleShare({ active_interface: "fallback" })]);
  for (let round = 0; round < 50; round += 1)
    config.emit({ kind: "transition", transition: { name: "share.failover", share: "CORE" } });
  await says("share CORE: mounted over Fallback");
  child.stdin.write("unmount CORE\n");
  await says(
    "Unmount CORE? It stays unmounted until you mount it again. Type yes to do it; anything else leaves it.",
  );
  child.stdin.write("no\n");
  await says("left as it is");
  child.stdin.write("unmount CORE\nyes\n");
  await says("done: CORE: unmounted");
  assert.deepEqual(unmounts, [["CORE"]]);
  child.stdin.write("approvals\nevents\napprove\nlogs\ntool\nfly to the moon\nCORE\n");
  await says("backends.files: backend files would run evil instead");
  await says("share.failover CORE");
  for (const words of ["approve", "logs", "tool", "fly to the moon"])
    await says(`nothing is called ${words}; type help`);
  await eventually(() => /type one of them whole: .*unmount CORE/i.test(out));
  await server[Symbol.asyncDispose]();
  await says("not connected since");
  child.stdin.write("quit\n");
  assert.deepEqual(await ended, [0, null]);
  assert.equal(out.split("share CORE: mounted over Fallback").length, 2, "said once");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  assert.doesNotMatch(out, /[\u001b\r]|[─│┌●○▸]/);
});

const CALL_SERVER = resolve(import.meta.dirname, "../catalog/call-server.ts");

test("F2 plain mode says the catalog and a tool's arguments; the commands that it names call it, and edit the file", async (t) => {
  const config = `[global]
check_interval_secs = 2

[backends.demo]
command = "${process.execPath}"
args = ["${CALL_SERVER}"]
`;
  const home = await createTestHome({ home: join(await temporaryFolder(t), "h"), config });
  await using _monitor = await home.startMonitor();
  const environment = { ...process.env, MOUNTAINEER_HOME: home.home, NO_COLOR: "1" };
  const child = spawn(MOUNTAINEER, ["tui", "--plain"], {
    env: environment,
    stdio: ["pipe", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  const ended = once(child, "exit");
  t.after(() => child.kill());
  const says = (text: string) => eventually(() => out.includes(text));
  await says("backend demo: Ready, 6 tools");
  child.stdin.write("catalog\n");
  await says("backend demo: 6 tools");
  await says("tool echo: Answers with its arguments.");
  child.stdin.write("c wipes everything\n");
  await says("backend demo: 1 tool\ntool wipe: Wipes everything.\n");
  child.stdin.write("tool nothing\ntool echo\nconfig\n");
  await says("no tool is called nothing");
  await says("title, text, required: What it is called");
  await says("owner.age, whole number, optional");
  await says("mountaineer config diff");
  const said = (before: string): string => {
    const [, command = ""] = new RegExp(`${before}: mountaineer (.+)`).exec(out) ?? [];
    return command;
  };

  // As a person would: the command as it was said, in a shell.
  const shell = async (command: string, editor = "true"): Promise<string> => {
    const env = { ...environment, VISUAL: "", EDITOR: editor };
    const run = spawn("sh", ["-c", `"$0" ${command}`, MOUNTAINEER], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let printed = "";
    run.stdout.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
    const [code] = await once(run, "close");
    assert.equal(code, 0, command);
    return printed;
  };
  assert.match(await shell(said("to call it, run in a shell").replace("…", '"hello"')), /"title":"hello"/);
  await shell(said("To edit it, run in a shell"), "sed -i s/secs.=.2$/secs=3/");
  assert.match(await readFile(home.configFile, "utf8"), /secs=3/);
  await eventually(async () => (await home.glance())?.global.check_interval_secs === 3);
  child.stdin.write("quit\n");
  assert.deepEqual(await ended, [0, null]);
});
