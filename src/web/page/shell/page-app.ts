// The page as a whole: signed out or signed in, its navigation, and the view that is open.
import { type ComponentChild, h } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { wholeText } from "../../../api/words/words.ts";
import { errorText, MountaineerError } from "../../../runtime/errors.ts";
import { durationText } from "../../../runtime/text/plain-text.ts";
import { EDITORS, isEdited } from "../config/editor-memory.ts";
import { EMPTY_STATE, type Live, type PageState, type SeenEvent, startLive } from "../daemon/live.ts";
import { createRequests, type KeptSecret, type Requests, type Session } from "../daemon/requests.ts";
import { createStore, type Store, useNow, useStore } from "../daemon/store.ts";
import type { App } from "../parts/app.ts";
import { OwnerMark } from "../parts/commands-note.ts";
import { Copyable, Gone, mark } from "../parts/elements.ts";
import { addNotice, NO_NOTICES, type NoticeState, Notices } from "../parts/notices.ts";
import { type OpenQuestion, QuestionDialog } from "../parts/question.ts";
import { clockText, shown } from "../parts/text.ts";
import { unsavedSync } from "../sync/sync-view.ts";
import { placeAt, VIEWS } from "./views.ts";

/** Tabs of one browser share one session: a new tab asks the others for it, and what one does to it, the others are told. */
const TABS_CHANNEL = "mountaineer-session";
/** For a tab that is open to answer a new one. */
const TABS_ANSWER_MS = 150;
/** Changes in between are one sentence less. */
const BETWEEN_SENTENCES_MS = 1000;

type TabMessage =
  | { readonly says: "who-is-in" | "signed-out" }
  | { readonly says: "signed-in"; readonly secret: string };

interface Parts {
  readonly secret: KeptSecret;
  readonly store: Store<PageState>;
  readonly notices: Store<NoticeState>;
  readonly questions: Store<{ readonly open: OpenQuestion | null }>;
  readonly requests: Requests;
}

const ENDED = "The session has ended.";
const OUT_ELSEWHERE = "Signed out in another tab.";

