// A client on a stream of lines, and the front behind it.
import { type Duplex, duplexPair } from "node:stream";
import { OWNER } from "../../../../src/gateway/client-port.ts";
import { LinesFront } from "../../../../src/gateway/front/stdio/lines.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { createModern } from "../http/http-rig.ts";
import type { ScriptedGateway } from "../scripted-gateway.ts";

interface Line extends AsyncDisposable {
  readonly front: LinesFront;
  readonly modern: ReturnType<typeof createModern>;
  readonly client: Duplex;
  /** The gateway's end. */
  readonly stream: Duplex;
  readonly received: Record<string, unknown>[];
  send(...messages: unknown[]): void;
  /** All that came, once there is as much as that. */
  expect(count: number): Promise<Record<string, unknown>[]>;
  /** The answer to that id. */
  answer(id: unknown): Promise<Record<string, unknown>>;
}

export function startLine(gateway: ScriptedGateway, bodyLimitBytes = 1024 * 1024): Line {
  const [client, stream] = duplexPair();
  const modern = createModern(gateway);
  const front = new LinesFront(stream, {
    gateway,
    modern,
    clock: systemClock,
    logger: silentLogger,
    principal: OWNER,
    bodyLimitBytes: () => bodyLimitBytes,
  });
  const received: Record<string, unknown>[] = [];
  let rest = "";
  client.setEncoding("utf8");
  client.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) received.push(JSON.parse(line));
  });
  return {
    front,
    modern,
    client,
    stream,
    received,
    send: (...messages) => void client.write(messages.map((one) => `${JSON.stringify(one)}\n`).join("")),
    async expect(count) {
      await eventually(() => received.length >= count);
      return [...received];
    },
    answer: (id) => eventually(() => received.find((one) => one["id"] === id && !("method" in one))),
    async [Symbol.asyncDispose]() {
      await Promise.all([front.stop(0), modern.end(0, "the test is over")]);
    },
  };
}
