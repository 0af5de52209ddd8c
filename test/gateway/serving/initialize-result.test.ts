import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayInitializeResult, tasksListedBy } from "../../../src/gateway/serving/initialize-result.ts";

const server = (backend: string, instructions: string | null, capabilities = {}) => ({
  backend,
  instructions,
  capabilities,
});

test("the gateway promises what any backend may offer, whichever there are", () => {
  const { capabilities, serverInfo, instructions } = gatewayInitializeResult("1.2.3", []);
  assert.deepEqual(capabilities, {
    tools: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    prompts: { listChanged: true },
    logging: {},
    completions: {},
  });
  assert.deepEqual(serverInfo, { name: "mountaineer", title: "Mountaineer", version: "1.2.3" });
  assert.equal(instructions, undefined);
});

test("one server's instructions pass as they are; of several each stands under its backend's name", () => {
  const one = [server("a", "Use it well."), server("b", null), server("c", "")];
  assert.equal(gatewayInitializeResult("1", one)["instructions"], "Use it well.");
  const two = [server("a", "Use it well."), server("b", "Or not.")];
  assert.equal(gatewayInitializeResult("1", two)["instructions"], "a:\nUse it well.\n\nb:\nOr not.");
});

test("tasks are promised when a server has them, and listed by those that can", () => {
  const servers = [
    server("a", null, { tasks: { requests: {} } }),
    server("b", null, { tasks: { list: {} } }),
    server("c", null, { tasks: true }),
  ];
  assert.deepEqual(tasksListedBy(servers), ["b"]);
  const { capabilities } = gatewayInitializeResult("1", servers);
  assert.ok(typeof capabilities === "object" && capabilities !== null && "tasks" in capabilities);
  assert.deepEqual(capabilities.tasks, { requests: {} });
});
