// The answers of the echo servers of the link tests, over any transport.
interface Incoming {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: unknown;
}

/** Gives the messages that one message brings about; the answer is the last. */
export type Echo = (message: Incoming) => unknown[];

export function createEcho(): Echo {
  // Notifications and answers, in order.
  const heard: unknown[] = [];
  return (message) => answerTo(message, heard);
}

function answerTo(message: Incoming, heard: unknown[]): unknown[] {
  const { id, method, params } = message;
  if (method === undefined || id === undefined) {
    heard.push(message);
    return [];
  }
  const reply = (result: unknown): unknown => ({ jsonrpc: "2.0", id, result });
  switch (method) {
    case "initialize":
      return [
        reply({
          protocolVersion: "2025-11-25",
          capabilities: {},
          serverInfo: { name: "echo", version: "1" },
        }),
      ];
    case "test/heard":
      return [reply({ heard })];
    case "test/notices": {
      const count = Number(params?.["count"]);
      const notices = Array.from({ length: count }, (_, index) => ({
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { progressToken: id, progress: index },
      }));
      return [...notices, reply({ count })];
    }
    case "test/large":
      return [reply({ text: "ü".repeat(Number(params?.["length"])) })];
    case "test/ask":
      return [
        { jsonrpc: "2.0", id: "question", method: "sampling/createMessage", params: {} },
        reply({ asked: true }),
      ];
    default:
      return [reply({ method, params: params ?? null })];
  }
}
