// A story of kill -9: eight clients with calls in flight, over HTTP and through `mountaineer mcp`, while their daemon is
// killed and started again, and what came of their calls and sessions.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { type GatewayRig, nodeBackend, openGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight, type LightClient } from "../mcp/light-client.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { randomFrom } from "./gateway-edits.ts";

const MOUNTAINEER = path.resolve(import.meta.dirname, "../../bin/mountaineer");
const HTTP_CLIENTS = 5;
const STDIO_CLIENTS = 3;
/** Calls of one client at once. */
const AT_ONCE = 2;
/** Load between two kills, ms. */
const APART_MS = 700;
const LONGEST_CALL_MS = 30;
const BEFORE_NEXT_TRY_MS = 10;
/** How long new sessions begin before a kill, one after the other. */
const NEWCOMERS_MS = 60;

/** What a call may fail with while its daemon is killed: the connection broke, or nobody listened. */
const BROKE = /fetch failed|ECONNREFUSED|ECONNRESET|terminated|socket hang up/u;
/** The bridge's words for what was in flight. */
const ENDED = /the daemon ended before it/u;

interface KillsEnd {
  readonly calls: number;
  /** Calls that ended with an error because the daemon was killed, or was not there yet. */
  readonly broken: number;
  /** New sessions that began right before kills. */
  readonly newcomers: number;
  /** Sessions that the next daemon did not know, or that were not served again. */
  readonly lost: readonly string[];
  /** Ids of calls that the server counted more than once. */
  readonly twice: readonly string[];
  /** Answers to calls that the server never had, and errors that are none of a kill's. */
  readonly wrong: readonly string[];
  /** The longest from a kill until what was in flight had failed, ms. */
  readonly slowestErrorMs: number;
  /** The longest from when the gateway listened again until a session's first answer, ms. */
  readonly slowestAnswerMs: number;
}

/** Plays so many kills, prints the counts, and fails where a promise did not hold. */
export async function killAgainAndAgain(t: TestContext, kills: number): Promise<void> {
  const seed = Number(process.env["MOUNTAINEER_SEED"] ?? 261_121);
  t.diagnostic(`seed ${seed} (MOUNTAINEER_SEED)`);
  const { calls, broken, newcomers, slowestErrorMs, slowestAnswerMs, ...faults } = await playKills({
    kills,
    seed,
  });
  t.diagnostic(`${kills} kills, ${calls} calls, ${broken} of them broken, ${newcomers} new sessions`);
  const [toError, toAnswer] = [slowestErrorMs, slowestAnswerMs].map(Math.round);
  t.diagnostic(`longest: ${toError} ms to an error, ${toAnswer} ms to an answer of the next daemon`);
  assert.deepEqual(faults, { lost: [], twice: [], wrong: [] }, `seed ${seed}`);
  assert.ok(broken >= kills && calls >= 20 * kills, `${calls} calls, ${broken} broken are no load`);
  assert.ok(newcomers >= kills, `${newcomers} new sessions`);
}

interface Caller {
  readonly name: string;
  /** When the last answer came, `performance.now()`. */
  answeredAt: number;
  /** Begun, and not ended yet: since when. */
  readonly inFlight: Map<string, number>;
  readonly isSame: () => boolean;
}

