// The process in which configurations are read and edited. It takes one request a line on stdin, answers each with a line on
// stdout, and ends with its input.
import { createInterface } from "node:readline";
import { answerRequest } from "./answer-request.ts";
import type { ApartRequest } from "./apart-messages.ts";

for await (const line of createInterface({ input: process.stdin, terminal: false })) {
  // Only `reader-process.ts` starts this program, with requests of that type.
  const reply = await answerRequest(JSON.parse(line) as ApartRequest);
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
