// The client of the bench of calls across machines: times calls to both tools in turn, over a socket, and tells its parent.
import { once } from "node:events";
import { connect } from "node:net";
import { startClientOn, textOf } from "../test/fleet/calls/machines.ts";

const CALLS_EACH = 200;

/** Each call, ms. */
export interface RoundTimings {
  readonly here: readonly number[];
  readonly there: readonly number[];
}

/** One call after the other, here and there in turn. */
export async function roundOf(timed: (tool: string) => Promise<number>): Promise<RoundTimings> {
  const [here, there]: [number[], number[]] = [[], []];
  for (let call = 0; call < CALLS_EACH; call++) {
    here.push(await timed("echo"));
    there.push(await timed("desktop_echo"));
  }
  return { here, there };
}

async function run(path: string, warmUp: number, rounds: number): Promise<void> {
  const socket = connect(path);
  await once(socket, "connect");
  const client = await startClientOn(socket);
  const timed = async (tool: string): Promise<number> => {
    const startedMs = performance.now();
    const text = textOf(await client.call(tool, { mark: "x" }));
    if (text !== "x") throw new Error(text);
    return performance.now() - startedMs;
  };
  for (let call = 0; call < warmUp; call++) {
    await timed("echo");
    await timed("desktop_echo");
  }
  const timings: RoundTimings[] = [];
  for (let turn = 0; turn < rounds; turn++) timings.push(await roundOf(timed));
  process.send?.(timings);
  process.once("disconnect", () => process.exit());
}

const [, , path, warmUp, rounds] = process.argv;
if (process.send !== undefined && path !== undefined && import.meta.main) {
  await run(path, Number(warmUp), Number(rounds));
}
