// An agent that reads a file twice a second through Mountaineer, by the official SDK's client and the official filesystem
// server, and what came of its calls.
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { eventually } from "../support/eventually.ts";
import type { Scene } from "./scene.ts";

export const FILE_SERVER = path.resolve(
  import.meta.dirname,
  "../../node_modules/@modelcontextprotocol/server-filesystem/dist/index.js",
);
/** The same as a backend whose data is on CORE; `more`: further lines of it. */
export function filesBackend(sharesRoot: string, more: readonly string[] = []): string {
  return [
    "[backends.files]",
    `command = "${process.execPath}"`,
    `args = ["${FILE_SERVER}", "${path.join(sharesRoot, "CORE")}"]`,
    'requires = ["CORE"]',
    ...more,
  ].join("\n");
}

const MOUNTAINEER = path.resolve(import.meta.dirname, "../../bin/mountaineer");
/** Between two calls of an agent. */
const BEAT_MS = 500;
/** Far beyond what a call may take: its own deadline here is 10 s. */
const LATE_MS = 15_000;

export interface Call {
  /** When it began, wall ms. */
  readonly atMs: number;
  readonly ms: number;
  /** null: it went well. */
  readonly error: string | null;
}

export interface Agent extends AsyncDisposable {
  readonly calls: readonly Call[];
  /** How often it was told that the list is another one. */
  readonly notices: () => number;
  tools(): Promise<readonly string[]>;
}

/** Reads again and again, whatever comes of it; twice a second unless told. */
export async function startAgent(
  scene: Scene,
  tool = "read_text_file",
  file = scene.at("CORE", "notes.txt"),
  beatMs = BEAT_MS,
): Promise<Agent> {
  const client = new Client({ name: "agent", version: "1.0.0" });
  let notices = 0;
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    notices++;
  });
  const env = { PATH: process.env["PATH"] ?? "", MOUNTAINEER_HOME: scene.home.home };
  await client.connect(new StdioClientTransport({ command: MOUNTAINEER, args: ["mcp"], env }));
  const calls: Call[] = [];
  const ending = new AbortController();
  const read = async (): Promise<void> => {
    const [began, atMs] = [performance.now(), Date.now()];
    const error = await client
      .callTool({ name: tool, arguments: { path: file } }, undefined, {
        timeout: 60_000,
      })
      .then((result) => (result.isError === true ? JSON.stringify(result.content) : null))
      .catch((problem: unknown) => String(problem));
    calls.push({ atMs, ms: performance.now() - began, error });
  };
  const beating = (async () => {
    const all: Promise<void>[] = [];
    while (!ending.signal.aborted) {
      all.push(read());
      await pause(beatMs, undefined, { signal: ending.signal }).catch(() => undefined);
    }
    await Promise.all(all);
  })();
  return {
    calls,
    notices: () => notices,
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    async [Symbol.asyncDispose]() {
      ending.abort();
      await beating;
      await client.close();
    },
  };
}

export function untilServed(agent: Agent): Promise<true> {
  const from = agent.calls.length;
  return eventually(() => agent.calls.slice(from).filter(({ error }) => error === null).length > 3, 30_000);
}

/** Calls that were late, or failed without a word of the share. */
export function unnamed(agent: Agent): readonly Call[] {
  return agent.calls.filter(
    ({ error, ms }) => ms > LATE_MS || (error !== null && !/share CORE (is|was) /.test(error)),
  );
}

export function failed(agent: Agent): readonly Call[] {
  return agent.calls.filter(({ error }) => error !== null);
}

export async function backend(scene: Scene, called = "files") {
  return (await scene.home.glance())?.backends?.find(({ name }) => name === called);
}

export function isToldAway(found: Awaited<ReturnType<typeof backend>>): boolean {
  return found?.conditions.some(({ code }) => code === "share_away") === true;
}

export async function backendPid(scene: Scene): Promise<number | null> {
  return (await backend(scene))?.pid ?? null;
}

export function untilPhase(scene: Scene, phase: string) {
  return eventually(async () => {
    const found = await backend(scene);
    return found?.phase === phase ? found : null;
  }, 30_000);
}
