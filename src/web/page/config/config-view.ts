// The configuration: its text in an editor, and its history.
import { type ComponentChild, h } from "preact";
import type { ViewProps } from "../parts/app.ts";
import { section } from "../parts/elements.ts";
import { ConfigEditor } from "./config-editor.ts";
import { ConfigHistory } from "./config-history.ts";

export function ConfigView({ app }: ViewProps): ComponentChild {
  return h(
    "div",
    {},
    section("Editor", h(ConfigEditor, { app })),
    section("History", h(ConfigHistory, { app })),
  );
}
