// The page as a whole: signed out or signed in, its navigation, and the view that is open.
import { type ComponentChild, h } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { wholeText } from "../../../api/labels/label.ts";
import { errorText, MountaineerError } from "../../../runtime/errors.ts";
import { durationText } from "../../../runtime/text/plain-text.ts";
import { EDITORS, isEdited } from "../config/editor-memory.ts";
import { EMPTY_STATE, type PageState, type ShownEvent, startLive } from "../daemon/live.ts";
import { createRequests, type Requests, type SecretStore, type Session } from "../daemon/requests.ts";
import { createStore, type Store, useNow, useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { CommandHome, Copyable, Gone, mark } from "../parts/elements.ts";
import { addNotice, NO_NOTICES, type NoticeState, Notices } from "../parts/notices.ts";
import { OwnerCode, OwnerLock } from "../parts/owner-lock.ts";
import { type OpenQuestion, QuestionDialog } from "../parts/question.ts";
import { clockText, shown } from "../parts/text.ts";
import { unsavedSync } from "../sync/sync-view.ts";
import type { LinkCode } from "./link-code.ts";
import { partAt, VIEWS } from "./views.ts";

/** Tabs of one browser share a session over this channel: a new tab asks the others for the secret. */
const TABS_CHANNEL = "mountaineer-session";
/** How long a new tab waits for an answer of the others. */
const TABS_ANSWER_MS = 150;
/** Minimum time between two sentences for a screen reader. */
const BETWEEN_SENTENCES_MS = 1000;

type TabMessage =
  | { readonly says: "who-is-in" | "signed-out" }
  | { readonly says: "signed-in"; readonly secret: string };

const ENDED = "The session has ended.";
const OUT_ELSEWHERE = "Signed out in another tab.";

/** The state of the page between two sign-outs. */
type Model = ReturnType<typeof createModel>;

/**
 * Creates the state. `signedOutBecause`: shown above the sign-in; absent: the page does not know yet whether
 * it has a session.
 */
function createModel(signedOutBecause?: string) {
  const store = createStore<PageState>(
    signedOutBecause === undefined
      ? EMPTY_STATE
      : { ...EMPTY_STATE, session: "signed-out", signedOutBecause },
  );
  const secret = tabSecret();
  const onSignedOut = (): void => {
    if (store.get().session !== "signed-out") store.set({ session: "signed-out", signedOutBecause: ENDED });
  };
  return {
    secret,
    store,
    notices: createStore<NoticeState>(NO_NOTICES),
    questions: createStore<{ readonly open: OpenQuestion | null }>({ open: null }),
    requests: createRequests(secret, onSignedOut),
  };
}

/** `link`: null if the page was opened without a one-time link. */
export function PageApp({ link }: { readonly link: LinkCode | null }): ComponentChild {
  // A sign-out replaces the model, and with it all forms: the next person finds nothing of what was typed.
  const [{ model, turn }, setTurn] = useState(() => ({ model: createModel(), turn: 0 }));
  const restart = (because: string): void =>
    setTurn((last) => ({ model: createModel(because), turn: last.turn + 1 }));
  return h(Page, { key: turn, model, link, restart });
}

interface PageProps {
  readonly model: Model;
  readonly link: LinkCode | null;
  readonly restart: (because: string) => void;
}

/** The page until the next sign-out. A sign-out starts a new one. */
function Page({ model, link, restart }: PageProps): ComponentChild {
  const { store, requests, secret } = model;
  const session = useStore(store, (state) => state.session);
  const because = useStore(store, (state) => state.signedOutBecause);
  const tabs = useRef<BroadcastChannel | null>(null);
  const send = (message: TabMessage): void => tabs.current?.postMessage(message);
  const announce = (): void => {
    const own = secret.read();
    if (own !== null) send({ says: "signed-in", secret: own });
  };
  const begin = async (code: string | null): Promise<void> => {
    try {
      if (code !== null) {
        store.set({ session: await requests.signIn({ link: code }) });
        announce();
        return;
      }
      if (secret.read() === null) {
        send({ says: "who-is-in" });
        await new Promise((resolve) => setTimeout(resolve, TABS_ANSWER_MS));
      }
      const found = await requests.session();
      store.set(found === null ? { session: "signed-out", signedOutBecause: null } : { session: found });
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      const text =
        code === null ? errorText(error) : `This link has expired or was already used: ${errorText(error)}.`;
      store.set({ session: "signed-out", signedOutBecause: text });
    }
  };
  useEffect(() => {
    // A channel does not receive its own messages.
    const channel = new BroadcastChannel(TABS_CHANNEL);
    tabs.current = channel;
    channel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
      const { session: own, signedOutBecause } = store.get();
      if (data.says === "who-is-in") announce();
      else if (data.says === "signed-in" && secret.read() === null) {
        secret.write(data.secret);
        if (own === "signed-out") void begin(null);
      } else if (data.says === "signed-out" && own !== "signed-out") {
        // Also ends this tab's session: each opened link begins a separate session, so the other tab may have had
        // another one.
        void requests.signOut().catch(() => {});
        secret.write(null);
        restart(OUT_ELSEWHERE);
      } else if (data.says === "signed-out" && signedOutBecause === ENDED) {
        // The daemon refused this tab's session before the other tab's message came. So the sign-out reason that is
        // shown is replaced by the right one.
        secret.write(null);
        store.set({ signedOutBecause: OUT_ELSEWHERE });
      }
    };
    if (session === "unknown") void begin(link?.code ?? null);
    return () => channel.close();
  }, []);
  if (session === "unknown") return h("main", { id: "main", class: "sign-in" }, h("p", {}, "Connecting …"));
  if (session === "signed-out")
    return h(SignIn, {
      requests,
      because,
      onSignedIn: (found) => {
        store.set({ ...EMPTY_STATE, session: found });
        announce();
      },
    });
  const signOut = async (): Promise<void> => {
    await requests.signOut();
    send({ says: "signed-out" });
    restart("You are signed out.");
  };
  return h(SignedIn, { model, needsCode: link?.isForOwner === true, signOut });
}

