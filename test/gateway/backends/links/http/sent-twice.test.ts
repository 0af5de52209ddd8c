// A kept connection that the server ends at some point of an exchange: what is sent again, and what never.
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { eventually } from "../../../../support/eventually.ts";
import { json, startHttpServer } from "../../programs/http-server.ts";
import { connect } from "./bench.ts";

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
      const server = await startHttpServer(t, (posted) => {
        const { method: asked, response, request } = posted;
        if (asked !== "ping" && server.of(asked).length === 1) end(response, request);
        else json(posted, { result: {} });
      });
      const recorded = connect(t, server.url);
      await recorded.ask("ping");
      const id = 4711;
      recorded.link.send({ jsonrpc: "2.0", id, method, params: {} });
      const isAnswered = (): boolean =>
        recorded.failed.has(id) ||
        recorded.received.some(({ message }) => (message as { readonly id?: unknown }).id === id);
      await eventually(isAnswered);
      const asked = server.posted.map((posted) => posted.method);
      assert.deepEqual(asked, ["ping", ...Array.from({ length: most }, () => method)]);
      assert.equal(recorded.failed.has(id), most === 1);
    });
  }
