// The thread of a listener that never accepts: it blocks until `signal` is notified.
import { createServer } from "node:net";
import { parentPort, workerData } from "node:worker_threads";

export interface SilenceData {
  readonly host: string;
  readonly port: number;
  readonly signal: Int32Array;
}

// pullable-cable.ts starts this thread, with these data.
const { host, port, signal } = workerData as SilenceData;
const server = createServer();
server.listen({ host, port, backlog: 1 }, () => {
  parentPort?.postMessage("listening");
  Atomics.wait(signal, 0, 0);
  process.exit();
});