/** `left`: why nobody is signed in; absent: it is not known yet whether somebody is. */
function createParts(left?: string): Parts {
  const store = createStore<PageState>(
    left === undefined ? EMPTY_STATE : { ...EMPTY_STATE, session: "signed-out", signedOutBecause: left },
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

/** `link`: the code of a one-time link; null: there was none. */
export function PageApp({ link }: { readonly link: string | null }): ComponentChild {
  const [{ parts, turn }, setTurn] = useState(() => ({ parts: createParts(), turn: 0 }));
  // Who signs out leaves nothing to who signs in next: forms are kept by the requests, and go with them.
  const leave = (because: string): void => {
    // Until it is drawn anew, it hears its own words.
    parts.store.set({ session: "signed-out", signedOutBecause: because });
    setTurn((last) => ({ parts: createParts(because), turn: last.turn + 1 }));
  };
  return h(Turn, { key: turn, parts, link: turn === 0 ? link : null, leave });
}

interface TurnProps {
  readonly parts: Parts;
  readonly link: string | null;
  readonly leave: (because: string) => void;
}

/** The page from its opening, or from a sign-out, to the next sign-out. */
function Turn({ parts, link, leave }: TurnProps): ComponentChild {
  const { store, requests, secret } = parts;
  const session = useStore(store, (state) => state.session);
  const because = useStore(store, (state) => state.signedOutBecause);
  useEffect(() => {
    const channel = new BroadcastChannel(TABS_CHANNEL);
    channel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
      const isOut = store.get().session === "signed-out";
      const known = secret.read();
      // This page hears its own words, too.
      if (data.says === "signed-out" && !isOut) {
        // Each link that was opened has made a session of its own.
        void requests.signOut().catch(() => {});
        secret.write(null);
        leave(OUT_ELSEWHERE);
      } else if (data.says === "signed-out" && store.get().signedOutBecause === ENDED) {
        // The daemon's word was faster than the other tab's.
        secret.write(null);
        store.set({ signedOutBecause: OUT_ELSEWHERE });
      } else if (data.says === "who-is-in" && known !== null) sayToTabs({ says: "signed-in", secret: known });
      else if (data.says === "signed-in" && known === null) {
        secret.write(data.secret);
        if (isOut) void begin(parts, null);
      }
    };
    if (session === "unknown") void begin(parts, link);
    return () => channel.close();
  }, []);
  if (session === "unknown") return h("main", { id: "main", class: "sign-in" }, h("p", {}, "Connecting …"));
  if (session === "signed-out")
    return h(SignIn, {
      requests,
      because,
      onSignedIn: (found) => {
        store.set({ ...EMPTY_STATE, session: found });
        announce(secret);
      },
    });
  return h(SignedIn, { parts, leave });
}

/** In the tab's own storage, which no other origin reads, also none of another port. */
function tabSecret(): KeptSecret {
  return {
    read: () => sessionStorage.getItem(TABS_CHANNEL),
    write(secret) {
      if (secret === null) sessionStorage.removeItem(TABS_CHANNEL);
      else sessionStorage.setItem(TABS_CHANNEL, secret);
    },
  };
}

function sayToTabs(message: TabMessage): void {
  const channel = new BroadcastChannel(TABS_CHANNEL);
  channel.postMessage(message);
  channel.close();
}

function announce(kept: KeptSecret): void {
  const secret = kept.read();
  if (secret !== null) sayToTabs({ says: "signed-in", secret });
}

async function begin({ store, requests, secret }: Parts, link: string | null): Promise<void> {
  try {
    if (link !== null) {
      store.set({ session: await requests.signIn({ link }) });
      announce(secret);
      return;
    }
    if (secret.read() === null) {
      sayToTabs({ says: "who-is-in" });
      await new Promise((resolve) => setTimeout(resolve, TABS_ANSWER_MS));
    }
    const session = await requests.session();
    store.set(session === null ? { session: "signed-out", signedOutBecause: null } : { session });
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    const text =
      link === null ? errorText(error) : `This link has expired or was already used: ${errorText(error)}.`;
    store.set({ session: "signed-out", signedOutBecause: text });
  }
}

function SignedIn({ parts, leave }: Omit<TurnProps, "link">): ComponentChild {
  const { store, notices, questions, requests } = parts;
  const [{ view, place }, setPlace] = useState(() => placeAt(location.hash));
  const live = useRef<Live | null>(null);
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  const open = useStore(questions, (state) => state.open);
  const isGone = useStore(store, ({ link }) => link.kind === "lost");
  const app = useMemo(() => createApp(parts, () => live.current?.refresh()), []);
  useLeaveQuestion(requests);
  useEffect(() => {
    const onHash = (): void => setPlace(placeAt(location.hash));
    window.addEventListener("hashchange", onHash);
    live.current = startLive({
      store,
      requests,
      onEvent: createSpeaker(notices),
      showsFigures: () => placeAt(location.hash).view.hasFigures === true,
    });
    return () => {
      window.removeEventListener("hashchange", onHash);
      live.current?.[Symbol.dispose]();
      live.current = null;
    };
  }, []);
  // Before anything more is typed.
  useLayoutEffect(() => {
    document.title = `${place.title} · Mountaineer`;
    // Who went to another view from the keyboard is there now.
    if (!isFirst.current) main.current?.focus();
    isFirst.current = false;
  }, [place]);
  return h(
    "div",
    { class: "frame" },
    h(
      "a",
      { class: "skip", href: "#main", onClick: (event: Event) => skipTo(event, main.current) },
      "Skip to the content",
    ),
    h(Header, { app, current: view, leave }),
    h(GoneBanner, { app }),
    h(
      "main",
      { id: "main", ref: main, tabIndex: -1, "aria-label": place.title, class: isGone ? "gone" : undefined },
      view.places.length === 1 ? null : h(SubNav, { app, view, place }),
      h("h1", { class: view.title === "Home" ? "unseen" : "view-title" }, place.title),
      h(Gone.Provider, { value: isGone }, h(place.view, { key: place.at, app })),
    ),
    h(Notices, { store: notices }),
    open === null ? null : h(QuestionDialog, { key: open.question.title, open, store }),
  );
}

/** In every view the browser asks before what was typed and not saved is given up. */
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
  return isEdited(EDITORS.kept(session)) || unsavedSync(session) !== null;
}

function askToGiveUp(app: App): Promise<boolean> {
  return app.ask({
    title: "Sign out without saving?",
    body: h("p", {}, "What you changed in the configuration and did not save is given up."),
    action: "Sign out",
    destroys: true,
  });
}

/** The address stays: behind its `#` is the view. */
function skipTo(event: Event, main: HTMLElement | null): void {
  event.preventDefault();
  main?.focus();
}

/** The place that is open, and its view. */
type Here = ReturnType<typeof placeAt>;

