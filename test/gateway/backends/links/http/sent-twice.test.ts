// A kept connection that the server ends at some point of an exchange: what is sent again, and what never.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { test } from "node:test";
import { openHttpLink } from "../../../../../src/gateway/backends/links/http/http-link.ts";
import { systemClock as clock } from "../../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../../support/eventually.ts";
import { openRecorded } from "../link-recorder.ts";

/** How often a server may get it. */
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

const HALF = '{"jsonrpc":"2.0",';
/** What was written arrives first. */
const ARRIVES_MS = 20;
const reset = ({ socket }: IncomingMessage): void => void socket.resetAndDestroy();

/** Where the connection ends, once what comes before it was sent. */
const POINTS: Readonly<
  Record<string, { readonly begun: boolean; readonly end: (to: ServerResponse, of: IncomingMessage) => void }>
> = {
  "as it goes out": { begun: false, end: (_response, request) => reset(request) },
  "after the answer's head": {
    begun: true,
    end: (response, request) => {
      response.setHeader("content-type", "application/json");
      response.flushHeaders();
      setTimeout(reset, ARRIVES_MS, request);
    },
  },
  "within the answer": {
    begun: true,
    end: (response, request) => {
      response.setHeader("content-type", "application/json");
      response.write(HALF, () => setTimeout(reset, ARRIVES_MS, request));
    },
  },
  "within a stream's event": {
    begun: true,
    end: (response, request) => {
      response.setHeader("content-type", "text/event-stream");
      response.write(`data: ${HALF}`, () => setTimeout(reset, ARRIVES_MS, request));
    },
  },
};

for (const [point, { begun, end }] of Object.entries(POINTS))
  for (const [method, times] of Object.entries(TIMES)) {
    const most = begun ? 1 : times;
    test(`D5 ${method} reaches a server ${most === 1 ? "once" : "twice at most"} where its connection ends ${point}`, async (t) => {
      const taken: string[] = [];
      const server = createServer(async (request, response) => {
        let body = "";
        for await (const chunk of request) body += chunk;
        const { id, method: asked } = JSON.parse(body);
        taken.push(asked);
        if (asked !== "ping" && taken.filter((one) => one === asked).length === 1) end(response, request);
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
      assert.deepEqual(taken, ["ping", ...Array.from({ length: most }, () => method)]);
      assert.equal(recorded.failed.has(id), most === 1);
    });
  }