/**
 * Stores the secret in the tab's own storage, which no other origin can read, not even another port of this
 * host.
 */
function tabSecret(): SecretStore {
  return {
    read: () => sessionStorage.getItem(TABS_CHANNEL),
    write(secret) {
      if (secret === null) sessionStorage.removeItem(TABS_CHANNEL);
      else sessionStorage.setItem(TABS_CHANNEL, secret);
    },
  };
}

interface SignedInProps {
  readonly model: Model;
  readonly needsCode: boolean;
  readonly signOut: () => Promise<void>;
}

function SignedIn({ model, needsCode, signOut }: SignedInProps): ComponentChild {
  const { store, notices, questions, requests } = model;
  const [{ view, part }, setPart] = useState(() => partAt(location.hash));
  const live = useRef<ReturnType<typeof startLive> | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const isFirst = useRef(true);
  const open = useStore(questions, (state) => state.open);
  const isGone = useStore(store, ({ link }) => link.kind === "lost");
  const home = useStore(store, ({ status }) => status?.global.home ?? "");
  const app = useMemo(() => createApp(model, () => live.current?.refresh()), []);
  useLeaveQuestion(requests);
  useEffect(() => {
    const onHash = (): void => setPart(partAt(location.hash));
    window.addEventListener("hashchange", onHash);
    live.current = startLive({
      store,
      requests,
      onEvent: createSpeaker(notices),
      showsFigures: () => partAt(location.hash).view.hasFigures === true,
    });
    return () => {
      window.removeEventListener("hashchange", onHash);
      live.current?.[Symbol.dispose]();
      live.current = null;
    };
  }, []);
  // A layout effect runs before any key press that follows the drawing, so that the key meets the new focus.
  useLayoutEffect(() => {
    document.title = `${part.title} · Mountaineer`;
    // Moves the focus, so that keyboard users who changed the view continue in it, behind its parts.
    if (!isFirst.current) heading.current?.focus();
    isFirst.current = false;
  }, [part]);
  return h(
    CommandHome.Provider,
    { value: home },
    h(
      "div",
      { class: "frame" },
      h(
        "a",
        { class: "skip", href: "#title", onClick: (event: Event) => skipTo(event, heading.current) },
        "Skip to the content",
      ),
      h(Header, { app, current: view, signOut }),
      h(GoneBanner, { app }),
      h(
        "main",
        { id: "main", class: isGone ? "gone" : undefined },
        needsCode ? h(OwnerCode, { app }) : null,
        view.parts.length === 1 ? null : h(SubNav, { app, view, part }),
        h(
          "h1",
          { id: "title", ref: heading, tabIndex: -1, class: view.title === "Home" ? "unseen" : "view-title" },
          part.title,
        ),
        h(Gone.Provider, { value: isGone }, h(part.view, { key: part.at, app })),
      ),
      h(Footer, { app }),
      h(Notices, { store: notices }),
      open === null ? null : h(QuestionDialog, { key: open.question.title, ...open, store }),
    ),
  );
}

