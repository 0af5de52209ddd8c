// An MCP-like server over stdio that does what the method's name says (link-echo-answers.ts).
import { createLineSplitter } from "../../../../src/runtime/text/line-splitter.ts";
import { createEcho } from "./link-echo-answers.ts";

const echo = createEcho();
// Not by readline: it takes U+2028 for a line's end.
const splitter = createLineSplitter(1e9);
process.stdin.on("data", (chunk: Buffer) => {
  for (const line of splitter.take(chunk)) {
    for (const message of echo(JSON.parse(line))) process.stdout.write(`${JSON.stringify(message)}\n`);
  }
});
