// Both generations of the official SDK as client and as server, with the gateway between them, over stdio and HTTP.
import { type TestContext, test } from "node:test";
import { MATRIX_MODERN_SERVER, MATRIX_SERVER, startHttpFixture } from "../fixture-programs.ts";
import { nodeBackend, type Section, startGatewayRig } from "../gateway-rig.ts";
import { CLIENTS, type Era } from "./matrix-clients.ts";
import { type CellName, ROWS } from "./matrix-rows.ts";

const SERVERS = [
  { title: "SDK 1", era: "L", program: MATRIX_SERVER },
  { title: "SDK 2", era: "M", program: MATRIX_MODERN_SERVER },
] as const;

const TRANSPORTS = {
  stdio: async (_t: TestContext, program: string): Promise<Section> => nodeBackend(program, ["--stdio"]),
  HTTP: async (t: TestContext, program: string): Promise<Section> => ({
    type: "streamable-http",
    url: (await startHttpFixture(t, program)).url,
  }),
} as const;

const cellName = (front: Era, back: Era): CellName => `${front}→${back}`;

for (const server of SERVERS)
  for (const [transport, sectionOf] of Object.entries(TRANSPORTS))
    for (const kind of CLIENTS) {
      const cell = cellName(kind.era, server.era);
      test(`D1 ${cell}: ${kind.title} in front of ${server.title} over ${transport}`, async (t) => {
        const backends = { server: await sectionOf(t, server.program) };
        const rig = await startGatewayRig(t, { backends });
        await rig.untilReady("server");
        for (const { feature, cells } of ROWS) {
          const play = cells[cell];
          if (play === null) continue;
          await t.test(`D1 ${cell}: ${feature}`, async () => {
            await using client = await kind.connect(rig.url);
            if (client.era !== kind.era) throw new Error(`${kind.title} came to speak ${client.era}`);
            const over = transport === "stdio" ? "stdio" : "HTTP";
            await play({ cell, rig, client, transport: over });
          });
        }
      });
    }
