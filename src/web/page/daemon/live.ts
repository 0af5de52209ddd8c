// The page's model of the daemon. The event stream says which reports are outdated, and only these are requested again.

import type { ApprovalsReport } from "../../../api/contract/approvals.ts";
import type { SyncReport } from "../../../api/contract/config.ts";
import type { FlowEvent, StatusReport, StreamEvent } from "../../../api/contract/contract.ts";
import { type EventLabel, eventLabel } from "../../../api/labels/event-labels.ts";
import { coalesce } from "../../../runtime/coalesce.ts";
import { isOwnError, MountaineerError, recoverFrom } from "../../../runtime/errors.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { parseJson } from "../../../runtime/text/parse-json.ts";
import { type Flow, flowAfter } from "./flow.ts";
import type { Requests, Session } from "./requests.ts";
import type { Store } from "./store.ts";

/** Pauses before the stream is opened again, by the number of failures in a row. */
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
/** Minimum pause between two requests for one report, so that a burst of events causes one request. */
const BETWEEN_REQUESTS_MS = 120;
/** How often counters that no event announces are requested while they are on the screen. */
const FIGURES_MS = 5000;
/** After this time in the background a tab closes its stream, because a browser has six connections to one server. */
const HIDDEN_MS = 5000;
const EVENTS_AT_MOST = 500;

export type Link =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** `resting`: the tab is in the background. */
  | { readonly kind: "resting" }
  | { readonly kind: "lost"; readonly sinceMs: number };

export interface ShownEvent extends EventLabel {
  readonly id: number;
  /** When this page received the event, wall clock. */
  readonly atMs: number;
}

export interface PageState {
  /** `unknown` until the first answer. */
  readonly session: Session | "unknown" | "signed-out";
  /** Why the session ended or was refused; null: no sign-in yet. */
  readonly signedOutBecause: string | null;
  readonly link: Link;
  readonly status: StatusReport | null;
  /** Traffic of each connection; null before the daemon's first counters. */
  readonly flow: Flow | null;
  readonly sync: SyncReport | null;
  readonly approvals: ApprovalsReport | null;
  /** Newest first. */
  readonly events: readonly ShownEvent[];
  /** Grows with every event after which the published tools may differ. */
  readonly catalogVersion: number;
  /** Grows with every event after which the configuration file may differ. */
  readonly configVersion: number;
}

export const EMPTY_STATE: PageState = {
  session: "unknown",
  signedOutBecause: null,
  link: { kind: "connecting" },
  status: null,
  flow: null,
  sync: null,
  approvals: null,
  events: [],
  catalogVersion: 0,
  configVersion: 0,
};

interface LiveOptions {
  readonly store: Store<PageState>;
  readonly requests: Requests;
  /** Called once for each event that has a text for people. */
  readonly onEvent: (event: ShownEvent) => void;
  /** True while counters that no event announces are on the screen. */
  readonly showsFigures: () => boolean;
}

