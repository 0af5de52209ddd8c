import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { type TestContext, test } from "node:test";
import { createGatewayPart, type GatewayPart } from "../../src/daemon/gateway-part.ts";
import type { GatewayTransition } from "../../src/gateway/gateway-transitions.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { connectLight } from "../mcp/light-client.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { changeOf, configOf } from "./samples.ts";

const NEVER = new AbortController().signal;
const NOTHING = "";

const backend = (name: string, prefix = ""): string =>
  `[backends.${name}]\ncommand = ${JSON.stringify(process.execPath)}\nargs = [${JSON.stringify(LIGHT_SERVER)}]\nenv = { LIGHT_PREFIX = "${prefix}" }\ncwd = "/"\n`;

function start(
  t: TestContext,
  clock = systemClock,
  measureMemory?: (groups: readonly number[]) => Promise<number>,
): { readonly part: GatewayPart; readonly told: GatewayTransition[] } {
  const told: GatewayTransition[] = [];
  const options = {
    clock,
    logger: noopLogger,
    environment: process.env,
    redact() {},
    announce: (transition: GatewayTransition) => void told.push(transition),
    version: "1",
    listens: true,
  };
  const part = createGatewayPart(options, measureMemory);
  t.after(() => part[Symbol.asyncDispose]());
  return { part, told };
}

/** As a reload does it. */
async function reload(part: GatewayPart, before: string, after: string): Promise<void> {
  const prepared = await part.applier.prepare(await changeOf(before, after), NEVER);
  prepared.commit();
  // What it replaced ends on its own, and what is idle there may take its time.
  void prepared.retire?.();
}

const isOff = (error: unknown): boolean => error instanceof MountaineerError && error.code === "gateway_off";

test("C3 without a gateway configured there is none: nothing is shown, and requests to it say so", async (t) => {
  const { part, told } = start(t);
  await part.start(await configOf(NOTHING));
  assert.deepEqual(part.status(), {});
  await part.whenStarted(NEVER);
  await assert.rejects(part.control.tools(), isOff);
  await assert.rejects(part.control.call({ tool: "x" }, NEVER), isOff);
  await assert.rejects(part.control.restart({}), isOff);
  await assert.rejects(part.control.logs({ backend: "x" }), isOff);
  const [, theirs] = duplexPair();
  part.serveLines(theirs);
  assert.ok(theirs.destroyed);
  assert.deepEqual(told, []);
});

test("E2 E5 starting backends are reported with their command, arguments and variables, without their secrets", async (t) => {
  const { part, told } = start(t);
  process.env["STARTED_TEST_TOKEN"] = "of-the-environment";
  t.after(() => delete process.env["STARTED_TEST_TOKEN"]);
  const text = `[server]
port = ${await freePort()}
[backends.a]
command = ${JSON.stringify(process.execPath)}
args = [${JSON.stringify(LIGHT_SERVER)}, "--token", "written-out", "--mode=plain", "of-the-environment"]
env = { TOKEN = "\${STARTED_TEST_TOKEN}", API_KEY = "also-written-out", LEVEL = "debug" }
cwd = "/"
`;
  await part.start(await configOf(text));
  await part.whenStarted(NEVER);
  const started = told.filter(({ name }) => name === "backend.started");
  assert.deepEqual(started, [
    {
      name: "backend.started",
      backend: "a",
      pid: part.status().backends?.[0]?.pid,
      command: process.execPath,
      args: [LIGHT_SERVER, "--token", "(hidden)", "--mode=plain", "[redacted]"],
      env: ["TOKEN=${STARTED_TEST_TOKEN}", "API_KEY=(hidden)", "LEVEL=debug"],
      cwd: "/",
      sandboxed: false,
    },
  ]);
  const all = JSON.stringify([told, part.status()]);
  for (const secret of ["written-out", "of-the-environment"]) assert.ok(!all.includes(secret), secret);
});

