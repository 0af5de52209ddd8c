// Both generations of the official SDK as client and as server, with the gateway between them, over stdio and HTTP.
import { test } from "node:test";
import { MATRIX_MODERN_SERVER, MATRIX_SERVER, startHttpFixture } from "../fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "../gateway-rig.ts";
import { CLIENTS } from "./matrix-clients.ts";
import { type CellName, ROWS } from "./matrix-rows.ts";

const SERVERS = [
  { title: "SDK 1", era: "L", program: MATRIX_SERVER },
  { title: "SDK 2", era: "M", program: MATRIX_MODERN_SERVER },
] as const;

for (const server of SERVERS)
  for (const transport of ["stdio", "HTTP"] as const)
    test(`D1 ${server.title} over ${transport}, behind the gateway`, async (t) => {
      const { program } = server;
      const section =
        transport === "stdio"
          ? nodeBackend(program, ["--stdio"])
          : { type: "streamable-http", url: (await startHttpFixture(t, program)).url };
      const rig = await startGatewayRig(t, { backends: { server: section } });
      await rig.untilReady("server");
      for (const kind of CLIENTS) {
        const cell: CellName = `${kind.era}→${server.era}`;
        for (const { feature, cells } of ROWS) {
          const play = cells[cell];
          if (play === null) continue;
          await t.test(`D1 ${cell}: ${feature}, to ${kind.title}`, async () => {
            await using client = await kind.connect(rig.url);
            if (client.era !== kind.era) throw new Error(`${kind.title} came to speak ${client.era}`);
            await play({ cell, rig, client, transport });
          });
        }
      }
    });
