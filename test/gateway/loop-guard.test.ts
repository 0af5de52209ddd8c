// A gateway that is told to be its own backend.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isFromThisGateway, loopGuard } from "../../src/gateway/protocol.ts";
import { NO_GATEWAY } from "../../src/gateway/serving/gateway-rules.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { backendConfig } from "./backends/pool/scripted-instance.ts";
import { realGateway, serverOn } from "./serving/gateway-rig.ts";

test("the mark is known again, and nothing else is", () => {
  assert.ok(isFromThisGateway({ _meta: loopGuard() }));
  for (const params of [
    undefined,
    {},
    { _meta: {} },
    { _meta: 1 },
    { _meta: { "mountaineer/gateway": "1" } },
  ]) {
    assert.ok(!isFromThisGateway(params));
  }
});

test("a gateway is no backend of its own: its lists would grow without end, and it would call itself", async (t) => {
  const gateway = realGateway(t);
  const port = await freePort();
  const connection = { type: "streamable-http", url: `http://127.0.0.1:${port}/mcp`, headers: {} } as const;
  await gateway.start({
    ...NO_GATEWAY,
    server: serverOn(port, { bodyLimitBytes: 1_024 }),
    backends: [backendConfig("me", { connection })],
  });
  const failed = await eventually(() => gateway.view().backends.find(({ phase }) => phase === "Failed"));
  assert.match(failed.reason ?? "", /cannot be its own backend/);
  assert.deepEqual(gateway.entries().tools, []);
});
