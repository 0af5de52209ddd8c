// The lock of the page: whether this tab may change what runs, and how the owner of the account unlocks it.
import { type ComponentChild, type ComponentChildren, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import { useNow, useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "./app.ts";
import { Copyable, WorkButton } from "./elements.ts";

/** How often the page checks whether the code was typed. */
const CHECK_MS = 1000;
/** How long the daemon accepts a code. */
const CODE_MS = 3 * 60_000;

export function useMayRunCommands(app: App): boolean {
  return useStore(app.store, ({ session }) => typeof session === "object" && session.mayRunCommands);
}

/**
 * In the header: that this tab may not change what runs, with the button that asks for a code to type in a terminal; or how long it
 * may change what runs, with the button that gives the right up.
 */
export function OwnerLock({ app }: ViewProps): ComponentChild {
  const may = useMayRunCommands(app);
  const until = useStore(app.store, ({ session }) =>
    typeof session === "object" ? session.ownerUntil : null,
  );
  const nowMs = useNow();
  const leftMs = until === null ? null : Date.parse(until) - nowMs;
  const isOver = leftMs !== null && leftMs <= 0;
  useEffect(() => {
    if (isOver) void checkSession(app);
  }, [isOver]);
  if (leftMs !== null) return h(Unlocked, { app, leftMs });
  return may ? null : h(Locked, { app });
}

function Unlocked({ app, leftMs }: ViewProps & { readonly leftMs: number }): ComponentChild {
  const drop = (): Promise<unknown> =>
    app.attempt("Lock", async () => {
      await app.requests.dropOwner();
      await checkSession(app);
    });
  return h(
    "p",
    { class: "owner", role: "status" },
    `This tab may change which programs run, for ${Math.max(1, Math.ceil(leftMs / 60_000))} min. `,
    h("button", { type: "button", class: "quiet", onClick: () => void drop() }, "Lock"),
  );
}

function Locked({ app }: ViewProps): ComponentChild {
  const [shownCode, setShownCode] = useState<string | null>(null);
  useEffect(() => {
    if (shownCode === null) return;
    const timer = setInterval(() => void checkSession(app), CHECK_MS);
    const end = setTimeout(() => setShownCode(null), CODE_MS);
    return () => {
      clearInterval(timer);
      clearTimeout(end);
    };
  }, [shownCode]);
  const unlock = (): Promise<unknown> =>
    app.attempt("Unlock", async () => setShownCode(await app.requests.requestOwner()));
  if (shownCode === null)
    return h(
      "p",
      { class: "owner locked" },
      "Read-only ",
      h(WorkButton, { label: "Unlock", kind: "quiet", run: unlock }),
    );
  const command = shellCommand`mountaineer admin ${`${shownCode.slice(0, 4)}-${shownCode.slice(4)}`}`;
  return h(
    "p",
    { class: "owner", role: "status" },
    "In a terminal of the daemon's machine, type ",
    h(Copyable, { text: command }),
    " within three minutes.",
  );
}

/** Above what a locked tab cannot do: the command that unlocks it. `what`: such as "add a share". */
export function LockedLine({ app, what }: ViewProps & { readonly what: string }): ComponentChild {
  if (useMayRunCommands(app)) return null;
  return [
    h("p", { key: "why", class: "dim" }, `To ${what}, run in a terminal of the daemon's machine:`),
    h("p", { key: "how", class: "path" }, h(Copyable, { text: "mountaineer open --admin" })),
  ];
}

interface LockableProps extends ViewProps {
  readonly what: string;
  readonly children?: ComponentChildren;
}

/** A form, which a locked tab shows disabled, below the command that unlocks it. */
export function Lockable({ app, what, children }: LockableProps): ComponentChild {
  const may = useMayRunCommands(app);
  return [
    h(LockedLine, { key: "line", app, what }),
    h("fieldset", { key: "form", class: "lockable", disabled: !may }, children),
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
