// The process that clears up after a demo that was killed, crashed, or ended by a second Ctrl-C. It learns at its start
// what to clear, and acts when its standard input ends.
import { createInterface } from "node:readline";
import type { ProcessIdentity } from "../../runtime/process/process-identity.ts";
import { clearRemains } from "./stage-remains.ts";
import type { WardenMessage } from "./warden-link.ts";

let stage: { folder: string; home: string } | null = null;
const started: ProcessIdentity[] = [];

for await (const line of createInterface({ input: process.stdin })) {
  // The demo is the only one at the other end.
  const message = JSON.parse(line) as WardenMessage;
  if (message.kind === "stage") stage = message;
  else if (message.kind === "started") started.push(message.identity);
  else process.exit(0);
}
if (stage !== null) await clearRemains({ ...stage, started });
process.exit(0);
