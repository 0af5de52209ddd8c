// An MCP-like server over stdio that does what the method's name says (link-echo-answers.ts).
import { readLines, writeLine } from "../../../mcp/fixtures/scripted-server.ts";
import { createEcho } from "./link-echo-answers.ts";

const echo = createEcho();
readLines((line) => {
  for (const message of echo(JSON.parse(line))) writeLine(message);
});
