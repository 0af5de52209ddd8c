// What the page knows of the daemon, kept fresh by its event stream: nothing is asked again before something was told.
import type { ApprovalsReport } from "../../../api/approval-contract.ts";
import type { FlowEvent, StatusReport, StreamEvent, SyncReport } from "../../../api/contract.ts";
import { type EventWords, eventWords } from "../../../api/words/event-words.ts";
import { errorText, MountaineerError } from "../../../runtime/errors.ts";
import { onceMore } from "../../../runtime/once-more.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { type Flow, flowAfter } from "./flow.ts";
import type { Requests, Session } from "./requests.ts";
import type { Store } from "./store.ts";

/** Until the stream is opened again. */
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
/** A burst of events is one look. */
const BETWEEN_LOOKS_MS = 120;
/** Calls and their times are too many to be told one by one: looked at so often while somebody sees them. */
const FIGURES_MS = 5000;
/** A tab in the background gives its connection back: a browser has six for one server. */
const HIDDEN_MS = 5000;
const EVENTS_KEPT = 500;

export type Link =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** `resting`: the tab is in the background. */
  | { readonly kind: "resting" }
  | { readonly kind: "lost"; readonly sinceMs: number };

export interface SeenEvent extends EventWords {
  readonly id: number;
  /** When this page heard of it, wall clock. */
  readonly atMs: number;
}

export interface PageState {
  /** `unknown` until the first answer. */
  readonly session: Session | "unknown" | "signed-out";
  /** Why there is no session; null: nothing to say. */
  readonly signedOutBecause: string | null;
  readonly link: Link;
  readonly status: StatusReport | null;
  /** What passes on each edge; null: nothing was told yet. */
  readonly flow: Flow | null;
  readonly sync: SyncReport | null;
  readonly approvals: ApprovalsReport | null;
  /** Newest first. */
  readonly events: readonly SeenEvent[];
  /** Grows whenever the published tools may be others. */
  readonly catalogVersion: number;
  /** Grows whenever the configuration file may be another. */
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

export interface Live extends Disposable {
  /** Looks at everything afresh, now. */
  refresh(): void;
}

interface LiveOptions {
  readonly store: Store<PageState>;
  readonly requests: Requests;
  /** Told of each event once, also of those that are not shown. */
  readonly onEvent: (event: SeenEvent) => void;
  /** Whether figures that nobody announces are on the screen. */
  readonly showsFigures: () => boolean;
}

/** Follows the daemon until it is disposed, over its restarts; a session that ended stops it. */
export function startLive({ store, requests, onEvent, showsFigures }: LiveOptions): Live {
  const end = new AbortController();
  const { signal } = end;
  const looks = createLooks(store, requests, signal);
  let stream: AbortController | null = null;
  let lastId = 0;
  let retries = 0;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let hiddenTimer: ReturnType<typeof setTimeout> | undefined;

  const lost = (): void => {
    if (store.get().link.kind !== "lost") store.set({ link: { kind: "lost", sinceMs: Date.now() } });
  };
  const open = (): void => {
    clearTimeout(retryTimer);
    stream?.abort();
    stream = new AbortController();
    void follow(stream.signal);
  };
  const follow = async (ended: AbortSignal): Promise<void> => {
    try {
      const frames = await requests.openEvents(lastId, ended);
      retries = 0;
      store.set({ link: { kind: "live" } });
      looks.all();
      for await (const { id, data } of frames) hear(id, data);
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
    }
    if (ended.aborted || store.get().session === "signed-out") return;
    lost();
    const waitMs = RETRY_MS[Math.min(retries, RETRY_MS.length - 1)] ?? 0;
    retries += 1;
    retryTimer = setTimeout(open, waitMs);
  };
  const hear = (id: number, data: string): void => {
    const event = readEvent(data);
    if (event === null) return;
    if (event.kind === "flow") {
      store.set({ flow: flowAfter(store.get().flow, event, Date.now()) });
      return;
    }
    // After a reconnect the daemon may say again what was heard; a gap has the id from which to go on.
    if (event.kind !== "gap" && id <= lastId) return;
    lastId = id;
    looks.after(event);
    const line = eventWords(event);
    if (line === null) return;
    const seen = { ...line, id, atMs: Date.now() };
    store.set({ events: [seen, ...store.get().events].slice(0, EVENTS_KEPT) });
    onEvent(seen);
  };
  const rest = (): void => {
    stream?.abort();
    stream = null;
    clearTimeout(retryTimer);
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
      looks.status();
  }, FIGURES_MS);
  signal.addEventListener("abort", () => {
    document.removeEventListener("visibilitychange", onVisibility);
    for (const timer of [retryTimer, hiddenTimer]) clearTimeout(timer);
    clearInterval(figures);
    stream?.abort();
    stream = null;
  });
  open();
  return { refresh: looks.all, [Symbol.dispose]: () => end.abort() };
}

/** Ways to look afresh, each one at a time and not too often. */
function createLooks(store: Store<PageState>, requests: Requests, signal: AbortSignal) {
  const look = (work: () => Promise<Partial<PageState>>): (() => void) =>
    onceMore(async () => {
      try {
        const found = await work();
        if (!signal.aborted) store.set(found);
      } catch (error) {
        // The stream tells when the daemon is back, and everything is looked at then.
        if (!(error instanceof MountaineerError)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_LOOKS_MS));
    }, signal);
  const status = look(async () => ({ status: await requests.ask("status", null, { signal }) }));
  const sync = look(async () => ({ sync: await requests.ask("sync", null, { signal }) }));
  const approvals = look(async () => ({ approvals: await requests.ask("approvals", null, { signal }) }));
  // Another daemon knows nothing of a right that this tab had; a session that ended is told by the others.
  const session = look(async () => {
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
      if (event.kind !== "transition") {
        sync();
        approvals();
        status();
        touch("configVersion");
        return;
      }
      const { name } = event.transition;
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

/** Null: a newer daemon says something that this page does not know. */
function readEvent(data: string): StreamEvent | null {
  try {
    const event: unknown = JSON.parse(data);
    const { kind } = objectOf(event);
    return KINDS.includes(String(kind)) ? (event as StreamEvent) : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw new Error(errorText(error));
  }
}
