// Connections that wait between requests while one daemon hands over to the next: each client sends one request on every
// one of its own, just then, and counts what came of it.
import { Agent, request as httpRequest } from "node:http";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { countsIn, moreThanOnce } from "../kit/load.ts";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, handOver, nodeBackend, openGatewayRig } from "./gateway-rig.ts";
import { connectLight, type LightClient } from "./light-client.ts";

/** Of each client. */
const CONNECTIONS = 20;
const DRAIN_SECONDS = 1;
/** Longer than the old daemon stays: clients that hear nothing meanwhile do not know of a connection that it closes. */
const DEAF_MS = 2_000;
const ANSWER_MS = 10_000;

export interface IdleEnd {
  readonly sent: number;
  /** Why a request was not answered. */
  readonly lost: readonly string[];
  /** Answered, and not done. */
  readonly undone: readonly string[];
  readonly twice: readonly string[];
}

/** Every connection of it is kept for the next request. */
interface IdleClient {
  readonly name: string;
  /** One request on each connection, sent at once; a reason for each that was not answered. */
  send(bodyOf: (at: number) => string): readonly Promise<string | null>[];
  /** Opens what is closed, and has it answer once. */
  mend(): Promise<void>;
  close(): void;
}

/** Ended with all it started. */
export async function sendWhileHandingOver(handovers: number, replace?: string): Promise<IdleEnd> {
  const backend = nodeBackend(LIGHT_SERVER, [], replace === undefined ? {} : { replace });
  const sections = { backends: { light: backend }, server: { drain_timeout: DRAIN_SECONDS } };
  await using rig = await openGatewayRig(sections, { kept: true });
  await rig.untilReady("light");
  await using session = await connectLight(rig.url, { sockets: 1 });
  const file = path.join(rig.folder, "notes");
  const clients = [agentClient(rig, session), fetchClient(rig, session)];
  const sent: string[] = [];
  const lost: string[] = [];
  try {
    for (let done = 0; done < handovers; done++) {
      for (const client of clients) await client.mend();
      const { to } = await handOver(rig);
      // Now and then they hear nothing until the old daemon has gone, at other times they send in the midst of it.
      if (done % 2 === 0) {
        await eventually(async () => (await rig.status()).global.pid === to);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, DEAF_MS);
      } else await pause((done * 37) % 200);
      const answers = clients.flatMap((client) =>
        client.send((at) => {
          const text = `${done}-${client.name}-${at}`;
          sent.push(text);
          return noteBody(sent.length, file, text);
        }),
      );
      const first = sent.length - answers.length;
      for (const [at, answer] of answers.entries()) {
        const reason = await answer;
        if (reason !== null) lost.push(`${sent[first + at]}: ${reason}`);
      }
    }
  } finally {
    for (const client of clients) client.close();
  }
  const counts = await countsIn(file);
  const failed = new Set(lost.map((reason) => reason.split(":")[0]));
  return {
    sent: sent.length,
    lost,
    undone: sent.filter((text) => !counts.has(text) && !failed.has(text)),
    twice: moreThanOnce(counts),
  };
}

function noteBody(id: number, file: string, text: string): string {
  const params = { name: "note", arguments: { file, text } };
  return JSON.stringify({ jsonrpc: "2.0", id: 1_000 + id, method: "tools/call", params });
}

const PING = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });

function headersOf({ sessionId }: LightClient): Record<string, string> {
  return {
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-session-id": String(sessionId),
    "mcp-protocol-version": "2025-11-25",
  };
}

/** Null for what was answered with a result. */
function reasonIn(status: number, text: string): string | null {
  return status === 200 && text.includes('"result"') ? null : `${status} ${text.slice(0, 200)}`;
}

/** Node's own, as most clients of node:http have it. */
function agentClient(rig: GatewayRig, session: LightClient): IdleClient {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const send = (body: string): Promise<string | null> =>
    new Promise((resolve) => {
      const headers = { ...headersOf(session), "content-length": String(Buffer.byteLength(body)) };
      const sent = httpRequest(rig.url, { method: "POST", agent, headers, timeout: ANSWER_MS });
      sent.on("timeout", () => sent.destroy(new Error("no answer")));
      sent.on("error", (error) => resolve(error.message));
      sent.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("error", (error) => resolve(error.message));
        response.on("end", () => resolve(reasonIn(response.statusCode ?? 0, text)));
      });
      sent.end(body);
    });
  return poolClient("agent", send, () => agent.destroy());
}

/** Node's fetch, which has its connections in a pool of its own. */
function fetchClient(rig: GatewayRig, session: LightClient): IdleClient {
  const send = async (body: string): Promise<string | null> => {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const answer = await fetch(rig.url, { method: "POST", headers: headersOf(session), body, signal });
      return reasonIn(answer.status, await answer.text());
    } catch (error) {
      const { cause } = error as Error;
      return `${String(error)}: ${String(cause)}`;
    }
  };
  return poolClient("fetch", send, () => {});
}

/** Which of its connections are closed it knows itself. */
function poolClient(
  name: string,
  send: (body: string) => Promise<string | null>,
  close: () => void,
): IdleClient {
  return {
    name,
    send: (bodyOf) => Array.from({ length: CONNECTIONS }, (_, at) => send(bodyOf(at))),
    async mend() {
      const reasons = await Promise.all(Array.from({ length: CONNECTIONS }, () => send(PING)));
      const reason = reasons.find((each) => each !== null);
      if (reason !== undefined) throw new Error(`a first request: ${reason}`);
    },
    close,
  };
}
