import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { InstanceOptions } from "../../../../src/gateway/backends/instance/backend-instance.ts";
import {
  type BackendInstance,
  startBackendInstance,
} from "../../../../src/gateway/backends/instance/start-backend-instance.ts";
import type { OpenLink } from "../../../../src/gateway/backends/links/backend-link.ts";
import { openHttpLink } from "../../../../src/gateway/backends/links/http/http-link.ts";
import { openStdioLink } from "../../../../src/gateway/backends/links/stdio/stdio-link.ts";
import { Warden } from "../../../../src/gateway/backends/links/stdio/warden.ts";
import type { CallPort } from "../../../../src/gateway/client-port.ts";
import { isError, type JsonObject, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { silentLogger as logger } from "../../../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../../../src/runtime/time/clock.ts";
import { LIGHT_SERVER, startHttpFixture } from "../../../mcp/fixture-programs.ts";
import { eventually } from "../../../support/eventually.ts";
import { freePort } from "../../../support/free-port.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { createTestClient } from "../programs/instance-test-client.ts";

const DEADLINE_MS = 10_000;
function overStdio(t: TestContext, file: string): OpenLink {
  const warden = new Warden({ clock, logger });
  t.after(() => warden[Symbol.asyncDispose]());
  return openStdioLink({ command: process.execPath, args: [file], env: {}, cwd: "/", warden, clock });
}

const overHttp = (url: string): OpenLink => openHttpLink({ url, headers: {}, clock });

/**
 * An instance until the test ends; whatever else has to end is registered before. Its clock stands still, so that no
 * deadline of it ends what a busy machine is slow at.
 */
function start(t: TestContext, open: OpenLink, options: Partial<InstanceOptions> = {}): BackendInstance {
  const instance = startBackendInstance({
    id: 1,
    key: "key",
    backend: "real",
    open,
    initMs: DEADLINE_MS,
    listMs: DEADLINE_MS,
    clientInfo: { name: "mountaineer", version: "0.0.0" },
    owner: null,
    logLevel: null,
    clock: createManualClock(),
    logger,
    onSeen() {},
    onListings() {},
    onLog() {},
    ...options,
  });
  t.after(() => instance.close({ code: -32000, message: "the test is over" }));
  return instance;
}

async function ready(instance: BackendInstance): Promise<BackendInstance> {
  await eventually(() => instance.seen.state.kind !== "starting");
  assert.equal(instance.seen.state.kind, "ready", JSON.stringify(instance.seen.state));
  return instance;
}

function call(
  instance: BackendInstance,
  port: CallPort | null,
  name: string,
  given: JsonObject = {},
  meta: JsonObject = {},
): Promise<Reply> {
  return instance.request({
    method: "tools/call",
    params: { name, arguments: given, _meta: meta },
    port,
    timeoutMs: DEADLINE_MS,
    signal: new AbortController().signal,
  });
}

function words(reply: Reply): string {
  if (isError(reply)) return `error ${reply.error.code}: ${reply.error.message}`;
  const { content } = reply.result;
  const first: unknown = Array.isArray(content) ? content[0] : null;
  return typeof first === "object" && first !== null && "text" in first ? String(first.text) : "";
}

for (const [transport, open] of [
  ["stdio", async (t: TestContext) => overStdio(t, LIGHT_SERVER)],
  ["HTTP", async (t: TestContext) => overHttp((await startHttpFixture(t, LIGHT_SERVER)).url)],
] as const) {
  test(`over ${transport} each gets its own progress under its own token, and a cancelled call ends at the server alone`, async (t) => {
    const instance = await ready(start(t, await open(t)));
    const ports = Array.from({ length: 20 }, (_, index) => createTestClient(`c${index}`).call(1));
    const given = (index: number) => ({ steps: 20, text: `of ${index}` });
    const meta = { progressToken: "same" };
    await Promise.all(ports.map((port, index) => call(instance, port, "progress", given(index), meta)));
    for (const [index, port] of ports.entries()) {
      const progress = Array.from({ length: 20 }, (_, step) => step + 1);
      assert.deepEqual(
        pluck(port.told, "params"),
        progress.map((one) => ({ ...meta, progress: one, total: 20, message: `of ${index}` })),
      );
    }
    const abort = new AbortController();
    const cancelled = instance.request({
      method: "tools/call",
      params: { name: "sleep", arguments: { ms: 60_000 } },
      port: createTestClient("a").call(1),
      timeoutMs: DEADLINE_MS,
      signal: abort.signal,
    });
    const beside = call(instance, createTestClient("b").call(1), "sleep", { ms: 200, text: "slept well" });
    await call(instance, null, "echo");
    abort.abort("enough");
    assert.match(words(await cancelled), /^error -32603: the request was cancelled$/);
    assert.equal(words(await beside), "slept well");
    await eventually(async () => /"cancelled":1/.test(words(await call(instance, null, "seen"))));
    assert.equal(instance.seen.inFlight, 0);
  });
}

test("the session with an HTTP server that is restarted is renewed: later calls work, the one that noticed is not repeated", async (t) => {
  const port = await freePort();
  const first = await startHttpFixture(t, LIGHT_SERVER, {}, { port });
  const instance = await ready(start(t, overHttp(first.url)));
  const client = createTestClient("a");
  await instance.subscribe("light://pid", client);
  assert.equal(words(await call(instance, client.call(1), "echo", { text: "before" })), "before");
  await first[Symbol.asyncDispose]();
  assert.match(
    words(await call(instance, client.call(2), "echo", { text: "away" })),
    /^error -32000: backend real: /,
  );
  await startHttpFixture(t, LIGHT_SERVER, {}, { port });
  const noticed = await call(instance, client.call(3), "echo", { text: "lost" });
  assert.match(words(noticed), /lost its session; the call was not repeated/);
  assert.equal(words(await call(instance, client.call(4), "echo", { text: "after" })), "after");
  assert.equal(instance.seen.state.kind, "ready");
  await eventually(async () => {
    await call(instance, null, "touch", { uri: "light://pid" });
    return client.told.some(({ method }) => method === "notifications/resources/updated");
  });
});