/** Makes the browser ask before the page with unsaved input is closed, in every view. */
function useLeaveQuestion(session: object): void {
  useEffect(() => {
    const onLeave = (event: BeforeUnloadEvent): void => {
      if (hasUnsaved(session)) event.preventDefault();
    };
    window.addEventListener("beforeunload", onLeave);
    return () => window.removeEventListener("beforeunload", onLeave);
  }, []);
}

function hasUnsaved(session: object): boolean {
  return isEdited(EDITORS.find(session)) || unsavedSync(session) !== null;
}

function confirmGiveUp(app: App): Promise<boolean> {
  return app.confirm({
    title: "Sign out without saving?",
    body: h("p", {}, "Unsaved changes of the configuration are discarded."),
    action: "Sign out",
    destroys: true,
  });
}

/** Moves the focus by script, because the link's own `#` would replace the view in the address. */
function skipTo(event: Event, heading: HTMLElement | null): void {
  event.preventDefault();
  heading?.focus();
}

type Here = ReturnType<typeof partAt>;

interface HeaderProps extends Pick<SignedInProps, "signOut"> {
  readonly app: App;
  readonly current: Here["view"];
}

function Header({ app, current, signOut }: HeaderProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const leave = async (): Promise<void> => {
    if (hasUnsaved(app.requests) && !(await confirmGiveUp(app))) return;
    await app.attempt("Sign out", signOut);
  };
  return h(
    "header",
    { class: "top" },
    h(
      "span",
      { class: "brand" },
      h("svg", { viewBox: "0 0 32 32", "aria-hidden": true }, h("path", { d: "M2 27 12 9l5 8 3-4 10 14z" })),
      "Mountaineer",
    ),
    h(
      "nav",
      { "aria-label": "Views" },
      VIEWS.filter((view) => view === current || isUsed(view, status)).map((view) =>
        h(
          "a",
          { key: view.title, href: `#/${view.parts[0].at}`, ...currentPage(view === current) },
          view.title,
          view.title === "Settings" ? h(Waiting, { app }) : null,
        ),
      ),
    ),
    h(LinkState, { store: app.store }),
    h(OwnerLock, { app }),
    h("button", { type: "button", class: "quiet", onClick: () => void leave() }, "Sign out"),
  );
}

/**
 * Whether the view has something to show. Also true until the first report, so that no view disappears while the page
 * loads.
 */
function isUsed(view: Here["view"], status: PageState["status"]): boolean {
  return status === null || view.isUsed?.(status) !== false;
}

function currentPage(isCurrent: boolean): { "aria-current"?: "page" } {
  return isCurrent ? { "aria-current": "page" } : {};
}

function Waiting({ app }: ViewProps): ComponentChild {
  const waiting = useStore(app.store, (state) => state.approvals?.waiting.length ?? 0);
  if (waiting === 0) return null;
  return h("span", { class: "count" }, ` ${waiting} `, h("span", { class: "unseen" }, "waiting"));
}

function SubNav({ app, view, part }: Here & { readonly app: App }): ComponentChild {
  return h(
    "nav",
    { class: "parts", "aria-label": `Parts of ${view.title}` },
    view.parts.map((each) =>
      h(
        "a",
        { key: each.at, href: `#/${each.at}`, ...currentPage(each === part) },
        each.title,
        each.at === "settings/approvals" ? h(Waiting, { app }) : null,
      ),
    ),
  );
}

function LinkState({ store }: { readonly store: Store<PageState> }): ComponentChild {
  const link = useStore(store, (state) => state.link);
  const now = useNow();
  const state =
    link.kind === "lost"
      ? mark("bad", `not connected since ${clockText(link.sinceMs, now)}`)
      : mark(link.kind === "live" ? "good" : "plain", link.kind);
  return h("p", { class: "link-state", role: "status" }, state);
}

