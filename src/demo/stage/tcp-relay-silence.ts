// The thread of a listener that never accepts: it blocks until it is told to end.
import { createServer } from "node:net";
import { parentPort, workerData } from "node:worker_threads";

interface SilenceData {
  readonly host: string;
  readonly port: number;
  readonly wake: Int32Array;
}

// Our own relay is the only one to start this thread.
const { host, port, wake } = workerData as SilenceData;
const server = createServer();
server.listen({ host, port, backlog: 1 }, () => {
  parentPort?.postMessage("listening");
  Atomics.wait(wake, 0, 0);
  process.exit();
});
