// One machine of a fleet in a process of its own; tells its parent when its servers are ready.
import { runMachine } from "../machines.ts";

const machine = await runMachine(JSON.parse(process.argv[2] ?? "{}"));
await machine.gateway.pool.whenStarted(new AbortController().signal);
process.send?.("ready");
process.once("disconnect", () => process.exit());
