// The configuration: its text in an editor, and its history.
import { type ComponentChild, h } from "preact";
import type { ViewProps } from "../parts/app.ts";
import { CommandsHint } from "../parts/commands-hint.ts";
import { section } from "../parts/elements.ts";
import { ConfigEditor } from "./config-editor.ts";
import { ConfigHistory } from "./config-history.ts";

export function ConfigView({ app }: ViewProps): ComponentChild {
  return h(
    "div",
    {},
    h(CommandsHint, {
      app,
      refused: "You cannot change commands, arguments and environments here",
    }),
    section("Editor", h(ConfigEditor, { app })),
    section("History", h(ConfigHistory, { app })),
  );
}
