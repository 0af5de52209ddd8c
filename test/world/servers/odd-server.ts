// An MCP server that does what a row says, over stdio or HTTP. As a program: `odd-server.ts FILE`, over stdio, with the row's
// `does` in the file as JSON.
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { readLines } from "../../mcp/fixtures/scripted-server.ts";

type Json = Readonly<Record<string, unknown>>;

/** How something is written: `$MESSAGE` (`$PRETTY`: indented) is the answer, `$ID` its id, `$BASE` the server's own path. */
interface Form {
  readonly raw?: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Over HTTP the response is not ended. */
  readonly stays?: boolean;
}

/** `result`, `error` or `message`: what is answered in place of the usual. */
interface Step extends Form {
  readonly result?: unknown;
  readonly error?: unknown;
  /** The whole message, but for its id if it has none. */
  readonly message?: Json;
  readonly isNever?: boolean;
  /** Written to stdout ahead of it, or a path that is asked for first. */
  readonly endsSession?: boolean;
  readonly exits?: boolean;
}

export interface Odd {
  /** Written to stdout at the start. */
  readonly begins?: string;
  readonly capabilities?: unknown;
  readonly version?: string;
  readonly tools?: readonly Json[];
  /** Tools that it lists only to clients with this capability. */
  readonly needs?: Readonly<Record<string, string>>;
  /** Over stdio each answer has its length ahead of it. */
  readonly isFramed?: boolean;
  /** Over HTTP it wants this cookie, which it sets at `initialize`. */
  readonly cookie?: string;
  /** How each answer is written. */
  readonly each?: Form;
  /** By method; of several steps each answers one request, and the last all after it. */
  readonly on?: Readonly<Record<string, Step | readonly Step[]>>;
  /** By path below its own, as `/mcp`. */
  readonly paths?: Readonly<Record<string, Form>>;
  readonly get?: Form;
  /** It has sessions, and answers this to one that it ended. */
  readonly gone?: Step;
  /** It speaks HTTP+SSE: the data of its endpoint event. */
  readonly endpoint?: string;
}

interface Written extends Form {
  readonly raw: string;
  readonly step: Step;
}

const isList = (value: Step | readonly Step[]): value is readonly Step[] => Array.isArray(value);

class OddServer {
  readonly does: Odd;
  readonly base: string;
  #client: Json = {};
  /** Requests so far, by method. */
  readonly asked = new Map<string, number>();
  /** Its number; those before it are ended. */
  session = 1;
  /** Of HTTP+SSE. */
  stream: ServerResponse | null = null;

  constructor(does: Odd, base: string) {
    this.does = does;
    this.base = base;
  }

  /** null: it gets no answer. */
  answer(message: Json, isGone = false): Written | null {
    const { does } = this;
    const { id, method } = message;
    const asked = this.asked.get(String(method)) ?? 0;
    this.asked.set(String(method), asked + 1);
    // A list begins with its first page each time it is read.
    const isFirstPage = String(method).endsWith("/list") && Object(message["params"]).cursor === undefined;
    const nth = isFirstPage ? 0 : asked;
    const step = isGone ? (does.gone ?? {}) : this.#stepOf(String(method), nth);
    if (step.isNever === true || (id === undefined && step.raw === undefined && step.status === undefined))
      return null;
    const result = step.result ?? this.#usual(String(method), message);
    const reply =
      step.error !== undefined || result === undefined
        ? { error: step.error ?? { code: -32601, message: "Method not found" } }
        : { result };
    const whole: Json = { jsonrpc: "2.0", id, ...(step.message ?? reply) };
    const form = { ...does.each, ...step };
    return { ...form, raw: this.spell(form.raw ?? "$MESSAGE\n", whole), step };
  }

  spell(raw: string, message: Json): string {
    return raw
      .replaceAll("$MESSAGE", () => JSON.stringify(message))
      .replaceAll("$PRETTY", () => JSON.stringify(message, null, 2))
      .replaceAll("$ID", () => JSON.stringify(message["id"]))
      .replaceAll("$BASE", () => this.base);
  }

