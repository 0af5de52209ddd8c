// The demo's agent and its tool, joined without a gateway: the tool's program stands where `mountaineer` does.
import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { type Agent, startAgent } from "../../../src/demo/stage/agent.ts";
import { childEnvironment } from "../../../src/runtime/process/child-process.ts";
import { isRunning, type ProcessIdentity } from "../../../src/runtime/process/process-identity.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const FILE_TOOL = resolve(import.meta.dirname, "../../../src/demo/stage/file-tool.ts");

interface Stand {
  readonly agent: Agent;
  readonly folder: string;
  readonly started: readonly ProcessIdentity[];
}

async function begin(t: TestContext): Promise<Stand> {
  const folder = join(await temporaryFolder(t), "share");
  await mkdir(folder);
  await writeFile(join(folder, "hello.txt"), "hello\n");
  const started: ProcessIdentity[] = [];
  const agent = await startAgent({
    // What comes after it, `mcp`, is one argument more than it reads.
    program: [process.execPath, FILE_TOOL, "read_file", folder],
    environment: childEnvironment(),
    tool: "read_file",
    file: "hello.txt",
    onStart: (identity) => started.push(identity),
  });
  t.after(() => agent.end());
  return { agent, folder, started };
}

test("the agent goes on calling, knows its tools, and ends with its session", async (t) => {
  const { agent, started } = await begin(t);
  await eventually(() => agent.answered > 1);
  assert.deepEqual(await agent.tools(), ["read_file"]);
  assert.deepEqual(agent.complaints, []);
  assert.ok(agent.longestMs > 0);
  await agent.end();
  const [identity] = started;
  assert.ok(identity !== undefined);
  await eventually(async () => !(await isRunning(identity)));
});

test("a call that the tool cannot do is a complaint with the tool's words, and the next ones go well again", async (t) => {
  const { agent, folder } = await begin(t);
  await eventually(() => agent.answered > 0);
  await rm(join(folder, "hello.txt"));
  await eventually(() => agent.complaints.length > 0);
  assert.match(agent.complaints[0] ?? "", /hello\.txt/);
  await writeFile(join(folder, "hello.txt"), "hello again\n");
  const { answered } = agent;
  await eventually(() => agent.answered > answered);
});

test("a session that is lost is seen: its calls end as complaints", async (t) => {
  const { agent, started } = await begin(t);
  await eventually(() => agent.answered > 0);
  process.kill(started[0]?.pid ?? 0, "SIGKILL");
  await eventually(() => !agent.running);
  assert.deepEqual(await agent.tools(), []);
});
