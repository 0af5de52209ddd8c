// A kept connection that the server ends as a message goes out: what is sent again, and what never.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { openHttpLink } from "../../../../../src/gateway/backends/links/http/http-link.ts";
import { systemClock as clock } from "../../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../../support/eventually.ts";
import { openRecorded } from "../link-recorder.ts";

const TIMES: Readonly<Record<string, number>> = {
  "tools/list": 2,
  "resources/read": 2,
  "prompts/get": 2,
  "completion/complete": 2,
  "tools/call": 1,
  "tasks/update": 1,
  "tasks/cancel": 1,
  "resources/subscribe": 1,
  "acme/charge": 1,
};

for (const [method, times] of Object.entries(TIMES)) {
  test(`D5 ${method} reaches a server ${times === 1 ? "once" : "twice at most"} where its connection ends as it goes out`, async (t) => {
    const taken: string[] = [];
    const server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const { id, method: asked } = JSON.parse(body);
      taken.push(asked);
      if (asked !== "ping" && taken.filter((one) => one === asked).length === 1)
        request.socket.resetAndDestroy();
      else {
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ jsonrpc: "2.0", id, result: {} }));
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const url = `http://127.0.0.1:${address.port}/mcp`;
    const recorded = openRecorded(openHttpLink({ url, headers: {}, clock }));
    t.after(() => recorded.link.close());
    await recorded.ask("ping");
    const id = 4711;
    recorded.link.send({ jsonrpc: "2.0", id, method, params: {} });
    const isAnswered = (): boolean =>
      recorded.failed.has(id) ||
      recorded.received.some(({ message }) => (message as { readonly id?: unknown }).id === id);
    await eventually(isAnswered);
    assert.deepEqual(taken, ["ping", ...Array.from({ length: times }, () => method)]);
    assert.equal(recorded.failed.has(id), times === 1);
  });
}
