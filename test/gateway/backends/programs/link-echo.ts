// An MCP-like server over stdio that does what the method's name says (link-echo-answers.ts). Usage:
// link-echo.ts [ends|silent|hangs|garbage|crashes STARTS_FILE]: before `initialize` it takes any message badly in that way.
import { appendFileSync } from "node:fs";
import { parseExactly } from "../../../../src/runtime/text/exact-json.ts";
import { objectOf, readLines, writeLine } from "../../../mcp/fixtures/scripted-server.ts";
import { createEcho } from "./link-echo-answers.ts";

const [how, startsFile] = process.argv.slice(2);
if (startsFile !== undefined) appendFileSync(startsFile, "start\n");
if (how === "crashes") {
  process.stderr.write("Error: MISSING_KEY is not set\n");
  process.exit(1);
}
if (how !== undefined) process.stderr.write("odd server is up\n");
const echo = createEcho();
let isInitialized = how === undefined;
let isStuck = false;
readLines((line) => {
  const message = objectOf(parseExactly(line));
  isInitialized ||= message["method"] === "initialize" && !isStuck;
  if (isInitialized) for (const answer of echo(message)) writeLine(answer);
  else if (how === "ends") process.exit(3);
  else if (how === "hangs") isStuck = true;
  else if (how === "garbage") process.stdout.write("what is that?\n{\n[1,2]\n");
});
