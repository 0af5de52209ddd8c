// A configuration control that records what it is asked, and a switch for the events it sends.
import type { ApprovalsReport, ApproveRequest, WaitingEntryWire } from "../../src/api/approval-contract.ts";
import type { StreamEvent } from "../../src/api/contract.ts";
import type { ConfigControl } from "../../src/api/control.ts";
import type { EditRequest } from "../../src/api/requests.ts";
import { sampleSync } from "./worlds.ts";

export interface ScriptedConfig extends ConfigControl {
  readonly edits: EditRequest[];
  /** What waits for approval. */
  readonly waiting: WaitingEntryWire[];
  readonly approved: ApproveRequest[];
  readonly reloads: number;
  /** Sends it to whoever follows. */
  publish(event: StreamEvent): void;
  readonly followers: number;
}

const DONE = {
  reloaded: true,
  dry_run: false,
  generation: 2,
  sha256: "0".repeat(64),
  settings: ["global.auto_failback"],
  shares: { added: [], removed: [], changed: [] },
  backends: { added: [], removed: [], changed: [] },
  middleware: [],
  errors: [],
  failure: null,
  summary: "settings reloaded",
};

export function scriptedConfig(): ScriptedConfig {
  const edits: EditRequest[] = [];
  const waiting: WaitingEntryWire[] = [];
  const approved: ApproveRequest[] = [];
  const approvals = (): ApprovalsReport => ({ mode: "commands", asked: null, lost: null, waiting });
  const listeners = new Set<(id: number, event: StreamEvent) => void>();
  let reloads = 0;
  let lastId = 0;
  const never = async (): Promise<never> => {
    throw new Error("not asked for here");
  };
  return {
    edits,
    get reloads() {
      return reloads;
    },
    get followers() {
      return listeners.size;
    },
    publish(event) {
      lastId += 1;
      for (const listener of [...listeners]) listener(lastId, event);
    },
    sync: () => ({ ...sampleSync(), events: [] }),
    async reload() {
      reloads += 1;
      return DONE;
    },
    async edit(request) {
      edits.push(request);
      return { changed: true, path: "/c.toml", sha256: "0".repeat(64), errors: [], reload: DONE };
    },
    config: never,
    editText: never,
    check: never,
    waiting,
    approved,
    approvals,
    async approve(request) {
      approved.push(request);
      return { approved: request.entries.map(({ id }) => id), reload: DONE, now: approvals() };
    },
    history: never,
    historyText: never,
    rollback: never,
    listen(_afterId, listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
