// A model on loopback that says what a test wants: it holds a program's question until the test says which tool to call.
// It speaks what the programs speak: Anthropic's Messages, OpenAI's Responses and Chat Completions, Gemini.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

type Json = { readonly [key: string]: unknown };

/** What a model is asked: the tools that it may call, and what came of its last call. */
export interface Turn {
  readonly tools: readonly string[];
  readonly result: string | null;
}

export type Answer = { readonly tool: string; readonly given: Json } | { readonly text: string };

interface Wire {
  readonly path: RegExp;
  read(body: Json): Turn;
  /** The events of a stream, each with its name if it has one. */
  stream(answer: Answer, id: string): readonly { readonly event?: string; readonly data: Json | "[DONE]" }[];
  /** The answer to who wants no stream. */
  whole(answer: Answer, id: string): Json;
}

const listOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? value : []);
const objectOf = (value: unknown): Json =>
  typeof value === "object" && value !== null ? (value as Json) : {};

/** A text, or the texts of blocks. */
function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  return listOf(content)
    .map(({ text }) => String(text ?? ""))
    .join("");
}

const USAGE = { input_tokens: 1, output_tokens: 1, total_tokens: 2 };

const MESSAGES: Wire = {
  path: /\/v1\/messages(?:\?|$)/,
  read({ tools, messages }) {
    const results = listOf(listOf(messages).at(-1)?.["content"]).filter(({ type }) => type === "tool_result");
    return {
      tools: listOf(tools).map(({ name }) => String(name)),
      result: results.length === 0 ? null : results.map(({ content }) => textOf(content)).join(""),
    };
  },
  stream(answer, id) {
    const event = (type: string, more: Json): { event: string; data: Json } => ({
      event: type,
      data: { type, ...more },
    });
    const [begin, delta] =
      "tool" in answer
        ? [
            { type: "tool_use", id: `toolu_${id}`, name: answer.tool, input: {} },
            { type: "input_json_delta", partial_json: JSON.stringify(answer.given) },
          ]
        : [
            { type: "text", text: "" },
            { type: "text_delta", text: answer.text },
          ];
    return [
      event("message_start", {
        message: { ...MESSAGES.whole({ text: "" }, id), content: [], stop_reason: null },
      }),
      event("content_block_start", { index: 0, content_block: begin }),
      event("content_block_delta", { index: 0, delta }),
      event("content_block_stop", { index: 0 }),
      event("message_delta", {
        delta: { stop_reason: "tool" in answer ? "tool_use" : "end_turn", stop_sequence: null },
        usage: USAGE,
      }),
      event("message_stop", {}),
    ];
  },
  whole: (answer, id) => ({
    id: `msg_${id}`,
    type: "message",
    role: "assistant",
    model: "stub",
    content: [
      "tool" in answer
        ? { type: "tool_use", id: `toolu_${id}`, name: answer.tool, input: answer.given }
        : { type: "text", text: answer.text },
    ],
    stop_reason: "tool" in answer ? "tool_use" : "end_turn",
    stop_sequence: null,
    usage: USAGE,
  }),
};

/** Tools of a namespace are called by both names; one text for both is `NAMESPACE/NAME` here. */
const RESPONSES: Wire = {
  path: /\/responses(?:\?|$)/,
  read({ tools, input }) {
    const last = listOf(input).at(-1) ?? {};
    return {
      tools: listOf(tools).flatMap((tool) => {
        const { type, name } = tool;
        return type === "namespace"
          ? listOf(tool["tools"]).map((each) => `${name}/${each["name"]}`)
          : [String(name ?? type)];
      }),
      // Codex says first how long it took.
      result:
        last["type"] === "function_call_output"
          ? textOf(last["output"]).replace(/^Wall time: \S+ seconds\s+Output:/u, "")
          : null,
    };
  },
  stream(answer, id) {
    const response = RESPONSES.whole(answer, id);
    const [item] = listOf(response["output"]);
    return [
      { type: "response.created", response: { ...response, status: "in_progress", output: [] } },
      { type: "response.output_item.added", output_index: 0, item },
      { type: "response.output_item.done", output_index: 0, item },
      { type: "response.completed", response },
    ].map((data) => ({ event: data.type, data }));
  },
  whole(answer, id) {
    const [namespace, name] = "tool" in answer && answer.tool.includes("/") ? answer.tool.split("/") : [];
    const item =
      "tool" in answer
        ? {
            type: "function_call",
            ...{ id: `fc_${id}`, call_id: `call_${id}`, status: "completed" },
            ...(namespace === undefined ? { name: answer.tool } : { namespace, name }),
            arguments: JSON.stringify(answer.given),
          }
        : {
            type: "message",
            ...{ id: `msg_${id}`, role: "assistant", status: "completed" },
            content: [{ type: "output_text", text: answer.text, annotations: [] }],
          };
    return {
      ...{ id: `resp_${id}`, object: "response", created_at: 0, model: "stub", status: "completed" },
      output: [item],
      usage: USAGE,
    };
  },
};

