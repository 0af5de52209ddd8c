// Restarts a backend again and again, and checks what that leaves behind.
import { rssMb } from "../../bench/processes.ts";
import { startLoad } from "../kit/load.ts";
import { LIGHT_SERVER, SHELL_SERVER } from "../mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig, type Section } from "../mcp/gateway-rig.ts";
import { connectLight } from "../mcp/light-client.ts";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";

const PER_SECOND = 400;
/** Until what is loaded and compiled once has been. */
const WARM_UP = 20;
/** Backends that are restarted at the same time. */
const AT_ONCE = 4;

/**
 * What the daemon may keep at once; it needs some 12 to start. One that keeps 20 kB of each restart ends in the lab's
 * story, and its calls with it: resident memory says less, as it grows with what is not collected yet.
 */
const HEAP_LIMIT = "--max-old-space-size=32";

export interface RestartsEnd {
  readonly restarts: number;
  /** Resident memory of the daemon, in the second half of them. */
  readonly grownMb: number;
  readonly processes: number;
  /** Calls, one after the other throughout, that failed. */
  readonly lost: readonly string[];
  readonly calls: number;
}

/** What is restarted: the light server, or one that starts at next to no cost. */
export type Program = "light" | "shell";

/** Restarts so often by the API, calls going on meanwhile. */
export async function restartAgainAndAgain(program: Program, restarts: number): Promise<RestartsEnd> {
  const names = Array.from({ length: AT_ONCE }, (_, index) => `r${index}`);
  const backends = Object.fromEntries(names.map((name) => [name, backendOf(program, name)]));
  await using rig = await openGatewayRig({ backends }, { env: { NODE_OPTIONS: HEAP_LIMIT } });
  await rig.untilReady(...names);
  const before = (await rig.processes()).length;
  await using client = await connectLight(rig.url);
  const daemon = await rig.daemon();
  await using load = startLoad({
    sessions: names.map((name) => ({ name, call: (tool, given) => client.call(tool, given) })),
    perSecond: PER_SECOND,
    atOnce: 1,
    file: null,
    tools: new Map(names.map((name) => [name, [`${name}_sleep`]])),
    requestOf: () => ({ given: { ms: 5 }, answer: "slept" }),
    random: () => 0,
  });
  const round = async (): Promise<void> => {
    const pids = new Map((await rig.status()).backends?.map(({ name, pid }) => [name, pid]));
    await daemon.call("restart", { backends: names }, AbortSignal.timeout(ANSWERS_MS));
    await eventually(async () => {
      const { backends: now = [] } = await rig.status();
      return now.every(({ name, pid, phase, instances }) => {
        return phase === "Ready" && pid !== pids.get(name) && instances === 1;
      });
    });
  };
  let done = 0;
  let halfMb = 0;
  for (let at = 0; at < WARM_UP; at += AT_ONCE) await round();
  while (done < restarts) {
    await round();
    done += AT_ONCE;
    if (halfMb === 0 && done >= restarts / 2) halfMb = await rssMb(rig.pid);
  }
  const { calls, lost } = await load.end();
  const grownMb = (await rssMb(rig.pid)) - halfMb;
  return { restarts: done, grownMb, processes: (await rig.processes()).length - before, lost, calls };
}

function backendOf(program: Program, name: string): Section {
  const more = { env: { LIGHT_PREFIX: `${name}_` } };
  return program === "light"
    ? nodeBackend(LIGHT_SERVER, [], more)
    : { command: "/bin/sh", args: [SHELL_SERVER], ...more };
}
