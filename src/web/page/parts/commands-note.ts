// Said beforehand where a session may not change what runs: what is refused here, and how to allow it.
import { type ComponentChild, h } from "preact";
import { useStore } from "../daemon/store.ts";
import type { App } from "./app.ts";
import { code } from "./elements.ts";

export function useMayRunCommands(app: App): boolean {
  return useStore(app.store, ({ session }) => typeof session === "object" && session.mayRunCommands);
}

/** `refused`: a sentence without its end. Nothing is drawn where the session may. */
export function CommandsNote({
  app,
  refused,
}: {
  readonly app: App;
  readonly refused: string;
}): ComponentChild {
  if (useMayRunCommands(app)) return null;
  return h(
    "p",
    { class: "note" },
    `${refused}. To allow it, run `,
    code("mountaineer config set server.management.allow_commands true"),
    " on that machine, and reload this page.",
  );
}