const CHAT: Wire = {
  path: /\/chat\/completions(?:\?|$)/,
  read({ tools, messages }) {
    const last = listOf(messages).at(-1) ?? {};
    return {
      tools: listOf(tools).map((tool) => String(objectOf(tool["function"])["name"])),
      result: last["role"] === "tool" ? textOf(last["content"]) : null,
    };
  },
  stream(answer, id) {
    const chunk = (delta: Json, finish: string | null): { data: Json } => ({
      data: {
        ...{ id: `chat_${id}`, object: "chat.completion.chunk", created: 0, model: "stub" },
        choices: [{ index: 0, delta, finish_reason: finish }],
      },
    });
    const { tool_calls, ...message } = messageOf(answer, id);
    const calls = listOf(tool_calls).map((call) => ({ index: 0, ...call }));
    return [
      chunk({ ...message, ...(calls.length > 0 && { tool_calls: calls }) }, null),
      chunk({}, "tool" in answer ? "tool_calls" : "stop"),
      { data: "[DONE]" },
    ];
  },
  whole: (answer, id) => ({
    ...{ id: `chat_${id}`, object: "chat.completion", created: 0, model: "stub" },
    choices: [
      { index: 0, message: messageOf(answer, id), finish_reason: "tool" in answer ? "tool_calls" : "stop" },
    ],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  }),
};

function messageOf(answer: Answer, id: string): Json {
  if ("text" in answer) return { role: "assistant", content: answer.text };
  const call = { name: answer.tool, arguments: JSON.stringify(answer.given) };
  return {
    role: "assistant",
    content: null,
    tool_calls: [{ id: `call_${id}`, type: "function", function: call }],
  };
}

const GEMINI: Wire = {
  path: /:(?:stream)?[gG]enerateContent/,
  read({ tools, contents }) {
    const parts = listOf(listOf(contents).at(-1)?.["parts"]);
    const results = parts.flatMap(({ functionResponse }) =>
      functionResponse === undefined ? [] : [objectOf(objectOf(functionResponse)["response"])],
    );
    return {
      tools: listOf(tools).flatMap(({ functionDeclarations }) =>
        listOf(functionDeclarations).map(({ name }) => String(name)),
      ),
      result:
        results.length === 0 ? null : results.map(({ output, error }) => String(output ?? error)).join(""),
    };
  },
  stream: (answer, id) => [{ data: GEMINI.whole(answer, id) }],
  whole: (answer) => ({
    candidates: [
      {
        index: 0,
        content: {
          role: "model",
          parts: [
            "tool" in answer
              ? { functionCall: { name: answer.tool, args: answer.given } }
              : { text: answer.text },
          ],
        },
        finishReason: "STOP",
      },
    ],
    usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 },
  }),
};

const WIRES = [MESSAGES, RESPONSES, CHAT, GEMINI] as const;

export interface StubModel extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** The next question of who may call the server's tools; `answer` of it is still to come. */
  next(signal: AbortSignal): Promise<Turn>;
  /** Answers the question that `next` gave. */
  answer(answer: Answer): void;
}

/** `isAsked`: whether it is the test's to answer; other questions (titles, topics) get a word. */
export async function startStubModel(isAsked: (turn: Turn) => boolean): Promise<StubModel> {
  interface Question {
    readonly turn: Turn;
    answer(answer: Answer): void;
  }
  const questions: Question[] = [];
  let pending: Question | null = null;
  let wake = Promise.withResolvers<void>();
  let count = 0;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    const path = request.url ?? "";
    const wire = WIRES.find((each) => each.path.test(path));
    if (wire === undefined || request.method !== "POST") {
      // Counts of tokens, models, telemetry.
      response.writeHead(wire === undefined && !path.includes("oken") ? 404 : 200, {
        "content-type": "application/json",
      });
      return void response.end(JSON.stringify({ input_tokens: 1, totalTokens: 1, data: [] }));
    }
    const body: Json = JSON.parse(text);
    const turn = wire.read(body);
    const answer = (given: Answer): void => {
      const id = `stub${++count}`;
      if (body["stream"] !== true && !path.includes(":stream")) {
        response.writeHead(200, { "content-type": "application/json" });
        return void response.end(JSON.stringify(wire.whole(given, id)));
      }
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const { event, data } of wire.stream(given, id)) {
        if (event !== undefined) response.write(`event: ${event}\n`);
        response.write(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
      }
      response.end();
    };
    if (!isAsked(turn)) return answer({ text: "ok" });
    questions.push({ turn, answer });
    wake.resolve();
  }

  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the model has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    async next(signal) {
      const ended = new Promise<never>((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
      );
      while (questions.length === 0) {
        signal.throwIfAborted();
        await Promise.race([wake.promise, ended]);
        wake = Promise.withResolvers();
      }
      pending = questions.shift() ?? null;
      if (pending === null) throw new Error("no question");
      return pending.turn;
    },
    answer(answer) {
      pending?.answer(answer);
      pending = null;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
