// The Catalog screen: the tools, resources and prompts for clients, and calls of tools.
import { onceMore } from "../../runtime/once-more.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import { attempt, errorLine } from "../terminal/attempt.ts";
import type { EditText } from "../terminal/lent-terminal.ts";
import type { Prompt } from "../terminal/prompt.ts";
import type { KeyHelp, Screen } from "../terminal/screen.ts";
import { createStore } from "../terminal/store.ts";
import type { CatalogItem } from "./catalog-items.ts";
import { catalogHints, catalogLines } from "./catalog-lines.ts";
import {
  type CatalogAction,
  EMPTY_CATALOG,
  pasteIntoCatalog,
  pressCatalogKey,
  withAnswer,
  withCalling,
  withCatalog,
  withCatalogSize,
  withJson,
  withoutCall,
} from "./catalog-state.ts";

const KEYS: readonly KeyHelp[] = [
  { keys: "/", does: "searches names, descriptions and arguments as you type" },
  { keys: "Enter", does: "shows the chosen one; once more fills in a call of the tool" },
  { keys: "Tab, Shift-Tab", does: "in a call: next, previous field" },
  { keys: "Space, arrows", does: "in a call: choose; in a text: scroll" },
  { keys: "Ctrl-U", does: "in a call: leaves the field out, or removes the item from its list" },
  { keys: "Ctrl-S", does: "in a call: calls the tool; asks first where it may destroy something" },
  { keys: "Esc", does: "back; cancels a call that is under way" },
  { keys: "o", does: "switches the chosen tool off for all clients, or on again" },
  { keys: "r", does: "asks for the catalog again" },
];

/** Transitions that may change the catalog. */
const OF_CATALOG = /^(backend|catalog|gateway)\./;

interface CatalogScreenOptions {
  readonly link: Pick<DaemonLink, "ask" | "connection" | "listen">;
  readonly prompt: Prompt;
  readonly edit: EditText;
  /** Aborts when the program ends. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

export function createCatalogScreen({
  link,
  prompt,
  edit,
  signal,
  clock = systemClock,
}: CatalogScreenOptions): Screen {
  const state = createStore(EMPTY_CATALOG);
  /** Cancels the call under way; null: none. */
  let cancel: AbortController | null = null;

  const load = onceMore(
    () =>
      attempt(
        async () => {
          const report = await link.ask("catalog", null, signal);
          state.set(withCatalog(state.get(), report));
        },
        (error) => {
          // While the daemon is away, the known items stay; the first line shows the lost connection.
          if (state.get().items === null || error.code === "gateway_off")
            state.put({ items: null, found: [], failure: errorLine(error) });
        },
        signal,
      ),
    signal,
  );
  /** Runs `work`. If `work` fails before `until` aborts, shows `what` and the error in the last line. */
  const noting = (work: () => Promise<void>, what: string, until = signal): Promise<void> =>
    attempt(work, (error) => prompt.note({ tone: "bad", text: `${what}${errorLine(error)}` }), until);

  const call = async (item: CatalogItem, given: Readonly<Record<string, unknown>>): Promise<void> => {
    if (cancel !== null) return;
    const own = new AbortController();
    cancel = own;
    const until = AbortSignal.any([own.signal, signal]);
    state.set(withCalling(state.get()));
    const startedMs = clock.monotonicMs();
    await noting(
      async () => {
        const request = { tool: item.name, arguments: { ...given } };
        const report = await link.ask("call", request, until);
        if (!own.signal.aborted)
          state.set(withAnswer(state.get(), report, Math.round(clock.monotonicMs() - startedMs)));
      },
      `${item.name}: `,
      until,
    );
    if (cancel !== own) return;
    cancel = null;
    state.set(withoutCall(state.get()));
  };

  const switchTool = ({ name }: CatalogItem, on: boolean): Promise<void> =>
    noting(
      async () => {
        await link.ask("switchTools", { tools: [name], on }, signal);
        prompt.note({ tone: "good", text: `${name} is switched ${on ? "on" : "off"}` });
        load();
      },
      `${name} is not switched ${on ? "on" : "off"}: `,
    );

  const editJson = ({ path, text }: Extract<CatalogAction, { kind: "edit" }>): Promise<void> =>
    noting(async () => {
      const written = await edit("arguments.json", text);
      state.set(withJson(state.get(), path, written));
    }, "");

  const perform = (action: CatalogAction): void => {
    switch (action.kind) {
      case "edit":
        void editJson(action);
        break;
      case "load":
        load();
        break;
      case "switch":
        void switchTool(action.item, action.on);
        break;
      case "cancel":
        cancel?.abort();
        cancel = null;
        prompt.note({ tone: "warning", text: "the call was cancelled" });
        break;
      case "call": {
        const { item, arguments: given, mayDestroy } = action;
        prompt.note(null);
        if (!mayDestroy) void call(item, given);
        else prompt.ask(`${item.name} may destroy something. Call it?`, () => void call(item, given));
      }
    }
  };

  return {
    key: "c",
    view: "Servers",
    title: "Tools",
    about: "all tools, resources and prompts; calls a tool",
    keys: KEYS,
    changes: state,
    open(shown) {
      load();
      const unregister = link.listen((notice) => {
        if (notice.kind === "connected") load();
        if (notice.kind !== "event") return;
        const { event } = notice;
        if (event.kind === "gap" || (event.kind === "transition" && OF_CATALOG.test(event.transition.name)))
          load();
      });
      shown.addEventListener("abort", unregister, { once: true });
    },
    resize: (size) => state.set(withCatalogSize(state.get(), size)),
    draw: (size) => catalogLines(state.get(), size),
    hints: ({ symbols }) => catalogHints(state.get(), symbols.arrows),
    onKey(key) {
      const step = pressCatalogKey(state.get(), key);
      state.set(step.state);
      if (step.action !== null) perform(step.action);
      return step.used;
    },
    // Holds keys back until the list is loaded, because the frame would use them to switch screens. Without a
    // daemon it holds none back, so that the user can switch.
    holdsKeys() {
      const { items, failure } = state.get();
      return items === null && failure === null && link.connection.get().kind === "connected";
    },
    onPaste(text) {
      const next = pasteIntoCatalog(state.get(), text);
      const isUsed = next !== state.get();
      state.set(next);
      return isUsed;
    },
  };
}
