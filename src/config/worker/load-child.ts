// The process in which configurations are read and edited. Each request is a line on stdin, and each answer is a line
// on stdout. The process ends when stdin ends.

import { createInterface } from "node:readline";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { answerRequest } from "./answer-request.ts";
import type { WorkerRequest } from "./worker-messages.ts";

for await (const line of createInterface({ input: process.stdin, terminal: false })) {
  // Only `reader-process.ts` starts this program, with requests of that type.
  const reply = await answerRequest(parseJson(line) as WorkerRequest);
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
