// Starts an instance on a scripted link, with a clock that the test moves.
import type { InstanceOptions } from "../../../../src/gateway/backends/instance/backend-instance.ts";
import {
  type NewRequest,
  type PendingRequest,
  PendingRequests,
} from "../../../../src/gateway/backends/instance/pending.ts";
import { startBackendInstance } from "../../../../src/gateway/backends/instance/start-backend-instance.ts";
import type { CallHandle } from "../../../../src/gateway/client-handle.ts";
import type { JsonObject } from "../../../../src/gateway/json-rpc.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { createScriptedLink, type ScriptedLink } from "./instance-scripted-link.ts";

export type UnderTest = ReturnType<typeof startUnderTest>;

export interface CallMore {
  readonly method?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** What the server gives by method; null: it hangs there. Or what is done to the link before anything is sent. */
type Prepare = Readonly<Record<string, JsonObject | null>> | ((link: ScriptedLink) => void);

export function startUnderTest(options: Partial<InstanceOptions> = {}, prepare: Prepare = {}) {
  const link = createScriptedLink();
  if (typeof prepare === "function") prepare(link);
  else
    for (const [method, result] of Object.entries(prepare)) {
      if (result === null) link.hangs(method);
      else link.gives(method, result);
    }
  const clock = createManualClock();
  const logger = createRecordingLogger();
  const logs: JsonObject[] = [];
  const counts = { seen: 0, listings: 0 };
  const instance = startBackendInstance({
    id: 1,
    key: "key",
    backend: "files",
    open: link.open,
    initMs: 15_000,
    listMs: 10_000,
    clientInfo: { name: "mountaineer", version: "0.0.0" },
    owner: null,
    logLevel: null,
    clock,
    logger,
    onObserved: () => void counts.seen++,
    onListings: () => void counts.listings++,
    onLog: (params) => void logs.push(params),
    publishedUri: (uri) => uri,
    ...options,
  });
  return {
    instance,
    link,
    clock,
    logger,
    logs,
    counts,
    call(handle: CallHandle | null, params: JsonObject = { name: "one" }, more: CallMore = {}) {
      const before = link.requests(more.method ?? "tools/call").length;
      const reply = instance.request({
        method: more.method ?? "tools/call",
        params,
        handle,
        timeoutMs: more.timeoutMs ?? 60_000,
        signal: more.signal ?? new AbortController().signal,
      });
      const sent = link.requests(more.method ?? "tools/call")[before];
      return { reply, id: typeof sent?.id === "number" ? sent.id : -1 };
    },
  };
}

export async function startReady(
  options: Partial<InstanceOptions> = {},
  prepare: Prepare = {},
): Promise<UnderTest> {
  const started = startUnderTest(options, prepare);
  await settle();
  if (started.instance.observed.state.kind !== "ready") {
    throw new Error(`not ready: ${JSON.stringify(started.instance.observed.state)}`);
  }
  return started;
}

/** Requests that wait, without an instance. `onOverdue`: what is done then; without it that one is answered. */
export function startPending(onOverdue?: (pending: PendingRequests) => void) {
  const clock = createManualClock();
  const overdue: PendingRequest[] = [];
  const aborted: [PendingRequest, unknown][] = [];
  const pending = new PendingRequests({
    clock,
    onOverdue(request) {
      overdue.push(request);
      if (onOverdue === undefined) pending.complete(request, { result: {} }, null);
      else onOverdue(pending);
    },
    onAborted: (request, reason) => void aborted.push([request, reason]),
  });
  const plain = { method: "tools/call", handle: null, own: false, progressToken: null, timeoutMs: 1_000 };
  const add = (more?: Partial<NewRequest>): PendingRequest =>
    pending.add({ ...plain, signal: null, onReply() {}, ...more });
  return { pending, clock, overdue, aborted, add };
}
