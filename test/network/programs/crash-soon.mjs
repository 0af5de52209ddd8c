// A thread in place of the real one: ready at once, then it throws.
import { parentPort } from "node:worker_threads";

parentPort?.postMessage({ kind: "ready" });
setTimeout(() => {
  throw new Error("crashed on purpose");
}, 20);
