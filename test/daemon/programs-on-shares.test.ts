// A whole service, with real servers that work in a share's folder: who makes room for whom, and what calls get.
import assert from "node:assert/strict";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { BackendStatus } from "../../src/api/contract/contract.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { createServiceRig, NEVER, overTb, type RunningService, type ServiceRig } from "./service-rig.ts";

const SERVER = fileURLToPath(new URL("../gateway/backends/programs/pool-server.ts", import.meta.url));

interface Answer {
  readonly pid: number;
  /** Where the server works, as the kernel knows it. */
  readonly cwd: string;
}

interface Stage extends RunningService {
  readonly rig: ServiceRig;
  backend(): BackendStatus;
  untilPhase(phase: BackendStatus["phase"]): Promise<BackendStatus>;
  /** Calls the server, which takes so long to answer. Rejects with the error's words. */
  call(ms?: number): Promise<Answer>;
  tools(): Promise<readonly string[]>;
  /** The route's folder goes, or comes back. */
  take(route: "tb" | "fallback"): Promise<void>;
  give(route: "tb" | "fallback"): Promise<void>;
}

/** Thunderbolt and fallback are folders; the server's working folder is the share's. */
async function stage(
  t: TestContext,
  lines: readonly string[],
  global: readonly string[],
  folderRequired = "",
): Promise<Stage> {
  const rig = await createServiceRig(t);
  const shares = await rig.config(["CORE"], { global });
  const backend = [
    `[server]\nport = ${await freePort()}`,
    "drain_timeout = 20",
    "[backends.files]",
    `command = ${JSON.stringify(process.execPath)}`,
    `args = [${JSON.stringify(SERVER)}]`,
    `cwd = ${JSON.stringify(join(rig.folder, "Shares", "CORE"))}`,
    `requires = ["CORE${folderRequired === "" ? "" : `:${folderRequired}`}"]`,
    ...lines,
  ];
  if (folderRequired !== "") await mkdir(join(rig.folder, "CORE-tb", folderRequired));
  await rig.write(`${shares}${backend.join("\n")}\n`);
  const running = await rig.start();
  const backendNow = (): BackendStatus => {
    const found = running.service.control.status().backends?.[0];
    assert.ok(found !== undefined);
    return found;
  };
  const folder = (route: string): string => join(rig.folder, `CORE-${route}`);
  return {
    ...running,
    rig,
    backend: backendNow,
    untilPhase: (phase) => eventually(() => (backendNow().phase === phase ? backendNow() : null)),
    async call(ms = 0) {
      const report = await running.service.control.call({ tool: "who", arguments: { ms } }, NEVER);
      if (report.result === null) throw new Error(report.error?.message);
      return report.result["structuredContent"] as Answer;
    },
    tools: async () => (await running.service.control.tools()).tools.map(({ name }) => name),
    take: (route) => rename(folder(route), `${folder(route)}-away`),
    give: (route) => rename(`${folder(route)}-away`, folder(route)),
  };
}

/** A folder that was there is looked for every ten seconds. */
const LONG_MS = 60_000;
const FAST = ["auto_failback = true", "auto_failback_stable_secs = 1"];

test("B11 a service that has handed over still knows its shares: none is removed, and calls continue", async (t) => {
  const s = await stage(t, [], []);
  await s.until("CORE", overTb);
  await s.untilPhase("Ready");
  const slow = s.call(1_000);
  const { pid } = await s.call();
  await s.service.handing.giveUp();
  assert.ok(overTb(s.share("CORE")));
  assert.deepEqual([(await slow).pid, (await s.call()).pid], [pid, pid]);
});

test("C1 a manual switch waits for the call in flight, which is answered once", async (t) => {
  const s = await stage(t, [], ["auto_failback = false", "lsof_recheck = false"]);
  await s.until("CORE", overTb);
  await s.untilPhase("Ready");
  const slow = s.call(2_000);
  await eventually(() => s.backend().in_flight === 1);
  const [switched] = (await s.service.control.switchRoute({ to: "fallback" }, NEVER)).results;
  assert.deepEqual([switched?.result, switched?.active_interface], ["switched", "fallback"]);
  assert.equal((await slow).cwd, join(s.rig.folder, "CORE-tb"));
  assert.equal((await s.call()).cwd, join(s.rig.folder, "CORE-fallback"));
});

for (const mode of ["hide", "stop", "error"] as const) {
  test(`C1 ${mode}: while the share is unmounted by hand calls name it, and after that they are served`, async (t) => {
    const lines = [`when_unavailable = "${mode}"`, "unavailable_after_secs = 0.5"];
    const s = await stage(t, lines, FAST);
    await s.until("CORE", overTb);
    const { pid } = await s.untilPhase("Ready");
    const [unmounted] = (await s.service.control.unmount({}, NEVER)).results;
    assert.equal(unmounted?.result, "unmounted", unmounted?.detail ?? "");
    await eventually(() => s.backend().conditions.some(({ code }) => code === "share_away"));
    assert.deepEqual(await s.tools(), mode === "error" ? ["who"] : []);
    await assert.rejects(s.call(), /share CORE is away: it was unmounted by hand/);
    assert.equal(s.backend().instances, 0, "it made room");
    assert.throws(() => process.kill(pid ?? 0, 0), { code: "ESRCH" });
    await s.service.control.mount({}, NEVER);
    await s.untilPhase("Ready");
    assert.equal((await s.call()).cwd, join(s.rig.folder, "CORE-tb"));
  });
}

describe("a folder of an unavailable share", { concurrency: true }, () => {
  for (const mode of ["hide", "stop", "error"] as const) {
    test(`C1 ${mode}: calls name it, and the process ${mode === "stop" ? "ends" : "keeps running"}`, async (t) => {
      const s = await stage(
        t,
        [`when_unavailable = "${mode}"`, "unavailable_after_secs = 0.5"],
        FAST,
        "/work",
      );
      await s.until("CORE", overTb);
      const { pid } = await s.untilPhase("Ready");
      assert.ok(pid !== null);
      await rename(join(s.rig.folder, "CORE-tb", "work"), join(s.rig.folder, "CORE-tb", "done"));
      await eventually(() => s.backend().conditions.some(({ code }) => code === "share_away"), LONG_MS);
      await assert.rejects(s.call(), /share CORE:\/work is away: the folder is not there/);
      assert.deepEqual(await s.tools(), mode === "error" ? ["who"] : []);
      if (mode === "stop") await eventually(() => s.backend().instances === 0);
      else assert.equal(s.backend().pid, pid);
      await rename(join(s.rig.folder, "CORE-tb", "done"), join(s.rig.folder, "CORE-tb", "work"));
      await eventually(() => s.backend().conditions.length === 0 && s.backend().phase === "Ready", LONG_MS);
      assert.equal((await s.call()).pid === pid, mode !== "stop");
    });
  }
});