test("B6 C3 the first backend in the file starts the gateway, the last one's removal ends it, and it can start again", async (t) => {
  const { part } = start(t);
  const server = `[server]\nport = ${await freePort()}\n`;
  await part.start(await configOf(NOTHING));
  await reload(part, NOTHING, server + backend("a"));
  await part.whenStarted(NEVER);
  const { gateway, backends } = part.status();
  assert.deepEqual(
    backends?.map(({ name, phase, type }) => [name, phase, type]),
    [["a", "Ready", "stdio"]],
  );
  await using client = await connectLight(gateway?.url ?? "");
  assert.equal(await client.call("echo", { text: "here" }), "here");
  await reload(part, server + backend("a"), NOTHING);
  assert.deepEqual(part.status(), {});
  await assert.rejects(connectLight(gateway?.url ?? ""), /ECONNREFUSED/);
  await reload(part, NOTHING, server + backend("b", "b_"));
  await part.whenStarted(NEVER);
  assert.equal(part.status().gateway?.url, gateway?.url);
  // The session is the one of before.
  assert.equal(await client.call("b_echo", { text: "again" }), "again");
});

test("B6 a preparation that is rolled back leaves no gateway behind", async (t) => {
  const { part } = start(t);
  const port = await freePort();
  await part.start(await configOf(NOTHING));
  const change = await changeOf(NOTHING, `[server]\nport = ${port}\n${backend("a")}`);
  const prepared = await part.applier.prepare(change, NEVER);
  await prepared.rollback?.();
  assert.deepEqual(part.status(), {});
  await assert.rejects(connectLight(`http://127.0.0.1:${port}/mcp`), /ECONNREFUSED/);
});

test("tools, calls, restarts and logs are requested by name, and an unknown name is answered with the name probably meant", async (t) => {
  const { part } = start(t);
  const text = `[server]\nport = ${await freePort()}\n${backend("files", "f_")}`;
  await part.start(await configOf(text));
  await part.whenStarted(NEVER);
  const { tools } = await part.control.tools();
  const [echo] = tools;
  assert.deepEqual(
    [echo?.name, echo?.backend, echo?.original_name, echo?.description, echo?.input_schema],
    ["f_echo", "files", "f_echo", "The tool echo.", { type: "object" }],
  );
  const { result, error } = await part.control.call({ tool: "f_echo", arguments: { text: "x" } }, NEVER);
  assert.deepEqual([result, error], [{ content: [{ type: "text", text: "x" }] }, null]);
  const rejectsWith = (promise: Promise<unknown>, code: string, hint: RegExp) =>
    assert.rejects(
      promise,
      (found) => found instanceof MountaineerError && found.code === code && hint.test(String(found.hint)),
    );
  await rejectsWith(part.control.call({ tool: "f_ecko" }, NEVER), "tool_unknown", /f_echo/);
  await rejectsWith(part.control.call({ tool: "entirely else" }, NEVER), "tool_unknown", /f_sleep/);
  await rejectsWith(part.control.restart({ backends: ["file"] }), "backend_unknown", /files/);
  await rejectsWith(part.control.logs({ backend: "zzzzzzzz" }), "backend_unknown", /files/);
  const pid = part.status().backends?.[0]?.pid;
  assert.deepEqual(await part.control.restart({}), { restarted: ["files"] });
  await eventually(() => part.status().backends?.[0]?.pid !== pid);
  assert.deepEqual(await part.control.logs({ backend: "files" }), { lines: [] });
});

test("requests for the status within 3 s share one measurement of memory, while the same programs run", async (t) => {
  let nowMs = 0;
  const measured: number[] = [];
  const { part } = start(t, { ...systemClock, monotonicMs: () => nowMs }, async (groups) => {
    measured.push(groups.length);
    return groups.length * 2 ** 20;
  });
  const memory = () => part.status().gateway?.programs?.memory_mb;
  await part.start(await configOf(backend("a")));
  await part.whenStarted(NEVER);
  await Promise.all([part.measure(), part.measure()]);
  nowMs = 2_999;
  await part.measure();
  assert.deepEqual([measured, memory()], [[1], 1]);
  nowMs = 3_000;
  await part.measure();
  assert.deepEqual(measured, [1, 1]);
  await reload(part, backend("a"), backend("a") + backend("b"));
  await part.whenStarted(NEVER);
  await part.measure();
  assert.deepEqual([measured, memory()], [[1, 1, 2], 2]);
});
