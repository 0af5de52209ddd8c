// The answers of the echo servers of the link tests, over any transport.
import { type Json, objectOf } from "../../../mcp/fixtures/scripted-server.ts";

/** Gives the messages that one message brings about; the answer is the last. */
export type Echo = (message: Json) => unknown[];

export function createEcho(): Echo {
  // Notifications and answers, in order.
  const heard: unknown[] = [];
  return (message) => answerTo(message, heard);
}

function answerTo(message: Json, heard: unknown[]): unknown[] {
  const { id, method, params } = message;
  const { count, length } = objectOf(params);
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
      const notices = Array.from({ length: Number(count) }, (_, index) => ({
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { progressToken: id, progress: index },
      }));
      return [...notices, reply({ count })];
    }
    case "test/large":
      return [reply({ text: "ü".repeat(Number(length)) })];
    case "test/ask":
      return [
        { jsonrpc: "2.0", id: "question", method: "sampling/createMessage", params: {} },
        reply({ asked: true }),
      ];
    default:
      return [reply({ method, params: params ?? null })];
  }
}
