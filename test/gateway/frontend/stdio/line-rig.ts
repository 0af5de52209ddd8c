// A client on a stream of lines, and the front behind it.
import { duplexPair } from "node:stream";
import type { TestContext } from "node:test";
import { OWNER } from "../../../../src/gateway/client-handle.ts";
import { LinesFront } from "../../../../src/gateway/frontend/stdio/lines.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { createModern } from "../http/http-rig.ts";
import { createBlockingTool, createScriptedGateway } from "../scripted-gateway.ts";

/** A gateway with these tools and one, `blocking`, that waits for the test; and a client of it, until that is over. */
export function openLine(
  t: TestContext,
  tools?: Parameters<typeof createScriptedGateway>[0],
  bodyLimitBytes = 1024 * 1024,
  more: Partial<ConstructorParameters<typeof LinesFront>[1]> = {},
) {
  const blocking = createBlockingTool();
  const gateway = createScriptedGateway({ held: blocking.tool, ...tools });
  const [client, stream] = duplexPair();
  const modern = createModern(gateway);
  const front = new LinesFront(stream, {
    gateway,
    modern,
    clock: systemClock,
    logger: noopLogger,
    principal: OWNER,
    bodyLimitBytes: () => bodyLimitBytes,
    ...more,
  });
  const received: Record<string, unknown>[] = [];
  let rest = "";
  client.setEncoding("utf8");
  client.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) received.push(JSON.parse(line));
  });
  t.after(() => Promise.all([front.stop(0), modern.end(0, "the test is over")]));
  const line = {
    front,
    modern,
    client,
    /** The gateway's end. */
    stream,
    received,
    send: (...messages: unknown[]) =>
      void client.write(messages.map((one) => `${JSON.stringify(one)}\n`).join("")),
    /** All that came, once there is as much as that. */
    async expect(count: number) {
      await eventually(() => received.length >= count);
      return [...received];
    },
    /** The answer to that id. */
    answer: (id: unknown) => eventually(() => received.find((one) => one["id"] === id && !("method" in one))),
  };
  return { gateway, line, blocking };
}
