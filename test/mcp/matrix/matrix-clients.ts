// The clients of the matrix: both generations of the official SDK behind one face.
import {
  Client as SecondClient,
  StreamableHTTPClientTransport as SecondTransport,
} from "@modelcontextprotocol/client";
import { Client as FirstClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as FirstTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  CreateMessageRequestSchema,
  ElicitationCompleteNotificationSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import type { Json } from "../fixtures/matrix-tools.ts";

/** Legacy: 2025-11-25; modern: 2026-07-28. */
export type Era = "L" | "M";

interface MatrixCall {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: number) => void;
  /** Goes into `params._meta`. */
  readonly meta?: Json;
  /** Log messages of this call from that level on. */
  readonly logLevel?: "info" | "error";
}

export interface MatrixClient extends AsyncDisposable {
  readonly era: Era;
  /** Methods that it was asked, in order, and with what. */
  readonly asked: { readonly method: string; readonly params: Json }[];
  /** What it was told beside answers, in order. */
  readonly logged: unknown[];
  readonly listsChanged: string[];
  readonly updated: string[];
  tools(): Promise<readonly Json[]>;
  call(tool: string, given?: Json, more?: MatrixCall): Promise<Json>;
  prompt(name: string): Promise<Json>;
  read(uri: string): Promise<Json>;
  /** Hears of changed tools, and of that resource. */
  listen(uri: string): Promise<void>;
}

/** What it answers when it is asked for a name, as which client it speaks. */
export interface MatrixClientOptions {
  readonly name?: string;
}

export interface ClientKind {
  readonly title: string;
  readonly era: Era;
  connect(url: string, options?: MatrixClientOptions): Promise<MatrixClient>;
}

export const CLIENTS: readonly ClientKind[] = [
  { title: "SDK 1", era: "L", connect: connectFirst },
  { title: "SDK 2", era: "L", connect: (url, options) => connectSecond("legacy", url, options) },
  { title: "SDK 2, auto", era: "M", connect: (url, options) => connectSecond("auto", url, options) },
];

/** The client that speaks this revision of its own choice. */
export function clientOf(era: Era): ClientKind {
  const found = CLIENTS.findLast((kind) => kind.era === era);
  if (found === undefined) throw new Error(`no client speaks ${era}`);
  return found;
}

const CAPABILITIES = {
  elicitation: { form: {}, url: {} },
  sampling: {},
  roots: { listChanged: true },
};

interface Heard {
  readonly asked: MatrixClient["asked"];
  readonly logged: unknown[];
  readonly listsChanged: string[];
  readonly updated: string[];
}

/** Answers of one client; what it is asked is noted. */
function answers(name: string, { asked }: Heard) {
  const note = (method: string, params: unknown): void =>
    void asked.push({ method, params: (params ?? {}) as Json });
  return {
    elicit(params: { readonly mode?: string | undefined }) {
      note("elicitation/create", params);
      return params.mode === "url"
        ? { action: "accept" as const }
        : { action: "accept" as const, content: { name } };
    },
    sample(params: unknown) {
      note("sampling/createMessage", params);
      return { model: "none", role: "assistant" as const, content: { type: "text" as const, text: name } };
    },
    roots(params: unknown) {
      note("roots/list", params);
      return { roots: [{ uri: `file:///${name}`, name }] };
    },
  };
}

async function connectFirst(url: string, { name = "Ann" }: MatrixClientOptions = {}): Promise<MatrixClient> {
  const client = new FirstClient({ name: "matrix-1", version: "1.0.0" }, { capabilities: CAPABILITIES });
  const heard: Heard = { asked: [], logged: [], listsChanged: [], updated: [] };
  const answer = answers(name, heard);
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => answer.elicit(params));
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => answer.sample(params));
  client.setRequestHandler(ListRootsRequestSchema, ({ params }) => answer.roots(params));
  client.setNotificationHandler(ElicitationCompleteNotificationSchema, () => {});
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    heard.logged.push(params.data);
  });
  client.setNotificationHandler(ToolListChangedNotificationSchema, ({ method }) => {
    heard.listsChanged.push(method);
  });
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
    heard.updated.push(params.uri);
  });
  // The class' callbacks are spelled `T | undefined`, the interface's optional.
  await client.connect(new FirstTransport(new URL(url)) as Transport);
  return {
    era: "L",
    ...heard,
    tools: async () => (await client.listTools()).tools,
    async call(tool, given = {}, { signal, onProgress, logLevel, meta } = {}) {
      if (logLevel !== undefined) await client.setLoggingLevel(logLevel);
      const call = { name: tool, arguments: given, ...(meta && { _meta: meta }) };
      return client.callTool(call, undefined, {
        ...(signal && { signal }),
        ...(onProgress && { onprogress: ({ progress }) => onProgress(progress) }),
      });
    },
    prompt: (prompt) => client.getPrompt({ name: prompt }),
    read: (uri) => client.readResource({ uri }),
    listen: async (uri) => void (await client.subscribeResource({ uri })),
    [Symbol.asyncDispose]: () => client.close(),
  };
}

const LOG_LEVEL = "io.modelcontextprotocol/logLevel";

async function connectSecond(
  mode: "legacy" | "auto",
  url: string,
  { name = "Ann" }: MatrixClientOptions = {},
): Promise<MatrixClient> {
  const client = new SecondClient(
    { name: "matrix-2", version: "1.0.0" },
    { capabilities: CAPABILITIES, versionNegotiation: { mode } },
  );
  const heard: Heard = { asked: [], logged: [], listsChanged: [], updated: [] };
  const answer = answers(name, heard);
  client.setRequestHandler("elicitation/create", ({ params }) => answer.elicit(params));
  client.setRequestHandler("sampling/createMessage", ({ params }) => answer.sample(params));
  client.setRequestHandler("roots/list", ({ params }) => answer.roots(params));
  client.setNotificationHandler("notifications/message", ({ params }) => void heard.logged.push(params.data));
  client.setNotificationHandler(
    "notifications/tools/list_changed",
    ({ method }) => void heard.listsChanged.push(method),
  );
  client.setNotificationHandler(
    "notifications/resources/updated",
    ({ params }) => void heard.updated.push(params.uri),
  );
  await client.connect(new SecondTransport(new URL(url)));
  const era: Era = client.getProtocolEra() === "modern" ? "M" : "L";
  return {
    era,
    ...heard,
    tools: async () => (await client.listTools(undefined, { cacheMode: "refresh" })).tools,
    async call(tool, given = {}, { signal, onProgress, logLevel, meta = {} } = {}) {
      if (logLevel !== undefined && era === "L") await client.setLoggingLevel(logLevel);
      return client.callTool(
        {
          name: tool,
          arguments: given,
          _meta: { ...meta, ...(logLevel !== undefined && era === "M" && { [LOG_LEVEL]: logLevel }) },
        },
        {
          ...(signal && { signal }),
          ...(onProgress && { onprogress: ({ progress }) => onProgress(progress) }),
        },
      );
    },
    prompt: (prompt) => client.getPrompt({ name: prompt }),
    read: (uri) => client.readResource({ uri }),
    async listen(uri) {
      if (era === "L") await client.subscribeResource({ uri });
      else await client.listen({ toolsListChanged: true, resourceSubscriptions: [uri] });
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}
