// Sessions as they are kept on disk, made from a number.
import type { SessionRecord } from "../../src/gateway/frontend/session/session-record.ts";
import { sha256Of } from "../../src/runtime/files/sha256.ts";

export function hashOf(number: number): string {
  return sha256Of(`session ${number}`);
}

export function recordOf(number: number, changes: Partial<SessionRecord> = {}): SessionRecord {
  return {
    principal: "user ann",
    protocolVersion: "2025-11-25",
    capabilities: { roots: { listChanged: true } },
    clientInfo: { name: `client ${number}`, version: "1" },
    logLevel: null,
    subscriptions: [],
    lists: { tools: "t", resources: "r", prompts: "p" },
    usedMs: Date.UTC(2026, 10, 20, 12),
    ...changes,
  };
}
