// Measures what a call to a tool of another machine costs, beside one to a tool of this machine: interleaved rounds of one
// client, two gateways with a nats-server between them, one light stdio server behind each.

import {
  startClient,
  startMachine,
  startMachineProcess,
  textOf,
  toolsBackend,
  writtenIn,
} from "../test/fleet/calls/machines.ts";
import { needsNats, startNats } from "../test/fleet/nats-rig.ts";
import { eventually } from "../test/support/eventually.ts";
import { goal, median, quantile, round, say, spread } from "./figures.ts";

export const title = "fleet: a call to another machine beside a local one";
export const missing = (): string | null => (needsNats.skip === false ? null : String(needsNats.skip));

const CALLS_EACH = 200;
const WARM_UP = 1_000;
const LARGE = { length: 10_000_000 };
const UNLIMITED = {
  callsPerSecond: null,
  burst: 1,
  callsInFlight: 512,
  sessions: 500,
  resultBytes: null,
  overrides: [],
};

export async function bench({ short }: { short: boolean }): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const scope = { after: (end: () => unknown) => stack.defer(async () => void (await end())) };
  const rig = await startNats(scope);
  const config = { limits: UNLIMITED };
  const lent = [toolsBackend("files", writtenIn(rig.folder, "files"))];
  await startMachineProcess(scope, rig, { name: "desktop", backends: lent, exports: ["files"], config });
  const own = [toolsBackend("own", writtenIn(rig.folder, "own"))];
  const laptop = await startMachine(scope, rig, { name: "laptop", backends: own, imports: ["*"], config });
  await eventually(() => laptop.names().includes("echo") && laptop.names().includes("desktop_echo"));
  const client = await startClient(scope, laptop.gateway);
  const timed = async (tool: string, given: Readonly<Record<string, unknown>>): Promise<number> => {
    const startedMs = performance.now();
    const text = textOf(await client.call(tool, given));
    if (text.startsWith("error")) throw new Error(text);
    return performance.now() - startedMs;
  };
  for (let call = 0; call < WARM_UP; call++) {
    await timed("echo", { mark: "x" });
    await timed("desktop_echo", { mark: "x" });
  }
  const [local, across, ratios]: [number[], number[], number[]] = [[], [], []];
  const rounds = short ? 5 : 20;
  for (let turn = 0; turn < rounds; turn++) {
    const [here, there]: [number[], number[]] = [[], []];
    for (let call = 0; call < CALLS_EACH; call++) {
      here.push(await timed("echo", { mark: "x" }));
      there.push(await timed("desktop_echo", { mark: "x" }));
    }
    local.push(...here);
    across.push(...there);
    ratios.push(median(there) / median(here));
  }
  const figures = (all: readonly number[]): string =>
    `p50 ${round(median(all))} ms, p99 ${round(quantile(all, 0.99))} ms (${all.length} calls)`;
  say(`  here    ${figures(local)}`);
  say(`  across  ${figures(across)}`);
  say(`  p50 across / here: ${spread(ratios, "×")}`);
  const [one, other] = [await rig.stranger("nas"), await rig.stranger("stranger")];
  let answered = (): void => {};
  other.subscribe("there", { callback: (_error, { data }) => other.publish("back", data) });
  one.subscribe("back", { callback: () => answered() });
  await Promise.all([one.flush(), other.flush()]);
  const bare: number[] = [];
  for (let turn = 0; turn < WARM_UP; turn++) {
    const startedMs = performance.now();
    await new Promise<void>((resolve) => {
      answered = resolve;
      one.publish("there", "x".repeat(300));
    });
    bare.push(performance.now() - startedMs);
  }
  say(`  of that, the server there and back for two bare connections: ${figures(bare)}`);
  const [largeHere, largeThere]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < 5; turn++) {
    largeHere.push(await timed("large", LARGE));
    largeThere.push(await timed("desktop_large", LARGE));
  }
  say(`  a result of 20 MB: here ${spread(largeHere)}, across ${spread(largeThere)}`);
  goal("p50 across ≤ 3 × a local call", median(ratios) <= 3);
}