interface HeaderProps extends Pick<TurnProps, "leave"> {
  readonly app: App;
  readonly current: Here["view"];
}

function Header({ app, current, leave }: HeaderProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const signOut = async (): Promise<void> => {
    if (hasUnsaved(app.requests) && !(await askToGiveUp(app))) return;
    await app.attempt("Sign out", async () => {
      await app.requests.signOut();
      leave("You are signed out.");
      sayToTabs({ says: "signed-out" });
    });
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
          { key: view.title, href: `#/${view.places[0].at}`, ...currentPage(view === current) },
          view.title,
          view.title === "Settings" ? h(Waiting, { app }) : null,
        ),
      ),
    ),
    h(LinkState, { store: app.store }),
    h(OwnerMark, { app }),
    h("button", { type: "button", class: "quiet", onClick: () => void signOut() }, "Sign out"),
  );
}

/** Of those that may have nothing to show; until the daemon has told, none is taken away. */
function isUsed(view: Here["view"], status: PageState["status"]): boolean {
  return status === null || view.isUsed?.(status) !== false;
}

function currentPage(isCurrent: boolean): { "aria-current"?: "page" } {
  return isCurrent ? { "aria-current": "page" } : {};
}

function Waiting({ app }: { readonly app: App }): ComponentChild {
  const waiting = useStore(app.store, (state) => state.approvals?.waiting.length ?? 0);
  if (waiting === 0) return null;
  return h("span", { class: "count" }, ` ${waiting} `, h("span", { class: "unseen" }, "waiting"));
}

function SubNav({ app, view, place }: Here & { readonly app: App }): ComponentChild {
  return h(
    "nav",
    { class: "parts", "aria-label": `Parts of ${view.title}` },
    view.places.map((each) =>
      h(
        "a",
        { key: each.at, href: `#/${each.at}`, ...currentPage(each === place) },
        each.title,
        each.at === "settings/approvals" ? h(Waiting, { app }) : null,
      ),
    ),
  );
}

function LinkState({ store }: { readonly store: Store<PageState> }): ComponentChild {
  const link = useStore(store, (state) => state.link);
  const now = useNow();
  const state = ((): ComponentChild => {
    switch (link.kind) {
      case "live":
        return mark("good", "live");
      case "connecting":
        return mark("plain", "connecting");
      case "resting":
        return mark("plain", "resting");
      case "lost":
        return mark("bad", `not connected since ${clockText(link.sinceMs, now)}`);
    }
  })();
  return h("p", { class: "link-state", role: "status" }, state);
}

/** Across the page: what is below it is as it was. */
function GoneBanner({ app }: { readonly app: App }): ComponentChild {
  const link = useStore(app.store, (state) => state.link);
  const now = useNow();
  if (link.kind !== "lost") return null;
  return h(
    "div",
    { class: "gone-banner", role: "alert" },
    h("strong", {}, "The daemon does not answer."),
    " What you see is as it was ",
    h("span", { "aria-live": "off" }, durationText(Math.max(0, now - link.sinceMs))),
    " ago. This page tries again by itself. To start the daemon, run ",
    h(Copyable, { text: "mountaineer up" }),
    " in a terminal.",
  );
}

/** Says what happens to a screen reader: the worst and the newest, a sentence a second. */
function createSpeaker(notices: Store<NoticeState>): (event: SeenEvent) => void {
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

function createApp({ store, notices, questions, requests }: Parts, refresh: () => void): App {
  const tell: App["tell"] = (tone, text, undo) => addNotice(notices, tone, text, undo);
  return {
    store,
    requests,
    refresh,
    tell,
    ask: (question) =>
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
        // Who was signed out sees it.
        if (store.get().session === "signed-out") return false;
        tell("bad", `${what}: ${error.message}${error.hint === null ? "" : ` (${error.hint})`}`);
        return false;
      }
    },
  };
}

// Signing in: by the link of `mountaineer open`, or with the management token.

interface SignInProps {
  readonly requests: Requests;
  /** Why there is no session; null: nobody has signed in yet. */
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
  const told = problem ?? because;
  return h(
    "main",
    { id: "main", class: "sign-in", tabIndex: -1 },
    h("h1", {}, "Mountaineer"),
    told === null
      ? null
      : h("p", { class: problem === null ? "hint" : "problem", role: "alert" }, shown(told)),
    h("p", {}, "On the machine where the daemon runs, open this page with"),
    h("p", {}, h(Copyable, { text: "mountaineer open" })),
    h("p", {}, "That signs you in. Or use the management token:"),
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
