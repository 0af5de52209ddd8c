// Servers and clients of the SDKs of other languages: what a client gets of a server directly, it gets through the gateway.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { connect } from "node:net";
import path from "node:path";
import { before, describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { type Section, startGatewayRig } from "../mcp/gateway-rig.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { fromPip, goPrograms } from "./installed.ts";

const HERE = path.join(import.meta.dirname, "sdks");
/** By the registry, November 2026. Go's stands in sdks/go/go.mod. */
const PYTHON = "mcp==2.3.0";
const PLAY_MS = 240_000;
const run = promisify(execFile);

type Sdk = "python" | "go";
type Command = readonly [program: string, ...args: readonly string[]];

const SDKS = ["python", "go"] as const;
/** As each SDK calls its modes. */
const CLIENTS = [
  { sdk: "python", mode: "legacy" },
  { sdk: "python", mode: "auto" },
  { sdk: "go", mode: "2025-11-25" },
  { sdk: "go", mode: "" },
] as const;

/** What the gateway cannot give, and docs/project/conformance.md says why: "client mode, server, transport: feature". */
const EXCEPTIONS: readonly string[] = ["go newest, go, HTTP: log"];

const folders: Record<Sdk, string> = { python: "", go: "" };

function command(sdk: Sdk, role: "server" | "client"): Command {
  if (sdk === "go") return [path.join(folders.go, "matrix-go"), role === "server" ? "serve" : "ask"];
  return [path.join(folders[sdk], "python"), path.join(HERE, `${sdk}_${role}.py`)];
}

/** What a client got, by feature. */
async function ask(
  { sdk, mode }: (typeof CLIENTS)[number],
  target: readonly string[],
): Promise<Record<string, string>> {
  const [program, ...args] = command(sdk, "client");
  const { stdout } = await run(program, [...args, mode, ...target], { timeout: PLAY_MS, cwd: "/tmp" });
  return JSON.parse(stdout) as Record<string, string>;
}

async function serveHttp(t: TestContext, sdk: Sdk): Promise<string> {
  const port = await freePort();
  const [program, ...args] = command(sdk, "server");
  const child = spawn(program, [...args, sdk === "go" ? `127.0.0.1:${port}` : `${port}`], {
    stdio: "ignore",
  });
  t.after(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once("exit", resolve));
  });
  await eventually(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(port, "127.0.0.1", () => resolve(true));
        socket.once("error", () => resolve(false)).once("connect", () => socket.destroy());
      }),
    60_000,
    100,
  );
  return `http://127.0.0.1:${port}${sdk === "go" ? "" : "/mcp"}`;
}

describe("SDKs of other languages", { timeout: 7_200_000 }, () => {
  let missing: string | null = null;
  before(async () => {
    try {
      folders.python = await fromPip(PYTHON);
      folders.go = await goPrograms();
    } catch (error) {
      missing = String(error).slice(0, 300);
    }
  });

  for (const server of SDKS)
    for (const transport of ["stdio", "HTTP"] as const)
      test(`D5 ${server} over ${transport}: each client gets through the gateway what it gets directly`, async (t) => {
        if (missing !== null) return t.skip(`the SDKs cannot be fetched here: ${missing}`);
        const [program, ...args] = command(server, "server");
        const url = transport === "HTTP" ? await serveHttp(t, server) : null;
        const section: Section =
          url === null ? { command: program, args: [...args] } : { type: "streamable-http", url };
        const rig = await startGatewayRig(t, { backends: { server: section } });
        await rig.untilReady("server");
        for (const client of CLIENTS) {
          const name = `${client.sdk} ${client.mode || "newest"}`;
          await t.test(`D5 ${name} in front of ${server} over ${transport}`, async () => {
            const direct = await ask(client, url === null ? command(server, "server") : [url]);
            const through = await ask(client, [rig.url]);
            const less = Object.entries(direct).filter(
              ([feature, got]) =>
                !got.startsWith("error: ") &&
                through[feature] !== got &&
                !EXCEPTIONS.includes(`${name}, ${server}, ${transport}: ${feature}`),
            );
            assert.deepEqual(
              less.map(([feature, got]) => `${feature}: ${got} directly, ${through[feature]} through`),
              [],
            );
          });
        }
      });
});