/** Follows the daemon across its restarts, until it is disposed or the session ends. */
export function startLive({ store, requests, onEvent, showsFigures }: LiveOptions) {
  const end = new AbortController();
  const { signal } = end;
  const refreshes = createRefreshes(store, requests, signal);
  let stream: AbortController | null = null;
  let lastId = 0;
  let hiddenTimer: ReturnType<typeof setTimeout> | undefined;

  const lost = (): void => {
    if (store.get().link.kind !== "lost") store.set({ link: { kind: "lost", sinceMs: Date.now() } });
  };
  const follow = async (ended: AbortSignal): Promise<void> => {
    let failures = 0;
    while (!ended.aborted) {
      try {
        const frames = await requests.openEvents(lastId, ended);
        failures = 0;
        store.set({ link: { kind: "live" } });
        refreshes.all();
        for await (const { id, data } of frames) receive(id, data);
      } catch (error) {
        if (!(error instanceof MountaineerError)) throw error;
      }
      if (ended.aborted || store.get().session === "signed-out") return;
      lost();
      await pause(RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 0);
      failures += 1;
    }
  };
  const open = (): void => {
    stream = new AbortController();
    void follow(stream.signal);
  };
  const receive = (id: number, data: string): void => {
    const event = readEvent(data);
    if (event === null) return;
    if (event.kind === "flow") {
      store.set({ flow: flowAfter(store.get().flow, event, Date.now()) });
      return;
    }
    // Skips events that the daemon repeats after a reconnect. A gap is never skipped: its id says where the
    // stream continues.
    if (event.kind !== "gap" && id <= lastId) return;
    lastId = id;
    refreshes.after(event);
    const line = eventLabel(event);
    if (line === null) return;
    const entry = { ...line, id, atMs: Date.now() };
    store.set({ events: [entry, ...store.get().events].slice(0, EVENTS_AT_MOST) });
    onEvent(entry);
  };
  const rest = (): void => {
    stream?.abort();
    stream = null;
    store.set({ link: { kind: "resting" } });
  };
  const onVisibility = (): void => {
    clearTimeout(hiddenTimer);
    if (document.visibilityState === "hidden") hiddenTimer = setTimeout(rest, HIDDEN_MS);
    else if (stream === null) {
      lastId = 0;
      store.set({ link: { kind: "connecting" } });
      open();
    }
  };
  document.addEventListener("visibilitychange", onVisibility);
  const figures = setInterval(() => {
    if (document.visibilityState === "visible" && store.get().link.kind === "live" && showsFigures())
      refreshes.status();
  }, FIGURES_MS);
  signal.addEventListener("abort", () => {
    document.removeEventListener("visibilitychange", onVisibility);
    clearTimeout(hiddenTimer);
    clearInterval(figures);
    stream?.abort();
    stream = null;
  });
  open();
  return {
    refresh: refreshes.all,
    [Symbol.dispose]: (): void => end.abort(),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Requests reports. A report is not requested again while a request for it is in flight. */
function createRefreshes(store: Store<PageState>, requests: Requests, signal: AbortSignal) {
  const refreshing = (work: () => Promise<Partial<PageState>>): (() => void) =>
    coalesce(async () => {
      // Ignores a failed request: once the stream is open again, all reports are requested.
      const found = await work().catch(recoverFrom(isOwnError, null));
      if (found !== null && !signal.aborted) store.set(found);
      await pause(BETWEEN_REQUESTS_MS);
    }, signal);
  const status = refreshing(async () => ({ status: await requests.call("status", null, { signal }) }));
  const sync = refreshing(async () => ({ sync: await requests.call("sync", null, { signal }) }));
  const approvals = refreshing(async () => ({
    approvals: await requests.call("approvals", null, { signal }),
  }));
  // Requests the session, because a restarted daemon does not know this tab's owner right. If the session has
  // ended, the other requests report that.
  const session = refreshing(async () => {
    const found = await requests.session();
    return found === null ? {} : { session: found };
  });
  const touch = (field: "catalogVersion" | "configVersion"): void =>
    store.set({ [field]: store.get()[field] + 1 });
  const all = (): void => {
    session();
    status();
    sync();
    approvals();
    touch("catalogVersion");
    touch("configVersion");
  };
  return {
    status,
    all,
    after(event: Exclude<StreamEvent, FlowEvent>): void {
      if (event.kind === "gap") {
        all();
        return;
      }
      const name = event.kind === "transition" ? event.transition.name : "config.file";
      status();
      if (name.startsWith("catalog.")) touch("catalogVersion");
      if (name.startsWith("config.")) {
        approvals();
        sync();
        touch("configVersion");
      }
    },
  };
}

const KINDS: readonly string[] = [
  "sync",
  "sync_state",
  "transition",
  "gap",
  "flow",
] satisfies StreamEvent["kind"][];

/** The event in a frame's data; null: its kind exists only in newer daemons. */
function readEvent(data: string): StreamEvent | null {
  try {
    const event: unknown = parseJson(data);
    const { kind } = objectOf(event);
    return KINDS.includes(String(kind)) ? (event as StreamEvent) : null;
  } catch {
    return null;
  }
}
