// The lock of the page: whether this tab may change what runs, and how the owner of the account unlocks it.
import { type ComponentChild, type ComponentChildren, h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import { useNow, useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "./app.ts";
import { Copyable, WorkButton } from "./elements.ts";

/** How often the page checks whether the code was typed. */
const CHECK_MS = 1000;
/** How long the daemon accepts a code. */
const CODE_MS = 3 * 60_000;
const CLOSING = ["pointerdown", "keydown"];

export function useMayRunCommands(app: App): boolean {
  return useStore(app.store, ({ session }) => typeof session === "object" && session.mayRunCommands);
}

/** Whether the owner has unlocked this tab, which `allow_commands` does not do. */
export function useIsOwner(app: App): boolean {
  return useStore(app.store, ({ session }) => typeof session === "object" && session.ownerUntil !== null);
}

const CLOSED = "M6 14V10a6 6 0 0 1 12 0v4M4 14h16v13H4z";
const OPEN = "M6 14V8a6 6 0 0 1 11-3M4 14h16v13H4z";

/** In the header: a lock, which opens to how this tab is unlocked, or for how long it is, and the button that locks it. */
export function OwnerLock({ app }: ViewProps): ComponentChild {
  const until = useStore(app.store, ({ session }) =>
    typeof session === "object" ? session.ownerUntil : null,
  );
  const may = useMayRunCommands(app);
  const nowMs = useNow();
  const leftMs = until === null ? null : Date.parse(until) - nowMs;
  const left = leftMs === null ? null : `${Math.max(1, Math.ceil(leftMs / 60_000))} min`;
  const [isOpen, setOpen] = useState(false);
  const [code, setCode] = useState<string | null>(null);
  const lock = useRef<HTMLDivElement>(null);
  const text = `This tab may change which programs run, for ${left}`;
  const isOver = leftMs !== null && leftMs <= 0;
  useEffect(() => {
    if (isOver) void checkSession(app);
  }, [isOver]);
  useEffect(() => {
    if (left !== null && code !== null) app.notify("good", text);
    setCode(null);
    setOpen(false);
  }, [left === null]);
  useEffect(() => {
    if (code === null) return;
    const timer = setInterval(() => void checkSession(app), CHECK_MS);
    const end = setTimeout(() => setCode(null), CODE_MS);
    return () => {
      clearInterval(timer);
      clearTimeout(end);
    };
  }, [code]);
  useEffect(() => {
    const close = (event: Event): void => {
      const isKey = "key" in event && event.key === "Escape";
      if (isKey || (event.type === "pointerdown" && !event.composedPath().includes(lock.current ?? document)))
        setOpen(false);
    };
    for (const type of isOpen ? CLOSING : []) document.addEventListener(type, close);
    return () => {
      for (const type of CLOSING) document.removeEventListener(type, close);
    };
  }, [isOpen]);
  const requestCode = async (): Promise<void> => {
    const given = await app.requests.requestOwner();
    setCode(`${given.slice(0, 4)}-${given.slice(4)}`);
  };
  const drop = async (): Promise<void> => {
    await app.requests.dropOwner();
    await checkSession(app);
  };
  const toggle = async (): Promise<void> => {
    setOpen(!isOpen);
    if (!isOpen && left === null && code === null && !(await app.attempt("Unlock", requestCode)))
      setOpen(false);
  };
  const what = may ? "In this tab only People is locked" : "This tab is read-only";
  const shown =
    left !== null
      ? [h("p", {}, text), h(WorkButton, { label: "Lock", run: () => app.attempt("Lock", drop) })]
      : code !== null && [
          h("p", {}, `${what}. In a terminal of the daemon's machine, type within three minutes:`),
          h("p", { class: "owner-code-shown" }, code),
          h("p", {}, h(Copyable, { text: shellCommand`mountaineer admin ${code}` })),
        ];
  const name = { "aria-label": left === null ? "Unlock" : `Owner for ${left}`, "aria-expanded": isOpen };
  const icon = h("path", { d: left === null ? CLOSED : OPEN });
  return h(
    "div",
    { class: "owner", ref: lock },
    h(
      "button",
      { ...name, type: "button", class: "quiet", onClick: () => void toggle() },
      h("svg", { viewBox: "0 0 24 28", "aria-hidden": true }, icon),
      h("span", { class: left === null ? "unseen" : "owner-left" }, left ?? "Unlock"),
    ),
    isOpen && shown !== false ? h("div", { class: "owner-box", role: "status" }, shown) : null,
  );
}

interface LockedProps extends ViewProps {
  /** Such as "add a share". */
  readonly what: string;
  /** True: `allow_commands` does not allow it. */
  readonly needsOwner?: boolean;
}

/** Above what a locked tab cannot do: the command that unlocks it. */
export function LockedLine({ app, what, needsOwner = false }: LockedProps): ComponentChild {
  const [may, isOwner] = [useMayRunCommands(app), useIsOwner(app)];
  if (needsOwner ? isOwner : may) return null;
  return [
    h("p", { key: "why", class: "dim" }, `To ${what}, run in a terminal of the daemon's machine:`),
    h("p", { key: "how", class: "path" }, h(Copyable, { text: "mountaineer open --admin" })),
  ];
}

interface LockableProps extends LockedProps {
  readonly children?: ComponentChildren;
}

/** A form, which a locked tab shows disabled, below the command that unlocks it. */
export function Lockable({ children, ...locked }: LockableProps): ComponentChild {
  const [may, isOwner] = [useMayRunCommands(locked.app), useIsOwner(locked.app)];
  const disabled = !(locked.needsOwner === true ? isOwner : may);
  return [
    h(LockedLine, { key: "line", ...locked }),
    h("fieldset", { key: "form", class: "lockable", disabled }, children),
  ];
}

/** In place of the programs of this machine, which the daemon names only to its owner. */
export function lockedPrograms(label: string): ComponentChild {
  return h(
    "p",
    { class: "row" },
    h("span", { class: "grow" }, "Each MCP client that is found on this machine"),
    h("button", { type: "button" }, label),
  );
}

/** Asks for the code that the terminal of `mountaineer open --admin` shows; nothing once the tab may run commands. */
export function OwnerCode({ app }: ViewProps): ComponentChild {
  const may = useMayRunCommands(app);
  const [typed, setTyped] = useState("");
  if (may) return null;
  const confirm = async (event: Event): Promise<void> => {
    event.preventDefault();
    await app.attempt("Unlock", async () => {
      await app.requests.takeOwner(typed);
      await checkSession(app);
    });
  };
  return h(
    "form",
    { class: "note owner-code", onSubmit: (event: Event) => void confirm(event) },
    h("label", { for: "owner-code" }, "Code that your terminal shows"),
    h("input", {
      ...{ id: "owner-code", value: typed, autocomplete: "off", autofocus: true, maxLength: 20 },
      onInput: ({ target }: Event) => setTyped((target as HTMLInputElement).value),
    }),
    h("button", { type: "submit", class: "main", disabled: typed.trim() === "" }, "Use this code"),
  );
}

/** Updates the session; if it has ended, the next request reports that. */
async function checkSession(app: App): Promise<void> {
  const session = await app.requests.session().catch(() => null);
  if (session !== null) app.store.set({ session });
}