async function playKills(options: { readonly kills: number; readonly seed: number }): Promise<KillsEnd> {
  const random = randomFrom(options.seed);
  await using stack = new AsyncDisposableStack();
  const folder = await temporaryFolder({ after: (end) => stack.defer(async () => void (await end())) });
  const journal = path.join(folder, "journal");
  const light = nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_JOURNAL: journal } });
  const rig = stack.use(await openGatewayRig({ backends: { light } }));
  await rig.untilReady("light");

  const answered = new Set<string>();
  const wrong: string[] = [];
  const lost: string[] = [];
  let [calls, broken, newcomers] = [0, 0, 0];
  let [killedAt, slowestErrorMs, slowestAnswerMs] = [0, 0, 0];
  let going = true;

  const call = async (client: Client, caller: Caller): Promise<void> => {
    const id = `${caller.name}-${++calls}`;
    const begunAt = performance.now();
    caller.inFlight.set(id, begunAt);
    try {
      const given = { id, ms: Math.floor(random() * LONGEST_CALL_MS) };
      const { content } = await client.callTool({ name: "count", arguments: given });
      if (!JSON.stringify(content).includes(id)) wrong.push(`${id} was answered ${JSON.stringify(content)}`);
      answered.add(id);
      caller.answeredAt = performance.now();
    } catch (error) {
      const words = wordsOf(error);
      if (/404|initialize anew/u.test(words)) lost.push(`${caller.name}: ${words}`);
      else if (!BROKE.test(words) && !ENDED.test(words)) wrong.push(`${id}: ${words}`);
      broken += 1;
      if (begunAt < killedAt) slowestErrorMs = Math.max(slowestErrorMs, performance.now() - killedAt);
      await pause(BEFORE_NEXT_TRY_MS);
    } finally {
      caller.inFlight.delete(id);
    }
  };
  const callers: Caller[] = [];
  const loops: Promise<unknown>[] = [];
  for (let index = 0; index < HTTP_CLIENTS + STDIO_CLIENTS; index++) {
    const isHttp = index < HTTP_CLIENTS;
    const { client, isSame } = isHttp ? await overHttp(rig) : await overStdio(rig);
    const name = `${isHttp ? "http" : "stdio"}${index}`;
    const caller: Caller = { name, answeredAt: 0, inFlight: new Map(), isSame };
    callers.push(caller);
    stack.defer(() => client.close());
    for (let lane = 0; lane < AT_ONCE; lane++) {
      loops.push(
        (async () => {
          while (going) await call(client, caller);
        })(),
      );
    }
  }

  for (let kill = 0; kill < options.kills && lost.length === 0; kill++) {
    await pause(APART_MS * (0.2 + random()));
    const before = newcomers;
    const newcomer = lastOf(rig.url, () => newcomers++);
    await eventually(() => newcomers > before);
    await pause(random() * NEWCOMERS_MS);
    killedAt = performance.now();
    const inFlight = callers.map((caller) => [...caller.inFlight.keys()]);
    await rig.goDown("SIGKILL");
    await eventually(() => callers.every((one, at) => inFlight[at]?.every((id) => !one.inFlight.has(id))));
    await rig.comeBack();
    const backAt = performance.now();
    for (const caller of callers) {
      const isBack = () => caller.answeredAt > backAt || lost.length > 0;
      await eventually(isBack).catch(() => lost.push(`${caller.name}: no answer`));
      slowestAnswerMs = Math.max(slowestAnswerMs, caller.answeredAt - backAt);
    }
    const came = await newcomer;
    if (came === null) continue;
    await came.ask("ping").catch((error) => lost.push(`newcomer: ${wordsOf(error)}`));
    await came[Symbol.asyncDispose]();
  }
  going = false;
  await Promise.all(loops);
  for (const { name, isSame } of callers) if (!isSame()) lost.push(`${name}: it is another session`);
  const counted = (await readFile(journal, "utf8")).trimEnd().split("\n");
  const seen = new Set(counted);
  for (const id of answered) if (!seen.has(id)) wrong.push(`${id} was answered and never made`);
  const twice = [...Map.groupBy(counted, (id) => id)].filter(([, of]) => of.length > 1).map(([id]) => id);
  return { calls, broken, newcomers, lost, twice, wrong, slowestErrorMs, slowestAnswerMs };
}

/** Sessions that begin until the kill comes; of them the last whose id was told: it has to last. */
async function lastOf(url: string, onNext: () => void): Promise<LightClient | null> {
  let last: LightClient | null = null;
  for (;;) {
    const next = await connectLight(url).catch(() => null);
    if (next === null) return last;
    onNext();
    await last?.[Symbol.asyncDispose]();
    last = next;
  }
}

async function overHttp(rig: GatewayRig) {
  const transport = new StreamableHTTPClientTransport(new URL(rig.url));
  // Its optional members are not declared as such.
  const client = await connected(transport as unknown as Transport);
  const id = transport.sessionId;
  return { client, isSame: () => transport.sessionId === id };
}

async function overStdio(rig: GatewayRig) {
  const transport = new StdioClientTransport({
    command: MOUNTAINEER,
    args: ["mcp"],
    env: { ...process.env, MOUNTAINEER_HOME: rig.home.home, HOME: rig.folder } as Record<string, string>,
    stderr: "ignore",
  });
  const client = await connected(transport);
  const { pid } = transport;
  return { client, isSame: () => pid !== null && transport.pid === pid };
}

async function connected(transport: Transport): Promise<Client> {
  const client = new Client({ name: "killed", version: "1" }, { capabilities: {} });
  await client.connect(transport);
  return client;
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${wordsOf(error.cause)}`;
}
