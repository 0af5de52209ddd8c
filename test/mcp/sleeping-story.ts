// A random story of servers that sleep, wake and end: calls, idleness, edits, kills of servers and of the daemon, and
// handovers. Each call is made once or fails for a reason, no tool leaves a list, and no process is left.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { randomFrom } from "../lab/random.ts";
import { eventually } from "../support/eventually.ts";
import { type GatewayRig, handOver, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import type { LightClient } from "./light-client.ts";

/** A second end within this time counts as a failure, and hides the server's tools for a moment. */
const BETWEEN_KILLS_MS = 40_000;
const NAMES = ["quick", "slow", "forks", "alone"] as const;
type Name = (typeof NAMES)[number];

/** Writes each call down before it answers. With `forks`, a child of the program is the server, as in a container. */
const SERVER = `
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
const [name, file, startMs, how] = process.argv.slice(2);
if (how === "forks") {
  const child = spawn(process.execPath, [process.argv[1], name, file, startMs], { stdio: "inherit" });
  child.on("exit", (code) => process.exit(code ?? 1));
} else setTimeout(serve, Number(startMs));
function serve() {
  const send = (message) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\\n");
  createInterface({ input: process.stdin }).on("close", () => process.exit(0)).on("line", (line) => {
    const { id, method, params } = JSON.parse(line);
    if (id === undefined) return;
    if (method === "initialize")
      send({ id, result: { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name, version: "1" } } });
    else if (method === "tools/list") send({ id, result: { tools: [{ name, inputSchema: { type: "object" } }] } });
    else if (method === "tools/call") {
      appendFileSync(file, params.arguments.text + "\\n");
      send({ id, result: { content: [{ type: "text", text: params.arguments.text }] } });
    } else send({ id, ...(method === "ping" ? { result: {} } : { error: { code: -32601, message: "unknown" } }) });
  });
}
`;

interface Story {
  readonly forMs: number;
  readonly seed: number;
}

export async function playSleepingStory(t: TestContext, { forMs, seed }: Story): Promise<void> {
  const random = randomFrom(seed);
  const pick = <One>(list: readonly One[]): One => list[Math.floor(random() * list.length)] as One;
  const rig = await startGatewayRig(t, { backends: {} }, { kept: true });
  const [program, made] = [path.join(rig.folder, "server.mjs"), path.join(rig.folder, "made")];
  await writeFile(program, SERVER);
  await writeFile(made, "");
  const stops: Record<Name, number | false> = { quick: 1, slow: 2, forks: 1, alone: 2 };
  let edits = 0;
  const sections = (): Record<string, Section> => {
    const of = (name: Name, startMs: number, how: string, more: Section = {}): Section =>
      nodeBackend(program, [name, made, `${startMs}`, how], {
        ...{ start: "on-demand", stop_when_idle: stops[name], timeouts: { call: 20 + (edits % 3) } },
        ...more,
      });
    return {
      quick: of("quick", 0, "plain"),
      slow: of("slow", 700, "plain"),
      forks: of("forks", 100, "forks"),
      alone: of("alone", 0, "plain", { replace: "stop-first" }),
    };
  };
  await rig.edit({ backends: sections() });
  for (const name of NAMES) await rig.untilBackend(name, ({ phase }) => phase === "Asleep");

  let client = await rig.connect();
  let disturbedMs = Number.NEGATIVE_INFINITY;
  let killedMs = Number.NEGATIVE_INFINITY;
  let sent = 0;
  const counts = { calls: 0, failed: 0, kills: 0, daemons: 0, handovers: 0, edits: 0 };
  const open = new Set<Promise<void>>();
  const lost: string[] = [];
  const answered: string[] = [];

  const call = (name: Name, by: LightClient): void => {
    const text = `${name}-${sent++}`;
    const began = performance.now();
    counts.calls += 1;
    const one = by.call(name, { text }).then(
      (answer) => {
        assert.equal(answer, text);
        answered.push(text);
      },
      (error: unknown) => {
        counts.failed += 1;
        // Whoever was not disturbed has an answer.
        if (disturbedMs < began - 1_000) lost.push(`${text}: ${String(error)}`);
      },
    );
    open.add(one);
    void one.finally(() => open.delete(one));
  };
  const settled = async (): Promise<void> => {
    while (open.size > 0) await Promise.all(open);
  };
  const disturb = async (how: () => Promise<unknown>): Promise<void> => {
    await settled();
    disturbedMs = performance.now();
    for (const name of NAMES) if (random() < 0.5) call(name, client);
    await pause(random() * 300);
    await how();
    await settled();
    disturbedMs = performance.now();
  };

  const weighted: readonly (readonly [weight: number, play: () => Promise<unknown>])[] = [
    [20, async () => call(pick(NAMES), client)],
    [6, async () => Array.from({ length: 20 }, () => call(pick(NAMES), client))],
    [10, () => pause(random() * 3_000)],
    [
      6,
      async () => {
        edits += 1;
        counts.edits += 1;
        const name = pick(NAMES);
        stops[name] = pick([1, 2, false]);
        await rig.edit({ backends: sections() });
      },
    ],
    [
      3,
      async () => {
        if (performance.now() - killedMs < BETWEEN_KILLS_MS) return;
        killedMs = performance.now();
        counts.kills += 1;
        await disturb(() => killServer(rig, pick(NAMES)));
      },
    ],
    [
      1,
      async () => {
        counts.daemons += 1;
        await disturb(async () => {
          if (await rig.killDaemon()) await rig.comeBack();
        });
        client = await rig.connect();
      },
    ],
    [
      1,
      async () => {
        counts.handovers += 1;
        // The daemon that leaves answers what it was asked.
        for (const name of NAMES) if (name !== "alone" && random() < 0.5) call(name, client);
        await handOver(rig);
        await settled();
        client = await rig.connect();
      },
    ],
  ];
  /** Each as often as its weight says. */
  const steps = weighted.flatMap(([weight, play]) => Array.from({ length: weight }, () => play));
  const untilMs = performance.now() + forMs;
  while (performance.now() < untilMs) {
    await pick(steps)();
    assert.deepEqual((await client.tools()).toSorted(), NAMES.toSorted(), "each tool is listed at all times");
    await pause(random() * 200);
  }
  await settled();
  for (const name of NAMES) stops[name] = 1;
  await rig.edit({ backends: sections() });
  for (const name of NAMES)
    await rig.untilBackend(name, ({ phase, pid }) => phase === "Asleep" && pid === null, 60_000);
  await eventually(async () => (await serversOf(rig)).length === 0, 60_000);

  const written = (await readFile(made, "utf8")).split("\n").filter(Boolean);
  t.diagnostic(`seed ${seed}: ${JSON.stringify({ ...counts, made: written.length })}`);
  assert.deepEqual(lost, [], "no call fails without a reason");
  assert.equal(new Set(written).size, written.length, "no call is made twice");
  const missing = answered.filter((text) => !written.includes(text));
  assert.deepEqual(missing, [], "what was answered was made");
  if (forMs > 60_000) assert.ok(counts.calls > forMs / 2_000);
}

async function killServer(rig: GatewayRig, name: Name): Promise<void> {
  const { pid } = await rig.backend(name);
  if (pid === null) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

async function serversOf(rig: GatewayRig): Promise<readonly string[]> {
  const lines = await Promise.all(
    (await rig.processes()).map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
  );
  return lines.filter((line) => line.includes("server.mjs"));
}