  #stepOf(method: string, nth: number): Step {
    const steps = this.does.on?.[method] ?? {};
    return isList(steps) ? (steps[Math.min(nth, steps.length - 1)] ?? {}) : steps;
  }

  #mayHave(capability: string | undefined): boolean {
    return capability === undefined || this.#client[capability] !== undefined;
  }

  #usual(method: string, message: Json): unknown {
    const {
      version,
      needs = {},
      capabilities = { tools: {} },
      tools = [{ name: "work", inputSchema: { type: "object" } }],
    } = this.does;
    const params = Object(message["params"]);
    switch (method) {
      case "initialize":
        this.#client = Object(params.capabilities);
        return {
          protocolVersion: version ?? params.protocolVersion,
          capabilities,
          serverInfo: { name: "odd", version: "1" },
        };
      case "ping":
        return {};
      case "tools/list":
        return {
          tools: tools.filter(({ name }) => this.#mayHave(new Map(Object.entries(needs)).get(String(name)))),
        };
      case "tools/call":
        return { content: [{ type: "text", text: "worked" }] };
      default:
        return undefined;
    }
  }
}

function overStdio(does: Odd): void {
  const server = new OddServer(does, "");
  process.stdout.write(does.begins ?? "");
  readLines((line) => {
    const answer = server.answer(JSON.parse(line));
    if (answer === null) return;
    const head = does.isFramed ? `Content-Length: ${Buffer.byteLength(answer.raw)}\r\n\r\n` : "";
    process.stdout.write(head + answer.raw, () => answer.step.exits && process.exit(1));
  });
  process.stdin.on("end", () => process.exit(0));
}

/** Takes requests for `/NAME/…`, each for the server of that name. */
export function createOddServers(byName: ReadonlyMap<string, Odd>) {
  const servers = new Map([...byName].map(([name, does]) => [name, new OddServer(does, `/${name}`)]));
  const listener = createServer((request, response) => {
    const [, name = "", ...rest] = (request.url ?? "").split("/");
    const server = servers.get(name);
    if (server === undefined) response.writeHead(404).end();
    else void serve(server, `/${rest.join("/")}`, request, response);
  });
  return { listener, asked: (name: string, method: string) => servers.get(name)?.asked.get(method) ?? 0 };
}

async function serve(
  server: OddServer,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { does } = server;
  const body = await textOf(request);
  const write = ({ raw = "", status = 200, headers = {}, stays = false }: Form): void => {
    const given = Object.entries(headers).filter(([, value]) => value !== "");
    response.writeHead(
      status,
      Object.fromEntries(given.map(([key, value]) => [key, server.spell(value, {})])),
    );
    response.write(raw);
    if (!stays) response.end();
  };
  const here = does.paths?.[path];
  if (here !== undefined) return write(here);
  if (request.method === "GET" && does.endpoint !== undefined && path === "/mcp") {
    server.stream = response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`event: endpoint\ndata: ${server.spell(does.endpoint, {})}\n\n`);
    return;
  }
  if (request.method === "GET") return write(does.get ?? { status: 405 });
  if (request.method !== "POST") return write({});
  if (does.endpoint !== undefined && path === "/mcp") return write({ status: 405 });
  const message: Json = JSON.parse(body);
  const { "mcp-session-id": session } = request.headers;
  const isStart = message["method"] === "initialize";
  if (does.cookie !== undefined && !isStart && request.headers.cookie !== does.cookie)
    return write({ status: 404, raw: "another machine" });
  const isGone = does.gone !== undefined && session !== undefined && session !== String(server.session);
  const answer = server.answer(message, isGone);
  if (answer === null) return message["id"] === undefined ? write({ status: 202 }) : undefined;
  if (answer.step.endsSession) server.session += 1;
  if (server.stream !== null) {
    server.stream.write(`data: ${answer.raw.trim()}\n\n`);
    return write({ status: 202 });
  }
  const type = { "content-type": "application/json" };
  const given = {
    ...(does.gone !== undefined && isStart && { "mcp-session-id": String(server.session) }),
    ...(does.cookie !== undefined && isStart && { "set-cookie": `${does.cookie}; Path=/; HttpOnly` }),
  };
  write({ ...answer, headers: { ...type, ...given, ...answer.headers } });
}

const [, program, file] = process.argv;
if (program === import.meta.filename && file !== undefined) overStdio(JSON.parse(readFileSync(file, "utf8")));
