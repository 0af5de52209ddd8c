// An older server over stdio that takes an unknown first message badly. Usage: era-odd-server.ts ends|silent|hangs|garbage|crashes
import { appendFileSync } from "node:fs";
import { createLineSplitter } from "../../../../src/runtime/text/line-splitter.ts";
import { createEcho } from "./link-echo-answers.ts";

const [how, startsFile] = process.argv.slice(2);
if (startsFile !== undefined) appendFileSync(startsFile, "start\n");
if (how === "crashes") {
  process.stderr.write("Error: MISSING_KEY is not set\n");
  process.exit(1);
}
process.stderr.write("odd server is up\n");
const echo = createEcho();
let isInitialized = false;
let isStuck = false;
const splitter = createLineSplitter(1e9);
process.stdin.on("data", (chunk: Buffer) => {
  for (const line of splitter.take(chunk)) {
    const message = JSON.parse(line);
    if (!isInitialized && message.method !== "initialize") {
      if (how === "ends") process.exit(3);
      if (how === "hangs") isStuck = true;
      if (how === "garbage") process.stdout.write("what is that?\n{\n[1,2]\n");
      continue;
    }
    if (isStuck) continue;
    isInitialized = true;
    for (const answer of echo(message)) process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
});
