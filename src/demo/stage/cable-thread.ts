// The thread of a simulated cable: does what simulated-cable.ts sends it, one after the other, and answers each.
import { parentPort, workerData } from "node:worker_threads";
import { type PullableRelayOptions, type RelayMode, startPullableRelay } from "./pullable-relay.ts";

export type CableAction =
  | { readonly kind: "mode"; readonly mode: RelayMode }
  | { readonly kind: "target"; readonly host: string; readonly port: number }
  | { readonly kind: "end" };

const relay = await startPullableRelay(workerData as PullableRelayOptions);
let actions: Promise<unknown> = Promise.resolve();
parentPort?.on("message", (action: CableAction) => {
  actions = actions.then(async () => {
    await perform(action);
    parentPort?.postMessage("done");
    if (action.kind === "end") parentPort?.close();
  });
});
parentPort?.postMessage(relay.port);

async function perform(action: CableAction): Promise<void> {
  if (action.kind === "mode") await relay.setMode(action.mode);
  else if (action.kind === "target") relay.leadTo(action.host, action.port);
  else await relay[Symbol.asyncDispose]();
}
