// The thread of a simulated cable: does what simulated-cable.ts sends it, one after the other, and answers each.
import { parentPort, workerData } from "node:worker_threads";
import { type CableMode, type PullableCableOptions, startPullableCable } from "./pullable-cable.ts";

export type CableAction =
  | { readonly kind: "mode"; readonly mode: CableMode }
  | { readonly kind: "target"; readonly host: string; readonly port: number }
  | { readonly kind: "end" };

const cable = await startPullableCable(workerData as PullableCableOptions);
let actions: Promise<unknown> = Promise.resolve();
parentPort?.on("message", (action: CableAction) => {
  actions = actions.then(async () => {
    await perform(action);
    parentPort?.postMessage("done");
    if (action.kind === "end") parentPort?.close();
  });
});
parentPort?.postMessage(cable.port);

async function perform(action: CableAction): Promise<void> {
  if (action.kind === "mode") await cable.setMode(action.mode);
  else if (action.kind === "target") cable.leadTo(action.host, action.port);
  else await cable[Symbol.asyncDispose]();
}
