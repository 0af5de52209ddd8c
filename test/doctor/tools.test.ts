// What the doctor says of speed, of approvals, of the gateway and of private places.
import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { StatusReport } from "../../src/api/contract/contract.ts";
import { findHomeContext } from "../../src/config/home-context.ts";
import { readConfigBytes } from "../../src/config/read/config-bytes.ts";
import { parseConfig } from "../../src/config/read/load.ts";
import { startApprovals } from "../../src/daemon/approvals/start-approvals.ts";
import { createDoctor, examineApprovals } from "../../src/doctor/doctor.ts";
import { examinePrivatePaths } from "../../src/doctor/home.ts";
import { type SpeedCheck, speedFindings } from "../../src/doctor/tools.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { startRig } from "../api/management-rig.ts";
import { sampleReport, scriptedControl } from "../api/sample-report.ts";
import { accepted } from "../config/support.ts";
import { pluck } from "../support/pluck.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const NEWEST: SpeedCheck = { rcloneCosts: null, hasSmbclient: true };
const codes = (look: Partial<SpeedCheck>): string[] =>
  speedFindings({ ...NEWEST, ...look }).map(({ code }) => code);

test("A11 A12 the drawbacks of the running rclone are reported, and when a better one is used", () => {
  const [found] = speedFindings({ ...NEWEST, rcloneCosts: { text: "slower", hint: "npm run engine" } });
  assert.deepEqual([found?.severity, found?.code, found?.text], ["info", "stock_rclone", "slower"]);
  assert.match(found?.hint ?? "", /^npm run engine; .* next mount/);
  assert.deepEqual(codes({}), []);
});

test("an examination that is cancelled has no report", async (t) => {
  const abort = new AbortController();
  const status = (): StatusReport => {
    abort.abort();
    return sampleReport();
  };
  const { home } = await startRig(t, { control: { ...scriptedControl(), status } });
  const report = createDoctor({ home, configPath: null }).examine(abort.signal);
  await assert.rejects(report, { name: "AbortError" });
});

test("verify's findings about the configuration and the fleet are left to the doctor's own checks", async (t) => {
  const finding = (code: string, severity: "warning" | "error") =>
    ({ share: "CORE", severity, code, text: `text of ${code}`, hint: null }) as const;
  const findings = [
    ...["config_degraded", "fleet_unreachable"].map((code) => finding(code, "warning")),
    finding("mount_dead", "error"),
  ];
  const control = {
    ...scriptedControl(),
    verify: async () => ({ ok: false, findings, checked: { shares: 1, backends: 0 } }),
  };
  const { home } = await startRig(t, { control });
  const report = await createDoctor({ home, configPath: null }).examine(NEVER);
  const told = report.findings.filter(({ text }) => text.includes("text of"));
  assert.deepEqual(pluck(told, "severity", "code", "text"), [
    ["error", "mount_dead", "CORE: text of mount_dead"],
  ]);
});

test("A13 without smbclient a clone cannot be distinguished from the NAS, and the doctor says so", () => {
  const [first] = speedFindings({ ...NEWEST, hasSmbclient: false });
  assert.deepEqual([first?.code, first?.severity], ["clones_look_alike", "warning"]);
  assert.match(first?.hint ?? "", /smbclient/);
});

const NEVER = new AbortController().signal;

async function findings(t: TestContext, texts: readonly string[]) {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home);
  const path = join(home, "config.toml");
  const homeContext = findHomeContext({ HOME: join(home, ".."), MOUNTAINEER_HOME: home });
  let found: ReturnType<typeof examineApprovals> = [];
  for (const text of texts) {
    await writeFile(path, text);
    const loaded = await parseConfig(await readConfigBytes(path), path, homeContext);
    assert.ok(loaded.ok);
    const { snapshot } = loaded;
    const tools = { environment: {}, clock, logger: noopLogger, publish: () => {}, writes: true };
    const started = await startApprovals({ ...tools, homeContext, snapshot }, NEVER);
    found = examineApprovals(started, snapshot);
    await started.approvalStore[Symbol.asyncDispose]();
  }
  return found.map(({ severity, code }) => [severity, code]);
}

const WIDE = '[backends.files]\ncommand = "serve"\nargs = ["/"]\n';

test("E2 the doctor says that changes run without approval, where nothing reaches the home", async (t) => {
  const calm = '[backends.files]\ncommand = "serve"\ncwd = "/srv"\n';
  assert.deepEqual(await findings(t, [calm]), [["info", "approvals_off"]]);
  assert.deepEqual(await findings(t, [""]), [], "nor about what is not there");
});

test("E2 the doctor says that the key is stored in the home; pending entries are a finding of verify", async (t) => {
  const key = [
    ["ok", "approvals"],
    ["info", "approvals_key_in_home"],
  ];
  assert.deepEqual(await findings(t, [WIDE, WIDE]), key);
  assert.deepEqual(await findings(t, [WIDE, ""]), key, "without a backend, too");
  const evil = WIDE.replace("serve", "evil");
  assert.deepEqual(await findings(t, [WIDE, evil]), key);
});

test("E2 the doctor names each file that others may write, and the chmod to run", async (t) => {
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  await mkdir(home, { mode: 0o700 });
  const path = join(home, "config.toml");
  const text = '[backends.a]\ncommand = "x"\nenv = { API_KEY = "hunter2" }\n';
  await writeFile(path, text, { mode: 0o600 });
  await writeFile(join(home, "secrets.json"), "{}", { mode: 0o600 });
  const snapshot = { ...(await accepted(text)), path };
  const found = () => examinePrivatePaths({ home, snapshot });
  assert.deepEqual(await found(), []);

  await chmod(path, 0o666);
  await chmod(join(home, "secrets.json"), 0o622);
  assert.deepEqual(pluck(await found(), "severity", "code", "subject", "hint"), [
    ["error", "writable_by_others", path, `chmod go-w ${path}`],
    ["error", "writable_by_others", join(home, "secrets.json"), `chmod go-w ${join(home, "secrets.json")}`],
  ]);

  await chmod(join(home, "secrets.json"), 0o600);
  await chmod(path, 0o644);
  await chmod(home, 0o755);
  await chmod(folder, 0o755);
  const [readable, ...others] = await found();
  assert.deepEqual(others, []);
  assert.deepEqual([readable?.severity, readable?.code], ["error", "readable_by_others"]);
  assert.match(readable?.text ?? "", /a secret: backends\.a\.env\.API_KEY$/);
  assert.doesNotMatch(JSON.stringify(readable), /hunter2/);
  assert.deepEqual(await examinePrivatePaths({ home, snapshot: null }), []);
});
