// A share that two machines have, and the file servers on it, which are one to clients: the laptop has it over two routes,
// and the NAS has the folder itself. The laptop's routes are cut under a stream of calls.
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { startCommand } from "../cli/command-line.ts";
import { endServer, LACKS_SERVER } from "../fleet/enrollment/homes.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { createTestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type Agent, backend, failed, filesBackend, startAgent, untilPhase } from "./file-agent.ts";
import { formFleet } from "./fleet-machines.ts";
import { cut, untilCarriedOver } from "./moves.ts";
import { playScene, type Scene, useRig } from "./scene.ts";

const SKIP = (LACKS_SERVER === false ? missingForRootRig() : LACKS_SERVER) ?? false;
/** From a cut until all calls go to the other machine. */
const MOVED_WITHIN_MS = 1_000;
const BEAT_MS = 40;
/** Calls of which none may fail, after a change. */
const MANY = 60;

interface Served {
  readonly backend: string;
  readonly outcome: string;
  /** When it began, wall ms. */
  readonly atMs: number;
}

async function servedIn(audit: string): Promise<readonly Served[]> {
  const lines = (await readFile(audit, "utf8")).split("\n").filter((line) => line !== "");
  return lines.flatMap((line) => {
    const { method, backend: by, outcome, time, duration_ms } = JSON.parse(line);
    return method === "tools/call" ? [{ backend: by, outcome, atMs: Date.parse(time) - duration_ms }] : [];
  });
}

async function withKeys(
  home: { readonly configFile: string; writeConfig(text: string): Promise<void> },
  keys: string,
) {
  const text = await readFile(home.configFile, "utf8");
  assert.match(text, /\[fleet\]\n/);
  await home.writeConfig(text.replace("[fleet]\n", `[fleet]\n${keys}\n`));
}

/** The NAS beside the laptop of the scene, in one fleet with it, and its tools one with the laptop's. */
async function joinNas(scene: Scene): Promise<void> {
  const { rig, folder } = scene;
  const [home, shares, other] = ["nas", "NasShares", "nas-other"].map((name) => path.join(folder, name));
  assert.ok(home !== undefined && shares !== undefined && other !== undefined);
  await mkdir(other);
  const nas = await createTestHome({
    home,
    enter: rig.enter,
    config: [
      `[global]\nshares_root = "${shares}"\ncheck_interval_secs = 1`,
      `[server]\nport = 9100`,
      `[[shares]]\nname = "CORE"\ndriver = "local"`,
      `thunderbolt_path = "${path.dirname(scene.exported("CORE", "x"))}"\nfallback_path = "${other}"`,
      filesBackend(shares),
    ].join("\n"),
  });
  const daemon = await nas.startMonitor();
  scene.defer(() => daemon[Symbol.asyncDispose]());
  scene.defer(() => endServer(scene.home.home));
  await nas.untilShare("CORE", (share) => share.active_interface === "tb" && share.mount_alive, 20_000);
  const machines = [
    { name: "laptop", home: scene.home.home },
    { name: "nas", home },
  ].map((machine) => ({
    name: machine.name,
    run: (args: readonly string[], input?: string) =>
      startCommand(args, {
        home: machine.home,
        within: rig.enter,
        ...(input === undefined ? {} : { input }),
      }),
  }));
  await formFleet(machines, "127.0.0.1:4333");
  await withKeys(nas, 'export = ["files"]');
  await withKeys(scene.home, 'import = ["nas"]\ntogether = ["nas"]');
  await eventually(async () => (await backend(scene, "files@nas"))?.phase === "Ready", 30_000);
}

async function untilMore(agent: Agent): Promise<void> {
  const { length } = agent.calls;
  await eventually(() => agent.calls.length > length + MANY, 30_000);
}

describe("one file server on two machines", { skip: SKIP, timeout: 300_000 }, () => {
  const lab = useRig(["CORE"], { oneServer: true });

  test("G1 a cable is pulled: the other machine serves within 1 s, without a failed call", async (t) => {
    const sections = (sharesRoot: string): string =>
      `${filesBackend(sharesRoot)}\n[audit]\nenabled = true\npath = "${path.join(path.dirname(sharesRoot), "audit.jsonl")}"`;
    await playScene(lab.rig, { relay: "auto", sections }, async (scene) => {
      const audit = path.join(scene.folder, "audit.jsonl");
      await writeFile(scene.exported("CORE", "notes.txt"), "as it was\n", { mode: 0o666 });
      await scene.start("tb");
      await untilCarriedOver(scene, "CORE", "tb");
      await untilPhase(scene, "Ready");
      await joinNas(scene);
      await using agent = await startAgent(scene, "read_text_file", undefined, BEAT_MS);
      await untilMore(agent);
      const whereSince = async (fromMs: number): Promise<ReadonlySet<string>> =>
        new Set((await servedIn(audit)).filter(({ atMs }) => atMs > fromMs).map((one) => one.backend));
      const before = await servedIn(audit);
      assert.ok(
        before.filter((one) => one.backend === "files").length > MANY / 2,
        "its own serves while all is equal",
      );

      for (const routes of [["tb"], ["tb", "fallback"]] as const) {
        const cutAtMs = Date.now();
        const restores = await Promise.all(routes.map((route) => cut(scene, "own link down", route)));
        await untilMore(agent);
        const late = await whereSince(cutAtMs + MOVED_WITHIN_MS);
        assert.deepEqual([...late], ["files@nas"], `${routes} cut`);
        const here = routes.length === 1 ? "fallback" : "not ready";
        const where = `nas \\(tb\\), here \\(${here}\\)`;
        const listed = await scene.home.cli(["tools", "list"]);
        assert.match(listed.stdout, new RegExp(`^read_text_file +files +\\[${where}\\]`, "m"));
        assert.match(
          (await scene.home.cli(["status"])).stdout,
          new RegExp(`in common: calls go to ${where}`),
        );
        const lastOwn = (await servedIn(audit)).findLast((one) => one.backend === "files")?.atMs ?? 0;
        t.diagnostic(
          `${routes} cut: the last call went to this machine ${Math.round(lastOwn - cutAtMs)} ms after`,
        );
        for (const restore of restores) await restore();
        await untilCarriedOver(scene, "CORE", null);
        const { code, stdout } = await scene.home.cli(["switch", "--share", "CORE", "--to", "tb"]);
        assert.equal(code, 0, stdout);
        await untilCarriedOver(scene, "CORE", "tb");
        const backAtMs = Date.now();
        await eventually(async () => (await whereSince(backAtMs)).has("files"), 30_000);
        await untilMore(agent);
      }
      assert.deepEqual(failed(agent), []);
      assert.equal(agent.notices(), 0);
    });
  });
});