/** The version, and the guide to the page as it is in this version. */
function Footer({ app }: ViewProps): ComponentChild {
  const version = useStore(app.store, ({ status }) => status?.global.version);
  const help = useMemo(() => document.querySelector<HTMLLinkElement>('link[rel="help"]')?.href, []);
  return h(
    "footer",
    { class: "foot dim" },
    version === undefined ? "" : `Mountaineer ${shown(version)} · `,
    h("a", { href: help, target: "_blank" }, "Help"),
  );
}

/** A banner while the daemon does not answer; the views below it show the last known state. */
function GoneBanner({ app }: ViewProps): ComponentChild {
  const link = useStore(app.store, (state) => state.link);
  const now = useNow();
  if (link.kind !== "lost") return null;
  return h(
    "div",
    { class: "gone-banner", role: "alert" },
    h("strong", {}, "The daemon does not answer."),
    " What you see is as it was ",
    h("span", { "aria-live": "off" }, durationText(Math.max(0, now - link.sinceMs))),
    " ago. This page retries automatically. To start the daemon, run ",
    h(Copyable, { text: "mountaineer up" }),
    " in a terminal. If it runs already, its page may have another address now: ",
    h(Copyable, { text: "mountaineer open" }),
  );
}

/** Announces the newest event to screen readers, at most one a second. */
function createSpeaker(notices: Store<NoticeState>): (event: ShownEvent) => void {
  let isWaiting = false;
  let next = "";
  return (event) => {
    if (event.tone === "plain") return;
    next = shown(wholeText(event));
    if (isWaiting) return;
    isWaiting = true;
    setTimeout(() => {
      isWaiting = false;
      notices.set({ spoken: next });
    }, BETWEEN_SENTENCES_MS);
  };
}

function createApp({ store, notices, questions, requests }: Model, refresh: () => void): App {
  const notify: App["notify"] = (tone, text, undo) => addNotice(notices, tone, text, undo);
  return {
    store,
    requests,
    refresh,
    notify,
    confirm: (question) =>
      new Promise((resolve) => {
        questions.get().open?.answer(false);
        const answer = (yes: boolean): void => {
          questions.set({ open: null });
          resolve(yes);
        };
        questions.set({ open: { question, answer } });
      }),
    async attempt(what, work) {
      try {
        await work();
        return true;
      } catch (error) {
        if (!(error instanceof MountaineerError)) throw error;
        // Shows no notice, because the sign-in says why the session has ended.
        if (store.get().session === "signed-out") return false;
        notify("bad", `${what}: ${error.message}${error.hint === null ? "" : ` (${error.hint})`}`);
        return false;
      }
    },
  };
}

// Signing in: by the link of `mountaineer open`, or with the management token.

interface SignInProps {
  readonly requests: Requests;
  /** Why there is no session; null: no sign-in yet. */
  readonly because: string | null;
  readonly onSignedIn: (session: Session) => void;
}

function SignIn({ requests, because, onSignedIn }: SignInProps): ComponentChild {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    if (token.trim() === "") {
      setProblem("Type or paste the token.");
      return;
    }
    setBusy(true);
    try {
      onSignedIn(await requests.signIn({ token: token.trim() }));
    } catch (error) {
      setProblem(errorText(error));
    } finally {
      setBusy(false);
    }
  };
  const reason = problem ?? because;
  return h(
    "main",
    { id: "main", class: "sign-in", tabIndex: -1 },
    h("h1", {}, "Mountaineer"),
    reason === null
      ? null
      : h("p", { class: problem === null ? "hint" : "problem", role: "alert" }, shown(reason)),
    h("p", {}, "On the machine where the daemon runs, open this page with"),
    h("p", {}, h(Copyable, { text: "mountaineer open" })),
    h(
      "p",
      {},
      "That signs you in. From another machine, paste what `mountaineer server-token` prints there:",
    ),
    h(
      "form",
      { onSubmit: (event: Event) => void submit(event) },
      h("label", { for: "token" }, "Token"),
      h("input", {
        id: "token",
        type: "password",
        autocomplete: "current-password",
        spellcheck: false,
        value: token,
        "aria-invalid": problem !== null,
        onInput: (event: Event) => setToken((event.target as HTMLInputElement).value),
      }),
      h("button", { type: "submit", class: "main", "aria-busy": busy }, "Sign in"),
    ),
  );
}
