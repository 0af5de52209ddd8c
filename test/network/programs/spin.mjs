// A thread in place of the real one that can be neither woken nor asked: it never returns.
import { parentPort } from "node:worker_threads";

parentPort?.postMessage({ kind: "ready" });
for (;;);
