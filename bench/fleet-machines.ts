// Machines of a fleet in one process, for the bench: each is src/fleet/fleet.ts as it is, with a link of its own. Does
// what it is told over the channel to its parent, and answers when it is done.
import { setTimeout as pause } from "node:timers/promises";
import type { StatusReport } from "../src/api/contract/contract.ts";
import { Fleet } from "../src/fleet/fleet.ts";
import { systemClock } from "../src/runtime/time/clock.ts";
import { sampleBackend } from "../test/api/sample-gateway.ts";
import { sampleGlobal, sampleShare } from "../test/api/sample-report.ts";

export interface MachinesPlan {
  readonly server: string;
  readonly authority: string;
  readonly machines: readonly { readonly name: string; readonly seed: string }[];
}

export type Order =
  | { readonly start: MachinesPlan }
  /** So many of them a second change what they tell, or end and begin again. */
  | { readonly churn: "change" | "restart"; readonly perSecond: number; readonly seconds: number }
  /** Until all of them have a link. */
  | { readonly connected: true }
  /** All of them hear the others, for so long. */
  | { readonly lookAllSeconds: number }
  /** The first one looks: how long that takes, and what it sees. */
  | { readonly look: true }
  /** The first one changes the route of its share: when. */
  | { readonly route: string }
  /** When the first one sees that of a machine. */
  | { readonly untilSeen: string; readonly of: string };

export interface Looked {
  readonly ms: number;
  readonly here: number;
  readonly all: number;
}

const QUIET = { debug() {}, info() {}, warn() {}, error() {} };
/** At most so many sign in at once. */
const STARTING = 10;

interface Machine {
  readonly name: string;
  readonly seed: string;
  route: string;
  fleet: Fleet;
}
const machines: Machine[] = [];
let plan: MachinesPlan | null = null;

function begin(name: string, seed: string, routeOf: () => string): Fleet {
  if (plan === null) throw new Error("not started");
  return new Fleet({
    config: {
      name,
      servers: [plan.server],
      credentials: { kind: "environment", variable: "FLEET_KEY" },
      tlsCa: plan.authority,
    },
    values: { FLEET_KEY: seed },
    clock: systemClock,
    logger: QUIET,
    redact: () => {},
    status: (): StatusReport => ({
      global: sampleGlobal(),
      shares: [sampleShare({ name: "CORE", last_error: routeOf() }), sampleShare({ name: "MEDIA" })],
      backends: ["files", "git", "search", "notes"].map((each) => sampleBackend({ name: each })),
    }),
  });
}

async function untilConnected(fleet: Fleet): Promise<void> {
  while (fleet.report().link.state !== "connected") await pause(20);
}

function first(): Machine {
  const [machine] = machines;
  if (machine === undefined) throw new Error("not started");
  return machine;
}

async function churn(kind: "change" | "restart", perSecond: number, seconds: number): Promise<void> {
  const startedAt = performance.now();
  for (let done = 0; done < perSecond * seconds; done += 1) {
    const dueInMs = startedAt + (done * 1000) / perSecond - performance.now();
    if (dueInMs > 0) await pause(dueInMs);
    const machine = machines[done % machines.length];
    if (machine === undefined) return;
    if (kind === "change") {
      machine.route = `change ${done}`;
      machine.fleet.scheduleSummary();
    } else {
      const before = machine.fleet;
      void before.end("stopped").then(() => {
        machine.fleet = begin(machine.name, machine.seed, () => machine.route);
      });
    }
  }
}

async function obey(order: Order): Promise<unknown> {
  if ("start" in order) {
    plan = order.start;
    const waiting = plan.machines.values();
    const starter = async (): Promise<void> => {
      for (const { name, seed } of waiting) {
        const machine: Machine = { name, seed, route: "", fleet: begin(name, seed, () => machine.route) };
        machines.push(machine);
        await untilConnected(machine.fleet);
      }
    };
    await Promise.all(Array.from({ length: STARTING }, starter));
    return null;
  }
  if ("churn" in order) return churn(order.churn, order.perSecond, order.seconds);
  if ("connected" in order) return Promise.all(machines.map(({ fleet }) => untilConnected(fleet)));
  if ("lookAllSeconds" in order) {
    const untilMs = performance.now() + order.lookAllSeconds * 1000;
    while (performance.now() < untilMs) {
      for (const { fleet } of machines) void fleet.query();
      await pause(Math.min(20_000, Math.max(0, untilMs - performance.now())));
    }
    return null;
  }
  if ("look" in order) {
    const startedAt = performance.now();
    const { machines: seen } = await first().fleet.query();
    const ms = performance.now() - startedAt;
    const looked: Looked = {
      ms,
      here: seen.filter(({ presence }) => presence === "here").length,
      all: seen.length,
    };
    return looked;
  }
  if ("route" in order) {
    first().route = order.route;
    first().fleet.scheduleSummary();
    return String(process.hrtime.bigint());
  }
  for (;;) {
    const { machines: seen } = first().fleet.report();
    const state = seen.find(({ name }) => name === order.of)?.state;
    if (state?.shares[0]?.reason === order.untilSeen) return String(process.hrtime.bigint());
    await pause(2);
  }
}

process.on("message", (order: Order) => {
  obey(order).then(
    (answer) => process.send?.({ answer }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.once("disconnect", () => process.exit());
