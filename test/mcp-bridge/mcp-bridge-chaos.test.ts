// The bridge through many daemons, each of which breaks off somewhere: what each request comes to.
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { bridge } from "../../src/mcp-bridge/mcp-bridge.ts";
import { ANSWERS_MS, BETWEEN_LOOKS_MS, eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { fc } from "../support/properties.ts";
import { collector, gatewayOf, type Heard, never, startScene } from "./bridge-scene.ts";

interface Answer {
  readonly id?: unknown;
  readonly error?: { readonly code: number };
}

const LISTS = "tools/list";
const CALLS = "tools/call";

test("B7 through many daemons every request is answered once, and no call is heard twice", async (t) => {
  const story = fc.record({
    /** How many bytes each daemon hears before it breaks off. */
    breaks: fc.array(fc.nat(3_000), { maxLength: 6 }),
    /** Where what the client writes is cut. */
    cuts: fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 20 }),
    requests: fc.array(fc.record({ isCall: fc.boolean(), words: fc.nat(60) }), {
      minLength: 20,
      maxLength: 60,
    }),
  });
  let failures = 0;
  await fc.assert(
    fc.asyncProperty(story, async ({ breaks, cuts, requests }) => {
      const clock = createManualClock();
      const heard: Heard[] = [];
      const serve = gatewayOf(heard, (method) => (method === CALLS || method === LISTS ? { method } : null));
      let daemons = 0;
      const { daemon, socket } = await startScene(t, (stream) => {
        const limit = breaks[daemons];
        daemons += 1;
        serve(stream);
        let bytes = 0;
        stream.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          // The first has to say something: it would be one that takes no client.
          if (limit !== undefined && bytes > limit + 200) stream.destroy();
        });
      });
      const input = new PassThrough();
      const { output, text } = collector();
      const means = { clock, find: async () => daemon, note() {} };
      const bridging = bridge(daemon, { input, output, signal: never }, means);
      const answers = (): readonly Answer[] =>
        text()
          .split("\n")
          .slice(0, -1)
          .map((line) => JSON.parse(line))
          .filter(({ method }) => method === undefined);
      const until = (holds: () => boolean) =>
        eventually(
          async () => {
            if (clock.pendingTimers > 0) await clock.advance(50);
            return holds();
          },
          ANSWERS_MS,
          BETWEEN_LOOKS_MS,
        );
      const line = (message: object) => `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`;

      input.write(line({ id: "hello", method: "initialize", params: {} }));
      await until(() => answers().length === 1);
      let said = requests
        .map(({ isCall, words }, id) =>
          line({ id, method: isCall ? CALLS : LISTS, params: { text: "word ".repeat(words) } }),
        )
        .join("");
      for (let step = 0; said !== ""; step += 1) {
        const length = cuts[step % cuts.length] ?? 1;
        input.write(said.slice(0, length));
        said = said.slice(length);
        await turn();
      }
      await until(() => answers().length > requests.length);
      input.end();
      await bridging;
      await socket[Symbol.asyncDispose]();

      const ids = answers().map(({ id }) => id);
      assert.deepEqual(new Set(ids).size, requests.length + 1);
      assert.equal(ids.length, requests.length + 1);
      const calls = heard.filter(({ method }) => method === CALLS).map(({ id }) => id);
      assert.equal(new Set(calls).size, calls.length);
      for (const { error } of answers()) {
        if (error === undefined) continue;
        failures += 1;
        assert.equal(error.code, -32000);
      }
    }),
    { numRuns: 25 },
  );
  assert.ok(failures > 0, "no request was under way when a daemon broke off");
});
