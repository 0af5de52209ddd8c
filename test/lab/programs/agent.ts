// An agent: opens a session with the official SDK, calls tools twice a second until it is asked to end, and opens
// another when its own is lost.
// Arguments: LOG NAME FILE http URL | LOG NAME FILE stdio COMMAND
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import {
  StreamableHTTPClientTransport,
  StreamableHTTPError,
} from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { argument, startWork } from "./work-log.ts";

const BEAT_MS = 500;
const LONGEST_CALL_MS = 300;
const BETWEEN_TRIES_MS = 300;
/** Far beyond what a call may take: it is the gateway that has to end it. */
const GIVES_UP_MS = 120_000;
const NOT_FOUND = 404;
/** Of what a bridge said last, characters. */
const LAST_WORDS = 400;

const work = startWork(argument(0));
const name = argument(1);
const file = argument(2);
const env = Object.fromEntries(
  ["PATH", "MOUNTAINEER_HOME", "TMPDIR"].flatMap((key) => {
    const value = process.env[key];
    return value === undefined ? [] : [[key, value]];
  }),
);

interface Session extends AsyncDisposable {
  readonly client: Client;
  /** Aborted when the other side has ended it. */
  readonly lost: AbortSignal;
  note(error: unknown): void;
}

async function openSession(): Promise<Session> {
  const client = new Client({ name, version: "1.0.0" });
  const lost = new AbortController();
  const http = argument(3) === "http" ? httpTransport() : null;
  let words = "";
  const hear = (chunk: Buffer): void => {
    words = `${words}${chunk}`.slice(-LAST_WORDS);
  };
  // The class' callbacks are spelled `T | undefined`, the interface's optional.
  await client.connect((http ?? bridgeTransport(hear)) as Transport);
  client.onclose = () => lost.abort(new Error(`the connection was closed; it said: ${words.trim()}`));
  return {
    client,
    lost: lost.signal,
    note(error) {
      if (error instanceof StreamableHTTPError && error.code === NOT_FOUND) lost.abort(error);
    },
    async [Symbol.asyncDispose]() {
      client.onclose = () => {};
      await http?.terminateSession().catch(() => undefined);
      await client.close().catch(() => undefined);
    },
  };
}

function httpTransport(): StreamableHTTPClientTransport {
  const headers = { authorization: `Bearer ${process.env["SOAK_TOKEN"]}` };
  return new StreamableHTTPClientTransport(new URL(argument(4)), { requestInit: { headers } });
}

/** `mountaineer mcp`; `heard`: what it tells people. */
function bridgeTransport(heard: (chunk: Buffer) => void): StdioClientTransport {
  const transport = new StdioClientTransport({ command: argument(4), args: ["mcp"], env, stderr: "pipe" });
  transport.stderr?.on("data", heard);
  return transport;
}

let calls = 0;

async function call(
  { client, note }: Session,
  operation: string,
  tool: string,
  given: object,
): Promise<void> {
  await work.once(operation, calls, async () => {
    try {
      const asked = { name: tool, arguments: { ...given } };
      const { content, isError } = await client.callTool(asked, undefined, { timeout: GIVES_UP_MS });
      const text = Array.isArray(content) ? String(content[0]?.text) : "";
      if (isError === true) throw new Error(`the tool says: ${text}`);
      if ("id" in given && text !== given.id) throw new Error(`WRONG ANSWER: ${text} for ${given.id}`);
    } catch (error) {
      note(error);
      throw error;
    }
  });
}

const inFlight = new Set<Promise<void>>();

function begin(session: Session): void {
  calls++;
  const id = `${name}.${calls}`;
  const calling =
    calls % 2 === 0
      ? call(session, "read", "read_text_file", { path: file })
      : call(session, "count", "count", { id, ms: Math.floor(Math.random() * LONGEST_CALL_MS) });
  inFlight.add(calling);
  void calling.finally(() => inFlight.delete(calling));
}

for (let sessions = 1; !work.ending; sessions++) {
  let session: Session | null = null;
  const opened = await work.once("connect", sessions, async () => {
    session = await openSession();
  });
  const current = session as Session | null;
  if (!opened || current === null) {
    await work.rest(BETWEEN_TRIES_MS);
    continue;
  }
  while (!work.ending && !current.lost.aborted) {
    begin(current);
    await work.rest(BEAT_MS);
  }
  await Promise.all(inFlight);
  if (current.lost.aborted) {
    await work.once("lost", sessions, () => {
      throw current.lost.reason;
    });
  }
  await current[Symbol.asyncDispose]();
}
