// A cable that a test or the demo can pull: a TCP proxy on a loopback address, in a separate thread.
//
// In a thread, because a process may have files open on a mount whose connection leads through its own cable. When it
// starts a program, it waits until the kernel has closed the program's copies of these files, and closing one waits for
// the mount's server.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { programBeside } from "../../runtime/process/program-beside.ts";
import { oneByOne } from "../../runtime/time/one-by-one.ts";
import type { CableAction } from "./cable-thread.ts";
import type { CableMode, PullableCableOptions } from "./pullable-cable.ts";

export type SimulatedCable = Awaited<ReturnType<typeof startSimulatedCable>>;

export async function startSimulatedCable(options: PullableCableOptions) {
  const thread = new Worker(programBeside(import.meta.url, "cable-thread"), { workerData: options });
  const [port] = (await once(thread, "message")) as [number];
  let mode: CableMode = "pass";
  const inTurn = oneByOne();
  let ended: Promise<unknown> | null = null;
  const perform = (action: CableAction): Promise<void> =>
    inTurn(async () => {
      const answered = once(thread, "message");
      thread.postMessage(action);
      await answered;
    });
  return {
    host: options.host,
    port,
    /** The mode that was last asked for. */
    get mode() {
      return mode;
    },
    /** Connects to another server from now on, and cuts the open connections. */
    leadTo: (host: string, port: number): Promise<void> => perform({ kind: "target", host, port }),
    /** Resolves when the mode is in effect. Calls take effect one after the other. */
    setMode(next: CableMode): Promise<void> {
      mode = next;
      return perform({ kind: "mode", mode: next });
    },
    async [Symbol.asyncDispose]() {
      ended ??= Promise.all([once(thread, "exit"), perform({ kind: "end" })]);
      await ended;
    },
  };
}
