import assert from "node:assert/strict";
import { test } from "node:test";
import {
  linesOf,
  startClient,
  startMachine,
  TOOLS_SERVER,
  textOf,
  writtenIn,
} from "../fleet/calls/machines.ts";
import { needsNats, startNats } from "../fleet/nats-rig.ts";
import { eventually } from "../support/eventually.ts";
import { handOver, startGatewayRig } from "./gateway-rig.ts";

test(
  "G1 B11 a machine hands over: calls from others continue, none is made twice, no tool disappears",
  needsNats,
  async (t) => {
    const nats = await startNats(t);
    const written = writtenIn(nats.folder, "files");
    const sections = {
      backends: { files: { command: process.execPath, args: [TOOLS_SERVER, written] } },
      more: {
        fleet: { name: "desktop", servers: [nats.url], credentials: "${FLEET_KEY}", export: ["files"] },
      },
    };
    const desktop = await startGatewayRig(t, sections, {
      kept: true,
      env: { FLEET_KEY: nats.key("desktop").seed },
    });
    const laptop = await startMachine(t, nats, { name: "laptop", backends: [], imports: ["*"] });
    await eventually(() => laptop.names().includes("desktop_echo"));
    const client = await startClient(t, laptop.gateway);
    const long = client.begin("desktop_slow", { mark: "long", steps: 250 });
    await eventually(async () => (await linesOf(written)).includes("slow long"));
    const before = client.heard.length;
    let isOver = false;
    const texts: string[] = [];
    const calling = (async () => {
      for (let mark = 0; !isOver; mark += 1) {
        texts.push(textOf(await client.call("desktop_echo", { mark: String(mark) })));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const { from, to } = await handOver(desktop);
    assert.notEqual(from, to);
    assert.equal(textOf(await client.answered(long)), "long");
    isOver = true;
    await calling;
    assert.deepEqual(
      texts,
      texts.map((_, mark) => String(mark)),
    );
    const lines = await linesOf(written);
    assert.equal(new Set(lines).size, lines.length, "a call was made twice");
    const notices = client.heard.slice(before).map(({ method }) => method);
    assert.deepEqual(notices, []);
  },
);
