// Whether this tab may run commands: a note that says how to get the right, or a mark while the tab has it.
import { type ComponentChild, h } from "preact";
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
 * Says what this tab may not do, and how to get the right; nothing if the tab may run commands. `refused`:
 * the beginning of the sentence.
 */
export function CommandsHint({ app, refused }: ViewProps & { readonly refused: string }): ComponentChild {
  const [shownCode, setShownCode] = useState<string | null>(null);
  const may = useMayRunCommands(app);
  useEffect(() => {
    if (may) setShownCode(null);
    if (shownCode === null || may) return;
    const looks = setInterval(() => void checkSession(app), CHECK_MS);
    const end = setTimeout(() => setShownCode(null), CODE_MS);
    return () => {
      clearInterval(looks);
      clearTimeout(end);
    };
  }, [shownCode, may]);
  if (may) return null;
  return h(
    "div",
    { class: "note" },
    h("p", {}, `${refused} until you type one command in a terminal of the daemon's machine.`),
    shownCode === null
      ? h(WorkButton, {
          label: "Confirm ownership",
          run: async () => {
            await app.attempt("Ask for the owner's right", async () =>
              setShownCode(await app.requests.requestOwner()),
            );
          },
        })
      : h(
          "p",
          { role: "status" },
          "In a terminal on that machine, type ",
          h(Copyable, {
            text: shellCommand`mountaineer admin ${`${shownCode.slice(0, 4)}-${shownCode.slice(4)}`}`,
          }),
          " within three minutes.",
        ),
  );
}

/** Asks for the code that the terminal of `mountaineer open --admin` shows; nothing once the tab may run commands. */
export function OwnerCode({ app }: ViewProps): ComponentChild {
  const may = useMayRunCommands(app);
  const [typed, setTyped] = useState("");
  if (may) return null;
  const confirm = async (event: Event): Promise<void> => {
    event.preventDefault();
    await app.attempt("Confirm ownership", async () => {
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
    h("button", { type: "submit", class: "main", disabled: typed.trim() === "" }, "Confirm ownership"),
  );
}

/** Shown while this tab may change what runs, with a button that gives the right up. */
export function OwnerMark({ app }: { readonly app: App }): ComponentChild {
  const until = useStore(app.store, ({ session }) =>
    typeof session === "object" ? session.ownerUntil : null,
  );
  const nowMs = useNow();
  const leftMs = until === null ? null : Date.parse(until) - nowMs;
  useEffect(() => {
    if (leftMs !== null && leftMs <= 0) void checkSession(app);
  }, [leftMs !== null && leftMs <= 0]);
  if (leftMs === null) return null;
  const drop = (): Promise<unknown> =>
    app.attempt("Give up the owner's right", async () => {
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

/** Updates the session; if it has ended, the next request reports that. */
async function checkSession(app: App): Promise<void> {
  const session = await app.requests.session().catch(() => null);
  if (session !== null) app.store.set({ session });
}
