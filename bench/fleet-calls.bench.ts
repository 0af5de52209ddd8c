// Measures what a call to a tool of another machine costs, beside one to a tool of this machine: interleaved rounds of one
// client, two gateways with a nats-server between them, one light stdio server behind each. The client is a process of its
// own, as clients are, at the end of a socket; what the gateways alone take is timed from within the process, too.

import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Machine,
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
import { type RoundTimings, roundOf } from "./fleet-client.ts";

export const title = "fleet: a call to another machine beside a local one";
export const missing = (): string | null => (needsNats.skip === false ? null : String(needsNats.skip));

const WARM_UP = 1_000;
const CLIENT = fileURLToPath(new URL("fleet-client.ts", import.meta.url));
const LARGE = { length: 10_000_000 };
const UNLIMITED = {
  callsPerSecond: null,
  burst: 1,
  callsInFlight: 512,
  sessions: 500,
  resultBytes: null,
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
  const rounds = short ? 5 : 20;
  const figures = (all: readonly number[]): string =>
    `p50 ${round(median(all))} ms, p99 ${round(quantile(all, 0.99))} ms (${all.length} calls)`;
  const tell = (who: string, timings: readonly RoundTimings[]): readonly number[] => {
    const ratios = timings.map(({ here, there }) => median(there) / median(here));
    say(`  ${who}:`);
    say(`    here    ${figures(timings.flatMap(({ here }) => here))}`);
    say(`    across  ${figures(timings.flatMap(({ there }) => there))}`);
    say(`    p50 across / here: ${spread(ratios, "×")}`);
    return ratios;
  };
  const ratios = tell("a client in a process of its own", await timedOutside(rig.folder, laptop, rounds));
  const within: RoundTimings[] = [];
  for (let turn = 0; turn < rounds; turn++) within.push(await roundOf((tool) => timed(tool, { mark: "x" })));
  tell("from within the gateway's process, as no client is", within);
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

/** What a client in a process of its own measures. */
async function timedOutside(
  folder: string,
  { gateway }: Pick<Machine, "gateway">,
  rounds: number,
): Promise<readonly RoundTimings[]> {
  const path = join(folder, "client.sock");
  const server = createServer((socket) => gateway.serveLines(socket)).listen(path);
  await once(server, "listening");
  const client = fork(CLIENT, [path, String(WARM_UP), String(rounds)], { serialization: "advanced" });
  try {
    return await new Promise((resolve, reject) => {
      client.once("message", (timings: readonly RoundTimings[]) => resolve(timings));
      client.once("exit", () => reject(new Error("the client has ended")));
    });
  } finally {
    client.disconnect();
    server.close();
  }
}
