// A handover that is killed, or fails, at one of its steps, again and again; after each of them one daemon is in charge.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { readLockOwner } from "../../../src/runtime/process/home-lock.ts";
import { LIGHT_SERVER } from "../../mcp/fixture-programs.ts";
import { type GatewayRig, nodeBackend, openGatewayRig } from "../../mcp/gateway-rig.ts";
import { connectLight, type LightClient } from "../../mcp/light-client.ts";
import { eventually } from "../../support/eventually.ts";
import { daemonsOf } from "../../support/processes.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

export const PRELOAD = path.join(import.meta.dirname, "step-fault.ts");
/** Calls and connections that are there hold the old daemon no longer. */
const SERVER = { drain_timeout: 1 };
const ONE_MS = 60_000;
const BETWEEN_NEWCOMERS_MS = 15;
/** Whoever is not answered by then never is, on however busy a machine. */
const ANSWERED_MS = 20_000;
/** From here on the new daemon is the one in charge, and its death is that of any daemon. */
const LINE = "new sends taken";

export interface Fault {
  /** As `step-fault.ts` names it: `old sends go`. */
  readonly step: string;
  readonly how: "is killed" | "fails";
}

export interface FaultEnd extends Fault {
  /** Whether it came to that step. */
  readonly reached: boolean;
  /** No daemon was left, and the service manager started one. */
  readonly startedAnew: boolean;
  /** Whether it may cost the daemon that was in charge by then. Some steps come before the line one time, after it another. */
  readonly isBeyondLine: boolean;
  /** Why not exactly one daemon is in charge with everything; null: one is. */
  readonly wrong: string | null;
}

interface HandoverSteps extends AsyncDisposable {
  /** Plays a handover that nothing happens to: its steps, in their order. */
  record(): Promise<readonly string[]>;
  play(fault: Fault): Promise<FaultEnd>;
}

/** One home with a server that may run twice, one that may not, and a client that stays. */
export async function openHandoverSteps(): Promise<HandoverSteps> {
  await using stack = new AsyncDisposableStack();
  const folder = await temporaryFolder({ after: (end) => stack.defer(async () => void (await end())) });
  const sections = {
    server: SERVER,
    backends: {
      first: nodeBackend(LIGHT_SERVER),
      once: nodeBackend(LIGHT_SERVER, [], { replace: "stop-first", env: { LIGHT_PREFIX: "once_" } }),
    },
  };
  const env = { STEPS_FOLDER: folder, NODE_OPTIONS: `--import=${PRELOAD}` };
  const rig = stack.use(await openGatewayRig(sections, { env, kept: true }));
  await rig.untilReady("first", "once");
  const client = stack.use(await connectLight(rig.url));
  const seen = async (): Promise<string[]> => {
    const text = await readFile(path.join(folder, "seen"), "utf8").catch(() => "");
    return text.split("\n").filter((line) => line !== "");
  };
  const begin = async (fault: Fault | null): Promise<void> => {
    await writeFile(path.join(folder, "seen"), "");
    if (fault !== null) await writeFile(path.join(folder, "fault.json"), JSON.stringify(fault));
    await handOverWithNewcomers(rig);
  };
  const ends = stack.move();
  return {
    async record() {
      await begin(null);
      const wrong = await untilOneInCharge(rig, client);
      if (wrong.why !== null) throw new Error(`a handover with nothing in its way: ${wrong.why}`);
      return seen();
    },
    async play(fault) {
      const before = (await rig.status()).global.pid;
      await begin(fault);
      const { why, startedAnew } = await untilOneInCharge(rig, client);
      const steps = await seen();
      const reached = steps.includes(fault.step);
      const line = steps.indexOf(LINE);
      const isBeyondLine = fault.step.startsWith("new ") && line >= 0 && steps.indexOf(fault.step) >= line;
      await writeFile(path.join(folder, "fault.json"), "{}");
      const pid = (await rig.home.glance())?.global.pid ?? null;
      const isSame = !reached && pid === before;
      return {
        ...fault,
        reached,
        startedAnew,
        isBeyondLine,
        wrong: isSame ? "nothing happened at all" : why,
      };
    },
    [Symbol.asyncDispose]: () => ends.disposeAsync(),
  };
}

/** Resolves when whoever was asked has answered, or is gone. Meanwhile sessions begin, as some do at any moment. */
async function handOverWithNewcomers(rig: GatewayRig): Promise<void> {
  const daemon = await connectToDaemon(rig.home.home);
  let going = true;
  const coming = (async () => {
    while (going) {
      // One that nobody answers must not hold up what finds that out.
      const signal = AbortSignal.timeout(ANSWERED_MS);
      const newcomer = await connectLight(rig.url, { signal }).catch(() => null);
      await newcomer?.[Symbol.asyncDispose]();
      await pause(BETWEEN_NEWCOMERS_MS);
    }
  })();
  try {
    // Whether it says so or dies of it: what counts is what comes after.
    await daemon?.call("handOver", null, AbortSignal.timeout(ONE_MS)).catch(() => null);
    await eventually(async () => (await daemonsOf(rig.home.home)).length <= 1, ONE_MS).catch(() => null);
  } finally {
    going = false;
    await coming;
  }
}

async function untilOneInCharge(
  rig: GatewayRig,
  client: LightClient,
): Promise<{ readonly why: string | null; readonly startedAnew: boolean }> {
  const startedAnew = { now: false };
  const first = await whyNoneInCharge(rig, client, startedAnew);
  // The fault may come only now, when the next daemon has taken over.
  const isFaultLate = first !== null && !startedAnew.now && (await rig.isOver());
  const why = isFaultLate ? await whyNoneInCharge(rig, client, startedAnew) : first;
  return { why, startedAnew: startedAnew.now };
}

/** null: one daemon is in charge, and serves as before. Starts one if none runs, once. */
async function whyNoneInCharge(
  rig: GatewayRig,
  client: LightClient,
  startedAnew: { now: boolean },
): Promise<string | null> {
  let why = "nobody answers";
  try {
    await eventually(async () => {
      if (!startedAnew.now && (await rig.isOver())) {
        startedAnew.now = true;
        await rig.comeBack();
      }
      const [only, ...more] = await daemonsOf(rig.home.home);
      if (only === undefined || more.length > 0) {
        why = `${more.length + (only === undefined ? 0 : 1)} daemons run`;
        return false;
      }
      const inCharge = (await rig.home.glance())?.global.pid;
      why = `${only} runs, ${inCharge} answers`;
      return inCharge === only && (await readLockOwner(rig.home.home))?.pid === only;
    }, ONE_MS);
    why = "a backend is not ready";
    await rig.untilReady("first", "once");
    why = "the gateway does not listen";
    await eventually(async () => (await rig.status()).gateway?.url === rig.url, ONE_MS);
    why = "the session of before does not go on";
    await client.call("echo", { text: "here" }, { signal: AbortSignal.timeout(ANSWERED_MS) });
    await client.call("once_echo", { text: "here" }, { signal: AbortSignal.timeout(ANSWERED_MS) });
    why = "nobody can come";
    await using other = await connectLight(rig.url, { signal: AbortSignal.timeout(ANSWERED_MS) });
    await other.call("echo", { text: "new" });
    return null;
  } catch (error) {
    return `${why}: ${error instanceof Error ? error.message : error}`;
  }
}
