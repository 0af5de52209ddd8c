// The process that clears up after a demo that was killed, crashed, or ended by a second Ctrl-C. Its standard input says
// what to clear, and the end of that input starts the clearing.

import { createInterface } from "node:readline";
import type { ProcessIdentity } from "../../runtime/process/process-identity.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { clearRemains } from "./stage-remains.ts";
import type { WardenMessage } from "./warden-link.ts";

let stage: { folder: string; home: string } | null = null;
const started: ProcessIdentity[] = [];

for await (const line of createInterface({ input: process.stdin })) {
  // Only the demo writes to this pipe.
  const message = parseJson(line) as WardenMessage;
  if (message.kind === "stage") stage = message;
  else if (message.kind === "started") started.push(message.identity);
  else process.exit(0);
}
if (stage !== null) await clearRemains({ ...stage, started });
process.exit(0);
